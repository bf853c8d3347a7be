"""What in a script is ours and not Flink's: ``deras check --target flink``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.core.errors import Span, line_column
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Iterator

# Connectors and formats that come with Flink or its well-known extensions.
FLINK_CONNECTORS = frozenset(
    [
        "filesystem",
        "datagen",
        "print",
        "blackhole",
        "kafka",
        "upsert-kafka",
        "jdbc",
        "faker",
        "nexmark",
        "elasticsearch-7",
        "elasticsearch-6",
        "opensearch",
        "hbase-2.2",
        "hbase-1.4",
        "kinesis",
        "kinesis-legacy",
        "firehose",
        "dynamodb",
        "mongodb",
        "pulsar",
        "postgres-cdc",
        "mysql-cdc",
        "oracle-cdc",
        "sqlserver-cdc",
        "mongodb-cdc",
        "python-input-format",
    ]
)
FLINK_FORMATS = frozenset(
    [
        "json",
        "csv",
        "raw",
        "parquet",
        "orc",
        "avro",
        "avro-confluent",
        "protobuf",
        "debezium-json",
        "debezium-avro-confluent",
        "canal-json",
        "maxwell-json",
        "ogg-json",
    ]
)
# Our options of Flink's connectors and formats, with what to do instead.
OUR_OPTIONS = {
    "filesystem": {
        "scan.replay.speed": "Leave it out: Flink reads a file as fast as it can.",
    },
    "datagen": {"seed": "Leave it out: Flink's datagen has no seed."},
    "faker": {"seed": "Leave it out: flink-faker has no seed."},
    "nexmark": {
        "seed": "Leave it out: Flink's generator has no seed.",
        "base-time": "Leave it out: Flink's generator begins now.",
    },
    "csv": {"header": "Skip the header line before the job, or allow it with 'csv.ignore-parse-errors' = 'true'."},
}
_FLINK_FILESYSTEM = frozenset(
    [
        "path",
        "source.monitor-interval",
        "source.path.regex-pattern",
        "source.report-statistics",
        "sink.rolling-policy.file-size",
        "sink.rolling-policy.rollover-interval",
        "sink.rolling-policy.check-interval",
        "sink.partition-commit.trigger",
        "auto-compaction",
        "sink.partition-commit.delay",
        "sink.partition-commit.watermark-time-zone",
        "sink.partition-commit.policy.kind",
        "sink.partition-commit.policy.class",
        "sink.partition-commit.success-file.name",
        "compaction.file-size",
        "sink.parallelism",
        "partition.default-name",
        "partition.time-extractor.kind",
        "partition.time-extractor.class",
        "partition.time-extractor.timestamp-pattern",
        "sink.shuffle-by-partition.enable",
    ]
)
_COMMON = frozenset(
    [
        "connector",
        "format",
        "key.format",
        "value.format",
        "scan.watermark.idle-timeout",
        "scan.watermark.alignment.group",
        "scan.parallelism",
        "scan.watermark.alignment.max-drift",
        "scan.watermark.alignment.update-interval",
        "scan.watermark.emit.strategy",
        "sink.parallelism",
    ]
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that Apache Flink does not know.

    Args:
        what: what it is, e.g. ``CREATE MATERIALIZED VIEW``.
        span: where.
        instead: a sentence: what to write for Flink.
        line: from 1.
        column: from 1.
    """

    what: str
    span: Span
    instead: str
    line: int = 0
    column: int = 0


def check(script: str) -> list[Finding]:
    """Find every statement, clause, option and function of a script that Flink 2.3 does not have.

    Raises:
        SqlSyntaxError: the script is not SQL.
    """
    from deras.sql.syntax.parser import parse_script

    found: list[Finding] = []
    for statement in parse_script(script):
        for what, span, instead in _statement(statement):
            line, column = line_column(script, span.start)
            found.append(Finding(what, span, instead, line, column))
    return sorted(found, key=lambda f: (f.span.start, f.what))


Hit = tuple[str, Span, str]


def _statement(x: ast.Statement) -> Iterator[Hit]:
    if isinstance(x, ast.CreateMaterializedView):
        instead = "CREATE TABLE with a connector such as upsert-kafka or jdbc, and INSERT INTO it."
        yield "CREATE MATERIALIZED VIEW", _head(x), instead
    if isinstance(x, ast.CreateTable):
        yield from _options(x)
    if isinstance(x, (ast.SetOption, ast.ResetOption)):
        yield from _setting(x)
    if isinstance(x, ast.Show) and x.what in ("MATERIALIZED VIEWS", "CREATE MATERIALIZED VIEW"):
        yield f"SHOW {x.what}", x.span, "Leave it out: Flink has no materialized views."
    if isinstance(x, ast.Drop) and x.kind == "MATERIALIZED VIEW":
        yield "DROP MATERIALIZED VIEW", x.span, "DROP TABLE for the table that stands for it."
    for node in x.walk():
        if isinstance(node, ast.Call):
            yield from _call(node)
        elif isinstance(node, ast.MatchRecognize):
            yield from _match(node)
        elif isinstance(node, ast.Join) and "ASOF" in node.kind:
            yield "ASOF JOIN", node.span, "Join FOR SYSTEM_TIME AS OF a versioned table."
        elif isinstance(node, ast.Hint) and node.name.upper() == "OPTIONS":
            for o in node.options:
                if o.key.startswith("deras."):
                    yield f"option '{o.key}'", o.key_span, "Leave it out."


