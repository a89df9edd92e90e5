"""Firms: what may link, what a steward must see, and what is nobody's business, from raw values on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.linkage.businesses import SHARERS_FREE_MAX
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import Assessment, assess, veto
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.model import Model
from mdm.linkage.normalise.record import normalise
from mdm.linkage.scorer import Scorer, compile_scorer

KIND = EntityKind.BUSINESS
CODE, OTHER_CODE, BRANCH_1, BRANCH_2 = "0301464830", "0304132047", "0301464830-001", "0301464830-002"
OLD_HOUSEHOLD_CODE, OWNER_ID, OTHER_OWNER_ID = "8012345676", "079190000001", "079185000007"
DOOR, OTHER_DOOR = "12 Lê Lợi, Phường Bến Nghé, Quận 1, TP.HCM", "7 Hai Bà Trưng, Phường Tân Định, Quận 1, TP.HCM"
NEXT_DOOR, OTHER_WARD = "14 Lê Lợi, Phường Bến Nghé, Quận 1, TP.HCM", "12 Phan Văn Trị, Phường 5, Quận Gò Vấp, TP.HCM"
TOWER = "72 Lê Thánh Tôn, Phường Bến Nghé, Quận 1, TP.HCM"
PHONE, ACCOUNTANT = "02838291234", "0903123456"
BOSS = "Trần Quốc Bảo"


def firm(name: str, **said: Any) -> BusinessFeatures:
    """Return the features of a record: code, its assurance, form, address, phone, boss and the boss's number."""
    assurance = Assurance.SIGHTED if said.get("is_sighted") else Assurance.STATED
    identifiers = tuple(Identifier(IdentifierType.TAX_CODE, code, assurance) for code in said.get("codes", ()))
    boss_ids = (Identifier(IdentifierType.PERSONAL_ID, said["boss_id"]),) if "boss_id" in said else ()
    relation = RelationType.LEGAL_REPRESENTATIVE
    features = normalise(
        SourceRecord(
            SourceKey("company", KIND, "1"),
            BusinessAttributes(
                legal_name=name,
                short_name=said.get("short_name", ""),
                form=said.get("form", ""),
                identifiers=identifiers,
                phones=(said["phone"],) if "phone" in said else (),
                addresses=(Address(AddressKind.HEAD_OFFICE, said["at"]),) if "at" in said else (),
                relations=(Relation(relation, said["boss"], identifiers=boss_ids),) if "boss" in said else (),
            ),
        )
    ).features
    assert isinstance(features, BusinessFeatures)
    return features


def city_epoch() -> StatisticsEpoch:
    """10,000 firms: one name borne by 100, one tower with a tenth of all, one accountant with as many."""
    shared = firm("Hộ kinh doanh Hoa Mai", at=TOWER, phone=ACCOUNTANT)
    others = [
        BusinessFeatures(
            name=f"cong {number}" if number >= 100 else shared.name,
            name_distinct=f"cong {number}" if number >= 100 else shared.name_distinct,
            seat=shared.seat if number % 10 == 0 else f"{number}|le loi",
            phone=shared.phone if number % 10 == 0 else f"84{number:09}",
            representative_name=f"tran van {number % 5000}",
        )
        for number in range(10_000)
    ]
    return StatisticsEpoch.from_records(KIND, others, 10_000)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return compile_scorer(Model.default(KIND), city_epoch())


def assessed(scorer: Scorer, left: BusinessFeatures, right: BusinessFeatures) -> Assessment:
    levels, bits = scorer.score(left, [right])[0]
    return assess(KIND, levels, left, right, bits, scorer.model, scorer.epoch)


class Case(NamedTuple):
    """Two records and what becomes of them."""

    reason: str
    left: BusinessFeatures
    right: BusinessFeatures
    expected: str


COMPANY = "Công ty TNHH Thương mại Dịch vụ Phước Lộc Tường"
SHORT_COMPANY = "Cty TNHH TM-DV Phước Lộc Tường"
SHOP = "Hộ kinh doanh Hoa Mai"
EVERYTHING: dict[str, Any] = {"at": DOOR, "phone": PHONE, "boss": BOSS}
HOUSEHOLD: dict[str, Any] = {"form": "household_business", "is_sighted": True, "at": DOOR, "phone": PHONE}

