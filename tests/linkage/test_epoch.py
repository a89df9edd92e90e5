"""The statistics epoch: priors, frequencies of names seen and unseen, and a form that reveals no name."""

from __future__ import annotations

import math
import zlib

import pytest

from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError
from mdm.linkage.epoch import PRIOR_MAX, UNLISTED_SHARE_MIN, StatisticsEpoch
from mdm.linkage.features import CitizenFeatures, Features
from mdm.linkage.specification import CITIZEN_SPECIFICATION, STRANGERS_BIRTHDAY_COUNT

RECORDS: list[Features] = [
    *[CitizenFeatures(name="nguyen thi hoa")] * 6,
    *[CitizenFeatures(name="nguyen van hoa")] * 2,
    CitizenFeatures(name="tran van nam"),
    CitizenFeatures(name="ton that bach"),
    CitizenFeatures(),
]
EPOCH = StatisticsEpoch.from_records(EntityKind.CITIZEN, RECORDS, 10_000)


@pytest.mark.parametrize(
    ("name", "expected", "reason"),
    [
        ("nguyen thi hoa", 6 / 10, "counted"),
        ("nguyen van hoa", 2 / 10, "counted"),
        ("tran van nam", 1 / 11, "borne once: the product of its words lies below the floor"),
        ("hoa thi nguyen", 8 / 10 * 6 / 10 * 8 / 10, "unseen, of common words"),
        ("xa la", 1 / 11, "never seen at all: the floor"),
    ],
)
def test_name_frequency(name: str, expected: float, reason: str) -> None:
    assert EPOCH.share("name")(name) == pytest.approx(expected), reason


def test_expected_strangers_grow_with_the_population() -> None:
    assert EPOCH.expected_strangers("nguyen thi hoa") == pytest.approx(10_000 * 0.6 / STRANGERS_BIRTHDAY_COUNT)
    larger = EPOCH.with_population(20_000)
    assert larger.expected_strangers("nguyen thi hoa") == pytest.approx(2 * EPOCH.expected_strangers("nguyen thi hoa"))


def test_the_prior_is_one_in_the_population_and_held_for_a_service_that_just_started() -> None:
    assert EPOCH.prior == pytest.approx(1e-4)
    assert EPOCH.prior_bits == pytest.approx(math.log2(1e-4 / (1 - 1e-4)))
    assert EPOCH.with_population(3).prior == PRIOR_MAX
    assert EPOCH.with_population(0).prior == PRIOR_MAX


def test_an_epoch_survives_its_bytes_and_is_equal_by_content() -> None:
    again = StatisticsEpoch.from_bytes(EPOCH.to_bytes())
    assert again == EPOCH
    assert hash(again) == hash(EPOCH)
    assert again.share("name")("nguyen thi hoa") == EPOCH.share("name")("nguyen thi hoa")
    assert again.with_population(9) != EPOCH
    reordered = StatisticsEpoch.from_records(EntityKind.CITIZEN, RECORDS[::-1], 10_000)
    assert reordered.digest == EPOCH.digest


def test_an_epoch_holds_no_name_in_clear() -> None:
    plain = zlib.decompress(EPOCH.to_bytes())
    assert not [word for word in (b"nguyen", b"hoa", b"tran", b"bach") if word in plain]


@pytest.mark.parametrize("body", [b"", b"no epoch", zlib.compress(b"no epoch"), EPOCH.to_bytes()[:-9]])
def test_other_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(ConfigurationError, match="epoch"):
        StatisticsEpoch.from_bytes(body)


@pytest.mark.parametrize("kind", EntityKind)
def test_the_shipped_epoch_is_of_its_kind(kind: EntityKind) -> None:
    epoch = StatisticsEpoch.default(kind)
    assert epoch.kind == kind
    assert epoch.population > 1_000


def test_the_register_of_residents_says_how_much_of_the_population_it_lacks() -> None:
    listed = [CitizenFeatures(name="le thi sau", household=f"household:{number}") for number in range(90)]
    epoch = StatisticsEpoch.from_records(EntityKind.CITIZEN, [*listed, *RECORDS], 100)
    assert epoch.unlisted_share == pytest.approx(0.1)
    assert epoch.with_population(1000).unlisted_share == pytest.approx(0.91)
    assert epoch.with_population(80).unlisted_share == UNLISTED_SHARE_MIN, "no register is complete"
    assert EPOCH.unlisted_share == 1.0, "without a register nobody is listed"
    assert StatisticsEpoch.from_bytes(epoch.to_bytes()).unlisted_share == epoch.unlisted_share


def test_a_phone_weighs_less_the_more_records_share_it_beyond_a_household() -> None:
    family = [CitizenFeatures(phone="84901")] * 8
    clinic = [CitizenFeatures(phone="84902")] * 64
    level = CITIZEN_SPECIFICATION.comparison("phone").levels[1]
    epoch = StatisticsEpoch.from_records(EntityKind.CITIZEN, [*family, *clinic], 72)
    frequency = epoch.term_frequency(level, 1e-3)
    assert level.sharers_free_max == 8
    assert frequency("84901") == pytest.approx(1e-3)
    assert frequency("84902") == pytest.approx(8e-3), "three doublings, three bits"
    assert frequency("84903") == pytest.approx(1e-3), "never seen"
