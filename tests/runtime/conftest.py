"""Makes the helpers beside the tests importable, and their connectors known."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def connectors() -> Iterator[None]:
    """The connectors ``files`` and ``push``."""
    import flows_kit

    undo = flows_kit.install()
    yield
    undo()
    flows_kit.FilesSink.before_write = staticmethod(lambda _: None)
    flows_kit.FilesSink.before_prepare = staticmethod(lambda _: None)
    flows_kit.FilesSink.before_commit = staticmethod(lambda _: None)
