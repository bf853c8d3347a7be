"""Joins that time bounds: interval joins, joins with the version of a moment, lookups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.plan.calc import narrow
from deras.sql.plan.rel import Place, Rel, Unary, move
from deras.sql.plan.show import duration, expression

if TYPE_CHECKING:
    from deras.sql.catalog import CatalogTable
    from deras.sql.expr.nodes import Expr


def joined_schema(left: Schema, right: Schema, kind: str, *, keep_right: bool) -> Schema:
    """The columns of both sides; those that may be padded can be NULL. ``keep_right``: its time attributes stay."""
    fields = [f if kind in ("INNER", "LEFT") else replace(f, type=f.type.with_nullable(True)) for f in left]
    for f in right:
        g = f if keep_right else f.without_time()
        fields.append(g if kind in ("INNER", "RIGHT") else replace(g, type=g.type.with_nullable(True)))
    return Schema(tuple(fields))


@dataclass(frozen=True, slots=True)
class Bounded(Rel):
    """Two inputs with equal keys and a residual condition over left then right columns; time bounds what is kept."""

    left: Rel
    right: Rel
    kind: str
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]
    left_time: int | None
    right_time: int | None
    residual: Expr | None = None

    def inputs(self) -> tuple[Rel, ...]:
        """Left and right."""
        return (self.left, self.right)

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over other inputs."""
        return replace(self, left=inputs[0], right=inputs[1])

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Both sides keep only what is read, their keys and their times."""
        n = len(self.left.schema)
        used = set(needed) if self.residual is None else needed | e.refs(self.residual)
        mine = {i for i in used if i < n} | set(self.left_keys) | _some(self.left_time)
        theirs = {i - n for i in used if i >= n} | set(self.right_keys) | _some(self.right_time) | self._also()
        left, left_place = narrow(self.left, mine)
        right, right_place = narrow(self.right, theirs)
        width = len(left.schema)
        place = {i: k for i, k in left_place.items() if i < n} | {n + i: width + k for i, k in right_place.items()}
        back = {k: i for i, k in place.items()}
        fields = list(joined_schema(left.schema, right.schema, self.kind, keep_right=True))
        for k, i in back.items():
            if i < len(self.schema):
                fields[k] = self.schema[i]
        found = replace(
            self,
            schema=Schema(tuple(fields)),
            left=left,
            right=right,
            left_keys=tuple(left_place[k] for k in self.left_keys),
            right_keys=tuple(right_place[k] for k in self.right_keys),
            left_time=None if self.left_time is None else left_place[self.left_time],
            right_time=None if self.right_time is None else right_place[self.right_time],
            residual=None if self.residual is None else move(self.residual, place),
        )
        return found, place

    def _also(self) -> set[int]:
        """Columns of the right that are needed in any case."""
        return set()

    def _conditions(self) -> str:
        left, right = self.left.schema.names, self.right.schema.names
        on = [f"{left[a]} = {right[b]}" for a, b in zip(self.left_keys, self.right_keys, strict=True)]
        rest = "" if self.residual is None else f", where: {expression(self.residual, [*left, *right])}"
        return f"kind: {self.kind}, on: [{', '.join(on)}]{rest}"


@dataclass(frozen=True, slots=True)
class IntervalJoin(Bounded):
    """Equal keys and ``low <= right time - left time <= high`` (ms). Times None: processing time on both sides."""

    low: int = 0
    high: int = 0

    def reads_time(self) -> bool:
        """With processing time."""
        return self.left_time is None

    def describe(self) -> str:
        """Kind, keys, bounds."""
        if self.left_time is None or self.right_time is None:
            times = ("PROCTIME", "PROCTIME")
        else:
            times = self.left.schema.names[self.left_time], self.right.schema.names[self.right_time]
        bounds = f"{_signed(self.low)} <= {times[1]} - {times[0]} <= {_signed(self.high)}"
        return f"IntervalJoin({self._conditions()}, time: {bounds})"

    def kept(self) -> str:
        """Rows until their partners' time is over."""
        left, right = duration(max(0, self.high)), duration(max(0, -self.low))
        time = "processing time" if self.left_time is None else "the watermark"
        return f"rows of the left for {left}, of the right for {right} behind {time}"


def _signed(ms: int) -> str:
    return f"-{duration(-ms)}" if ms < 0 else duration(ms)


def _some(place: int | None) -> set[int]:
    return set() if place is None else {place}


