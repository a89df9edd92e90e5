"""One running service for all tests of the server that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from tests.serving import RunningServer, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data", metrics="127.0.0.1:0") as served:
        yield served


@pytest.fixture(scope="session")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with server.channel() as opened:
        yield opened
