"""The identity rules through the writer: who is linked, who never is, and what a change of values does."""

from __future__ import annotations

import msgspec
import pytest

from mdm.domain.changes import ChangeKind
from mdm.domain.events import MatchReason, Verdict
from mdm.domain.records import Assurance, Identifier, IdentifierType, SourceRecord
from mdm.resolve.commands import ClerkChoice, WriteOutcome
from mdm.resolve.relink_runs import Phase
from tests.resolve.office import Office, business, citizen

CREATED, LINKED, REVIEW = WriteOutcome.CREATED, WriteOutcome.LINKED, WriteOutcome.REVIEW

ID = "079187000123"
ONE_DIGIT_OFF = "079187000128"
OTHER_ID = "079187004567"


@pytest.mark.parametrize(
    ("first", "second", "linked", "reason"),
    [
        (citizen("A"), citizen("B"), True, "same name, birth date, phone and address"),
        (citizen("A", personal_id=ID), citizen("B", personal_id=ID, phone="", address=""), True, "number and name"),
        (
            citizen("A", personal_id=ID),
            citizen("B", "Lý Quốc Cường", "1987-11-30", personal_id=ID, phone="0911", address=""),
            False,
            "a personal ID alone never links: numbers are mistyped into those of strangers",
        ),
        (
            citizen("A", personal_id=ID),
            citizen("B", personal_id=ONE_DIGIT_OFF),
            False,
            "two verified numbers one digit apart are two living people",
        ),
        (
            citizen("A", "Lê Văn Ba", personal_id=ID, phone="", address=""),
            citizen("B", "Lê Văn Bốn", personal_id=ONE_DIGIT_OFF, assurance=Assurance.STATED, phone="", address=""),
            False,
            "a stated number one digit off never links by itself",
        ),
        (citizen("A", personal_id=ID), citizen("B", personal_id=OTHER_ID), False, "two verified numbers differ"),
        (
            citizen("A", "Nguyễn Thị Thúy", phone="", address=""),
            citizen("B", "Nguyễn Thị Thúy", phone="", address=""),
            False,
            "a common name and a birth date may well be a stranger's",
        ),
        (
            citizen("A", "Trần Gia Bảo", "2024-05-01", birth_order="1/2", mother="Phạm Thu Hà"),
            citizen("B", "Trần Gia Bách", "2024-05-01", birth_order="2/2", mother="Phạm Thu Hà"),
            False,
            "twins share all but a name and their order",
        ),
    ],
)
def test_who_is_one_person(
    office: Office,
    first: SourceRecord,
    second: SourceRecord,
    linked: bool,  # noqa: FBT001
    reason: str,
) -> None:
    office.put(first)
    answer = office.put(second)
    assert (office.id_of(first) == office.id_of(second)) is linked, reason
    assert answer.outcome is (LINKED if linked else answer.outcome)
    assert answer.golden_id is not None


@pytest.mark.parametrize(
    ("first", "second", "linked", "reason"),
    [
        (
            business("A", "Công ty TNHH Sơn Hải Vân", tax_code="0301234567"),
            business("B", "CTY TNHH SƠN HẢI VÂN", registry="social_security", tax_code="0301234567"),
            True,
            "one tax code, one name, one address",
        ),
        (
            business("A", "Công ty TNHH Sơn Hải Vân", tax_code="0301234567"),
            business("B", "Chi nhánh Công ty TNHH Sơn Hải Vân", form="branch", tax_code="0301234567-001"),
            False,
            "a branch is a business of its own",
        ),
    ],
)
def test_who_is_one_business(
    office: Office,
    first: SourceRecord,
    second: SourceRecord,
    linked: bool,  # noqa: FBT001
    reason: str,
) -> None:
    office.put(first)
    office.put(second)
    assert (office.id_of(first) == office.id_of(second)) is linked, reason


