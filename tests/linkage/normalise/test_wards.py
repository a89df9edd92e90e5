"""The ward table holds what the conversion of 2025 says."""

from __future__ import annotations

from collections import defaultdict

import pytest

from mdm.linkage.normalise.wards import may_be_ward_code, unit_name, ward_table

FALSE_FRIENDS = ["cu chi", "hoa binh", "hoa hung", "phu tho", "tan binh", "tan hoa", "tan my", "tan phu", "tan thanh"]


def test_every_old_unit_goes_to_one_of_168_new_ones() -> None:
    table = ward_table()
    new = {code for codes in table.new_of_name.values() for code in codes}
    assert len(new) == 168
    assert len(table.new_of_old) == 441
    assert len(table.new_of_district) == 38
    for code, targets in table.new_of_code.items():
        assert targets, code
        assert targets <= new


def test_split_units_keep_all_their_parts() -> None:
    parts = [len(codes) for codes in ward_table().new_of_old.values()]
    assert (parts.count(2), parts.count(3), max(parts)) == (43, 4, 3)


def test_a_new_code_stands_for_itself() -> None:
    table = ward_table()
    for codes in table.new_of_name.values():
        for code in codes:
            assert code in table.new_of_code[code]


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        ("26734", True),  # old, and merged away
        ("26732", True),  # new: Côn Đảo, where there was no ward
        ("00001", True),  # another province's, which a resident may well be registered in
        ("32248", True),  # the last of the country
        ("27136", True),  # the city's, abolished before the table begins: Phường 13 of Quận 3
        ("00000", False),
        ("99999", False),
        ("２６７３４", False),  # digits of full width
    ],
)
def test_a_code_may_be_a_wards_that_lies_among_the_countrys(code: str, *, is_known: bool) -> None:
    assert may_be_ward_code(code) is is_known


def test_every_code_of_the_table_is_known() -> None:
    assert all(map(may_be_ward_code, ward_table().new_of_code))


def test_wards_that_are_only_numbers_mean_nothing_without_their_district() -> None:
    table = ward_table()
    assert not any(name.isdigit() for name in table.new_of_old_name)
    assert sum(ward.isdigit() for _, ward in table.new_of_old) == 131


def test_false_friends_went_entirely_elsewhere() -> None:
    table = ward_table()
    old: dict[str, set[str]] = defaultdict(set)
    for (_, ward), codes in table.new_of_old.items():
        old[ward] |= codes
    for name in FALSE_FRIENDS:
        assert old[name], f"{name} was an old unit"
        assert not old[name] & table.new_of_name[name], f"{name} of today is another place"


def test_a_unit_is_known_by_its_bare_name() -> None:
    assert unit_name("Phường 05") == "5"
    assert unit_name("Thị trấn Củ Chi") == "cu chi"
    assert unit_name("Đặc khu Côn Đảo") == "con dao"
