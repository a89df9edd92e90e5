"""The statistics epoch: priors, frequencies of names seen and unseen, and a form that reveals no name."""

from __future__ import annotations

import math
import zlib

import pytest

from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError
from mdm.linkage.epoch import PRIOR_MAX, StatisticsEpoch
from mdm.linkage.features import CitizenFeatures, Features
from mdm.linkage.specification import STRANGERS_BIRTHDAY_COUNT

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
