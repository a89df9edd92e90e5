"""A linkage model: Splink's own settings with learned m and u, our thresholds, and where it all came from."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError
from mdm.linkage.specification import (
    SPECIFICATION_VERSION,
    Parameters,
    Specification,
    specification_of,
    splink_settings,
    starting_parameters,
)

FORMAT_VERSION = 1


class Thresholds(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the bands lie. Bits of match weight: 0 is even odds, 10 is 999 in 1,000."""

    link_bits: float
    """At and above it a pair links, if the evidence suffices and nothing forbids it."""
    review_bits: float
    """At and above it a pair becomes a potential match for a steward."""
    lead_bits: float
    """How far the best candidate must lie above another that excludes it."""
    move_margin_bits: float
    """How much better than its present golden record another must be before a changed record moves."""
    coincidence_max: float
    """Expected strangers with the same name and birth date below which these two alone may link."""
    joint_bits_min: float = 0.0
    """Two golden records may be one only if the mean of their members' pair weights lies above it. Below 0 where most
    records state so little that one bearer's do not know each other, but only the fullest among them."""


class Provenance(msgspec.Struct, frozen=True):
    """What a model was learned from."""

    source: str
    """`specification` for the starting values, else a description of the snapshot."""
    record_count: int = 0
    seed: int = 0
    trained_on: str = ""
    """`yyyy-mm-dd`, as the caller says."""
    libraries: dict[str, str] = {}


DEFAULT_THRESHOLDS: dict[str, Thresholds] = {
    EntityKind.CITIZEN: Thresholds(
        link_bits=7.0, review_bits=6.0, lead_bits=3.0, move_margin_bits=4.0, coincidence_max=5e-4
    ),
    EntityKind.BUSINESS: Thresholds(
        link_bits=7.0, review_bits=3.0, lead_bits=3.0, move_margin_bits=4.0, coincidence_max=5e-4
    ),
}


class Model(msgspec.Struct, frozen=True):
    """What the linker knows, without the statistics of the city at hand. Its digest names it in every decision."""

    format_version: int
    kind: str
    specification_version: int
    thresholds: Thresholds
    provenance: Provenance
    splink: dict[str, Any]
    """Splink's model file: comparisons, levels, m and u. Its prior is superseded by the epoch's."""

    @classmethod
    def build(
        cls,
        kind: str,
        parameters: Parameters = starting_parameters,
        thresholds: Thresholds | None = None,
        provenance: Provenance | None = None,
    ) -> Model:
        """Return a model of our specification with these m and u."""
        return cls(
            FORMAT_VERSION,
            kind,
            SPECIFICATION_VERSION,
            thresholds or DEFAULT_THRESHOLDS[kind],
            provenance or Provenance("specification"),
            splink_settings(specification_of(kind), parameters),
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Model:
        """Read a model.

        Raises:
            ConfigurationError: Not a model, of another format or specification, or its levels are not ours.
        """
        try:
            model = msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError as error:
            raise ConfigurationError("model", "is not a linkage model of this version") from error
        if model.format_version != FORMAT_VERSION:
            raise ConfigurationError("model.format_version", f"must be {FORMAT_VERSION}")
        if model.specification_version != SPECIFICATION_VERSION:
            raise ConfigurationError("model.specification_version", f"must be {SPECIFICATION_VERSION}; train again")
        _check_levels(model.splink, specification_of(model.kind))
        return model

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model file. Raises as `from_bytes`."""
        return cls.from_bytes(path.read_bytes())

    @classmethod
    def default(cls, kind: str) -> Model:
        """Return the model that ships with the package."""
        return cls.from_bytes((resources.files("mdm.linkage") / "models" / f"{kind}.json").read_bytes())

    def to_bytes(self) -> bytes:
        """Return the model as indented JSON, the same bytes for the same model."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1) + b"\n"

    def save(self, path: Path) -> None:
        """Write the model file."""
        path.write_bytes(self.to_bytes())

    @property
    def digest(self) -> str:
        """32 hexadecimal digits over the content."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()

    @property
    def specification(self) -> Specification:
        """The comparisons and blocking rules that the model fills with weights."""
        return specification_of(self.kind)


def _check_levels(settings: dict[str, Any], specification: Specification) -> None:
    def outline(candidate: dict[str, Any]) -> list[tuple[str, list[tuple[Any, ...]]]]:
        return [
            (
                comparison["output_column_name"],
                [
                    (
                        level["sql_condition"],
                        level["label_for_charts"],
                        bool(level.get("is_null_level")),
                        level.get("tf_adjustment_column"),
                    )
                    for level in comparison["comparison_levels"]
                ],
            )
            for comparison in candidate["comparisons"]
        ]

    try:
        same = outline(settings) == outline(splink_settings(specification))
    except (KeyError, TypeError) as error:
        raise ConfigurationError("model.splink", "is not a Splink model") from error
    if not same:
        raise ConfigurationError("model.splink", "has other comparison levels than the specification")
