"""Addresses, and a port that is either ours or not used at all."""

from __future__ import annotations

import contextlib
import socket

import pytest

from mdm.errors import InvalidInputError
from mdm.server.listening import (
    PortInUseError,
    address_of,
    join_address,
    parse_address,
    require_loopback,
    reserve_port,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:50051", ("127.0.0.1", 50051)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text, "--listen") == expected
    assert join_address(*expected) == text


@pytest.mark.parametrize("text", ["", "50051", ":50051", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInputError, match="HOST:PORT"):
        parse_address(text, "--listen")


def test_a_reserved_port_is_shared_with_those_who_ask_for_it_and_nobody_else() -> None:
    with contextlib.closing(reserve_port("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert address_of(holder) == f"127.0.0.1:{port}"
        with socket.socket() as sharing:
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sharing.bind(("127.0.0.1", port))
            sharing.listen()
            with pytest.raises(PortInUseError, match="--listen"):
                reserve_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_consent(host: str) -> None:
    require_loopback(host, "--listen", "pass --insecure")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 – refused
def test_other_machines_are_kept_out(host: str) -> None:
    with pytest.raises(InvalidInputError, match=r"--listen: would be reached from other .*: pass --insecure"):
        require_loopback(host, "--listen", "pass --insecure")


def test_a_host_that_nobody_knows_is_named_as_such() -> None:
    with pytest.raises(InvalidInputError, match="cannot resolve"):
        require_loopback("no-such-host.invalid", "--listen", "pass --insecure")
