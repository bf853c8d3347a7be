from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import BIGINT, STRING
from deras.engine.graph import Graph
from deras.engine.operator import Feed, Out, SourceOperator
from deras.engine.operators.join import Join
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.union import Union
from deras.engine.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = Schema.of(k=BIGINT, s=STRING)


class Source(SourceOperator):
    """Passes its feeds on; the watermark is the greatest k."""

    append_only = True
    schema = SCHEMA

    def __init__(self) -> None:
        self.at = MIN_WATERMARK

    def declare(self, parts: Sequence[str]) -> None:
        pass

    def feed(self, feeds: Sequence[Feed], tick: Tick) -> Out:
        deltas = [f.delta for f in feeds if f.delta is not None]
        self.at = max([self.at, *(r[0] for d in deltas for r in d.rows())])
        return Out(Delta.concat(deltas))

    def watermark(self) -> int:
        return self.at

    def watermarks(self) -> dict[str, int]:
        return {"": self.at}


def built() -> tuple[Graph, dict[str, int], Materialize]:
    graph = Graph()
    at = {name: graph.add(Source(), name=name, state=State(name)) for name in ("a", "b")}
    at["join"] = graph.add(Join(SCHEMA, SCHEMA, [0], [0]), [at["a"], at["b"]], name="join", state=State("join"))
    at["union"] = graph.add(Union(SCHEMA), [at["a"], at["b"]], name="union", state=State("union"))
    view = Materialize(SCHEMA, [0], True)
    at["view"] = graph.add(view, [at["union"]], name="view", state=State("view"))
    return graph, at, view


def feed(*rows: Any) -> list[Feed]:
    return [Feed("", Delta.of(SCHEMA, list(rows)))]


def test_changes_and_watermarks_pass_in_one_step() -> None:
    graph, at, view = built()
    result = graph.step({at["a"]: feed((1, "a"), (5, "b"))}, epoch=0, now=0)
    assert at["join"] not in result.deltas
    assert graph.nodes[at["join"]].low == MIN_WATERMARK
    result = graph.step({at["b"]: feed((1, "c"), (3, "d"))}, epoch=0, now=0)
    assert result.deltas[at["join"]].rows() == [(1, "a", 1, "c")]
    assert graph.nodes[at["join"]].low == 3
    assert (view.snapshot().watermark, view.snapshot().step) == (3, 2)
    assert view.snapshot().frame().rows() == [(5, "b"), (1, "c"), (3, "d")]


def test_graph_is_restored_from_its_nodes_states() -> None:
    graph, at, _ = built()
    graph.step({at["a"]: feed((1, "a"), (5, "b")), at["b"]: feed((2, "c"))}, epoch=1, now=0)
    saved = graph.freeze(1)
    other, place, view = built()
    for node in other.nodes.values():
        frozen = saved[node.name][0]
        node.state.restore(frozen.chunks())
    assert view.snapshot().frame().rows() == [(1, "a"), (5, "b"), (2, "c")]
    result = other.step({place["b"]: feed((5, "z"))}, epoch=2, now=0)
    assert result.deltas[place["join"]].rows() == [(5, "b", 5, "z")]
    assert result.deltas[place["view"]].rows() == [(5, "b"), (5, "z")]


def test_removing_a_view_takes_what_only_it_needed() -> None:
    graph, at, _ = built()
    assert [n.name for n in graph.remove(at["view"])] == ["view", "union"]
    assert sorted(n.name for n in graph.nodes.values()) == ["a", "b", "join"]


def test_only_what_nothing_can_reach_any_more_is_retired() -> None:
    graph, at, _ = built()
    graph.step({at["a"]: feed((1, "x")), at["b"]: feed((2, "y"))}, epoch=1, now=0)
    assert not graph.ending
    graph.step({at["a"]: feed((MAX_WATERMARK, "end"))}, epoch=1, now=0)
    assert not graph.ending
    assert graph.retire({at["a"]}, {at["view"]}) == []  # the join still waits for the other side
    result = graph.step({at["b"]: feed((1, "z"), (MAX_WATERMARK, "end"))}, epoch=1, now=0)
    assert result.deltas[at["join"]].length == 2
    assert graph.ending
    gone = graph.retire({at["a"]}, {at["view"]})  # b may still get parts
    assert gone == []
    graph.ending = True
    gone = graph.retire({at["a"], at["b"]}, {at["view"]})
    assert [type(o).__name__ for o, _ in gone] == ["Join", "Union"]
    assert graph.nodes[at["join"]].ended
    assert not graph.nodes[at["view"]].ended
    assert graph.nodes[at["view"]].over
    assert graph.nodes[at["join"]].state.size().keys == 0
    assert graph.retire({at["a"], at["b"]}, {at["view"]}) == []
    graph.step({}, epoch=2, now=0)
    assert [n for n, (f, _) in graph.freeze(2).items() if f.segments] == ["view"]
