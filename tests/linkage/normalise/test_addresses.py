"""Address lines of both systems come to the same ward, street and house."""

from __future__ import annotations

import csv
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.addresses import Place, parse_address
from mdm.linkage.normalise.text import clean
from mdm.linkage.normalise.wards import WARD_TABLE, ward_table

with resources.files("mdm").joinpath("data", WARD_TABLE).open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
NAMES = {
    row["newWardCode"]: row["newWard"].removeprefix("Đặc khu ").removeprefix("Phường ").removeprefix("Xã ")
    for row in ROWS
}

LINES = [
    ("45 Đường số 7, phường Tân Phú, quận 7, TP.HCM", ["Tân Mỹ"], "duong so 7", "45", "the false friend of District 7"),
    ("Phường Tân Phú, TP.HCM", ["Tân Phú"], None, None, "without a district, the ward of today"),
    ("P.5, Q.5", ["An Đông"], None, None, "two numbers: the old system"),
    ("P5, Q5", ["An Đông"], None, None, "no house number"),
    ("123/45 Lê Văn Sỹ, P.12, Q.3, TPHCM", ["Nhiêu Lộc"], "le van sy", "123/45", "alley"),
    ("123 Lê Văn Sỹ P.12 Q.3 TP.HCM", ["Nhiêu Lộc"], "le van sy", "123", "no commas"),
    ("123/45 LVS, Phường 12, Quận 3", ["Nhiêu Lộc"], "le van sy", "123/45", "initials of a street"),
    ("12 ĐBP, P.Đa Kao, Q.1", ["Sài Gòn", "Tân Định"], "dien bien phu", "12", "a split ward keeps both parts"),
    ("12 Lê Lợi, Gò Vấp, TP HCM", [], "le loi", "12", "a bare name of a district is the bigger area"),
    ("12 Lê Lợi, Phường Gò Vấp, TP HCM", ["Gò Vấp"], "le loi", "12", "and the ward of today when it says so"),
    ("12 Lê Lợi, Bến Thành, Quận 1", ["Bến Thành"], "le loi", "12", "a ward without its marker"),
    ("12 Lê Lợi, Phường Sài Gòn, TP HCM", ["Sài Gòn"], "le loi", "12", "a ward called like the city"),
    ("25 đường 3/2, P. 12, Quận 10", ["Hòa Hưng"], "3 thang 2", "25", "a street called like a date"),
    ("25 Ba Tháng Hai, P. 12, Quận 10", ["Hòa Hưng"], "3 thang 2", "25", "the same in words"),
    ("3/2, Phường 12, Q.10", ["Hòa Hưng"], "3 thang 2", None, "a date is no house number"),
    ("45 30/4, P. Hiệp Thành", ["Phú Lợi", "Thủ Dầu Một", "Tân Thới Hiệp"], "30 thang 4", "45", "all of a name"),
    ("100 CMT8, P.5, Q. Tân Bình", ["Tân Sơn Nhất"], "cach mang thang 8", "100", "abbreviated"),
    ("100 Cách Mạng Tháng Tám, P5, Q Tân Bình", ["Tân Sơn Nhất"], "cach mang thang 8", "100", "in words"),
    ("Tổ 5, KP 3, P. Hiệp Bình Chánh, TP Thủ Đức", ["Hiệp Bình"], None, None, "neighbourhood groups are no street"),
    ("Lầu 3, 12 Lê Lợi, Bến Nghé, Q1", ["Sài Gòn"], "le loi", "12", "the storey stands before the house"),
    ("12Bis Nguyễn Trãi, F.Bến Thành, Q1", ["Bến Thành"], "nguyen trai", "12bis", "F for phường"),
    ("A12.03 CC Hoàng Anh, P. Tân Hưng, Q.7", ["Tân Hưng"], "chung cu hoang anh", "a12.03", "a flat"),
    (
        "Căn hộ A4.02 CC Ehome 3, Đường Hậu Giang, P.1, Q.11",
        ["Minh Phụng"],
        "hau giang",
        "a4.02 ehome 3",
        "with street",
    ),
    ("Hẻm 123/4 Lê Lai, Bến Thành, Quận 1", ["Bến Thành"], "le lai", "123/4", "the word alley"),
    ("45 hẻm 12 Lê Lai", [], "le lai", "12/45", "house 45 in alley 12"),
    ("123 xẹt 45 Lê Lai", [], "le lai", "123/45", "the slash in words"),
    ("12 Lê Lợi (số cũ 45), P. Bến Nghé, Q.1, HCM", ["Sài Gòn"], "le loi", "12", "an old number in brackets"),
    ("Lô C5 Đường số 12, KCN Tân Bình", [], "duong so 12", "c5", "a plot"),
    ("số 15 Quốc lộ 1A, P. An Phú Đông, Q.12", ["An Phú Đông"], "quoc lo 1a", "15", "a national road"),
    ("15 QL1A, P. An Phú Đông, Q.12", ["An Phú Đông"], "quoc lo 1a", "15", "abbreviated"),
    ("39 Tỉnh Lộ 10, Xã Láng Lớn, Huyện Châu Đức", ["Kim Long"], "tinh lo 10", "39", "tỉnh lộ is no province"),
    (
        "21 Bà Huyện Thanh Quan, P. 5, Q. Tân Bình",
        ["Tân Sơn Nhất"],
        "ba huyen thanh quan",
        "21",
        "nor huyện a district",
    ),
    ("15 D2, P.25, Bình Thạnh", ["Thạnh Mỹ Tây"], "d2", "15", "a street of a letter and a number"),
    ("Đường Dương Bá Trạc, P.1, Q.8", [], "ba trac", None, "Dương folds to the marker, so both lose it"),
    ("54 Phú Thọ Hòa, P. Phú Thọ Hòa, Q. Tân Phú", ["Phú Thọ Hòa"], "phu tho hoa", "54", "a street called like a ward"),
    ("Phường An Khánh, Quận 2", ["An Khánh"], None, None, "a district gone since 2020"),
    ("Xã Bình Mỹ, huyện Củ Chi", ["Bình Mỹ"], None, None, "a commune"),
    ("TT. Hóc Môn, H. Hóc Môn", ["Hóc Môn"], None, None, "a township"),
    ("Phường 1, TP Vũng Tàu, Tỉnh Bà Rịa-Vũng Tàu", ["Vũng Tàu"], None, None, "a province that joined the city"),
    ("Đặc khu Côn Đảo", ["Côn Đảo"], None, None, "the one special zone"),
    ("Phường Tân Phú, TP Đồng Xoài, Bình Phước", [], None, None, "a namesake in another province"),
    ("Ấp 6, Xã Tân Hưng, Huyện Ba Tri, Tỉnh Bến Tre", [], None, None, "another province"),
    ("45 Leâ Lôïi, Phöôøng Beán Thaønh, Quaän 1", ["Bến Thành"], "le loi", "45", "a VNI font"),
    ("", [], None, None, "nothing"),
    (",,, .", [], None, None, "only signs"),
]


