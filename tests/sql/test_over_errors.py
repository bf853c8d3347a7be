"""Wrong windows of rows: one message, with its place and what to do; and what strict-flink refuses."""

from __future__ import annotations

import pytest
from harness import Session

from deras.core.errors import SqlError

TABLES = """
CREATE TABLE t (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
"""
W = "OVER (ORDER BY ts)"

WRONG = [
    (
        "SELECT ROW_NUMBER() OVER (ORDER BY ts DESC) FROM t",
        "the window can only be ordered in ASCENDING mode",
        "ts DESC",
    ),
    (
        "SELECT SUM(a) OVER (PARTITION BY b ORDER BY a DESC) FROM t",
        "the window can only be ordered in ASCENDING mode",
        "a DESC",
    ),
    ("SELECT SUM(a) OVER () FROM t", "the window can only be ordered by a single time column", "SUM(a) OVER ()"),
    ("SELECT SUM(a) OVER (ORDER BY ts, a) FROM t", "the window can only be ordered by a single time column", "ts, a"),
    (
        "SELECT SUM(a) OVER (ORDER BY ts ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) FROM t",
        "OVER frames that do not end at the current row are not supported in streaming mode",
        "ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING",
    ),
    (
        "SELECT SUM(a) OVER (ORDER BY ts ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM t",
        "OVER frames that do not end at the current row are not supported in streaming mode",
        "ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
    ),
    (f"SELECT LEAD(a) {W} FROM t", "LEAD is not supported in streaming mode", f"LEAD(a) {W}"),
    (f"SELECT NTILE(2) {W} FROM t", "NTILE is not supported in streaming mode", f"NTILE(2) {W}"),
    (f"SELECT a FROM t WHERE COUNT(*) {W} > 1", "window function COUNT cannot stand in WHERE", f"COUNT(*) {W}"),
    (f"SELECT COUNT(*) FROM t GROUP BY SUM(a) {W}", "window function SUM cannot stand in GROUP BY", f"SUM(a) {W}"),
    (f"SELECT SUM(COUNT(*) {W}) {W} FROM t", "a window function cannot stand inside another", f"SUM(COUNT(*) {W}) {W}"),
    (
        "SELECT SUM(a) OVER (ORDER BY ts RANGE 5 PRECEDING) FROM t",
        "RANGE over a time takes an INTERVAL of days to seconds",
        "5 PRECEDING",
    ),
    (
        "SELECT SUM(a) OVER (ORDER BY ts ROWS INTERVAL '1' MINUTE PRECEDING) FROM t",
        "the bound of ROWS must be a whole number from 0 on, written out",
        "INTERVAL '1' MINUTE",
    ),
    (
        "SELECT SUM(a) OVER (ORDER BY ts ROWS a PRECEDING) FROM t",
        "the bound of ROWS must be a whole number from 0 on, written out",
        "a",
    ),
    ("SELECT RANK() OVER (ORDER BY ts ROWS 1 PRECEDING) FROM t", "RANK takes no ROWS frame", "ROWS 1 PRECEDING"),
    (
        "SELECT RANK() OVER (PARTITION BY a) FROM t",
        "RANK needs an ORDER BY in its window",
        "RANK() OVER (PARTITION BY a)",
    ),
    ("SELECT RANK() FROM t", "RANK needs OVER", "RANK()"),
    (f"SELECT LAG(a, a) {W} FROM t", "the distance of LAG must be a whole number from 0 on, written out", "a"),
    ("SELECT SUM(a) OVER windw FROM t WINDOW window1 AS (ORDER BY ts)", "there is no window 'windw'", "windw"),
    (
        "SELECT SUM(a) OVER (w ORDER BY a) FROM t WINDOW w AS (ORDER BY ts)",
        "'w' has an ORDER BY already",
        "(w ORDER BY a)",
    ),
    (
        "SELECT SUM(a) OVER (w PARTITION BY b) FROM t WINDOW w AS (ORDER BY ts)",
        "a window on top of 'w' cannot have a PARTITION BY of its own",
        "(w PARTITION BY b)",
    ),
    (f"SELECT UPPER(b) {W} FROM t", "OVER takes aggregate and ranking functions, which UPPER is not", "UPPER"),
    (f"SELECT FIRST_VALUE(a) IGNORE NULLS {W} FROM t", "IGNORE NULLS does not go with FIRST_VALUE", None),
    ("SELECT a FROM t QUALIFY a > 1", "QUALIFY needs a window function", "a > 1"),
]

OURS = [
    f"SELECT COUNT(*) FILTER (WHERE a > 1) {W} FROM t",
    f"SELECT SUM(a) {W}, SUM(a) OVER (PARTITION BY b ORDER BY ts) FROM t",
    "SELECT SUM(a) OVER (ORDER BY a ROWS 1 PRECEDING) FROM t",
    "SELECT AVG(m) OVER (PARTITION BY b ORDER BY m ROWS 10 PRECEDING) FROM (SELECT b, MAX(a) AS m FROM t GROUP BY b)",
]


@pytest.mark.parametrize(("text", "message", "place"), WRONG, ids=[w[0] for w in WRONG])
def test_wrong(text: str, message: str, place: str | None) -> None:
    with pytest.raises(SqlError) as caught:
        Session(TABLES).plan(text)
    assert caught.value.message == message
    span = caught.value.span
    assert span is not None
    if place is not None:
        assert text[span.start : span.end] == place


@pytest.mark.parametrize("text", OURS)
def test_what_is_ours_is_refused_under_strict_flink(text: str) -> None:
    Session(TABLES).plan(text)
    with pytest.raises(SqlError) as caught:
        Session(TABLES, **{"deras.strict-flink": "true"}).plan(text)
    assert caught.value.hint
