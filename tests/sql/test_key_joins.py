"""Joins on a unique key, and marks: which plans have them, and that results are those of the general join."""

from __future__ import annotations

import pytest
from harness import Session, fold
from hypothesis import given, settings
from hypothesis import strategies as st

TABLES = """
CREATE TABLE item (id INT, kind INT, name STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'filesystem', 'path' = 'item', 'format' = 'csv');
CREATE TABLE part (id INT, num INT, name STRING, PRIMARY KEY (num, id) NOT ENFORCED)
  WITH ('connector' = 'filesystem', 'path' = 'part', 'format' = 'csv');
CREATE TABLE bid (item INT, price INT, bidder STRING) WITH ('connector' = 'filesystem', 'path' = 'bid', 'format' = 'csv');
CREATE TABLE word (w STRING) WITH ('connector' = 'filesystem', 'path' = 'word', 'format' = 'csv');
CREATE VIEW cheap AS SELECT id AS i, UPPER(name) AS n, kind FROM item WHERE kind <> 1;
"""
MARKED = {
    "filter in WHERE": "SELECT b.*, i.name FROM item i JOIN bid b ON i.id = b.item WHERE i.kind = 1",
    "the other way round": "SELECT b.*, i.kind FROM bid b JOIN item i ON b.item = i.id WHERE i.kind = 1 OR i.name = 'a'",
    "filter in ON": "SELECT b.price, i.id FROM bid b JOIN item i ON b.item = i.id AND i.kind > 0 AND b.price > i.kind",
    "filter of NULLs": "SELECT b.*, i.name FROM item i JOIN bid b ON i.id = b.item WHERE NOT (i.name LIKE 'a%')",
    "names and expressions between": "SELECT b.price, c.n FROM bid b JOIN cheap c ON c.i = b.item WHERE c.n <> 'B'",
    "both sides have the key": "SELECT a.name, b.n FROM item a JOIN cheap b ON a.id = b.i",
    "one of two keys has a filter": """SELECT a.id, a.name, w.m FROM (SELECT * FROM part WHERE name <> 'b') a
        JOIN (SELECT id, kind AS m FROM item) w ON a.id = w.id AND a.num = w.m""",
    "the filter of the key itself": "SELECT b.price, i.name FROM bid b JOIN item i ON b.item = i.id WHERE i.id > 1",
}
PLAIN = {
    "all rows": "SELECT b.*, i.* FROM bid b JOIN item i ON b.item = i.id",
    "condition": "SELECT b.*, i.name FROM item i JOIN bid b ON i.id = b.item AND b.price BETWEEN i.kind AND i.kind + 1",
    "two keys": "SELECT p.name, b.bidder FROM part p JOIN bid b ON p.id = b.item AND p.num = b.price",
    "more than the key": "SELECT b.price, i.name FROM bid b JOIN item i ON b.item = i.id AND b.bidder = i.name",
    "IS NOT DISTINCT FROM": "SELECT b.price, i.name FROM bid b JOIN item i ON b.item IS NOT DISTINCT FROM i.id",
    "joined twice": """SELECT b.price, i.name, j.name AS n FROM bid b JOIN item i ON b.item = i.id
        JOIN item j ON b.price = j.id""",
    "aggregated above": """SELECT i.kind, COUNT(*) AS n, MAX(b.price) AS m FROM bid b JOIN item i ON b.item = i.id
        GROUP BY i.kind""",
    "the filter of the other side": "SELECT b.price, i.name FROM bid b JOIN item i ON b.item = i.id WHERE b.price = 2",
}
GENERAL = {
    "no key is declared": "SELECT * FROM bid a JOIN bid b ON a.item = b.item",
    "a part of the key": "SELECT p.name, b.price FROM part p JOIN bid b ON p.id = b.item",
    "the key is computed": "SELECT i.name, b.price FROM item i JOIN bid b ON i.id + 1 = b.item",
    "updates": "SELECT i.name, b.n FROM item i JOIN (SELECT item, COUNT(*) AS n FROM bid GROUP BY item) b ON i.id = b.item",
    "outer": "SELECT i.name, b.price FROM bid b LEFT JOIN item i ON i.id = b.item",
    "no equality": "SELECT i.name, b.price FROM bid b JOIN item i ON i.id < b.item",
}
ITEMS = st.lists(
    st.tuples(
        st.integers(0, 5), st.none() | st.integers(0, 3), st.sampled_from([None, "a", "b", "a long name, of text"])
    ),
    max_size=6,
    unique_by=lambda r: r[0],
)
PARTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([None, "a", "b"])),
    max_size=8,
    unique_by=lambda r: r[:2],
)
BIDS = st.lists(
    st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 3), st.sampled_from([None, "a", "b"])),
    max_size=12,
)


def off(key: str = "key-joins") -> dict[str, str]:
    return {f"deras.optimizer.{key}": "false"}


def labels(query: str, script: str = "", **more: str) -> str:
    flow = Session(TABLES + script, **more).plan(query).dataflows[0]
    return "\n".join(n.label for n in flow.nodes)


