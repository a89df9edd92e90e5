"""What is said to be unchanged would be written as unchanged, and nothing else is kept from the writer."""

from __future__ import annotations

import msgspec
import pytest

from mdm.domain.records import SourceRecord
from mdm.resolve.commands import Erase, Request, WriteOutcome
from mdm.resolve.payloads import content_digest, encode_payload, unchanged
from tests.resolve.office import Office, business, citizen

OLD, NEW = "Công ty TNHH Sơn Hải Vân", "Công ty TNHH Đại Dương Xanh"
CODE = "0301464830"


def is_unchanged(office: Office, record: SourceRecord, *, is_deferred: bool = False) -> bool:
    key, digest = record.key, content_digest(encode_payload(record))
    with office.writer._index.read() as view:
        (found,) = unchanged(view, key.registry, key.kind, [key.record_id], digest, is_deferred=is_deferred)
    return found


def as_stored(office: Office, record: SourceRecord) -> SourceRecord:
    return office.stored(record.key)


@pytest.mark.parametrize("is_deferred", [False, True])
def test_what_is_unchanged_for_a_reader_is_unchanged_for_the_writer(office: Office, is_deferred: bool) -> None:  # noqa: FBT001 – a case table's column
    resolved, pending, gone = citizen("R"), citizen("P", "Lê Thị Hoa", "1990-01-02"), citizen("G")
    erased, newer = citizen("E", "Vũ Văn Tám", "1950-02-03", phone=""), citizen("N", updated_at="2026-02-01")
    renamed = business("F", NEW, tax_code=CODE)
    office.put_all([resolved, gone, erased, newer, business("F", OLD, tax_code=CODE), renamed])
    office.put(pending, later=True)
    office.drop(gone.key)
    office.execute(Erase(Request(office.cause), None, erased.key, "asked for by the person"))
    asked = {
        "as it is": (resolved, True),
        "another value": (citizen("R", phone="0903000000"), False),
        "another time": (msgspec.structs.replace(resolved, updated_at="2026-01-01"), False),
        "waits for its golden ID": (pending, is_deferred),
        "withdrawn": (gone, False),
        "erased": (erased, False),
        "older": (msgspec.structs.replace(newer, updated_at="2026-01-01"), False),
        # The writer keeps its earlier name: only it can tell that nothing changed.
        "renamed, as the registry repeats it": (renamed, False),
        "renamed, as it is stored": (as_stored(office, renamed), True),
        "never stored": (citizen("never"), False),
    }
    for case, (record, expected) in asked.items():
        assert is_unchanged(office, record, is_deferred=is_deferred) is expected, case
        if expected:
            seq = office.seq
            assert office.put(record, later=is_deferred).outcome is WriteOutcome.UNCHANGED, case
            assert office.seq == seq, case
