"""Joins of whole streams, and of windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.plan.calc import Calc, narrow
from deras.sql.plan.rel import Place, Rel, move
from deras.sql.plan.show import expression

if TYPE_CHECKING:
    from deras.sql.expr.nodes import Expr

JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]


@dataclass(frozen=True, slots=True)
class Join(Rel):
    """A join on equal columns and a residual condition over left then right columns.

    Its columns are the left's, then the right's; of SEMI and ANTI the left's only. ``null_safe`` says for each key
    whether NULL equals NULL (() : never). ``null_aware`` makes an ANTI join on one key, without residual, SQL's NOT IN.
    """

    left: Rel
    right: Rel
    kind: JoinKind
    left_keys: tuple[int, ...] = ()
    right_keys: tuple[int, ...] = ()
    residual: Expr | None = None
    null_safe: tuple[bool, ...] = ()
    null_aware: bool = False

    def inputs(self) -> tuple[Rel, ...]:
        """Left and right."""
        return (self.left, self.right)

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over other inputs."""
        return replace(self, left=inputs[0], right=inputs[1])

    @property
    def half(self) -> bool:
        """Whether it gives the left's columns only."""
        return self.kind in ("SEMI", "ANTI")

    @property
    def pads(self) -> tuple[bool, bool]:
        """Whether rows of the left, of the right, come with NULLs where they have no partner."""
        return self.kind in ("LEFT", "FULL"), self.kind in ("RIGHT", "FULL")

    @property
    def safe(self) -> tuple[bool, ...]:
        """For each key whether NULL equals NULL."""
        return self.null_safe or (False,) * len(self.left_keys)

    @property
    def sides(self) -> tuple[Schema, Schema]:
        """The columns that it takes from each side."""
        return self.left.schema, self.right.schema

    @property
    def left_unique(self) -> bool:
        """Whether the left has at most one row of a key."""
        return unique_on(self.left, self.left_keys)

    @property
    def right_unique(self) -> bool:
        """Whether the right has at most one row of a key."""
        return unique_on(self.right, self.right_keys)

    @property
    def decides(self) -> bool:
        """Whether it is a semi or anti join that forgets a row of the left when the right has its key."""
        plain = self.half and self.residual is None and not self.null_aware and not any(self.ttl)
        return plain and self.left.append_only() and self.right.append_only()

    def makes_updates(self) -> bool:
        """A padded row goes when a partner comes; so does an ANTI join's."""
        return self.kind not in ("INNER", "SEMI")

    def upsert_key(self) -> tuple[int, ...]:
        """One side's, where the other has at most one partner; else both."""
        return joined_key(self)

    def single_row(self) -> bool:
        """Of two single rows; a FULL join has two if they do not match."""
        if self.half:
            return self.left.single_row()
        return self.kind != "FULL" and self.left.single_row() and self.right.single_row()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Both sides keep only what is read, and their keys."""
        return prune_sides(self, needed)

    def describe(self) -> str:
        """Kind and condition."""
        return f"Join({condition_text(self)})"

    def kept(self) -> str:
        """Everything, or one row of a key where there is no more; of the right of a semi join its keys."""
        right = "keys of the right" if self.half and self.residual is None else "all rows of the right"
        left = "all rows of the left"
        if self.decides:
            return "rows of the left whose key the right has not, keys of the right, unbounded"
        if self.left_unique:
            left = "one row a key of the left"
        if self.right_unique and not (self.half and self.residual is None):
            right = "one row a key of the right"
        if left.startswith("all") and right.startswith("all"):
            return "all rows of both sides, unbounded"
        return f"{left}, {right}, unbounded"

    def warnings(self) -> list[str]:
        """Rows are never forgotten; without an equality all meet all."""
        found = ["The join keeps all rows of both sides: its state grows with its inputs."]
        if self.left_unique and self.right_unique:
            found = ["The join keeps a row a key of both sides: its state grows with their keys."]
        elif self.left_unique or self.right_unique:
            one, other = ("left", "right") if self.left_unique else ("right", "left")
            found = [f"The join keeps all rows of the {other} and a row a key of the {one}: its state grows with them."]
        if self.half and self.residual is None:
            rows = "the rows of the left whose key the right has not" if self.decides else "all rows of the left"
            found = [f"The join keeps {rows} and all keys of the right: its state grows with its inputs."]
        if not self.left_keys and (self.residual is not None or not self.half) and not _small(self):
            found.append("The join has no equality: every row meets all rows of the other side.")
        return found


def _small(join: Join) -> bool:
    return join.left.single_row() or join.right.single_row()


def unique_on(rel: Rel, keys: tuple[int, ...]) -> bool:
    """Whether there is at most one row for values of these columns."""
    own = rel.upsert_key()
    return rel.single_row() or (bool(own) and set(own) <= set(keys))


def replaces(rel: Rel) -> bool:
    """Whether a row that takes another's place makes an update of it. Outer joins give rows up and bring others."""
    while isinstance(rel, Calc):
        rel = rel.input
    return not (isinstance(rel, Join) and rel.makes_updates() and any(rel.pads))


def joined_key(join: Join) -> tuple[int, ...]:
    """The upsert key of a join of any kind, as far as its inputs' keys say."""
    left, right = join.left.upsert_key(), join.right.upsert_key()
    if join.half:
        return left
    n = len(join.sides[0])
    # Where one side is padded, its key is NULL in many rows and tells nothing alone.
    pads_left, pads_right = join.pads
    if left and not pads_right and join.right_unique:
        return left
    if right and not pads_left and join.left_unique:
        return tuple(n + i for i in right)
    if left and right:
        return (*left, *(n + i for i in right))
    return ()


