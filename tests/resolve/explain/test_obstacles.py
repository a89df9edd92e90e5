"""Why two records are not one: each obstacle as it arises, and what would be enough."""

from __future__ import annotations

import pytest

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import Assurance
from mdm.domain.state import pair_of
from mdm.resolve.commands import ClerkChoice
from mdm.resolve.explain import obstacles, pairs
from mdm.resolve.explain.obstacles import Obstacle, ObstacleKind, WhyNot, why_not
from mdm.resolve.explain.pairs import explain_pair
from mdm.resolve.group import Group
from tests.resolve.cities import city_records
from tests.resolve.explain.explaining import explaining, reading
from tests.resolve.explain.test_pairs import near_and_random_pairs
from tests.resolve.office import Office, business, citizen

ID, OTHER_ID, THIRD_ID = "079187000123", "079187000456", "079187000789"
INSURANCE = "7912345678"


def asked(office: Office, left: SourceKey, right: SourceKey) -> WhyNot:
    with explaining(office) as explainer:
        return explainer.why_not(left, right)


def only(found: WhyNot, kind: ObstacleKind) -> Obstacle:
    (obstacle,) = [each for each in found.obstacles if each.kind is kind]
    return obstacle


def kinds(found: WhyNot) -> list[ObstacleKind]:
    return [each.kind for each in found.obstacles]


def names(found: WhyNot) -> list[str]:
    return [each.name for each in found.enough]


def test_nothing_stands_between_records_that_are_one(office: Office) -> None:
    one, other = citizen("P1", personal_id=ID), citizen("P2", personal_id=ID)
    office.put_all([one, other])
    found = asked(office, one.key, other.key)
    assert found.pair.are_one
    assert (found.obstacles, found.enough) == ((), ())


def test_a_citizen_and_a_business_are_never_one(office: Office) -> None:
    person, firm = citizen("P1"), business("B1", "Công ty TNHH Minh Anh")
    office.put_all([person, firm])
    found = asked(office, person.key, firm.key)
    assert (kinds(found), found.enough) == ([ObstacleKind.KIND], ())


def test_a_deleted_and_an_erased_record_have_no_values_to_compare(office: Office) -> None:
    kept, gone, erased = citizen("P1"), citizen("P2"), citizen("P3", "Tạ Quốc Bảo", "2001-11-09")
    office.put_all([kept, gone, erased])
    office.drop(gone.key)
    number = office.number(erased.key)
    batch = office.writer._journal.begin(0)
    batch.erase([number])
    office.writer._journal.commit(batch)
    with office.writer._index.write() as txn:
        txn.purge(number)
    found = asked(office, kept.key, gone.key)
    assert (kinds(found), found.enough) == ([ObstacleKind.DELETED], ())
    assert only(found, ObstacleKind.DELETED).records == (office.number(gone.key),)
    # Its key is gone with its values; its golden ID still answers.
    (golden,) = [each for each in office.goldens() if office.golden(each).members == (number,)]
    with explaining(office) as explainer:
        found = explainer.why_not(kept.key, golden)
    assert (kinds(found), found.enough) == ([ObstacleKind.ERASED], ())
    assert found.pair.right.key is None


def test_a_pending_record_waits_and_says_what_else_would_stand_in_its_way(office: Office) -> None:
    one, waiting = citizen("P1", personal_id=ID), citizen("P2", personal_id=ID)
    office.put(one)
    office.put(waiting, later=True)
    found = asked(office, one.key, waiting.key)
    assert kinds(found) == [ObstacleKind.PENDING]
    assert only(found, ObstacleKind.PENDING).records == (office.number(waiting.key),)


def test_a_judgement_of_fellow_members_binds_too(office: Office) -> None:
    one, fellow = (citizen(each, "Nguyễn Thị Hoa", personal_id=ID) for each in ("P1", "P2"))
    other = citizen("D1", "Nguyễn Thị Hoa", registry="household", phone="0935261748", address="7 Trần Phú, Quận 5")
    office.put_all([one, fellow, other])
    assert office.id_of(one) == office.id_of(fellow) != office.id_of(other)
    office.judge(fellow.key, other.key, ev.Verdict.DIFFERENT)
    found = asked(office, one.key, other.key)
    judgement = only(found, ObstacleKind.JUDGEMENT)
    assert set(judgement.records) == {office.number(fellow.key), office.number(other.key)}
    assert names(found) == ["judgement"]


def test_a_clerks_no_is_named(office: Office) -> None:
    known = citizen("P1", personal_id=ID)
    golden = office.put(known).golden_id
    assert golden is not None
    office.put(citizen("P2", personal_id=ID), choice=ClerkChoice(None, (golden,)))
    found = asked(office, known.key, citizen("P2").key)
    assert ObstacleKind.CLERK_CHOICE in kinds(found)
    assert names(found)[-1] == "steward"


