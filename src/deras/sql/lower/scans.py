"""Tables, materialized views and constants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import PlanError
from deras.core.predicates import either
from deras.core.schema import Field, Schema
from deras.engine.dataflow import SourceSpec
from deras.sql.expr import nodes as e
from deras.sql.lower.lowering import places
from deras.sql.plan.scans import Scan, Values, ViewScan
from deras.sql.plan.text import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.predicates import Filters
    from deras.engine.dataflow import Dataflow
    from deras.engine.operator import SourceOperator
    from deras.sql.lower.lowering import Lowering
    from deras.sql.plan.rel import Rel


@places(Scan)
def _scan(lowering: Lowering, rel: Scan, inputs: list[int], text: str) -> int:
    from deras.engine.operators.source import SourceInput
    from deras.sql.expr.program import RowProgram

    n = len(rel.schema) - (1 if rel.computed is not None else 0)
    physical = Schema(rel.schema.fields[:n])
    zone, table, schema = lowering.zone, rel.table.name, rel.schema
    computed, watermark, rowtime, changes = rel.computed, rel.watermark, rel.rowtime, rel.changes
    idle_advance = dict(rel.options).get("scan.watermark.idle-advance", "").strip().lower() == "true"

    def make() -> SourceOperator:
        program = None
        if computed is not None:
            refs = [e.InputRef(f.type, i) for i, f in enumerate(physical)]
            program = RowProgram(physical, schema, [*refs, computed], None, zone)
        mark = None
        if watermark is not None:
            mark = RowProgram(schema, Schema((Field("watermark", watermark.type),)), [watermark], None, zone)
        append, tombstones = changes == "insert", changes == "upsert"
        return SourceInput(physical, program, mark, rowtime, table, append, tombstones, idle_advance)

    feeds = rowtime
    if computed is not None:
        used = sorted(e.refs(computed))
        feeds = used[0] if len(used) == 1 else None
    options = dict(rel.options)
    lowering.sources.append(
        SourceSpec(
            table,
            options.get("connector", ""),
            options,
            physical,
            _wanted(rel, n),
            make,
            f"table:{table}/{digest(text)}",
            feeds,
            options.get("scan.watermark.alignment.group"),
            rel.table.partition_keys,
            rel.filters,
        )
    )
    return ~(len(lowering.sources) - 1)


def agreed(flows: Sequence[Dataflow]) -> list[Dataflow]:
    """Dataflows that begin together read a table once: its source is told what holds for all of them."""
    told: dict[str, Filters] = {}
    for spec in (s for f in flows for s in f.sources):
        told[spec.name] = either(told[spec.name], spec.filters) if spec.name in told else spec.filters
    return [replace(f, sources=tuple(replace(s, filters=told[s.name]) for s in f.sources)) for f in flows]


def _wanted(rel: Scan, n: int) -> tuple[int, ...]:
    return tuple(i for i in (rel.used if rel.used is not None else range(n)) if i < n)


def widen(lowering: Lowering, i: int, rel: Rel) -> None:
    """A table that is read once more: whatever anybody reads of it."""
    if not isinstance(rel, Scan):
        return
    spec = lowering.sources[i]
    wanted = tuple(sorted(set(spec.wanted) | set(_wanted(rel, len(spec.schema)))))
    lowering.sources[i] = replace(spec, wanted=wanted)


@places(ViewScan)
def _view(lowering: Lowering, rel: ViewScan, inputs: list[int], text: str) -> int:
    from deras.engine.operators.source import SourceInput

    view = rel.view
    lowering.views.append(view.name)

    def make() -> SourceOperator:
        return SourceInput(view.schema, None, None, None, view.name, append_only=view.append_only)

    wanted = tuple(range(len(view.schema)))
    lowering.sources.append(SourceSpec(view.name, "view", {}, view.schema, wanted, make, f"view:{view.name}"))
    return ~(len(lowering.sources) - 1)


@places(Values)
def _values(lowering: Lowering, rel: Values, inputs: list[int], text: str) -> int:
    from deras.engine.operators.source import SourceInput
    from deras.sql.expr.program import evaluate

    schema, zone = rel.schema, lowering.zone
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
    lowering.sources.append(
        SourceSpec(name, "values", options, schema, tuple(range(len(schema))), make, f"{lowering.owner}/{name}")
    )
    return ~(len(lowering.sources) - 1)


def encode_rows(rows: list[list[Any]]) -> str:
    """Constant rows in physical form as JSON text (bytes as ``{"b": hex}``, floats exactly)."""

    def one(v: Any) -> Any:
        if isinstance(v, bytes):
            return {"b": v.hex()}
        if isinstance(v, float):
            return {"f": v.hex()}
        return v

    return json.dumps([[one(v) for v in r] for r in rows])
