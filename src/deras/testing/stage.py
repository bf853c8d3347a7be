"""Planned dataflows in one graph, fed by hand: with checkpoints and crashes, without threads and files.

A stage is to dataflows what the job is, minus the outside: the same nodes under the same names, rows and time given by
the caller, the state taken and put back between any two steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.core.changelog import row_kinds
from deras.core.delta import Delta, hashable
from deras.core.time import MAX_WATERMARK, SystemClock
from deras.engine.graph import Graph, StepResult
from deras.engine.operator import AT_ONCE, Feed, SourceOperator
from deras.engine.operators.materialize import Materialize
from deras.engine.state import State, compact
from deras.runtime.checkpoint import CheckpointStore, Manifest, NodeState
from deras.runtime.tables import operator_of
from deras.runtime.view_tap import ViewTap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deras.engine.dataflow import Dataflow, SourceSpec
    from deras.engine.state import Chunk


@dataclass(slots=True)
class Saved:
    """What a checkpoint keeps of the operators: by node name the chunks so far, and the watermarks (in, out)."""

    chunks: dict[str, list[Chunk]] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    def copy(self) -> Saved:
        """The same; the lists are its own."""
        return Saved({n: list(c) for n, c in self.chunks.items()}, dict(self.marks))

    def compacted(self, epoch: int) -> Saved:
        """Every chain rewritten as one base, as the background writer does."""
        return Saved({n: list(compact(n, epoch, c).chunks()) for n, c in self.chunks.items()}, dict(self.marks))

    def through_disk(self, folder: Path, epoch: int) -> Saved:
        """The same after a checkpoint was written to a folder and read back."""
        store = CheckpointStore(folder)
        folder.mkdir(parents=True, exist_ok=True)
        runs = store.write_states(epoch, {n: [c] for n, c in self.chunks.items()})
        nodes = {n: NodeState([runs[n]] if n in runs else [], *self.marks[n]) for n in self.chunks}
        store.write_manifest(Manifest(epoch, 0, nodes=nodes))
        store.check_written(epoch, runs)
        store.prune()
        found = store.latest()
        assert found is not None  # noqa: S101
        return Saved(
            {n: [(k, name, bytes(b)) for k, name, b in store.chunks(s)] for n, s in found.nodes.items()},
            {n: (s.low, s.out) for n, s in found.nodes.items()},
        )


@dataclass(slots=True)
class Output:
    """What one target got.

    Args:
        key: what tells its rows apart: positions, () for a single row, None for the whole row.
        deltas: one per step that gave any.
    """

    name: str
    kind: str
    key: tuple[int, ...] | None
    deltas: list[Delta] = field(default_factory=list)

    @property
    def updating(self) -> bool:
        """Whether anything was ever taken back."""
        return any(d.weights is not None and bool((d.weights < 0).any()) for d in self.deltas)

    def texts(self) -> list[str]:
        """The changelog as Flink prints it: ``+I[1, abc]``."""
        from deras.connectors._flink_text import row_texts

        found: list[str] = []
        for d in self.deltas:
            texts = row_texts(d, row_kinds(d, self.key))
            found += [t for t, w in zip(texts, d.weight_array().tolist(), strict=True) for _ in range(abs(w))]
        return found

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows that are left, as often as their weights say, sorted by their text."""
        total: Counter[Any] = Counter()
        shown: dict[Any, tuple[Any, ...]] = {}
        for d in self.deltas:
            for w, r in d.changes():
                k = hashable(r)
                total[k] += w
                shown[k] = r
        return sorted((shown[k] for k, w in total.items() for _ in range(w)), key=_order)

    def folded(self) -> list[str]:
        """The rows that are left as text, sorted."""
        from deras.connectors._flink_text import row_texts

        rows = self.rows()
        if not rows:
            return []
        return sorted(row_texts(Delta.of(self.deltas[0].schema, rows), [""] * len(rows)))

    def check_legal(self) -> None:
        """Every prefix of the changelog must be a table.

        Raises:
            AssertionError: a row is taken back that is not there, or a key has two rows at once.
        """
        total: Counter[Any] = Counter()
        keys: Counter[Any] = Counter()
        for d in self.deltas:
            for w, r in d.changes():
                k = hashable(r)
                total[k] += w
                if total[k] < 0:
                    raise AssertionError(f"{self.name or 'query'}: row {r} is taken back, but it is not there")
                if self.key is not None:
                    of = hashable(tuple(r[i] for i in self.key))
                    keys[of] += w
                    if not 0 <= keys[of] <= 1:
                        raise AssertionError(f"{self.name or 'query'}: key {of} has {keys[of]} rows after {r}")


def _order(row: tuple[Any, ...]) -> str:
    return repr(tuple(f"{v:.6g}" if isinstance(v, float) else v for v in row))


Dropped = tuple[str, str, bytes]
"""(reason, message, raw row) of a rejected row."""


