"""Model files: the shipped ones are whole, and a file that does not fit the specification is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError
from mdm.linkage.comparisons import Meaning
from mdm.linkage.model import Model
from mdm.linkage.specification import SPECIFICATION_VERSION, held, learned_parameters


@pytest.mark.parametrize("kind", EntityKind)
def test_the_shipped_model_says_where_it_comes_from_and_keeps_the_bounds(kind: EntityKind) -> None:
    model = Model.default(kind)
    assert model.kind == kind
    assert model.specification_version == SPECIFICATION_VERSION
    assert model.provenance.record_count > 1_000
    assert set(model.provenance.libraries) == {"splink", "duckdb", "rapidfuzz"}
    learned = learned_parameters(model.splink)
    for comparison in model.specification.comparisons:
        for level in comparison.levels:
            if level.is_missing:
                continue
            m, u = learned[comparison.name, level.label]
            assert m is not None
            assert u is not None
            bits = math.log2(m / u)
            assert level.bits_min - 1e-4 <= bits <= level.bits_max + 1e-4, (comparison.name, level.label)
            if level.meaning in {Meaning.AGREES, Meaning.CONFLICTS}:
                assert (bits > 0) == (level.meaning is Meaning.AGREES), (comparison.name, level.label)


@pytest.mark.parametrize("kind", EntityKind)
def test_a_model_survives_its_file(kind: EntityKind, tmp_path: Path) -> None:
    model = Model.build(kind)
    model.save(tmp_path / "model.json")
    again = Model.load(tmp_path / "model.json")
    assert again == model
    assert again.digest == model.digest
    assert again.digest != Model.default(kind).digest


def test_a_joint_threshold_stands_in_the_file_only_where_it_is_set() -> None:
    # The digest names a model in every decision: a field that nobody set must not rename the models of old.
    model = Model.build(EntityKind.CITIZEN)
    assert b"joint_bits_min" not in model.to_bytes()
    lenient = msgspec.structs.replace(model, thresholds=msgspec.structs.replace(model.thresholds, joint_bits_min=-5.0))
    assert Model.from_bytes(lenient.to_bytes()) == lenient
    assert lenient.digest != model.digest


def _other_sql(document: dict[str, Any]) -> None:
    document["splink"]["comparisons"][0]["comparison_levels"][1]["sql_condition"] = "true"


def _fewer_comparisons(document: dict[str, Any]) -> None:
    document["splink"]["comparisons"].pop()


def _no_levels(document: dict[str, Any]) -> None:
    del document["splink"]["comparisons"][0]["comparison_levels"]


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("levels that run other SQL than the scorer", _other_sql, "other comparison levels"),
    ("a comparison is missing", _fewer_comparisons, "other comparison levels"),
    ("Splink settings without levels", _no_levels, "not a Splink model"),
    ("a later file format", lambda document: document.update(format_version=99), "format_version"),
    ("another specification", lambda document: document.update(specification_version=0), "train again"),
    (
        "an entity kind that we do not know",
        lambda document: document.update(kind="vehicle"),
        "none that records are linked of",
    ),
]


@pytest.mark.parametrize(("reason", "damage", "message"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_model_that_does_not_fit_is_refused(
    reason: str, damage: Callable[[dict[str, Any]], object], message: str
) -> None:
    document: dict[str, Any] = msgspec.json.decode(Model.default(EntityKind.CITIZEN).to_bytes())
    damage(document)
    with pytest.raises(ConfigurationError, match=message):
        Model.from_bytes(msgspec.json.encode(document))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a linkage model"):
        Model.from_bytes(b"\x00")


@pytest.mark.parametrize(
    ("m", "u", "bits"),
    [(0.5, 1e-9, 7.0), (0.5, 0.25, 1.0), (1e-6, 0.9, -12.0)],
    ids=["held to the bound above", "within the bounds", "held to the bound below"],
)
def test_a_weight_is_held_within_the_bounds_of_its_level(m: float, u: float, bits: float) -> None:
    level = next(
        level
        for comparison in Model.default(EntityKind.CITIZEN).specification.comparisons
        for level in comparison.levels
        if (comparison.name, level.label) == ("family", "same_mother")
    )
    held_m, held_u = held(level, m, u)
    assert math.log2(held_m / held_u) == pytest.approx(bits, abs=1e-4)
    assert held_u <= 1.0