def test_two_verified_ids_that_differ_are_a_veto(office: Office) -> None:
    office.put_all([citizen("P1", personal_id=ID), citizen("P2", personal_id=OTHER_ID)])
    found = asked(office, citizen("P1").key, citizen("P2").key)
    veto = only(found, ObstacleKind.VETO)
    assert veto.detail == "verified_ids_differ"
    assert "two verified personal IDs differ" in veto.sentence.en
    assert "personal_id" in names(found), "one card beside the other is an alias chain"


def test_a_veto_of_another_member_is_named_with_both(office: Office) -> None:
    bare = citizen("P1", insurance=INSURANCE)
    firm = citizen("P2", personal_id=ID, insurance=INSURANCE)
    other = citizen("D1", registry="household", personal_id=OTHER_ID)
    office.put_all([firm, bare, other])
    assert office.id_of(bare) == office.id_of(firm) != office.id_of(other)
    veto = only(asked(office, bare.key, other.key), ObstacleKind.MEMBER_VETO)
    assert (veto.detail, veto.records) == (
        "verified_ids_differ",
        (office.number(firm.key), office.number(other.key)),
    )


def test_a_veto_that_a_steward_overruled_is_no_obstacle(office: Office) -> None:
    first, second = citizen("P1", personal_id=ID), citizen("P2", personal_id=OTHER_ID, phone="", address="")
    office.put_all([first, second])
    office.same(first, second)
    apart = citizen("P3", "Lê Thị Sáu", personal_id=OTHER_ID, phone="", address="")
    office.put(apart)
    assert office.id_of(apart) != office.id_of(first)
    assert ObstacleKind.MEMBER_VETO not in {each.kind for each in asked(office, apart.key, second.key).obstacles}


def test_missing_evidence_is_named_with_what_would_be_enough(office: Office) -> None:
    left, right = (citizen(each, "Nguyễn Thị Hoa", phone="", address="") for each in ("P1", "P2"))
    office.put_all([left, right])
    found = asked(office, left.key, right.key)
    lack = only(found, ObstacleKind.LACK)
    assert lack.detail == "name_and_birth_date_only"
    assert {"personal_id", "phone", "address", "steward"} <= set(names(found))


def test_the_bits_that_are_missing_are_counted_to_the_link_threshold(office: Office) -> None:
    left = citizen("P1", "Nguyễn Thị Hoa", "1987", phone="", address="")
    right = citizen("P2", "Nguyễn Thị Hoa", "1987-03-05", phone="", address="")
    office.put_all([left, right])
    found = asked(office, left.key, right.key)
    below = only(found, ObstacleKind.BELOW_REVIEW)
    assert found.pair.comparison is not None
    link_bits = found.pair.engine.model.thresholds.link_bits
    assert below.missing_bits == pytest.approx(link_bits - found.pair.comparison.match_weight_bits)
    assert below.sentence.vi.endswith(f"thiếu {below.missing_bits:.1f} bit".replace(".", ","))


def test_records_that_share_no_key_are_never_compared(office: Office) -> None:
    left = citizen("P1", phone="", address="")
    right = citizen("P2", "Trần Văn Tâm", "1950-01-02", sex="M", phone="", address="")
    office.put_all([left, right])
    found = asked(office, left.key, right.key)
    not_compared = only(found, ObstacleKind.NOT_COMPARED)
    assert not_compared.detail.split()[0] == "name_and_year"
    assert not_compared.sentence.en.startswith("They are not compared: they share no key; it takes the same name and")
    assert found.enough == (), "no one value makes another person"


