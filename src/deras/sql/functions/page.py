"""The reference page of functions, made of their declarations: ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path

from deras.sql.functions.aggregates import DOCUMENTED
from deras.sql.functions.registry import Function, functions

_TITLES = {
    "operators": "Operators",
    "arithmetic": "Numbers",
    "strings": "Text",
    "regex": "Regular expressions",
    "json": "JSON",
    "times": "Dates and times",
    "zones": "Dates and times as text, time zones",
    "conditional": "Conditions",
    "collections": "ARRAY, MAP and ROW",
    "arrays": "Arrays",
    "maps": "Maps",
    "encodings": "Addresses, character sets, forms",
    "hashes": "Hashes and encodings",
}
_HEAD = """# Functions

Made by `make docs` from the declarations in `src/deras/sql/functions`; do not edit. Every example is a test.
Argument classes: `text` CHAR, VARCHAR, STRING; `integer`, `exact` (integers and DECIMAL), `number` and
`double` (any number); `moment` TIMESTAMP and TIMESTAMP_LTZ; `datetime` also DATE and TIME; `same` arguments take their
common type; `word` a keyword such as DAY; `[…]` may be left out, `…` repeats. A result is NULL where an argument is,
unless the text says otherwise. What is marked **ours** Flink does not have: `deras check --target flink` names it.
"""


def _example(doc: str, name: str) -> str:
    for expr, result in re.findall(r">>> (.+)\n(?: {8}| {4})(.*)\n", doc):
        if re.search(rf"\b{re.escape(name)}\b", expr) or "[" in expr:
            return f"`{expr}` → `{result.strip()}`" if result.strip() else f"`{expr}`"
    return ""


def _row(f: Function) -> str:
    result = re.compile(r"\s*->.*")
    signatures = "<br>".join(f"`{result.sub('', s).strip()}`{_result(s)}" for s in f.texts)
    what = f.doc.strip().splitlines()[0]
    marks = ["**ours**"] if f.ours else []
    marks += [] if f.deterministic else ["gives another value each time"]
    note = f" ({', '.join(marks)})" if marks else ""
    cells = [signatures, what + note, _example(f.doc, f.name)]
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _result(signature: str) -> str:
    found = signature.partition("->")[2].strip()
    return "" if not found or found == "same" or found.startswith("arg") else f" → {found}"


def page() -> str:
    """The page's text."""
    parts = [_HEAD]
    every = [f for f in functions().values() if f.name[0].isalpha()]
    for family, title in _TITLES.items():
        some = sorted((f for f in every if f.family == family), key=lambda f: f.name)
        if not some:
            continue
        parts.append(
            f"## {title}\n\n| function | what | example |\n|---|---|---|\n" + "\n".join(map(_row, some)) + "\n"
        )
    rows = "\n".join(f"| `{s}` | {what.replace('|', chr(92) + '|')} |" for s, what in DOCUMENTED)
    parts.append(
        "## Aggregates\n\nThey pass over NULLs unless the text says otherwise; all take `FILTER (WHERE …)`, and "
        "`DISTINCT` before the argument.\nSee also `CREATE FUNCTION` for aggregates of your own.\n\n"
        f"| function | what |\n|---|---|\n{rows}\n"
    )
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    target = Path(__file__).parents[4] / "docs" / "reference" / "functions.md"
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
