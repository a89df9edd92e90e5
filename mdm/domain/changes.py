"""What one event changed: the difference between the entries that it read and those that it put.

Taken from the fold itself, so that a new fact needs no second description of its effects, and a replay gives the same.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.reviews import Review, ReviewKind
from mdm.domain.state import (
    GoldenEntry,
    IdentityState,
    Judgement,
    Pair,
    PotentialMatch,
    RecordEntry,
    apply,
)


class ChangeKind(enum.StrEnum):
    """What happened to a golden ID."""

    CREATED = "created"
    """Minted."""
    JOINED = "joined"
    """A record joined it."""
    LEFT = "left"
    """A record left it; `other` is where to, if anywhere."""
    MERGED = "merged"
    """Redirects to `other` from now on."""
    ABSORBED = "absorbed"
    """`other` redirects to it from now on."""
    ANCHOR_MOVED = "anchor_moved"
    """Stands for another of its records now; answers as before."""
    RETIRED = "retired"
    SPLIT = "split"
    """Some members answer under `other` from now on."""
    RESTORED = "restored"
    """Redirected to `other` before, or was retired if there is none, and answers for itself again."""
    VALUES_CHANGED = "values_changed"
    """A member came with other values."""
    POTENTIAL_MATCH_OPENED = "potential_match_opened"
    """A steward is asked whether it and `other` are one bearer."""
    POTENTIAL_MATCH_CLOSED = "potential_match_closed"
    JUDGED_SAME = "judged_same"
    """A steward said that a member and one of `other` are one bearer."""
    JUDGED_DIFFERENT = "judged_different"
    JUDGEMENT_WITHDRAWN = "judgement_withdrawn"
    VALUE_PINNED = "value_pinned"
    VALUE_UNPINNED = "value_unpinned"
    REVIEW_OPENED = "review_opened"
    """A steward has to look at its size, or a second person at a proposal to join it with `other`."""
    REVIEW_CLOSED = "review_closed"
    REVIEW_PARKED = "review_parked"
    """A steward could not tell, of this or of a potential match; it rests."""
    REVIEW_ESCALATED = "review_escalated"
    """It, or a potential match, waits for somebody who may decide more."""
    ERASED = "erased"
    """The values of all its records were destroyed."""


class GoldenChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One thing that happened to one golden ID."""

    golden_id: GoldenId
    kind: ChangeKind
    other: GoldenId | None = None
    """The other golden ID that the kind speaks of, if any."""


class RecordChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record that the event is about, with its golden ID before and after; the same where it did not move."""

    number: RecordNumber
    before: GoldenId | None
    after: GoldenId | None


class Changes(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All that one event changed. Never empty."""

    at_us: int
    """Time of the event."""
    goldens: tuple[GoldenChange, ...]
    records: tuple[RecordChange, ...]


def apply_noting(state: IdentityState, event: ev.Event) -> Changes | None:
    """Fold one event into the state as `apply` does; returns what it changed, None if no golden ID was touched.

    Every entry is put once, after the fold.
    """
    notes = _Notes(state)
    apply(notes, event)
    # Before the entries are put: what the fold did not read is then still as it was before the event.
    changes = _changes(notes, event) if notes.touches_golden_ids() else None
    notes.put_all()
    return changes