def test_a_household_business_never_merges_with_the_citizen_whose_number_is_its_tax_code(office: Office) -> None:
    owner = citizen("H1", personal_id=ID)
    shop = business("H1", "Hộ kinh doanh Huỳnh Ngọc Bảo Trâm", form="household_business", tax_code=ID)
    office.put(owner)
    answer = office.put(shop)

    assert answer.outcome is CREATED
    assert str(office.id_of(shop)).startswith("B-")
    assert office.questions() == {}


def test_two_golden_records_that_a_new_record_joins_become_one_under_the_older_id(office: Office) -> None:
    old = office.put(citizen("A", personal_id=ID, phone="", address="")).golden_id
    young = office.put(citizen("B", "H. N. B. Trâm", insurance="7912345678", phone="", address="")).golden_id
    assert old != young
    bridge = office.put(
        citizen("C", registry="social_security", personal_id=ID, insurance="7912345678", phone="", address="")
    )
    assert (bridge.outcome, bridge.golden_id) == (LINKED, old)
    assert office.id_of(citizen("B")) == old
    assert office.answer(young) == old
    merged = [change for change in bridge.changes if change.kind is ChangeKind.MERGED]
    assert [(change.golden_id, change.successor) for change in merged] == [(young, old)]


def test_candidates_that_exclude_each_other_and_lie_close_go_to_a_steward(office: Office) -> None:
    left, right = citizen("A", personal_id=ID), citizen("B", personal_id=OTHER_ID)
    office.put(left)
    office.put(right)
    answer = office.put(citizen("C"))

    assert answer.outcome is REVIEW
    asked = office.questions()
    assert asked[("A", "C")] is asked[("B", "C")] is MatchReason.AMBIGUOUS


def test_a_new_representative_leaves_and_the_emptied_id_is_retired(office: Office) -> None:
    first = citizen("F1", registry="company", personal_id=ID)
    old = office.put(first).golden_id
    second = citizen("F1", "Đặng Hoàng Long", "1969-10-20", registry="company", sex="M", personal_id="079069001234")
    answer = office.put(second)

    assert answer.is_new_bearer
    assert answer.golden_id != old
    assert office.answer(old) is None
    assert office.put(first).golden_id not in {old, answer.golden_id}, "an emptied ID is never refilled"


def test_a_recycled_patient_number_finds_its_new_bearer(office: Office) -> None:
    known = citizen("S9", "Đặng Hoàng Long", "1969-10-20", registry="social_security", sex="M", phone="0907")
    other = office.put(known).golden_id
    old = office.put(citizen("H1")).golden_id
    office.put(citizen("H2"))
    answer = office.put(citizen("H1", "Đặng Hoàng Long", "1969-10-20", sex="M"))

    assert answer.is_new_bearer
    assert answer.golden_id == other
    assert office.answer(old) == old == office.id_of(citizen("H2"))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (citizen("H1", personal_id=ONE_DIGIT_OFF), "a digit of the number was corrected"),
        (citizen("H1", birth_date="1987-03-06", personal_id=ID), "a digit of the birth date was corrected"),
        (citizen("H1", "Huỳnh Ngọc Bảo Châm", personal_id=ID), "a letter of the name was corrected"),
        (citizen("H1", personal_id=ID, phone="0987654321", address="9 Hai Bà Trưng, Quận 3"), "she moved"),
        (citizen("H1", phone="", address=""), "the row lost values"),
    ],
)
def test_a_corrected_row_stays_with_its_bearer(office: Office, after: SourceRecord, reason: str) -> None:
    first = office.put(citizen("H1", personal_id=ID))
    answer = office.put(after)
    assert not answer.is_new_bearer, reason
    assert answer.golden_id == first.golden_id, reason