class Stage:
    """The dataflows of a script in a graph of their own.

    Args:
        flows: in the order in which they were planned.
        folder: where relative paths start (for sources that are read, as VALUES).
    """

    def __init__(self, flows: Sequence[Dataflow], folder: Path | None = None) -> None:
        self.graph = Graph()
        self.flows = list(flows)
        self.specs: dict[str, SourceSpec] = {}
        """By node name."""
        self.outputs: list[Output] = []
        self.dropped: list[Dropped] = []
        self._folder = folder or Path()
        self._ids: dict[str, int] = {}
        self._targets: list[int] = []
        self._limits = [f.limit for f in flows]
        views: dict[str, int] = {}
        for flow in flows:
            self._add(flow, views)
        for name in self.specs:
            operator = self.graph.nodes[self._ids[name]].operator
            assert isinstance(operator, SourceOperator)  # noqa: S101
            operator.declare(["0"])

    def _add(self, flow: Dataflow, views: dict[str, int]) -> None:
        inputs: list[int] = []
        for i, spec in enumerate(flow.sources):
            if spec.connector == "view":
                upstream = self.graph.nodes[views[spec.table]]
                tap = ViewTap(upstream.operator.schema, upstream.operator.append_only)
                inputs.append(self._node(f"{flow.target.name}:view:{spec.table}:{i}", tap, [upstream.id]))
            elif spec.name in self.specs:
                inputs.append(self._ids[spec.name])
            else:
                self.specs[spec.name] = spec
                inputs.append(self._node(spec.name, spec.make(), []))
        ids: list[int] = []
        for node in flow.nodes:
            reads = [ids[k] if k >= 0 else inputs[~k] for k in node.inputs]
            ids.append(self._node(node.name, operator_of(node, self._folder, SystemClock()), reads))
        out = ids[flow.output] if flow.output >= 0 else inputs[~flow.output]
        target = flow.target
        if flow.materialised:
            rows = Materialize(
                target.schema, target.schema.key, flow.append_only, target.upsert_key, forgetful=target.forgetful
            )
            out = self._node(f"{target.name}:rows", rows, [out])
        if target.kind == "view":
            views[target.name] = out
        self._targets.append(out)
        self.outputs.append(Output(target.name, target.kind, flow.identity))

    def _node(self, name: str, operator: Any, inputs: list[int]) -> int:
        unique, n = name, 1
        while unique in self._ids:
            n += 1
            unique = f"{name}#{n}"
        found = self._ids[unique] = self.graph.add(operator, inputs, name=unique, state=State(unique))
        return found

    # ---- rows and time

    def constants(self) -> list[tuple[str, Delta]]:
        """Rows of VALUES in the script, by source node."""
        from deras.runtime.tables import open_table

        found = []
        for name, spec in self.specs.items():
            if spec.connector == "values":
                connector, context = open_table(
                    spec.table, spec.schema, spec.options, folder=self._folder, clock=SystemClock()
                )
                records = connector.source(context).open("values", None).poll(1 << 20, 0)
                if records is not None and records.delta is not None:
                    found.append((name, records.delta))
        return found

    def step(self, rows: Mapping[str, Delta], now: int = 0, *, end: bool = False) -> None:
        """One step with these rows by source node; ``end``: all sources end after it."""
        feeds: dict[int, list[Feed]] = {}
        for name in self.specs:
            delta = rows.get(name)
            if delta is not None or end:
                feeds[self._ids[name]] = [Feed("0", delta, end)]
        self._take(self.graph.step(feeds, epoch=0, now=now))
        self._settle(now)

    def idle(self, now: int) -> None:
        """What time alone brings."""
        due = self.graph.wake()
        if due is not None and due <= now:
            self._take(self.graph.step({}, epoch=0, now=now))
            self._settle(now)

    def _settle(self, now: int) -> None:
        while self.graph.wake() == AT_ONCE:
            self._take(self.graph.step({}, epoch=0, now=now))

    def _take(self, result: StepResult) -> None:
        for i, out in enumerate(self._targets):
            delta = result.deltas.get(out)
            if delta is None or not delta.length:
                continue
            left = self._limits[i]
            if left is not None:
                delta = delta.slice(0, min(left, delta.length))
                self._limits[i] = left - delta.length
                if not delta.length:
                    continue
            self.outputs[i].deltas.append(delta)
        for r in result.dropped:
            self.dropped += zip([r.reason] * len(r), r.messages, map(bytes, r.raw), strict=True)

    def check_ended(self) -> None:
        """After the end every watermark must be at its end: else something would wait for ever."""
        for n in self.graph.nodes.values():
            if n.out != MAX_WATERMARK:
                raise AssertionError(f"{n.label} ({n.name}) holds the watermark at {n.out} after the end of its input")

    # ---- state

    def save(self, before: Saved, epoch: int) -> Saved:
        """A checkpoint: what changed since ``before``, added to it."""
        found = before.copy()
        for name, (frozen, marks) in self.graph.freeze(epoch).items():
            found.chunks.setdefault(name, []).extend((k, n, bytes(b)) for k, n, b in frozen.chunks())
            found.marks[name] = (marks["low"], marks["out"])
        return found

    def restore(self, saved: Saved) -> None:
        """Take over a checkpoint, before the first step.

        Raises:
            AssertionError: a node's name is not in it, or the other way round: names would not be stable.
        """
        if not saved.marks:
            return
        if set(saved.marks) != set(self._ids):
            raise AssertionError(f"other node names after planning again: {sorted(set(saved.marks) ^ set(self._ids))}")
        for node in self.graph.nodes.values():
            node.state.restore(saved.chunks.get(node.name, []))
            node.low, node.out = saved.marks[node.name]
            if isinstance(node.operator, SourceOperator):
                node.operator.declare(["0"])

    def state_rows(self) -> int:
        """Rows and keys kept now, all operators together."""
        sizes = [n.state.size() for n in self.graph.nodes.values()]
        return sum(s.rows + s.keys for s in sizes)
