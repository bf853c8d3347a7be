"""The 28 queries of Nexmark over files: scripts for Deras and for Flink, and SQL for DuckDB.

``queries/`` holds the suite's own texts, word for word; what has to be put in another's place is here.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
QUERIES = [*(f"q{i}" for i in range(24)), *(f"cep_q{i}" for i in range(4))]

TABLES = {
    "person": """CREATE TABLE person (
  id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR,
  `dateTime` TIMESTAMP(3), extra VARCHAR, PRIMARY KEY (id) NOT ENFORCED,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
)""",
    "auction": """CREATE TABLE auction (
  id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT,
  `dateTime` TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra VARCHAR,
  PRIMARY KEY (id) NOT ENFORCED,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
)""",
    "bid": """CREATE TABLE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, `dateTime` TIMESTAMP(3), extra VARCHAR,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
)""",
}
SIDE_INPUT = (
    "CREATE TABLE side_input (key BIGINT, `value` VARCHAR) "
    "WITH ('connector' = 'filesystem', 'path' = '{path}/side_input.csv', 'format' = 'csv')"
)
COUNT_CHAR = "CREATE FUNCTION count_char AS 'count_char.count_char' LANGUAGE PYTHON"
PROCTIME = {"q12"}
"""Their windows are of the clock: only the sums over all windows can be compared."""
KEYS = {"q9": ("id",)}
"""Where Flink gives +U without -U: the key to fold its changes by."""
NOT_FLINK = {"q6", "q12"}
"""Flink cannot run q6 (OVER on updating input), and of q12 it drops the windows that are open when the input ends: DuckDB
is the oracle."""
REWRITTEN = {"q6"}
"""The suite's text cannot be bound; ours lies beside its folder."""
NOT_DUCKDB = {*(f"cep_q{i}" for i in range(4))}
NEEDS = {"q3": "ap", "q4": "ab", "q6": "ab", "q8": "ap", "q9": "ab", "q20": "ab", "q23": "abp"}
_LETTER = {"a": "auction", "b": "bid", "p": "person"}


def inputs(query: str) -> list[str]:
    """The tables that a query reads."""
    return [_LETTER[c] for c in NEEDS.get(query, "b")]


def tables(folder: Path | str, wanted: list[str]) -> list[str]:
    """CREATE TABLE statements of NDJSON files in a folder."""
    with_ = "WITH ('connector' = 'filesystem', 'path' = '{}/{}.json', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL')"
    return [f"{TABLES[t]} {with_.format(folder, t)}" for t in wanted]


def statements(query: str) -> list[str]:
    """The statements of the suite's text."""
    folder = FOLDER if query in REWRITTEN else FOLDER / "queries"
    text = re.sub(r"--[^\n]*", "", (folder / f"{query}.sql").read_text(encoding="utf-8"))
    return [s.strip() for s in text.split(";") if s.strip()]


def sink_columns(query: str) -> list[tuple[str, str]]:
    """Names and types of the columns that :func:`script` writes."""
    sink = next(s for s in script(query, "") if s.startswith("CREATE TABLE nexmark_q") or "discard_sink" in s)
    inner = sink[sink.index("(") + 1 : sink.rindex(") WITH")]
    columns = [c.strip().split(None, 1) for c in re.split(r",(?![^(]*\))", inner)]
    return [(name.strip("`"), type_.strip()) for name, type_ in columns]


def script(query: str, folder: Path | str, *, flink: bool = False) -> list[str]:
    """The statements that run a query over the files of a folder.

    Rows go into the suite's black hole, or for Flink into its standard output, each after the query's name.
    """
    found = [*tables(folder, inputs(query))]
    for s in statements(query):
        if s.startswith("CREATE TABLE side_input"):
            s = SIDE_INPUT.format(path=folder)
        elif s.startswith("CREATE FUNCTION"):
            if flink:
                continue
            s = COUNT_CHAR
        elif s.startswith("CREATE TABLE"):
            # q10 writes partitioned files: its rows are compared here, its files in a test of their own.
            s = re.sub(
                r"\s*(PARTITIONED BY \([^)]*\)\s*)?WITH\s*\(.*\)",
                " WITH ('connector' = 'blackhole')",
                s,
                flags=re.DOTALL,
            )
            if query in PROCTIME:
                s = re.sub(r",\s*starttime.*\)\s*WITH", ") WITH", s, flags=re.DOTALL)
            if flink:
                s = s.replace("'blackhole'", f"'print', 'print-identifier' = '{query}'")
        elif s.startswith("INSERT") and query in PROCTIME:
            head, select = s.split("SELECT", 1)
            s = f"{head}SELECT bidder, SUM(bid_count) FROM (SELECT{select}) GROUP BY bidder"
        if flink:
            s = _for_flink(query, s)
        found.append(s)
    return found


def _for_flink(query: str, s: str) -> str:
    if query == "q13":
        # Its file connector cannot be looked up in; the file does not change, so a join gives the same.
        s = s.replace("FOR SYSTEM_TIME AS OF B.p_time ", "")
    if query == "q23":
        s = s.replace("A.dateTime", "A.`dateTime`")
    if query == "q14":
        # What the suite's Java function does.
        s = re.sub(
            r"count_char\(extra, 'c'\)", "CAST(CHAR_LENGTH(extra) - CHAR_LENGTH(REPLACE(extra, 'c', '')) AS BIGINT)", s
        )
    return s


def duckdb(query: str, folder: Path | str) -> str | None:
    """DuckDB's SELECT with the same final rows, or None."""
    if query in NOT_DUCKDB:
        return None
    text = (FOLDER / "duckdb" / f"{query}.sql").read_text(encoding="utf-8")
    for table, ddl in TABLES.items():
        columns = re.findall(r"[(,]\s*`?(\w+)`? (BIGINT|VARCHAR|TIMESTAMP)", ddl)
        shape = ", ".join(f"{n}: '{t}'" for n, t in columns)
        read = f"read_json('{folder}/{table}.json', format = 'newline_delimited', columns = {{{shape}}})"
        text = text.replace(f"{{{table}}}", read)
    return text.replace(
        "{side_input}", f"read_csv('{folder}/side_input.csv', columns = {{key: 'BIGINT', value: 'VARCHAR'}})"
    )


def clink(query: str, folder: Path | str, sink: str = "connector='blackhole'") -> str | None:
    """The script for clink over files with moments in milliseconds, or None if it cannot run the query."""
    path = FOLDER / "clink" / f"{query}.sql"
    if not path.exists():
        return None
    found = []
    for t in inputs(query):
        columns = re.sub(r",\s*(WATERMARK|PRIMARY KEY).*", ")", TABLES[t], flags=re.DOTALL).replace(
            "TIMESTAMP(3)", "BIGINT"
        )
        # Names with capitals stand in double quotes there.
        columns = re.sub(r"`?(\b[a-z]+[A-Z]\w*)`?", r'"\1"', columns)
        found.append(
            f"{columns} WITH (connector='file', format='json', path='{folder}/{t}.json', "
            "event_time_column='dateTime', watermark_lag_ms='4000');"
        )
    return "\n".join([*found, path.read_text(encoding="utf-8").replace("{sink}", sink)])
