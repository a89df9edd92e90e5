"""How two names of firms compare, from raw text on."""

from __future__ import annotations

import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import BusinessAttributes, SourceRecord
from mdm.linkage.businesses import NAME
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.model import Model
from mdm.linkage.normalise.record import normalise
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.specification import BUSINESS_SPECIFICATION

KIND = EntityKind.BUSINESS


def named(legal_name: str, *, short: str = "", foreign: str = "", former: tuple[str, ...] = ()) -> BusinessFeatures:
    attributes = BusinessAttributes(legal_name, foreign, short, former_names=former)
    features = normalise(SourceRecord(SourceKey("company", KIND, "1"), attributes)).features
    assert isinstance(features, BusinessFeatures)
    return features


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    common = [named("Công ty TNHH Hoàng Gia")] * 100
    rare = [BusinessFeatures(name=f"hang {number}") for number in range(1_900)]
    return compile_scorer(Model.default(KIND), StatisticsEpoch.from_records(KIND, [*common, *rare], 2_000))


def level_of(scorer: Scorer, left: BusinessFeatures, right: BusinessFeatures) -> str:
    place = BUSINESS_SPECIFICATION.position("name")
    return NAME.level_at(scorer.levels(left, right)[place]).label


PHUOC_LOC = named("Công ty TNHH Thương mại Dịch vụ Phước Lộc Tường")

PAIRS: list[tuple[str, BusinessFeatures, BusinessFeatures, str]] = [
    ("abbreviated and written out", PHUOC_LOC, named("CTY TNHH TM & DV PHUOC LOC TUONG"), "same"),
    ("trades in another order", PHUOC_LOC, named("Công ty TNHH Dịch vụ Thương mại Phước Lộc Tường"), "swapped"),
    ("a translation as the only name", PHUOC_LOC, named("Phuoc Loc Tuong Trading Service Co., Ltd"), "swapped"),
    ("one's short name is the other's name", named("Tổng Công ty Bia Rượu Sài Thành", short="SATHABECO"),
     named("SATHABECO"), "other_name"),
    ("a former name", named("Công ty TNHH Minh Khang", former=("Công ty TNHH Phước Lộc",)),
     named("Cty TNHH Phước Lộc"), "other_name"),
    ("one foreign name under two legal ones", named("Công ty Cổ phần Đá Xanh", foreign="Blue Stone JSC"),
     named("Công ty Cổ phần Thạch Lam", foreign="Blue Stone JSC"), "shared_name"),
    ("a short name alone is a name", BusinessFeatures(), named("", short="SATHABECO"), "missing"),
    ("an abbreviation that no list knows", named("Đảm bảo GTĐT Hải An"),
     named("Công ty Cổ phần Đảm bảo Giao thông Đường thủy Hải An"), "abbreviated"),
    ("an abbreviation of two meanings", named("Vận tải XD Đồng Xanh"),
     named("Công ty Cổ phần Vận tải Xăng dầu Đồng Xanh"), "abbreviated"),
    ("one slip in a long name", PHUOC_LOC, named("Công ty TNHH Thương mại Dịch vụ Phước Lộc Tương H"), "contained"),
    ("one letter", PHUOC_LOC, named("Công ty TNHH Thương mại Dịch vụ Phước Lộc Tườn"), "typo"),
    ("one letter of three", named("Tập đoàn ASG"), named("Công ty Cổ phần ASA"), "different"),
    ("a trade left out", PHUOC_LOC, named("Công ty TNHH Thương mại Phước Lộc Tường"), "same_distinct"),
    ("another trade", PHUOC_LOC, named("Công ty TNHH Xây dựng Phước Lộc Tường"), "same_brand"),
    ("a word more", PHUOC_LOC, named("Công ty TNHH Thương mại Dịch vụ Phước Lộc Tường Sài Gòn"), "contained"),
    ("initials alone", named("SGCC"), named("Công ty Cổ phần Sông Gianh Cao Cường"), "initials"),
    ("another number", named("Công ty Cổ phần Sông Đà 6"), named("Công ty Cổ phần Sông Đà 9"), "similar"),
    ("a number more", named("Quán cơm Hoa Mai"), named("Quán cơm Hoa Mai 2"), "similar"),
    ("words swapped", named("Thủy sản Minh Hải"), named("Thủy sản Hải Minh"), "contained"),
    ("nothing in common", PHUOC_LOC, named("Công ty Cổ phần An Bình Hưng"), "different"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "left", "right", "level"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_two_names_fall_into_a_level(
    reason: str, left: BusinessFeatures, right: BusinessFeatures, level: str, scorer: Scorer
) -> None:
    assert level_of(scorer, left, right) == level_of(scorer, right, left) == level, reason


def test_a_common_name_weighs_less_than_a_rare_one_at_every_level_that_counts(scorer: Scorer) -> None:
    def bits(left: BusinessFeatures, right: BusinessFeatures) -> float:
        (step,) = (step for step in scorer.waterfall(left, right) if step.comparison == "name")
        return step.bits + step.term_frequency_bits

    common, rare = named("Công ty TNHH Hoàng Gia"), PHUOC_LOC
    trades = "Công ty TNHH Đầu tư Thương mại Dịch vụ"
    # One firm in twenty bears the common name, one in two thousand the rare one.
    assert bits(rare, rare) - bits(common, common) > 6.0
    assert bits(rare, named(f"{trades} Phước Lộc Tường")) - bits(common, named(f"{trades} Hoàng Gia")) > 6.0


def test_what_a_name_contains_never_weighs_more_than_its_bound(scorer: Scorer) -> None:
    longer = named("Công ty TNHH Thương mại Dịch vụ Phước Lộc Tường Sài Gòn")
    (step,) = (step for step in scorer.waterfall(PHUOC_LOC, longer) if step.comparison == "name")
    (level,) = (level for level in NAME.levels if level.label == "contained")
    assert step.level == "contained"
    assert 0.0 < step.bits + step.term_frequency_bits <= level.bits_max
