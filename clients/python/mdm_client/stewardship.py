"""What stewards do, by both clients: `client.stewardship`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from mdm_client import wire_stewardship as wire
from mdm_client.stewardship_results import (
    ActEffect,
    Judgement,
    Review,
    ReviewAnswer,
    ReviewDetail,
    ReviewFilter,
    ReviewState,
    Verdict,
)
from mdm_client.wire_stewardship import ActOptions, Subject

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client
    from mdm_client.records import SourceKey

_PAGE_SIZE = 500
_ALL = ReviewFilter()


class Stewardship:
    """Judgements, merges and splits, fixed values, and the review queue.

    Every act takes a reason, which is sealed; `is_dry_run` shows its effect and changes nothing, and the `etag` of that
    effect makes sure that the act does what was shown. `FailedPreconditionError` says why one was refused.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def judge(
        self,
        left: Subject,
        right: Subject,
        verdict: Verdict,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Say that two records are of the same or of different bearers; binds until withdrawn."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.judge(left, right, verdict, options))

    def withdraw_judgement(
        self,
        judgement_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Take a judgement back, with all of its act."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.withdraw_judgement(judgement_id, options))

    def merge(
        self,
        left_golden_id: str,
        right_golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Make two golden records one, under the older golden ID."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.merge(left_golden_id, right_golden_id, options))

    def unmerge(
        self,
        golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Give a merged golden ID back with the records that it had."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.unmerge(golden_id, options))

    def split(
        self,
        golden_id: str,
        keys: Sequence[SourceKey],
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Make some members of a golden record one of their own, for good."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.split(golden_id, keys, options))

    def move_record(
        self,
        key: SourceKey,
        target_golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Put a record into another golden record, for good."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.move_record(key, target_golden_id, options))

    def override_value(
        self,
        golden_id: str,
        field: str,
        value: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Fix the value that a golden record shows for a field."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.override_value(golden_id, field, value, options))

    def withdraw_override(
        self,
        golden_id: str,
        field: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Let a fixed value go."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.withdraw_override(golden_id, field, options))

    def resolve_review(
        self,
        review_id: str,
        answer: ReviewAnswer,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Answer a review."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return self._client.send(wire.resolve_review(review_id, answer, options))

    def judgements(self, golden_id: str, *, fresh: str = "") -> Iterator[Judgement]:
        """Yield the standing judgements about the members of a golden record."""
        page_token = ""
        while True:
            page, page_token = self._client.send(wire.list_judgements(golden_id, _PAGE_SIZE, page_token, fresh))
            yield from page

            if not page_token:
                return

    def reviews(
        self, state: ReviewState = ReviewState.UNSPECIFIED, wanted: ReviewFilter = _ALL, *, fresh: str = ""
    ) -> Iterator[Review]:
        """Yield reviews in the order in which they should be taken."""
        page_token = ""
        while True:
            call = wire.list_reviews(state, wanted, _PAGE_SIZE, page_token, fresh)
            page, page_token = self._client.send(call)
            yield from page

            if not page_token:
                return

    def review(self, review_id: str, *, fresh: str = "") -> ReviewDetail:
        """Return a review with both golden records, how its records compare, and earlier answers."""
        return self._client.send(wire.get_review(review_id, fresh))

    def claim_review(
        self,
        review_id: str = "",
        wanted: ReviewFilter = _ALL,
        *,
        skipped_review_ids: Sequence[str] = (),
        lease_seconds: int = 0,
        request_id: str | None = None,
    ) -> ReviewDetail | None:
        """Keep a review from others: the one named, or the most urgent; None if none waits. 0 seconds means 900."""
        call = wire.claim_review(review_id, wanted, skipped_review_ids, lease_seconds, self._client.caller, request_id)
        return self._client.send(call)

    def release_review(self, review_id: str, *, request_id: str | None = None) -> str:
        """Give a review back; returns the position from which it is free."""
        call = wire.release_review(review_id, self._client.caller, request_id, is_escalated=False, reason="")
        return self._client.send(call)

    def escalate_review(self, review_id: str, reason: str, *, request_id: str | None = None) -> str:
        """Hand a review to somebody who may decide more; returns the position from which it waits for them."""
        call = wire.release_review(review_id, self._client.caller, request_id, is_escalated=True, reason=reason)
        return self._client.send(call)


class AsyncStewardship:
    """As `Stewardship`, for asyncio."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def judge(
        self,
        left: Subject,
        right: Subject,
        verdict: Verdict,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Say that two records are of the same or of different bearers; binds until withdrawn."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.judge(left, right, verdict, options))

    async def withdraw_judgement(
        self,
        judgement_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Take a judgement back, with all of its act."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.withdraw_judgement(judgement_id, options))

    async def merge(
        self,
        left_golden_id: str,
        right_golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Make two golden records one, under the older golden ID."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.merge(left_golden_id, right_golden_id, options))

    async def unmerge(
        self,
        golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Give a merged golden ID back with the records that it had."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.unmerge(golden_id, options))

    async def split(
        self,
        golden_id: str,
        keys: Sequence[SourceKey],
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Make some members of a golden record one of their own, for good."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.split(golden_id, keys, options))

    async def move_record(
        self,
        key: SourceKey,
        target_golden_id: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Put a record into another golden record, for good."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.move_record(key, target_golden_id, options))

    async def override_value(
        self,
        golden_id: str,
        field: str,
        value: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Fix the value that a golden record shows for a field."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.override_value(golden_id, field, value, options))

    async def withdraw_override(
        self,
        golden_id: str,
        field: str,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Let a fixed value go."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.withdraw_override(golden_id, field, options))

    async def resolve_review(
        self,
        review_id: str,
        answer: ReviewAnswer,
        reason: str,
        *,
        etag: str = "",
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ActEffect:
        """Answer a review."""
        options = ActOptions(self._client.caller, reason, etag, is_dry_run, request_id)
        return await self._client.send(wire.resolve_review(review_id, answer, options))

    async def judgements(self, golden_id: str, *, fresh: str = "") -> AsyncIterator[Judgement]:
        """Yield the standing judgements about the members of a golden record."""
        page_token = ""
        while True:
            page, page_token = await self._client.send(wire.list_judgements(golden_id, _PAGE_SIZE, page_token, fresh))
            for judgement in page:
                yield judgement
            if not page_token:
                return

    async def reviews(
        self, state: ReviewState = ReviewState.UNSPECIFIED, wanted: ReviewFilter = _ALL, *, fresh: str = ""
    ) -> AsyncIterator[Review]:
        """Yield reviews in the order in which they should be taken."""
        page_token = ""
        while True:
            call = wire.list_reviews(state, wanted, _PAGE_SIZE, page_token, fresh)
            page, page_token = await self._client.send(call)
            for review in page:
                yield review
            if not page_token:
                return

    async def review(self, review_id: str, *, fresh: str = "") -> ReviewDetail:
        """Return a review with both golden records, how its records compare, and earlier answers."""
        return await self._client.send(wire.get_review(review_id, fresh))

    async def claim_review(
        self,
        review_id: str = "",
        wanted: ReviewFilter = _ALL,
        *,
        skipped_review_ids: Sequence[str] = (),
        lease_seconds: int = 0,
        request_id: str | None = None,
    ) -> ReviewDetail | None:
        """Keep a review from others: the one named, or the most urgent; None if none waits. 0 seconds means 900."""
        call = wire.claim_review(review_id, wanted, skipped_review_ids, lease_seconds, self._client.caller, request_id)
        return await self._client.send(call)

    async def release_review(self, review_id: str, *, request_id: str | None = None) -> str:
        """Give a review back; returns the position from which it is free."""
        call = wire.release_review(review_id, self._client.caller, request_id, is_escalated=False, reason="")
        return await self._client.send(call)

    async def escalate_review(self, review_id: str, reason: str, *, request_id: str | None = None) -> str:
        """Hand a review to somebody who may decide more; returns the position from which it waits for them."""
        call = wire.release_review(review_id, self._client.caller, request_id, is_escalated=True, reason=reason)
        return await self._client.send(call)
