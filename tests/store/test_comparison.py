from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdm.domain.events import Cause, Event, Outcome, RecordResolved, RecordUpserted, Verdict
from mdm.domain.keys import EntityKind, RecordNumber, SourceKey, golden_id
from mdm.domain.state import Judgement
from mdm.limits import DIFFERENCES_SHOWN_MAX
from mdm.store.comparison import Difference, differences
from mdm.store.index import Index, IndexVersions
from mdm.store.transaction import IndexTransaction

CITIZEN = EntityKind.CITIZEN
POSTING = b"n" * 9
FIRST, MIDDLE, LAST = RecordNumber(1), RecordNumber(15), RecordNumber(30)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Index, Index]]:
    versions = IndexVersions("normaliser 1", "specification 1")
    with (
        Index.open(tmp_path / "left", versions=versions) as left,
        Index.open(tmp_path / "right", versions=versions) as right,
    ):
        for index in (left, right):
            with index.write() as txn:
                for number in map(RecordNumber, range(FIRST, LAST + 1)):
                    txn.put_raw(number, SourceKey("hospital", CITIZEN, str(number)), b"values")
                    upserted = RecordUpserted(number, "hospital", CITIZEN, number, b"hash")
                    txn.fold(Event(txn.applied_seq + 1, 1, 1, Cause(), upserted))
                    resolved = RecordResolved(number, golden_id(CITIZEN, number), True, Outcome.CREATED)
                    txn.fold(Event(txn.applied_seq + 1, 1, 1, Cause(), resolved))
                    txn.put_match_state(number, b"features", [POSTING])
        yield left, right


def test_equal_indexes_have_no_differences(pair: tuple[Index, Index]) -> None:
    assert differences(*pair) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda txn: txn.put_raw(MIDDLE, SourceKey("hospital", CITIZEN, "15"), b"other"),
            [Difference("raw", 0, 0, 1, ("record 15",))],
        ),
        (
            lambda txn: txn.put_judgement((FIRST, LAST), Judgement(Verdict.SAME)),
            [
                Difference("judgements", 0, 1, 0, ("records 1 and 30",)),
                Difference("counts", 0, 1, 0, ("judgements same",)),
            ],
        ),
        (
            lambda txn: txn.put_setting("model:citizen", "digest"),
            [Difference("settings", 0, 1, 0, ("model:citizen",))],
        ),
        (
            lambda txn: txn.put_match_state(LAST, b"features", [b"m" * 9]),
            [Difference("posting_keys", 0, 0, 1, ("record 30",)), Difference("postings", 1, 1, 0, ("record 30",) * 2)],
        ),
        (
            lambda txn: txn.put_relation_state(LAST, [b"r" * 9], b"households"),
            [
                Difference("relation_states", 0, 1, 0, ("record 30",)),
                Difference("relations", 0, 1, 0, ("record 30",)),
            ],
        ),
        (
            lambda txn: txn.drop_match_state(FIRST),
            [
                Difference("features", 1, 0, 0, ("record 1",)),
                Difference("posting_keys", 1, 0, 0, ("record 1",)),
                Difference("postings", 1, 0, 0, ("record 1",)),
            ],
        ),
        (
            lambda txn: txn.put_golden(golden_id(CITIZEN, 77), txn.golden(golden_id(CITIZEN, 1))),
            [
                Difference("goldens", 0, 1, 0, (f"golden {golden_id(CITIZEN, 77)}",)),
                Difference("counts", 0, 0, 1, ("goldens C active",)),
            ],
        ),
    ],
    ids=[
        "another value",
        "one entry more",
        "a setting",
        "a posting moved",
        "a relation",
        "one entry less",
        "a golden ID more",
    ],
)
def test_each_difference_is_counted_and_named_without_values(
    pair: tuple[Index, Index], change: Callable[[IndexTransaction], None], expected: list[Difference]
) -> None:
    left, right = pair
    with right.write() as txn:
        change(txn)

    assert differences(left, right) == expected
    assert [each.database for each in differences(right, left)] == [each.database for each in expected]


def test_an_index_behind_the_other_differs_in_its_position(pair: tuple[Index, Index]) -> None:
    left, right = pair
    with right.write() as txn:
        resolved = RecordResolved(FIRST, golden_id(CITIZEN, 1), False, Outcome.LINKED)
        txn.fold(Event(txn.applied_seq + 1, 1, 1, Cause(), resolved))

    assert differences(left, right) == [Difference("meta", 0, 0, 1, ("applied_seq",))]


def test_many_differences_are_all_counted_and_some_are_named(pair: tuple[Index, Index]) -> None:
    left, right = pair
    with right.write() as txn:
        for number in map(RecordNumber, range(FIRST, LAST + 1)):
            txn.drop_match_state(number)

    features = differences(left, right)[0]
    assert features.only_left_count == LAST
    assert len(features.examples) == DIFFERENCES_SHOWN_MAX
