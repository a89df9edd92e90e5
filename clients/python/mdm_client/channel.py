"""How the client speaks to the service: deadlines, retries, sizes and keepalive."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.resources import files

import grpc

from mdm_client.tls import Tls

DEFAULT_TARGET = "127.0.0.1:50051"

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Largest answer read: 500 golden records with all their members are under 20 MiB."""

KEEPALIVE_MS = 60_000
"""A dead connection is noticed within a minute and KEEPALIVE_TIMEOUT_MS; the service allows a ping every 10 s."""

KEEPALIVE_TIMEOUT_MS = 10_000

RETRIED_BYTES_MAX = 4 * 1024 * 1024
"""Largest request that is tried again: as large as the service takes. gRPC keeps 256 KiB for it by default."""

RECONNECT_MS_MAX = 2_000
"""A service that restarts is found again within two seconds; gRPC's default backs off to two minutes."""


Security = Tls | grpc.ChannelCredentials | None
"""How a channel is encrypted; None encrypts nothing."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of calls, in seconds; the service refuses more than 10 s for single calls and 120 s for batches."""

    single_s: float = 5.0
    batch_s: float = 60.0


@functools.cache
def service_config() -> str:
    """Return gRPC's service config, the JSON text that clients in every language share.

    A unary call is tried up to five times while the service is away or sheds load; the service says when to come back,
    and a request that is too large is refused five times, which costs a second. Reads have no side effects, and each
    write carries a request_id under which a repetition gets the first answer. Streams are resumed by the client itself.
    A connection is used while its server answers lookups, by its health.
    """
    return files("mdm_client").joinpath("service_config.json").read_text(encoding="utf-8")


def channel_options(tls: Security = None, *, heeds_health: bool = True) -> list[tuple[str, str | int]]:
    """Return the options of every channel."""
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", service_config()),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.per_rpc_retry_buffer_size", RETRIED_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ]
    if not heeds_health:
        options.append(("grpc.inhibit_health_checking", 1))
    if isinstance(tls, Tls) and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def open_channel(target: str, tls: Security, *, heeds_health: bool) -> grpc.Channel:
    """Return a blocking channel; raises TlsFileError."""
    options = channel_options(tls, heeds_health=heeds_health)
    if tls is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, _credentials(tls), options)


def open_async_channel(target: str, tls: Security, *, heeds_health: bool) -> grpc.aio.Channel:
    """Return an asyncio channel; raises TlsFileError."""
    options = channel_options(tls, heeds_health=heeds_health)
    if tls is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, _credentials(tls), options)


def _credentials(tls: Tls | grpc.ChannelCredentials) -> grpc.ChannelCredentials:
    return tls.credentials() if isinstance(tls, Tls) else tls
