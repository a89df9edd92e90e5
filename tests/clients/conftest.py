"""A running service that tests of the client write to; each test uses record ids of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdm_client import Client
from tests.serving import RunningServer, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data") as served:
        yield served


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address, actor="tests") as opened:
        yield opened
