"""Stewards' acts and reviews through both clients."""

from __future__ import annotations

import asyncio

import pytest

from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    EntityKind,
    FailedPreconditionError,
    NotFoundError,
    ReviewAnswer,
    ReviewFilter,
    ReviewKind,
    ReviewState,
    SourceKey,
    SourceRecord,
    Verdict,
)
from tests.serving import RunningServer


def stored(client: Client, record_id: str, full_name: str, birth_date: str, phone: str = "") -> tuple[SourceKey, str]:
    key = SourceKey("hospital", EntityKind.CITIZEN, record_id)
    attributes = CitizenAttributes(
        full_name=full_name, birth_date=birth_date, sex="F", phones=(phone,) if phone else ()
    )
    return key, client.upsert(SourceRecord(key, attributes, "2025-01-01")).golden_id


def test_the_blocking_client_acts_for_stewards(client: Client) -> None:
    first, golden_id = stored(client, "B1", "Trương Mỹ Hạnh", "1961-05-05", "0903111001")
    second, other_id = stored(client, "B2", "Lâm Ngọc Bích", "1972-06-06", "0903111002")
    stewards = client.stewardship
    preview = stewards.merge(golden_id, other_id, "cards seen", is_dry_run=True)
    assert (preview.token, preview.is_proposed) == ("", False)
    assert {(change.golden_id, change.field) for change in preview.value_changes} >= {(other_id, "full_name")}
    done = stewards.merge(golden_id, other_id, "cards seen", etag=preview.etag)
    assert done.token
    assert [pair.verdict for pair in done.made] == [Verdict.SAME]
    (judgement,) = stewards.judgements(golden_id)
    assert (judgement.reason, judgement.actor, judgement.judgement_id) == ("cards seen", "tests", done.judgement_id)
    with pytest.raises(FailedPreconditionError) as caught:
        stewards.judge(first, second, Verdict.DIFFERENT, "no")
    assert caught.value.reason == "JUDGEMENT_CONTRADICTED"
    assert stewards.unmerge(other_id, "sisters").withdrawn[0].verdict is Verdict.SAME
    moved = stewards.move_record(second, golden_id, "hers")
    assert stewards.withdraw_judgement(moved.judgement_id, "his").after
    joined = stewards.judge(golden_id, second, Verdict.SAME, "hers after all")
    stewards.withdraw_judgement(joined.judgement_id, "no")
    stewards.override_value(golden_id, "full_name", "Trương Mỹ Hạnh Nhi", "passport")
    assert "Trương Mỹ Hạnh Nhi" in {value.value for value in client.golden_record(golden_id).values}
    stewards.withdraw_override(golden_id, "full_name", "false passport")
    third, _ = stored(client, "B3", "Trương Mỹ Hạnh", "1961-05-05", "0903111001")
    assert stewards.split(golden_id, [third], "two patients").after


def test_the_asyncio_client_works_through_reviews(client: Client, server: RunningServer) -> None:
    for day in (1, 2):
        for side in "ab":
            stored(client, f"Q{day}{side}", "Nguyễn Thị Thúy", f"1987-07-0{day}")

    async def sit() -> None:
        async with AsyncClient(server.address, actor="hoa") as opened:
            stewards = opened.stewardship
            thin = ReviewFilter((ReviewKind.THIN_EVIDENCE,), EntityKind.CITIZEN, "hospital")
            listed = [each async for each in stewards.reviews(ReviewState.OPEN, thin)]
            assert len(listed) == 2
            first = await stewards.claim_review(wanted=thin, lease_seconds=60)
            assert first is not None
            assert first.review.claimed_by == "hoa"
            assert first.review.state is ReviewState.CLAIMED
            assert first.right is not None
            assert first.comparisons
            second = await stewards.claim_review(wanted=thin, skipped_review_ids=[first.review.review_id])
            assert second is not None
            assert second.review.review_id != first.review.review_id
            assert await stewards.claim_review(wanted=thin) is None
            assert await stewards.release_review(first.review.review_id)
            await stewards.escalate_review(second.review.review_id, "registrar")
            waiting = [each.review_id async for each in stewards.reviews(ReviewState.ESCALATED)]
            assert waiting == [second.review.review_id]
            answered = await stewards.resolve_review(first.review.review_id, ReviewAnswer.DIFFERENT, "two women")
            assert answered.made[0].verdict is Verdict.DIFFERENT
            with pytest.raises(NotFoundError):
                await stewards.review(first.review.review_id)
            found = [each async for each in stewards.judgements(first.left.golden_id)]
            assert [each.judgement_id for each in found] == [answered.judgement_id]
            await stewards.withdraw_judgement(answered.judgement_id, "mixed up")
            assert len([each async for each in stewards.reviews(wanted=thin)]) == 1

    asyncio.run(sit())
