"""Values that a steward fixes for a golden record, in place of what its registries say."""

from __future__ import annotations

import msgspec

from mdm.declarations.sections import FIELDS
from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import BusinessAttributes, CitizenAttributes, SourceRecord
from mdm.domain.rules import heir_of
from mdm.errors import ActImpossibleError, InvalidInputError, UnknownGoldenIdError
from mdm.limits import NAME_CHARACTERS_MAX
from mdm.resolve.commands import Pin, Unpin
from mdm.resolve.group import Group
from mdm.resolve.matcher import describe
from mdm.resolve.reasons import seal_reason


def fix_value(group: Group, cause: ev.Cause, golden_id: GoldenId, pin: Pin, reason: str) -> None:
    """Draft the fixing of a value; it lies with the golden record's anchor and goes where that goes.

    Raises:
        InvalidInputError: No such single-valued field, or a value that no registry's record could carry as evidence.
    """
    anchor, members = _anchored(group, golden_id)
    kind = group.record(anchor).kind
    check_value(kind, pin.field, pin.value)
    # One value stands: what other members brought along from before a merge would else compete with it.
    for number in members:
        if number != anchor and any(name == pin.field for name, _ in group.record(number).pins):
            group.add(cause, ev.ValueUnpinned(number, pin.field))
    payload_id, _ = group.seal(anchor, pin.value.encode())
    stamped = group.engines[kind].stamped(cause)
    group.add(stamped, ev.ValuePinned(anchor, pin.field, payload_id, seal_reason(group, (anchor,), reason)))


def free_value(group: Group, cause: ev.Cause, golden_id: GoldenId, unpin: Unpin, reason: str) -> None:
    """Draft the end of a fixed value.

    Raises:
        ActImpossibleError: No value of the field is fixed.
    """
    _, members = _anchored(group, golden_id)
    holders = [number for number in members if any(name == unpin.field for name, _ in group.record(number).pins)]
    if not holders:
        raise ActImpossibleError("no value of this field is fixed")
    for number in holders:
        stamped = group.engines[group.record(number).kind].stamped(cause)
        group.add(stamped, ev.ValueUnpinned(number, unpin.field, seal_reason(group, (number,), reason)))


def hand_over(group: Group, cause: ev.Cause, number: RecordNumber) -> None:
    """Draft what a record that leaves its golden record alone must leave behind: the values fixed for that.

    They go to the member that inherits the ID; without one they end with the golden record.
    """
    entry = group.record(number)
    heir = heir_of(group.index, number) if entry.pins else None
    for field, payload_id in entry.pins:
        value = group.batch.payload(payload_id)
        group.add(cause, ev.ValueUnpinned(number, field, payload_id=payload_id))
        if heir is not None and value is not None and not any(name == field for name, _ in group.record(heir).pins):
            group.add(cause, ev.ValuePinned(heir, field, group.seal(heir, value)[0]))


def check_value(kind: EntityKind, field: str, value: str) -> None:
    """Return if a field of this kind may be fixed to the value: as a registry's row that states only it.

    Raises:
        InvalidInputError: Names the field of the request and the rule.
    """
    if field not in FIELDS[kind.value]:
        raise InvalidInputError("field", f"must be one of {', '.join(sorted(FIELDS[kind.value]))}")
    if not value.strip() or len(value) > NAME_CHARACTERS_MAX:
        raise InvalidInputError("value", f"must have 1 to {NAME_CHARACTERS_MAX} characters")
    blank = CitizenAttributes() if kind is EntityKind.CITIZEN else BusinessAttributes()
    stated = msgspec.structs.replace(blank, **{field: value})
    for issue in describe(SourceRecord(SourceKey("steward", kind, "value"), stated)).issues:
        raise InvalidInputError("value", f"as {issue.field}: {issue.rule}")


def _anchored(group: Group, golden_id: GoldenId) -> tuple[RecordNumber, tuple[RecordNumber, ...]]:
    golden = group.index.golden(golden_id)
    if golden is None or golden.anchor is None:
        raise UnknownGoldenIdError("this golden ID names no golden record")
    return golden.anchor, golden.members
