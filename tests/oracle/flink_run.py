"""Runs cases in Apache Flink and prints what comes out. Runs in Flink's own environment, with nothing of ours.

Reads one JSON object from the file named first: ``{"folder": …, "cases": [case, …]}``, writes a list of answers to the
file named second. A case is ``{"setup": [statements], "query": text}`` or ``{"setup": […], "from": "t" | "",
"expressions": [text, …], "alone": [place, …]}`` (places of expressions that may fail). An answer is ``{"types", "names", "changes"}``, ``{"fails": message}`` (at run time) or
``{"rejected": message}``; for expressions a list of ``{"type", "values"}`` or the same two failures.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.java_gateway import get_gateway
from pyflink.table import EnvironmentSettings, TableEnvironment

CHUNK = 40
"""Expressions in one query, as long as none fails."""


class Flink:
    """One table environment; settings and tables are put back between cases."""

    def __init__(self) -> None:
        configuration = Configuration()
        configuration.set_string("rest.port", "0")
        configuration.set_string("parallelism.default", "1")
        settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
        self.environment = TableEnvironment.create(settings)
        self.java = self.environment._j_tenv
        self.gateway = get_gateway()
        self.made: list[str] | None = None

    def set_up(self, statements: list[str]) -> None:
        """Make the tables and settings of a case, unless they are there."""
        if statements == self.made:
            return
        for kind, drop in (("TemporaryViews", "TEMPORARY VIEW"), ("Views", "VIEW"), ("Tables", "TABLE")):
            for name in getattr(self.java, f"list{kind}")():
                self.java.executeSql(f"DROP {drop} IF EXISTS `{name}`")
        config = self.environment.get_config()
        config.set("table.local-time-zone", "UTC")
        config.set("pipeline.auto-watermark-interval", "0 ms")
        config.set("parallelism.default", "1")
        for s in statements:
            if s.strip().upper().startswith("SET "):
                key, value = (p.strip().strip("'") for p in s.strip()[4:].split("=", 1))
                config.set(key, value)
            else:
                self.java.executeSql(s)
        self.made = statements

    def rows(self, query: str) -> tuple[list[str], list[str], list[tuple[str, list[str]]]]:
        """Names, types, and rows with their kinds; every value as Java's text."""
        table = self.java.sqlQuery(query)
        schema = table.getResolvedSchema()
        names = list(schema.getColumnNames())
        types = [t.getLogicalType().asSummaryString() for t in schema.getColumnDataTypes()]
        found = []
        try:
            iterator = table.execute().collect()
            try:
                while iterator.hasNext():
                    row = iterator.next()
                    found.append((row.getKind().shortString(), [self._text(row, i) for i in range(len(names))]))
            finally:
                iterator.close()
        except Exception as e:
            raise RunError(reason(e)) from None
        return names, types, found

    def _text(self, row: Any, place: int) -> str:
        one = self.gateway.new_array(self.gateway.jvm.int, 1)
        one[0] = place
        return str(row.project(row, one).toString())[3:-1]

    def query(self, text: str) -> dict[str, Any]:
        """The answer to a query."""
        try:
            names, types, rows = self.rows(text)
        except RunError as e:
            return {"fails": str(e)}
        except Exception as e:
            return {"rejected": reason(e)}
        return {"names": names, "types": types, "changes": [f"{k}[{', '.join(v)}]" for k, v in rows]}

    def expressions(self, source: str, texts: list[str]) -> list[dict[str, Any]]:
        """The answers to expressions over the rows of a table, or over one row."""
        try:
            _, types, rows = self.rows(
                f"SELECT {', '.join(f'{e} AS c{i}' for i, e in enumerate(texts))} FROM {source or '(VALUES (1)) AS t(x)'}"
            )
            if len(types) != len(texts):
                raise ValueError(f"{texts} gave {len(types)} columns")
            return [{"type": t, "values": [v[i] for _, v in rows]} for i, t in enumerate(types)]
        except Exception as e:
            if len(texts) == 1:
                return [{"fails" if isinstance(e, RunError) else "rejected": reason(e)}]
            half = len(texts) // 2
            return self.expressions(source, texts[:half]) + self.expressions(source, texts[half:])

    def chunks(self, source: str, texts: list[str], alone: set[int]) -> list[dict[str, Any]]:
        """The same, many at once but for those that may fail."""
        found: dict[int, dict[str, Any]] = {}
        together = [i for i in range(len(texts)) if i not in alone]
        for places in [together[i : i + CHUNK] for i in range(0, len(together), CHUNK)] + [[i] for i in sorted(alone)]:
            found.update(zip(places, self.expressions(source, [texts[i] for i in places]), strict=True))
        return [found[i] for i in range(len(texts))]


class RunError(Exception):
    """The job failed."""


def reason(e: BaseException) -> str:
    """The innermost message."""
    java = getattr(e, "java_exception", None)
    if java is None:
        return str(e).splitlines()[0][:300] if str(e) else type(e).__name__
    while java.getCause() is not None:
        java = java.getCause()
    return f"{java.getClass().getSimpleName()}: {str(java.getMessage()).splitlines()[0][:300]}"


def main() -> None:
    """Answer every case of the file."""
    cases = json.loads(Path(sys.argv[1]).read_text())
    flink = Flink()
    answers: list[Any] = []
    for n, case in enumerate(cases):
        print(
            time.strftime("%X"),
            f"{n + 1}/{len(cases)} {case.get('query', case.get('expressions'))!s:.100}",
            file=sys.stderr,
            flush=True,
        )
        flink.set_up(case["setup"])
        if "query" in case:
            answers.append(flink.query(case["query"]))
        else:
            answers.append(flink.chunks(case["from"], case["expressions"], set(case["alone"])))
        Path(sys.argv[2]).write_text(json.dumps(answers))
    Path(sys.argv[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
