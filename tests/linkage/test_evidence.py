"""Vetoes and bands: what may link, what a steward must see, and what is nobody's business."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.domain.keys import EntityKind
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import PAIR_SAY_BITS_MAX, Assessment, assess, compatible, contradiction, standing_veto, veto
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer

HOA = CitizenFeatures(
    name="nguyen thi hoa",
    name_accented="nguyễn thị hoa",
    name_sorted="hoa nguyen thi",
    name_short="nguyen hoa",
    surname="nguyen",
    given="hoa",
    birth_date="1990-02-17",
    birth_year=1990,
    birth_month=2,
    sex="f",
)
RARE = msgspec.structs.replace(
    HOA,
    name="ton that bach",
    name_accented="tôn thất bách",
    name_sorted="bach that ton",
    name_short="ton bach",
    surname="ton",
    given="bach",
)
NEWBORN = CitizenFeatures(
    birth_date="2025-03-04",
    birth_year=2025,
    birth_month=3,
    sex="m",
    mother_name="nguyen thi hoa",
    is_newborn_alias=True,
)
CHILD = CitizenFeatures(
    name="tran minh anh",
    name_sorted="anh minh tran",
    name_short="tran anh",
    surname="tran",
    given="anh",
    birth_date="2025-03-04",
    birth_year=2025,
    birth_month=3,
    sex="m",
    mother_name="nguyen thi hoa",
)
ID, OTHER_ID, CMND = "079190000001", "079190000002", "023456789"
HOME: dict[str, Any] = {"premises": ("12|le loi",), "wards": ("26740",)}
AWAY: dict[str, Any] = {"premises": ("7|hai ba trung",), "wards": ("1",)}


def varied(features: Features, changes: dict[str, Any]) -> Any:
    return msgspec.structs.replace(features, **changes)


def written(name: str) -> dict[str, Any]:
    """The features of HOA's name in another spelling."""
    words = name.split()
    return {
        "name": name,
        "name_accented": None,
        "name_sorted": " ".join(sorted(words)),
        "name_short": f"{words[0]} {words[-1]}",
        "name_words": tuple(sorted(words)),
        "surname": words[0],
        "given": words[-1],
    }


def epoch_of(features: Features) -> StatisticsEpoch:
    """A city of 20,000 in which a hundredth bear the name of HOA."""
    strangers: list[Features] = [
        varied(features, {"name": HOA.name if number < 200 else f"ho {number // 2}"}) for number in range(20_000)
    ]
    return StatisticsEpoch.from_records(EntityKind.CITIZEN, strangers, 20_000)


CITIZEN_EPOCH = epoch_of(HOA)


def assessed(left: Features, right: Features) -> Assessment:
    model = Model.default(EntityKind.CITIZEN)
    levels, bits = compile_scorer(model, CITIZEN_EPOCH).score(left, [right])[0]
    return assess(EntityKind.CITIZEN, levels, left, right, bits, model, CITIZEN_EPOCH)


MOTHER_ID, OTHER_MOTHER_ID, FATHER_ID = "079199530001", "079301530003", "079095167676"


def named(name: str) -> dict[str, Any]:
    words = name.split()
    short = f"{words[0]} {words[-1]}"
    return {"name": name, "name_short": short, "given": words[-1], "name_words": tuple(sorted(words))}


