"""Reviews, judgements and acts: wire ↔ domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf import timestamp_pb2

from mdm.domain.events import Judge, ReviewAnswer, Verdict
from mdm.domain.keys import GoldenId, RecordNumber, SourceKey
from mdm.domain.restores import Restore, public_number, seq_of_public
from mdm.domain.reviews import QueueState, ReviewKind
from mdm.limits import PAGE_SIZE_MAX
from mdm.resolve.commands import RecordGroup, StewardAnswer
from mdm.resolve.steward_reader import GroupValues, JudgementView, ReviewView, SideView
from mdm.server.wire_answers import change_messages
from mdm.server.wire_records import key_message, kind_number
from mdm.server.wire_values import value_message
from mdm.v1 import stewardship_service_pb2 as wire

_VERDICT_NUMBERS = {verdict: wire.Verdict.Value(f"VERDICT_{verdict.name}") for verdict in Verdict}
_KIND_NUMBERS = {kind: wire.ReviewKind.Value(f"REVIEW_KIND_{kind.name}") for kind in ReviewKind}
VERDICTS: dict[int, Verdict] = {number: verdict for verdict, number in _VERDICT_NUMBERS.items()}
REVIEW_KINDS: dict[int, ReviewKind] = {number: kind for kind, number in _KIND_NUMBERS.items()}
ANSWERS: dict[int, ReviewAnswer] = {
    wire.ReviewAnswer.Value(f"REVIEW_ANSWER_{answer.name}"): answer for answer in ReviewAnswer
}
QUEUES = {
    wire.REVIEW_STATE_UNSPECIFIED: (QueueState.OPEN, None),
    wire.REVIEW_STATE_OPEN: (QueueState.OPEN, False),
    wire.REVIEW_STATE_CLAIMED: (QueueState.OPEN, True),
    wire.REVIEW_STATE_PARKED: (QueueState.PARKED, None),
    wire.REVIEW_STATE_ESCALATED: (QueueState.ESCALATED, None),
    wire.REVIEW_STATE_PROPOSED: (QueueState.PROPOSED, None),
}
"""State on the wire → queue, and whether only claimed or only free ones are meant."""
_STATES = {
    QueueState.OPEN: wire.REVIEW_STATE_OPEN,
    QueueState.PARKED: wire.REVIEW_STATE_PARKED,
    QueueState.ESCALATED: wire.REVIEW_STATE_ESCALATED,
    QueueState.PROPOSED: wire.REVIEW_STATE_PROPOSED,
}
Keys = Mapping[RecordNumber, SourceKey]


class Names:
    """Wire forms of the ids of reviews and judgements, which are seqs here: no restore gives one of them again."""

    def __init__(self, restores: Sequence[Restore]) -> None:
        """Take the restores that the data went through."""
        self._restores = restores

    def review(self, review: int) -> str:
        """Return the id of a review; empty for none."""
        return f"R-{public_number(self._restores, review)}" if review else ""

    def judgement(self, seq: int) -> str:
        """Return the id of a judgement; empty for none."""
        return f"J-{public_number(self._restores, seq)}" if seq else ""

    def seq(self, name: str, field: str) -> int:
        """Return the seq of an id that the proto's rules passed; 0 for none.

        Raises:
            DataRestoredError: It was given out in an epoch that a restore ended, and is lost.
        """
        return seq_of_public(self._restores, int(name[2:]), field) if name else 0


def timestamp(at_us: int) -> timestamp_pb2.Timestamp | None:
    """Return a time; None for none."""
    return timestamp_pb2.Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1000) if at_us else None


def judgement_message(judgement: JudgementView, keys: Keys, names: Names) -> wire.Judgement:
    """Return a standing judgement."""
    return wire.Judgement(
        judgement_id=names.judgement(judgement.seq),
        pair=_pair(Judge(*judgement.pair, judgement.verdict), keys),
        actor=judgement.actor,
        reason=judgement.reason,
        judged_at=timestamp(judgement.at_us),
        act_judgement_id=names.judgement(judgement.act_seq),
    )


def effect_message(
    answer: StewardAnswer,
    keys: Keys,
    names: Names,
    contradicted: Iterable[JudgementView] = (),
    values: tuple[Sequence[GroupValues], Sequence[GroupValues]] = ((), ()),
) -> wire.ActEffect:
    """Return what an act did, with the values before and after where they were asked for."""
    return wire.ActEffect(
        changes=change_messages(answer.changes),
        before=[_state(group, keys) for group in answer.before],
        after=[_state(group, keys) for group in answer.after],
        value_changes=_value_changes(*values),
        made=[_pair(each, keys) for each in answer.made],
        withdrawn=[_pair(each, keys) for each in answer.withdrawn],
        contradicted=[judgement_message(each, keys, names) for each in contradicted],
        etag=answer.etag,
        judgement_id=names.judgement(answer.judgement),
        is_proposed=answer.is_proposed,
        review_id=names.review(answer.review),
    )


def numbers_named(answer: StewardAnswer) -> set[RecordNumber]:
    """Return the records that an effect names."""
    named = {number for group in (*answer.before, *answer.after) for number in group.numbers[:PAGE_SIZE_MAX]}
    return named.union(*((each.left, each.right) for each in (*answer.made, *answer.withdrawn)))


def review_message(shown: ReviewView, names: Names) -> wire.Review:
    """Return a review."""
    entry = shown.entry
    return wire.Review(
        review_id=names.review(shown.review),
        kind=_KIND_NUMBERS[entry.kind],
        state=wire.REVIEW_STATE_CLAIMED
        if shown.is_claimed and entry.queue is QueueState.OPEN
        else _STATES[entry.queue],
        entity_kind=kind_number(shown.kind),
        priority=entry.priority,
        left=_side(shown.left),
        right=_side(shown.right) if shown.right is not None else None,
        match_weight_bits=shown.match_weight_bits,
        detail=shown.detail,
        opened_at=timestamp(entry.opened_at_us),
        claimed_by=entry.claimed_by if shown.is_claimed else "",
        claimed_until=timestamp(entry.claimed_until_us) if shown.is_claimed else None,
        parked_until=timestamp(entry.parked_until_us),
        member_count=entry.member_count,
        proposed_by=entry.proposed_by,
        expires_at=timestamp(entry.expires_at_us),
        etag=shown.etag,
    )


def _side(side: SideView) -> wire.ReviewSide:
    key = key_message(side.key) if side.key is not None else None
    return wire.ReviewSide(golden_id=side.golden_id, key=key, member_count=side.member_count)


def _pair(judge: Judge, keys: Keys) -> wire.JudgedPair:
    left, right = keys.get(judge.left), keys.get(judge.right)
    return wire.JudgedPair(
        left=key_message(left) if left else None,
        right=key_message(right) if right else None,
        verdict=_VERDICT_NUMBERS[judge.verdict],
    )


def _state(group: RecordGroup, keys: Keys) -> wire.GoldenRecordState:
    return wire.GoldenRecordState(
        golden_id=group.golden_id,
        is_new=group.is_minted,
        members=[key_message(keys[number]) for number in group.numbers[:PAGE_SIZE_MAX] if number in keys],
        member_count=len(group.numbers),
    )


def _value_changes(before: Sequence[GroupValues], after: Sequence[GroupValues]) -> list[wire.ValueChange]:
    was, now = ({each.golden_id: _by_field(each) for each in groups} for groups in (before, after))
    changes = []
    for golden_id in dict.fromkeys([*was, *now]):
        one, other = was.get(golden_id, {}), now.get(golden_id, {})
        changes += [
            wire.ValueChange(
                golden_id=GoldenId(golden_id), field=field, before=one.get(field, ()), after=other.get(field, ())
            )
            for field in dict.fromkeys([*one, *other])
            if one.get(field) != other.get(field)
        ]
    return changes


def _by_field(group: GroupValues) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for value in group.values:
        message = value_message(value)
        values.setdefault(message.field, []).append(message.value)
    return values