CASES = [
    Case("code and name", firm(COMPANY, codes=[CODE]), firm(SHORT_COMPANY, codes=[CODE]), "link"),
    Case("a code under another name at the same door: the firm was renamed",
         firm(COMPANY, codes=[CODE], at=DOOR, phone=PHONE),
         firm("Công ty TNHH Minh Khang", codes=[CODE], at=DOOR, phone=PHONE), "link"),
    Case("a code under another name, elsewhere", firm(COMPANY, codes=[CODE], at=DOOR),
         firm("Công ty Cổ phần Xây dựng An Bình Hưng", codes=[CODE], at=OTHER_WARD), "none"),
    Case("a name without anything else", firm(COMPANY), firm(SHORT_COMPANY), "none"),
    Case("the name at the same door", firm(COMPANY, at=DOOR), firm(SHORT_COMPANY, at=DOOR), "link"),
    Case("a company's name along the same street", firm(COMPANY, at=DOOR),
         firm(COMPANY, at=NEXT_DOOR), "weight name_alone"),
    Case("one member more or less is a clerk's omission", firm(COMPANY, at=DOOR, phone=PHONE),
         firm("Công ty TNHH MTV Thương mại Dịch vụ Phước Lộc Tường", at=DOOR, phone=PHONE), "link"),
    Case("another form at the same door is a successor", firm(COMPANY, **EVERYTHING),
         firm("Công ty Cổ phần Thương mại Dịch vụ Phước Lộc Tường", **EVERYTHING), "thin_evidence legal_form"),
    Case("a successor adds a word, and takes over all else", firm(COMPANY, codes=[CODE], **EVERYTHING),
         firm(f"{COMPANY} Sài Gòn", **EVERYTHING), "thin_evidence name"),
    Case("a successor with a code of its own", firm(COMPANY, codes=[CODE], **EVERYTHING),
         firm(f"{COMPANY} Sài Gòn", codes=[OTHER_CODE], **EVERYTHING), "none"),
    Case("the same name and all else, under another code", firm(COMPANY, codes=[CODE], **EVERYTHING),
         firm(COMPANY, codes=[OTHER_CODE], **EVERYTHING), "thin_evidence tax_code"),
    Case("the same under two codes that were sighted: known to be two",
         firm(COMPANY, codes=[CODE], is_sighted=True, **EVERYTHING),
         firm(COMPANY, codes=[OTHER_CODE], is_sighted=True, **EVERYTHING), "none"),
    Case("two firms of one owner at one door", firm(COMPANY, boss_id=OWNER_ID, **EVERYTHING),
         firm("Công ty TNHH Xây dựng Minh Khang", boss_id=OWNER_ID, **EVERYTHING), "none"),
    Case("two firms in one tower", firm(COMPANY, at=TOWER), firm("Công ty Cổ phần An Bình Hưng", at=TOWER), "none"),
    Case("numbered firms of one group", firm("Công ty Cổ phần Sông Ngọc số 6", at=DOOR, phone=PHONE),
         firm("Công ty Cổ phần Sông Ngọc số 9", at=DOOR, phone=PHONE), "none"),
    Case("a household's name recurs across the city", firm(SHOP), firm(SHOP), "none"),
    Case("a household's common name at the same door", firm(SHOP, at=DOOR), firm("HKD Hoa Mai", at=DOOR), "weight "),
    Case("the same with the telephone", firm(SHOP, at=DOOR, phone=PHONE),
         firm("HKD Hoa Mai", at=DOOR, phone=PHONE), "link"),
    Case("a household's rare name at the same door", firm("Hộ kinh doanh Ngọc Diệu Ái", at=DOOR),
         firm("HKD Ngọc Diệu Ái", at=DOOR), "link"),
    Case("two wards, one name, one accountant's telephone",
         firm("Hộ kinh doanh Ngọc Diệu Ái", at=DOOR, phone=PHONE),
         firm("Hộ kinh doanh Ngọc Diệu Ái", at=OTHER_WARD, phone=PHONE), "thin_evidence other_ward"),
    Case("before and after July 2025: ten digits became the owner's twelve",
         firm(SHOP, codes=[OLD_HOUSEHOLD_CODE], **HOUSEHOLD), firm(SHOP, codes=[OWNER_ID], **HOUSEHOLD), "link"),
    Case("two owners of a rare name", firm("HKD Ngọc Diệu Ái", codes=[OWNER_ID], **HOUSEHOLD),
         firm("HKD Ngọc Diệu Ái", codes=[OTHER_OWNER_ID], **HOUSEHOLD), "none"),
    Case("a branch and its parent", firm(COMPANY, codes=[CODE], **EVERYTHING),
         firm(f"Chi nhánh {COMPANY}", codes=[BRANCH_1], **EVERYTHING), "none"),
    Case("a branch is known by its name alone", firm(COMPANY, **EVERYTHING),
         firm(f"Chi nhánh {COMPANY}", **EVERYTHING), "none"),
    Case("a branch that pays under its parent's code", firm(COMPANY, codes=[CODE], **EVERYTHING),
         firm(f"Chi nhánh {COMPANY}", codes=[CODE], **EVERYTHING), "thin_evidence other_branch"),
    Case("one branch, called a company by one registry",
         firm(f"Chi nhánh {COMPANY}", codes=[BRANCH_1], **EVERYTHING),
         firm(COMPANY, codes=[BRANCH_1], form="company", **EVERYTHING), "link"),
    Case("two branches by their codes", firm(f"Chi nhánh {COMPANY}", codes=[BRANCH_1], **EVERYTHING),
         firm(f"Chi nhánh {COMPANY}", codes=[BRANCH_2], **EVERYTHING), "none"),
    Case("two branches by their numbers", firm(f"Chi nhánh 2 - {COMPANY}", **EVERYTHING),
         firm(f"Chi nhánh 3 - {COMPANY}", **EVERYTHING), "none"),
    Case("branches of one firm behind two doors", firm(f"Chi nhánh {COMPANY}", at=DOOR, phone=PHONE, boss=BOSS),
         firm(f"CN {SHORT_COMPANY}", at=OTHER_DOOR, phone=PHONE, boss=BOSS), "thin_evidence branch_address"),
    Case("one branch in two registries", firm(f"Chi nhánh {COMPANY}", at=DOOR),
         firm(f"CN {SHORT_COMPANY}", at=DOOR), "link"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.reason for case in CASES])