VETOES: list[tuple[str, Features, dict[str, Any], dict[str, Any], str | None]] = [
    (
        "two cards that were sighted differ",
        HOA,
        {"verified_ids": (ID,), "personal_ids": (ID,)},
        {"verified_ids": (OTHER_ID,), "personal_ids": (OTHER_ID,)},
        "verified_ids_differ",
    ),
    (
        "a re-issued card: one record names both numbers",
        HOA,
        {"verified_ids": (ID,), "personal_ids": (ID,)},
        {"verified_ids": (OTHER_ID,), "personal_ids": (ID, OTHER_ID)},
        None,
    ),
    ("a number that nobody sighted founds no veto", HOA, {"verified_ids": (ID,)}, {"personal_ids": (OTHER_ID,)}, None),
    ("first and second twin", CHILD, {"birth_order": 1}, {"birth_order": 2}, "twin_order"),
    (
        "twin order counts only among those born together",
        CHILD,
        {"birth_order": 1},
        {"birth_order": 2, "birth_date": "2022-01-05"},
        None,
    ),
    ("one twin seen twice", CHILD, {"birth_order": 1}, {"birth_order": 1}, None),
    ("two mothers of one name", NEWBORN, {"relative_ids": (MOTHER_ID,)}, {"relative_ids": (OTHER_MOTHER_ID,)},
     "mothers_differ"),
    ("a newborn and another mother's child", CHILD,
     {"relative_ids": (MOTHER_ID,), "name": None, "is_newborn_alias": True}, {"relative_ids": (OTHER_MOTHER_ID,)},
     "mothers_differ"),
    ("a newborn's mother and father", NEWBORN, {"relative_ids": (MOTHER_ID,)}, {"relative_ids": (FATHER_ID,)}, None),
    ("one mother, and a father too", NEWBORN, {"relative_ids": (MOTHER_ID,)},
     {"relative_ids": (FATHER_ID, MOTHER_ID)}, None),
    ("twins by their names", CHILD, {}, named("tran quoc tam"), "named_apart"),
    ("twins whose names begin alike", CHILD, {}, named("tran minh tam"), "named_apart"),
    ("two names of one day, no mother stated", CHILD, {"mother_name": None},
     {"mother_name": None, **named("tran quoc tam")}, None),
    ("a child renamed, the number kept", CHILD, {"insurance_numbers": ("7995680179",)},
     {"insurance_numbers": ("7995680179",), **named("tran quoc tam")}, None),
    ("a letter off may be a slip", CHILD, {}, named("tran minh an"), None),
    ("a word that is no name is a slip", CHILD, {}, {**named("tran mibh ahh"), "is_misspelt": True}, None),
    ("words left off", varied(CHILD, named("tran minh anh")), {}, named("tran minh"), None),
    ("the surname last", varied(CHILD, {"name_rotated": ("minh anh tran",)}), {}, named("minh anh tran"), None),
]  # fmt: skip


def numbered(*numbers: str, **changes: Any) -> Features:
    return msgspec.structs.replace(HOA, verified_ids=numbers, personal_ids=numbers, **changes)


TWINS: list[Features] = [varied(CHILD, {"birth_order": order}) for order in (1, 2)]
OVERRULED: list[tuple[str, list[Features], Features, Features, bool]] = [
    ("either number of one bearer", [numbered(ID), numbered(OTHER_ID)], numbered(ID), numbered(OTHER_ID), True),
    ("the same the other way round", [numbered(ID), numbered(OTHER_ID)], numbered(OTHER_ID), numbered(ID), True),
    ("one of those judged", [numbered(ID), HOA, numbered(OTHER_ID)], numbered(ID), numbered(OTHER_ID), True),
    ("a third number", [numbered(ID), numbered(OTHER_ID)], numbered(ID), numbered("079190000003"), False),
    ("the judged one bears no number", [numbered(ID), HOA], numbered(ID), numbered(OTHER_ID), False),
    ("nobody judged", [], numbered(ID), numbered(OTHER_ID), False),
    ("called the same in spite of another veto", TWINS, numbered(ID), numbered(OTHER_ID), False),
    ("booked once as the first twin, once as the second", TWINS, TWINS[0], TWINS[1], True),
    ("other twins", TWINS, *[varied(each, {"birth_date": "2022-01-05"}) for each in TWINS], False),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "group", "left", "right", "is_overruled"), OVERRULED, ids=[c[0] for c in OVERRULED])
def test_a_veto_falls_with_the_one_that_stewards_overruled(
    reason: str, group: list[Features], left: Features, right: Features, *, is_overruled: bool
) -> None:
    assert veto(left, right) is not None
    assert (standing_veto(left, right, [group]) is None) is is_overruled, reason
    assert (contradiction([left], [right], [group]) is None) is is_overruled, reason


def test_a_pair_whose_veto_was_overruled_is_not_heard_against_it() -> None:
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), CITIZEN_EPOCH)
    one = numbered(ID)
    other = varied(RARE, {"verified_ids": (OTHER_ID,), "personal_ids": (OTHER_ID,), "birth_date": "1951-01-30"})
    assert not compatible([one, one, other], [other], scorer)
    assert compatible([one, one, other], [other], scorer, [[one, other]])


