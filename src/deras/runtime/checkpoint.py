"""Checkpoints on disk: a manifest beside files of state chunks, several kept, each verified before an older one goes.

Layout of ``checkpoints/`` (all numbers are epochs, twelve digits)::

    epoch-000000000007.state   what changed in epoch 7: chunks of all operators, see ``storage.ChunkFile``
    epoch-000000000007.json    the manifest, written last: with it the checkpoint exists

A node's state is a *chain* of runs in these files: a base and the increments since. Files stay while a kept manifest
names them. Format version: ``FORMAT``; a newer one is refused with a sentence.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from deras.core.errors import CorruptError, DerasError
from deras.runtime.storage import Chunk, ChunkFile, check_file, disk_error, read_chunks, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT = 2
_READS = (1, FORMAT)  # what format 1 lacks has defaults
_log = logging.getLogger("deras.checkpoint")


@dataclass(slots=True)
class Run:
    """One run of chunks: where they lie and how many bytes they take."""

    file: str
    offset: int
    bytes: int


@dataclass(slots=True)
class NodeState:
    """One operator in a manifest: its chain (base first), watermarks, label and the class that wrote it.

    ``over``: its input had ended for good, it keeps no state. ``inputs``: names of the nodes that it reads (None where
    an older version wrote).
    """

    chain: list[Run] = field(default_factory=list)
    low: int = 0
    out: int = 0
    label: str = ""
    operator: str = ""
    over: bool = False
    inputs: list[str] | None = None


@dataclass(slots=True)
class Manifest:
    """All that a restart needs, besides the state files.

    Args:
        epoch: the epoch that this checkpoint closes.
        created: when, ms.
        steps: steps made so far.
        deras: version of the package.
        nodes: state by stable node name.
        sources: by source node name: ``{"table", "parts": {part: {"offset", "ended", "rows"}}}``.
        flows: by target (``view:x``): ``{"sources": [names in the order of the dataflow], "nodes": [its own names],
            "names": {own name: the node's name in the graph}, "notes"}``.
        tokens: sink name to the tokens to be committed, oldest first.
        sinks: sink name to the last token that it gave (for ``Sink.open``).
        plan: whatever the session wants to find again (DDL texts in order, settings).
        quarantine: files and counters.
        history: files by view.
    """

    epoch: int
    created: int
    steps: int = 0
    deras: str = ""
    nodes: dict[str, NodeState] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sinks: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    quarantine: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)

    def files(self) -> set[str]:
        """Names of the state files that this checkpoint needs."""
        return {r.file for n in self.nodes.values() for r in n.chain}


class CheckpointStore:
    """The checkpoints of one project. One thread writes at a time."""

    def __init__(self, folder: Path, kept: int = 3) -> None:
        self.folder = folder
        self.kept = max(1, kept)
        self.notes: list[str] = []
        """Sentences about damaged checkpoints that were passed over."""

    # ---- reading

    def epochs(self) -> list[int]:
        """Epochs with a manifest, newest first."""
        found = []
        for path in self.folder.glob("epoch-*.json"):
            with contextlib.suppress(ValueError):
                found.append(int(path.stem.removeprefix("epoch-")))
        return sorted(found, reverse=True)

    def load(self, epoch: int) -> Manifest:
        """A manifest by epoch.

        Raises:
            CorruptError: it is damaged, or of a newer version.
        """
        path = self._manifest(epoch)
        body = read_json(path)
        if body.get("format") not in _READS:
            hint = "Use the version of Deras that wrote it, or begin in a new folder."
            raise CorruptError(f"'{path}' has format {body.get('format')}, this version reads {FORMAT}", hint=hint)
        body.pop("format")
        nodes = {
            name: NodeState(**{**n, "chain": [Run(**r) for r in n["chain"]]}) for name, n in body.pop("nodes").items()
        }
        return Manifest(nodes=nodes, **body)

    def verify(self, manifest: Manifest) -> int:
        """Read every chunk that a checkpoint needs and compare checksums; gives the bytes read."""
        total = 0
        for node in manifest.nodes.values():
            for run in node.chain:
                for _ in read_chunks(self.folder / run.file, run.offset, run.bytes):
                    pass
                total += run.bytes
        return total

    def latest(self) -> Manifest | None:
        """The newest checkpoint that is whole; damaged ones are passed over, with a note each.

        Raises:
            CorruptError: there are checkpoints, but every one is damaged.
        """
        self.notes.clear()
        epochs = self.epochs()
        for epoch in epochs:
            try:
                manifest = self.load(epoch)
                self.verify(manifest)
            except DerasError as e:
                note = f"checkpoint {epoch} cannot be used: {e.message}. {e.detail}".rstrip()
                self.notes.append(note)
                _log.warning("%s", note)
                continue
            if self.notes:
                self.notes.append(f"Going on from checkpoint {epoch} instead.")
            return manifest
        if epochs:
            raise CorruptError(
                f"no checkpoint in '{self.folder}' can be used",
                detail=" ".join(self.notes),
                hint="Put the files back from a copy, or begin again in a new folder.",
            )
        return None

    def chunks(self, node: NodeState) -> Iterator[Chunk]:
        """The state of a node: its base and increments, in order."""
        for run in node.chain:
            yield from read_chunks(self.folder / run.file, run.offset, run.bytes)

    # ---- writing

    def write_states(self, epoch: int, states: Mapping[str, Iterable[Iterable[Chunk]]]) -> dict[str, Run]:
        """Write one state file for an epoch; gives the run of each node that had anything to save.

        Raises:
            DerasError: the disk refused; nothing is left behind.
        """
        name = f"epoch-{epoch:012d}.state"
        runs: dict[str, Run] = {}
        file: ChunkFile | None = None
        try:
            file = ChunkFile(self.folder / name)
            for node, frozen in states.items():
                start = file.size
                for chunks in frozen:
                    file.add(chunks)
                if file.size > start:
                    runs[node] = Run(name, start, file.size - start)
            file.close()
        except OSError as e:
            if file is not None:
                file.abandon()
            raise disk_error(e, f"write a checkpoint to '{self.folder}'") from None
        if not runs:
            (self.folder / name).unlink(missing_ok=True)
        return runs

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest: after this the checkpoint exists."""
        body = {"format": FORMAT, **asdict(manifest)}
        try:
            write_json(self._manifest(manifest.epoch), body)
        except OSError as e:
            raise disk_error(e, f"write a checkpoint to '{self.folder}'") from None

    def check_written(self, epoch: int, runs: Mapping[str, Run]) -> None:
        """Read back what was just written; ``CorruptError`` if the disk gives something else."""
        self.load(epoch)
        ends: dict[str, int] = {}
        for run in runs.values():
            ends[run.file] = max(ends.get(run.file, 0), run.offset + run.bytes)
        for name, size in ends.items():
            check_file(self.folder / name, size)

    def prune(self) -> list[Manifest]:
        """Remove checkpoints beyond the kept ones, and files that none of those names; gives the kept, newest first."""
        kept: list[Manifest] = []
        for epoch in self.epochs():
            if len(kept) < self.kept:
                try:
                    kept.append(self.load(epoch))
                    continue
                except DerasError as e:
                    _log.warning("checkpoint %d is damaged and goes: %s", epoch, e.message)
            self._manifest(epoch).unlink(missing_ok=True)
        needed = set().union(*(m.files() for m in kept)) if kept else set()
        for path in [*self.folder.glob("epoch-*.state"), *self.folder.glob(".epoch-*.tmp")]:
            if path.name not in needed:
                path.unlink(missing_ok=True)
        return kept

    def _manifest(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:012d}.json"
