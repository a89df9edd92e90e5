"""What an operator reads of a plan before committing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.domain.events import Verdict
from mdm.domain.keys import RecordNumber
from mdm.domain.records import SourceRecord
from mdm.resolve.relink_report import total
from mdm.resolve.relink_runs import (
    EXAMPLES_FILE,
    Change,
    Example,
    RegistryImpact,
    Report,
    RunState,
    SizeCount,
    read_examples,
)
from tests.resolve.office import Office, citizen
from tests.resolve.test_relink_revert import force

MERGED = [citizen("M1"), citizen("M2", registry="household")]
PARTED = [
    citizen("S1", "Lý Quốc Cường", "1950-01-02", sex="M", phone="0911222333", address=""),
    citizen("S2", "Vũ Đình Khải", "1961-07-08", sex="M", phone="0911222444", address=""),
]
MOVED = [
    citizen("V1", "Tạ Bích Loan", "1972-03-04", phone="0911222555", address=""),
    citizen("V2", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0911222666", address="", registry="household"),
    citizen("V3", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0911222666", address=""),
]
STAYS = citizen("T", "Tôn Nữ Hạnh", "1944-04-04", phone="", address="")
UNTOUCHED = citizen("U", "Mai Văn Tứ", "1939-09-09", sex="M", phone="", address="")
NEW = citizen("N", "Phùng Khắc Bình", "1980-05-06", sex="M", phone="", address="")
JOINED = citizen("J", "Tôn Nữ Hạnh", "1944-04-04", phone="", address="", registry="household")


@pytest.fixture
def planned(office: Office) -> tuple[Office, RunState, dict[Change, Example]]:
    """A plan with one component of each kind of change."""
    office.put_all([*MERGED, *PARTED, *MOVED, STAYS, UNTOUCHED])
    force(office, (MERGED[0],), (MERGED[1],))
    # V2's own ID goes with V1, so that it moves to V3's and the rest keeps one.
    office.put_all([NEW, JOINED], later=True)
    force(office, (PARTED[0], PARTED[1]), (MOVED[0], MOVED[1]), (MOVED[2],))
    office.judge(STAYS.key, JOINED.key, Verdict.SAME)
    state = office.relink(commit=False)
    examples = read_examples(office.directory.relinks, state.run_id)
    return office, state, {example.change: example for example in examples}


def numbers(office: Office, *records: SourceRecord) -> set[RecordNumber]:
    return {office.number(record.key) for record in records}


def test_every_kind_of_change_has_an_example(planned: tuple[Office, RunState, dict[Change, Example]]) -> None:
    office, _, examples = planned
    assert examples.keys() >= {Change.NEW, Change.JOINED, Change.MERGED, Change.SPLIT}
    merged = examples[Change.MERGED]
    assert {record.number for record in merged.records} == numbers(office, *MERGED)
    assert {record.before for record in merged.records} == {office.id_of(record) for record in MERGED}
    assert {record.after for record in merged.records} == {office.id_of(MERGED[0])}
    assert all(record.is_deciding for record in merged.records)
    assert merged.match_weight_bits is not None
    assert merged.match_weight_bits == pytest.approx(sum(step.bits for step in merged.steps))
    assert {"prior", "name", "birth", "phone"} <= {step.comparison for step in merged.steps}


def test_a_split_is_explained_by_a_pair_that_is_parted(
    planned: tuple[Office, RunState, dict[Change, Example]],
) -> None:
    office, _, examples = planned
    split = examples[Change.SPLIT]
    assert {record.number for record in split.records if record.is_deciding} == numbers(office, *PARTED)
    assert split.match_weight_bits is not None
    assert split.match_weight_bits < 0
    assert {step.comparison: step.level for step in split.steps}["name"] == "different"


def test_a_pending_record_has_no_golden_id_before_and_a_new_one_none_yet(
    planned: tuple[Office, RunState, dict[Change, Example]],
) -> None:
    office, _, examples = planned
    (new,) = examples[Change.NEW].records
    assert (new.number, new.before, new.after) == (office.number(NEW.key), None, None)
    joined = {record.number: record for record in examples[Change.JOINED].records}
    found = joined[office.number(JOINED.key)]
    assert (found.before, found.after) == (None, office.id_of(STAYS))


def test_counts_by_registry_and_size_and_the_largest(planned: tuple[Office, RunState, dict[Change, Example]]) -> None:
    office, state, _ = planned
    report = state.impacts["citizen"]
    assert report.registries == (
        RegistryImpact("hospital", "citizen", 8, 1, 1),
        RegistryImpact("household", "citizen", 3, 1, 2),
    )
    assert report.sizes[:3] == (SizeCount(1, 5, 5), SizeCount(2, 2, 3), SizeCount(3, 0, 0))
    assert sum(bar.after_count for bar in report.sizes) == report.golden_after_count
    assert [large.member_count for large in report.largest] == [2, 2, 2, 1, 1]
    assert report.largest[0].golden_id is not None
    by_id = {large.golden_id: large for large in report.largest}
    assert by_id[office.id_of(MERGED[0])].registries == {"hospital": 1, "household": 1}
    assert state.report is not None
    assert (state.report.unchanged_count, state.report.merged_count) == (1, 1)


def test_no_file_of_a_run_names_a_source_key(planned: tuple[Office, RunState, dict[Change, Example]]) -> None:
    office, state, _ = planned
    run = office.directory.relinks / state.run_id
    for name in (EXAMPLES_FILE, "state.json", "log.jsonl"):
        text = Path(run / name).read_text(encoding="utf-8")
        assert not any(f'"{record.key.record_id}"' in text for record in (*MERGED, *PARTED, *MOVED, STAYS, NEW, JOINED))


def test_the_whole_is_the_sum_and_its_churn_weighs_kinds_by_their_golden_ids() -> None:
    one = Report(record_count=10, golden_before_count=8, churn_share=0.5, merged_count=4, largest_member_count=3)
    other = Report(record_count=5, golden_before_count=2, churn_share=0.0, largest_member_count=7)
    whole = total([one, other])
    assert (whole.record_count, whole.merged_count, whole.largest_member_count) == (15, 4, 7)
    assert whole.churn_share == pytest.approx(0.4)
    assert total([]).churn_share == 0.0