@pytest.mark.parametrize(("reason", "base", "left", "right", "expected"), VETOES, ids=[case[0] for case in VETOES])
def test_a_veto_needs_a_fact_that_forbids(
    reason: str, base: Features, left: dict[str, Any], right: dict[str, Any], expected: str | None
) -> None:
    assert veto(varied(base, left), varied(base, right)) == expected
    assert veto(varied(base, right), varied(base, left)) == expected


def test_a_citizen_is_never_a_business_even_under_one_number() -> None:
    owner = varied(HOA, {"personal_ids": (ID,), "verified_ids": (ID,)})
    firm = varied(BusinessFeatures(), {"tax_code": ID, "tax_codes": (ID,), "verified_tax_codes": (ID,)})
    assert veto(owner, firm) == "entity_kind"


@pytest.mark.parametrize("mother", [HOA, varied(HOA, {"birth_date": None, "birth_year": None})])
def test_a_mother_is_not_her_newborn(mother: CitizenFeatures) -> None:
    assert veto(mother, NEWBORN) == "mother_of_newborn"
    assert veto(NEWBORN, mother) == "mother_of_newborn"


def owned(personal_id: str, insurance_number: str = "") -> dict[str, Any]:
    """The features of the bearer's own numbers."""
    insurance = (insurance_number,) if insurance_number else ()
    return {"personal_id": personal_id, "personal_ids": (personal_id,), "insurance_numbers": insurance}


