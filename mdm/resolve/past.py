"""A golden ID as it was: membership from what each event changed, values from the payloads of then."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind, GoldenChange
from mdm.domain.keys import GoldenId, RecordNumber, kind_of
from mdm.domain.records import SourceRecord
from mdm.domain.survivorship import Pin, golden_values
from mdm.errors import GoldenIdNotYetIssuedError, InvalidInputError
from mdm.linkage.completeness import completeness, number_of
from mdm.resolve.payloads import decode_payload, stored_before
from mdm.resolve.reading import Reading
from mdm.resolve.survivorship import as_member, rules_in_force
from mdm.resolve.views import GoldenMember, GoldenRecord, GoldenState
from mdm.store.token import parse_token


class PastGolden(msgspec.Struct, frozen=True):
    """One golden ID at one position."""

    requested: GoldenId
    golden_id: GoldenId | None
    """What it answered then: itself, its survivor of then, or None when it was retired."""
    state: GoldenState
    members: tuple[RecordNumber, ...]
    """Of what it answered, ascending."""
    anchor: RecordNumber | None
    absorbed: tuple[GoldenId, ...]
    pins: tuple[tuple[str, int], ...]
    """(field, payload id) of values that stewards had fixed."""
    is_erased: bool = False
    """Whether its values had been destroyed by then."""


class PastGoldenRecord(msgspec.Struct, frozen=True):
    """What was known of a golden ID."""

    record: GoldenRecord
    """Values chosen by the present rules among those of then; open questions of then are not counted."""
    seq: int
    erased_count: int
    """Members of then whose values were erased since."""


class _Standing(msgspec.Struct):
    """What one golden ID was, by its own history alone."""

    survivor: GoldenId | None = None
    is_retired: bool = False
    is_erased: bool = False
    members: set[RecordNumber] = msgspec.field(default_factory=set)
    anchor: RecordNumber | None = None
    absorbed: set[GoldenId] = msgspec.field(default_factory=set)
    """Every golden ID that ever redirected here."""


def golden_at(reading: Reading, golden_id: GoldenId, seq: int) -> PastGolden:
    """Return an issued golden ID as it was when the event at `seq` had happened.

    Cost: 5 µs for each event of its history up to then, of its survivor's if it redirected, and of the golden IDs that
    its members had before.

    Raises:
        GoldenIdNotYetIssuedError: It was minted later.
    """
    entry = reading.view.golden(golden_id)
    if entry is None or entry.minted_seq > seq:
        raise GoldenIdNotYetIssuedError("this golden ID was issued later than as_of")
    own = _standing(reading, golden_id, seq)
    if own.is_retired:
        return PastGolden(golden_id, None, GoldenState.RETIRED, (), None, (), (), own.is_erased)
    surviving = own.survivor or golden_id
    found = own if own.survivor is None else _standing(reading, own.survivor, seq)
    absorbed = (each for each in sorted(found.absorbed) if _standing(reading, each, seq).survivor == surviving)
    pins = _pins(reading, surviving, found.members, seq)
    return PastGolden(
        golden_id,
        surviving,
        GoldenState.ACTIVE if own.survivor is None else GoldenState.REDIRECTED,
        tuple(sorted(found.members)),
        found.anchor,
        tuple(absorbed),
        pins,
    )


def record_at(reading: Reading, number: RecordNumber, last_payload_id: int) -> SourceRecord | None:
    """Return a record's values as they were, None where they were erased.

    Args:
        reading: Its journal holds the payloads.
        number: The record.
        last_payload_id: Of the position, see `JournalReader.last_payload_id`.
    """
    plain = stored_before(reading.journal, number, last_payload_id)
    return None if plain is None else decode_payload(plain)


def past_golden_record(reading: Reading, requested: GoldenId, seq: int) -> PastGoldenRecord:
    """Return what was known of an issued golden ID; raises and costs as `golden_at`, and 30 µs a member."""
    past = golden_at(reading, requested, seq)
    last_payload_id = reading.journal.last_payload_id(seq) if past.members else 0
    members = [
        as_member(reading.configuration, number, record)
        for number in past.members
        if (record := record_at(reading, number, last_payload_id)) is not None
    ]
    pins = {
        field: Pin(value.decode(), past.anchor or past.members[0])
        for field, payload_id in past.pins
        if (value := reading.journal.payload(payload_id)) is not None
    }
    kind = kind_of(requested)
    rules = rules_in_force(reading.view, reading.journal, reading.configuration).rules.kinds[kind]
    known = GoldenRecord(
        past.requested,
        past.golden_id,
        past.state,
        kind,
        tuple(golden_values(members, rules, completeness, number_of, pins)),
        tuple(
            GoldenMember(each.record.key, each.record.updated_at, is_anchor=each.number == past.anchor)
            for each in members
        ),
        past.absorbed,
        0,
        reading.view.applied_seq,
        past.is_erased,
    )
    return PastGoldenRecord(known, seq, len(past.members) - len(members))


def seq_of_time(reading: Reading, at_us: int, now_us: int) -> int:
    """Return the position of the last event up to a time.

    Raises:
        InvalidInputError: The time has not passed yet.
    """
    if at_us > now_us:
        raise InvalidInputError("as_of_time", "must not lie in the future")
    return min(reading.journal.seq_at(at_us), reading.view.applied_seq)


def seq_of_token(reading: Reading, token: str) -> int:
    """Return the position that a token names.

    Raises:
        InvalidTokenError: Of another journal or epoch, or no token.
        InvalidInputError: It lies behind what is applied here.
    """
    journal, field = reading.journal, "as_of_position"
    seq = parse_token(token, field).require(journal.journal_id, journal.epoch, field).seq
    if seq > reading.view.applied_seq:
        raise InvalidInputError(field, "must not lie in the future")
    return seq


def _standing(reading: Reading, golden_id: GoldenId, seq: int) -> _Standing:
    found = _Standing()
    for each in reading.view.iter_golden_seqs(golden_id):
        if each > seq:
            break
        changes = reading.view.changes(each)
        if changes is not None:
            for record in changes.records:
                (found.members.add if record.after == golden_id else found.members.discard)(record.number)
            for change in changes.goldens:
                if change.golden_id == golden_id:
                    _change(reading, found, each, change)
    return found


def _change(reading: Reading, found: _Standing, seq: int, change: GoldenChange) -> None:
    match change.kind:
        case ChangeKind.CREATED:
            found.anchor = min(found.members, default=None)
        case ChangeKind.MERGED:
            found.survivor, found.is_retired = change.other, False
        case ChangeKind.RESTORED:
            found.survivor, found.is_retired = None, False
        case ChangeKind.ABSORBED if change.other is not None:
            found.absorbed.add(change.other)
        case ChangeKind.RETIRED:
            found.is_retired, found.survivor = True, None
        case ChangeKind.ERASED:
            found.is_erased = True
        case ChangeKind.ANCHOR_MOVED:
            fact = _fact(reading, seq)
            if isinstance(fact, ev.AnchorMoved | ev.GoldenIdRevived):
                found.anchor = fact.number
        case _:
            pass


_OF_PINS = frozenset({ChangeKind.VALUE_PINNED, ChangeKind.VALUE_UNPINNED})


def _pins(
    reading: Reading, golden_id: GoldenId, members: Container[RecordNumber], seq: int
) -> tuple[tuple[str, int], ...]:
    """Return what stewards had fixed of a golden ID's members of then: a member brings it along from where it was."""
    homes = [golden_id]
    told: set[int] = set()
    for home in homes:
        for each in reading.view.iter_golden_seqs(home):
            if each > seq:
                break
            changes = reading.view.changes(each)
            if changes is None:
                continue
            if any(change.golden_id == home and change.kind in _OF_PINS for change in changes.goldens):
                told.add(each)
            came = (record.before for record in changes.records if record.after == home and record.number in members)
            homes += [former for former in dict.fromkeys(came) if former is not None and former not in homes]
    pins: dict[tuple[RecordNumber, str], int] = {}
    for each in sorted(told):
        match _fact(reading, each):
            case ev.ValuePinned(number=number, field=field, payload_id=payload_id):
                pins[number, field] = payload_id
            case ev.ValueUnpinned(number=number, field=field):
                pins.pop((number, field), None)
            case ev.RecordUpserted(number=number):
                # Its source key changed its bearer: what was fixed was fixed of the former one.
                pins = {pin: payload_id for pin, payload_id in pins.items() if pin[0] != number}
            case _:
                pass
    return tuple({field: pins[number, field] for number, field in sorted(pins) if number in members}.items())


def _fact(reading: Reading, seq: int) -> ev.Fact:
    return next(reading.journal.events(seq - 1, seq)).fact
