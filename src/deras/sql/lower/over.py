"""OVER windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.lower.lowering import lowers
from deras.sql.plan.over import RANKS, SHIFTS, Over
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.core.errors import Span
    from deras.engine.operator import Operator
    from deras.engine.over import WindowCall
    from deras.sql.lower.lowering import Lowering

_AT_THE_END = frozenset({"LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"})
_TOP_N = "For the first rows of each key filter the ROW_NUMBER in an outer query: WHERE rn <= N."


@lowers(Over)
def _over(lowering: Lowering, rel: Over) -> Callable[[], Operator]:
    _check(rel)
    below, schema, partition = rel.input.schema, rel.schema, rel.partition
    origin = lowering.origin("OverAggregate")
    unit, lower, upper, calls = rel.frame.unit, rel.frame.lower, rel.frame.upper, _calls(rel)
    if not rel.streaming:
        order, append, identity = rel.order, rel.input.append_only(), rel.input.upsert_key()

        def make_updating() -> Operator:
            from deras.engine.operators.over_updating import OverUpdating
            from deras.engine.ranking import SortKey

            keys = [SortKey(o.column, o.descending, o.nulls_first) for o in order]
            return OverUpdating(
                below, partition, keys, unit, lower, upper, calls(), schema, append, identity, origin
            )  # fmt: skip

        return _made(rel, make_updating)
    rowtime = rel.order[0].column if rel.time == "rowtime" else None
    ttl = (rel.ttl or (0,))[0]

    def make() -> Operator:
        from deras.engine.operators.over import Over as Streaming

        return Streaming(below, partition, rowtime, unit, lower, calls(), schema, origin, ttl)

    return _made(rel, make)


def _made(rel: Over, make: Callable[[], Operator]) -> Callable[[], Operator]:
    try:
        make()  # what the engine cannot do is told while planning
    except PlanError as err:
        err.span = err.span or _span(rel, "call")
        raise
    return make


def _calls(rel: Over) -> Callable[[], list[WindowCall]]:
    calls = rel.calls

    def made() -> list[WindowCall]:
        from deras.engine.over import WindowCall

        return [
            WindowCall(
                c.function,
                c.args[0] if c.args else None,
                c.type,
                c.distinct,
                c.filter,
                c.input_type,
                c.offset,
                c.args[1] if len(c.args) > 1 else None,
            )
            for c in calls
        ]

    return made


def _span(rel: Over, *what: str) -> Span | None:
    for w in (*what, "call"):
        found = rel.place_of(w)
        if found is not None:
            return found.span
    return None


def _check(rel: Over) -> None:
    """What a stream cannot give, in Flink's words where it has some."""
    for c in rel.calls:
        if c.function in _AT_THE_END:
            raise PlanError(
                f"{c.function} is not supported in streaming mode",
                span=_span(rel),
                detail="It needs rows that come after its own, and a stream has no end.",
                hint="SET 'execution.runtime-mode' = 'batch' for an input that ends.",
            )
    if not rel.order:
        raise PlanError(
            "the window can only be ordered by a single time column",
            span=_span(rel),
            detail="Without ORDER BY every row would see all rows of its partition, and a stream has no end.",
            hint="Add ORDER BY a time attribute, or use GROUP BY.",
        )
    names = rel.input.schema.names
    for k in rel.order:
        if k.descending:
            raise PlanError(
                "the window can only be ordered in ASCENDING mode",
                span=_span(rel, "order"),
                detail=f"By {names[k.column]} DESC every new row would change the results of all rows before it.",
                hint=_TOP_N if any(c.function in RANKS for c in rel.calls) else "Leave DESC out.",
            )
    if rel.frame.upper != 0 or (rel.frame.lower is not None and rel.frame.lower < 0):
        raise PlanError(
            "OVER frames that do not end at the current row are not supported in streaming mode",
            span=_span(rel, "frame"),
            detail="A row's result would wait for rows that may never come, or leave the row itself out.",
            hint="End the frame with AND CURRENT ROW.",
        )
    timed = [k for k in rel.order if rel.input.schema[k.column].time is not None]
    if len(rel.order) > 1 and timed:
        raise PlanError(
            "the window can only be ordered by a single time column",
            span=_span(rel, "order"),
            hint=f"Write ORDER BY {names[timed[0].column]}: rows of one moment stay in the order of their arrival.",
        )
    if not rel.streaming:
        _updating(rel)


def _updating(rel: Over) -> None:
    """Windows whose results change afterwards: Flink has them with UNBOUNDED PRECEDING only."""
    updates = not rel.input.append_only()
    if not rel.strict:
        return
    if rel.time is not None:
        raise PlanError(
            "an OVER window by time needs an input that only inserts",
            span=_span(rel, "order"),
            detail=f"Updates come from {blame(rel.input)}.",
            hint="RESET 'deras.strict-flink' to use it.",
        )
    bounded = rel.frame.lower is not None and any(c.function not in RANKS | SHIFTS for c in rel.calls)
    if len(rel.order) > 1 or bounded:
        raise PlanError(
            "non-time attribute sort is not supported for bounded OVER window"
            if bounded
            else "the window can only be ordered by a single time column",
            span=_span(rel, "frame" if bounded else "order"),
            detail=f"Updates come from {blame(rel.input)}." if updates else "",
            hint="RESET 'deras.strict-flink' to use it.",
        )