THIN = MatchReason.THIN_EVIDENCE
TWIN_HOME: dict[str, Any] = {**HOME, "phones": ("84937969625",), "phone": "84937969625"}
CARD: dict[str, Any] = {"insurance_numbers": ("7988874724",)}
NUMBER_WITHOUT_NAME = Assessment(Band.REVIEW, THIN, "number_without_name")
NUMBERS_DIFFER = Assessment(Band.REVIEW, THIN, "numbers_differ")
LINK, NONE = Assessment(Band.LINK), Assessment(Band.NONE)
BANDS: list[tuple[str, Features, dict[str, Any], dict[str, Any], Assessment]] = [
    ("ID, name and birth date agree", HOA, {"personal_ids": (ID,)}, {"personal_ids": (ID,)}, LINK),
    (
        "an ID under another name and birth date is a relative's: two such differences outweigh it",
        HOA,
        {"personal_ids": (ID,), **HOME},
        {"personal_ids": (ID,), **HOME, "name": "le van tam", "name_sorted": "le tam van", "name_short": "le tam",
         "given": "tam", "name_accented": None, "birth_date": "1962-11-30", "birth_year": 1962},
        NONE,
    ),
    (
        "an ID and a birth date under another name: a twin's card",
        HOA,
        {"personal_ids": (ID,), **HOME},
        {"personal_ids": (ID,), **HOME, "name": "nguyen thi lan", "name_sorted": "lan nguyen thi",
         "name_short": "nguyen lan", "given": "lan", "name_accented": None},
        Assessment(Band.REVIEW, THIN, "number_without_name"),
    ),
    ("a name borne by two hundred, and a birth date", HOA, {}, {},
     Assessment(Band.REVIEW, THIN, "name_and_birth_date_only")),
    ("the same with the home", HOA, HOME, HOME, LINK),
    ("a rare name and a birth date", RARE, {}, {}, LINK),
    ("a rare name and a birth date, but another home", RARE, HOME, AWAY,
     Assessment(Band.REVIEW, THIN, "name_and_birth_date_only")),
    ("two rows of the register of residents, apart", RARE, {"household": "household:1"},
     {"household": "household:2"}, NONE),
    ("two such rows that share more", HOA, {"household": "household:1", **HOME, "phones": ("849",), "phone": "849"},
     {"household": "household:2", **HOME, "phones": ("849",), "phone": "849"},
     Assessment(Band.REVIEW, THIN, "listed_twice")),
    ("a slip that no twin is called by", HOA, HOME, {**HOME, **written("nguyen thi hpa"), "is_misspelt": True}, LINK),
    ("a letter that another name differs by", HOA, HOME, {**HOME, **written("nguyen thi hoi")},
     Assessment(Band.REVIEW, THIN, "name")),
    ("a middle word left off", HOA, HOME, {**HOME, **written("nguyen hoa")}, LINK),
    ("initials for surname and middle", HOA, {**HOME, "name_abbreviated": ("n t hoa",)},
     {**HOME, **written("n t hoa"), "name_short": "n hoa"}, LINK),
    ("the surname in its northern form", varied(HOA, written("huynh hoa")), {**HOME, "name_regional": "huynh hoa"},
     {**HOME, **written("hoang hoa"), "name_regional": "huynh hoa"}, LINK),
    ("initials and a bare year: one contact is not enough", HOA, {**HOME, "name_abbreviated": ("n t hoa",)},
     {**HOME, **written("n t hoa"), "name_short": "n hoa", "birth_date": None},
     Assessment(Band.REVIEW, THIN, "name")),
    ("a middle word left off and a bare year", HOA, HOME, {**HOME, **written("nguyen hoa"), "birth_date": None}, LINK),
    ("a number, name and home, the year far off", RARE, {"personal_ids": (ID,), **HOME},
     {"personal_ids": (ID,), **HOME, "birth_date": "1987-02-19", "birth_year": 1987}, LINK),
    ("a garbled name beside a number and the birth date", HOA, {"personal_ids": (ID,), **HOME},
     {"personal_ids": (ID,), **HOME, **written("ngiyen thi hoaa"), "is_misspelt": True}, LINK),
    ("a card lent to the twin brother of almost her name", HOA, {**TWIN_HOME, **CARD},
     {**TWIN_HOME, **CARD, **written("nguyen thi hoan"), "given": "hoan", "sex": "m"}, NUMBER_WITHOUT_NAME),
    ("a card lent, a letter off, another personal ID", HOA, {**TWIN_HOME, **owned(ID, "7988874724")},
     {**TWIN_HOME, **owned("079190869753", "7988874724"), **written("nguyen thi hoan"), "given": "hoan"},
     NUMBER_WITHOUT_NAME),
    ("a letter off, nothing against it", HOA, {**TWIN_HOME, **CARD},
     {**TWIN_HOME, **CARD, **written("nguyen thi hoan"), "given": "hoan"}, LINK),
    ("twins of other middle words and one card", HOA, {**TWIN_HOME, **CARD},
     {**TWIN_HOME, **CARD, **written("nguyen bao hoa")}, NUMBER_WITHOUT_NAME),
    ("other middle words, but both numbers", HOA, owned(ID, "7912345671"),
     {**owned(ID, "7912345671"), **written("nguyen bao hoa")}, LINK),
    ("another surname, a number, a bare year and the home", HOA, {**HOME, **owned(ID)},
     {**HOME, **owned(ID), **written("tran ngoc hoa"), "birth_date": None}, LINK),
    ("another surname, a number and the birth date", HOA, {**HOME, **owned(ID)},
     {**HOME, **owned(ID), **written("tran ngoc hoa")}, LINK),
    ("a number mistyped into a namesake's of the same year, whose insurance number differs", HOA,
     {**HOME, **owned(ID, "7912345671")},
     {**HOME, **owned(ID, "7955555555"), "birth_date": "1990-11-05", "birth_month": 11},
     Assessment(Band.REVIEW, THIN, "number_without_birth_date")),
    ("marks of the middle word alone differ", HOA,
     {**HOME, "name_accented": "nguyen thi thũy hoa", "given_accented": "hoa"},
     {**HOME, "name_accented": "nguyen thi thuy hoa", "given_accented": "hoa"}, LINK),
    (
        "twins of one home: letters alike, marks not",
        HOA,
        {**HOME, "name_accented": "nguyễn thị hoa"},
        {**HOME, "name_accented": "nguyễn thị hòa"},
        Assessment(Band.REVIEW, THIN, "name"),
    ),
    (
        "siblings of one home",
        HOA,
        HOME,
        {**HOME, "name": "nguyen van nam", "name_sorted": "nam nguyen van", "name_short": "nguyen nam", "given": "nam",
         "birth_date": "1987-06-05", "birth_year": 1987, "sex": "m"},
        NONE,
    ),
    ("sighted cards differ", RARE, {"verified_ids": (ID,), "personal_ids": (ID,), **HOME},
     {"verified_ids": (OTHER_ID,), "personal_ids": (OTHER_ID,), **HOME},
     Assessment(Band.REVIEW, MatchReason.VETO, "verified_ids_differ")),
    ("twins of one phone and door: marks of the middle word, both numbers and a sighted card differ", HOA,
     {**TWIN_HOME, "name_accented": "nguyen thi thành", "given_accented": "hoa", **owned(ID, "7995680179"),
      "verified_ids": (ID,)},
     {**TWIN_HOME, "name_accented": "nguyen thi thanh", "given_accented": "hoa", **owned("079190869753", "7995680170")},
     NUMBERS_DIFFER),
    ("another card number against a household's phone and door", HOA, {**TWIN_HOME, **owned(ID)},
     {**TWIN_HOME, **owned("079190869753")}, NUMBERS_DIFFER),
    ("twins' cards are a digit apart, their insurance numbers differ", HOA, owned(ID, "7995680179"),
     owned(OTHER_ID, "7995680170"), NUMBERS_DIFFER),
    ("a boy and a girl whose insurance numbers differ", HOA, {**TWIN_HOME, "insurance_numbers": ("7995680179",)},
     {**TWIN_HOME, "insurance_numbers": ("7995680170",), "sex": "m"}, NUMBERS_DIFFER),
    ("two insurance numbers and no marks", varied(HOA, {"name_accented": None}),
     {**TWIN_HOME, "insurance_numbers": ("7995680179",)}, {**TWIN_HOME, "insurance_numbers": ("7995680170",)},
     NUMBERS_DIFFER),
    ("two insurance numbers and a bare year: workers of one dormitory", HOA,
     {**TWIN_HOME, "insurance_numbers": ("7960884007",), "birth_date": None},
     {**TWIN_HOME, "insurance_numbers": ("7960884999",), "birth_date": None}, NUMBERS_DIFFER),
    ("two insurance books of one bearer", HOA, {**TWIN_HOME, "insurance_numbers": ("7995680179",)},
     {**TWIN_HOME, "insurance_numbers": ("7995680170",)}, LINK),
    ("a digit of the number slipped", HOA, owned(ID), owned(OTHER_ID), LINK),
    ("a digit of the number slipped, or it is the twin's: marks are missing", varied(HOA, {"name_accented": None}),
     {**HOME, **owned(ID)}, {**HOME, **owned(OTHER_ID)}, NUMBERS_DIFFER),
    ("an old card beside a new one is no conflict", HOA, {"personal_id": ID, "personal_ids": (ID,), **HOME},
     {"personal_ids": (CMND,), **HOME}, LINK),
    ("a newborn seen twice", NEWBORN, {}, {}, LINK),
    ("only one of two newborns is said to be a twin", NEWBORN, {"birth_order": 2}, {},
     Assessment(Band.REVIEW, THIN, "twin_order")),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "base", "left", "right", "expected"), BANDS, ids=[case[0] for case in BANDS])
