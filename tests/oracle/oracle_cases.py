"""The cases that are asked of Apache Flink and of Deras, and how the two answers are compared.

A file of ``cases`` is a list of blocks as in ``deras.testing.text`` (``ddl``, ``input``, ``query``, ``reset``), with one
more kind: ``values [table]``, one expression a line, each asked for its type and its value for every row of the table
(without a table: for one row). ``ddl`` leaves ``WITH`` out: rows come from a CSV file. A query that ends in
``[rejected]`` must be refused while it is planned. Above an expression or a
query's text a comment may say what is known: ``# differs: kinds`` (same rows in the same order, other row kinds), ``#
differs: folded`` (the same table in the end), ``# not yet`` (refused for now), ``# differs: reason`` (meant to be
another). The reasons stand in ``docs/reference/flink-differences.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deras.core.errors import DerasError
from deras.testing.stage import Stage
from deras.testing.text import Arrival, Block, Case, Runner, Script, _arrivals

CASES = Path(__file__).parent / "cases"
_HEAD = re.compile(r"(ddl|input|query|values|reset)\b[ \t]*(.*)")
_DIFFERS = re.compile(r"# (?:differs: (.*)|(not yet))$")


@dataclass(slots=True)
class Question:
    """One query or one expression with what it builds on.

    Args:
        group: the file's name.
        title: of the query; the text of the expression.
        source: the table an expression is asked over; "" for none. None: ``text`` is a query.
        differs: why ours is another, or "".
    """

    group: str
    title: str
    text: str
    ddl: str
    arrivals: list[Arrival]
    line: int
    source: str | None = None
    differs: str = ""

    @property
    def key(self) -> str:
        """Changes with everything that Flink's answer depends on."""
        used = [(a.table, a.cells) for a in self.arrivals]
        parts = json.dumps([self.ddl, used, self.source, self.text])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.group}:{self.line}"

    @property
    def query(self) -> str:
        """As a query."""
        if self.source is None:
            return self.text
        return f"SELECT {self.text} AS c0 FROM {self.source or '(VALUES (1)) AS t(x)'}"


def known(line: str) -> str:
    """What a comment says about a difference."""
    m = _DIFFERS.match(line)
    return "" if m is None else m[1] or m[2]


def questions(path: Path) -> list[Question]:
    """All questions of a file."""
    found: list[Question] = []
    ddl: list[str] = []
    arrivals: list[Arrival] = []
    used = False
    lines = path.read_text().splitlines()
    heads = [i for i, t in enumerate(lines) if _HEAD.match(t) and (i == 0 or lines[i - 1][:1] in ("", "#"))]
    for begin, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        head = _HEAD.match(lines[begin])
        assert head is not None
        body = [(n + 1, t) for n, t in enumerate(lines[begin + 1 : end], begin + 1) if t.strip()]
        plain = "\n".join(t for _, t in body if not t.startswith("#"))
        match head[1]:
            case "reset":
                ddl, arrivals, used = [], [], False
            case "ddl":
                ddl.append(plain.rstrip().rstrip(";") + ";")
            case "input":
                arrivals = [] if used else arrivals
                used = False
                arrivals = [*arrivals, *_arrivals(Block("input", head[2].strip(), begin, plain, [], (0, 0)))]
            case "query":
                used = True
                why = next((known(t) for _, t in body if known(t)), "")
                found.append(
                    Question(path.stem, head[2].strip(), plain, "\n".join(ddl), arrivals, begin + 1, differs=why)
                )
            case _:
                used = True
                why = ""
                for n, text in body:
                    if text.startswith("#"):
                        why = known(text) or why
                        continue
                    source = head[2].strip()
                    found.append(Question(path.stem, text, text, "\n".join(ddl), arrivals, n, source, why))
                    why = ""
    return found


def all_questions() -> list[Question]:
    """Of all files."""
    return [q for path in sorted(CASES.glob("*.sql")) for q in questions(path)]


def statements(ddl: str) -> list[str]:
    """The statements of a setup, split at the ends of lines."""
    return [s.strip().rstrip(";") for s in re.split(r";[ \t]*(?:\n|$)", ddl) if s.strip()]


_CREATE_TABLE = re.compile(r"\s*CREATE\s+(?:TEMPORARY\s+)?TABLE\s+(\w+)\b", re.IGNORECASE)


def with_options(ddl: str, folder: str) -> list[str]:
    """The setup, every table without options reading its CSV file."""
    found = []
    for s in statements(ddl):
        table = _CREATE_TABLE.match(s)
        if table and s.rstrip().endswith(")") and " WITH (" not in s:
            s += (
                f" WITH ('connector' = 'filesystem', 'path' = '{folder}/{table[1]}.csv', 'format' = 'csv',"
                " 'csv.null-literal' = 'NULL')"
            )
        found.append(s)
    return found


# ---- ours


def _case(q: Question, text: str) -> Case:
    ddl = "".join(s + ";\n" for s in with_options(q.ddl, "rows"))
    return Case(CASES / "x.sql", Block("query", q.title, q.line, text, [], (0, 0)), ddl, q.arrivals)


