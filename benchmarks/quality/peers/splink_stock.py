"""Plain Splink: stock comparisons on plain columns, trained as its tutorial says: what a user has in an hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.blocking_rule_library import CustomRule

from benchmarks.quality.datasets import Numbers
from benchmarks.quality.peers.process import PeerResult
from mdm.domain.keys import EntityKind

ADVISED_THRESHOLD = "0.95"
"""As Splink's tutorials cluster."""

THRESHOLDS = ("0.5", "0.8", "0.9", "0.99", "0.999", "0.9999", "0.99999", "0.999999", "0.9999999")
"""Tried besides, so that its best can be told."""

PREDICTED_PROBABILITY_MIN = 0.5
U_PAIRS = 5_000_000
EM_PAIRS = 10_000_000
RECALL_OF_SURE_RULES = 0.8
"""Our guess of what the exact rules find, as the prior's estimate asks for."""

_Stock = tuple[SettingsCreator, list[Any], list[Any]]
"""Settings, rules that are sure enough to estimate the prior from, and rules to train on."""


def link(kind: str, rows: Path, seed: int) -> PeerResult:
    """Train, predict and cluster; settings differ by kind."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE plain AS SELECT * FROM read_parquet(?)", [str(rows)]).fetchall()
    (count,) = connection.execute("SELECT count(*) FROM plain").fetchall()[0]
    settings, sure, trained_on = _SETTINGS[kind]()
    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register("plain", dataset_display_name="plain_rows"), settings, log_level=logging.ERROR)
    began = time.monotonic()
    linker.training.estimate_probability_two_random_records_match(sure, recall=RECALL_OF_SURE_RULES)
    linker.training.estimate_u_using_random_sampling(max_pairs=U_PAIRS, seed=seed)
    for rule in trained_on:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True, max_pairs=EM_PAIRS
        )
    trained = time.monotonic()
    predictions = linker.inference.predict(threshold_match_probability=PREDICTED_PROBABILITY_MIN)
    clusters = {ADVISED_THRESHOLD: _clustered(linker, predictions, ADVISED_THRESHOLD, count)}
    ended = time.monotonic()
    for threshold in THRESHOLDS:
        clusters[threshold] = _clustered(linker, predictions, threshold, count)
    seconds = {"train": trained - began, "predict_and_cluster": ended - trained}
    return PeerResult(clusters, seconds, {"pairs": str(len(predictions.as_pyarrow_table()))})


def _clustered(linker: Linker, predictions: Any, threshold: str, count: int) -> Numbers:
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predictions, threshold_match_probability=float(threshold)
    ).as_pyarrow_table()
    codes = np.zeros(count, np.int64)
    codes[found.column("row").to_numpy()] = np.unique(found.column("cluster_id").to_numpy(), return_inverse=True)[1]
    return codes


def citizens() -> _Stock:
    """Return what plain Splink is told of citizens."""
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[
            block_on("personal_id"),
            block_on("insurance_number"),
            block_on("full_name", "birth_year"),
            block_on("given_name", "birth_date"),
            block_on("phone", "given_name"),
            block_on("full_name", "ward_code"),
        ],
        comparisons=[
            cl.NameComparison("full_name").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.ExactMatch("birth_year"),
            cl.ExactMatch("sex"),
            cl.LevenshteinAtThresholds("personal_id", [1, 2]),
            cl.ExactMatch("insurance_number"),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
        ],
    )
    sure = [block_on("personal_id"), block_on("insurance_number"), block_on("full_name", "birth_date")]
    return settings, sure, [block_on("full_name"), block_on("birth_date"), block_on("personal_id")]


def _businesses() -> _Stock:
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[
            block_on("tax_code"),
            block_on("phone"),
            block_on("legal_name"),
            block_on("address"),
            block_on("representative_name", "ward_code"),
            block_on("substr(legal_name, 1, 12)", "ward_code"),
        ],
        comparisons=[
            cl.NameComparison("legal_name").configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("tax_code", [1, 2]),
            cl.ExactMatch("phone"),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
            cl.ExactMatch("ward_code"),
        ],
    )
    sure = [block_on("tax_code"), block_on("legal_name", "ward_code")]
    return settings, sure, [block_on("tax_code"), block_on("ward_code")]


def _historical() -> _Stock:
    start = "substr(postcode_fake, 1, 3)"
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[
            block_on("first_name", "surname"),
            block_on("surname", "dob"),
            block_on("first_name", "dob"),
            block_on("postcode_fake", "first_name"),
            block_on("postcode_fake", "surname"),
            block_on("dob", "birth_place"),
            block_on(start, "dob"),
            block_on(start, "first_name"),
            block_on(start, "surname"),
            block_on("substr(first_name, 1, 2)", "substr(surname, 1, 2)", "substr(dob, 1, 4)"),
        ],
        comparisons=[
            cl.ForenameSurnameComparison("first_name", "surname", forename_surname_concat_col_name="first_and_surname"),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.PostcodeComparison("postcode_fake"),
            cl.ExactMatch("birth_place").configure(term_frequency_adjustments=True),
            cl.ExactMatch("occupation").configure(term_frequency_adjustments=True),
        ],
    )
    sure = [block_on("first_name", "surname", "dob"), block_on("dob", "postcode_fake")]
    return settings, sure, [block_on("first_name", "surname"), block_on("dob")]


def _febrl4() -> _Stock:
    def across(*columns: str) -> CustomRule:
        # Each file holds a person once, which plain Splink is told too.
        return CustomRule(" AND ".join([*(f"l.{each} = r.{each}" for each in columns), "l.registry <> r.registry"]))

    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[
            across("date_of_birth"),
            across("given_name", "surname"),
            across("postcode", "surname"),
            across("postcode", "given_name"),
            across("street_number", "address_1"),
            across("suburb", "surname"),
        ],
        comparisons=[
            cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison(
                "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
            ),
            cl.LevenshteinAtThresholds("address_1", [2]),
            cl.ExactMatch("street_number"),
            cl.LevenshteinAtThresholds("suburb", [2]),
            cl.LevenshteinAtThresholds("postcode", [1]),
            cl.ExactMatch("state"),
        ],
    )
    sure = [across("given_name", "surname", "date_of_birth"), across("surname", "street_number", "address_1")]
    return settings, sure, [block_on("date_of_birth"), block_on("postcode", "surname")]


def _uganda() -> _Stock:
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[
            block_on("phone_number"),
            block_on("date_of_birth"),
            block_on("given_name", "surname"),
        ],
        comparisons=[
            cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison(
                "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
            ),
            cl.ExactMatch("sex"),
            cl.LevenshteinAtThresholds("phone_number", [1, 2]),
        ],
    )
    sure = [block_on("phone_number", "given_name"), block_on("given_name", "surname", "date_of_birth")]
    return settings, sure, [block_on("phone_number"), block_on("date_of_birth")]


_SETTINGS: dict[str, Callable[[], _Stock]] = {
    EntityKind.CITIZEN: citizens,
    EntityKind.BUSINESS: _businesses,
    "historical": _historical,
    "febrl4": _febrl4,
    "uganda": _uganda,
}
