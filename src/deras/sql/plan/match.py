"""MATCH_RECOGNIZE."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.engine.patterns import Alt, Pattern, Repeat, Seq, Var
from deras.sql.expr import nodes as e
from deras.sql.expr.patterns import RowValue, Total
from deras.sql.plan.calc import narrow
from deras.sql.plan.rel import Place, Rel, Unary, move
from deras.sql.plan.show import expression

if TYPE_CHECKING:
    from deras.sql.expr.nodes import Expr


@dataclass(frozen=True, slots=True)
class MatchRecognize(Unary):
    """Matches of a pattern: the keys, then the measures; or with ``all_rows`` what ``rows`` says before the measures.

    Args:
        keys: positions of the partition key.
        time: position of the time attribute.
        proctime: whether that is processing time.
        order: more sort keys: (position, descending).
        pattern: with the variables' numbers.
        names: of the variables.
        defines: the condition of each variable, or None.
        measures: over the rows of a match.
        skip: ``PAST LAST ROW``, ``NEXT ROW``, ``FIRST`` or ``LAST``.
        skip_bits: the variables of FIRST and LAST.
        within: ms, or 0.
        all_rows: ALL ROWS PER MATCH.
        rows: with ``all_rows``: positions of the input's columns before the measures, and behind them.
    """

    keys: tuple[int, ...]
    time: int
    proctime: bool
    order: tuple[tuple[int, bool], ...]
    pattern: Pattern
    names: tuple[str, ...]
    defines: tuple[Expr | None, ...]
    measures: tuple[Expr, ...]
    skip: str
    skip_bits: int
    within: int
    all_rows: bool = False
    rows: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def reads_time(self) -> bool:
        """With processing time."""
        return self.proctime

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only what keys, order, conditions and measures read; all of what it gives."""
        used = {*self.keys, self.time, *(i for i, _ in self.order), *self.rows[0], *self.rows[1]}
        used.update(*(e.refs(x) for x in (*self.measures, *(d for d in self.defines if d is not None))))
        made, place = narrow(self.input, used)
        found = replace(
            self,
            input=made,
            keys=tuple(place[k] for k in self.keys),
            time=place[self.time],
            order=tuple((place[i], d) for i, d in self.order),
            defines=tuple(None if d is None else move(d, place) for d in self.defines),
            measures=tuple(move(m, place) for m in self.measures),
            rows=(tuple(place[i] for i in self.rows[0]), tuple(place[i] for i in self.rows[1])),
        )
        return found, {i: i for i in range(len(self.schema))}

    def through(self) -> Place:
        """The keys: a filter on them leaves out whole partitions."""
        if self.all_rows:
            return {i: k for i, k in enumerate(self.rows[0]) if k in self.keys}
        return dict(enumerate(self.keys))

    def describe(self) -> str:
        """Keys, order, pattern, skip."""
        below = self.input.schema.names
        parts = []
        if self.keys:
            parts.append(f"by: [{', '.join(below[k] for k in self.keys)}]")
        order = [below[self.time], *(below[i] + (" DESC" if d else "") for i, d in self.order)]
        parts.append(f"order: [{', '.join(order)}]")
        parts.append(f"pattern: {text(self.pattern, self.names)}")
        if shown := [f"{self._shown(d)} AS {n}" for n, d in zip(self._measured(), self.measures, strict=True)]:
            parts.append(f"measures: [{', '.join(shown)}]")
        if shown := [f"{n} AS {self._shown(d)}" for n, d in zip(self.names, self.defines, strict=True) if d]:
            parts.append(f"define: [{', '.join(shown)}]")
        target = " or ".join(n for i, n in enumerate(self.names) if self.skip_bits >> i & 1)
        parts.append(f"skip: {self.skip if self.skip.endswith('ROW') else f'to {self.skip} {target}'}")
        if self.within:
            parts.append(f"within: {self.within} ms")
        if self.all_rows:
            parts.append("all rows")
        return f"MatchRecognize({', '.join(parts)})"

    def _measured(self) -> list[str]:
        first = len(self.rows[0]) if self.all_rows else len(self.keys)
        return self.schema.names[first : first + len(self.measures)]

    def _shown(self, x: Expr) -> str:
        """A measure or condition as it may have been written."""
        names = list(self.input.schema.names)
        everything = (1 << len(self.names)) - 1

        def change(y: Expr) -> Expr | None:
            if not isinstance(y, (RowValue, Total)):
                return None
            of = "" if y.bits == everything else "|".join(n for i, n in enumerate(self.names) if y.bits >> i & 1) + "."
            arg = "*" if y.arg is None else expression(y.arg, [of + n for n in self.input.schema.names])
            if isinstance(y, Total):
                names.append(f"{y.function}({'DISTINCT ' if y.distinct else ''}{of if y.arg is None else ''}{arg})")
            elif y.arg is None:
                names.append("CLASSIFIER()")
            else:
                offset = f", {y.offset}" if y.offset else ""
                text = f"{'FIRST' if y.forward else 'LAST'}({arg}{offset})"
                names.append(text if not y.shift else f"{'PREV' if y.shift < 0 else 'NEXT'}({text}, {abs(y.shift)})")
            return e.InputRef(y.type, len(names) - 1)

        return expression(e.transform(x, change), names)

    def kept(self) -> str:
        """Rows of what has begun."""
        bound = f"of at most {self.within} ms" if self.within else "unbounded"
        return f"the rows of partial matches, {bound}; rows before the watermark"

    def warnings(self) -> list[str]:
        """Without WITHIN a partial match may wait for ever."""
        if self.within:
            return []
        return ["A partial match waits for ever for its next row: bound it with WITHIN INTERVAL … in the pattern."]


def text(p: Pattern, names: tuple[str, ...]) -> str:
    """A pattern as it is written."""
    match p:
        case Var():
            return "{- " + names[p.index] + " -}" if p.hidden else names[p.index]
        case Seq():
            return "(" + " ".join(text(x, names) for x in p.items) + ")"
        case Alt():
            return "(" + " | ".join(text(x, names) for x in p.items) + ")"
        case Repeat():
            bounds = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((p.low, p.high))
            if bounds is None:
                high = "" if p.high is None else p.high
                bounds = f"{{{p.low}}}" if p.low == p.high else f"{{{p.low},{high}}}"
            return f"{text(p.item, names)}{bounds}{'' if p.greedy else '?'}"
