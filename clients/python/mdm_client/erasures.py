"""Erasing a person or firm, by both clients: `client.erasures`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from mdm_client import wire_erasure
from mdm_client.erasure_results import Erasure, SubjectErasure
from mdm_client.records import SourceKey

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client


class Erasures:
    """Erasures: what one would destroy, destroying it, and which there were."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def erase(
        self,
        subject: str | SourceKey,
        reason: str,
        *,
        is_dry_run: bool = False,
        expected_record_count: int | None = None,
        request_id: str | None = None,
    ) -> SubjectErasure:
        """Destroy for good what is known under a golden ID or of a record's bearer; a dry run says what that would be.

        Raises:
            FailedPreconditionError: CONFLICT if the records are not `expected_record_count` any more.
        """
        call = wire_erasure.erase(
            subject,
            reason,
            self._client.caller,
            is_dry_run=is_dry_run,
            expected_record_count=expected_record_count,
            request_id=request_id,
        )
        return self._client.send(call)

    def list(self, *, page_size: int = 0) -> Iterator[Erasure]:
        """Yield every erasure, the latest first; fetches the next page when needed."""
        token = ""
        while True:
            found, token = self._client.send(wire_erasure.list_erasures(page_size, token))
            yield from found
            if not token:
                return


class AsyncErasures:
    """As `Erasures`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def erase(
        self,
        subject: str | SourceKey,
        reason: str,
        *,
        is_dry_run: bool = False,
        expected_record_count: int | None = None,
        request_id: str | None = None,
    ) -> SubjectErasure:
        """Destroy for good what is known under a golden ID or of a record's bearer; a dry run says what that would be.

        Raises:
            FailedPreconditionError: CONFLICT if the records are not `expected_record_count` any more.
        """
        call = wire_erasure.erase(
            subject,
            reason,
            self._client.caller,
            is_dry_run=is_dry_run,
            expected_record_count=expected_record_count,
            request_id=request_id,
        )
        return await self._client.send(call)

    async def list(self, *, page_size: int = 0) -> AsyncIterator[Erasure]:
        """Yield every erasure, the latest first; fetches the next page when needed."""
        token = ""
        while True:
            found, token = await self._client.send(wire_erasure.list_erasures(page_size, token))
            for each in found:
                yield each
            if not token:
                return
