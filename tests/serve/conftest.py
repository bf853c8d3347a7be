"""What the tests of the serving room share: the fake platform, a running server, a plain HTTP client."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serve_client import Client
from serve_fake import DASHBOARD, Factory, FakePlatform

from deras.serve.app import Server
from deras.serve.definition import Dashboards

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
def factory(platform: FakePlatform) -> Factory:
    return Factory(platform)


@pytest.fixture
def server(platform: FakePlatform, factory: Factory, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "dashboard.yaml").write_text(DASHBOARD, "utf-8")
    with Server(platform, Dashboards(tmp_path), port=0) as running:
        yield running
    assert not any(t.name == "http" for t in threading.enumerate())


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server)
