"""What of a checkpoint a dataflow goes on from: all of it, or nothing where its statement or its input is another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from deras.engine.dataflow import Dataflow
    from deras.engine.graph import Graph
    from deras.runtime.checkpoint import Manifest, NodeState
    from deras.runtime.flow import Attached
    from deras.runtime.sources import SourceNode


def names_of(flow: Attached) -> list[str]:
    """The names of a dataflow's nodes, as a checkpoint notes them."""
    return [n.name for n in flow.dataflow.nodes]


def resumes(
    flow: Attached, manifest: Manifest | None, views: Mapping[str, Attached], sources: Mapping[str, SourceNode]
) -> bool:
    """Whether a dataflow is the one that a checkpoint holds, so that its sources go on where they were.

    An edited statement is a new one: what can be read again is read from its beginning for it.

    Args:
        flow: about to be attached.
        manifest: the checkpoint, or None.
        views: the views attached so far; those that the flow reads must go on, too.
        sources: the sources being read; those that the flow had must stand where the checkpoint left them.
    """
    about = manifest.flows.get(flow.key) if manifest is not None and flow.durable else None
    if about is None or manifest is None:
        return False
    if "nodes" in about and about["nodes"] != names_of(flow):
        return False
    if any(v in views and not views[v].resumed for v in flow.dataflow.views):
        return False
    return all(_stands(sources[name], manifest.sources.get(name)) for name in about["sources"] if name in sources)


def _stands(source: SourceNode, about: dict[str, Any] | None) -> bool:
    parts = {} if about is None else about["parts"]
    for p in source.parts.values():
        saved = parts.get(p.name, {})
        if p.offset != saved.get("offset") or p.ended != bool(saved.get("ended")):
            return False
    return True


def saved_state(manifest: Manifest | None, name: str, graph: Graph, inputs: Sequence[int]) -> NodeState | None:
    """What a checkpoint holds of a node that is about to be added; None if it begins anew.

    State is worth something only together with the input that made it: a node goes on if it reads the same nodes as
    before and all of them go on.
    """
    saved = manifest.nodes.get(name) if manifest is not None else None
    if saved is None:
        return None
    reads = [graph.nodes[i] for i in inputs]
    if not all(n.restored for n in reads):
        return None
    return saved if saved.inputs is None or saved.inputs == [n.name for n in reads] else None


def without(manifest: Manifest, flow: str, nodes: AbstractSet[str]) -> Manifest:
    """A manifest that does not know a dataflow (by its key) and some nodes."""
    return replace(
        manifest,
        flows={k: f for k, f in manifest.flows.items() if k != flow},
        nodes={k: n for k, n in manifest.nodes.items() if k not in nodes},
        sources={k: s for k, s in manifest.sources.items() if k not in nodes},
    )


def over(part_facts: Mapping[str, Any] | None) -> bool:
    """Whether every part of a source had ended, by what a checkpoint holds of it."""
    return bool(part_facts) and all(p.get("ended") for p in (part_facts or {}).values())


def make_flow_key(dataflow: Dataflow, taken: set[str]) -> str:
    """A stable name for a flow in manifests: ``view:x``; ``sink:t:<node>`` since a table may have several writers."""
    target = dataflow.target
    key = f"{target.kind}:{target.name}"
    if target.kind == "sink":
        last = dataflow.nodes[dataflow.output].name if dataflow.output >= 0 else dataflow.sources[~dataflow.output].name
        key += f":{last[:24]}"
    unique, n = key, 1
    while unique in taken:
        n += 1
        unique = f"{key}#{n}"
    return unique
