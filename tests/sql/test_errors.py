"""Wrong statements: one message, with its place and what to do."""

from __future__ import annotations

import pytest
from harness import Session

from deras.core.errors import SqlError

TABLES = """
CREATE TABLE t (a INT, b STRING NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE plain (a INT, ts TIMESTAMP(3)) WITH ('connector' = 'datagen');
CREATE TABLE files (a BIGINT, b STRING) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'json');
CREATE TABLE hole (a BIGINT, b STRING NOT NULL) WITH ('connector' = 'blackhole');
CREATE VIEW v AS SELECT a FROM t;
"""

WRONG = [
    ("SELECT aa FROM t", "there is no column 'aa'", "aa"),
    ("SELECT x.a FROM t", "there is no table or column 'x'", "x"),
    ("SELECT t.c FROM t", "'t' has no column 'c'", "c"),
    ("SELECT a FROM tt", "there is no table or view 'tt'", "tt"),
    ("SELECT a, COUNT(*) FROM t", "column 'a' is neither grouped nor inside an aggregate function", "a"),
    ("SELECT b FROM t GROUP BY a", "column 'b' is neither grouped nor inside an aggregate function", "b"),
    ("SELECT a FROM t WHERE COUNT(*) > 1", "aggregate function COUNT cannot stand in WHERE", "COUNT(*)"),
    ("SELECT a FROM t WHERE b", "WHERE needs a BOOLEAN, not STRING", "b"),
    ("SELECT SUM(b) FROM t", "SUM takes numbers, not STRING", "SUM(b)"),
    ("SELECT a FROM t x JOIN t x ON x.a = x.a", "table name 'x' stands twice in FROM", None),
    ("SELECT a FROM t x JOIN t y ON x.a = y.a", "column 'a' is ambiguous", "a"),
    ("SELECT * FROM t ORDER BY a", "sort on a non-time-attribute field is not supported", "a"),
    ("SELECT * FROM t x LEFT JOIN t y", "expected ON or USING, found the end of the text", None),
    ("SELECT * FROM t x LEFT JOIN t y ON x.a", "ON needs a BOOLEAN, not INT", "x.a"),
    ("SELECT * FROM t x FULL JOIN t y ON x.a = y.c", "'y' has no column 'c'", "c"),
    ("SELECT * FROM t x JOIN t y USING (c)", "there is no column 'c' on the left of the join", "c"),
    ("SELECT * FROM t x RIGHT JOIN (SELECT b FROM t) y USING (a)", "there is no column 'a' on the right of the join", "a"),
    ("SELECT a FROM t INTERSECT SELECT a, b FROM t", "INTERSECT needs equal numbers of columns: 1 and 2", "SELECT a, b FROM t"),
    ("SELECT a FROM t UNION ALL SELECT a, b FROM t", "UNION needs equal numbers of columns: 1 and 2", None),
    ("SELECT a FROM t UNION ALL SELECT b FROM t", "column 1 of UNION has no common type: INT and STRING", None),
    ("SELECT * FROM TUMBLE(TABLE plain, DESCRIPTOR(ts), INTERVAL '1' MINUTE)", "TUMBLE needs a time attribute, which 'ts' is not", "DESCRIPTOR(ts)"),
    ("SELECT * FROM HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '3' MINUTE, INTERVAL '10' MINUTE)", "the size of HOP must be a multiple of its slide", "INTERVAL '10' MINUTE"),
    ("SELECT * FROM TUMBLE(TABLE t, DESCRIPTOR(tz), INTERVAL '1' MINUTE)", "there is no column 'tz'", "tz"),
    ("SELECT * FROM TUMBLES(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)", "there is no table function 'TUMBLES'", "TUMBLES"),
    ("SELECT * FROM SESSION(TABLE t, DESCRIPTOR(ts))", "SESSION needs GAP", "SESSION(TABLE t, DESCRIPTOR(ts))"),
    ("SELECT a FROM t GROUP BY 1", "GROUP BY takes no positions in Flink SQL", "1"),
    ("SELECT (SELECT a, b FROM t) FROM t", "a subquery that stands for a value has one column, this has 2", "(SELECT a, b FROM t)"),
    ("INSERT INTO files SELECT a FROM t", "the query has 1 columns, table 'files' takes 2", None),
    ("INSERT INTO files SELECT b, b FROM t", "column 'a' of table 'files' is BIGINT, the query gives STRING", "b"),
    ("INSERT INTO files (a, c) SELECT a, b FROM t", "table 'files' has no column 'c' to write", "c"),
    ("INSERT INTO hole (a) SELECT a FROM t", "column 'b' of table 'hole' is NOT NULL and gets no value", "hole"),
    ("INSERT INTO files SELECT COUNT(*), b FROM t GROUP BY b", "table 'files' doesn't support consuming update changes", "files"),
    ("INSERT INTO v SELECT a FROM t", "'v' is a view and cannot be written to", "v"),
    ("CREATE TABLE n (a INT, a INT) WITH ('connector' = 'print')", "column 'a' is declared twice", "a"),
    ("CREATE TABLE n (a INT, WATERMARK FOR a AS a) WITH ('connector' = 'print')", "a rowtime column must be TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p <= 3, 'a' is INT", "a"),
    ("CREATE TABLE n (a INT, PRIMARY KEY (b) NOT ENFORCED) WITH ('connector' = 'print')", "there is no column 'b'", "b"),
    ("CREATE TABLE n (a INT PRIMARY KEY) WITH ('connector' = 'print')", "a PRIMARY KEY cannot be enforced: the rows belong to the outside system", None),
    ("CREATE TABLE n (a INT) WITH ('connector' = 'prnt')", "there is no connector 'prnt'", "'prnt'"),
    ("CREATE TABLE n (a INT) WITH ('connector' = 'print', 'print-identifer' = 'x')", "connector 'print' has no option 'print-identifer'", "'print-identifer'"),
    ("CREATE TABLE n (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = 'x')", "option 'rows-per-second' of connector 'datagen': 'x' is no whole number", "'x'"),
    ("CREATE TABLE t (a INT) WITH ('connector' = 'print')", "table 't' exists already", "t"),
    ("CREATE MATERIALIZED VIEW m AS SELECT a + 1 FROM t", "column 1 of view 'm' has no name", None),
    ("DROP TABLE v", "'v' is a view", "v"),
    ("DROP TABLE t", "'t' is read by v", "t"),
    ("DROP VIEW nope", "there is no table or view 'nope'", "nope"),
    ("SET 'deras.on-eror' = 'fail'", "there is no setting 'deras.on-eror'", "'deras.on-eror'"),
    ("SET 'table.local-time-zone' = 'Mars'", "setting 'table.local-time-zone': there is no time zone 'Mars'", "'Mars'"),
    ("DELETE FROM t", "DELETE is not possible on a stream", None),
    ("SELECT UPER(b) FROM t", "there is no function 'UPER'", "UPER"),
]  # fmt: skip


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(TABLES)


@pytest.mark.parametrize(("text", "message", "place"), WRONG, ids=[w[0][:60] for w in WRONG])
def test_wrong(session: Session, text: str, message: str, place: str | None) -> None:
    with pytest.raises(SqlError) as e:
        session.plan(text)
    assert e.value.message == message
    assert e.value.span is not None
    if place is not None:
        assert text[e.value.span.start : e.value.span.end] == place
    assert "^" in e.value.render()


def test_did_you_mean(session: Session) -> None:
    for text, word in (
        ("SELECT bb FROM t", "'b'"),
        ("SELECT UPER(b) FROM t", "'UPPER'"),
        ("SELECT a FROM fils", "'files'"),
        ("CREATE TABLE n (a INT) WITH ('connector' = 'prnt')", "'print'"),
    ):
        with pytest.raises(SqlError) as e:
            session.plan(text)
        assert word in e.value.hint


def test_error_inside_a_view_shows_the_view() -> None:
    session = Session(TABLES)
    session.run("CREATE VIEW w AS SELECT b FROM t;")
    session.catalog.remove(("t",))
    with pytest.raises(SqlError) as e:
        session.plan("SELECT * FROM w")
    assert "SELECT b FROM t" in e.value.render()
