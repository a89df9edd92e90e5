"""Which loads there were, and taking one back, by both clients: `client.loads`. Loading itself is `client.ingest`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from mdm_client import wire_loads
from mdm_client.load_results import LoadRecord, LoadRevertPreview, LoadStatus

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client

_POLL_S = 0.2


class Loads:
    """Loads: which there were, what taking one back would do, and taking it back."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, feed: str = "", page_size: int = 0) -> Iterator[LoadRecord]:
        """Yield every load, the one that began last first; fetches the next page when needed."""
        token = ""
        while True:
            found, token = self._client.send(wire_loads.list_loads(feed, page_size, token))
            yield from found
            if not token:
                return

    def get(self, load_id: str) -> LoadRecord:
        """Return one load."""
        return self._client.send(wire_loads.get_load(load_id))

    def preview_revert(self, load_id: str, *, timeout_s: float | None = None) -> LoadRevertPreview:
        """Return what taking a load back would do; changes nothing."""
        return self._client.send(wire_loads.preview_revert(load_id), timeout_s)

    def revert(
        self, load_id: str, reason: str, *, keep_later: bool = False, request_id: str | None = None
    ) -> LoadRecord:
        """Begin to take a load back; it goes on by itself, and `watch` follows it. Done already, it stays as it is.

        Args:
            load_id: The load.
            reason: Why; stands in the journal, so no personal data.
            keep_later: Later loads that may have written the same records stand: what they wrote stays.
            request_id: A new one unless given.

        Raises:
            FailedPreconditionError: LOAD_RUNNING while somebody is loading it; CONFLICT while such a later load stands,
                without `keep_later`.
        """
        return self._client.send(
            wire_loads.revert(load_id, reason, self._client.caller, keep_later=keep_later, request_id=request_id)
        )

    def watch(self, load_id: str) -> Iterator[LoadRecord]:
        """Yield a load that is being taken back as it stands, several times a second, until it is taken back."""
        while True:
            found = self.get(load_id)
            yield found
            if found.status is not LoadStatus.REVERTING:
                return
            time.sleep(_POLL_S)


class AsyncLoads:
    """As `Loads`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, *, feed: str = "", page_size: int = 0) -> AsyncIterator[LoadRecord]:
        """Yield every load, the one that began last first; fetches the next page when needed."""
        token = ""
        while True:
            found, token = await self._client.send(wire_loads.list_loads(feed, page_size, token))
            for each in found:
                yield each
            if not token:
                return

    async def get(self, load_id: str) -> LoadRecord:
        """Return one load."""
        return await self._client.send(wire_loads.get_load(load_id))

    async def preview_revert(self, load_id: str, *, timeout_s: float | None = None) -> LoadRevertPreview:
        """Return what taking a load back would do; changes nothing."""
        return await self._client.send(wire_loads.preview_revert(load_id), timeout_s)

    async def revert(
        self, load_id: str, reason: str, *, keep_later: bool = False, request_id: str | None = None
    ) -> LoadRecord:
        """Begin to take a load back; it goes on by itself, and `watch` follows it. Done already, it stays as it is.

        Args:
            load_id: The load.
            reason: Why; stands in the journal, so no personal data.
            keep_later: Later loads that may have written the same records stand: what they wrote stays.
            request_id: A new one unless given.

        Raises:
            FailedPreconditionError: LOAD_RUNNING while somebody is loading it; CONFLICT while such a later load stands,
                without `keep_later`.
        """
        return await self._client.send(
            wire_loads.revert(load_id, reason, self._client.caller, keep_later=keep_later, request_id=request_id)
        )

    async def watch(self, load_id: str) -> AsyncIterator[LoadRecord]:
        """Yield a load that is being taken back as it stands, several times a second, until it is taken back."""
        while True:
            found = await self.get(load_id)
            yield found
            if found.status is not LoadStatus.REVERTING:
                return
            await asyncio.sleep(_POLL_S)