def read(line: str, code: str = "") -> Place:
    return parse_address(clean(line, 512)[0], code)


@pytest.mark.parametrize(("line", "wards", "street", "house", "reason"), LINES, ids=[case[4] for case in LINES])
def test_a_line_is_read(line: str, wards: list[str], street: str | None, house: str | None, reason: str) -> None:
    place = read(line)
    assert sorted(NAMES[code] for code in place.wards) == sorted(wards), reason
    assert (place.street, place.house) == (street, house), reason


def test_an_official_code_outranks_the_line() -> None:
    table = ward_table()
    assert read("Phường Tân Phú", "27031").wards == table.new_of_code["27031"]
    assert read("Phường Tân Phú", "99999").wards == table.new_of_name["tan phu"], "unknown: the line is read"
    assert read("", "27487").wards == {"27487"}


def test_the_order_of_house_numbers_is_kept() -> None:
    assert read("12/3 Lê Lai").house != read("3/12 Lê Lai").house


@pytest.mark.parametrize("style", ["{ward}, {district}, {province}", "12 Lê Lai, {ward}, {district}"])
def test_every_old_unit_written_in_full_comes_to_all_its_new_ones(style: str) -> None:
    table = ward_table()
    misread = [
        row["ward"] + row["district"]
        for row in ROWS
        if row["ward"] and row["newWardCode"] not in read(style.format(**row)).wards
    ]
    assert not misread
    for row in ROWS:
        if row["wardCode"]:
            assert read(style.format(**row)).wards == table.new_of_code[row["wardCode"]]


def test_every_new_unit_written_in_full_comes_to_itself() -> None:
    for row in ROWS:
        # Thanh An and Thạnh An fold to one name, so a line keeps both.
        if row["newWard"] not in {"Xã Thạnh An", "Xã Thanh An"}:
            assert read(f"12 Lê Lai, {row['newWard']}, Thành phố Hồ Chí Minh").wards == {row["newWardCode"]}


@given(st.text(alphabet=st.characters() | st.sampled_from("PQFX.,/0123 đường"), max_size=120), st.text(max_size=8))
def test_any_line_is_read_without_an_error(line: str, code: str) -> None:
    place = read(line, code)
    assert place.street is None or place.street == place.street.strip() != ""