def test_a_pair_falls_into_the_band_that_its_evidence_carries(
    reason: str, base: Features, left: dict[str, Any], right: dict[str, Any], expected: Assessment
) -> None:
    assert assessed(varied(base, left), varied(base, right)) == expected


def test_a_newborn_is_the_child_that_was_named_later() -> None:
    assert assessed(varied(NEWBORN, HOME), varied(CHILD, HOME)).band is Band.LINK
    assert assessed(varied(NEWBORN, {**HOME, "sex": "f"}), varied(CHILD, HOME)).detail == "sex"


def test_two_mothers_of_one_name_are_a_question_and_twins_by_name_are_none() -> None:
    one, other = varied(NEWBORN, {"relative_ids": (MOTHER_ID,)}), varied(NEWBORN, {"relative_ids": (OTHER_MOTHER_ID,)})
    assert assessed(one, other) == Assessment(Band.REVIEW, MatchReason.VETO, "mothers_differ")
    child = varied(CHILD, {"relative_ids": (OTHER_MOTHER_ID,)})
    assert assessed(one, child) == Assessment(Band.REVIEW, MatchReason.VETO, "mothers_differ")
    assert assessed(varied(CHILD, TWIN_HOME), varied(CHILD, {**TWIN_HOME, **named("tran minh tam")})) == NONE


def test_a_number_a_given_name_and_a_bare_year_are_a_question_where_few_live() -> None:
    epoch, model = CITIZEN_EPOCH.with_population(2_000), Model.default(EntityKind.CITIZEN)
    one = varied(HOA, owned(ID))
    other = varied(HOA, {**owned(ID), **written("tran ngoc hoa"), "birth_date": None})
    levels, bits = compile_scorer(model, epoch).score(one, [other])[0]
    assert assess(EntityKind.CITIZEN, levels, one, other, bits, model, epoch) == NUMBER_WITHOUT_NAME