def ours(q: Question) -> dict[str, Any]:
    """Deras' answer to a question, in the form of Flink's."""
    case = _case(q, q.query)
    try:
        script = Script(case)
        script.run(q.query)
        flow = script.flows[-1]
    except DerasError as e:
        return {"rejected": e.render()}
    runner = Runner(case)
    try:
        stage: Stage = runner.straight(1)
    except DerasError as e:
        return {"fails": e.render()}
    failed = [m for reason, m, _ in stage.dropped if reason not in ("late", "expired")]
    if failed:
        return {"fails": failed[0]}
    out = stage.outputs[0]
    schema = flow.target.schema
    types = [str(f.type) for f in schema]
    if q.source is not None:
        return {"type": types[0], "values": [t[3:-1] for t in out.texts()]}
    return {"names": list(schema.names), "types": types, "changes": out.texts(), "exact": len(stage.specs) == 1}


# ---- comparing

_FAILURES = {"rejected", "fails"}
_NUMBER = re.compile(r"-?\d+\.\d+(?:E-?\d+)?")


def _floats(text: str) -> str:
    """The text with long fractions cut: sums of floats differ in their last digits."""
    return _NUMBER.sub(lambda m: f"{float(m[0]):.12g}" if len(m[0]) > 14 else m[0], text)


def plain_type(text: str) -> str:
    """A type without the marks that only Flink shows."""
    text = text.replace(" *ROWTIME*", "").replace(" *PROCTIME*", "").replace("`", "")
    return text.replace("INTERVAL SECOND(3)", "INTERVAL DAY TO SECOND(3)").replace(
        "INTERVAL MONTH", "INTERVAL YEAR TO MONTH"
    )


def fold(changes: list[str]) -> Counter[str]:
    """The rows that are left of a changelog."""
    left: Counter[str] = Counter()
    for c in changes:
        left[c[2:]] += 1 if c[0] == "+" else -1
    return +left


def verdict(q: Question, flink: dict[str, Any], mine: dict[str, Any]) -> str:
    """What is wrong with our answer, or "": known differences must still be there."""
    found = difference(flink, mine, q.differs)
    if q.differs in ("", "kinds", "folded"):
        return found
    if q.differs == "not yet":
        return "" if "not supported yet" in mine.get("rejected", "") else f"runs by now: remove '# not yet'\n{found}"
    return "" if found else f"no longer differs: remove '# differs: {q.differs}'"


def difference(flink: dict[str, Any], mine: dict[str, Any], weaker: str = "") -> str:
    """What the answers differ in, or ""; ``weaker``: "kinds" or "folded"."""
    no, mine_no = bool(flink.keys() & _FAILURES), bool(mine.keys() & _FAILURES)
    if no and mine_no:
        return ""  # what fails over a literal may show while planning or while running
    if "EnforcerException" in flink.get("fails", "") and "null" in mine.get("values", ()):
        return ""  # ours says that the value may be NULL, Flink says that it may not and fails
    if no or mine_no:
        return f"Flink: {_short(flink)}\nDeras: {_short(mine)}"
    found = []
    theirs = [plain_type(t) for t in flink.get("types") or [flink["type"]]]
    types = [plain_type(t) for t in mine.get("types") or [mine["type"]]]
    # Ours may admit NULL where Flink does not: DECIMAL that overflows, LPAD without room.
    if len(theirs) != len(types) or any(a not in (b, f"{b} NOT NULL") for a, b in zip(theirs, types, strict=True)):
        found.append(f"types\nFlink: {theirs}\nDeras: {types}")
    if "values" in flink:
        a, b = list(map(_floats, flink["values"])), list(map(_floats, mine["values"]))
        if a != b:
            found.append(f"values\nFlink: {a}\nDeras: {b}")
        return "\n".join(found)
    if flink["names"] != mine["names"] and not any("$" in n for n in flink["names"]):
        found.append(f"names\nFlink: {flink['names']}\nDeras: {mine['names']}")
    a, b = list(map(_floats, flink["changes"])), list(map(_floats, mine["changes"]))
    updating = any(not c.startswith("+I") for c in a + b)
    if weaker == "kinds":
        same = [(c[0], c[2:]) for c in a] == [(c[0], c[2:]) for c in b]
    elif updating and mine["exact"] and weaker != "folded":
        same = a == b
    elif updating:
        same = fold(a) == fold(b)
    else:
        same = sorted(a) == sorted(b)
    if not same:
        found.append("changes\nFlink: " + "\n       ".join(a) + "\nDeras: " + "\n       ".join(b))
    return "\n".join(found)


def _short(answer: dict[str, Any]) -> str:
    return next((f"{k}: {answer[k]}" for k in ("rejected", "fails") if k in answer), str(answer))


# ---- stored answers


def golden(group: str) -> dict[str, Any]:
    """Flink's answers to the questions of a file, by key."""
    path = CASES / f"{group}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
