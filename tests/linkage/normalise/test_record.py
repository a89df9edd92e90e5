"""Whole records become evidence; bad values become issues; nothing raises."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.limits import ADDRESS_CHARACTERS_MAX, NAME_CHARACTERS_MAX, RECORD_VALUES_MAX
from mdm.linkage.features import NO_NUMBERS, BusinessFeatures, CitizenFeatures, FieldIssue
from mdm.linkage.normalise.record import normalise, value_issues

HOA_ID = "079185001234"
"""Female, born 1985."""
BABY_ID = "079324001234"
"""Female, born 2024."""

CONTRADICTS = FieldIssue("personal_id", "contradicts the stated birth year or sex")
RELATIVES = FieldIssue("personal_id", "is a relative's number")


def own(value: str, assurance: Assurance = Assurance.STATED) -> tuple[Identifier, ...]:
    return (Identifier(IdentifierType.PERSONAL_ID, value, assurance),)


def citizen(
    *, registry: str = "hospital", updated_at: str = "2026-01-01", **values: Any
) -> tuple[CitizenFeatures, tuple[FieldIssue, ...]]:
    key = SourceKey(registry, EntityKind.CITIZEN, "r1")
    result = normalise(SourceRecord(key, CitizenAttributes(**values), updated_at))
    assert isinstance(result.features, CitizenFeatures)
    return result.features, result.issues


def business(**values: Any) -> tuple[BusinessFeatures, tuple[FieldIssue, ...]]:
    key = SourceKey("company", EntityKind.BUSINESS, "r1")
    result = normalise(SourceRecord(key, BusinessAttributes(**values)))
    assert isinstance(result.features, BusinessFeatures)
    return result.features, result.issues


def test_a_full_record_becomes_evidence() -> None:
    features, issues = citizen(
        registry="household",
        full_name="NGUYỄN THỊ HOÀ",
        other_name="Nguyễn Thị Bông; Hoà",
        birth_date="12/03/1985",
        sex="Nữ",
        nationality="Việt Nam",
        identifiers=(
            Identifier(IdentifierType.PERSONAL_ID, HOA_ID, Assurance.SIGHTED),
            Identifier(IdentifierType.OLD_PERSONAL_ID, "023456789"),
            Identifier(IdentifierType.PASSPORT, "b 1234567"),
            Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, "7912345678"),
            Identifier(IdentifierType.HEALTH_CARD, "GD4797912345678"),
        ),
        phones=("0912345678", "0900000000"),
        addresses=(
            Address(AddressKind.PERMANENT, "45 Đường số 7, phường Tân Phú, quận 7"),
            Address(AddressKind.CURRENT, "12 Lê Lợi, Bến Thành, Quận 1", "26740"),
        ),
        relations=(
            Relation(RelationType.HOUSEHOLD, "Nguyễn Văn An", role="vợ", group_id="H-1"),
            Relation(RelationType.MOTHER, "Trần Thị Lan", identifiers=own("079160000001")),
            Relation(RelationType.FATHER, "Nguyễn Văn Ba"),
            Relation(RelationType.EMPLOYER, record_id="E-9"),
        ),
    )
    assert issues == (FieldIssue("phone", "is no telephone number, or a filler"),)
    assert features == CitizenFeatures(
        name="nguyen thi hoa",
        name_accented="nguyen thi hòa",
        name_sorted="hoa nguyen thi",
        name_short="nguyen hoa",
        surname="nguyen",
        given="hoa",
        name_phonetic="nguien thi wa",
        other_names=("hoa", "nguyen thi bong"),
        birth_date="1985-03-12",
        birth_date_swapped="1985-12-03",
        birth_year=1985,
        birth_month=3,
        sex="f",
        personal_id=HOA_ID,
        personal_ids=("023456789", HOA_ID, "vn:B1234567"),
        verified_ids=(HOA_ID,),
        insurance_numbers=("7912345678",),
        phones=("84912345678",),
        wards=features.wards,
        streets=("duong so 7", "le loi"),
        premises=("12|le loi", "45|duong so 7"),
        mother_name="tran thi lan",
        relative_names=("nguyen van an", "nguyen van ba", "tran thi lan"),
        relative_ids=("079160000001",),
        household="household:H-1",
        employer="household:E-9",
        birth_date_exact="1985-03-12",
        name_regional="nguyen thi hoa",
        given_accented="hòa",
        name_rotated=("hoa nguyen thi", "hoa thi nguyen", "thi hoa nguyen"),
        name_words=("hoa", "nguyen", "thi"),
        name_abbreviated=("n t hoa", "nguyen t hoa"),
        phone="84912345678",
    )
    assert "27487" in features.wards


def test_a_newborn_carries_the_mother_and_not_a_name() -> None:
    features, issues = citizen(
        full_name="CON BÀ NGUYỄN THỊ HOA",
        birth_date="202401020304",
        sex="2",
        birth_order="2/2",
        identifiers=own(HOA_ID),
        relations=(Relation(RelationType.GUARDIAN, "Lê Văn Tám", role="cha", phone="0912345678"),),
    )
    assert features.is_newborn_alias
    assert (features.name, features.surname, features.name_phonetic) == (None, None, None)
    assert features.mother_name == "nguyen thi hoa"
    assert features.relative_names == ("le van tam", "nguyen thi hoa")
    assert features.birth_order == 2
    assert features.phones == ("84912345678",)
    assert (features.personal_ids, features.relative_ids) == ((), (HOA_ID,))
    assert issues == (CONTRADICTS,)


@pytest.mark.parametrize(
    ("role", "mother"), [("mẹ", "tran thi lan"), ("Mother", "tran thi lan"), ("me", "tran thi lan"), ("bà", None)]
)
def test_a_guardian_is_the_mother_only_when_the_role_says_so(role: str, mother: str | None) -> None:
    features, _ = citizen(relations=(Relation(RelationType.GUARDIAN, "Trần Thị Lan", role=role),))
    assert features.mother_name == mother
    assert features.relative_names == ("tran thi lan",)


def test_a_stated_mother_outranks_guardian_and_alias() -> None:
    features, _ = citizen(
        full_name="CON BÀ LÊ THỊ MỘT",
        relations=(
            Relation(RelationType.GUARDIAN, "Lê Thị Hai", role="mẹ"),
            Relation(RelationType.MOTHER, "Lê Thị Ba"),
        ),
    )
    assert features.mother_name == "le thi ba"


def test_a_household_head_is_no_relative_of_himself() -> None:
    head = Relation(RelationType.HOUSEHOLD, "NGUYEN VAN AN", group_id="H1")
    assert citizen(full_name="Nguyễn Văn An", relations=(head,))[0].relative_names == ()
    assert citizen(full_name="Nguyễn Thị Hoa", relations=(head,))[0].relative_names == ("nguyen van an",)


WHOSE = [
    # birth date, sex, identifier, guardian's number, personal_id, personal_ids, verified_ids, relative_ids, issues
    ("1985", "F", own(HOA_ID, Assurance.SIGHTED), "", HOA_ID, (HOA_ID,), (HOA_ID,), (), (), "sighted and consistent"),
    ("1985", "F", own(HOA_ID, Assurance.CHIP_READ), "", HOA_ID, (HOA_ID,), (HOA_ID,), (), (), "chip-read"),
    ("1985", "F", own(HOA_ID), "", HOA_ID, (HOA_ID,), (), (), (), "stated only: no veto"),
    ("", "", own(HOA_ID), "", HOA_ID, (HOA_ID,), (), (), (), "nothing contradicts it"),
    ("1985", "F", own("79185001234"), "", HOA_ID, (HOA_ID,), (), (), (), "lost zero"),
    ("1985", "M", own(HOA_ID, Assurance.SIGHTED), "", None, (HOA_ID,), (), (), (CONTRADICTS,), "one slip: no proof"),
    ("1984", "M", own(HOA_ID, Assurance.SIGHTED), "", None, (), (), (), (CONTRADICTS,), "a spouse's"),
    ("2020", "M", own(HOA_ID), "", None, (), (), (HOA_ID,), (CONTRADICTS,), "a child's record holds a parent's"),
    ("2020", "F", own(HOA_ID), HOA_ID, None, (), (), (HOA_ID,), (RELATIVES,), "it is the guardian's"),
    ("2020", "F", own(HOA_ID, Assurance.GUARDIAN), "", None, (), (), (HOA_ID,), (), "said to be the guardian's"),
    ("2024", "F", own(BABY_ID), HOA_ID, BABY_ID, (BABY_ID,), (), (HOA_ID,), (), "a child with a number of its own"),
    (
        "1985",
        "F",
        own("023456789", Assurance.SIGHTED),
        "",
        None,
        ("023456789",),
        (),
        (),
        (),
        "a CMND is never verified",
    ),
]


@pytest.mark.parametrize(
    ("born", "sex", "claims", "guardian", "main", "numbers", "verified", "relatives", "issues", "reason"),
    WHOSE,
    ids=[case[-1] for case in WHOSE],
)
def test_a_number_is_given_to_whom_it_belongs(  # noqa: PLR0917 the columns of the table
    born: str,
    sex: str,
    claims: tuple[Identifier, ...],
    guardian: str,
    main: str | None,
    numbers: tuple[str, ...],
    verified: tuple[str, ...],
    relatives: tuple[str, ...],
    issues: tuple[FieldIssue, ...],
    reason: str,
) -> None:
    relations = (Relation(RelationType.GUARDIAN, "X Y", identifiers=own(guardian)),) if guardian else ()
    features, found = citizen(birth_date=born, sex=sex, identifiers=claims, relations=relations)
    assert (features.personal_id, features.personal_ids, features.verified_ids, features.relative_ids) == (
        main,
        numbers,
        verified,
        relatives,
    ), reason
    assert found == issues


def test_a_child_is_one_by_the_date_of_the_record_not_of_today() -> None:
    claims: dict[str, Any] = {"birth_date": "2005", "sex": "M", "identifiers": own(HOA_ID)}
    assert citizen(updated_at="2010-05-05", **claims)[0].relative_ids == (HOA_ID,)
    assert citizen(updated_at="2026-05-05", **claims)[0].relative_ids == ()
    assert citizen(updated_at="", **claims)[0].relative_ids == (), "nobody's age is known without a date"


def test_twelve_digits_in_the_insurance_field_are_a_stated_personal_id() -> None:
    number = Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, HOA_ID, Assurance.SIGHTED)
    features, issues = citizen(birth_date="1985", sex="F", identifiers=(number,))
    assert (features.personal_id, features.verified_ids, features.insurance_numbers) == (HOA_ID, (), ())
    assert issues == ()


SEXES = [
    ("M", "m"),
    ("F", "f"),
    ("1", "m"),
    ("2", "f"),
    ("nam", "m"),
    ("Nữ", "f"),
    ("U", None),
    ("3", None),
    ("", None),
]


@pytest.mark.parametrize(("written", "sex"), SEXES)
def test_sex_is_read_in_every_coding(written: str, sex: str | None) -> None:
    features, issues = citizen(sex=written)
    assert (features.sex, issues) == (sex, ())


ORDERS = [("1/2", 1, False), ("2/2", 2, False), ("1/1", None, False), ("3/2", None, True), ("hai", None, True)]


@pytest.mark.parametrize(("written", "order", "has_issue"), ORDERS)
def test_birth_order_counts_only_among_twins(written: str, order: int | None, *, has_issue: bool) -> None:
    features, issues = citizen(birth_order=written)
    assert (features.birth_order, bool(issues)) == (order, has_issue)


BAD_VALUES: list[tuple[dict[str, Any], FieldIssue]] = [
    ({"birth_date": "31/02/2001"}, FieldIssue("birth_date", "is not a possible date")),
    ({"died_on": "soon"}, FieldIssue("died_on", "is not a possible date")),
    ({"sex": "x"}, FieldIssue("sex", "is none of M, F, U, 1, 2, 3")),
    ({"full_name": "123"}, FieldIssue("full_name", "holds no letters")),
    ({"full_name": "VÔ DANH"}, FieldIssue("full_name", "says that the name is unknown")),
    ({"full_name": "an" * 129}, FieldIssue("full_name", f"is longer than {NAME_CHARACTERS_MAX} characters: cut")),
    ({"identifiers": own("12")}, FieldIssue("personal_id", "is no personal ID, CMND or passport")),
    ({"phones": ("113",)}, FieldIssue("phone", "is no telephone number, or a filler")),
    (
        {"addresses": (Address(AddressKind.CONTACT, "a" * (ADDRESS_CHARACTERS_MAX + 1)),)},
        FieldIssue("address", f"is longer than {ADDRESS_CHARACTERS_MAX} characters: cut"),
    ),
    (
        {"addresses": (Address(AddressKind.CONTACT, "", "Q5"),)},
        FieldIssue("ward_code", "is not an official unit code of 5 digits"),
    ),
    (
        {"addresses": (Address(AddressKind.CONTACT, "", "99999"),)},
        FieldIssue("ward_code", "is beyond the country's ward codes"),
    ),
    (
        {"phones": ("0912345678",) * (RECORD_VALUES_MAX + 1)},
        FieldIssue("phone", f"has more than {RECORD_VALUES_MAX} values: cut"),
    ),
]


@pytest.mark.parametrize(
    ("values", "issue"), BAD_VALUES, ids=[case[1].field + " " + case[1].rule for case in BAD_VALUES]
)
def test_a_bad_value_is_an_issue_and_never_costs_the_record(values: dict[str, Any], issue: FieldIssue) -> None:
    assert citizen(**values)[1] == (issue,)


def test_a_value_of_exactly_the_limit_is_kept() -> None:
    features, issues = citizen(full_name="a" * NAME_CHARACTERS_MAX, phones=("0912345678",) * RECORD_VALUES_MAX)
    assert (features.name, issues) == ("a" * NAME_CHARACTERS_MAX, ())


def test_a_company_becomes_evidence() -> None:
    features, issues = business(
        legal_name="CÔNG TY TNHH MTV TM DV AN PHÁT",
        short_name="An Phát Trading",
        form="company",
        established_on="2003-05-11",
        identifiers=(Identifier(IdentifierType.TAX_CODE, "0312687878", Assurance.SIGHTED),),
        phones=("(08) 3822 1234",),
        addresses=(Address(AddressKind.HEAD_OFFICE, "12 Lê Lợi, Phường Sài Gòn"),),
        relations=(Relation(RelationType.LEGAL_REPRESENTATIVE, "Ông Lê Văn Tám", identifiers=own("079085001234")),),
    )
    assert issues == ()
    assert {"an", "phat", "tm", "dv", "dich", "tmdv"} <= set(features.name_cover)
    assert msgspec.structs.replace(features, name_cover=()) == BusinessFeatures(
        name="thuong mai dich vu an phat",
        name_full="cong ty tnhh mtv tm dv an phat",
        name_sorted="dich mai thuong vu an phat",
        name_distinct="an phat",
        other_names=("an phat thuong mai",),
        form="company",
        legal_form="llc_single",
        tax_code="0312687878",
        tax_codes=("0312687878",),
        verified_tax_codes=("0312687878",),
        tax_group="0312687878",
        phones=("842838221234",),
        wards=("26740",),
        streets=("le loi",),
        premises=("12|le loi",),
        representative_name="le van tam",
        representative_ids=("079085001234",),
        established_on="2003-05-11",
        names=("dich mai thuong vu an phat", "mai thuong an phat"),
        name_numbers=NO_NUMBERS,
        name_distinct_words=("an", "phat"),
        name_words=("an", "dv", "phat", "tm"),
        name_initials="tmdvap",
        phone="842838221234",
        seat="12|le loi",
    )


def test_a_branch_shares_its_parents_group() -> None:
    code = Identifier(IdentifierType.TAX_CODE, "0312687878-001")
    features, _ = business(legal_name="Chi nhánh Công ty TNHH An Phát", form="branch", identifiers=(code,))
    assert (features.form, features.legal_form) == ("branch", "branch")
    assert (features.tax_code, features.tax_group, features.verified_tax_codes) == ("0312687878-001", "0312687878", ())


def test_a_household_business_is_known_by_its_owners_number() -> None:
    codes = tuple(Identifier(IdentifierType.TAX_CODE, code, Assurance.SIGHTED) for code in (HOA_ID, "8373006129"))
    owner = Relation(RelationType.OWNER, "Nguyễn Thị Hoa", identifiers=own("023456789"))
    features, issues = business(legal_name="HKD Hoa Mai", identifiers=codes, relations=(owner,))
    assert issues == ()
    assert (features.form, features.legal_form, features.tax_group) == ("household_business", "household", None)
    assert features.tax_codes == (HOA_ID, "8373006129")
    assert features.representative_ids == ("023456789", HOA_ID)
    assert features.representative_name == "nguyen thi hoa"


def test_a_tax_code_that_fails_its_check_is_no_evidence() -> None:
    features, issues = business(legal_name="X", identifiers=(Identifier(IdentifierType.TAX_CODE, "0312687879"),))
    assert (features.tax_code, features.tax_codes) == (None, ())
    assert issues == (FieldIssue("tax_code", "is no valid tax code"),)


NASTY = st.one_of(
    st.text(alphabet=st.characters(), max_size=40),
    st.sampled_from(
        [
            "",
            "\0",
            "\ud800",
            "\u202eNguyễn\u202c",
            "CON BÀ ",
            "x" * 10_000,
            unicodedata.normalize("NFD", "ễ") * 3_000,
            "\u0301" * 500,
            "1" * 5_000,
            "٠١٢٣٤٥٦٧٨٩",
            "²³¹",
            "0912345678/0912345679",
            "P.5, Q.5",
            HOA_ID,
            "1/2",
            "(((((",
        ]
    ),
    st.from_regex(r"[0-9/\-. ;]{0,20}", fullmatch=True),
)
IDENTIFIERS = st.lists(
    st.builds(Identifier, st.sampled_from(IdentifierType), NASTY, st.sampled_from(Assurance)), max_size=3
).map(tuple)
PHONES = st.lists(NASTY, max_size=2).map(tuple)
ADDRESSES = st.lists(st.builds(Address, st.sampled_from(AddressKind), NASTY, NASTY), max_size=2).map(tuple)
RELATIONS = st.lists(
    st.builds(Relation, st.sampled_from(RelationType), NASTY, NASTY, NASTY, NASTY, NASTY, IDENTIFIERS), max_size=3
).map(tuple)
COMMON = {"identifiers": IDENTIFIERS, "phones": PHONES, "addresses": ADDRESSES, "relations": RELATIONS}
CITIZENS = st.builds(
    CitizenAttributes,
    **{name: NASTY for name in CitizenAttributes.__struct_fields__ if name not in COMMON},
    **COMMON,
)
BUSINESSES = st.builds(
    BusinessAttributes,
    **{name: NASTY for name in BusinessAttributes.__struct_fields__ if name not in {*COMMON, "former_names"}},
    **COMMON,
    former_names=PHONES,
)


@pytest.mark.parametrize("birth_date", ["2026-01-02", "02/2026", "2027"])
def test_nobody_is_born_after_the_record_was_updated(birth_date: str) -> None:
    features, issues = citizen(full_name="Nguyễn Thị Hoà", birth_date=birth_date, updated_at="2026-01-01T10:00:00")
    assert issues == (FieldIssue("birth_date", "lies after the record was updated"),)
    assert (features.birth_date, features.birth_year, features.birth_month) == (None, None, None)
    assert features.is_filler_birth_date is False


@pytest.mark.parametrize(
    ("birth_date", "updated_at"), [("2026-01-01", "20260101"), ("2026", "2026-01-01"), ("2027", "")]
)
def test_a_birth_up_to_the_update_or_without_one_is_evidence(birth_date: str, updated_at: str) -> None:
    features, issues = citizen(birth_date=birth_date, updated_at=updated_at)
    assert issues == ()
    assert features.birth_year == int(birth_date[:4])


HAS_NOT_HAPPENED = [
    ("", {"birth_date": "2090-01-02"}, FieldIssue("birth_date", "lies in the future")),
    ("", {"birth_date": "2041"}, FieldIssue("birth_date", "lies in the future")),
    ("2042-01-01", {"birth_date": "2041"}, None),
    ("", {"died_on": "2090"}, FieldIssue("died_on", "lies in the future")),
    ("2026-01-01", {"died_on": "2026-01-02"}, FieldIssue("died_on", "lies after the record was updated")),
    ("", {"birth_date": "05/1990", "died_on": "1990-04-30"}, FieldIssue("died_on", "lies before the birth date")),
    ("", {"birth_date": "1990-05-01", "died_on": "1989"}, FieldIssue("died_on", "lies before the birth date")),
    ("", {"birth_date": "1990-05-01", "died_on": "05/1990"}, None),
    ("", {"birth_date": "1990-05-01", "died_on": "1990-05-01"}, None),
]


@pytest.mark.parametrize(("updated_at", "values", "issue"), HAS_NOT_HAPPENED)
def test_what_cannot_have_happened_is_an_issue(
    updated_at: str, values: dict[str, str], issue: FieldIssue | None
) -> None:
    features, issues = citizen(updated_at=updated_at, **values)
    assert issues == ((issue,) if issue else ())
    is_evidence = "birth_date" in values and FieldIssue("birth_date", "lies in the future") not in issues
    assert (features.birth_year is not None) is is_evidence


@pytest.mark.parametrize(
    ("updated_at", "rule"), [("", "lies in the future"), ("2026-01-01", "lies after the record was updated")]
)
def test_no_firm_is_established_after_its_record(updated_at: str, rule: str) -> None:
    key = SourceKey("company", EntityKind.BUSINESS, "r1")
    found = normalise(SourceRecord(key, BusinessAttributes(established_on="2099-01-01"), updated_at))
    assert found.issues == (FieldIssue("established_on", rule),)
    assert found.features == BusinessFeatures()


@pytest.mark.parametrize("updated_at", ["last week", "2025-02-30", "9999-12-31"])
def test_a_time_of_change_that_is_none_is_an_issue_and_nothing_else(updated_at: str) -> None:
    unstated, _ = citizen(birth_date="2027-01-01", updated_at="")
    features, issues = citizen(birth_date="2027-01-01", updated_at=updated_at)
    assert issues == (FieldIssue("updated_at", "is not a time"),)
    assert features == unstated
    key = SourceKey("company", EntityKind.BUSINESS, "r1")
    assert normalise(SourceRecord(key, BusinessAttributes(), updated_at)).issues == issues


@given(st.one_of(CITIZENS, BUSINESSES), NASTY)
def test_no_text_makes_it_fail_and_features_can_be_stored(
    attributes: CitizenAttributes | BusinessAttributes, updated_at: str
) -> None:
    kind = EntityKind.CITIZEN if isinstance(attributes, CitizenAttributes) else EntityKind.BUSINESS
    record = SourceRecord(SourceKey("hospital", kind, "r1"), attributes, updated_at)
    result = normalise(record)
    assert normalise(record) == result
    assert value_issues(record) == result.issues
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(result.features)) is not None
    for name in result.features.__struct_fields__:
        value = getattr(result.features, name)
        if isinstance(value, tuple):
            assert list(value) == sorted(set(value)), f"{name} is sorted and free of duplicates"
        assert value != "", f"{name} is None when there is nothing"
