"""Every function's docstring example is its test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deras.core.types import STRING, Kind
from deras.sql.bind.context import BindContext
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.scope import Scope
from deras.sql.catalog import Catalog
from deras.sql.expr.nodes import Literal
from deras.sql.expr.program import evaluate
from deras.sql.functions.registry import cast_to, functions
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_expression


def value_text(text: str, zone: str = "UTC") -> str:
    """The value of an expression as Flink prints it."""
    context = BindContext(Catalog(), Settings({"table.local-time-zone": zone}), text)
    bound = ExprBinder(context, Scope()).bind(parse_expression(text))
    if bound.type.kind is Kind.NULL:
        return "NULL"
    shown = cast_to(bound, STRING) if not bound.type.is_text else bound
    found = shown.value if isinstance(shown, Literal) else evaluate(shown, zone)
    return "NULL" if found is None else found


def examples() -> list[tuple[str, str, str]]:
    found = []
    for name, f in functions().items():
        for expr, result in re.findall(r">>> (.+)\n(?: {8}| {4})(.*)\n", f.doc):
            if re.match(rf"\W*.*\b{re.escape(name)}\b|.*\[", expr):
                found.append((name, expr, result))
    return found


@pytest.mark.parametrize(("name", "expr", "result"), examples(), ids=lambda v: str(v)[:40])
def test_example(name: str, expr: str, result: str) -> None:
    assert value_text(expr).rstrip() == result.rstrip()


def test_every_function_is_documented() -> None:
    for name, f in functions().items():
        assert f.doc.strip(), name
        # A first sentence that ends.
        assert f.doc.strip().split("\n")[0].endswith("."), name


def test_the_reference_page_is_current() -> None:
    from deras.sql.functions.page import page

    stored = Path(__file__).parents[2] / "docs" / "reference" / "functions.md"
    assert stored.read_text(encoding="utf-8") == page(), "run 'make docs'"


def test_the_reference_page_has_every_function() -> None:
    from deras.sql.functions.aggregates import BUILT, NAMES
    from deras.sql.functions.page import page

    text = page()
    for name in (*(n for n in functions() if n[0].isalpha()), *NAMES, *BUILT):
        assert re.search(rf"`(?:[^`]*, )?{re.escape(name)}\(", text), name
