"""How the demo words what two registries wrote differently."""

from __future__ import annotations

import pytest

from mdm.cli.differences import (
    Difference,
    address_difference,
    birth_difference,
    card_difference,
    name_difference,
    number_difference,
    phone_difference,
    within_one,
)

CASES = [
    (name_difference, "TRẦN THỊ BÉ", "Trần Thị Bé", "", "capitals say nothing"),
    (name_difference, "ĐẶNG THỊ MỸ", "DANG THI MY", "no diacritics", "an old system without Vietnamese letters"),
    (name_difference, "Trần Thị Bé", "Trần Thị Bê", "other diacritics", "letters agree, marks do not"),
    (name_difference, "Lê Thị Hoa", "Hoa Lê Thị", "words swapped", "given name first"),
    (name_difference, "Lê Thị Hoa", "LÊ HOA", "a middle name dropped", "the middle name is often left out"),
    (name_difference, "NGUYỄN THỊ TUYẾT", "NGUYEM THI TUYET", "misspelt", "neighbours on the keyboard"),
    (birth_difference, "1989-10-04", "04/10/1989", "", "the same day in another notation"),
    (birth_difference, "1989-10-04", "198910040000", "", "with hours and minutes"),
    (birth_difference, "1989-10-04", "10/04/1989", "day and month swapped", "American order"),
    (birth_difference, "1989-10-04", "1989", "only the year is known", "the year alone"),
    (birth_difference, "1989-10-04", "01/01/1989", "only the year is known", "a clerk's filler"),
    (birth_difference, "1989-01-01", "04/10/1989", "day and month are known here", "the reference is the filler"),
    (birth_difference, "1989-10-04", "1989-10-05", "one digit off", "a slip"),
    (number_difference, "079189466888", "79189466888", "leading zero lost", "a spreadsheet read it as a number"),
    (number_difference, "079189466888", "079189466898", "one character off", "a slip"),
    (number_difference, "079189466888", "021797099", "an old card number", "nine digits"),
    (card_difference, "GD4797932353309", "GD4747932353309", "another card, same number", "the last ten agree"),
    (phone_difference, "0398 153 533", "0398153533", "written another way", "spaces"),
    (phone_difference, "0398153533", "+84398153533", "written another way", "country code"),
    (phone_difference, "0398153533", "01698153533", "prefix of before 2018", "eleven digits"),
    (
        address_difference,
        "27 Đường Thành Thái, P.4",
        "27 Thành Thái, Phường 14",
        "same house, another ward name",
        "reform",
    ),
]


@pytest.mark.parametrize(("difference", "reference", "other", "words", "reason"), CASES)
def test_a_difference_is_put_into_words(
    difference: Difference, reference: str, other: str, words: str, reason: str
) -> None:
    assert difference([reference], [other]) == words, reason


def test_an_old_number_that_the_reference_knows_is_called_old() -> None:
    assert number_difference(["079189466888", "021797099"], ["021797099"]) == "an old card number"


@pytest.mark.parametrize(
    ("left", "right", "is_within"),
    [
        ("abc", "abc", True),
        ("abc", "acb", True),
        ("abc", "abcd", True),
        ("abc", "bc", True),
        ("abc", "axc", True),
        ("abc", "cba", False),
        ("abc", "abcde", False),
        ("abcd", "badc", False),
    ],
)
def test_one_edit_or_one_swap_is_close(left: str, right: str, is_within: bool) -> None:  # noqa: FBT001 – a column
    assert within_one(left, right) is is_within
    assert within_one(right, left) is is_within
