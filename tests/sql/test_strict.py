"""What is ours is found, and nothing of Flink's."""

from __future__ import annotations

from deras.sql.strict import check

OURS = """
CREATE TABLE r (v DOUBLE) WITH ('connector' = 'http', 'format' = 'json');
CREATE TABLE f (v DOUBLE) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'csv', 'scan.replay.speed' = '60', 'csv.header' = 'true');
SET 'deras.on-error' = 'fail';
CREATE MATERIALIZED VIEW m AS SELECT * FROM TABLE(DETECT_ANOMALIES(DATA => TABLE r, TIMECOL => DESCRIPTOR(t), VALUECOL => DESCRIPTOR(v)));
"""
THEIRS = """
SET 'table.local-time-zone' = 'UTC';
CREATE TABLE k (a INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = 'a', 'format' = 'json', 'json.ignore-parse-errors' = 'true');
CREATE TABLE f (a INT) PARTITIONED BY (a) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'csv', 'csv.field-delimiter' = ';');
INSERT INTO f SELECT a FROM TABLE(TUMBLE(TABLE k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY a, window_start, window_end;
"""


def test_ours_is_found() -> None:
    found = check(OURS)
    assert [f.what for f in found] == [
        "connector 'http'",
        "option 'scan.replay.speed' of connector 'filesystem'",
        "option 'csv.header' of format 'csv'",
        "setting 'deras.on-error'",
        "CREATE MATERIALIZED VIEW",
        "DETECT_ANOMALIES",
    ]
    assert all(f.instead.endswith(".") for f in found)
    assert (found[0].line, found[0].column) == (2, 47)


def test_flinks_is_not() -> None:
    assert check(THEIRS) == []


def test_what_flink_does_not_match() -> None:
    text = """SELECT * FROM e MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES CLASSIFIER() AS c, RUNNING LAST(A.n) AS l
    ALL ROWS PER MATCH PATTERN ((A B)+ C+) SUBSET U = (A, B) DEFINE B AS n > PREV(n));"""
    assert [(f.what.removesuffix(" in MATCH_RECOGNIZE"), f.line) for f in check(text)] == [
        ("ALL ROWS PER MATCH", 1),
        ("CLASSIFIER", 1),
        ("RUNNING", 1),
        ("a pattern with groups, alternation, PERMUTE or exclusion", 2),
        ("a greedy quantifier at the end", 2),
        ("SUBSET", 2),
        ("PREV", 2),
    ]
    plain = (
        "SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES A.n AS c PATTERN (A B+ C?) DEFINE B AS LAST(n, 1) > 1);"
    )
    assert check(plain) == []


def test_windows_that_are_ours() -> None:
    text = """CREATE TABLE e (ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'kafka', 'scan.watermark.idle-timeout' = '1 s', 'scan.watermark.idle-advance' = 'true');
    SELECT * FROM LATE_ROWS(TABLE e);
    SELECT * FROM TABLE(SNAPSHOT(TABLE e, DESCRIPTOR(ts)));
    SELECT * FROM SLIDING(TABLE e, DESCRIPTOR(ts), INTERVAL '1' HOUR);"""
    assert [f.what for f in check(text)] == [
        "option 'scan.watermark.idle-advance'",
        "LATE_ROWS",
        "the window SNAPSHOT",
        "the window SLIDING",
    ]


def test_functions_that_are_ours_are_found_and_only_they() -> None:
    from deras.sql.functions.aggregates import BUILT, NAMES
    from deras.sql.functions.registry import functions
    from deras.sql.syntax.words import NILADIC

    names = [n for n in functions() if n[0].isalpha() and n not in ("ARRAY", "MAP", "ROW", "IF", "ITEM")]
    special = {"EXTRACT", "TRIM", "POSITION", "OVERLAY", "TIMESTAMPADD", "TIMESTAMPDIFF", "SUBSTRING"}
    special |= set(NILADIC)  # without brackets
    special |= {n for n in [*names, *BUILT] if n.startswith("JSON_")}
    ours = set()
    for name in {*names, *NAMES, *BUILT} - special:
        if any(f.what == f"function {name}" for f in check(f"SELECT {name}(x, y) FROM t;")):
            ours.add(name)
    assert ours == {n for n, f in functions().items() if f.ours} | {"SUM0"}
    assert "LENGTH" in ours
    assert "CHAR_LENGTH" not in ours
