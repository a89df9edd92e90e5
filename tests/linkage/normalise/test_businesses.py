"""Business names come to their core; measured on public names of listed firms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.linkage.features import NO_NUMBERS
from mdm.linkage.normalise.businesses import business_name, variants

FORMS = [
    ("Công ty Trách nhiệm Hữu hạn An Phát", "llc", "an phat"),
    ("Cty TNHH An Phát", "llc", "an phat"),
    ("C.ty TNHH An Phát", "llc", "an phat"),
    ("An Phat Co., Ltd", "llc", "an phat"),
    ("An Phat LLC", "llc", "an phat"),
    ("An Phat Company Limited", "llc", "an phat"),
    ("Công ty TNHH Một thành viên An Phát", "llc_single", "an phat"),
    ("CÔNG TY TNHH MTV AN PHÁT", "llc_single", "an phat"),
    ("Công ty TNHH 1 Thành Viên An Phát", "llc_single", "an phat"),
    ("Công ty TNHH 1TV An Phát", "llc_single", "an phat"),
    ("Công ty TNHH Hai thành viên An Phát", "llc", "an phat"),
    ("Công ty Cổ phần An Phát", "jsc", "an phat"),
    ("CTCP An Phát", "jsc", "an phat"),
    ("Cty CP An Phát", "jsc", "an phat"),
    ("An Phat J.S.C", "jsc", "an phat"),
    ("An Phat Joint Stock Company", "jsc", "an phat"),
    ("Doanh nghiệp tư nhân An Phát", "sole", "an phat"),
    ("DNTN An Phát", "sole", "an phat"),
    ("Doanh nghiệp TN An Phát", "sole", "an phat"),
    ("Công ty Hợp danh An Phát", "partnership", "an phat"),
    ("Hộ kinh doanh An Phát", "household", "an phat"),
    ("HKD An Phát", "household", "an phat"),
    ("Nhà thuốc Minh Châu", "household", "nha thuoc minh chau"),
    ("Tập đoàn An Phát", "group", "an phat"),
    ("An Phát Group", "group", "an phat group"),
    ("Công ty TNHH An Phát Holdings", "llc", "an phat holdings"),
    ("Tổng Công ty An Phát - CTCP", "group", "an phat"),
    ("TCT An Phát", "group", "an phat"),
    ("Chi nhánh Công ty TNHH An Phát", "branch", "an phat"),
    ("Công ty TNHH An Phát - Chi nhánh Quận 5", "branch", "an phat"),
    ("Văn phòng đại diện Công ty Cổ phần An Phát", "branch", "an phat"),
    ("Cty TNHH An Phát CN TP.HCM", "branch", "an phat"),
    ("Công nghiệp An Phát", None, "cong nghiep an phat"),
    ("CN An Phát", None, "cong nghiep an phat"),
    ("CN Cty TNHH An Phát", "branch", "an phat"),
    ("CN 2 An Phát", "branch", "an phat"),
]

EXPANSIONS = [
    ("Cty CP ĐT & XD An Phát", "Công ty Cổ phần Đầu tư và Xây dựng An Phát"),
    ("Cty TNHH TM-DV-SX-XD-XNK An Phát", "Công ty TNHH Thương mại Dịch vụ Sản xuất Xây dựng Xuất nhập khẩu An Phát"),
    ("VLXD T.Mại An Phát", "Vật liệu xây dựng Thương mại An Phát"),
    ("BĐS An Phát", "Công ty Cổ phần Bất động sản An Phát"),
    ("KCN An Phát", "Khu công nghiệp An Phát"),
    ("Ngân hàng Bắc Á", "Ngân hàng Thương mại Cổ phần Bắc Á"),
    ("NH TMCP Bắc Á", "Ngân hàng Bắc Á"),
    ("COÂNG TY TNHH THIEÁT BÒ HOAØNG KHAÙNH", "Công ty TNHH Thiết bị Hoàng Khánh"),
    ("Cty TNHH XD Quang Ngoïc", "Công ty TNHH Xây dựng Quang Ngọc"),
    ("CTCP TM Nhất Thiên - CŨ", "Công ty Cổ phần Thương mại Nhất Thiên"),
    ("Coong ty TNHH Vinhx Vieetj", "Công ty TNHH Vĩnh Việt"),
    ("Xây dựng1369", "Công ty Cổ phần Xây dựng 1369"),
    ("Dược TW3", "Công ty Cổ phần Dược Trung ương 3"),
    ("Cơ khí Việt Tân No.3", "Cơ khí Việt Tân số 3"),
    ("Tư vấn Minh Hòa II", "Công ty Tư vấn Minh Hòa 2"),
    ("Đa Quốc Gia I.D.I", "Đa Quốc Gia IDI"),
    ("Du lịch BR-VT", "Công ty Cổ phần Du lịch tỉnh Bà Rịa - Vũng Tàu"),
    ("In sách TP.Hà Nội", "Công ty Cổ phần In sách tại Thành phố Hà Nội"),
    ("An Phát Viet Nam", "An Phát Vietnam"),
]


@pytest.mark.parametrize(("text", "form", "core"), FORMS, ids=[case[0] for case in FORMS])
def test_a_legal_form_is_taken_off_and_named(text: str, form: str | None, core: str) -> None:
    name = business_name(text)
    assert (name.legal_form, name.core) == (form, core)


@pytest.mark.parametrize(("short", "full"), EXPANSIONS, ids=[case[0] for case in EXPANSIONS])
def test_abbreviations_are_written_out(short: str, full: str) -> None:
    assert business_name(short).core == business_name(full).core


def test_trade_words_do_not_tell_firms_apart() -> None:
    name = business_name("Công ty TNHH Thương mại Dịch vụ Xây dựng An Phát")
    assert name.distinct == "an phat"
    assert business_name("Công ty TNHH Thương mại Dịch vụ").distinct == "thuong mai dich vu", "nothing else is there"
    assert business_name("Công ty TNHH").core == "cong ty tnhh", "a name that is only a form keeps it"
    assert business_name("").core is None


@pytest.mark.parametrize(
    ("english", "vietnamese"),
    [
        ("Phuoc Loc Trading Service Company Limited", "Công ty TNHH Thương mại Dịch vụ Phước Lộc"),
        ("FPT Telecom", "Công ty Cổ phần Viễn thông FPT"),
        ("Hoa Mai Construction Investment JSC", "Công ty Cổ phần Đầu tư Xây dựng Hoa Mai"),
    ],
)
def test_a_translated_name_meets_the_name_that_it_translates(english: str, vietnamese: str) -> None:
    assert business_name(english).sorted == business_name(vietnamese).sorted


def test_the_order_of_the_words_that_tell_a_firm_apart_matters() -> None:
    assert business_name("Thủy sản Minh Hải").sorted != business_name("Thủy sản Hải Minh").sorted
    assert business_name("Dịch vụ Thương mại Minh Hải").sorted == business_name("Thương mại Dịch vụ Minh Hải").sorted


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Sông Đà 9", "9"),
        ("Công ty Cổ phần Xây dựng số 9 - VC9", "9"),
        ("Chi nhánh 2 - Công ty TNHH An Phát", "2"),
        ("Công ty TNHH An Phát - Chi nhánh Quận 5", "5"),
        ("Công ty TNHH An Phát", NO_NUMBERS),
    ],
)
def test_numbers_are_told_in_one_spelling(text: str, numbers: str) -> None:
    assert business_name(text).numbers == numbers


@pytest.mark.parametrize(
    ("reason", "text", "found"),
    [
        ("another name in brackets", "Tập đoàn Lộc Trời (BVTV An Giang)",
         ["Tập đoàn Lộc Trời (BVTV An Giang)", "Tập đoàn Lộc Trời", "BVTV An Giang"]),
        ("a country is a part of the name", "Công ty TNHH Sam Sung (Việt Nam)", ["Công ty TNHH Sam Sung (Việt Nam)"]),
        ("so is a branch", "Công ty TNHH An Phát (Chi nhánh 2)", ["Công ty TNHH An Phát (Chi nhánh 2)"]),
        ("a number is no name", "An Phát (2)", ["An Phát (2)"]),
        ("nothing but brackets", "(An Phát)", ["(An Phát)", "", "An Phát"]),
        ("brackets that never end", "An Phát (Hòa", ["An Phát (Hòa"]),
    ],
)  # fmt: skip
def test_brackets_may_hold_another_name(reason: str, text: str, found: list[str]) -> None:
    assert variants(text) == found, reason


@pytest.mark.parametrize(
    ("word", "long"),
    [
        ("gtdt", "Giao thông Đường thủy"),
        ("sgk", "Sách Giáo khoa"),
        ("vina", "Vi Na"),
        ("xd", "Xăng dầu"),
        ("xd", "Xây dựng"),
    ],
)
def test_an_abbreviation_is_covered_by_what_it_may_stand_for(word: str, long: str) -> None:
    assert word in business_name(f"Công ty Cổ phần {long} Đà Lạt").cover


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_name_is_read_without_an_error(text: str) -> None:
    name = business_name(text)
    assert (name.full is None) == (name.core is None)
    assert name.core is None or name.core.strip()


def test_short_and_full_names_of_listed_firms_meet(
    shared_data: Path, record_property: Callable[[str, object], None]
) -> None:
    source = shared_data / "business" / "vn_listed_company_names_mit2023.parquet"
    truth = {
        row["record_id"]: row["true_id"] for row in pq.read_table(source.with_suffix(".truth.parquet")).to_pylist()
    }
    rows = pq.read_table(source).to_pylist()
    full = defaultdict(list)
    for row in rows:
        if row["name_form"] == "full_vn":
            full[business_name(row["name"]).core].append(truth[row["record_id"]])
    short = [row for row in rows if row["name_form"] == "short_vn"]
    pairs = [
        (truth[row["record_id"]], other) for row in short for other in full.get(business_name(row["name"]).core, [])
    ]
    right = sum(left == other for left, other in pairs)
    recall, precision = right / len(short), right / len(pairs)
    record_property("recall", recall)
    record_property("precision", precision)
    assert recall >= 0.67, f"recall {recall:.3f} of {len(short)} firms"
    assert precision >= 0.99, f"precision {precision:.4f} of {len(pairs)} pairs"
