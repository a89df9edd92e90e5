"""Explanations and histories by both clients: `client.explain` and `client.history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_explanations
from mdm_client.calls import RECORDS_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client
    from mdm_client.explanation_results import (
        HistoryEntry,
        HowGoldenRecord,
        PairExplanation,
        PastGoldenRecord,
        Subject,
        WhyNot,
    )


class Explanations:
    """Why records are one or two, and what holds a golden record together."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def why(self, left: Subject, right: Subject, *, fresh: str = "", timeout_s: float | None = None) -> PairExplanation:
        """Return two records compared; a golden ID stands for the member that speaks loudest. Raises NotFoundError."""
        return self._client.send(wire_explanations.why(left, right, fresh), timeout_s)

    def why_not(self, left: Subject, right: Subject, *, fresh: str = "", timeout_s: float | None = None) -> WhyNot:
        """Return what keeps two records or golden IDs from being one, and what would be enough."""
        return self._client.send(wire_explanations.why_not(left, right, fresh), timeout_s)

    def how(self, golden_id: str, *, fresh: str = "", timeout_s: float | None = None) -> HowGoldenRecord:
        """Return what holds a golden record together, following a redirect. Raises NotFoundError."""
        return self._client.send(wire_explanations.how(golden_id, fresh), timeout_s)


class AsyncExplanations:
    """As `Explanations`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def why(
        self, left: Subject, right: Subject, *, fresh: str = "", timeout_s: float | None = None
    ) -> PairExplanation:
        """Return two records compared; a golden ID stands for the member that speaks loudest. Raises NotFoundError."""
        return await self._client.send(wire_explanations.why(left, right, fresh), timeout_s)

    async def why_not(
        self, left: Subject, right: Subject, *, fresh: str = "", timeout_s: float | None = None
    ) -> WhyNot:
        """Return what keeps two records or golden IDs from being one, and what would be enough."""
        return await self._client.send(wire_explanations.why_not(left, right, fresh), timeout_s)

    async def how(self, golden_id: str, *, fresh: str = "", timeout_s: float | None = None) -> HowGoldenRecord:
        """Return what holds a golden record together, following a redirect. Raises NotFoundError."""
        return await self._client.send(wire_explanations.how(golden_id, fresh), timeout_s)


class Histories:
    """What happened to golden IDs, and what was known of them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def entries(self, golden_id: str, *, page_size: int = RECORDS_MAX, fresh: str = "") -> Iterator[HistoryEntry]:
        """Yield everything that happened to a golden ID itself, the oldest first; fetches the next page when needed."""
        token = ""
        while True:
            page = self._client.send(wire_explanations.history(golden_id, page_size, token, fresh))
            yield from page.entries
            token = page.next_page_token
            if not token:
                return

    def golden_record(
        self, golden_id: str, as_of: str | datetime, *, fresh: str = "", timeout_s: float | None = None
    ) -> PastGoldenRecord:
        """Return a golden record as of the token of a position or a time with its zone.

        Raises:
            NotFoundError: GOLDEN_ID_NOT_YET_ISSUED if the golden ID is younger.
        """
        return self._client.send(wire_explanations.golden_record_at(golden_id, as_of, fresh), timeout_s)


class AsyncHistories:
    """As `Histories`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def entries(
        self, golden_id: str, *, page_size: int = RECORDS_MAX, fresh: str = ""
    ) -> AsyncIterator[HistoryEntry]:
        """Yield everything that happened to a golden ID itself, the oldest first; fetches the next page when needed."""
        token = ""
        while True:
            page = await self._client.send(wire_explanations.history(golden_id, page_size, token, fresh))
            for entry in page.entries:
                yield entry
            token = page.next_page_token
            if not token:
                return

    async def golden_record(
        self, golden_id: str, as_of: str | datetime, *, fresh: str = "", timeout_s: float | None = None
    ) -> PastGoldenRecord:
        """Return a golden record as of the token of a position or a time with its zone. Raises NotFoundError."""
        return await self._client.send(wire_explanations.golden_record_at(golden_id, as_of, fresh), timeout_s)
