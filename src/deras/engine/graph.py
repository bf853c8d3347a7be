"""The running graph: operators in topological order, one step at a time, watermarks along the edges.

All deltas of one step pass the graph in order; between two steps everything is consistent, so checkpoints, new views
and readers' snapshots are pauses between steps, not protocols.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from deras.core.errors import InternalError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.engine.operator import Feed, Operator, Out, SourceOperator
from deras.engine.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from deras.core.delta import Delta
    from deras.core.records import Rejected


@dataclass(slots=True)
class Node:
    """An operator in the graph with its state, inputs and counters."""

    id: int
    name: str
    operator: Operator
    inputs: tuple[int, ...]
    state: State
    label: str = ""
    low: int = MIN_WATERMARK
    """Input watermark after the last step."""
    out: int = MIN_WATERMARK
    """Output watermark after the last step."""
    rows_in: int = 0
    rows_out: int = 0
    dropped: int = 0
    users: set[int] = field(default_factory=set)
    """Ids of nodes that read this one."""
    restored: bool = False
    """Its state and watermarks are those of a checkpoint."""
    source: bool = False
    """Whether it is fed from outside."""
    over: bool = False
    """Nothing can come any more, and nothing is due."""

    @property
    def ended(self) -> bool:
        """Whether its operator and state are gone, since it is over."""
        return isinstance(self.operator, Ended)


class Ended(Operator):
    """Stands where an operator was that is over: keeps its schema and facts, gives nothing.

    Args:
        operator: which one it was; it is not kept.
    """

    def __init__(self, operator: Operator) -> None:
        self.schema = operator.schema
        self.append_only = operator.append_only
        self.kind = type(operator).__name__
        self._facts = operator.explain()

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Nothing can come.

        Raises:
            InternalError: something came.
        """
        if any(d is not None for d in deltas):
            raise InternalError(f"rows for an operator that has ended ({self.kind})")
        return Out()

    def explain(self) -> dict[str, Any]:
        """What the operator said of itself, and that it has ended."""
        return {**self._facts, "ended": True}


def kind_of(operator: Operator) -> str:
    """The class of an operator, also after its end."""
    return operator.kind if isinstance(operator, Ended) else type(operator).__name__


@dataclass(slots=True)
class StepResult:
    """What came out of a step: by node id the delta of every node that a listener wants, and all dropped rows."""

    deltas: dict[int, Delta]
    dropped: list[Rejected]
    fired: bool = False
    droppers: list[int] = field(default_factory=list)
    """Ids of the nodes that gave ``dropped``, one for each."""