def test_keys_with_too_many_holders_are_said(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = (citizen(each, "Nguyễn Thị Hoa", phone="", address="") for each in ("P1", "P2"))
    office.put_all([left, right])
    monkeypatch.setattr(pairs, "CANDIDATES_PER_KEY_MAX", 1)
    truncated = only(asked(office, left.key, right.key), ObstacleKind.BLOCK_TRUNCATED)
    assert "name_and_year" in truncated.detail.split()


def test_a_link_that_a_relinkage_refused_is_said(office: Office) -> None:
    left, right = citizen("P1", personal_id=ID), citizen("P2", personal_id=OTHER_ID)
    office.put_all([left, right])
    pair = pair_of(office.number(left.key), office.number(right.key))
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        group.add(ev.Cause(), ev.PotentialMatchOpened(*pair, ev.MatchReason.REFUSED_EDGE, 12.0))
        office.writer._journal.commit(group.batch)
    found = asked(office, left.key, right.key)
    assert only(found, ObstacleKind.REFUSED_EDGE).sentence.en.startswith("The link would put a contradiction")


def test_a_rival_that_excludes_the_link_is_named(office: Office) -> None:
    first = citizen("P1", personal_id=ID)
    second = citizen("P2", personal_id=OTHER_ID)
    between = citizen("D1", registry="household")
    office.put_all([first, second, between])
    assert len({office.id_of(each) for each in (first, second, between)}) == 3
    found = asked(office, between.key, first.key)
    assert kinds(found) == [ObstacleKind.AMBIGUOUS]
    assert only(found, ObstacleKind.AMBIGUOUS).rivals == (office.id_of(second),)
    assert names(found) == ["steward"]


def test_a_withdrawn_judgement_leaves_nothing_but_the_next_decision(office: Office) -> None:
    left = citizen("P1", "Nguyễn Thị Hoa", phone="0937518264", address="", insurance=INSURANCE)
    right = citizen("P2", "Nguyễn Thị Hoa", phone="0938417265", address="")
    office.put_all([left, right])
    office.judge(left.key, right.key, ev.Verdict.DIFFERENT)
    office.put(citizen("P2", "Nguyễn Thị Hoa", phone="0938417265", address="", insurance=INSURANCE))
    assert office.id_of(left) != office.id_of(right)
    office.judge(left.key, right.key, None)
    found = asked(office, left.key, right.key)
    assert (kinds(found), found.enough) == ([ObstacleKind.NOT_RECONSIDERED], ())
    # And so it is.
    office.put(citizen("P2", "Nguyễn Thị Hoa", phone="0936182745", address="", insurance=INSURANCE))
    assert office.id_of(left) == office.id_of(right)


def test_members_that_speak_against_it_and_a_better_company_are_said(office: Office) -> None:
    # Two visits under another name, tied to the third by both numbers and the birth date.
    renamed = [
        citizen(f"A{place}", "Lê Bích Ngọc", personal_id=ID, insurance=INSURANCE, phone="", assurance=Assurance.STATED)
        for place in range(2)
    ]
    home = "7 Trần Phú, Phường 4, Quận 5, TP Hồ Chí Minh"
    others = [citizen(f"B{place}", "Nguyễn Thị Hoa", phone="0938417265", address=home) for place in range(2)]
    between = citizen(
        "C", "Nguyễn Thị Hoa", personal_id=ID, insurance=INSURANCE, phone="0938417265", assurance=Assurance.STATED
    )
    office.put_all([*renamed, *others, between])
    assert office.id_of(between) == office.id_of(renamed[0]) == office.id_of(renamed[1])
    assert office.id_of(others[0]) == office.id_of(others[1]) != office.id_of(between)
    found = asked(office, between.key, others[0].key)
    assert kinds(found) == [ObstacleKind.MOVE_MARGIN, ObstacleKind.JOINT_EVIDENCE]
    assert only(found, ObstacleKind.MOVE_MARGIN).missing_bits > 0
    assert names(found) == ["steward"]


def test_golden_records_too_large_to_be_compared_are_said(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = citizen("P1", personal_id=ID), citizen("P2", personal_id=OTHER_ID)
    office.put_all([left, right])
    monkeypatch.setattr(obstacles, "MEMBER_PAIRS_COMPARED_MAX", 0)
    assert ObstacleKind.TOO_LARGE in kinds(asked(office, left.key, right.key))


def test_obstacles_stand_in_the_order_of_their_kinds(office: Office) -> None:
    left = citizen("P1", phone="", address="", personal_id=ID)
    right = citizen("P2", "Trần Văn Tâm", "1950-01-02", sex="M", phone="", address="", personal_id="079050000123")
    office.put_all([left, right])
    office.judge(left.key, right.key, ev.Verdict.DIFFERENT)
    found = kinds(asked(office, left.key, right.key))
    order = list(ObstacleKind)
    assert found == sorted(found, key=order.index)
    assert found[0] is ObstacleKind.JUDGEMENT
    assert ObstacleKind.NOT_COMPARED in found


@pytest.mark.parametrize("kind", EntityKind)
def test_of_any_two_either_they_are_one_or_something_stands_between_them(office: Office, kind: EntityKind) -> None:
    office.put_all(city_records(150, 11))
    with reading(office) as (_, state):
        apart = 0
        for left, right in near_and_random_pairs(state, kind, 3):
            found = why_not(state, explain_pair(state, left, right))
            assert bool(found.obstacles) is not found.pair.are_one, (left, right)
            apart += not found.pair.are_one
    assert apart > 100