class _Notes:
    """Identity state that remembers what was read from the state behind it, and what was put."""

    __slots__ = ("_read_goldens", "_read_records", "_state", "goldens", "pairs", "records", "reviews")

    def __init__(self, state: IdentityState) -> None:
        self._state = state
        self._read_records: dict[RecordNumber, RecordEntry | None] = {}
        self._read_goldens: dict[GoldenId, GoldenEntry | None] = {}
        self.records: dict[RecordNumber, RecordEntry] = {}
        self.goldens: dict[GoldenId, GoldenEntry] = {}
        self.pairs: list[tuple[Pair, ChangeKind]] = []
        self.reviews: list[tuple[Review, ChangeKind]] = []

    def record_before(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry as it was before the event."""
        if number not in self._read_records:
            self._read_records[number] = self._state.record(number)
        return self._read_records[number]

    def golden_before(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry as it was before the event."""
        if golden_id not in self._read_goldens:
            self._read_goldens[golden_id] = self._state.golden(golden_id)
        return self._read_goldens[golden_id]

    def home_before(self, number: RecordNumber) -> GoldenId | None:
        """Return the golden ID that the record had before the event."""
        entry = self.record_before(number)
        return None if entry is None else entry.golden_id

    def touches_golden_ids(self) -> bool:
        """Return whether anything was put that concerns a golden ID: most records come without one."""
        return bool(self.goldens or self.pairs or self.reviews) or any(map(self.home_before, self.records))

    def moves(self) -> list[RecordChange]:
        """Return the records that changed their golden ID."""
        found = []
        for number, entry in self.records.items():
            before = self.home_before(number)
            if before != entry.golden_id:
                found.append(RecordChange(number, before, entry.golden_id))
        return found

    def put_all(self) -> None:
        """Hand all entries on."""
        for number, record in self.records.items():
            self._state.put_record(number, record)
        for golden_id, golden in self.goldens.items():
            self._state.put_golden(golden_id, golden)

    def record(self, number: RecordNumber) -> RecordEntry | None:
        return self.records.get(number) or self.record_before(number)

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        return self.goldens.get(golden_id) or self.golden_before(golden_id)

    def put_record(self, number: RecordNumber, entry: RecordEntry) -> None:
        self.records[number] = entry

    def put_golden(self, golden_id: GoldenId, entry: GoldenEntry) -> None:
        self.goldens[golden_id] = entry

    def potential_match(self, pair: Pair) -> PotentialMatch | None:
        return self._state.potential_match(pair)

    def put_potential_match(self, pair: Pair, match: PotentialMatch | None) -> None:
        kind = ChangeKind.POTENTIAL_MATCH_CLOSED if match is None else ChangeKind.POTENTIAL_MATCH_OPENED
        self.pairs.append((pair, kind))
        self._state.put_potential_match(pair, match)

    def judgement(self, pair: Pair) -> ev.Verdict | None:
        return self._state.judgement(pair)

    def standing(self, pair: Pair) -> Judgement | None:
        return self._state.standing(pair)

    def put_judgement(self, pair: Pair, judgement: Judgement | None) -> None:
        is_same = judgement is not None and judgement.verdict is ev.Verdict.SAME
        kind = ChangeKind.JUDGED_SAME if is_same else ChangeKind.JUDGED_DIFFERENT
        self.pairs.append((pair, ChangeKind.JUDGEMENT_WITHDRAWN if judgement is None else kind))
        self._state.put_judgement(pair, judgement)

    def review(self, review: int) -> Review | None:
        return self._state.review(review)

    def put_review(self, review: int, entry: Review | None) -> None:
        before = self._state.review(review)
        kind = _of_review(before, entry)
        shown = entry or before
        if kind is not None and shown is not None:
            self.reviews.append((shown, kind))
        self._state.put_review(review, entry)

    def setting(self, name: str) -> str | None:
        return self._state.setting(name)

    def put_setting(self, name: str, value: str) -> None:
        self._state.put_setting(name, value)


def _changes(notes: _Notes, event: ev.Event) -> Changes | None:
    moves = notes.moves()
    # What the event is about, whether it moved or not.
    subjects: list[RecordNumber] = []
    goldens = _of_goldens(notes, event, moves, subjects)
    goldens += _of_records(notes, subjects)
    if notes.pairs:
        goldens += _of_pairs(notes, subjects)
    if notes.reviews:
        goldens += _of_reviews(notes, subjects)
    if isinstance(event.fact, ev.SubjectErased):
        # Also records that were deleted before or have another bearer: who follows their registries has to hear of it.
        subjects += (*event.fact.numbers, *(number for number, _ in event.fact.passed_on))
    if not goldens:
        return None
    if subjects:
        moved = {move.number for move in moves}
        for number in dict.fromkeys(subjects):
            if number not in moved:
                home = notes.home_before(number)
                moves.append(RecordChange(number, home, home))
    return Changes(event.at_us, tuple(goldens), tuple(moves))


def _of_goldens(
    notes: _Notes, event: ev.Event, moves: list[RecordChange], subjects: list[RecordNumber]
) -> list[GoldenChange]:
    """Return what happened to the golden IDs that were put: first what each answers, then who came and went."""
    found = []
    for golden_id, after in notes.goldens.items():
        before = None if after.minted_seq == event.seq else notes.golden_before(golden_id)
        if before is None:
            found.append(GoldenChange(golden_id, ChangeKind.CREATED))
            continue
        found += _of_answer(golden_id, before, after)
        if before.anchor is not None and after.anchor != before.anchor:
            subjects.append(before.anchor)
        if after.members == before.members or after.survivor is not None:
            continue
        came = {move.before for move in moves if move.after == golden_id}.difference(after.absorbed)
        if came - ({before.survivor} if before.survivor is not None else set()):
            found.append(GoldenChange(golden_id, ChangeKind.JOINED))
        kind = ChangeKind.SPLIT if isinstance(event.fact, ev.RecordsRegrouped) else ChangeKind.LEFT
        left_for = dict.fromkeys(move.after for move in moves if move.before == golden_id)
        found += [GoldenChange(golden_id, kind, other) for other in left_for]
    return found


def _of_answer(golden_id: GoldenId, before: GoldenEntry, after: GoldenEntry) -> list[GoldenChange]:
    found = []
    if after.is_erased and not before.is_erased:
        found.append(GoldenChange(golden_id, ChangeKind.ERASED))
    if after.is_retired and not before.is_retired:
        found.append(GoldenChange(golden_id, ChangeKind.RETIRED))
    elif after.survivor is None and (before.survivor is not None or before.is_retired > after.is_retired):
        found.append(GoldenChange(golden_id, ChangeKind.RESTORED, before.survivor))
    elif after.survivor != before.survivor:
        found.append(GoldenChange(golden_id, ChangeKind.MERGED, after.survivor))
    if after.absorbed != before.absorbed:
        absorbed = (each for each in after.absorbed if each not in before.absorbed)
        found += [GoldenChange(golden_id, ChangeKind.ABSORBED, each) for each in absorbed]
    if after.anchor is not None and after.anchor != before.anchor:
        found.append(GoldenChange(golden_id, ChangeKind.ANCHOR_MOVED))
    return found


def _of_records(notes: _Notes, subjects: list[RecordNumber]) -> list[GoldenChange]:
    """Return what became of the golden records' values."""
    found = []
    for number, after in notes.records.items():
        before = notes.record_before(number)
        if before is None or before.golden_id is None:
            continue
        if after.payload_id != before.payload_id:
            found.append(GoldenChange(before.golden_id, ChangeKind.VALUES_CHANGED))
            subjects.append(number)
        if after.pins != before.pins:
            is_pinned = not set(before.pins).issuperset(after.pins)
            kind = ChangeKind.VALUE_PINNED if is_pinned else ChangeKind.VALUE_UNPINNED
            found.append(GoldenChange(before.golden_id, kind))
            subjects.append(number)
    return found


def _of_pairs(notes: _Notes, subjects: list[RecordNumber]) -> Iterable[GoldenChange]:
    """Return the questions and judgements about the golden records that the two records had."""
    found = []
    for (left, right), kind in notes.pairs:
        left_home, right_home = notes.home_before(left), notes.home_before(right)
        if left_home is not None:
            found.append(GoldenChange(left_home, kind, right_home))
        if right_home is not None and right_home != left_home:
            found.append(GoldenChange(right_home, kind, left_home))
        subjects += (left, right)
    # Several members may have asked the same about one golden record.
    return dict.fromkeys(found)


def _of_review(before: Review | None, after: Review | None) -> ChangeKind | None:
    """Return what became of a review; a potential match opens and closes by itself, and claims are no matter of IDs."""
    shown = after or before
    if shown is None:
        return None
    if before is None or after is None:
        opened = ChangeKind.REVIEW_OPENED if before is None else ChangeKind.REVIEW_CLOSED
        return opened if shown.kind in {ReviewKind.OVERSIZED, ReviewKind.PROPOSAL} else None
    if after.is_escalated and not before.is_escalated:
        return ChangeKind.REVIEW_ESCALATED
    return ChangeKind.REVIEW_PARKED if after.parked_until_us > before.parked_until_us else None


def _of_reviews(notes: _Notes, subjects: list[RecordNumber]) -> Iterable[GoldenChange]:
    """Return what became of reviews of the golden records that they are about."""
    found = []
    for review, kind in notes.reviews:
        numbers = [review.left] if review.right is None else [review.left, review.right]
        homes = [notes.home_before(number) for number in numbers]
        if review.golden_id is not None:
            golden = notes.golden_before(review.golden_id)
            homes, numbers = [review.golden_id], [golden.anchor] if golden is not None and golden.anchor else []
        others = dict.fromkeys(homes)
        for home in others:
            if home is not None:
                other = next((each for each in others if each != home), None)
                found.append(GoldenChange(home, kind, other))
        subjects += numbers
    return found
