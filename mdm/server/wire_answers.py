"""What writer and readers answer, as wire messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from mdm.domain.changes import ChangeKind
from mdm.limits import PAGE_SIZE_MAX
from mdm.linkage.comparisons import Meaning
from mdm.linkage.features import Features, FieldIssue
from mdm.linkage.scorer import Step
from mdm.resolve.commands import GoldenIdChange, WriteAnswer, WriteOutcome
from mdm.resolve.reader import Reader
from mdm.resolve.views import (
    GoldenRecord,
    GoldenState,
    Grade,
    MatchCandidate,
    MatchResult,
)
from mdm.server.wire_records import key_message, kind_number
from mdm.server.wire_values import value_message
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import registry_service_pb2 as registry

OUTCOMES = {member: common.WriteOutcome.Value(f"WRITE_OUTCOME_{member.name}") for member in WriteOutcome}
GOLDEN_STATES = {
    GoldenState.ACTIVE: common.GOLDEN_ID_STATUS_ACTIVE,
    GoldenState.REDIRECTED: common.GOLDEN_ID_STATUS_REDIRECTED,
    GoldenState.RETIRED: common.GOLDEN_ID_STATUS_RETIRED,
    GoldenState.NEVER_ISSUED: common.GOLDEN_ID_STATUS_UNKNOWN,
}
GRADES = {
    Grade.CERTAIN: common.MATCH_GRADE_CERTAIN,
    Grade.LIKELY: common.MATCH_GRADE_PROBABLE,
    Grade.POSSIBLE: common.MATCH_GRADE_POSSIBLE,
}
CHANGES = {
    kind: common.GoldenIdChangeType.Value(
        f"GOLDEN_ID_CHANGE_TYPE_{'LINKED' if kind is ChangeKind.JOINED else kind.name}"
    )
    for kind in ChangeKind
}
AGREEMENTS = {
    Meaning.AGREES: common.AGREEMENT_AGREES,
    Meaning.CLOSE: common.AGREEMENT_SIMILAR,
    Meaning.NEUTRAL: common.AGREEMENT_SIMILAR,
    Meaning.CONFLICTS: common.AGREEMENT_DIFFERS,
    Meaning.MISSING: common.AGREEMENT_MISSING,
}

COMPARISONS_CACHED_MAX = 4096
"""Comparisons remembered in their wire form: of some 60 levels of a model only those of names and
phones vary in weight."""


def issue_messages(issues: Iterable[FieldIssue]) -> list[common.ValueIssue]:
    """Return values that are no evidence: field and rule."""
    return [common.ValueIssue(field=issue.field, rule=issue.rule) for issue in issues]


def change_messages(changes: Iterable[GoldenIdChange]) -> list[common.GoldenIdChange]:
    """Return what happened to each golden ID."""
    return [
        common.GoldenIdChange(
            golden_id=change.golden_id,
            type=CHANGES[change.kind],
            surviving_golden_id="" if change.kind is ChangeKind.RETIRED else change.successor or change.golden_id,
        )
        for change in changes
    ]


def timestamp(at_us: int) -> Timestamp:
    """Return a time in UTC microseconds as the wire carries it."""
    time = Timestamp()
    time.FromMicroseconds(at_us)
    return time


def issues_of(answer: WriteAnswer, deferred: Sequence[FieldIssue]) -> Sequence[FieldIssue]:
    """Return a written record's issues: the writer's, and what the reader found in a record that is now pending."""
    return (*deferred, *answer.issues) if answer.outcome is WriteOutcome.PENDING else answer.issues


def upsert_message(
    answer: WriteAnswer, reader: Reader, deferred: Sequence[FieldIssue] = ()
) -> registry.UpsertRecordResponse:
    """Return the answer to an upsert; `deferred` as in `issues_of`."""
    return registry.UpsertRecordResponse(
        outcome=OUTCOMES[answer.outcome],
        golden_id=answer.golden_id or "",
        changes=change_messages(answer.changes),
        token=common.JournalToken(value=reader.token(answer.seq)),
        value_issues=issue_messages(issues_of(answer, deferred)),
        match_weight_bits=answer.match_weight_bits,
    )


def write_match(into: common.MatchResult, match: MatchResult, issues: Sequence[FieldIssue] = ()) -> None:
    """Write ranked candidates with their comparisons into an answer's own field.

    A message that is given to another is copied by way of its bytes; one that stands where it belongs is not.
    """
    into.candidate_count = match.candidate_count
    into.scored_count = match.scored_count
    for candidate in match.candidates:
        _write_candidate(into.candidates.add(), candidate)
    for block in match.truncated:
        into.truncated_blocks.add(rule=block.rule, holder_count=block.total_count, scored_count=block.read_count)
    for issue in issues:
        into.value_issues.add(field=issue.field, rule=issue.rule)


def feature_messages(features: Features) -> list[registry.Feature]:
    """Return the normalised columns in the model's order, empty ones included."""
    return [registry.Feature(name=name, values=_texts(getattr(features, name))) for name in features.__struct_fields__]


