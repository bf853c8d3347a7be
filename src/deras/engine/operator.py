"""The operator contract: changes in, changes out, one step at a time."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from deras.core.time import MIN_WATERMARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from deras.core.delta import Delta
    from deras.core.records import Reason, Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State


AT_ONCE = MIN_WATERMARK
"""What ``wake`` gives while there is more to do than one step should: the next step follows without a pause."""

PIECE = 1 << 15
"""Rows that a step gives of what falls due together."""


@dataclass(slots=True)
class Out:
    """What a step gave: changes for the next operators, and rows that left the flow (with reason and origin)."""

    delta: Delta | None = None
    dropped: Sequence[Rejected] = ()


@dataclass(slots=True)
class RowErrors:
    """Rows of one delta whose expressions failed.

    Args:
        rows: int64[k] positions in the input delta, ascending, each once.
        messages: one per row: what failed and where in the SQL.
        reason: ``expression`` or ``udf``.
    """

    rows: npt.NDArray[np.int64]
    messages: list[str]
    reason: Reason = "expression"


class Program(Protocol):
    """Compiled row expressions: a filter and projections, made by the SQL room.

    ``run`` gives the surviving rows with their new columns (weights and marks carried along) and the failed rows.
    Rows in ``errors`` are not in the result.
    """

    schema: Schema

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, Sequence[RowErrors]]:
        """Evaluate on one delta."""
        ...


class Operator(abc.ABC):
    """One node of the dataflow. It never reads a clock, does no I/O and keeps its state only in ``State``.

    Args of every constructor: input schemas and parameters, all plain data. ``schema`` is the output schema.
    """

    arity: ClassVar[int] = 1
    schema: Schema
    append_only: bool
    """Whether every output row has weight +1."""

    def open(self, state: State) -> None:  # noqa: B027 (stateless operators have nothing to open)
        """Ask for state by name. Called once, before ``State.restore``."""

    @abc.abstractmethod
    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take one delta per input (None: nothing came) and the tick; give the changes.

        Called when there is input, when ``tick.high > tick.low``, or when ``wake`` is due. What can fail runs before
        keyed state is touched.
        """

    def hold(self, high: int) -> int:
        """The watermark of the output when the input's is ``high``."""
        return high

    def wake(self) -> int | None:
        """The processing time (ms) at which it wants a step even if nothing came, or None.

        ``AT_ONCE`` asks for the next step without a pause; meanwhile ``hold`` keeps the watermark back. Each such step
        must come nearer to the end.
        """
        return None

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN: name, parameters, the state that is kept and whether it is bounded."""
        return {"operator": type(self).__name__}


@dataclass(slots=True)
class Feed:
    """New rows of one part of a source.

    Args:
        part: the part's name.
        delta: physical columns as the format decoded them, or None (only the flags count).
        ended: the part is finished and leaves the minimum of watermarks.
        idle: the part is silent for now and leaves the minimum until its next row.
    """

    part: str
    delta: Delta | None = None
    ended: bool = False
    idle: bool = False


class SourceOperator(Operator):
    """The first node of a table: takes feeds instead of deltas and makes the watermark."""

    arity: ClassVar[int] = 0

    @abc.abstractmethod
    def declare(self, parts: Sequence[str]) -> None:
        """Name all parts before the first step: an unread part holds the watermark back."""

    @abc.abstractmethod
    def feed(self, feeds: Sequence[Feed], tick: Tick) -> Out:
        """Take the feeds of one step in order; computed columns, row-wise watermarks and marks come out."""

    @abc.abstractmethod
    def watermark(self) -> int:
        """The table's watermark now: the minimum over its active parts, ms."""

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Sources are fed."""
        return Out()

    @abc.abstractmethod
    def watermarks(self) -> dict[str, int]:
        """Watermark of each part, for "why is there no output?"."""


@dataclass(slots=True)
class StateSize:
    """What an operator keeps now, and how many keys and rows it forgot since they were idle (state TTL)."""

    keys: int = 0
    rows: int = 0
    bytes: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    expired: int = 0
