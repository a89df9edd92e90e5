"""What a record's versions leave in the index: keys of its relations, and its households over time."""

from __future__ import annotations

import lmdb
import msgspec
import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import Relation, RelationType, SourceRecord
from mdm.domain.relations import Stay
from mdm.resolve.relation_state import (
    household_key,
    number_relation_key,
    record_relation_key,
    relation_keys,
    relations_of,
    stays_of,
)
from mdm.store.index import DATA_FILE
from mdm.store.layout import LAYOUT_VERSION
from tests.resolve.families import DAUGHTER, FAMILY, MOTHER_ID, firm, lives_in, mother, person, spouse
from tests.resolve.office import Office

EMPLOYER = RelationType.EMPLOYER


def resident(household_id: str, role: str = "con", *, updated_at: str, name: str = "Đặng Hải Yến") -> SourceRecord:
    return person("R3", name, "2012-06-01", "F", lives_in(household_id, role), updated_at=updated_at)


def stays(office: Office, record: SourceRecord) -> list[tuple[str, str, str, str]]:
    with office.writer._index.read() as view:
        found = stays_of(view, office.number(record.key))
    return [(stay.household_id, stay.role, stay.since, stay.until) for stay in found]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (person("A", "Lý Cúc", "", ""), set()),
        (person("A", "Lý Cúc", "", "", spouse("Đặng Vinh")), set()),
        (person("A", "Lý Cúc", "", "", lives_in(" HK 1\u00a0")), {household_key("household", "HK 1")}),
        (
            person("A", "Lý Cúc", "", "", mother("Lý Hoa", "79182000222")),
            {number_relation_key(RelationType.MOTHER, MOTHER_ID)},
        ),
        (person("A", "Lý Cúc", "", "", mother("Lý Hoa", "B1234567")), set()),
        (
            person("A", "Lý Cúc", "", "", Relation(EMPLOYER, record_id="E1"), registry="social_security"),
            {record_relation_key(EMPLOYER, SourceKey("social_security", EntityKind.BUSINESS, "E1"))},
        ),
    ],
    ids=["none", "a name", "a household", "a number without its zero", "a passport", "a record"],
)
def test_what_a_relation_names_becomes_keys(record: SourceRecord, expected: set[bytes]) -> None:
    assert relation_keys(record) == expected


@pytest.mark.parametrize(
    ("tax_code", "form", "implied"),
    [
        ("0300588569", "company", []),
        ("0300588569-001", "branch", [(RelationType.BRANCH_OF, "0300588569")]),
        ("0300588569001", "", [(RelationType.BRANCH_OF, "0300588569")]),
        ("079175000777", "household_business", [(RelationType.OWNER, "079175000777")]),
        ("300588569001", "branch", [(RelationType.BRANCH_OF, "0300588569")]),
        ("999999999999", "household_business", []),
    ],
    ids=["a firm", "a branch", "digits alone", "a household business", "a branch without its zero", "a filler"],
)
def test_a_tax_code_implies_parent_or_owner(tax_code: str, form: str, implied: list[tuple[RelationType, str]]) -> None:
    found = relations_of(firm("D1", "Đại Nam Thành", tax_code=tax_code, form=form))
    assert [(each.type, each.identifiers[0].value) for each in found] == implied


def test_what_a_registry_states_itself_is_not_implied_again() -> None:
    stated = Relation(RelationType.OWNER, "Tô Bích Phượng", identifiers=mother("", "079175000777").identifiers)
    business = firm("D1", "Hộ kinh doanh Phượng", stated, tax_code="079175000777", form="household_business")
    assert relations_of(business) == (stated,)


def test_a_move_and_a_new_role_are_kept_with_their_times(office: Office) -> None:
    for version in (
        resident("HK1", updated_at="2020-01-01"),
        resident("HK1", updated_at="2021-01-01"),
        resident("HK2", "em", updated_at="2023-05-01"),
        resident("HK2", "EM", updated_at="2023-06-01"),
        resident("HK2", "chủ hộ", updated_at="2024-07-01"),
    ):
        office.put(version)
    assert stays(office, DAUGHTER) == [
        ("HK1", "con", "2020-01-01", "2023-05-01"),
        ("HK2", "em", "2023-05-01", "2024-07-01"),
        ("HK2", "chủ hộ", "2024-07-01", ""),
    ]


def test_a_pending_record_has_a_past_too(office: Office) -> None:
    office.put(resident("HK1", updated_at="2020-01-01"), later=True)
    office.put(resident("HK2", updated_at="2021-01-01"), later=True)
    assert [each[0] for each in stays(office, DAUGHTER)] == ["HK1", "HK2"]


def test_a_new_bearer_does_not_inherit_a_past(office: Office) -> None:
    office.put(person("R3", "Đặng Hải Yến", "2012-06-01", "F", lives_in("HK1"), personal_id="079312000555"))
    answer = office.put(person("R3", "Trương Gia Hân", "1950-11-11", "M", lives_in("HK2"), personal_id="079050000666"))
    assert answer.is_new_bearer
    assert [each[0] for each in stays(office, DAUGHTER)] == ["HK2"]


def test_a_withdrawn_record_leaves_nothing_and_begins_anew(office: Office) -> None:
    office.put(resident("HK1", updated_at="2020-01-01"))
    office.drop(DAUGHTER.key)
    with office.writer._index.read() as view:
        assert view.relation_state(office.number(DAUGHTER.key)) == ((), b"")
    office.put(resident("HK2", updated_at="2021-01-01"))
    assert stays(office, DAUGHTER) == [("HK2", "con", "2021-01-01", "")]


def test_an_index_of_the_layout_before_is_built_anew_at_the_start(office: Office) -> None:
    office.put_all([*FAMILY, resident("HK9", updated_at="2026-01-01")])
    before = stays(office, DAUGHTER)
    office.close()
    generation = office.directory.generations.current()
    assert generation is not None
    assert (generation / DATA_FILE).exists()
    with lmdb.open(str(generation), max_dbs=20) as environment:
        meta = environment.open_db(b"meta")
        relations = environment.open_db(b"relations", dupsort=True, dupfixed=True)
        with environment.begin(write=True) as txn:
            txn.drop(relations)
            txn.put(b"layout", (LAYOUT_VERSION - 1).to_bytes(4, "big"), db=meta)
    office.reopen()
    assert office.directory.generations.current() != generation
    assert stays(office, DAUGHTER) == before
    with office.writer._index.read() as view:
        assert view.relation_count(household_key("household", "HK1")) == len(FAMILY) - 1


def test_stays_keep_their_order_of_fields() -> None:
    # The index holds them as arrays: a field that moves would be read as another.
    assert Stay.__struct_fields__ == ("household_id", "role", "since", "since_us", "until", "until_us")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Stay("HK1", "con", "2020", 1))) == [
        *("HK1", "con", "2020", 1, "", None)
    ]
