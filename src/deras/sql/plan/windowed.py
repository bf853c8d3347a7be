"""Which window a column is a bound of, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deras.sql.expr import nodes as e
from deras.sql.plan.calc import Calc
from deras.sql.plan.joins import Join, WindowJoin
from deras.sql.plan.rank import WindowRank
from deras.sql.plan.windows import WindowAggregate, WindowTvf

if TYPE_CHECKING:
    from deras.sql.plan.rel import Rel

Mark = Literal["start", "end", "time"]
_MARKS: tuple[Mark, ...] = ("start", "end", "time")


@dataclass(frozen=True, slots=True)
class WindowBound:
    """A bound of an event-time window.

    Args:
        mark: which one.
        kind: of the window: tumble, hop, cumulate.
        size: ms.
        slide: ms.
        offset: ms.
        zone: the session's zone where the time is TIMESTAMP_LTZ, else None.
    """

    mark: Mark
    kind: str
    size: int
    slide: int
    offset: int
    zone: str | None

    def same_window(self, other: WindowBound) -> bool:
        """Whether both are of equal windows."""
        mine = (self.kind, self.size, self.slide, self.offset, self.zone)
        return mine == (other.kind, other.size, other.slide, other.offset, other.zone)


def window_bound(rel: Rel, i: int) -> WindowBound | None:
    """What column ``i`` of a plan is to an event-time window of fixed size; None if it is no bound of one."""
    match rel:
        case Calc():
            if rel.exprs is None:
                return window_bound(rel.input, i)
            x = rel.exprs[i]
            return window_bound(rel.input, x.index) if isinstance(x, e.InputRef) else None
        case WindowRank():
            return window_bound(rel.input, i) if i < len(rel.input.schema) else None
        case WindowJoin():
            n = len(rel.left.schema)
            if i < n:
                return None if rel.pads[1] else window_bound(rel.left, i)
            return None if rel.pads[0] else window_bound(rel.right, i - n)
        case WindowTvf():
            n = len(rel.input.schema)
            if rel.time is None or i < n:
                return None
            return _of(rel, _MARKS[i - n])
        case WindowAggregate():
            if rel.time is None:
                return None
            first = len(rel.keys) + len(rel.calls)
            if rel.kind == "attached":
                # The windows are those of the input: the time column stands for the end, the start is a key.
                if i < len(rel.keys):
                    return window_bound(rel.input, rel.keys[i])
                below = window_bound(rel.input, rel.time) if i >= first else None
                if below is None:
                    return None
                return WindowBound(
                    _mark(rel.window[i - first]), below.kind, below.size, below.slide, below.offset, below.zone
                )
            return _of(rel, _mark(rel.window[i - first])) if i >= first else None
    return None


def _mark(name: str) -> Mark:
    return next(m for m in _MARKS if m == name)


def _of(rel: WindowTvf | WindowAggregate, mark: Mark) -> WindowBound:
    return WindowBound(mark, rel.kind, rel.size, rel.slide, rel.offset, rel.zone)


def window_join(join: Join) -> WindowJoin | None:
    """The window join that a join on both bounds of equal windows is; None if it is none.

    Without equal bounds of both kinds, or where an input takes rows back, the join is a regular one.
    """
    if type(join) is not Join or join.null_aware or not (join.left.append_only() and join.right.append_only()):
        return None
    starts: list[int] = []
    ends: list[int] = []
    for at, (a, b) in enumerate(zip(join.left_keys, join.right_keys, strict=True)):
        left, right = window_bound(join.left, a), window_bound(join.right, b)
        if left is None or right is None or left.mark != right.mark or not left.same_window(right):
            continue
        if left.mark == "start":
            starts.append(at)
        elif left.mark == "end":
            ends.append(at)
    if not starts or not ends:
        return None
    found = window_bound(join.left, join.left_keys[ends[0]])
    return WindowJoin(
        join.schema,
        join.left,
        join.right,
        join.kind,
        join.left_keys,
        join.right_keys,
        join.residual,
        join.null_safe,
        False,
        ends[0],
        None if found is None else found.zone,
    )
