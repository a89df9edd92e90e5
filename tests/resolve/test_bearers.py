"""Golden IDs and stewards' words when keys pass to other bearers: an ID stays whose it was, and nobody joins by it."""

from __future__ import annotations

import pytest

from mdm.domain.records import SourceRecord
from mdm.resolve.commands import Pin, Split, Unmerge, WithdrawJudgement
from tests.resolve.loads import load, revert
from tests.resolve.office import Office, citizen

Person = tuple[str, str, str, str]
"""Name, birth date, sex, personal ID."""
THAO: Person = ("Hồ Thị Bích Thảo", "1955-05-05", "F", "079155000123")
SON: Person = ("Hà Văn Sơn", "1966-06-06", "M", "079066004567")
HAU: Person = ("Trịnh Công Hậu", "1973-01-09", "M", "079073009999")
LONG: Person = ("Đặng Hoàng Long", "1969-10-20", "M", "079069001111")


def of(person: Person, record_id: str) -> SourceRecord:
    name, birth_date, sex, personal_id = person
    return citizen(record_id, name, birth_date, sex=sex, personal_id=personal_id, phone="", address="")


def groups(office: Office) -> set[frozenset[str]]:
    return {frozenset(key.record_id for key in group) for group in office.partition()}


def standing(office: Office, left: SourceRecord, right: SourceRecord) -> int:
    with office.writer._index.read() as view:
        judgement = view.standing(office.pair(left, right))
    assert judgement is not None
    return judgement.seq


@pytest.mark.parametrize("is_older", [True, False])
def test_who_has_another_bearer_since_is_not_taken_back_with_a_merge(office: Office, *, is_older: bool) -> None:
    one, two, three = of(THAO, "B"), of(THAO, "C"), of(SON, "A")
    office.put_all([three, one, two] if is_older else [one, two, three])
    thaos, sons = office.id_of(two), office.id_of(three)
    office.same(two, three)
    office.put(of(HAU, "B"))
    office.steward(WithdrawJudgement(standing(office, two, three)))
    for _ in range(2):
        assert groups(office) == {frozenset("A"), frozenset("B"), frozenset("C")}
        assert (office.id_of(two), office.id_of(three)) == (thaos, sons)
        office.relink_here()


def test_who_has_another_bearer_since_is_not_joined_by_taking_a_split_back(office: Office) -> None:
    first, second, third, other = of(THAO, "A"), of(THAO, "B"), of(THAO, "C"), of(SON, "D")
    office.put_all([first, second, third, other])
    old = office.id_of(first)
    assert old is not None
    office.steward(Split(old, (office.number(first.key), office.number(second.key))))
    office.put(of(SON, "A"))
    office.steward(WithdrawJudgement(standing(office, second, third)))
    assert groups(office) == {frozenset("AD"), frozenset("BC")}
    assert office.id_of(second) == old


@pytest.mark.parametrize("is_same", [False, True])
def test_a_key_that_comes_back_joins_nobody_whom_an_unmerge_parted(office: Office, *, is_same: bool) -> None:
    gone, one, two = of(THAO, "A"), of(SON, "B"), of(LONG, "C")
    office.put_all([gone, one, two])
    before = office.id_of(two)
    assert before is not None
    office.same(gone, one)
    office.same(gone, two)
    office.drop(gone.key)
    office.steward(Unmerge(before))
    office.put(gone if is_same else of(HAU, "A"))
    office.relink_here()
    assert groups(office) == {frozenset(group) for group in (("AB", "C") if is_same else ("A", "B", "C"))}
    assert office.id_of(two) == before


def test_a_load_taken_back_does_not_say_anew_what_an_unmerge_took_back(office: Office) -> None:
    one, two, other = of(THAO, "A"), of(THAO, "B"), of(SON, "C")
    office.put_all([one, two, other])
    before = (office.id_of(two), office.id_of(other))
    office.same(one, other)
    load_id = load(office, "night", [of(HAU, "A")])
    sons = before[1]
    assert sons is not None
    office.steward(Unmerge(sons))
    revert(office, load_id)
    for _ in range(2):
        assert groups(office) == {frozenset("AB"), frozenset("C")}
        assert (office.id_of(two), office.id_of(other)) == before
        office.relink_here()


