"""One specification for each entity kind: comparisons and blocking rules for Splink and the online path alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError
from mdm.linkage import business_evidence, businesses, citizen_evidence, citizens
from mdm.linkage.comparisons import BITS_UNBOUNDED, Comparison, Level
from mdm.linkage.features import AnyFeatures, BusinessFeatures, CitizenFeatures
from mdm.linkage.keys import Rule
from mdm.linkage.predicates import Equal, sql
from mdm.linkage.rules import Rules

SPECIFICATION_VERSION = 3
"""Raised with any change of comparisons or blocking rules: models and postings of another version are of no use."""

STRANGERS_BIRTHDAY_COUNT = 29_600
"""Effective number of birth dates among living citizens, from the published age distribution."""


class Specification(msgspec.Struct, frozen=True):
    """Comparisons, blocking and rules of evidence of one kind of record."""

    kind: str
    """An entity kind; another name for records of a kind that the service does not keep, see `declare`."""
    features_type: type[AnyFeatures]
    comparisons: tuple[Comparison, ...]
    blocking_rules: tuple[Rule, ...]
    rules: Rules
    training_rules: tuple[tuple[str, ...], ...]
    """Columns that expectation maximisation blocks on, one run each; together they leave every comparison free once."""

    def comparison(self, name: str) -> Comparison:
        """Return the comparison of this name."""
        return self.comparisons[self.position(name)]

    @property
    def term_frequency_levels(self) -> dict[str, tuple[Comparison, Level]]:
        """By column, the level whose weight depends on how common the value is.

        Several levels may go by one column if none sets `sharers_free_max`, for all go by the same frequencies.
        """
        return {
            level.term_frequency_column: (comparison, level)
            for comparison in self.comparisons
            for level in comparison.levels
            if level.term_frequency_column
        }

    def position(self, name: str) -> int:
        """Return the 0-based place of the comparison of this name."""
        return next(place for place, comparison in enumerate(self.comparisons) if comparison.name == name)


CITIZEN_SPECIFICATION = Specification(
    EntityKind.CITIZEN,
    CitizenFeatures,
    citizens.COMPARISONS,
    citizens.BLOCKING_RULES,
    citizen_evidence.RULES,
    (("birth_date", "sex"), ("name",), ("personal_id",)),
)

BUSINESS_SPECIFICATION = Specification(
    EntityKind.BUSINESS,
    BusinessFeatures,
    businesses.COMPARISONS,
    businesses.BLOCKING_RULES,
    business_evidence.RULES,
    (("tax_code",), ("name_sorted",)),
)

Parameters = Callable[[Comparison, Level], tuple[float, float]]
"""Gives m and u of a level."""


_BY_KIND: dict[str, Specification] = {}
_BY_TYPE: dict[type[AnyFeatures], Specification] = {}


def declare(specification: Specification) -> None:
    """Make a specification known under its kind and its features' type.

    The service's two are; a third is for records of other people's making, such as public data sets with a truth.
    """
    _BY_KIND[specification.kind] = specification
    _BY_TYPE[specification.features_type] = specification


declare(CITIZEN_SPECIFICATION)
declare(BUSINESS_SPECIFICATION)


def specification_of(kind: str) -> Specification:
    """Return the specification of this kind.

    Raises:
        ConfigurationError: Nobody declared one.
    """
    if kind not in _BY_KIND:
        raise ConfigurationError("kind", "is none that records are linked of")
    return _BY_KIND[kind]


def specification_for(features: AnyFeatures) -> Specification:
    """Return the specification of these features."""
    return _BY_TYPE[type(features)]


def held(level: Level, m: float, u: float) -> tuple[float, float]:
    """Return m and u with the level's weight brought within its bounds, to 6 significant digits.

    u gives way, for m is what the level's own matches show; m gives way only where u would pass 1. Six digits hold
    results apart from the order in which threads happened to add.
    """
    m = min(m, 2.0**level.bits_max)
    u = min(max(u, m / 2.0**level.bits_max), m / 2.0**level.bits_min, 1.0)
    return float(f"{m:.6g}"), float(f"{u:.6g}")


def starting_parameters(_comparison: Comparison, level: Level) -> tuple[float, float]:
    """Return the m and u that stand in the specification."""
    return level.m, level.u


def splink_settings(
    specification: Specification, parameters: Parameters = starting_parameters, prior: float = 1e-5
) -> dict[str, Any]:
    """Return Splink 5 settings (its JSON model format) for this specification.

    Args:
        specification: What to compare.
        parameters: m and u of each level.
        prior: Probability that two random records match.
    """
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "number",
        "probability_two_random_records_match": prior,
        "sql_dialect": "duckdb",
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "additional_columns_to_retain": [],
        # Candidates come from `pairs`, registered before prediction; Splink still wants one rule here.
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": 'l."number" = r."number"', "sql_dialect": "duckdb"}
        ],
        "em_convergence": 0.0001,
        "max_iterations": 25,
        "comparisons": [_comparison_settings(comparison, parameters) for comparison in specification.comparisons],
    }


def _comparison_settings(comparison: Comparison, parameters: Parameters) -> dict[str, Any]:
    return {
        "output_column_name": comparison.name,
        "comparison_description": comparison.name,
        "comparison_levels": [_level_settings(comparison, level, parameters) for level in comparison.levels],
    }


def _level_settings(comparison: Comparison, level: Level, parameters: Parameters) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "sql_condition": "ELSE" if level.predicate is None else sql(level.predicate),
        "label_for_charts": level.label,
    }
    if level.is_missing:
        return settings | {"is_null_level": True}
    settings["m_probability"], settings["u_probability"] = held(level, *parameters(comparison, level))
    if level.term_frequency_column:
        settings |= {"tf_adjustment_column": level.term_frequency_column, "tf_adjustment_weight": 1.0}
        if level.predicate != Equal(level.term_frequency_column):
            # The share stands in for the level's own u, whatever holds beside or instead of equality.
            settings["disable_tf_exact_match_detection"] = True
        if lowest := frequency_min(level, settings["m_probability"]):
            settings["tf_minimum_u_value"] = lowest
    return settings


def frequency_min(level: Level, m: float) -> float:
    """Return the frequency below which no value makes the level weigh more, 0.0 if there is none."""
    # A level with free sharers weighs no more than its own u lets it.
    is_bounded = level.bits_max < BITS_UNBOUNDED and not level.sharers_free_max
    return m / 2.0**level.bits_max if is_bounded else 0.0


def learned_parameters(settings: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """Return m and u of each level of Splink settings, by (comparison, label); None where Splink learned none."""
    found: dict[tuple[str, str], tuple[float | None, float | None]] = {}
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                key = (comparison["output_column_name"], level["label_for_charts"])
                found[key] = (level.get("m_probability"), level.get("u_probability"))
    return found
