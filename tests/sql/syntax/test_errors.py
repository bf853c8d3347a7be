"""Wrong SQL: each file under ``errors`` holds statements and the exact text that a user sees for each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deras.core.errors import SqlSyntaxError
from deras.sql.syntax.parser import parse_script

FOLDER = Path(__file__).parent / "errors"
FILES = sorted(FOLDER.glob("*.txt"))


def cases(text: str) -> list[tuple[str, str]]:
    """Pairs of statement and expected text; `====` parts the cases, `----` the two halves."""
    found = []
    for block in text.strip("\n").split("\n====\n"):
        sql, _, message = f"{block}\n".partition("\n----\n")
        found.append((sql, message.rstrip("\n")))
    return found


def told(sql: str) -> str:
    with pytest.raises(SqlSyntaxError) as caught:
        parse_script(sql)
    return caught.value.render()


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_wrong_sql_is_told_exactly(file: Path) -> None:
    found = [(sql, told(sql)) for sql, _ in cases(file.read_text())]
    if os.environ.get("DERAS_BLESS"):
        file.write_text("\n====\n".join(f"{sql}\n----\n{message}" for sql, message in found) + "\n")
    assert found == cases(file.read_text())


def test_there_are_enough_of_them() -> None:
    assert sum(len(cases(f.read_text())) for f in FILES) >= 40


def test_every_message_has_a_place() -> None:
    for file in FILES:
        for _, message in cases(file.read_text()):
            assert "(line " in message
            assert "^" in message


def test_an_error_knows_line_and_column_in_a_script() -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse_script("SELECT 1;\n-- note\nSELECT\ta,\n  FROM t;")
    error = caught.value
    assert (error.line, error.column) == (4, 3)
    assert error.to_json()["hint"] == "Remove the comma before FROM."
