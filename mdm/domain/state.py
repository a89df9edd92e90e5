"""Identity state: who is who, as the fold of the journal.

`apply` is the only way in. It has no clock, no randomness and no IO of its own: whatever implements
`IdentityState` (a dictionary here, the LMDB index in `store`) holds exactly the same entries after the same events.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from mdm.domain import events as ev
from mdm.domain import settings_fold as fold
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.load_events import LoadFact
from mdm.domain.loads import fold_load
from mdm.domain.review_fold import (
    close_answered_proposals,
    close_proposals,
    fold_review,
    put_golden,
    put_question,
)
from mdm.domain.reviews import Review

Pair = tuple[RecordNumber, RecordNumber]
"""Two record numbers, the smaller first."""


def pair_of(one: RecordNumber, other: RecordNumber) -> Pair:
    """Return the two numbers in order."""
    return (one, other) if one < other else (other, one)


class RecordEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is known of one source record, apart from its values. Pending: not deleted and without a golden ID."""

    registry: str
    kind: EntityKind
    payload_id: int
    payload_hash: bytes
    changed_seq: int
    updated_at_us: int | None = None
    """The source's time of this version or absence, if it stated one."""
    golden_id: GoldenId | None = None
    """Always a surviving ID, never a redirect."""
    is_deleted: bool = False
    potential_matches: tuple[RecordNumber, ...] = ()
    judged: tuple[RecordNumber, ...] = ()
    chosen: RecordNumber | None = None
    rejected: tuple[RecordNumber, ...] = ()
    pins: tuple[tuple[str, int], ...] = ()
    """(field, payload id) of values that a steward fixed."""
    proposals: tuple[int, ...] = ()
    """Reviews in which somebody proposes to join it with another record."""
    withdrawn_from: GoldenId | None = None
    """Of a deleted record: the golden record that it belonged to until then."""
    is_erased: bool = False
    since_seq: int = 0
    """The event that brought this version or absence; what a reverted load gave back is since when it first was."""


class GoldenEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One golden ID ever issued: survivor with members, redirect, or retired."""

    minted_seq: int
    minted_ordinal: int
    """Place among the IDs minted by the same event; (minted_seq, minted_ordinal) is the ID's age."""
    changed_seq: int
    anchor: RecordNumber | None
    """The record that the ID stands for; None only when retired."""
    survivor: GoldenId | None = None
    """Where a redirect leads, in one step; None for a survivor or a retired ID."""
    members: tuple[RecordNumber, ...] = ()
    """Sorted; empty for redirects and retired IDs."""
    absorbed: tuple[GoldenId, ...] = ()
    """Sorted IDs that redirect here."""
    is_retired: bool = False
    merged_seq: int = 0
    """Of a redirect: the event that merged it, last time it had members."""
    merged_members: tuple[RecordNumber, ...] = ()
    """Of a redirect: its members when it was merged, for an unmerge to give back."""
    oversize_review: int = 0
    """The open review of its size, if any."""
    accepted_count: int = 0
    """Members that a steward found right."""
    withdrawn: tuple[RecordNumber, ...] = ()
    """Sorted: deleted records that belonged to it until then, whose values the journal still holds."""
    passed_on: tuple[tuple[RecordNumber, int], ...] = ()
    """(record, payload id): keys that belonged to it and have another bearer since; the last payload of its own."""
    is_erased: bool = False
    retired_with: tuple[GoldenId, ...] = ()
    """Of a retired ID: those that redirected to it until then, or the one that it redirected to."""


