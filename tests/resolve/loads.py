"""Loads as a stream sends them: begun, written in groups, ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import SourceKey
from mdm.domain.loads import LoadEntry, load_of
from mdm.domain.records import SourceRecord
from mdm.resolve.commands import BeginLoad, Delete, FinishLoad, LoadAnswer, Request, RevertLoad, Upsert
from tests.resolve.office import Office

REVERT_S_MAX = 60.0


def begin(office: Office, name: str, *, is_deferred: bool = False, feed: str = "hospital.patients") -> LoadAnswer:
    cause = ev.Cause(actor="loader", purpose="nightly", method="IngestRecords")
    (answer,) = office.execute(BeginLoad(Request(cause), name, feed, is_deferred=is_deferred))
    assert isinstance(answer, LoadAnswer), answer
    return answer


def load(
    office: Office,
    name: str,
    operations: Sequence[SourceRecord | SourceKey],
    *,
    is_finished: bool = True,
    is_deferred: bool = False,
    group: int = 8,
    feed: str = "hospital.patients",
) -> str:
    """Load records, and delete those whose key is given; returns the load's id."""
    begun = begin(office, name, is_deferred=is_deferred, feed=feed)
    request = Request(ev.Cause(actor="loader", purpose="nightly", method="IngestRecords", load_id=begun.load_id))
    commands = [
        Upsert(request, each, is_deferred=is_deferred, ordinal=ordinal)
        if isinstance(each, SourceRecord)
        else Delete(request, each, ordinal)
        for ordinal, each in enumerate(operations, start=1)
        if ordinal > begun.ordinal
    ]
    for at in range(0, len(commands), group):
        office.execute(*commands[at : at + group])
    if is_finished:
        office.execute(FinishLoad(request, len(operations)))
    return begun.load_id


def entry_of(office: Office, load_id: str) -> LoadEntry:
    with office.writer._index.read() as view:
        entry = load_of(view, load_id)
    assert entry is not None
    return entry


def revert(office: Office, load_id: str, *, keeps_later: bool = False) -> dict[str, int]:
    """Take a load back to its end; returns the effects."""
    cause = ev.Cause(actor="operator", method="RevertLoad")
    (answer,) = office.execute(RevertLoad(Request(cause), load_id, "columns shifted", keeps_later))
    assert isinstance(answer, LoadAnswer), answer
    return follow(office, load_id)


def follow(office: Office, load_id: str) -> dict[str, int]:
    give_up_s = time.monotonic() + REVERT_S_MAX
    while time.monotonic() < give_up_s:
        office.writer.background_step()
        entry = entry_of(office, load_id)
        assert entry.revert is not None
        if entry.revert.finished_seq:
            return entry.revert.outcomes
    raise TimeoutError(load_id)


def changed(record: SourceRecord, **values: object) -> SourceRecord:
    """The record with other attributes."""
    return msgspec.structs.replace(record, attributes=msgspec.structs.replace(record.attributes, **values))


def swapped(records: list[SourceRecord]) -> list[SourceRecord]:
    """Records of which each has the values of the next: rows shifted by one, which no rule for a row finds."""
    return [
        SourceRecord(one.key, other.attributes, one.updated_at)
        for one, other in zip(records, [*records[1:], records[0]], strict=True)
    ]