@dataclass(frozen=True, slots=True)
class TemporalJoin(Bounded):
    """Each row of the left with the version of its key at the row's time.

    ``right_keys`` are the key of which the right has versions. ``strict``: the version is from before the row's time.
    ``newest``: a version older than the key's last is passed over.
    """

    strict: bool = False
    newest: bool = False

    def append_only(self) -> bool:
        """As the left: what was given is not changed by later versions."""
        return self.left.append_only()

    def upsert_key(self) -> tuple[int, ...]:
        """The left's."""
        return self.left.upsert_key()

    def describe(self) -> str:
        """Kind, keys, times."""
        assert self.left_time is not None and self.right_time is not None  # noqa: S101, PT018
        times = self.left.schema.names[self.left_time], self.right.schema.names[self.right_time]
        relation = "<" if self.strict else "<="
        return f"TemporalJoin({self._conditions()}, time: {times[1]} {relation} {times[0]})"

    def kept(self) -> str:
        """Waiting rows and versions."""
        return "rows of the left until the watermark passes them; of the right one version a key and those to come"


@dataclass(frozen=True, slots=True)
class PresentJoin(Bounded):
    """Each row of the left with the rows of its key as they are when it comes."""

    def append_only(self) -> bool:
        """As the left: what was given is not changed by later rows."""
        return self.left.append_only()

    def reads_time(self) -> bool:
        """The result depends on what came first."""
        return True

    def describe(self) -> str:
        """Kind and keys."""
        return f"PresentJoin({self._conditions()})"

    def kept(self) -> str:
        """The right."""
        return "all rows of the right, as long as they are there"


@dataclass(frozen=True, slots=True)
class LookupJoin(Unary):
    """Each row with the rows that a table outside has for its keys when it comes.

    Args:
        table: the table that is looked up.
        options: its options, hints merged in.
        found: the columns that a lookup gives.
        kind: INNER or LEFT.
        keys: positions in the input.
        table_keys: positions in ``found``.
        residual: the rest of the condition, over the input's columns, then ``found``.
        settings: of the LOOKUP hint and the lookup options.
    """

    table: CatalogTable
    options: tuple[tuple[str, str], ...]
    found: Schema
    kind: str
    keys: tuple[int, ...]
    table_keys: tuple[int, ...]
    residual: Expr | None
    settings: tuple[tuple[str, str], ...] = ()

    def upsert_key(self) -> tuple[int, ...]:
        """Nothing is known of how many rows a lookup gives."""
        return ()

    def reads_time(self) -> bool:
        """The table outside may change."""
        return True

    def through(self) -> Place:
        """The input's columns."""
        return {i: i for i in range(len(self.input.schema))}

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The input without what nobody reads; the table is looked up whole."""
        n = len(self.input.schema)
        used = needed if self.residual is None else needed | e.refs(self.residual)
        made, place = narrow(self.input, {i for i in used if i < n} | set(self.keys))
        width = len(made.schema)
        there = {i: k for i, k in place.items() if i < n} | {n + i: width + i for i in range(len(self.found))}
        fields = [*made.schema.fields, *self.schema.fields[n:]]
        return (
            replace(
                self,
                schema=Schema(tuple(fields)),
                input=made,
                keys=tuple(place[k] for k in self.keys),
                residual=None if self.residual is None else move(self.residual, there),
            ),
            there,
        )

    def describe(self) -> str:
        """Table, keys, settings."""
        names = self.input.schema.names
        on = [f"{names[a]} = {self.found.names[b]}" for a, b in zip(self.keys, self.table_keys, strict=True)]
        rest = "" if self.residual is None else f", where: {expression(self.residual, [*names, *self.found.names])}"
        more = "".join(f", {k}: {v}" for k, v in self.settings)
        return f"LookupJoin(table: {self.table.name}, kind: {self.kind}, on: [{', '.join(on)}]{rest}{more})"

    def kept(self) -> str:
        """Rows that ask again; the cache is no state."""
        options, kept = dict(self.options), []
        if "fixed-delay" in dict(self.settings):
            kept.append("rows that found nothing until they ask again")
        cache = options.get("lookup.cache", "").upper()
        if cache == "PARTIAL":
            rows = options.get("lookup.partial-cache.max-rows")
            kept.append(f"a cache of {f'at most {rows}' if rows else 'all found'} rows, which is no state")
        elif cache != "NONE":
            kept.append("no state; a table that comes whole is kept in memory")
        return ", ".join(kept) or "no state"

    def warnings(self) -> list[str]:
        """A cache that only grows."""
        options = dict(self.options)
        bounds = ("max-rows", "expire-after-write", "expire-after-access")
        if options.get("lookup.cache", "").upper() != "PARTIAL" or any(
            f"lookup.partial-cache.{b}" in options for b in bounds
        ):
            return []
        return [
            f"The lookup cache of '{self.table.name}' keeps every key for ever: set 'lookup.partial-cache.max-rows' or "
            "'lookup.partial-cache.expire-after-write'."
        ]

    def normal(self) -> str:
        """The table by name and options."""
        options = ";".join(f"{k}={v}" for k, v in sorted(self.options))
        parts = [self.table.name, options, self.kind, str(self.keys), str(self.table_keys)]
        parts += [] if self.residual is None else [expression(self.residual)]
        parts += [f"{k}={v}" for k, v in self.settings]
        return f"lookup[{'|'.join(parts)}]({self.input.normal()})"