class Graph:
    """The operators of one job. Not thread-safe: one thread steps, and changes happen between steps."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._next = 0
        self.steps = 0
        self.on_node: Callable[[Node, float], None] | None = None
        self.ending = False
        """Whether the input of a node has ended since :meth:`retire` was asked last."""

    # ---- shape

    def add(self, operator: Operator, inputs: Sequence[int] = (), *, name: str, state: State, label: str = "") -> int:
        """Add an operator that reads the given nodes; its state is opened. Gives the node's id."""
        i = self._next
        self._next += 1
        operator.open(state)
        low = self._meet(inputs)
        node = Node(i, name, operator, tuple(inputs), state, label or type(operator).__name__, low)
        node.out = operator.hold(low) if inputs else MIN_WATERMARK
        node.source = isinstance(operator, SourceOperator)
        self.nodes[i] = node
        for p in inputs:
            self.nodes[p].users.add(i)
        return i

    def remove(self, node: int) -> list[Node]:
        """Take a node away with everything that only it needed; gives the removed nodes, users first."""
        gone: list[Node] = []
        todo = [node]
        while todo:
            i = todo.pop()
            n = self.nodes.get(i)
            if n is None or n.users:
                continue
            del self.nodes[i]
            gone.append(n)
            for p in n.inputs:
                self.nodes[p].users.discard(i)
                todo.append(p)
        return gone

    def prune(self, outputs: Sequence[int]) -> list[Node]:
        """Take away every node that none of these needs; gives the removed nodes, users first."""
        needed: set[int] = set()
        todo = list(outputs)
        while todo:
            i = todo.pop()
            if i not in needed:
                needed.add(i)
                todo.extend(self.nodes[i].inputs)
        gone = [n for n in reversed(self.nodes.values()) if n.id not in needed]
        for n in gone:
            del self.nodes[n.id]
            for p in n.inputs:
                if p in self.nodes:
                    self.nodes[p].users.discard(n.id)
        return gone

    def _meet(self, inputs: Sequence[int]) -> int:
        return min((self.nodes[p].out for p in inputs), default=MIN_WATERMARK)

    # ---- running

    def step(self, feeds: Mapping[int, Sequence[Feed]], *, epoch: int, now: int) -> StepResult:
        """Run one step: feed the sources, pass all changes through in topological order.

        Args:
            feeds: new rows by source node id, in arrival order.
            epoch: the checkpoint epoch.
            now: processing time in ms.
        """
        self.steps += 1
        deltas: dict[int, Delta] = {}
        dropped: list[Rejected] = []
        droppers: list[int] = []
        fired = False
        for node in self.nodes.values():  # ids grow along edges, and a dict keeps insertion order
            operator = node.operator
            if node.source:
                source = cast("SourceOperator", operator)  # told by the flag: asking an ABC costs a microsecond
                given = feeds.get(node.id, ())
                if not given and ((due := source.wake()) is None or due > now):
                    continue
                tick = Tick(epoch, now, node.out, node.out, self.steps)
                out = source.feed(given, tick)
                node.out = max(node.out, source.watermark())
                node.rows_in += sum(f.delta.length for f in given if f.delta is not None)
            else:
                got = [deltas.get(p) for p in node.inputs]
                high = max(node.low, self._meet(node.inputs))
                if high == node.low and all(d is None for d in got):
                    due = operator.wake()
                    if due is None or due > now:
                        continue
                tick = Tick(epoch, now, node.low, high, self.steps)
                node.rows_in += sum(d.length for d in got if d is not None)
                out = operator.step(got, tick)
                if high == MAX_WATERMARK:
                    self.ending = True
                node.low = high
                node.out = max(node.out, operator.hold(high))
                fired = True
            if out.delta is not None and out.delta.length:
                deltas[node.id] = out.delta
                node.rows_out += out.delta.length
            for r in out.dropped:
                node.dropped += len(r)
                dropped.append(r)
                droppers.append(node.id)
        return StepResult(deltas, dropped, fired, droppers)

    def wake(self) -> int | None:
        """The least processing time (ms) at which an operator wants a step without input, or None."""
        times = [t for n in self.nodes.values() if (t := n.operator.wake()) is not None]
        return min(times, default=None)

    def retire(self, sources: AbstractSet[int], answers: AbstractSet[int]) -> list[tuple[Operator, State]]:
        """Let go of operators that can never be asked again. Between two steps.

        A node is over when its input has ended for good, all of its inputs are over and it waits for no time. What it
        remembers serves nobody then, unless its rows are asked for from outside.

        Args:
            sources: ids of source nodes that have ended for good.
            answers: ids of nodes whose operators are asked from outside: they stay.

        Returns:
            Operators and states that were taken away, for the caller to free.
        """
        self.ending = False
        gone: list[tuple[Operator, State]] = []
        for node in self.nodes.values():
            if not node.inputs:
                node.over = node.id in sources
                continue
            if not node.over:
                node.over = (
                    node.low == MAX_WATERMARK
                    and node.out == MAX_WATERMARK
                    and node.operator.wake() is None
                    and all(self.nodes[p].over for p in node.inputs)
                )
            if node.over and not node.ended and node.id not in answers:
                gone.append((node.operator, node.state))
                self.end(node.id)
        return gone

    def end(self, node: int) -> None:
        """Put :class:`Ended` in the place of an operator, with no state."""
        n = self.nodes[node]
        n.operator, n.state, n.over = Ended(n.operator), State(n.state.name), True
        n.low = n.out = MAX_WATERMARK

    @property
    def ended(self) -> bool:
        """Whether every source has ended."""
        return all(n.out == MAX_WATERMARK for n in self.nodes.values() if isinstance(n.operator, SourceOperator))

    # ---- state

    def freeze(self, epoch: int) -> dict[str, Any]:
        """Between two steps: what each node's state changed since the last freeze, by stable name, with watermarks."""
        return {n.name: (n.state.freeze(epoch), {"low": n.low, "out": n.out}) for n in self.nodes.values()}

    def explain(self) -> list[dict[str, Any]]:
        """Facts of every node, for EXPLAIN and status."""
        return [
            {
                "id": n.id,
                "name": n.name,
                "label": n.label,
                "inputs": list(n.inputs),
                "watermark": n.out,
                "rows_in": n.rows_in,
                "rows_out": n.rows_out,
                "dropped": n.dropped,
                **n.operator.explain(),
            }
            for n in self.nodes.values()
        ]
