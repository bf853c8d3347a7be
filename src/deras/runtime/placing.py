"""Putting the nodes of flows into the graph: under which name, with which state, and which of them serve several flows.

A node that two flows have alike is one node while both begin or go on alike: it does the same work on the same input,
and has seen the same of it. Each flow keeps its own names for its nodes; a checkpoint notes under which name of the
graph each of them lies, so that a flow finds its state also when the flow that brought the node is gone or another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.engine.state import State
from deras.runtime.resuming import saved_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deras.engine.graph import Graph, Node
    from deras.engine.operator import Operator
    from deras.runtime.checkpoint import CheckpointStore, Manifest, NodeState
    from deras.runtime.flow import Attached


@dataclass(frozen=True, slots=True)
class Placement:
    """A node that a flow wants.

    Args:
        name: the flow's own name for it, stable over restarts.
        inputs: ids of the nodes that it reads.
        label: for people.
        make: makes the operator; also for a copy that merges state files.
        work: what it does, comparable by ``==``: nodes of equal work over the same inputs may be one; None: of its own.
    """

    name: str
    inputs: tuple[int, ...]
    label: str
    make: Callable[[], Operator]
    work: object = None


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A node that has not run yet, as it was when it was added."""

    work: object
    inputs: tuple[int, ...]
    node: Node
    marks: tuple[int, int, int, int]

    @property
    def untouched(self) -> bool:
        return self.marks == _marks(self.node)


def _marks(node: Node) -> tuple[int, int, int, int]:
    return node.low, node.out, node.rows_in, node.rows_out


class Placing:
    """Adds nodes to a graph.

    Args:
        graph: the graph of a run.
        store: where state is restored from, or None.
    """

    def __init__(self, graph: Graph, store: CheckpointStore | None) -> None:
        self.graph = graph
        self.store = store
        self.makers: dict[str, Callable[[], Operator]] = {}
        self.ephemeral: set[str] = set()
        """Names of nodes that checkpoints leave out."""
        self._fresh: list[_Fresh] = []
        self._held: tuple[Manifest | None, dict[str, set[str]]] = (None, {})

    def source(self, manifest: Manifest | None, wanted: Placement, operator: Operator, keep: bool) -> int:
        """Add the node of a table, whose name is chosen already; ``keep``: checkpoints hold it."""
        return self._add(wanted, wanted.name, operator, saved_state(manifest, wanted.name, self.graph, ()), keep)

    def node(
        self,
        manifest: Manifest | None,
        flow: Attached,
        wanted: Placement,
        operator: Callable[[bool], Operator] | None = None,
    ) -> int:
        """The node that a flow wants: one that another flow has brought just now, or its own.

        Args:
            manifest: the checkpoint to go on from, or None.
            flow: whose it is; notes under which name of the graph the node lies.
            wanted: the node.
            operator: makes the operator of this run where it is not ``wanted.make``; it is told whether its state is
                restored.

        Returns:
            The node's id.
        """
        self._fresh = [f for f in self._fresh if f.node.id in self.graph.nodes and f.untouched]
        about = manifest.flows.get(flow.key) if manifest is not None and flow.durable else None
        noted: dict[str, str] = (about or {}).get("names", {})
        held = noted.get(wanted.name, wanted.name)
        if wanted.work is not None and flow.durable:
            saved = self._restorable(manifest, flow, held, wanted.inputs)
            for f in self._fresh:
                alike = f.node.name == held and wanted.name in noted if f.node.restored else saved is None
                if alike and f.inputs == wanted.inputs and f.work == wanted.work:
                    flow.names[wanted.name] = f.node.name
                    return f.node.id
        name, saved = self._free_name(manifest, flow, held, wanted.inputs)
        made = wanted.make() if operator is None else operator(saved is not None)
        i = self._add(wanted, name, made, saved, flow.durable)
        flow.names[wanted.name] = name
        if wanted.work is not None and flow.durable:
            node = self.graph.nodes[i]
            self._fresh.append(_Fresh(wanted.work, wanted.inputs, node, _marks(node)))
        return i

    def _restorable(
        self, manifest: Manifest | None, flow: Attached, name: str, inputs: tuple[int, ...]
    ) -> NodeState | None:
        """What a checkpoint holds of a node, unless it holds it for other flows only."""
        holders = self._holders(manifest, name)
        return saved_state(manifest, name, self.graph, inputs) if flow.key in holders or not holders else None

    def _free_name(
        self, manifest: Manifest | None, flow: Attached, base: str, inputs: tuple[int, ...]
    ) -> tuple[str, NodeState | None]:
        """A name that no node has, and the state under it; one that begins anew leaves other flows' names alone."""
        taken = {n.name for n in self.graph.nodes.values()}
        name, n = base, 1
        while True:
            if name not in taken:
                saved = self._restorable(manifest, flow, name, inputs)
                if saved is not None or not self._holders(manifest, name) - {flow.key}:
                    return name, saved
            n += 1
            name = f"{base}#{n}"

    def _holders(self, manifest: Manifest | None, name: str) -> set[str]:
        """Keys of the flows whose node lies under a name in a checkpoint."""
        if manifest is not self._held[0]:
            found: dict[str, set[str]] = {}
            for key, about in (manifest.flows if manifest is not None else {}).items():
                names: Mapping[str, str] = about.get("names") or {n: n for n in about.get("nodes", ())}
                for n in names.values():
                    found.setdefault(n, set()).add(key)
            self._held = manifest, found
        return self._held[1].get(name, set())

    def _add(self, wanted: Placement, name: str, operator: Operator, saved: NodeState | None, keep: bool) -> int:
        state = State(name)
        i = self.graph.add(operator, wanted.inputs, name=name, state=state, label=wanted.label)
        self.makers[name] = wanted.make
        if not keep:
            self.ephemeral.add(name)
        if self.store is not None and saved is not None:
            node = self.graph.nodes[i]
            node.restored = True
            if saved.over:
                self.graph.end(i)
            else:
                state.restore(self.store.chunks(saved))
                node.low, node.out = saved.low, saved.out
        return i

    def forget(self, name: str) -> None:
        """A node is gone."""
        self.makers.pop(name, None)
        self.ephemeral.discard(name)
