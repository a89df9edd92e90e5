from __future__ import annotations

from dataclasses import replace

import pytest

from mdm.resolve.payloads import content_digest as service_digest
from mdm.resolve.payloads import encode_payload
from mdm.server.wire_records import record_message, source_record
from mdm_client import (
    Address,
    AddressKind,
    BusinessAttributes,
    CitizenAttributes,
    Client,
    EntityKind,
    Identifier,
    IdentifierType,
    InvalidArgumentError,
    Relation,
    RelationType,
    SourceKey,
    SourceRecord,
    content_digest,
    wire,
)
from tests.resolve.cities import city_records

CITIZEN = EntityKind.CITIZEN


def named(record_id: str, full_name: str, updated_at: str = "") -> SourceRecord:
    return SourceRecord(SourceKey("hospital", CITIZEN, record_id), CitizenAttributes(full_name=full_name), updated_at)


def test_both_sides_of_the_wire_give_a_record_the_same_digest() -> None:
    records = city_records(300, 5)
    assert {record.key.kind for record in records} == {"citizen", "business"}
    for record in records:
        assert content_digest(wire.record_from_wire(record_message(record))) == service_digest(encode_payload(record))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("letter", ["x", "ế"])
def test_texts_of_any_length_have_the_same_digest(letter: str, length: int) -> None:
    record = named("1", letter * length)
    assert content_digest(record) == service_digest(encode_payload(source_record(wire.record_to_wire(record))))


@pytest.mark.parametrize("count", [15, 16, 20])
def test_lists_of_any_length_have_the_same_digest(count: int) -> None:
    record = SourceRecord(
        SourceKey("company", EntityKind.BUSINESS, "D1"),
        BusinessAttributes(
            legal_name="CÔNG TY A",
            identifiers=(Identifier(IdentifierType.TAX_CODE, "0312345678"),) * count,
            phones=("028",) * count,
            addresses=(Address(AddressKind.HEAD_OFFICE, "1 Lê Lợi", "26740"),),
            relations=(Relation(RelationType.BRANCH_OF, identifiers=(Identifier(IdentifierType.TAX_CODE, "03"),)),),
            former_names=("CÔNG TY B",),
        ),
        "2026-01-02",
    )
    expected = service_digest(encode_payload(source_record(wire.record_to_wire(record))))
    assert content_digest(record) == expected
    # Whatever `upsert` takes has a digest: callers that are not typed hand over lists.
    listed = replace(record, attributes=replace(record.attributes, phones=["028"] * count))  # type: ignore[arg-type]
    assert content_digest(listed) == expected


def test_only_what_is_stored_as_it_is_counts_as_unchanged(client: Client) -> None:
    kept, changed, deleted, pending = (
        named(f"compare-{what}", f"Hồ Thị {what}") for what in ("kept", "changed", "deleted", "pending")
    )
    for record in (kept, changed, deleted):
        client.upsert(record)
    client.delete(deleted.key)
    fresh = client.upsert(pending, is_resolved_later=True).token
    asked = [kept, named("compare-changed", "Hồ Thị Khác"), deleted, pending, named("compare-never", "Hồ"), kept]
    ids, digests = [record.key.record_id for record in asked], [content_digest(record) for record in asked]
    assert client.batch_compare_records("hospital", CITIZEN, ids, digests, fresh=fresh) == [
        True, False, False, False, False, True,
    ]  # fmt: skip
    later = client.batch_compare_records("hospital", CITIZEN, ids, digests, is_resolved_later=True, fresh=fresh)
    assert later == [True, False, False, True, False, True]
    assert client.batch_compare_records("household", CITIZEN, ids[:1], digests[:1]) == [False]
    assert client.batch_compare_records("hospital", CITIZEN, [], []) == []


def test_more_records_than_one_message_takes_are_compared(client: Client) -> None:
    kept = named("compare-many", "Đỗ Văn Nhiều")
    client.upsert(kept)
    ids = ["compare-many", *(f"compare-none-{number}" for number in range(10_000))]
    found = client.batch_compare_records("hospital", CITIZEN, ids, [content_digest(kept)] * len(ids))
    assert found == [True] + [False] * 10_000


def test_a_digest_missing_or_too_long_is_refused(client: Client) -> None:
    for digests in ([b"x" * 15, b"x"], [b"x" * 33]):
        with pytest.raises(InvalidArgumentError) as refused:
            client.batch_compare_records("hospital", CITIZEN, ["1", "2"], digests)
        assert [field.field for field in refused.value.field_violations] == ["content_digests"]
