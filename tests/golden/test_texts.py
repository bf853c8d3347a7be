"""Every text of this folder, four ways: see ``deras.testing.text`` for the form."""

from __future__ import annotations

from pathlib import Path

import pytest

from deras.testing.text import Case, cases, check

FOLDER = Path(__file__).parent
ALL = [c for path in sorted(FOLDER.rglob("*.test")) for c in cases(path)]


@pytest.mark.parametrize("case", ALL, ids=[c.id for c in ALL])
def test_text(case: Case) -> None:
    check(case)
