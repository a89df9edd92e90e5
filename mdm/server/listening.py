"""Addresses and ports. SO_REUSEPORT hides a port in use, so it is proven free first and then held."""

from __future__ import annotations

import ipaddress
import socket

from mdm.errors import InvalidInputError

PORT_MAX = 65_535


class AddressUnavailableError(InvalidInputError):
    """An address that cannot be had now, though nothing is wrong with how it is written: another start may get it."""


class PortInUseError(AddressUnavailableError):
    """Another process listens where we were told to, or the address is none of this machine's."""


def parse_address(text: str, option: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`; an IPv6 host stands in brackets.

    Raises:
        InvalidInputError: Not of that form.
    """
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise InvalidInputError(option, "must be HOST:PORT with a port of 0 to 65535, for example 127.0.0.1:50051")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """Return `HOST:PORT` with brackets where an IPv6 host needs them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def require_loopback(host: str, option: str, unless: str) -> None:
    """Refuse an address that other machines reach; `unless` says what would have allowed it.

    Raises:
        InvalidInputError: Beyond loopback.
        AddressUnavailableError: Nobody resolves the host's name.
    """
    if not ipaddress.ip_address(_resolve(host, option)[1]).is_loopback:
        raise InvalidInputError(option, f"would be reached from other machines, unencrypted: {unless}")


def reserve_port(host: str, port: int, option: str = "--listen") -> socket.socket:
    """Return a bound socket that holds the port for the servers that will share it.

    Linux hands connections only to sockets that listen, and this one never does.

    Raises:
        PortInUseError: Another process has it, or the host is not one of this machine's.
        AddressUnavailableError: Nobody resolves the host's name.
    """
    family, numeric = _resolve(host, option)
    proof = socket.socket(family, socket.SOCK_STREAM)
    with proof:
        # Without it a port whose last connections linger in TIME_WAIT would look taken after a restart.
        proof.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(proof, numeric, port, option)
        _listen(proof, numeric, port, option)
        chosen = proof.getsockname()[1]
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        _bind(holder, numeric, chosen, option)
    except InvalidInputError:
        holder.close()
        raise
    return holder


def address_of(holder: socket.socket) -> str:
    """Return the numeric `HOST:PORT` that a socket is bound to."""
    host, port = holder.getsockname()[:2]
    return join_address(host, port)


def _bind(bound: socket.socket, host: str, port: int, option: str) -> None:
    try:
        bound.bind((host, port))
    except OSError as error:
        raise _in_use(host, port, option, error) from error


def _listen(bound: socket.socket, host: str, port: int, option: str) -> None:
    # Two sockets with SO_REUSEADDR may share a port until one listens.
    try:
        bound.listen(1)
    except OSError as error:
        raise _in_use(host, port, option, error) from error


def _in_use(host: str, port: int, option: str, error: OSError) -> PortInUseError:
    reason = error.strerror or "it is in use"
    return PortInUseError(option, f"{join_address(host, port)} cannot be used: {reason}; name another HOST:PORT")


def _resolve(host: str, option: str) -> tuple[socket.AddressFamily, str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressUnavailableError(option, "names a host that this machine cannot resolve") from error
    return found[0][0], str(found[0][4][0])
