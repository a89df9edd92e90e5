"""What stewards see: reviews in order, with both sides and how they compare, and the judgements that stand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.judgements import different_between, members_of
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey, parse_golden_id
from mdm.domain.restores import never_issued
from mdm.domain.reviews import QueueState, Review, ReviewKind
from mdm.domain.state import Pair, pair_of
from mdm.domain.survivorship import GoldenValue
from mdm.errors import ActImpossibleError, UnknownRecordError, UnknownReviewError
from mdm.limits import REVIEWS_EXAMINED_MAX
from mdm.linkage.scorer import Step
from mdm.resolve import survivorship
from mdm.resolve.commands import RecordGroup, ReviewFilter
from mdm.resolve.desk import next_review, passes
from mdm.resolve.etags import etag_of, parts_of_review
from mdm.resolve.matcher import features_of
from mdm.resolve.reader import Reader
from mdm.resolve.reading import Reading
from mdm.resolve.reasons import read_reason
from mdm.store.view import IndexView


class SideView(msgspec.Struct, frozen=True):
    """One end of a review."""

    golden_id: GoldenId
    key: SourceKey | None
    member_count: int


class ReviewView(msgspec.Struct, frozen=True):
    """A review as it stands."""

    review: int
    entry: Review
    kind: EntityKind
    left: SideView
    right: SideView | None
    match_weight_bits: float | None
    detail: str
    etag: str
    is_claimed: bool


class JudgementView(msgspec.Struct, frozen=True):
    """A standing judgement with who made it, when and why."""

    seq: int
    act_seq: int
    pair: Pair
    verdict: ev.Verdict
    actor: str
    at_us: int
    reason: str


class ReviewDetail(msgspec.Struct, frozen=True):
    """A review with what helps to answer it."""

    shown: ReviewView
    waterfall: tuple[Step, ...]
    """Of the two records, the prior first; empty where one of them is no longer resolved."""
    earlier: tuple[JudgementView, ...]
    read_seq: int


class GroupValues(msgspec.Struct, frozen=True):
    """A golden record of an act and what it shows."""

    golden_id: GoldenId
    values: tuple[GoldenValue, ...]


Place = tuple[int, int]
"""Order and id of the last review of a page."""


class StewardReader:
    """Reads for stewards. Safe to share between threads."""

    def __init__(self, reader: Reader) -> None:
        """Read from this process's index."""
        self._reader = reader

    def number_of(self, key: SourceKey) -> RecordNumber:
        """Return the number of a record; raises UnknownRecordError."""
        with self._reader.reading() as reading:
            number = reading.view.number_of(key)
        if number is None:
            raise UnknownRecordError("no record is stored under this key")
        return number

    def anchor_of(self, golden_id: str) -> RecordNumber:
        """Return the record that a golden ID stands for.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
            ActImpossibleError: It is retired.
        """
        with self._reader.reading() as reading:
            golden = reading.view.golden(parse_golden_id(golden_id))
            if golden is None:
                raise never_issued(reading.view)
        if golden.anchor is None:
            raise ActImpossibleError("the golden ID is retired")
        return golden.anchor

    def keys_of(self, numbers: Iterable[RecordNumber]) -> dict[RecordNumber, SourceKey]:
        """Return the source keys of records; an erased one has none."""
        return self._reader.source_keys(numbers)

    def reviews(
        self, queue: QueueState, wanted: ReviewFilter, size: int, after: Place | None, *, is_claimed: bool | None = None
    ) -> tuple[list[ReviewView], Place | None, int]:
        """Return a page of reviews in the order of their queue, the place to go on from, and the seq.

        Args:
            queue: Where they stand.
            wanted: Which are meant.
            size: Reviews at most; looks at `REVIEWS_EXAMINED_MAX` at most, so that a page may hold fewer.
            after: Place of the last one of the page before.
            is_claimed: Only those that somebody works on, or nobody; None for both.
        """
        now_us = time.time_ns() // 1000
        found: list[ReviewView] = []
        with self._reader.reading() as reading:
            view = reading.view
            for examined, (place, review_id) in enumerate(view.iter_review_queue(queue, after), start=1):
                entry = view.review(review_id)
                is_meant = entry is not None and passes(view, entry, wanted)
                if entry is not None and is_meant and is_claimed in {None, entry.is_claimed(now_us)}:
                    found.append(_shown(view, review_id, entry, now_us))
                if len(found) == size or examined == REVIEWS_EXAMINED_MAX:
                    return found, (place, review_id), view.applied_seq
            return found, None, view.applied_seq

    def next_review(self, wanted: ReviewFilter) -> int:
        """Return the most urgent review that passes and nobody works on, 0 if there is none.

        Cost: 5 µs for each that does not pass; the writer, which may not take so long, only claims what is found.
        """
        with self._reader.reading() as reading:
            return next_review(reading.view, wanted, time.time_ns() // 1000, examined_max=None) or 0

    def review(self, review_id: int) -> ReviewDetail:
        """Return a review with how its two records compare and what was said before; raises UnknownReviewError."""
        now_us = time.time_ns() // 1000
        with self._reader.reading() as reading:
            view = reading.view
            entry = view.review(review_id)
            if entry is None:
                raise UnknownReviewError("no review of this id is open: it was answered, or its cause is gone")
            shown = _shown(view, review_id, entry, now_us)
            waterfall: tuple[Step, ...] = ()
            earlier: list[JudgementView] = []
            if entry.right is not None and shown.right is not None:
                waterfall = _compared(reading, shown.kind, entry.left, entry.right)
                sides = (members_of(view.golden(side.golden_id)) for side in (shown.left, shown.right))
                pairs = [pair for pair, _ in different_between(view, *sides)]
                earlier = [found for pair in pairs if (found := _judgement(reading, pair)) is not None]
            return ReviewDetail(shown, waterfall, tuple(earlier), view.applied_seq)

    def judgements(self, golden_id: str, size: int, after: Pair | None) -> tuple[list[JudgementView], bool, int]:
        """Return a page of the judgements about a golden record's members, whether more follow, and the seq.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
        """
        requested = parse_golden_id(golden_id)
        with self._reader.reading() as reading:
            view = reading.view
            golden = view.golden(requested)
            if golden is None:
                raise never_issued(view)
            golden = view.golden(golden.survivor) if golden.survivor is not None else golden
            pairs: set[Pair] = set()
            for number in members_of(golden):
                entry = view.record(number)
                pairs.update(pair_of(number, other) for other in (entry.judged if entry else ()))
            wanted = sorted(pair for pair in pairs if after is None or pair > after)
            found = [each for pair in wanted[:size] if (each := _judgement(reading, pair)) is not None]
            return found, len(wanted) > size, view.applied_seq

    def judgements_of(self, seqs: Iterable[int]) -> list[JudgementView]:
        """Return standing judgements by their ids, in this order."""
        with self._reader.reading() as reading:
            facts = (event.fact for seq in seqs for event in reading.journal.events(seq - 1, seq))
            pairs = [(fact.left, fact.right) for fact in facts if isinstance(fact, ev.JudgementMade)]
            return [each for pair in pairs if (each := _judgement(reading, pair)) is not None]

    def values_of(
        self, groups: Sequence[RecordGroup], supposed: survivorship.Supposed | None = None
    ) -> list[GroupValues]:
        """Return what golden records of these members show, or would show."""
        with self._reader.reading() as reading:
            view, journal, rules = reading.view, reading.journal, reading.rules
            members = [survivorship.members_of(view, reading.configuration, each.numbers) for each in groups]
            return [
                GroupValues(group.golden_id, survivorship.values_of(view, journal, each, rules, supposed))
                for group, each in zip(groups, members, strict=True)
            ]


def _shown(view: IndexView, review_id: int, entry: Review, now_us: int) -> ReviewView:
    left, right = _side(view, entry.left), None
    record = view.record(entry.left)
    if entry.golden_id is not None:
        left = SideView(entry.golden_id, left.key, len(members_of(view.golden(entry.golden_id))))
    bits, detail = None, ""
    if entry.right is not None:
        right = _side(view, entry.right)
        match = view.potential_match(pair_of(entry.left, entry.right))
        if match is not None and entry.kind is not ReviewKind.PROPOSAL:
            bits, detail = match.match_weight_bits, match.detail
    return ReviewView(
        review_id,
        entry,
        record.kind if record is not None else EntityKind.CITIZEN,
        left,
        right,
        bits,
        detail,
        etag_of(view, parts_of_review(view, entry)),
        entry.is_claimed(now_us),
    )


def _side(view: IndexView, number: RecordNumber) -> SideView:
    entry = view.record(number)
    golden_id = entry.golden_id if entry is not None else None
    golden = view.golden(golden_id) if golden_id is not None else None
    return SideView(golden_id or GoldenId(""), view.key_of(number), len(members_of(golden)))


def _compared(reading: Reading, kind: EntityKind, left: RecordNumber, right: RecordNumber) -> tuple[Step, ...]:
    features = [features_of(reading.view, kind, number) for number in (left, right)]
    if features[0] is None or features[1] is None:
        return ()
    return tuple(reading.engines[kind].scorer.waterfall(features[0], features[1]))


def _judgement(reading: Reading, pair: Pair) -> JudgementView | None:
    standing = reading.view.standing(pair)
    if standing is None:
        return None
    # An act's first judgement says who and why for all of it.
    for event in reading.journal.events(standing.act_seq - 1, standing.act_seq):
        if isinstance(event.fact, ev.JudgementMade):
            reason = read_reason(reading.journal, event.fact.reason_ids)
            return JudgementView(
                standing.seq, standing.act_seq, pair, standing.verdict, event.cause.actor, event.at_us, reason
            )
    return None
