"""Asks Apache Flink the questions of ``cases``, stores its answers beside them, and shows where Deras differs.

Makes Flink's environment in the user's cache when there is none (needs Java 11 or 17 and the network).

    python tests/oracle/flink_diff.py [--all] [group …]    # only new and changed questions, unless --all
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "nexmark"))
sys.path.insert(0, str(Path(__file__).parent))
from oracle_cases import CASES, Question, all_questions, golden, ours, verdict, with_options
from peers import environment


def java_home() -> str:
    """A Java that Flink runs on."""
    if "JAVA_HOME" in os.environ:
        return os.environ["JAVA_HOME"]
    for found in sorted(Path("/usr/lib/jvm").glob("java-1[17]*-*")):
        if (found / "bin" / "java").exists():
            return str(found)
    raise SystemExit("Flink needs Java 11 or 17: set JAVA_HOME to one.")


def ask(questions: list[Question]) -> list[Any]:
    """Flink's answers, in order."""
    with tempfile.TemporaryDirectory(prefix="deras-flink-") as scratch:
        cases: list[dict[str, Any]] = []
        places: list[list[int]] = []
        groups: dict[str, int] = {}
        for n, q in enumerate(questions):
            arrivals = json.dumps([(a.table, a.cells) for a in q.arrivals])
            shared = json.dumps([q.ddl, arrivals])
            folder = Path(scratch) / f"rows{groups.setdefault(shared, len(groups))}"
            if not folder.exists():
                _write(folder, q)
            setup = with_options(q.ddl, str(folder))
            if q.source is None:
                cases.append({"setup": setup, "query": q.text})
                places.append([n])
                continue
            last = cases[-1] if cases else {}
            if last.get("setup") != setup or last.get("from") != q.source:
                last = {"setup": setup, "from": q.source, "expressions": [], "alone": []}
                cases.append(last)
                places.append([])
            if not succeeds(q):
                last["alone"].append(len(last["expressions"]))
            last["expressions"].append(q.text)
            places[-1].append(n)
        given, taken = Path(scratch) / "cases.json", Path(scratch) / "answers.json"
        given.write_text(json.dumps(cases))
        settings = {**os.environ, "JAVA_HOME": java_home(), "_JAVA_OPTIONS": "-Xmx1g", "FLINK_PID_DIR": scratch}
        runner = Path(__file__).with_name("flink_run.py")
        done = subprocess.run(
            ["nice", environment("flink"), str(runner), str(given), str(taken)], env=settings, check=False
        )
        if done.returncode:
            raise SystemExit("Flink's run failed; see above.")
        found: list[Any] = [None] * len(questions)
        for answer, at in zip(json.loads(taken.read_text()), places, strict=True):
            for i, a in zip(at, answer if isinstance(answer, list) else [answer], strict=True):
                found[i] = a
        return found


def succeeds(q: Question) -> bool:
    """Whether Deras has an answer: what fails there is likely to fail in Flink, and then takes all beside it along."""
    try:
        return "type" in ours(q)
    except Exception:
        return False


def _write(folder: Path, q: Question) -> None:
    folder.mkdir()
    tables = {s.split()[s.upper().split().index("TABLE") + 1] for s in with_options(q.ddl, "") if "'filesystem'" in s}
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for a in q.arrivals:
        rows[a.table].append(["NULL" if c is None else c for c in a.cells])
    for table in tables:
        with (folder / f"{table}.csv").open("w", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(rows[table])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--all", action="store_true", help="ask everything again")
    parser.add_argument("groups", nargs="*", help="names of files in cases; all if none")
    given = parser.parse_args()
    asked = [q for q in all_questions() if not given.groups or q.group in given.groups]
    stored = {g: golden(g) for g in {q.group for q in asked}}
    new = [q for q in asked if given.all or q.key not in stored[q.group]]
    if new:
        for q, answer in zip(new, ask(new), strict=True):
            stored[q.group][q.key] = {"text": q.title, **answer}
    for group, answers in stored.items():
        keep = [q.key for q in asked if q.group == group]
        ordered = {k: answers[k] for k in keep}
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in ordered.items())
        (CASES / f"{group}.json").write_text("{\n" + lines + "\n}\n")
    bad = 0
    for q in asked:
        try:
            found = verdict(q, stored[q.group][q.key], ours(q))
        except Exception as e:
            found = f"Deras: {type(e).__name__}: {e}\nFlink: {stored[q.group][q.key]}"
        if found:
            bad += 1
            print(f"\n== {q.id} {q.title}\n{found}")
    print(f"\n{len(asked)} questions, {bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