def test_two_firms_fall_into_the_band_that_their_evidence_carries(case: Case, scorer: Scorer) -> None:
    for one, other in ((case.left, case.right), (case.right, case.left)):
        found = assessed(scorer, one, other)
        said = str(found.band) if found.reason is None else f"{found.reason} {found.detail}"
        assert said == case.expected


VETOES = [
    ("two sighted codes", firm(COMPANY, codes=[CODE], is_sighted=True),
     firm(COMPANY, codes=[OTHER_CODE], is_sighted=True), "verified_tax_codes_differ"),
    ("a code that nobody sighted founds no veto", firm(COMPANY, codes=[CODE], is_sighted=True),
     firm(COMPANY, codes=[OTHER_CODE]), None),
    ("branch and parent", firm(COMPANY, codes=[CODE]), firm(COMPANY, codes=[BRANCH_1]), "other_branch"),
    ("a branch by its form alone", firm(COMPANY, form="branch"), firm(COMPANY, form="company"), "other_branch"),
    ("one shared code settles it", firm(COMPANY, codes=[CODE, OTHER_CODE], is_sighted=True),
     firm(COMPANY, codes=[OTHER_CODE], is_sighted=True), None),
    ("an old household code beside the owner's number", firm(SHOP, codes=[OLD_HOUSEHOLD_CODE], is_sighted=True),
     firm(SHOP, codes=[OWNER_ID], is_sighted=True), None),
    ("a company's ten digits beside an owner's number", firm(COMPANY, codes=[CODE], is_sighted=True),
     firm(SHOP, codes=[OWNER_ID], is_sighted=True), "verified_tax_codes_differ"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "left", "right", "expected"), VETOES, ids=[case[0] for case in VETOES])
def test_a_veto_needs_a_fact_that_forbids(
    reason: str, left: BusinessFeatures, right: BusinessFeatures, expected: str | None
) -> None:
    assert veto(left, right) == veto(right, left) == expected, reason


@pytest.mark.parametrize(
    ("comparison", "rare", "shared"),
    [("address", {"at": DOOR}, {"at": TOWER}), ("phone", {"phone": PHONE}, {"phone": ACCOUNTANT})],
)
def test_what_many_firms_share_weighs_less(
    comparison: str, rare: dict[str, Any], shared: dict[str, Any], scorer: Scorer
) -> None:
    bits = []
    for said in (rare, shared):
        steps = scorer.waterfall(firm(COMPANY, **said), firm(COMPANY, **said))
        (step,) = (step for step in steps if step.comparison == comparison)
        bits.append(step.bits + step.term_frequency_bits)
    one, many = bits
    # A thousand firms share it, 125 times as many as are free: seven bits less.
    assert one - many == pytest.approx(math.log2(1_000 / SHARERS_FREE_MAX), abs=0.01)
    assert 7.5 < one < 9.5
