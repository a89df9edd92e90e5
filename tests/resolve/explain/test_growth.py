"""What holds a golden record together: its tree, its weakest link, the records without which it falls apart."""

from __future__ import annotations

import pytest

from mdm.domain import events as ev
from mdm.domain.decision import Band
from mdm.domain.keys import GoldenId
from mdm.errors import LimitExceededError
from mdm.resolve.explain import growth
from mdm.resolve.explain.growth import HowGolden
from mdm.resolve.views import GoldenState
from tests.resolve.cities import city_records
from tests.resolve.explain.explaining import explaining, reading
from tests.resolve.office import Office, citizen

ID, INSURANCE = "079187000123", "7912345678"
NAME = "Nguyễn Thị Hoa"


def how(office: Office, golden_id: GoldenId | None) -> HowGolden:
    assert golden_id is not None
    with explaining(office) as explainer:
        return explainer.how(golden_id)


def test_a_record_between_two_others_is_their_bridge(office: Office) -> None:
    # The left knows the personal ID, the right the insurance number, the middle both.
    left = citizen("P1", NAME, personal_id=ID, phone="", address="")
    middle = citizen("P2", NAME, personal_id=ID, insurance=INSURANCE, phone="", address="")
    right = citizen("P3", NAME, insurance=INSURANCE, phone="", address="")
    office.put_all([left, middle, right])
    numbers = [office.number(each.key) for each in (left, middle, right)]
    found = how(office, office.id_of(left))
    assert [each.number for each in found.members] == numbers
    assert (found.part_count, found.bridge_count, found.erased_count) == (1, 1, 0)
    (bridge,) = found.bridges
    assert bridge.number == numbers[1]
    assert bridge.parts == ((numbers[0],), (numbers[2],))
    assert {(edge.left, edge.right) for edge in found.edges} == {tuple(numbers[:2]), tuple(numbers[1:])}
    assert {edge.band for edge in found.edges} == {Band.LINK}
    weights = [edge.match_weight_bits for edge in found.edges]
    assert weights == sorted(weights, reverse=True)


def test_a_judgement_holds_what_evidence_does_not(office: Office) -> None:
    one, other = citizen("P1", NAME, phone="", address=""), citizen("P2", "Trần Mỹ Linh", phone="", address="")
    office.put(one)
    office.put(other)
    office.judge(one.key, other.key, ev.Verdict.SAME)
    office.put(citizen("P2", "Trần Mỹ Linh", phone="", address="", updated_at="2025-01-01"))
    assert office.id_of(one) == office.id_of(other)
    found = how(office, office.id_of(one))
    (edge,) = found.edges
    assert (edge.judgement, edge.band) == (ev.Verdict.SAME, Band.NONE)
    assert edge.sentence.en.startswith("A steward judged them the same")
    assert found.part_count == 1
    office.judge(one.key, other.key, None)
    assert how(office, office.id_of(one)).part_count == 2, "nothing holds them together any more"


def test_every_golden_record_of_a_city_has_a_spanning_tree(office: Office) -> None:
    office.put_all(city_records(120, 3))
    with reading(office) as (explainer, state):
        goldens = [(golden_id, entry) for golden_id, entry in state.view.iter_goldens() if entry.members]
        bridged = 0
        for golden_id, entry in goldens:
            found = explainer.how(golden_id)
            reached = {entry.members[0]}
            for edge in sorted(found.edges, key=lambda edge: (edge.left, edge.right)) * len(found.edges):
                if reached & {edge.left, edge.right}:
                    reached |= {edge.left, edge.right}
            assert reached == set(entry.members)
            assert len(found.edges) == len(entry.members) - 1
            for bridge in found.bridges:
                bridged += 1
                parts = [set(part) for part in bridge.parts]
                assert len(parts) > 1
                assert set.union(*parts) == set(entry.members) - {bridge.number}
    assert bridged > 0


def test_a_merged_and_a_retired_id_say_so(office: Office) -> None:
    gone = citizen("P1", "Tạ Quốc Bảo", "2001-11-09", sex="M")
    office.put(gone)
    retired = office.id_of(gone)
    office.drop(gone.key)
    found = how(office, retired)
    assert (found.golden_id, found.state, found.edges, found.part_count) == (None, GoldenState.RETIRED, (), 0)
    first, second = (
        citizen("A", NAME, personal_id=ID, phone="", address=""),
        citizen("B", NAME, insurance=INSURANCE, phone="", address=""),
    )
    office.put_all([first, second])
    absorbed = office.id_of(second)
    office.put(citizen("C", NAME, personal_id=ID, insurance=INSURANCE, phone="", address=""))
    found = how(office, absorbed)
    assert (found.requested, found.golden_id, found.state) == (absorbed, office.id_of(first), GoldenState.REDIRECTED)
    assert len(found.members) == 3


def test_an_erased_member_is_counted_and_compared_with_nobody(office: Office) -> None:
    records = [citizen(f"P{place}", personal_id=ID) for place in range(3)]
    office.put_all(records)
    number = office.number(records[2].key)
    batch = office.writer._journal.begin(0)
    batch.erase([number])
    office.writer._journal.commit(batch)
    with office.writer._index.write() as txn:
        txn.purge(number)
    found = how(office, office.id_of(records[0]))
    assert (len(found.members), found.erased_count, len(found.edges)) == (3, 1, 1)


def test_too_many_members_are_refused_with_the_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [citizen(f"P{place}", personal_id=ID) for place in range(3)]
    office.put_all(records)
    monkeypatch.setattr(growth, "GOLDEN_MEMBERS_EXPLAINED_MAX", 3)
    assert len(how(office, office.id_of(records[0])).members) == 3
    monkeypatch.setattr(growth, "GOLDEN_MEMBERS_EXPLAINED_MAX", 2)
    with pytest.raises(LimitExceededError, match="has 3 members, at most 2 are explained"):
        how(office, office.id_of(records[0]))