def test_an_id_passes_to_records_of_its_own_bearer_before_those_that_were_merged_with_it(office: Office) -> None:
    first, theirs, second = of(THAO, "A"), of(SON, "B"), of(THAO, "C")
    office.put_all([first, theirs, second])
    before = (office.id_of(second), office.id_of(theirs))
    office.same(first, theirs)
    office.drop(first.key)
    sons = before[1]
    assert sons is not None
    office.steward(Unmerge(sons))
    assert (office.id_of(second), office.id_of(theirs)) == before


def test_a_fixed_value_goes_with_the_id_that_it_was_fixed_for(office: Office) -> None:
    first, theirs, second = of(THAO, "A"), of(SON, "B"), of(THAO, "C")
    office.put_all([first, theirs, second])
    thaos, sons = office.id_of(second), office.id_of(theirs)
    assert thaos is not None
    assert sons is not None
    office.steward(Pin(thaos, "full_name", "Hồ Thị Bích Thảo Nguyên"))
    office.same(first, theirs)
    office.drop(first.key)
    office.steward(Unmerge(sons))
    assert [name for name, _ in office.entry(second.key).pins] == ["full_name"]
    assert office.entry(theirs.key).pins == ()


def test_a_split_is_taken_back_after_one_side_was_deleted_and_its_id_retired(office: Office) -> None:
    stays, gone, other = of(THAO, "A"), of(THAO, "B"), of(THAO, "C")
    office.put_all([stays, gone, other])
    old = office.id_of(stays)
    assert old is not None
    office.steward(Split(old, (office.number(gone.key),)))
    judgement, retired = standing(office, stays, gone), office.id_of(gone)
    office.drop(gone.key)
    office.steward(WithdrawJudgement(judgement))
    assert office.answer(retired) is None
    assert office.golden(old).members == tuple(sorted((office.number(stays.key), office.number(other.key))))
    office.put(gone)
    assert groups(office) == {frozenset("ABC")}
    assert office.id_of(gone) == old


def test_who_came_after_a_merge_inherits_no_id_before_those_that_it_stood_for(office: Office) -> None:
    first, late, second, theirs = of(THAO, "A"), of(HAU, "B"), of(THAO, "C"), of(SON, "D")
    office.put_all([first, late, second, theirs])
    before = (office.id_of(second), office.id_of(theirs))
    office.same(second, theirs)
    # The key passes to the other side's bearer, and joins by it.
    office.put(of(SON, "B"))
    assert office.id_of(late) == before[0]
    office.put(of(LONG, "A"))
    sons = before[1]
    assert sons is not None
    office.steward(Unmerge(sons))
    assert (office.id_of(second), office.id_of(theirs), office.id_of(late)) == (*before, before[1])


def test_of_ids_merged_one_after_the_other_each_passes_to_its_own(office: Office) -> None:
    people = (THAO, SON, HAU)
    firsts = [of(person, f"A{place}") for place, person in enumerate(people)]
    # The other way round: who is older says nothing.
    seconds = [of(person, f"B{place}") for place, person in enumerate(people)][::-1]
    office.put_all([*firsts, *seconds])
    ids = {name: office.id_of(record) for record, name in zip(seconds, (HAU, SON, THAO), strict=True)}
    office.same(firsts[1], firsts[2])
    office.same(firsts[0], firsts[1])
    for record in firsts:
        office.drop(record.key)
    with office.writer._index.read() as view:
        anchors = {name: view.golden(identifier).anchor for name, identifier in ids.items() if identifier}  # type: ignore[union-attr]
    assert anchors == {name: office.number(record.key) for record, name in zip(seconds, (HAU, SON, THAO), strict=True)}
