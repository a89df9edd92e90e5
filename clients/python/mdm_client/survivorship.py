"""Which values golden records show, by both clients: `client.survivorship`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_survivorship
from mdm_client.survivorship_results import RulesActivated, RulesComparison, RulesInForce

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client


class Survivorship:
    """Rules of survivorship: which are in force, what others would change, putting others in force."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self) -> RulesInForce:
        """Return the file in force."""
        return self._client.send(wire_survivorship.get())

    def compare(self, content: bytes, *, sample_golden_record_count: int = 0) -> RulesComparison:
        """Return what a file would change on a sample of each kind; 0 golden records means 2,000."""
        return self._client.send(wire_survivorship.compare(content, sample_golden_record_count))

    def activate(
        self, content: bytes, reason: str = "", *, is_dry_run: bool = False, request_id: str | None = None
    ) -> RulesActivated:
        """Put a file in force; a dry run only checks it."""
        call = wire_survivorship.activate(
            content, reason, self._client.caller, is_dry_run=is_dry_run, request_id=request_id
        )
        return self._client.send(call)


class AsyncSurvivorship:
    """As `Survivorship`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self) -> RulesInForce:
        """Return the file in force."""
        return await self._client.send(wire_survivorship.get())

    async def compare(self, content: bytes, *, sample_golden_record_count: int = 0) -> RulesComparison:
        """Return what a file would change on a sample of each kind; 0 golden records means 2,000."""
        return await self._client.send(wire_survivorship.compare(content, sample_golden_record_count))

    async def activate(
        self, content: bytes, reason: str = "", *, is_dry_run: bool = False, request_id: str | None = None
    ) -> RulesActivated:
        """Put a file in force; a dry run only checks it."""
        call = wire_survivorship.activate(
            content, reason, self._client.caller, is_dry_run=is_dry_run, request_id=request_id
        )
        return await self._client.send(call)
