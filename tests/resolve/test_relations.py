"""Relations and households of a golden record, on records and on a small city."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Iterator

import pytest

from mdm.domain.events import RegroupReason
from mdm.domain.keys import EntityKind, GoldenId, golden_id, kind_of
from mdm.domain.records import Relation, RelationType, SourceRecord
from mdm.domain.relations import Direction, Ground, Obstacle, kind_related
from mdm.domain.rules import regroup
from mdm.errors import InvalidInputError, UnknownGoldenIdError
from mdm.limits import HOUSEHOLD_RECORDS_MAX, RELATION_STATEMENTS_MAX, RELATIONS_EXAMINED_MAX
from mdm.resolve.group import Group
from mdm.resolve.households import FormerStay, Household, households_of
from mdm.resolve.reader import Reader
from mdm.resolve.relation_state import household_of
from mdm.resolve.relations import Position, RelationFilter, RelationList, RelationRow
from mdm.resolve.views import GoldenState
from tests.resolve.cities import city_records
from tests.resolve.families import DAUGHTER, FAMILY, HUSBAND, MOTHER_ID, WIFE, firm, lives_in, mother, person
from tests.resolve.office import Office

ALL = RelationFilter()
OUTGOING, INCOMING = Direction.OUTGOING, Direction.INCOMING
EMPLOYER = firm("E1", "Công ty TNHH Bình Phát", registry="social_security", tax_code="0300588569")


def page(
    office: Office, golden_id: GoldenId | None, wanted: RelationFilter, size: int, after: Position | None
) -> tuple[list[RelationRow], Position | None]:
    assert golden_id is not None
    with office.writer._index.read() as view:
        golden = view.golden(golden_id)
        assert golden is not None
        return RelationList(view, golden_id, golden, wanted).page(size, after)


def rows(
    office: Office, golden_id: GoldenId | None, wanted: RelationFilter = ALL, size: int = 500
) -> Iterator[RelationRow]:
    after = None
    while True:
        found, after = page(office, golden_id, wanted, size, after)
        yield from found
        if after is None:
            return


def households(office: Office, record: SourceRecord) -> tuple[tuple[Household, ...], tuple[FormerStay, ...]]:
    golden_id = office.id_of(record)
    assert golden_id is not None
    with office.writer._index.read() as view:
        golden = view.golden(golden_id)
        assert golden is not None
        return households_of(view, golden)


def worker(place: int, employer: str = "E1") -> SourceRecord:
    relation = Relation(RelationType.EMPLOYER, record_id=employer)
    dice = random.Random(place)
    name = " ".join(dice.sample("Lý Tạ Khuất Vũ Đỗ Sơn Hải Quỳnh Khang Diễm Thảo Bích Uyên".split(), 4))
    return person(f"S{place}", f"{name} {place}", "", "", relation, registry="social_security")


def merge(office: Office, *records: SourceRecord) -> None:
    """Make the golden records of these records one, as a steward would."""
    index, journal = office.writer._index, office.writer._journal
    with index.write() as txn:
        group = Group(journal.begin(0), txn, {})
        numbers = [office.number(record.key) for record in records]
        for fact in regroup(txn, [numbers], group.mint, reason=RegroupReason.JUDGEMENT):
            group.add(office.cause, fact)
        journal.commit(group.batch)


def test_a_family_is_related_in_both_directions(office: Office) -> None:
    office.put_all(FAMILY)
    husband, wife, daughter = (office.id_of(each) for each in FAMILY)
    found = {(row.type, row.direction, row.golden_id): row for row in rows(office, wife)}
    assert found.keys() == {
        (RelationType.HOUSEHOLD, OUTGOING, husband),
        (RelationType.SPOUSE, OUTGOING, husband),
        (RelationType.MOTHER, INCOMING, daughter),
        (RelationType.SPOUSE, INCOMING, husband),
    }
    child = found[RelationType.MOTHER, INCOMING, daughter]
    assert (child.ground, child.obstacle, child.statement_count) == (Ground.IDENTIFIER, None, 1)
    (statement,) = child.statements
    assert (statement.key, statement.name, statement.updated_at) == (DAUGHTER.key, "Đặng Hải Yến", "2025-01-01")
    head = found[RelationType.HOUSEHOLD, OUTGOING, husband]
    assert (head.statements[0].role, head.statements[0].household_id) == ("vợ", "HK1")


def test_a_relation_that_two_records_state_stands_once(office: Office) -> None:
    visits = [
        person(
            f"P{place}",
            "Đặng Hải Yến",
            "2012-06-01",
            "F",
            mother("Lý Thu Cúc", MOTHER_ID),
            personal_id="079312000555",
            registry="hospital",
        )
        for place in range(RELATION_STATEMENTS_MAX + 1)
    ]
    office.put_all([*FAMILY, *visits])
    assert len({office.id_of(each) for each in visits}) == 1
    patient = office.id_of(visits[0])
    found = [row for row in rows(office, office.id_of(WIFE), size=1) if row.golden_id == patient]
    assert [row.type for row in found] == [RelationType.MOTHER]
    stating = len(visits) + (patient == office.id_of(DAUGHTER))
    assert (found[0].statement_count, len(found[0].statements)) == (stating, RELATION_STATEMENTS_MAX)
    (row,) = rows(office, patient, RelationFilter(RelationType.MOTHER, OUTGOING))
    assert (row.golden_id, row.statement_count) == (office.id_of(WIFE), stating)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RelationFilter(type=RelationType.MOTHER), [(RelationType.MOTHER, INCOMING)]),
        (
            RelationFilter(direction=OUTGOING),
            [(RelationType.HOUSEHOLD, OUTGOING), (RelationType.SPOUSE, OUTGOING)],
        ),
        (RelationFilter(RelationType.SPOUSE, INCOMING), [(RelationType.SPOUSE, INCOMING)]),
        (RelationFilter(RelationType.EMPLOYER, INCOMING), []),
    ],
)
def test_relations_are_filtered(
    office: Office, wanted: RelationFilter, expected: list[tuple[RelationType, Direction]]
) -> None:
    office.put_all(FAMILY)
    assert [(row.type, row.direction) for row in rows(office, office.id_of(WIFE), wanted)] == expected


def test_what_cannot_be_named_is_listed_as_it_is_stated(office: Office) -> None:
    patient = person(
        "P1", "Vũ Kim Ngân", "2020-05-05", "F", mother("Trần Hoa"), mother("Trần Hoa"), registry="hospital"
    )
    office.put(patient)
    (row,) = rows(office, office.id_of(patient))
    assert (row.golden_id, row.ground, row.obstacle) == (None, None, Obstacle.NAME_ONLY)
    assert [statement.name for statement in row.statements] == ["Trần Hoa"] * 2


@pytest.mark.parametrize("size", [1, 7, 500])
def test_employees_come_in_pages_each_once(office: Office, size: int) -> None:
    office.put_all([EMPLOYER, *map(worker, range(40))])
    wanted = {office.id_of(worker(place)) for place in range(40)}
    found = [row.golden_id for row in rows(office, office.id_of(EMPLOYER), RelationFilter(RelationType.EMPLOYER), size)]
    assert len(found) == len(wanted)
    assert set(found) == wanted


def test_a_page_token_survives_what_comes_and_goes_between_pages(office: Office) -> None:
    office.put_all([EMPLOYER, *map(worker, range(10))])
    golden_id = office.id_of(EMPLOYER)
    first, after = page(office, golden_id, ALL, 5, None)
    office.drop(worker(0).key)
    office.drop(worker(7).key)
    office.put(worker(11))
    rest, last = page(office, golden_id, ALL, 500, after)
    assert last is None
    expected = {office.id_of(worker(place)) for place in (5, 6, 8, 9, 11)}
    assert {row.golden_id for row in rest} == expected
    assert not expected & {row.golden_id for row in first}


@pytest.mark.parametrize("pending", [RELATIONS_EXAMINED_MAX - 1, RELATIONS_EXAMINED_MAX])
def test_a_page_that_finds_little_ends_early_and_goes_on(office: Office, pending: int) -> None:
    office.put(EMPLOYER)
    office.put_all([worker(place) for place in range(pending)], later=True, group=256)
    office.put(worker(pending))
    golden_id = office.id_of(EMPLOYER)
    found, after = page(office, golden_id, ALL, 10, None)
    assert (len(found), after is None) == ((1, True) if pending < RELATIONS_EXAMINED_MAX else (0, False))
    assert [row.golden_id for row in rows(office, golden_id)] == [office.id_of(worker(pending))]


def test_a_withdrawn_or_pending_record_is_in_no_relation(office: Office) -> None:
    office.put_all([HUSBAND, WIFE])
    office.put(DAUGHTER, later=True)
    assert RelationType.MOTHER not in {row.type for row in rows(office, office.id_of(WIFE))}
    office.put(DAUGHTER)
    assert RelationType.MOTHER in {row.type for row in rows(office, office.id_of(WIFE))}
    office.drop(DAUGHTER.key)
    assert RelationType.MOTHER not in {row.type for row in rows(office, office.id_of(WIFE))}


def test_a_household_lists_each_citizen_once_and_the_head_first(office: Office) -> None:
    again = person("R2B", "Lý Thu Cúc", "1982-09-30", "F", lives_in("HK1", "vợ"), personal_id=MOTHER_ID)
    pending = person("R9", "Đặng Tí", "2024-09-30", "M", lives_in("HK1", "con"))
    office.put_all([WIFE, DAUGHTER, HUSBAND, again])
    office.put(pending, later=True)
    assert office.id_of(again) == office.id_of(WIFE)
    (household,), former = households(office, DAUGHTER)
    assert (household.registry, household.household_id, household.record_count, former) == ("household", "HK1", 5, ())
    assert [(member.golden_id, member.is_head) for member in household.members] == [
        (office.id_of(HUSBAND), True),
        (office.id_of(WIFE), False),
        (office.id_of(DAUGHTER), False),
    ]
    assert [
        [(each.key.record_id, each.stay.role, each.stay.since) for each in member.statements]
        for member in household.members
    ] == [
        [("R1", "Chủ hộ", "2025-01-01")],
        [("R2", "vợ", "2025-01-01"), ("R2B", "vợ", "2025-01-01")],
        [("R3", "con đẻ", "2025-01-01")],
    ]


def test_a_move_is_seen_from_the_citizen_and_from_both_households(office: Office) -> None:
    office.put_all(FAMILY)
    moved = person("R2", "Lý Thu Cúc", "1982-09-30", "F", lives_in("HK2", "chủ hộ"), personal_id=MOTHER_ID)
    office.put(SourceRecord(moved.key, moved.attributes, "2026-02-02"))
    (household,), (former,) = households(office, WIFE)
    assert (household.household_id, [member.golden_id for member in household.members]) == (
        "HK2",
        [office.id_of(WIFE)],
    )
    stay = former.stay
    assert (stay.household_id, stay.role, stay.since, stay.until) == ("HK1", "vợ", "2025-01-01", "2026-02-02")
    assert stay.until_us is not None
    assert stay.until_us >= stay.since_us > 0
    (left,), _ = households(office, DAUGHTER)
    assert office.id_of(WIFE) not in {member.golden_id for member in left.members}


def test_of_a_dormitory_the_oldest_and_the_one_asked_for_are_shown(office: Office) -> None:
    crowd = [person(f"X{place}", "", "", "", lives_in("HK1", "ở nhờ")) for place in range(HOUSEHOLD_RECORDS_MAX)]
    office.put_all([WIFE, *crowd[:-1]], later=True, group=256)
    office.put(crowd[-1])
    office.put(HUSBAND)
    (household,), _ = households(office, HUSBAND)
    assert household.record_count == HOUSEHOLD_RECORDS_MAX + 2
    assert office.id_of(HUSBAND) in {member.golden_id for member in household.members}


def test_redirected_and_retired_golden_ids_have_answers(office: Office) -> None:
    office.put_all(FAMILY)
    again = person("R8", "Lý Cúc", "", "", lives_in("HK3"))
    gone = person("R9", "Tạ Quốc Bảo", "2001-11-09", "M", lives_in("HK4"))
    business = office.put(EMPLOYER).golden_id
    assert business is not None
    office.put_all([again, gone])
    absorbed, survivor, retired = (office.id_of(each) for each in (again, WIFE, gone))
    assert absorbed is not None
    assert retired is not None
    merge(office, WIFE, again)
    office.drop(gone.key)
    office.close()
    with contextlib.closing(Reader.open(office.path)) as reader:
        household = reader.households(absorbed)
        relations = reader.relations(absorbed, ALL, 500, None)
        assert (household.golden_id, household.state) == (survivor, GoldenState.REDIRECTED)
        assert (relations.golden_id, relations.state) == (survivor, GoldenState.REDIRECTED)
        assert [each.household_id for each in household.households] == ["HK1", "HK3"]
        assert (RelationType.MOTHER, INCOMING) in {(row.type, row.direction) for row in relations.rows}
        nothing = reader.households(retired)
        assert (nothing.golden_id, nothing.state, nothing.households) == (None, GoldenState.RETIRED, ())
        assert reader.relations(retired, ALL, 500, None).rows == ()
        with pytest.raises(UnknownGoldenIdError):
            reader.households(golden_id(EntityKind.CITIZEN, 0))
        with pytest.raises(InvalidInputError, match="golden_id: must be a citizen's"):
            reader.households(business)
    office.reopen()


@pytest.mark.timeout(300)
def test_a_city_agrees_with_its_feeds_and_with_itself(office: Office) -> None:
    records = city_records(300, 7)
    office.put_all(records)
    crosswalk = office.crosswalk()
    feed: dict[str, set[GoldenId]] = defaultdict(set)
    for record in records:
        for relation in record.attributes.relations:
            if household_of(relation):
                feed[household_of(relation)].add(crosswalk[record.key])
    compared = 0
    for record in records:
        if record.key.registry == "household":
            for household in households(office, record)[0]:
                members = [member.golden_id for member in household.members]
                assert len(members) == len(set(members))
                assert set(members) == feed[household.household_id]
                compared += 1
    assert compared >= 250
    outgoing: set[tuple[GoldenId, RelationType, GoldenId | None]] = set()
    incoming: set[tuple[GoldenId, RelationType, GoldenId | None]] = set()
    for asked in set(crosswalk.values()):
        for row in rows(office, asked, size=3):
            if row.direction is INCOMING and row.golden_id:
                incoming.add((row.golden_id, row.type, asked))
            elif row.golden_id:
                outgoing.add((asked, row.type, row.golden_id))
    assert outgoing == incoming
    # A city this small may have no branch whose parent has a record.
    assert {*RelationType} - {type_ for _, type_, _ in outgoing} <= {RelationType.BRANCH_OF}
    for source, type_, target in outgoing:
        assert target is not None
        assert kind_of(target) is kind_related(type_)
        is_firms = type_ in {RelationType.OWNER, RelationType.LEGAL_REPRESENTATIVE, RelationType.BRANCH_OF}
        assert (kind_of(source) is EntityKind.BUSINESS) is is_firms