@pytest.mark.parametrize("name", [*MARKED, *PLAIN])
@settings(max_examples=8, deadline=None)
@given(ITEMS, PARTS, BIDS, st.booleans())
def test_results_are_those_of_the_general_join(name: str, items: list, parts: list, bids: list, one: bool) -> None:
    query = {**MARKED, **PLAIN}[name]
    found = []
    for without in ({}, off("marks"), off()):
        rows = {"item": items, "part": parts, "bid": bids}
        changes, dropped = Session(TABLES, **without).query(query, rows, one_by_one=one)
        assert not dropped
        found.append(fold(changes))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", MARKED)
def test_filters_become_marks(name: str) -> None:
    assert "marks: " in labels(MARKED[name])
    assert "marks: " not in labels(MARKED[name], **off("marks"))
    assert "KeyJoin(" in labels(MARKED[name], **off("marks"))
    assert "KeyJoin(" not in labels(MARKED[name], **off())


@pytest.mark.parametrize("name", PLAIN)
def test_without_a_filter_there_are_no_marks(name: str) -> None:
    assert "KeyJoin(" in labels(PLAIN[name])
    assert "marks: " not in labels(PLAIN[name])


@pytest.mark.parametrize("name", GENERAL)
def test_others_stay_general(name: str) -> None:
    assert "KeyJoin(" not in labels(GENERAL[name])
    assert "Join(" in labels(GENERAL[name])


@pytest.mark.parametrize("filter_", ["RAND() < 0.5", "UUID() <> name"])
def test_chance_leaves_no_marks(filter_: str) -> None:
    found = labels(f"SELECT b.price FROM bid b JOIN (SELECT * FROM item WHERE {filter_}) i ON b.item = i.id")
    assert "KeyJoin(" in found
    assert "marks: " not in found


def test_expressions_that_may_fail_are_not_asked_of_excluded_rows() -> None:
    query = """SELECT b.price, i.n FROM bid b
        JOIN (SELECT id, CAST(name AS INT) AS n FROM item WHERE kind = 1) i ON b.item = i.id"""
    assert "KeyJoin(" in labels(query)
    assert "marks: " not in labels(query)
    changes, dropped = Session(TABLES).query(query, {"item": [(1, 0, "x"), (2, 1, "7")], "bid": [(2, 5, "a")]})
    assert (changes, dropped) == ([(1, (5, 7))], [])


def test_a_filter_that_fails_rejects_its_row() -> None:
    query = "SELECT b.price FROM (SELECT * FROM item WHERE CAST(name AS INT) = 1) i JOIN bid b ON b.item = i.id"
    assert "marks: " in labels(query)
    for without in ({}, off()):
        rows = {"item": [(1, 0, "x"), (2, 1, "1"), (3, 1, "2")], "bid": [(1, 5, "a"), (2, 6, "a"), (3, 7, "a")]}
        changes, dropped = Session(TABLES, **without).query(query, rows)
        assert changes == [(1, (6,))]
        assert [(r.reason, r.raw) for r in dropped] == [("expression", [b'{"id":1,"kind":0,"name":"x"}'])]


def test_a_second_row_of_the_key_is_rejected() -> None:
    rows = {"item": [(1, 0, "first"), (1, 1, "second")], "bid": [(1, 5, "a")]}
    changes, dropped = Session(TABLES).query("SELECT b.price, i.name FROM item i JOIN bid b ON b.item = i.id", rows)
    assert changes == [(1, (5, "first"))]
    assert [(r.reason, r.raw) for r in dropped] == [("constraint", [b'{"id":1,"name":"second"}'])]


def test_what_forgets_may_bring_a_key_again() -> None:
    firsts = "(SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY w ORDER BY p ASC) AS r FROM seen) WHERE r = 1)"
    seen = "CREATE TABLE seen (w STRING, p AS PROCTIME()) WITH ('connector' = 'filesystem', 'path' = 's', 'format' = 'csv');"
    query = f"SELECT a.w FROM {firsts} a JOIN word b ON a.w = b.w"
    assert "KeyJoin(" in labels(query, seen)
    assert "KeyJoin(" not in labels(query, seen, **{"table.exec.state.ttl": "1 h"})
    # A TTL of the join itself is kept by it.
    found = Session(TABLES, **{"table.exec.state.ttl": "1 h"}).plan(PLAIN["all rows"]).dataflows[0]
    (join,) = [n.make() for n in found.nodes if n.label.startswith("KeyJoin(")]
    assert join.ttl == (3_600_000, 3_600_000)


def test_windows_have_a_key() -> None:
    script = """CREATE TABLE t (k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
        WITH ('connector' = 'filesystem', 'path' = 't', 'format' = 'csv');"""
    grouped = "SELECT k, window_end AS e, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR))"
    query = f"""SELECT b.price, w.n FROM bid b
        JOIN ({grouped} GROUP BY k, window_start, window_end) w ON b.item = w.k AND b.price = EXTRACT(HOUR FROM w.e)"""
    # The end is only read through an expression: it is not part of the join's key.
    assert "KeyJoin(" not in labels(query, script)
    query = f"""SELECT a.n, b.n AS m FROM ({grouped} GROUP BY k, window_start, window_end) a
        JOIN (SELECT item AS k, TIMESTAMP '2024-01-01 00:00:00' AS e, price AS n FROM bid) b ON a.k = b.k AND a.e = b.e"""
    assert "KeyJoin(" in labels(query, script)
