"""Plans to dataflows: which operator of the engine does what, under which stable name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.engine.dataflow import NodeSpec, SourceSpec
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.properties import append_only
from deras.sql.plan.text import describe, digest, normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.aggregates import AggregateCall
    from deras.engine.operator import Operator, SourceOperator


@dataclass(slots=True)
class Lowering:
    """Collects sources and nodes of one statement; equal subplans become one node.

    Args:
        owner: name of the view, sink or query, part of every node's stable name.
        zone: the session's time zone.
    """

    owner: str
    zone: str
    sources: list[SourceSpec] = field(default_factory=list)
    nodes: list[NodeSpec] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)

    def lower(self, rel: p.Rel) -> int:
        """The node (or ``~source``) that gives the plan's rows."""
        text = normal(rel)
        if text in self._known:
            found = self._known[text]
            if isinstance(rel, p.Scan):
                self._widen(~found, rel)
            return found
        inputs = [self.lower(i) for i in rel.inputs()]
        made = self._make(rel, inputs, text)
        self._known[text] = made
        return made

    def _add(self, rel: p.Rel, inputs: list[int], text: str, make: Callable[[], Operator]) -> int:
        name = f"{self.owner}/{digest(text)}"
        self.nodes.append(NodeSpec(name, make, tuple(inputs), describe(rel)))
        return len(self.nodes) - 1

    def _origin(self, what: str) -> str:
        return f"{self.owner}: {what}"

    def _make(self, rel: p.Rel, inputs: list[int], text: str) -> int:
        match rel:
            case p.Scan():
                return self._scan(rel, text)
            case p.ViewScan():
                return self._view(rel)
            case p.Values():
                return self._values(rel, text)
            case p.Calc():
                return self._add(rel, inputs, text, self._calc(rel))
            case p.Join():
                return self._add(rel, inputs, text, self._join(rel))
            case p.Aggregate():
                return self._add(rel, inputs, text, self._aggregate(rel))
            case p.WindowTvf():
                return self._add(rel, inputs, text, self._window(rel))
            case p.WindowAggregate():
                return self._add(rel, inputs, text, self._window_aggregate(rel))
            case p.Union():
                return self._add(rel, inputs, text, self._union(rel))
            case p.Detect():
                return self._add(rel, inputs, text, self._detect(rel))
            case p.Limit():
                return inputs[0]
        raise PlanError(f"{type(rel).__name__} is not supported yet")

    # ---- sources

    def _scan(self, rel: p.Scan, text: str) -> int:
        from deras.engine.operators.source import SourceInput
        from deras.sql.expr.program import RowProgram

        n = len(rel.schema) - (1 if rel.computed is not None else 0)
        physical = Schema(rel.schema.fields[:n])
        zone, table, schema = self.zone, rel.table.name, rel.schema
        computed, watermark, rowtime = rel.computed, rel.watermark, rel.rowtime

        def make() -> SourceOperator:
            program = None
            if computed is not None:
                refs = [e.InputRef(f.type, i) for i, f in enumerate(physical)]
                program = RowProgram(physical, schema, [*refs, computed], None, zone)
            mark = None
            if watermark is not None:
                mark = RowProgram(schema, Schema((Field("watermark", watermark.type),)), [watermark], None, zone)
            return SourceInput(physical, program, mark, rowtime, table)

        feeds = rowtime
        if computed is not None:
            used = sorted(e.refs(computed))
            feeds = used[0] if len(used) == 1 else None
        options = dict(rel.options)
        self.sources.append(
            SourceSpec(
                table,
                options.get("connector", ""),
                options,
                physical,
                self._wanted(rel, n),
                make,
                f"table:{table}/{digest(text)}",
                feeds,
                options.get("scan.watermark.alignment.group"),
            )
        )
        return ~(len(self.sources) - 1)

    @staticmethod
    def _wanted(rel: p.Scan, n: int) -> tuple[int, ...]:
        return tuple(i for i in (rel.used if rel.used is not None else range(n)) if i < n)

    def _widen(self, i: int, rel: p.Scan) -> None:
        spec = self.sources[i]
        wanted = tuple(sorted(set(spec.wanted) | set(self._wanted(rel, len(spec.schema)))))
        self.sources[i] = replace(spec, wanted=wanted)

    def _view(self, rel: p.ViewScan) -> int:
        from deras.engine.operators.source import SourceInput

        view = rel.view
        self.views.append(view.name)

        def make() -> SourceOperator:
            return SourceInput(view.schema, None, None, None, view.name, append_only=view.append_only)

        wanted = tuple(range(len(view.schema)))
        self.sources.append(SourceSpec(view.name, "view", {}, view.schema, wanted, make, f"view:{view.name}"))
        return ~(len(self.sources) - 1)

    def _values(self, rel: p.Values, text: str) -> int:
        from deras.engine.operators.source import SourceInput
        from deras.sql.expr.program import evaluate

        schema, zone = rel.schema, self.zone
        rows: list[list[Any]] = []
        for r in rel.rows:
            made = []
            for x in r:
                try:
                    made.append(x.value if isinstance(x, e.Literal) else evaluate(x, zone))
                except ValueError as err:
                    raise PlanError(str(err), span=x.at.span if x.at is not None else None) from None
            rows.append(made)
        name = f"values:{digest(text)}"

        def make() -> SourceOperator:
            return SourceInput(schema, None, None, None, "VALUES")

        options = {"connector": "values", "rows": encode_rows(rows), "count": str(len(rows))}
        self.sources.append(
            SourceSpec(name, "values", options, schema, tuple(range(len(schema))), make, f"{self.owner}/{name}")
        )
        return ~(len(self.sources) - 1)

    # ---- operators

    def _calc(self, rel: p.Calc) -> Callable[[], Operator]:
        below, schema, zone = rel.input.schema, rel.schema, self.zone
        exprs, predicate, append = rel.exprs, rel.predicate, append_only(rel)
        origin = self._origin("Calc")

        def make() -> Operator:
            from deras.engine.operators.calc import Calc
            from deras.sql.expr.program import RowProgram

            return Calc(below, RowProgram(below, schema, exprs, predicate, zone), origin, append)

        return make

    def _join(self, rel: p.Join) -> Callable[[], Operator]:
        left, right, zone = rel.left.schema, rel.right.schema, self.zone
        residual, keys = rel.residual, (rel.left_keys, rel.right_keys)
        appends = append_only(rel.left), append_only(rel.right)
        origin = self._origin("Join")

        def make() -> Operator:
            from deras.engine.operators.join import Join
            from deras.sql.expr.program import RowProgram

            both = Schema((*left.fields, *right.fields))
            program = None if residual is None else RowProgram(both, both, None, residual, zone)
            return Join(left, right, *keys, program, *appends, origin)

        return make

    def _aggregate(self, rel: p.Aggregate) -> Callable[[], Operator]:
        below, keys, calls, schema = rel.input.schema, rel.keys, _calls(rel.calls), rel.schema
        append = append_only(rel.input)

        def make() -> Operator:
            from deras.engine.operators.group_aggregate import GroupAggregate

            return GroupAggregate(below, keys, calls(), schema, append)

        make()  # what the engine cannot aggregate is told while planning
        return make

    def _window(self, rel: p.WindowTvf) -> Callable[[], Operator]:
        below, schema, append = rel.input.schema, rel.schema, append_only(rel)
        args = (rel.time, rel.kind, rel.size, rel.slide, rel.offset, rel.zone)
        origin = self._origin("WindowTable")

        def make() -> Operator:
            from deras.engine.operators.window_table import WindowTable

            return WindowTable(below, *args, schema, append, origin)

        return make

    def _window_aggregate(self, rel: p.WindowAggregate) -> Callable[[], Operator]:
        below, schema, keys, calls = rel.input.schema, rel.schema, rel.keys, _calls(rel.calls)
        args = (rel.time, rel.kind, rel.size, rel.slide, rel.offset, rel.zone)
        layout: list[int | str] = [*range(len(keys) + len(rel.calls)), *rel.window]
        append, proctime = append_only(rel.input), rel.time is None
        origin = self._origin("WindowAggregate")

        def make() -> Operator:
            from deras.engine.operators.window_aggregate import WindowAggregate

            return WindowAggregate(
                below, *args, keys, calls(), schema, layout, proctime=proctime, input_append=append, origin=origin
            )

        make()
        return make

    def _union(self, rel: p.Union) -> Callable[[], Operator]:
        schema, n, append = rel.schema, len(rel.parts), append_only(rel)

        def make() -> Operator:
            from deras.engine.operators.union import Union

            return Union(schema, n, append)

        return make

    def _detect(self, rel: p.Detect) -> Callable[[], Operator]:
        if not append_only(rel.input):
            raise PlanError(
                "DETECT_ANOMALIES needs an input that only inserts",
                detail=f"Updates come from {blame(rel.input)}.",
                hint="Detect on the raw rows, or on a window aggregate.",
            )
        below, schema = rel.input.schema, rel.schema
        args = (rel.keys, rel.time, rel.value, dict(rel.options))

        def make() -> Operator:
            from deras.engine.operators.detect import Detect

            return Detect(below, *args, schema)

        return make


def _calls(calls: tuple[p.AggCall, ...]) -> Callable[[], list[AggregateCall]]:
    def made() -> list[AggregateCall]:
        from deras.engine.aggregates import AggregateCall

        return [AggregateCall(c.function, c.arg, c.type, c.distinct, c.filter, c.input_type) for c in calls]

    return made


def blame(rel: p.Rel) -> str:
    """The node nearest to the output that makes updates, in words."""
    if isinstance(rel, (p.Aggregate, p.ViewScan)) and not append_only(rel):
        return describe(rel)
    for i in rel.inputs():
        if not append_only(i):
            return blame(i)
    return describe(rel)


def encode_rows(rows: list[list[Any]]) -> str:
    """Constant rows in physical form as JSON text (bytes as ``{"b": hex}``, floats exactly)."""

    def one(v: Any) -> Any:
        if isinstance(v, bytes):
            return {"b": v.hex()}
        if isinstance(v, float):
            return {"f": v.hex()}
        return v

    return json.dumps([[one(v) for v in r] for r in rows])
