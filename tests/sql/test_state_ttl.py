"""State TTL in SQL: the setting, hints, what EXPLAIN says, and what views show."""

from __future__ import annotations

import pytest
from tests.sql.harness import Session, run_flow

from deras.core.delta import Delta
from deras.core.errors import SqlError
from deras.core.time import Tick
from deras.engine.state import State
from deras.sql.syntax.parser import parse_script

TABLES = """
CREATE TABLE t (k STRING, v BIGINT) WITH ('connector' = 'datagen');
CREATE TABLE u (k STRING, w BIGINT) WITH ('connector' = 'datagen');
"""
TTL = {"table.exec.state.ttl": "1 h"}
COUNTED = "SELECT k, COUNT(*) AS n FROM t GROUP BY k"


def session(**settings: str) -> Session:
    return Session(TABLES, **settings)


def explained(s: Session, text: str) -> str:
    (statement,) = parse_script(text)
    return s.planner.explain(statement, text)


def operators(s: Session, text: str) -> dict[str, object]:
    (flow,) = s.plan(text).dataflows
    return {n.label.split("(", 1)[0]: n.make() for n in flow.nodes}


def test_explain_names_the_ttl_and_what_it_costs() -> None:
    found = explained(session(**TTL), COUNTED)
    assert "state: one entry a group of (k); forgotten when unchanged for 1 h" in found
    assert "state TTL, 1 h at most" in found
    assert "for ever" not in found
    plain = explained(session(), COUNTED)
    assert "forgotten" not in plain
    assert "for ever" in plain


def test_without_a_key_the_rows_that_should_be_replaced_stay() -> None:
    assert "come beside them" in explained(session(**TTL), "SELECT n FROM (" + COUNTED + ")")


def test_the_name_of_the_state_is_that_of_the_plan_without_ttl() -> None:
    names = [[n.name for n in session(**x).plan(COUNTED).dataflows[0].nodes] for x in ({}, TTL)]
    assert names[0] == names[1]


def test_a_group_that_was_forgotten_replaces_its_row_in_a_view() -> None:
    s = session(**TTL)
    flow = s.run("CREATE MATERIALIZED VIEW m AS " + COUNTED).dataflows[0]
    node = next(n for n in flow.nodes if n.label.startswith("GroupAggregate"))
    from deras.engine.operators.materialize import Materialize

    first = node.make()
    view = Materialize(flow.target.schema, flow.target.schema.key, flow.append_only, flow.target.upsert_key)
    first.open(State("a"))
    view.open(State("b"))
    hour = 3_600_000
    for step, now in enumerate([0, hour - 1, 2 * hour - 2, 3 * hour]):
        tick = Tick(0, now, 0, 0, step)
        out = first.step([Delta.of(first.input, [("a",)])], tick)
        assert not view.step([out.delta], tick).dropped
    assert view.snapshot().frame().rows() == [("a", 1)]


def test_one_row_a_step_over_time() -> None:
    (flow,) = session(**TTL).plan(COUNTED).dataflows
    changes, dropped = run_flow(flow, {"t": [("a", 1), ("b", 1), ("a", 1)]})
    assert changes == [(1, ("a", 1)), (1, ("b", 1)), (-1, ("a", 1)), (1, ("a", 2))]
    assert not dropped


def test_hints_say_it_for_each_side_of_a_join_and_for_a_grouping() -> None:
    s = session(**TTL)
    text = "SELECT /*+ STATE_TTL('x' = '1 d') */ x.k, w FROM t AS x JOIN u ON x.k = u.k"
    assert operators(s, text)["Join"].ttl == (86_400_000, 3_600_000)
    assert "forgotten when unchanged for 1 d and 1 h" in explained(s, text)
    text = "SELECT /*+ STATE_TTL('u' = '0 s') */ x.k, w FROM t AS x JOIN u ON x.k = u.k"
    assert operators(s, text)["Join"].ttl == (3_600_000, 0)
    text = "SELECT /*+ STATE_TTL('t' = '5 s') */ k, COUNT(*) AS n FROM t GROUP BY k"
    assert operators(session(), text)["GroupAggregate"].ttl == 5000
    # What it says does not reach into a query below.
    text = "SELECT /*+ STATE_TTL('d' = '5 s') */ k, n FROM (" + COUNTED + ") AS d"
    assert operators(session(), text)["GroupAggregate"].ttl == 0


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("STATE_TTL('z' = '1 d')", "STATE_TTL names 'z', which is no table of this query"),
        ("STATE_TTL('t' = 'soon')", "STATE_TTL of 't': 'soon' is no duration"),
        ("STATE_TTL('t' = '1 s', 't' = '2 s')", "STATE_TTL names 't' twice"),
    ],
)
def test_wrong_hints(hint: str, said: str) -> None:
    with pytest.raises(SqlError, match=said):
        session().plan(f"SELECT /*+ {hint} */ k, COUNT(*) AS n FROM t GROUP BY k")


def test_what_has_no_ttl_says_so() -> None:
    s = session(**TTL)
    found = explained(s, "SELECT k FROM t WHERE k NOT IN (SELECT k FROM u)")
    assert "forgotten when unchanged for 1 h and ever" in found
    assert "keys of the right" in found
    text = "SELECT k, COUNT(DISTINCT v) OVER (PARTITION BY k ORDER BY p) FROM (SELECT *, PROCTIME() AS p FROM t)"
    assert "'table.exec.state.ttl' does not hold for it" in explained(s, text)
    assert "forgotten when unchanged for 1 h" in explained(s, text.replace("DISTINCT ", ""))


def test_a_view_knows_that_what_it_shows_may_be_forgotten() -> None:
    text = "CREATE MATERIALIZED VIEW m AS " + COUNTED
    for settings in ({}, TTL):
        (flow,) = session(**settings).plan(text).dataflows
        assert flow.target.forgetful == bool(settings)


def test_with_a_ttl_updates_that_change_nothing_are_told_as_flink_tells_them() -> None:
    rows = {"t": [("a", 3), ("a", 1), ("b", 2), ("a", 3)]}
    (flow,) = session(**TTL).plan("SELECT k, MAX(v) AS m FROM t GROUP BY k").dataflows
    changes, _ = run_flow(flow, rows)
    again = [(-1, ("a", 3)), (1, ("a", 3))]
    assert changes == [(1, ("a", 3)), *again, (1, ("b", 2)), *again]
