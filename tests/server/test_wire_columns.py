"""What is written field by field is what the protobuf library would write."""

from __future__ import annotations

import pytest

from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.domain.state import RecordEntry
from mdm.server.wire_columns import ColumnFields, field, field_tag
from mdm.store.layout import MISSING_VALUE, CrosswalkColumn, crosswalk_value
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as wire

FOUND, MISSING, DELETED, PENDING = (
    common.RECORD_STATUS_FOUND,
    common.RECORD_STATUS_NOT_FOUND,
    common.RECORD_STATUS_DELETED,
    common.RECORD_STATUS_PENDING,
)


@pytest.mark.parametrize(
    "statuses",
    [
        pytest.param([FOUND], id="one"),
        pytest.param([MISSING], id="one that is unknown"),
        pytest.param([FOUND] * 200, id="so many that their count takes two bytes"),
        pytest.param([FOUND, MISSING, DELETED, PENDING, FOUND], id="every status"),
        pytest.param([MISSING] * 3, id="none that is known"),
        pytest.param([FOUND, MISSING] * 10_000, id="so many that their count takes three bytes"),
    ],
)
def test_columns_are_written_as_the_library_writes_them(statuses: list[common.RecordStatus.ValueType]) -> None:
    column = CrosswalkColumn(b"".join(_value(number, status) for number, status in enumerate(statuses, start=1)))
    golden_ids = [golden_id(EntityKind.CITIZEN, n) if s == FOUND else "" for n, s in enumerate(statuses, start=1)]
    batch = wire.BatchLookupResponse(golden_ids=golden_ids, statuses=statuses)
    stream = wire.StreamLookupResponse(golden_ids=golden_ids, statuses=statuses)

    assert ColumnFields(wire.BatchLookupResponse.DESCRIPTOR).encode(column) == batch.SerializeToString()
    assert ColumnFields(wire.StreamLookupResponse.DESCRIPTOR).encode(column) == stream.SerializeToString()
    assert column.golden_ids() == golden_ids


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384])
def test_a_length_is_written_as_a_varint(length: int) -> None:
    expected = wire.LookupByIdentifierRequest(value="x" * length).SerializeToString() or b"\x12\x00"
    tag = field_tag(wire.LookupByIdentifierRequest.DESCRIPTOR, "value")
    assert field(tag, b"x" * length) == expected


def _value(number: int, status: common.RecordStatus.ValueType) -> bytes:
    if status == MISSING:
        return MISSING_VALUE
    found = golden_id(EntityKind.CITIZEN, number) if status == FOUND else None
    entry = RecordEntry("hospital", EntityKind.CITIZEN, 1, b"", 1, golden_id=found, is_deleted=status == DELETED)
    return crosswalk_value(RecordNumber(number), entry)