def test_a_newborn_without_a_name_closes_up_no_twins() -> None:
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), CITIZEN_EPOCH)
    alias, one, other = (varied(each, TWIN_HOME) for each in (NEWBORN, CHILD, varied(CHILD, named("tran quoc tam"))))
    assert compatible([alias], [one], scorer)
    assert compatible([alias], [other], scorer)
    assert not compatible([one], [other], scorer)
    assert contradiction([other], [alias, one]) == "named_apart"


def test_golden_records_are_incompatible_when_any_two_members_are() -> None:
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), CITIZEN_EPOCH)
    one = varied(HOA, {"verified_ids": (ID,), "personal_ids": (ID,), **HOME})
    other = varied(HOA, {"verified_ids": (OTHER_ID,), "personal_ids": (OTHER_ID,), **HOME})
    between = varied(HOA, HOME)
    assert compatible([one], [between], scorer)
    assert not compatible([one, between], [between, other], scorer)


def test_golden_records_are_incompatible_when_nothing_speaks_for_them() -> None:
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), CITIZEN_EPOCH)
    assert not compatible([HOA], [RARE], scorer)


def test_golden_records_may_differ_as_far_as_the_model_lets_them() -> None:
    model = Model.default(EntityKind.CITIZEN)
    undated = varied(HOA, {"birth_date": None, "birth_year": None, "birth_month": None})
    (pair,) = compile_scorer(model, CITIZEN_EPOCH).score(HOA, [undated])
    assert -PAIR_SAY_BITS_MAX < pair.match_weight_bits < 0.0, "a common name alone"

    def are_compatible(joint_bits_min: float, one: Features, *others: Features) -> bool:
        thresholds = msgspec.structs.replace(model.thresholds, joint_bits_min=joint_bits_min)
        scorer = compile_scorer(msgspec.structs.replace(model, thresholds=thresholds), CITIZEN_EPOCH)
        return compatible([one], others, scorer)

    assert not are_compatible(0.0, HOA, undated)
    assert are_compatible(pair.match_weight_bits - 0.01, HOA, undated)
    assert not are_compatible(pair.match_weight_bits + 0.01, HOA, undated)
    assert not are_compatible(pair.match_weight_bits - 0.01, HOA, undated, RARE), "a stranger lowers the mean"
    verified = varied(HOA, {"verified_ids": (ID,), "personal_ids": (ID,)})
    other = varied(HOA, {"verified_ids": (OTHER_ID,), "personal_ids": (OTHER_ID,)})
    assert not are_compatible(-100.0, verified, other), "a veto stands whatever the mean"


def test_a_chain_of_numbers_each_one_digit_off_is_not_one_person() -> None:
    people = [CitizenFeatures(name="nguyen van an", personal_id=f"07908000000{digit}") for digit in range(4)]
    assert contradiction(people[:2], people[2:3]) is None
    assert contradiction(people[:2], people[2:]) == "too_many_numbers"


def test_a_name_and_a_birth_date_link_where_the_register_of_residents_would_know_another_bearer() -> None:
    residents = [
        varied(HOA, {"name": HOA.name if number < 4 else f"ho {number // 2}", "household": f"household:{number}"})
        for number in range(19_400)
    ]
    epoch = StatisticsEpoch.from_records(EntityKind.CITIZEN, residents, 20_000)
    model = Model.default(EntityKind.CITIZEN)

    def judged(left: dict[str, Any], right: dict[str, Any]) -> Assessment:
        one, other = varied(HOA, left), varied(HOA, right)
        levels, bits = compile_scorer(model, epoch).score(one, [other])[0]
        return assess(EntityKind.CITIZEN, levels, one, other, bits, model, epoch)

    listed = {"household": "household:1"}
    assert judged({**listed, **HOME}, AWAY).is_sole
    assert judged(HOME, AWAY).is_sole
    assert not judged({**listed, **HOME}, {**listed, **AWAY}).is_sole, "the register lists each once"
    assert not judged({**listed, "personal_id": ID}, {"personal_id": OTHER_ID}).is_sole
    large = epoch.with_population(14_000_000)
    levels, bits = compile_scorer(model, large).score(varied(RARE, HOME), [varied(RARE, AWAY)])[0]
    judged_large = assess(EntityKind.CITIZEN, levels, varied(RARE, HOME), varied(RARE, AWAY), bits, model, large)
    assert not judged_large.is_sole, "a register that lists a thousandth of the city proves nothing"