class PotentialMatch(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An open question to a steward."""

    opened_seq: int
    reason: ev.MatchReason
    match_weight_bits: float
    detail: str
    review: int = 0
    """Its review: position at which the pair was first asked about without a pause."""


class Judgement(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a steward said of two records, and from which event it stands."""

    verdict: ev.Verdict
    seq: int = 0
    act_seq: int = 0
    regrouped_seq: int = 0
    agreeing: tuple[str, ...] = ()


class IdentityView(Protocol):
    """Identity state to read. Getters answer None for what was never put."""

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry of a golden ID in canonical form."""

    def potential_match(self, pair: Pair) -> PotentialMatch | None:
        """Return the open question about a pair."""

    def judgement(self, pair: Pair) -> ev.Verdict | None:
        """Return the verdict of the standing judgement about a pair."""

    def standing(self, pair: Pair) -> Judgement | None:
        """Return the standing judgement about a pair."""

    def review(self, review: int) -> Review | None:
        """Return a review that is not closed."""

    def setting(self, name: str) -> str | None:
        """Return a setting.

        `configuration`; `epoch:<kind>`, the digest in force, and `epoch_seq:<kind>`, the seq of its activation;
        `load:<load id>`, and what `loads` keeps; `relink:<run id>`, its progress; `relink_seq:<run id>`, the seqs of
        its header and its trailer; `model:<kind>`, the digest in force; `models:<kind>`, the seqs of all activations;
        `pin:<kind>`, the digest in force if an operator chose it; `survivorship`, the digest in force; `survivorships`,
        the seqs of all activations; `erasures`, the seqs of all erasures; `erasing`, of those whose derived copies are
        not purged yet; `restores`, see `mdm.domain.restores`.
        """


class IdentityState(IdentityView, Protocol):
    """Storage that `apply` folds into."""

    def put_record(self, number: RecordNumber, entry: RecordEntry) -> None:
        """Store the entry of a record."""

    def put_golden(self, golden_id: GoldenId, entry: GoldenEntry) -> None:
        """Store the entry of a golden ID."""

    def put_potential_match(self, pair: Pair, match: PotentialMatch | None) -> None:
        """Store an open question, or remove it with None."""

    def put_judgement(self, pair: Pair, judgement: Judgement | None) -> None:
        """Store a judgement, or remove it with None."""

    def put_review(self, review: int, entry: Review | None) -> None:
        """Store a review at its place in the queue, or remove it with None."""

    def put_setting(self, name: str, value: str) -> None:
        """Store a setting."""


class MemoryState:
    """Identity state in dictionaries: for tests, `verify` and planning."""

    def __init__(self) -> None:
        """Start empty."""
        self.records: dict[RecordNumber, RecordEntry] = {}
        self.goldens: dict[GoldenId, GoldenEntry] = {}
        self.potential_matches: dict[Pair, PotentialMatch] = {}
        self.judgements: dict[Pair, Judgement] = {}
        self.reviews: dict[int, Review] = {}
        self.settings: dict[str, str] = {}

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""
        return self.records.get(number)

    def put_record(self, number: RecordNumber, entry: RecordEntry) -> None:
        """Store the entry of a record."""
        self.records[number] = entry

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry of a golden ID."""
        return self.goldens.get(golden_id)

    def put_golden(self, golden_id: GoldenId, entry: GoldenEntry) -> None:
        """Store the entry of a golden ID."""
        self.goldens[golden_id] = entry

    def potential_match(self, pair: Pair) -> PotentialMatch | None:
        """Return the open question about a pair."""
        return self.potential_matches.get(pair)

    def put_potential_match(self, pair: Pair, match: PotentialMatch | None) -> None:
        """Store or remove an open question."""
        if match is None:
            self.potential_matches.pop(pair, None)
        else:
            self.potential_matches[pair] = match

    def judgement(self, pair: Pair) -> ev.Verdict | None:
        """Return the verdict about a pair."""
        standing = self.judgements.get(pair)
        return standing.verdict if standing else None

    def standing(self, pair: Pair) -> Judgement | None:
        """Return the judgement about a pair."""
        return self.judgements.get(pair)

    def put_judgement(self, pair: Pair, judgement: Judgement | None) -> None:
        """Store or remove a judgement."""
        if judgement is None:
            self.judgements.pop(pair, None)
        else:
            self.judgements[pair] = judgement

    def review(self, review: int) -> Review | None:
        """Return a review."""
        return self.reviews.get(review)

    def put_review(self, review: int, entry: Review | None) -> None:
        """Store or remove a review."""
        if entry is None:
            self.reviews.pop(review, None)
        else:
            self.reviews[review] = entry

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        return self.settings.get(name)

    def put_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        self.settings[name] = value


def apply(state: IdentityState, event: ev.Event) -> None:  # noqa: C901, PLR0912  (one arm for each fact)
    """Fold one event into the state. Cost: O(members of the golden records it names)."""
    seq, fact = event.seq, event.fact
    if isinstance(fact, LoadFact):
        fold_load(state, event, fact)
        return
    match fact:
        case ev.RecordUpserted():
            _upsert(state, seq, fact)
        case ev.RecordDeleted():
            _delete(state, seq, fact)
        case ev.RecordResolved():
            _resolve(state, seq, fact)
        case ev.RecordsRegrouped():
            _regroup(state, seq, fact)
        case ev.AnchorMoved():
            _change_golden(state, seq, fact.golden_id, anchor=fact.number)
        case ev.GoldenIdRetired():
            _retire(state, seq, fact.golden_id)
        case ev.GoldenIdRevived():
            fold.revive(state, seq, fact)
        case ev.PotentialMatchOpened():
            match = PotentialMatch(seq, fact.reason, fact.match_weight_bits, fact.detail)
            _open_potential_match(state, pair_of(fact.left, fact.right), match, event.at_us)
        case ev.PotentialMatchClosed():
            _close_potential_match(state, pair_of(fact.left, fact.right))
        case ev.JudgementMade():
            standing = Judgement(fact.verdict, seq, fact.act_seq or seq, fact.regrouped_seq, fact.agreeing)
            _judge(state, seq, pair_of(fact.left, fact.right), standing)
        case ev.JudgementWithdrawn():
            _judge(state, seq, pair_of(fact.left, fact.right), None)
        case ev.ValuePinned():
            _pin(state, fact.number, fact.field, fact.payload_id)
        case ev.ValueUnpinned():
            _pin(state, fact.number, fact.field, None)
        case ev.ClerkChose():
            record = _known_record(state, fact.number)
            changed = msgspec.structs.replace(record, chosen=fact.chosen, rejected=fact.rejected, changed_seq=seq)
            state.put_record(fact.number, changed)
        case ev.ConfigurationChanged():
            fold.fold_configuration(state, seq, fact)
        case ev.ModelActivated():
            fold.fold_model(state, seq, fact)
        case ev.EpochActivated():
            fold.fold_epoch(state, seq, fact)
        case ev.RelinkCommitStarted() | ev.RelinkProgressed() | ev.RelinkCommitFinished():
            fold.fold_relink(state, seq, fact)
        case ev.SubjectErased():
            fold.fold_erasure(state, seq, fact)
        case ev.ErasureFinished():
            fold.finish_erasures(state, fact)
        case ev.JournalRestored():
            fold.fold_restore(state, event, fact)
        case _:
            fold_review(state, event, fact)


def _known_record(state: IdentityState, number: RecordNumber) -> RecordEntry:
    entry = state.record(number)
    if entry is None:
        message = f"event names record {number}, which was never upserted"
        raise AssertionError(message)
    return entry


def _known_golden(state: IdentityState, golden_id: GoldenId) -> GoldenEntry:
    entry = state.golden(golden_id)
    if entry is None:
        message = f"event names golden ID {golden_id}, which was never minted"
        raise AssertionError(message)
    return entry


def _change_golden(state: IdentityState, seq: int, golden_id: GoldenId, **changes: object) -> None:
    entry = _known_golden(state, golden_id)
    put_golden(state, golden_id, msgspec.structs.replace(entry, changed_seq=seq, **changes))


def _upsert(state: IdentityState, seq: int, fact: ev.RecordUpserted) -> None:
    old = state.record(fact.number)
    if old is None:
        entry = RecordEntry(
            fact.registry, fact.kind, fact.payload_id, fact.payload_hash, seq, fact.updated_at_us, since_seq=seq
        )
    else:
        fold.note_returned(state, fact, old)
        entry = msgspec.structs.replace(
            old,
            payload_id=fact.payload_id,
            payload_hash=fact.payload_hash,
            changed_seq=seq,
            updated_at_us=fact.updated_at_us,
            is_deleted=False,
            withdrawn_from=None,
            since_seq=fact.restored_seq or seq,
        )
        if fact.is_new_bearer:
            # What was said of the former bearer says nothing of the new one.
            entry = msgspec.structs.replace(entry, chosen=None, rejected=(), pins=())
    state.put_record(fact.number, entry)
    if fact.is_new_bearer:
        close_proposals(state, fact.number)


def _leave(state: IdentityState, seq: int, number: RecordNumber, entry: RecordEntry) -> None:
    if entry.golden_id is not None:
        golden = _known_golden(state, entry.golden_id)
        members = tuple(member for member in golden.members if member != number)
        put_golden(state, entry.golden_id, msgspec.structs.replace(golden, members=members, changed_seq=seq))


def _delete(state: IdentityState, seq: int, fact: ev.RecordDeleted) -> None:
    number = fact.number
    entry = _known_record(state, number)
    _leave(state, seq, number, entry)
    fold.note_withdrawn(state, number, entry)
    for other in entry.potential_matches:
        _close_potential_match(state, pair_of(number, other))
    close_proposals(state, number)
    deleted = msgspec.structs.replace(
        _known_record(state, number),
        golden_id=None,
        is_deleted=True,
        changed_seq=seq,
        updated_at_us=fact.updated_at_us,
        chosen=None,
        rejected=(),
        withdrawn_from=entry.golden_id,
        since_seq=fact.restored_seq or seq,
    )
    state.put_record(number, deleted)


def _resolve(state: IdentityState, seq: int, fact: ev.RecordResolved) -> None:
    entry = _known_record(state, fact.number)
    if entry.golden_id != fact.golden_id:
        _leave(state, seq, fact.number, entry)
        if fact.is_minted:
            golden = GoldenEntry(seq, 0, seq, fact.number, None, (fact.number,))
        else:
            golden = _known_golden(state, fact.golden_id)
            members = tuple(sorted((*golden.members, fact.number)))
            golden = msgspec.structs.replace(golden, members=members, changed_seq=seq)
        state.put_golden(fact.golden_id, golden)
        state.put_record(fact.number, msgspec.structs.replace(entry, golden_id=fact.golden_id, changed_seq=seq))
    _close_answered(state, fact.number)


def _regroup(state: IdentityState, seq: int, fact: ev.RecordsRegrouped) -> None:
    group_of = {number: group for group in fact.groups for number in group.numbers}
    touched: dict[GoldenId, None] = {}
    for number in group_of:
        old_id = _known_record(state, number).golden_id
        if old_id is not None:
            touched[old_id] = None
            touched.update(dict.fromkeys(_known_golden(state, old_id).absorbed))
    absorbed: dict[GoldenId, list[GoldenId]] = {group.golden_id: [] for group in fact.groups}
    for golden_id in touched:
        anchor = _known_golden(state, golden_id).anchor
        if anchor is None:  # retired inside this same change
            continue
        survivor = group_of[anchor].golden_id
        if survivor != golden_id:
            absorbed[survivor].append(golden_id)
            if _known_golden(state, golden_id).survivor != survivor:
                was = _known_golden(state, golden_id)
                merged = (seq, was.members) if was.members else (was.merged_seq, was.merged_members)
                _change_golden(
                    state,
                    seq,
                    golden_id,
                    survivor=survivor,
                    members=(),
                    absorbed=(),
                    merged_seq=merged[0],
                    merged_members=merged[1],
                )
    for ordinal, group in enumerate(fact.groups):
        members = tuple(sorted(group.numbers))
        if group.is_minted:
            golden = GoldenEntry(seq, ordinal, seq, members[0], None, members)
        else:
            golden = msgspec.structs.replace(
                _known_golden(state, group.golden_id),
                survivor=None,
                members=members,
                changed_seq=seq,
                merged_seq=0,
                merged_members=(),
            )
        golden = msgspec.structs.replace(golden, absorbed=tuple(sorted(absorbed[group.golden_id])))
        put_golden(state, group.golden_id, golden)
        for number in members:
            entry = _known_record(state, number)
            if entry.golden_id != group.golden_id:
                state.put_record(number, msgspec.structs.replace(entry, golden_id=group.golden_id, changed_seq=seq))
    for number in group_of:
        _close_answered(state, number)


def _retire(state: IdentityState, seq: int, golden_id: GoldenId) -> None:
    entry = _known_golden(state, golden_id)
    retired_with = fold.note_retired(state, seq, golden_id, entry)
    retired = msgspec.structs.replace(entry, anchor=None, survivor=None, is_retired=True, retired_with=retired_with)
    state.put_golden(golden_id, msgspec.structs.replace(retired, changed_seq=seq, merged_seq=0, merged_members=()))


def _open_potential_match(state: IdentityState, pair: Pair, match: PotentialMatch, at_us: int) -> None:
    put_question(state, pair, match, at_us)
    for number, other in (pair, pair[::-1]):
        entry = _known_record(state, number)
        if other not in entry.potential_matches:
            others = tuple(sorted((*entry.potential_matches, other)))
            state.put_record(number, msgspec.structs.replace(entry, potential_matches=others))


def _close_potential_match(state: IdentityState, pair: Pair) -> None:
    known = state.potential_match(pair)
    if known is not None:
        state.put_review(known.review, None)
    state.put_potential_match(pair, None)
    for number, other in (pair, pair[::-1]):
        entry = _known_record(state, number)
        others = tuple(each for each in entry.potential_matches if each != other)
        state.put_record(number, msgspec.structs.replace(entry, potential_matches=others))


def _close_answered(state: IdentityState, number: RecordNumber) -> None:
    """Close the questions about `number` that its new golden record answers."""
    entry = _known_record(state, number)
    for other in entry.potential_matches:
        if _known_record(state, other).golden_id == entry.golden_id:
            _close_potential_match(state, pair_of(number, other))
    close_answered_proposals(state, entry)


def _judge(state: IdentityState, seq: int, pair: Pair, judgement: Judgement | None) -> None:
    state.put_judgement(pair, judgement)
    for number, other in (pair, pair[::-1]):
        entry = _known_record(state, number)
        others = {each for each in entry.judged if each != other} | ({other} if judgement else set())
        state.put_record(number, msgspec.structs.replace(entry, judged=tuple(sorted(others)), changed_seq=seq))
    if judgement is not None:
        close_proposals(state, *pair)


def _pin(state: IdentityState, number: RecordNumber, field: str, payload_id: int | None) -> None:
    entry = _known_record(state, number)
    pins = {name: pinned for name, pinned in entry.pins if name != field}
    if payload_id is not None:
        pins[field] = payload_id
    state.put_record(number, msgspec.structs.replace(entry, pins=tuple(sorted(pins.items()))))
