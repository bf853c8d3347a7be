"""Lookups by key through SQL: caches and hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deras.core import registry
from deras.core.contracts import Connector, Lookup, TableContext
from deras.core.delta import Delta
from deras.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED: list[list[Any]] = []
ROWS = {1: "one", 2: "two"}


class _Table(Lookup):
    def __init__(self, table: TableContext) -> None:
        self.schema = table.schema

    def fetch(self, keys: Any) -> Delta:
        ASKED.append(keys[0].values())
        return Delta.of(self.schema, [(k, ROWS[k]) for k in keys[0].values() if k in ROWS])


class _Connector(Connector):
    name = "kv"

    def lookup(self, table: TableContext, keys: Any) -> Lookup:
        return _Table(table)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    real = registry.connector
    monkeypatch.setattr(registry, "connector", lambda name: _Connector if name == "kv" else real(name))
    ASKED.clear()
    (tmp_path / "bids.csv").write_text("1\n2\nNULL\n1\n7\n1\n7\n")
    with Session(base=tmp_path) as made:
        made.sql(
            "CREATE TABLE bids (k INT, pt AS PROCTIME()) WITH ('connector' = 'filesystem', 'path' = 'bids.csv',"
            " 'format' = 'csv', 'csv.null-literal' = 'NULL')"
        )
        yield made


def _make(session: Session, options: str = "") -> None:
    session.sql(f"CREATE TABLE t (k INT, v STRING) WITH ('connector' = 'kv'{options})")


JOIN = "FROM bids AS b LEFT JOIN t FOR SYSTEM_TIME AS OF b.pt AS x ON b.k = x.k"


def test_distinct_keys_in_one_question(session: Session) -> None:
    _make(session)
    found = session.sql(f"SELECT b.k, x.v {JOIN}").pl().rows()
    assert found == [(1, "one"), (2, "two"), (None, None), (1, "one"), (7, None), (1, "one"), (7, None)]
    assert ASKED == [[1, 2, 7]]


def test_a_cache_and_what_is_said_of_it(session: Session) -> None:
    _make(session, ", 'lookup.cache' = 'PARTIAL', 'lookup.partial-cache.max-rows' = '1000'")
    assert session.sql(f"SELECT x.v {JOIN}").pl()["v"].to_list() == ["one", "two", None, "one", None, "one", None]
    plan = "\n".join(str(r[0]) for r in session.sql(f"EXPLAIN SELECT x.v {JOIN}").rows())
    assert "a cache of at most 1000 rows, which is no state" in plan
    assert "keeps every key for ever" not in plan


def test_a_cache_without_bounds_is_warned_of(session: Session) -> None:
    _make(session, ", 'lookup.cache' = 'PARTIAL'")
    plan = "\n".join(str(r[0]) for r in session.sql(f"EXPLAIN SELECT x.v {JOIN}").rows())
    assert "The lookup cache of 't' keeps every key for ever" in plan


def test_asking_again_ends_with_the_input(session: Session) -> None:
    _make(session)
    hint = (
        "/*+ LOOKUP('table'='x', 'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay', 'fixed-delay'='1 h',"
        " 'max-attempts'='3', 'async'='true') */"
    )
    text = f"SELECT {hint} b.k, x.v {JOIN}"
    assert len(session.sql(text).pl()) == 7
    plan = "\n".join(str(r[0]) for r in session.sql(f"EXPLAIN {text}").rows())
    assert "LOOKUP: 'async' changes nothing here" in plan
    assert "rows that found nothing until they ask again" in plan