def joined_schema(left: Schema, right: Schema, kind: JoinKind) -> Schema:
    """The columns of a join: padded ones are nullable, and no time attribute is left, as in Flink.

    A row of a join may come long after its time, so no watermark holds for it.
    """
    if kind in ("SEMI", "ANTI"):
        return Schema(tuple(f.without_time() for f in left.fields))
    first = [_nullable(f) if kind in ("RIGHT", "FULL") else f.without_time() for f in left.fields]
    second = [_nullable(f) if kind in ("LEFT", "FULL") else f.without_time() for f in right.fields]
    return Schema((*first, *second))


def _nullable(f: Field) -> Field:
    return replace(f.without_time(), type=f.type.with_nullable(True))


def prune_sides(join: Join, needed: set[int]) -> tuple[Rel, Place]:
    """A join whose sides keep only what is read above or by its condition."""
    n = len(join.left.schema)
    used = set(needed) if join.residual is None else needed | e.refs(join.residual)
    left, left_place = narrow(join.left, {i for i in used if i < n} | set(join.left_keys))
    right, right_place = narrow(join.right, {i - n for i in used if i >= n} | set(join.right_keys))
    width = len(left.schema)
    inside = left_place | {n + i: width + k for i, k in right_place.items()}
    place = left_place if join.half else inside
    old = {k: i for i, k in place.items()}
    found = replace(
        join,
        schema=Schema(tuple(join.schema[old[k]] for k in range(len(old)))),
        left=left,
        right=right,
        left_keys=tuple(left_place[k] for k in join.left_keys),
        right_keys=tuple(right_place[k] for k in join.right_keys),
        residual=None if join.residual is None else move(join.residual, inside),
    )
    return found, place


def condition_text(join: Join) -> str:
    """Kind, keys and condition as EXPLAIN shows them."""
    left, right = join.left.schema.names, join.right.schema.names
    signs = ["IS NOT DISTINCT FROM" if safe else "=" for safe in join.safe]
    on = [f"{left[a]} {s} {right[b]}" for a, s, b in zip(join.left_keys, signs, join.right_keys, strict=True)]
    columns = [n for side in join.sides for n in side.names]
    rest = "" if join.residual is None else f", where: {expression(join.residual, columns)}"
    aware = ", null-aware" if join.null_aware else ""
    return f"kind: {join.kind}, on: [{', '.join(on)}]{rest}{aware}"


@dataclass(frozen=True, slots=True)
class WindowJoin(Join):
    """A join of rows of equal windows, insert-only, when the window ends. ``end``: which key is the window's end."""

    end: int = 0
    zone: str | None = None

    def makes_updates(self) -> bool:
        """Rows come when they are final."""
        return False

    def window_bounds(self) -> frozenset[int]:
        """Those of the sides that are not padded."""
        n = len(self.left.schema)
        left = frozenset() if self.pads[1] else self.left.window_bounds()
        if self.half or self.pads[0]:
            return left
        return left | {n + i for i in self.right.window_bounds()}

    def describe(self) -> str:
        """Kind and condition."""
        return f"WindowJoin({condition_text(self)})"

    def kept(self) -> str:
        """Open windows."""
        return "rows of open windows, bounded by the watermark"

    def warnings(self) -> list[str]:
        """None: windows end."""
        return []


@dataclass(frozen=True, slots=True)
class KeyJoin(Join):
    """An inner join of sides that only insert, of which one has at most one row of a key (``keyed``: 0 left, 1 right).

    Rows of the other side that found their partner are not kept. ``marked``: the keyed side's last column says which
    of its rows join; it is no column of the join. Of the others a mark is kept, so that nobody waits for them.
    """

    keyed: int = 0
    marked: bool = False

    @property
    def sides(self) -> tuple[Schema, Schema]:
        """The columns that it takes from each side."""
        left, right = (
            Schema(i.schema.fields[:-1]) if self.marked and self.keyed == at else i.schema
            for at, i in enumerate(self.inputs())
        )
        return left, right

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Nothing: it is made of a pruned join."""
        return self, {i: i for i in range(len(self.schema))}

    def describe(self) -> str:
        """Kind, condition, which side has the key, and what keeps rows of it from joining."""
        marks = ""
        side = self.inputs()[self.keyed]
        if self.marked and isinstance(side, Calc) and side.exprs is not None:
            marks = f", marks: {expression(side.exprs[-1], side.input.schema.names)}"
        return f"KeyJoin({condition_text(self)}, keyed: {('left', 'right')[self.keyed]}{marks})"

    def kept(self) -> str:
        """A row or mark a key, and rows that wait."""
        one, other = ("left", "right") if self.keyed == 0 else ("right", "left")
        row = "one row or mark" if self.marked else "one row"
        return f"{row} a key of the {one}, rows of the {other} that wait for theirs, unbounded"

    def warnings(self) -> list[str]:
        """Keys are never forgotten, and rows may wait for ever."""
        one, other = ("left", "right") if self.keyed == 0 else ("right", "left")
        return [
            f"The join keeps a row a key of the {one}, and rows of the {other} until theirs comes: its state grows "
            "with the keys and with rows that wait in vain."
        ]