def test_a_corrected_number_closes_the_fragments_that_the_wrong_one_kept_apart(office: Office) -> None:
    book = "7912345678"
    visit = citizen("V", insurance=book, address="")
    insured = citizen("S", personal_id=ONE_DIGIT_OFF, insurance=book, registry="social_security")
    resident = citizen("D", personal_id=ID, registry="household")
    office.put_all([visit, insured, resident])
    oldest, apart = office.id_of(visit), office.id_of(resident)
    assert office.id_of(insured) == oldest != apart
    answer = office.put(citizen("S", personal_id=ID, insurance=book, registry="social_security"))
    assert answer.golden_id == oldest
    assert {office.id_of(each) for each in (visit, insured, resident)} == {oldest}, "it left nobody behind"
    assert office.answer(apart) == oldest


def test_a_newborn_named_later_keeps_the_golden_record(office: Office) -> None:
    born = citizen("H1", "CON BÀ PHẠM THU HÀ", "2025-03-04", sex="M")
    first = office.put(born)
    named = office.put(citizen("H1", "Trần Minh Khôi", "2025-03-04", sex="M", mother="Phạm Thu Hà"))
    assert (named.is_new_bearer, named.golden_id) == (False, first.golden_id)


def test_an_update_that_brings_a_veto_to_light_leaves_its_golden_record(office: Office) -> None:
    old = office.put(citizen("A", personal_id=ID)).golden_id
    assert office.put(citizen("B")).golden_id == old
    answer = office.put(citizen("B", personal_id=OTHER_ID))

    assert not answer.is_new_bearer
    assert answer.outcome is REVIEW
    assert answer.golden_id != old
    assert office.answer(old) == old
    assert office.questions() == {("A", "B"): MatchReason.VETO}
    assert (old, ChangeKind.LEFT) in [(change.golden_id, change.kind) for change in answer.changes]


