"""Five things that were measured to go wrong elsewhere: each of them holds here."""

from __future__ import annotations

from mdm.domain import events as ev
from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId
from mdm.domain.records import SourceRecord
from mdm.domain.rules import regroup
from mdm.resolve.group import Group
from mdm.resolve.relink_runs import Phase
from mdm.resolve.survivorship import member_of, rules_in_force, values_of
from mdm.server.wire_values import value_message
from mdm_client import CitizenAttributes, Client, SourceKey
from mdm_client import EntityKind as ClientKind
from mdm_client import SourceRecord as ClientRecord
from tests.resolve.office import CONFIGURATION, Office, citizen
from tests.serving import running_server

TRAM = citizen("T1", "Huỳnh Ngọc Bảo Trâm", "1987-03-05", phone="0903123456", address="12 Lê Lợi, Phường Bến Thành")
SHE = citizen("T2", "Huỳnh Ngọc Bảo Trâm", "1987-03-05", registry="household", phone="0903123456", address="")
LE = citizen("L1", "Phan Thị Lệ", "1970-07-07", phone="0911222333", address="5 Trần Phú, Phường Chợ Lớn")


def group_by_hand(office: Office, *clusters: tuple[SourceRecord, ...]) -> None:
    """Merge or split as a steward does, through the rules that decide which ID answers."""
    numbers = [[office.number(record.key) for record in cluster] for cluster in clusters]
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        for fact in regroup(txn, numbers, group.mint, reason=ev.RegroupReason.JUDGEMENT):
            group.add(office.cause, fact)
        office.writer._journal.commit(group.batch)


def shown(office: Office, golden_id: GoldenId | None) -> list[tuple[str, str, str]]:
    """Path, value as it goes over the wire, and record id of everything that a golden ID shows."""
    assert golden_id is not None
    with office.writer._index.read() as view:
        golden = view.golden(golden_id)
        golden = view.golden(golden.survivor) if golden and golden.survivor else golden
        numbers = golden.members if golden else ()
        members = [each for number in numbers if (each := member_of(view, CONFIGURATION, number)) is not None]
        rules = rules_in_force(view, office.writer._journal, CONFIGURATION)
        found = values_of(view, office.writer._journal, members, rules)
    messages = [value_message(value) for value in found]
    return [(message.field, message.value, message.provenance.key.record_id) for message in messages]


def test_an_id_that_was_merged_away_answers_with_the_survivor_and_its_records(office: Office) -> None:
    office.put_all([TRAM, LE])
    older, younger = office.id_of(TRAM), office.id_of(LE)
    group_by_hand(office, (TRAM, LE))
    assert office.answer(younger) == older
    assert older is not None
    assert set(office.golden(older).members) == {office.number(TRAM.key), office.number(LE.key)}
    assert shown(office, younger) == shown(office, older)
    assert {record_id for _, _, record_id in shown(office, younger)} == {"T1", "L1"}


def test_undoing_a_merge_brings_the_original_id_back_with_its_values(office: Office) -> None:
    office.put_all([TRAM, SHE, LE])
    ids = office.id_of(TRAM), office.id_of(LE)
    before = [shown(office, each) for each in ids]
    goldens = office.goldens()
    group_by_hand(office, (TRAM, SHE, LE))
    assert shown(office, ids[0]) != before[0]
    group_by_hand(office, (TRAM, SHE), (LE,))
    assert (office.id_of(TRAM), office.id_of(LE)) == ids
    assert [shown(office, each) for each in ids] == before
    assert office.goldens() == goldens


def test_a_pair_that_a_steward_split_stays_split_after_a_relinkage_with_default_settings(office: Office) -> None:
    office.put_all([TRAM, SHE, LE])
    assert office.id_of(TRAM) == office.id_of(SHE), "everything speaks for one person"
    office.judge(TRAM.key, SHE.key, Verdict.DIFFERENT)
    group_by_hand(office, (TRAM,), (SHE,))
    apart = office.id_of(TRAM), office.id_of(SHE)
    assert apart[0] != apart[1]
    for _ in range(2):
        assert office.relink().phase is Phase.COMMITTED
        assert (office.id_of(TRAM), office.id_of(SHE)) == apart
    office.judge(TRAM.key, SHE.key, None)
    office.relink()
    assert office.id_of(TRAM) == office.id_of(SHE), "the control: it was the judgement that kept them apart"


def test_the_golden_record_is_right_after_a_split(office: Office) -> None:
    office.put_all([TRAM, SHE, LE])
    group_by_hand(office, (TRAM, SHE, LE))
    mixed = office.id_of(TRAM)
    assert ("phones", "0911222333", "L1") in shown(office, mixed)
    group_by_hand(office, (TRAM, SHE), (LE,))
    assert {record_id for _, _, record_id in shown(office, mixed)} == {"T1", "T2"}
    assert {value for path, value, _ in shown(office, mixed) if path == "phones"} == {"0903123456"}
    assert {record_id for _, _, record_id in shown(office, office.id_of(LE))} == {"L1"}
    assert ("full_name", "Phan Thị Lệ", "L1") in shown(office, office.id_of(LE))


def test_phone_numbers_keep_their_leading_zero(office: Office) -> None:
    office.put(TRAM)
    assert ("phones", "0903123456", "T1") in shown(office, office.id_of(TRAM))
    with running_server(office.path.with_name("served")) as server, Client(server.address) as client:
        key = SourceKey("hospital", ClientKind.CITIZEN, "T1")
        attributes = CitizenAttributes("Huỳnh Ngọc Bảo Trâm", phones=("0903123456", "028 3829 1234", "00842838291234"))
        written = client.upsert(ClientRecord(key, attributes))
        record = client.golden_record(written.golden_id, fresh=written.token)
        assert [value.value for value in record.values if value.field == "phones"] == list(attributes.phones)
