"""Compare what is left of each golden query with a real Apache Flink.

    FLINK_PYTHON=/path/to/python-with-apache-flink python tests/golden/flink_diff.py [words of a title …]

Needs an environment of its own (``pip install apache-flink==2.3.0``) and Java 17. Only single SELECTs over drawn tables
are asked; what Flink gives lies in ``flink_results.json`` afterwards, for the diff of the next time.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.session.changelog import changes as row_changes
from deras.testing.text import Case, Runner, Script, cases
from deras.testing.text import value as drawn

if TYPE_CHECKING:
    from deras.testing.stage import Stage

FOLDER = Path(__file__).parent

RUNNER = r"""
import json, sys
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

def text(v):
    import datetime, decimal
    if v is None or isinstance(v, (bool, int, str)): return v
    if isinstance(v, float): return {"float": repr(v)}
    if isinstance(v, decimal.Decimal): return {"decimal": format(v, "f")}
    if isinstance(v, datetime.datetime): return {"time": v.replace(tzinfo=None).isoformat()}
    return {"other": str(v)}

for line in open(sys.argv[1]):
    job = json.loads(line)
    c = Configuration()
    c.set_string("parallelism.default", "1")
    c.set_string("pipeline.auto-watermark-interval", "0 ms")
    c.set_string("rest.port", "0")
    env = TableEnvironment.create(EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(c).build())
    env.get_config().set("table.local-time-zone", job["zone"])
    try:
        for ddl in job["ddl"]:
            env.execute_sql(ddl)
        left, changes = {}, []
        short = {"INSERT": "+I", "UPDATE_BEFORE": "-U", "UPDATE_AFTER": "+U", "DELETE": "-D"}
        with env.execute_sql(job["query"]).collect() as rows:
            for row in rows:
                values = [text(v) for v in row]
                key = json.dumps(values)
                kind = short[row.get_row_kind().name]
                changes.append([kind, values])
                left[key] = left.get(key, 0) + (1 if kind[0] == "+" else -1)
        found = [json.loads(k) for k, n in left.items() for _ in range(n)]
        print("RESULT " + json.dumps({"id": job["id"], "rows": sorted(found, key=json.dumps), "changes": changes}), flush=True)
    except Exception as e:
        why = [x.strip() for x in str(e).splitlines() if "Exception" in x or "error" in x.lower()]
        print("RESULT " + json.dumps({"id": job["id"], "error": why[-1] if why else str(e)[:300]}), flush=True)
