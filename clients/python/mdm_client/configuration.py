"""Which registries there are, by both clients: `client.configuration`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_configuration
from mdm_client.configuration_results import ConfigurationActivated, ConfigurationInForce

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client


class Configuration:
    """Registries: which are in force, and putting others in force."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self) -> ConfigurationInForce:
        """Return the registries in force."""
        return self._client.send(wire_configuration.get())

    def activate(
        self,
        content: bytes,
        reason: str = "",
        *,
        is_whole: bool = False,
        is_dry_run: bool = False,
        etag: str = "",
        request_id: str | None = None,
    ) -> ConfigurationActivated:
        """Put the registries of a TOML file in force; others stay, unless the file is the whole. A dry run only tells.

        `etag` is the digest of the configuration that the file was made from: see `get`.

        Raises:
            InvalidArgumentError: The file has faults; `field_violations` names all of them.
            FailedPreconditionError: Stored records would be left without their registry (`REGISTRY_IN_USE`), or another
                configuration is in force by now than `etag` names (`DECISION_STALE`).
        """
        call = wire_configuration.activate(
            content,
            reason,
            self._client.caller,
            is_whole=is_whole,
            is_dry_run=is_dry_run,
            etag=etag,
            request_id=request_id,
        )
        return self._client.send(call)


class AsyncConfiguration:
    """As `Configuration`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self) -> ConfigurationInForce:
        """Return the registries in force."""
        return await self._client.send(wire_configuration.get())

    async def activate(
        self,
        content: bytes,
        reason: str = "",
        *,
        is_whole: bool = False,
        is_dry_run: bool = False,
        etag: str = "",
        request_id: str | None = None,
    ) -> ConfigurationActivated:
        """Put the registries of a TOML file in force; see `Configuration.activate`."""
        call = wire_configuration.activate(
            content,
            reason,
            self._client.caller,
            is_whole=is_whole,
            is_dry_run=is_dry_run,
            etag=etag,
            request_id=request_id,
        )
        return await self._client.send(call)