def golden_message(
    record: GoldenRecord, members: Sequence[golden.Member], *, with_alternatives: bool = False
) -> golden.GoldenRecord:
    """Return a golden record with the first page of its members."""
    return golden.GoldenRecord(
        requested_golden_id=record.requested,
        golden_id=record.golden_id or "",
        status=GOLDEN_STATES[record.state],
        entity_kind=kind_number(record.kind),
        values=[value_message(value, with_alternatives=with_alternatives) for value in record.values],
        members=members[:PAGE_SIZE_MAX],
        member_count=len(members),
        absorbed_golden_ids=record.absorbed,
        potential_match_count=record.potential_match_count,
        is_erased=record.is_erased,
    )


def member_messages(record: GoldenRecord) -> list[golden.Member]:
    """Return all members in the order in which their keys were first stored."""
    return [
        golden.Member(key=key_message(each.key), updated_at=each.updated_at, is_anchor=each.is_anchor)
        for each in record.members
    ]


def _write_candidate(into: common.MatchCandidate, candidate: MatchCandidate) -> None:
    into.golden_id = candidate.golden_id
    into.grade = GRADES[candidate.grade]
    into.match_weight_bits = candidate.match_weight_bits
    into.match_probability = candidate.match_probability
    # What is no comparison's is where the sum starts: the prior.
    into.starting_weight_bits = candidate.match_weight_bits - sum([step.weight_bits for step in candidate.steps])
    into.member_count = candidate.member_count
    into.veto = candidate.held_back
    # Messages one behind the other are one message, so that ten comparisons need not be made anew for each candidate.
    into.MergeFromString(b"".join([_comparison_bytes(step) for step in sorted(candidate.steps, key=_distinction)]))


def _distinction(step: Step) -> tuple[float, str]:
    """Order comparisons: those that tell the pair apart first, then those that bind it."""
    bits = step.weight_bits
    return bits if bits < 0 else 1.0, step.comparison


def comparison_messages(steps: Iterable[Step]) -> list[common.FieldComparison]:
    """Return how a pair compares, what tells it apart first."""
    return [_comparison(step) for step in sorted(steps, key=_distinction)]


def _comparison(step: Step) -> common.FieldComparison:
    return common.FieldComparison(
        field=step.comparison,
        level=step.level,
        agreement=AGREEMENTS[step.meaning],
        match_weight_bits=step.weight_bits,
    )


@lru_cache(maxsize=COMPARISONS_CACHED_MAX)
def _comparison_bytes(step: Step) -> bytes:
    """Return a candidate that holds nothing but this comparison, serialised."""
    return common.MatchCandidate(comparisons=[_comparison(step)]).SerializeToString()


def _texts(value: object) -> list[str]:
    match value:
        case None | False | "":
            return []
        case True:
            return ["true"]
        case tuple():
            return [str(each) for each in value]
        case _:
            return [str(value)]