"""


KNOWN = {
    "windows:the-time-attribute-keeps-its-type": "PyFlink cannot collect TIMESTAMP_LTZ",
    "numbers:sums-of-decimals": "Flink begins again after an overflow; ours stays NULL in whatever order rows come",
    "aggregates:sums-with-NaN-and-infinity": "of 0.0 and -0.0 Flink's MIN is the one that came first, ours is always -0.0",
    "aggregates:FLOAT": "PyFlink cannot collect a NaN of FLOAT",
    "numbers:division-by-zero-in-a-branch-that-is-not-taken": "Flink computes 1 / 0 while planning and fails",
}
"""Differences that are meant, by case without its line."""


def text(v: Any) -> Any:
    if v is None or isinstance(v, (bool, int, str)):
        return v
    if isinstance(v, float):
        return {"float": repr(v)}
    if isinstance(v, decimal.Decimal):
        return {"decimal": format(v, "f")}
    if isinstance(v, dt.datetime):
        return {"time": v.replace(tzinfo=None).isoformat()}
    return {"other": str(v)}


def _json(v: Any) -> Any:
    if isinstance(v, dt.datetime):
        return v.isoformat(sep=" ")
    if isinstance(v, decimal.Decimal):
        return format(v, "f")  # Flink reads a decimal from a text, too
    if isinstance(v, float) and not math.isfinite(v):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(v, "NaN")
    return v


def job(case: Case, folder: Path) -> dict[str, Any] | None:
    """What Flink is to run for a case; None where it cannot."""
    block = case.block
    if block.kind != "query" or block.steps_only or "LANGUAGE PYTHON" in case.ddl or "METADATA" in case.ddl:
        return None
    if not re.match(r"(SELECT|WITH)\b", block.body):
        return None
    script = Script(case)
    script.run(block.body)
    if case.ddl.count("WATERMARK") > 1:
        return None  # which of two tables Flink reads first is luck
    written: dict[str, Path] = {}
    for spec in script.flows[0].sources:
        if spec.connector == "values":
            continue
        path = folder / f"{len(list(folder.iterdir()))}-{spec.table}"
        path.mkdir()
        with (path / "rows.json").open("w") as f:
            for a in case.arrivals:
                if a.table == spec.table:
                    row = {c.name: _json(drawn(t, c.type)) for c, t in zip(spec.schema, a.cells, strict=True)}
                    f.write(json.dumps(row) + "\n")
        written[spec.table] = path
    statements = [s.strip() for s in case.ddl.split(";\n") if s.strip()]
    ddl = []
    for s in statements:
        s = s.rstrip(";")
        if s.startswith("SET"):
            continue
        table = re.match(r"CREATE TABLE (\w+)", s)
        if table and table[1] not in written:
            written[table[1]] = folder / "none"
        if table:
            head = s[: s.rindex("WITH")]
            s = f"{head} WITH ('connector' = 'filesystem', 'path' = '{written[table[1]]}', 'format' = 'json')"
        ddl.append(s)
    zone = script.settings.zone
    return {"id": case.id, "ddl": ddl, "query": block.body, "zone": zone}


def _rows(stage: Stage) -> list[Any]:
    return sorted(([text(v) for v in r] for r in stage.outputs[0].rows()), key=json.dumps)


def _verdict(id_: str, stage: Stage, found: dict[str, Any]) -> str:
    if re.sub(r":\d+-", ":", id_) in KNOWN:
        return "known difference"
    if "error" in found:
        failed = any(reason in ("expression", "udf") for reason, _, _ in stage.dropped)
        return "Flink fails, quarantined" if failed else "DIFFERENT"
    if _rows(stage) != found["rows"]:
        return "DIFFERENT"
    (output,) = stage.outputs
    changes = [[k, [text(v) for v in row]] for d in output.deltas for k, row in row_changes(d, output.key)]
    return "same, row for row" if changes == found["changes"] else "same in the end"


def main() -> int:
    python = os.environ.get("FLINK_PYTHON")
    if not python:
        print(__doc__, file=sys.stderr)
        return 2
    every = [c for path in sorted(FOLDER.glob("*.test")) for c in cases(path)]
    words = [w.lower() for w in sys.argv[1:]]
    chosen = {c.id: c for c in every if all(w in c.id.lower() for w in words)}
    with tempfile.TemporaryDirectory(prefix="deras-flink-") as name:
        folder = Path(name)
        (folder / "none").mkdir()
        jobs = [j for c in chosen.values() if (j := job(c, folder)) is not None]
        (folder / "jobs.ndjson").write_text("".join(json.dumps(j) + "\n" for j in jobs))
        (folder / "runner.py").write_text(RUNNER)
        results: dict[str, Any] = {}
        with subprocess.Popen(
            [python, folder / "runner.py", folder / "jobs.ndjson"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as flink:
            assert flink.stdout is not None
            different = 0
            for line in flink.stdout:
                if not line.startswith("RESULT "):
                    continue
                found = json.loads(line.removeprefix("RESULT "))
                results[found.pop("id")] = found
                id_ = list(results)[-1]
                stage = Runner(chosen[id_]).straight(1)
                verdict = _verdict(id_, stage, found)
                different += verdict == "DIFFERENT"
                print(f"{verdict:<26} {id_}", flush=True)
                if verdict == "DIFFERENT":
                    ours = _rows(stage)
                    print(f"    Flink: {found.get('error') or [r for r in found['rows'] if r not in ours]}")
                    print(f"    Deras: {[r for r in ours if r not in found.get('rows', [])]}")
    kept = FOLDER / "flink_results.json"
    old = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps(old | results, indent=1, sort_keys=True) + "\n")
    print(f"{len(results)} queries of {len(jobs)} answered, {different} different")
    return 1 if different or len(results) < len(jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
