from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.state import RecordEntry
from mdm.errors import StoreError
from mdm.limits import RECORD_ID_BYTES_MAX
from mdm.store import layout
from mdm.store.index import Index
from mdm.store.layout import CrosswalkEntry, CrosswalkStatus

RECORD_IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=32)
REGISTRIES = st.from_regex(r"\A[a-z][a-z0-9_]{1,31}\Z")


@given(REGISTRIES, st.sampled_from(EntityKind), RECORD_IDS)
def test_a_source_key_survives_its_bytes(registry: str, kind: EntityKind, record_id: str) -> None:
    key = SourceKey(registry, kind, record_id)

    assert layout.source_key_of(layout.source_key_bytes(key)) == key


@given(*[st.builds(SourceKey, REGISTRIES, st.sampled_from(EntityKind), RECORD_IDS)] * 2)
def test_two_source_keys_never_share_their_bytes(left: SourceKey, right: SourceKey) -> None:
    assert (layout.source_key_bytes(left) == layout.source_key_bytes(right)) == (left == right)


def test_a_registry_name_that_runs_into_the_kind_and_id_stays_apart() -> None:
    assert layout.source_key_bytes(SourceKey("ab", EntityKind.CITIZEN, "Cx")) != layout.source_key_bytes(
        SourceKey("abC", EntityKind.CITIZEN, "x")
    )


def test_whatever_registries_are_asked_about_no_more_than_some_are_remembered() -> None:
    for number in range(2000):
        layout.source_key_bytes(SourceKey(f"made_up_{number}", EntityKind.CITIZEN, "1"))
    assert layout.source_key_prefix.cache_info().currsize < 1000


def test_the_longest_source_key_fits_the_index(index: Index) -> None:
    longest = SourceKey("r" * 32, EntityKind.BUSINESS, "ễ" * (RECORD_ID_BYTES_MAX // 3) + "ab").checked()
    assert len(layout.source_key_bytes(longest)) == 163

    with index.write() as txn:
        txn.put_raw(RecordNumber(1), longest, b"values")
        txn.put_record(RecordNumber(1), RecordEntry(longest.registry, longest.kind, 1, b"", 1))
    with index.read() as view:
        assert view.key_of(RecordNumber(1)) == longest
        column = view.lookup_many(longest.registry, longest.kind, [longest.record_id])
        assert list(column.statuses) == [CrosswalkStatus.PENDING]


@pytest.mark.parametrize("length", [RECORD_ID_BYTES_MAX + 1, 511, 512, 100_000])
def test_a_record_id_too_long_to_exist_is_not_found_instead_of_an_error(index: Index, length: int) -> None:
    with index.read() as view:
        assert view.crosswalk(SourceKey("hospital", EntityKind.CITIZEN, "x" * length)) is None
        column = view.lookup_many("hospital", EntityKind.CITIZEN, ["x" * length])
        assert (column.golden_ids(), list(column.statuses)) == ([""], [CrosswalkStatus.NOT_FOUND])


def test_a_key_of_the_index_ends_at_511_bytes(index: Index) -> None:
    assert index._environment.max_key_size() == 511
    with index.write() as txn:
        txn.put_record(RecordNumber(1), RecordEntry("hospital", EntityKind.CITIZEN, 1, b"", 1))
    with pytest.raises(StoreError, match="BadValsizeError"), index.write() as txn:
        txn.put_raw(RecordNumber(1), SourceKey("hospital", EntityKind.CITIZEN, "x" * 501), b"values")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            RecordEntry("r", EntityKind.CITIZEN, 1, b"", 1),
            CrosswalkEntry(RecordNumber(9), CrosswalkStatus.PENDING, None),
        ),
        (
            RecordEntry("r", EntityKind.CITIZEN, 1, b"", 1, None, GoldenId("C-0000-0000-0000-A")),
            CrosswalkEntry(RecordNumber(9), CrosswalkStatus.RESOLVED, GoldenId("C-0000-0000-0000-A")),
        ),
        (
            RecordEntry("r", EntityKind.CITIZEN, 1, b"", 1, is_deleted=True),
            CrosswalkEntry(RecordNumber(9), CrosswalkStatus.DELETED, None),
        ),
    ],
    ids=["pending", "resolved", "deleted"],
)
def test_the_crosswalk_says_what_became_of_a_record(entry: RecordEntry, expected: CrosswalkEntry) -> None:
    value = layout.crosswalk_value(RecordNumber(9), entry)

    assert len(value) == layout.CROSSWALK_VALUE_BYTES
    assert layout.crosswalk_entry(value) == expected
