"""Explanations by both clients: `client.explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_explanations

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client
    from mdm_client.explanation_results import HowGoldenRecord, PairExplanation, Subject, WhyNot


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
