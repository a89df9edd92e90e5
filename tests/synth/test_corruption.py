"""Each slip does what its name says, and as often as its rate says."""

from __future__ import annotations

import dataclasses
import unicodedata
from datetime import date

import pytest

from mdm.synth import corruption
from mdm.synth.clerks import Clerks
from mdm.synth.dice import Dice
from mdm.synth.tables import REGISTRIES, ErrorRates, Registry, error_rates, presence

NAME = "Nguyễn Thị Ánh Đào"
CLEAN = ErrorRates(*[0.0] * len(dataclasses.fields(ErrorRates)))


@pytest.mark.parametrize(
    ("error", "written", "reason"),
    [
        ("all_caps", "NGUYỄN THỊ ÁNH ĐÀO", "forms are filled in capitals"),
        ("diacritics_lost", "Nguyen Thi Anh Dao", "bank and insurance exports"),
        ("legacy_font", "Nguyeãn Thò AÙnh Ñaøo", "a VNI document shown as Latin-1"),
        ("eth_for_d_stroke", "Nguyễn Thị Ánh Ðào", "the Icelandic letter looks alike"),
        ("decomposed", unicodedata.normalize("NFD", NAME), "a Mac wrote it"),
    ],
)
def test_a_slip_is_written_as_real_lists_show_it(error: str, written: str, reason: str) -> None:
    rates = dataclasses.replace(CLEAN, **{error: 1.0})
    assert corruption.name_as_written(NAME, rates, Dice(1, 1)) == written, reason


@pytest.mark.parametrize(
    ("name", "written"), [("Buổi", "Buoåi"), ("Việt", "Vieät"), ("Đỗ", "Ñoã"), ("Dương Tuyết", "Döông Tuyeát")]
)
def test_the_legacy_font_gives_the_debris_of_real_lists(name: str, written: str) -> None:
    assert corruption.legacy_font(name) == written


def test_typing_residue_is_telex_or_vni_keys() -> None:
    dice = Dice(1, 1)
    assert {corruption.typed("Nguyễn Văn Hùng", dice) for _ in range(40)} == {
        "Nguyeenx Vawn Hungf",
        "Nguye6n4 Va8n Hung2",
    }


def test_a_clean_desk_changes_nothing() -> None:
    dice = Dice(1, 1)
    assert all(corruption.name_as_written(NAME, CLEAN, dice) == NAME for _ in range(200))
    assert all(corruption.birth_as_known(date(1961, 2, 3), CLEAN, dice) == date(1961, 2, 3) for _ in range(200))


def test_a_typo_changes_one_place_and_never_the_first_letter() -> None:
    dice = Dice(1, 1)
    for _ in range(300):
        wrong = corruption.typo("Trần Văn Bình", dice)
        assert abs(len(wrong) - 13) <= 1
        assert wrong[0] == "T"


def test_a_shorter_middle_keeps_surname_and_given_name() -> None:
    dice = Dice(1, 1)
    seen = {corruption.shorter_middle("Lê Thị Thu Hà", dice) for _ in range(100)}
    assert seen == {"Lê Thị Hà", "Lê Thu Hà", "L.T.T.Hà", "Lê T. T. Hà"}


def test_one_wrong_digit_is_exactly_one() -> None:
    dice = Dice(1, 1)
    for _ in range(200):
        wrong = corruption.one_digit_wrong("079078123456", dice)
        assert sum(left != right for left, right in zip(wrong, "079078123456", strict=True)) == 1


@pytest.mark.parametrize("born_on", [date(1960, 2, 29), date(2000, 12, 31), date(1950, 1, 12), date(2026, 9, 30)])
def test_every_slip_of_a_birth_date_is_still_a_date(born_on: date) -> None:
    dice = Dice(1, 1)
    rates = dataclasses.replace(CLEAN, birth_day_month_swapped=0.3, birth_digit_wrong=0.5, birth_lunar=0.5)
    known = {corruption.birth_as_known(born_on, rates, dice) for _ in range(300)}
    assert len(known) > 2


@pytest.mark.parametrize("registry", REGISTRIES)
def test_slips_over_all_desks_are_as_frequent_as_the_table_says(registry: Registry) -> None:
    clerks = Clerks(registry, "default", 4_000_000, 7, Dice(7, 1))
    table = error_rates(registry, "default")
    desks = [clerks.desk().rates for _ in range(20_000)]
    for error in ("name_typo", "middle_dropped", "birth_digit_wrong", "sex_wrong"):
        mean = sum(getattr(rates, error) for rates in desks) / len(desks)
        assert mean == pytest.approx(getattr(table, error), rel=0.08), error
    assert {rates.all_caps for rates in desks} == {table.all_caps}, "a convention does not depend on care"


def test_a_careless_desk_is_bad_in_everything() -> None:
    clerks = Clerks("hospital", "default", 400_000, 7, Dice(7, 1))
    desks = sorted((clerks.desk().rates for _ in range(1000)), key=lambda rates: rates.name_typo)
    worst, median = desks[-1], desks[500]
    assert worst.name_typo > 3 * median.name_typo
    assert worst.birth_digit_wrong > 3 * median.birth_digit_wrong


def test_the_hard_city_slips_more_and_states_fewer_numbers() -> None:
    for registry in REGISTRIES:
        assert error_rates(registry, "hard").name_typo == pytest.approx(2 * error_rates(registry, "default").name_typo)
        hard, default = presence(registry, "hard"), presence(registry, "default")
        assert hard.personal_id_adult < default.personal_id_adult