def test_a_stewards_different_keeps_apart_what_every_value_joins(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", personal_id=ID)
    office.put(first)
    office.put(second)
    office.judge(first.key, second.key, Verdict.DIFFERENT)
    answer = office.put(citizen("B", personal_id=ID, phone="0987654321"))

    assert answer.golden_id == office.id_of(second) != office.id_of(first)
    assert office.questions() == {}, "a steward is not asked again"


def test_a_stewards_different_binds_for_the_whole_golden_record(office: Office) -> None:
    first, second = citizen("A"), citizen("B")
    office.put(first)
    office.put(citizen("C"))
    office.put(second, later=True)
    office.judge(first.key, second.key, Verdict.DIFFERENT)
    answer = office.put(second)

    assert (answer.outcome, answer.golden_id != office.id_of(first)) == (REVIEW, True)
    assert office.questions() == {("B", "C"): MatchReason.VETO}


def test_a_stewards_same_joins_what_no_value_joins_until_withdrawn(office: Office) -> None:
    first = citizen("A", personal_id=ID)
    second = citizen("B", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="", address="")
    old = office.put(first).golden_id
    young = office.put(second).golden_id
    office.judge(first.key, second.key, Verdict.SAME)
    again = citizen(
        "B", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="0987654321", address=""
    )
    answer = office.put(again)
    assert (answer.outcome, answer.golden_id) == (LINKED, old)
    assert office.answer(young) == old

    office.judge(first.key, second.key, None)
    parted = office.put(second)
    assert parted.golden_id != old, "two verified numbers part them once nobody vouches for them"


def test_a_judgement_lapses_with_its_bearer(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", registry="company", phone="", address="")
    office.put(first)
    office.put(second)
    office.judge(first.key, second.key, Verdict.SAME)
    answer = office.put(citizen("B", "Đặng Hoàng Long", "1969-10-20", registry="company", sex="M"))

    assert answer.is_new_bearer
    assert answer.golden_id != office.id_of(first)
    assert office.entry(second.key).judged == ()


def doubtful(record_id: str, personal_id: str = "") -> SourceRecord:
    return citizen(record_id, "Nguyễn Thị Thúy", personal_id=personal_id, phone="", address="")


def test_a_clerks_choice_tips_a_review_into_a_link(office: Office) -> None:
    first = office.put(doubtful("A")).golden_id
    assert first is not None
    answer = office.put(doubtful("B"), choice=ClerkChoice(first, (first,)))
    assert (answer.outcome, answer.golden_id) == (LINKED, first)
    assert office.questions() == {}


def test_a_clerks_choice_settles_which_of_two_it_is(office: Office) -> None:
    left = office.put(citizen("A", personal_id=ID)).golden_id
    right = office.put(citizen("B", personal_id=OTHER_ID)).golden_id
    assert left is not None
    assert right is not None
    assert office.put(citizen("C"), choice=ClerkChoice(right, (left, right))).golden_id == right


def test_a_clerks_choice_never_outweighs_a_veto(office: Office) -> None:
    first = office.put(doubtful("A", ID)).golden_id
    assert first is not None
    answer = office.put(doubtful("B", OTHER_ID), choice=ClerkChoice(first, (first,)))
    assert answer.golden_id != first


def test_a_clerks_choice_against_the_evidence_goes_to_a_steward_and_outlives_a_relinkage(office: Office) -> None:
    first = office.put(doubtful("A")).golden_id
    assert first is not None
    stranger = citizen("B", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    answer = office.put(stranger, choice=ClerkChoice(first, (first,)))
    assert (answer.outcome, answer.golden_id != first) == (REVIEW, True)
    asked = office.questions()
    assert len(asked) == 1
    assert office.relink_here().phase is Phase.COMMITTED
    assert office.questions() == asked


def test_none_of_those_shown_keeps_a_record_apart_until_a_steward_says_otherwise(office: Office) -> None:
    first = citizen("A")
    shown = office.put(first).golden_id
    assert shown is not None
    second = citizen("B")
    answer = office.put(second, choice=ClerkChoice(None, (shown,)))
    assert (answer.outcome, answer.golden_id != shown) == (REVIEW, True)

    office.judge(first.key, second.key, Verdict.SAME)
    assert office.put(citizen("B", phone="0987654321")).golden_id == shown


def test_a_deleted_record_that_comes_back_as_somebody_else_inherits_nothing(office: Office) -> None:
    first, second = citizen("A"), citizen("B")
    office.put(first)
    office.put(second)
    office.judge(first.key, second.key, Verdict.SAME)
    office.drop(second.key)
    back = office.put(citizen("B", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address=""))
    assert back.golden_id != office.id_of(first)


def test_an_old_number_beside_the_new_one_is_no_veto(office: Office) -> None:
    office.put(citizen("A", personal_id=ID))
    chained = citizen("B", personal_id=OTHER_ID)
    old_card = Identifier(IdentifierType.OLD_PERSONAL_ID, ID, Assurance.SIGHTED)
    attributes = msgspec.structs.replace(chained.attributes, identifiers=(*chained.attributes.identifiers, old_card))
    assert office.put(SourceRecord(chained.key, attributes)).outcome is LINKED


def test_a_deleted_record_that_comes_back_finds_its_golden_record_while_that_has_others(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B")
    old = office.put(first).golden_id
    office.put(second)
    office.drop(first.key)
    assert office.answer(old) == old == office.id_of(second), "the ID stays with those who remain"
    back = office.put(first)
    assert (back.outcome, back.golden_id) == (LINKED, old)


def test_a_deleted_record_that_comes_back_after_its_id_was_retired_gets_another_one(office: Office) -> None:
    alone = citizen("A", personal_id=ID)
    old = office.put(alone).golden_id
    number = office.number(alone.key)
    office.drop(alone.key)
    back = office.put(alone)
    assert back.outcome is CREATED
    assert back.golden_id not in {old, None}
    assert office.answer(old) is None
    assert office.number(alone.key) == number, "a deletion forgets no key; only an erasure does"


def test_what_was_judged_about_a_deleted_record_binds_when_it_comes_back(office: Office) -> None:
    first, second = citizen("A"), citizen("B")
    office.put(first)
    office.put(second)
    office.judge(first.key, second.key, Verdict.DIFFERENT)
    office.drop(second.key)
    assert office.put(second).golden_id != office.id_of(first)