def _head(x: ast.Statement) -> Span:
    """The first words of a statement, without its query."""
    name = getattr(x, "name", None)
    return Span(x.span.start, name.span.end) if isinstance(name, ast.ObjectName) else x.span


def _call(x: ast.Call) -> Iterator[Hit]:
    from deras.sql.functions.registry import find

    if x.function == "DETECT_ANOMALIES":
        yield (
            "DETECT_ANOMALIES",
            x.name.span,
            "Compare with a moving average in an OVER window, or use a Python function.",
        )
    if x.function in ("SNAPSHOT", "SLIDING"):
        instead = {"SNAPSHOT": "Use TUMBLE of one millisecond.", "SLIDING": "Use HOP, or OVER with a RANGE."}
        yield f"the window {x.function}", x.name.span, instead[x.function]
    if x.function == "LATE_ROWS":
        yield "LATE_ROWS", x.name.span, "Filter by WHERE ts <= CURRENT_WATERMARK(ts)."
    function = find(x.function)
    if function is not None and function.ours:
        yield f"function {x.function}", x.name.span, "Write it as a Python function."
    if x.function == "SUM0":
        yield "function SUM0", x.name.span, "Write COALESCE(SUM(…), 0)."


def _match(x: ast.MatchRecognize) -> Iterator[Hit]:
    where = "in MATCH_RECOGNIZE"
    others = (ast.PatternAlternation, ast.PatternPermute, ast.PatternExclude)
    for node in x.pattern.walk():
        group = isinstance(node, ast.PatternRepeat) and not isinstance(node.item, ast.PatternVariable)
        if group or isinstance(node, others):
            what = f"a pattern with groups, alternation, PERMUTE or exclusion {where}"
            yield what, node.span, "Write it as a sequence of variables."
            break
    last = x.pattern.items[-1] if isinstance(x.pattern, ast.PatternSequence) else x.pattern
    loops = isinstance(last, ast.PatternRepeat) and (last.least, last.most) not in ((0, 1), (last.most, last.most))
    if isinstance(last, ast.PatternRepeat) and last.greedy and loops:
        yield f"a greedy quantifier at the end {where}", last.span, "End with a plain variable, or with +?."
    if x.rows_per_match == "ALL":
        yield "ALL ROWS PER MATCH", x.span, "ONE ROW PER MATCH, with what is needed in MEASURES."
    for s in x.subsets:
        yield f"SUBSET {where}", s.span, "Flink reads it and gives NULL for its columns."
    for part in (*x.measures, *x.defines):
        for node in part.walk():
            if isinstance(node, ast.Call) and (node.function in _OUR_MATCH_CALLS or node.match_scope == "RUNNING"):
                name = node.match_scope if node.function not in _OUR_MATCH_CALLS else node.function
                yield f"{name} {where}", node.name.span, "LAST(column, 1) is the row before within the match."


_OUR_MATCH_CALLS = frozenset({"CLASSIFIER", "MATCH_NUMBER", "PREV", "NEXT"})


def _setting(x: ast.SetOption | ast.ResetOption) -> Iterator[Hit]:
    if isinstance(x, ast.SetOption):
        if x.option is not None and x.option.key.startswith("deras."):
            yield f"setting '{x.option.key}'", x.option.key_span, "Leave it out: Flink ignores or refuses it."
    elif x.key is not None and x.key.startswith("deras."):
        yield f"setting '{x.key}'", x.span, "Leave it out: Flink ignores or refuses it."


def _options(x: ast.CreateTable) -> Iterator[Hit]:
    texts = {o.key: o for o in x.options}
    connector = texts.get("connector")
    if connector is None:
        return
    name = connector.value
    if name not in FLINK_CONNECTORS:
        instead = (
            "Post the records to Kafka and read them with 'connector' = 'kafka'."
            if name == "http"
            else "Use one of Flink's."
        )
        yield f"connector '{name}'", connector.value_span, instead
        return
    form = texts.get("format") or texts.get("value.format")
    if form is not None and form.value not in FLINK_FORMATS:
        yield f"format '{form.value}'", form.value_span, "Use json, csv, avro, protobuf, parquet, orc or raw."
    for o in x.options:
        if o.key == "scan.watermark.idle-advance":
            yield f"option '{o.key}'", o.key_span, "Leave it out: in Flink time stands still while a source is idle."
        elif o.key in OUR_OPTIONS.get(name, {}):
            yield f"option '{o.key}' of connector '{name}'", o.key_span, OUR_OPTIONS[name][o.key]
        elif (
            name == "filesystem" and o.key not in _FLINK_FILESYSTEM | _COMMON and "." in o.key and not _of_format(o.key)
        ):
            yield f"option '{o.key}' of connector '{name}'", o.key_span, "Leave it out: Flink refuses unknown options."
        elif _of_format(o.key):
            head, _, rest = o.key.removeprefix("value.").partition(".")
            if rest in OUR_OPTIONS.get(head, {}):
                yield f"option '{o.key}' of format '{head}'", o.key_span, OUR_OPTIONS[head][rest]


def _of_format(key: str) -> bool:
    return key.removeprefix("value.").removeprefix("key.").partition(".")[0] in FLINK_FORMATS
