"""For all tests: kernels are compiled once, before the first test, so that no test's patience depends on a cold cache."""

from __future__ import annotations

import os

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what is missing (half a minute on a new machine, a second later)."""
    # A run with bounds checks is a small part of the tests, and has a cache of its own: it compiles what it meets.
    if not session.config.option.collectonly and os.environ.get("DERAS_BOUNDSCHECK") != "1":
        from deras.core.jit import warm_all

        warm_all()
