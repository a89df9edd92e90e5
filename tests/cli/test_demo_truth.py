"""Precision and recall are counted in pairs of records."""

from __future__ import annotations

from mdm.cli.demo_truth import quality
from mdm_client import EntityKind, SourceKey


def key(record_id: str, kind: EntityKind = EntityKind.CITIZEN) -> SourceKey:
    return SourceKey("hospital", kind, record_id)


TRUTH = {key("1"): "an", key("2"): "an", key("3"): "an", key("4"): "binh"}


def test_the_truth_itself_is_perfect() -> None:
    found = quality(TRUTH, TRUTH, EntityKind.CITIZEN)
    assert (found.precision, found.recall, found.f1) == (1.0, 1.0, 1.0)
    assert (found.right_pair_count, found.golden_count) == (3, 2)


def test_a_wrong_merge_costs_precision_and_a_missed_one_recall() -> None:
    crosswalk = {key("1"): "C-1", key("2"): "C-1", key("3"): "C-2", key("4"): "C-2"}
    found = quality(crosswalk, TRUTH, EntityKind.CITIZEN)
    assert (found.right_pair_count, found.wrong_pair_count, found.missed_pair_count) == (1, 1, 2)
    assert found.precision == 1 / 2
    assert found.recall == 1 / 3


def test_a_record_without_a_golden_id_stands_alone() -> None:
    found = quality({key("1"): "C-1"}, TRUTH, EntityKind.CITIZEN)
    assert (found.precision, found.recall, found.missed_pair_count) == (1.0, 0.0, 3)


def test_kinds_are_counted_apart() -> None:
    truth = TRUTH | {key("1", EntityKind.BUSINESS): "shop", key("2", EntityKind.BUSINESS): "shop"}
    assert quality(truth, truth, EntityKind.BUSINESS).right_pair_count == 1
