"""For all tests: kernels are compiled once, before the first test, so that no test's patience depends on a cold cache."""

from __future__ import annotations

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what is missing (half a minute on a new machine, a second later)."""
    if not session.config.option.collectonly:
        from deras.core.jit import warm_all

        warm_all()
