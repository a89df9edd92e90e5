"""Whether the service serves, by the standard `grpc.health.v1`."""

from __future__ import annotations

import enum
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from mdm_client.errors import service_error

CHECK_S_MAX = 3.0
"""A probe that waits for longer than its period is none."""

# A request is one text in field 1 and an answer one number in field 1, as in these messages: the base install needs no
# further package.
_CALL: dict[str, Any] = {
    "method": "/grpc.health.v1.Health/Check",
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": Int32Value.FromString,
}


class ServingStatus(enum.IntEnum):
    """What a service says of itself."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2


class Health:
    """Asks the service how it is; reached as `client.health`.

    A client that heeds health, as by default, finds a service that answers no lookups unavailable instead.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        """Ask over a channel."""
        self._check = channel.unary_unary(**_CALL)

    def check(self, service: str = "", *, timeout_s: float = CHECK_S_MAX) -> ServingStatus:
        """Return whether the whole service serves, or one by its full name such as `mdm.v1.LookupService`.

        Raises:
            NotFoundError: There is no service of that name.
            UnavailableError: Nothing answers.
        """
        try:
            return ServingStatus(self._check(StringValue(value=service), timeout=timeout_s).value)
        except grpc.RpcError as error:
            raise service_error(error) from None


class AsyncHealth:
    """Asks the service how it is; reached as `client.health`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Ask over a channel."""
        self._check = channel.unary_unary(**_CALL)

    async def check(self, service: str = "", *, timeout_s: float = CHECK_S_MAX) -> ServingStatus:
        """Return whether the whole service serves, or one by its full name; see `Health.check`."""
        try:
            return ServingStatus((await self._check(StringValue(value=service), timeout=timeout_s)).value)
        except grpc.RpcError as error:
            raise service_error(error) from None
