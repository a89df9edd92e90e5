"""The state of the service, by both clients: `client.admin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_admin

if TYPE_CHECKING:
    from mdm_client.admin_results import ServiceStatus
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client


class Admin:
    """What an operator asks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def status(self, *, timeout_s: float | None = None) -> ServiceStatus:
        """Return the state of the service; it also answers while it serves reads only, or nothing yet."""
        return self._client.send(wire_admin.get_status(), timeout_s)


class AsyncAdmin:
    """As `Admin`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def status(self, *, timeout_s: float | None = None) -> ServiceStatus:
        """Return the state of the service; it also answers while it serves reads only, or nothing yet."""
        return await self._client.send(wire_admin.get_status(), timeout_s)
