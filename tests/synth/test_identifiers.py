"""The numbers of the synthetic city have the structure and check digits of real ones."""

from __future__ import annotations

from datetime import date

import pytest
from stdnum.vn import mst

from mdm.synth import identifiers
from mdm.synth.dice import Dice
from mdm.synth.identifiers import Serials


@pytest.fixture
def serials() -> Serials:
    return Serials(Dice(1, 1))


def test_a_tax_code_passes_an_independent_check(serials: Serials) -> None:
    codes = [identifiers.tax_code(serials, region) for region in ("03", "37", "35", "83") for _ in range(500)]
    assert all(mst.is_valid(code) for code in codes)
    assert all(identifiers.has_tax_check_digit(code) for code in codes)
    assert len(set(codes)) == len(codes)


def test_a_tax_code_with_one_wrong_digit_fails_its_check(serials: Serials) -> None:
    code = identifiers.tax_code(serials, "03")
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert not identifiers.has_tax_check_digit(wrong)
    assert not identifiers.has_tax_check_digit("03x")


@pytest.mark.parametrize(
    ("sex", "birth", "start", "reason"),
    [
        ("M", date(1978, 5, 12), "079078", "a man of the 1900s"),
        ("F", date(1978, 5, 12), "079178", "a woman of the 1900s"),
        ("M", date(2004, 1, 1), "079204", "a man of the 2000s"),
        ("F", date(2019, 12, 31), "079319", "a woman of the 2000s"),
    ],
)
def test_a_personal_id_states_province_century_sex_and_year(
    serials: Serials, sex: str, birth: date, start: str, reason: str
) -> None:
    number = identifiers.personal_id(serials, "079", sex, birth)
    assert len(number) == 12, reason
    assert number.isdigit()
    assert number.startswith(start), reason


def test_serials_repeat_only_after_all_numbers_were_given_out(serials: Serials) -> None:
    numbers = [serials.take("X", 3) for _ in range(1000)]
    assert len(set(numbers)) == 1000
    assert serials.take("X", 3) == numbers[0]


def test_serials_do_not_count_up_in_order(serials: Serials) -> None:
    numbers = [serials.take("", 6) for _ in range(50)]
    assert numbers != sorted(numbers)


def test_a_health_card_ends_with_the_insurance_number(serials: Serials) -> None:
    dice = Dice(1, 2)
    number = identifiers.social_insurance_number(serials)
    assert len(number) == 10
    for age, employed, group in ((3, False, "TE1"), (15, False, "HS4"), (30, True, "DN4"), (70, False, "HT3")):
        card = identifiers.health_card(dice, number, age, employed, outdated=False)
        assert card == f"{group}79{number}"
    assert identifiers.health_card(dice, number, 30, employed=True, outdated=True).endswith(number)


def test_phones_are_ten_digits_of_a_known_prefix() -> None:
    dice = Dice(1, 3)
    phones = [identifiers.mobile_phone(dice) for _ in range(2000)]
    assert {len(phone) for phone in phones} == {10}
    viettel = sum(phone[:3] in {"086", "096", "097", "098"} or phone[:2] == "03" for phone in phones)
    assert 0.44 < viettel / len(phones) < 0.56
