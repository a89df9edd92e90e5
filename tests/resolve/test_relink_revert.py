"""A re-linkage taken back: every golden ID as it was, except where something happened since."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mdm.domain import events as ev
from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import EntityKind, GoldenId
from mdm.domain.records import SourceRecord
from mdm.domain.rules import regroup
from mdm.linkage.epoch import StatisticsEpoch
from mdm.resolve.commands import CommitRelink, Request, RunAnswer, StartRelink
from mdm.resolve.group import Group
from mdm.resolve.relink_runs import PLAN_FILE, Phase, RunState
from tests.resolve.cities import city_records
from tests.resolve.office import Office, citizen

CITIZENS, SEED = 150, 5


def force(office: Office, *clusters: tuple[SourceRecord, ...]) -> None:
    """Group records by hand, as a linkage with another model might have done."""
    numbers = [[office.number(record.key) for record in cluster] for cluster in clusters]
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        for fact in regroup(txn, numbers, group.mint, reason=ev.RegroupReason.FRAGMENTS):
            group.add(ev.Cause(), fact)
        office.writer._journal.commit(group.batch)


@pytest.fixture
def merged(office: Office) -> tuple[Office, list[SourceRecord], list[GoldenId | None]]:
    """Three records of one bearer that stand apart, as if they had been loaded before anything was known."""
    same = [citizen(name) for name in ("A", "B", "C")]
    office.put_all(same)
    force(office, *((record,) for record in same))
    return office, same, [office.id_of(record) for record in same]


def test_golden_ids_questions_and_engines_come_back_as_they_were(office: Office, tmp_path: Path) -> None:
    records = city_records(CITIZENS, SEED)
    late = [record for record in records[::5] if record.key.kind is EntityKind.CITIZEN]
    office.put_all([record for record in records if record not in late])
    office.put_all(late, later=True)
    mislay(office, records, late)
    before, questions, engines = office.goldens(), office.questions(), office.engines()
    run = office.relink_here()
    assert run.phase is Phase.COMMITTED
    assert run.report is not None
    found = run.report
    assert min(found.merged_count, found.split_count, found.new_count, found.moved_record_count) > 0, found
    after, issued = office.goldens(), office.goldens().keys() - before.keys()
    assert (office.engines() != engines, office.questions() != questions, bool(issued)) == (True, True, True)

    reverted = office.revert(run.run_id)

    assert (reverted.phase, reverted.error) == (Phase.COMMITTED, "")
    assert {identifier: office.goldens()[identifier] for identifier in before} == before
    assert all(office.golden(identifier).is_retired for identifier in issued)
    assert office.questions() == questions
    assert office.engines() == engines
    assert after != before
    assert office.differences(tmp_path / "replay" / "reverted") == []


def mislay(office: Office, records: Sequence[SourceRecord], late: Sequence[SourceRecord]) -> None:
    """Put each pending record under the golden ID of somebody else, and two strangers under one: a run must mend it."""
    known = {record.key: record for record in records}
    members: dict[GoldenId, list[SourceRecord]] = {}
    for key, identifier in office.crosswalk().items():
        if key.kind is EntityKind.CITIZEN:
            members.setdefault(identifier, []).append(known[key])
    hosts = iter(members.values())
    clusters = [(*next(hosts), one, other) for one, other in zip(late[::2], late[1::2], strict=False)]
    clusters += [(*next(hosts), *next(hosts)) for _ in range(10)]
    force(office, *clusters)


def test_a_dry_run_changes_nothing_and_says_what_would_come_back(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
) -> None:
    office, same, ids = merged
    run = office.relink_here()
    assert [office.id_of(record) for record in same] == [ids[0]] * 3
    before = office.seq
    planned = office.revert(run.run_id, commit=False)
    assert planned.phase is Phase.PLANNED
    assert planned.reversal is not None
    assert (planned.reversal.restored_count, planned.reversal.restored_golden_count) == (1, 3)
    assert planned.reversal.restored_settings == ("epoch:citizen",)
    assert office.seq == before
    assert office.answer(ids[1]) == ids[0]


def test_reverting_twice_changes_nothing(merged: tuple[Office, list[SourceRecord], list[GoldenId | None]]) -> None:
    office, same, ids = merged
    run = office.relink_here()
    office.revert(run.run_id)
    assert [office.id_of(record) for record in same] == ids
    goldens, engines = office.goldens(), office.engines()
    again = office.revert(run.run_id)
    assert again.reversal is not None
    assert (again.reversal.restored_count, again.reversal.kept_changed_count) == (0, 1)
    assert again.reversal.restored_settings == ()
    assert (office.goldens(), office.engines()) == (goldens, engines)


def test_a_reversal_can_itself_be_taken_back(merged: tuple[Office, list[SourceRecord], list[GoldenId | None]]) -> None:
    office, same, ids = merged
    run = office.relink_here()
    goldens, engines = office.goldens(), office.engines()
    reversal = office.revert(run.run_id)
    assert [office.id_of(record) for record in same] == ids
    office.revert(reversal.run_id)
    assert (office.goldens(), office.engines()) == (goldens, engines)


LATER = [
    pytest.param(lambda o, r: o.judge(r[0].key, r[1].key, Verdict.SAME), (1, 0), id="a judgement"),
    pytest.param(lambda o, _: o.put(citizen("B", phone="0987654321")), (0, 1), id="other values"),
    pytest.param(lambda o, r: o.drop(r[1].key), (0, 1), id="a record deleted"),
    pytest.param(lambda o, _: o.put(citizen("D")), (0, 1), id="a record that joined"),
]


@pytest.mark.parametrize(("happens", "kept"), LATER)
@pytest.mark.parametrize("is_planned_before", [False, True])
def test_what_changed_or_was_judged_since_stays(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
    happens: object,
    kept: tuple[int, int],
    is_planned_before: bool,  # noqa: FBT001
) -> None:
    office, same, ids = merged
    apart = citizen("Z", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    other = citizen("Y", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    office.put_all([apart, other])
    force(office, (apart,), (other,))
    office.judge(apart.key, other.key, Verdict.SAME)
    parted = office.id_of(other)
    run = office.relink_here()
    assert office.id_of(other) == office.id_of(apart) != parted
    reversal = office.revert(run.run_id, commit=False) if is_planned_before else None
    happens(office, same)  # type: ignore[operator]
    if reversal is None:
        reversal = office.revert(run.run_id)
        assert reversal.reversal is not None
        assert (reversal.reversal.kept_judged_count, reversal.reversal.kept_changed_count) == kept
    else:
        reversal = _committed(office, reversal)
        assert reversal.report is not None
        assert reversal.report.dropped_component_count == 1
        assert office.number(same[0].key) in reversal.dropped[0]
    assert office.id_of(same[0]) == office.id_of(same[2]) == ids[0], "the component in which something happened stays"
    assert office.id_of(other) == parted, "the untouched one comes back"


def _committed(office: Office, state: RunState) -> RunState:

    (answer,) = office.execute(CommitRelink(Request(office.cause), state.run_id))
    assert isinstance(answer, RunAnswer)
    return office.follow(state.run_id)


def test_a_pending_record_keeps_the_golden_id_that_the_run_gave_it(office: Office) -> None:
    resolved, joined = citizen("A"), citizen("B")
    fresh = citizen("N", "Lý Quốc Cường", "1950-01-02", sex="M", phone="", address="")
    office.put(resolved)
    office.put_all([joined, fresh], later=True)
    run = office.relink_here()
    given = [office.id_of(record) for record in (joined, fresh)]
    assert given[0] == office.id_of(resolved)
    reverted = office.revert(run.run_id)
    assert reverted.reversal is not None
    assert (reverted.reversal.kept_pending_count, reverted.reversal.retired_golden_count) == (2, 0)
    assert [office.id_of(record) for record in (joined, fresh)] == given


STRANGER = citizen("S", "Lý Quốc Cường", "1950-01-02", sex="M", phone="0911222333", address="")
BEARER = citizen("P", "Lý Quốc Cường", "1950-01-02", sex="M", phone="0911222333", address="", registry="household")


@pytest.mark.parametrize("has_an_id", [False, True])
def test_a_pending_record_that_joined_what_the_run_parted_keeps_the_answer(
    office: Office,
    has_an_id: bool,  # noqa: FBT001
) -> None:
    # Two strangers under one ID; the run parts them, and a pending record joins the one that leaves.
    first = citizen("A")
    office.put(first)
    office.put(STRANGER, later=not has_an_id)
    force(office, (first, STRANGER))
    held = office.id_of(first)
    office.put(BEARER, later=True)
    run = office.relink_here()
    given = office.id_of(BEARER)
    assert given is not None
    assert given == office.id_of(STRANGER) != held
    office.revert(run.run_id)
    assert office.id_of(first) == office.id_of(STRANGER) == held
    if has_an_id:
        # An ID that redirected before redirects again, and takes along who answered under it.
        assert office.answer(given) == office.id_of(BEARER) == held
    else:
        # One that the run issued goes on for the pending record alone.
        assert office.answer(given) == office.id_of(BEARER) == given
        assert office.golden(given).anchor == office.number(BEARER.key)


def test_of_a_run_that_was_followed_by_another_only_the_untouched_comes_back(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
) -> None:
    office, same, ids = merged
    run = office.relink_here()
    office.judge(same[0].key, same[1].key, Verdict.DIFFERENT)
    later = office.relink_here()
    assert later.phase is Phase.COMMITTED
    assert office.id_of(same[0]) != office.id_of(same[1])
    goldens, engines = office.goldens(), office.engines()
    reverted = office.revert(run.run_id)
    assert reverted.phase is Phase.COMMITTED
    assert office.goldens() == goldens
    assert office.engines() == engines
    assert office.answer(ids[0]) == ids[0]


def test_an_engine_that_was_activated_since_stays(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
) -> None:
    office, _, _ = merged
    run = office.relink_here()
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})

        body = StatisticsEpoch.default(EntityKind.CITIZEN).with_population(12_345).to_bytes()
        digest = group.batch.put_artefact("epoch", body)
        group.add(ev.Cause(), ev.EpochActivated(EntityKind.CITIZEN, digest))
        office.writer._journal.commit(group.batch)
    office.revert(run.run_id)
    assert office.engines()["epoch:citizen"] == digest


def test_a_reversal_needs_none_of_the_runs_files(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
) -> None:
    office, same, ids = merged
    run = office.relink_here()
    assert not (office.directory.relinks / run.run_id / PLAN_FILE).exists()
    for path in sorted((office.directory.relinks / run.run_id).iterdir()):
        path.unlink()
    (office.directory.relinks / run.run_id).rmdir()
    office.revert(run.run_id)
    assert [office.id_of(record) for record in same] == ids


def test_a_run_that_was_never_committed_cannot_be_taken_back(
    merged: tuple[Office, list[SourceRecord], list[GoldenId | None]],
) -> None:

    office, _, _ = merged
    planned = office.relink(commit=False)
    for run_id in (planned.run_id, "20250101T000000-abcdef"):
        assert office.refused(StartRelink(Request(office.cause), reverts=run_id)) == "UnknownRunError"


def test_a_question_that_a_merge_answered_is_asked_again(office: Office) -> None:
    doubtful = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all(doubtful)
    asked = {("A", "B"): MatchReason.THIN_EVIDENCE}
    assert office.questions() == asked
    office.put(citizen("C", "Nguyễn Thị Thúy", phone="0903123456", address=""))
    office.judge(doubtful[0].key, doubtful[1].key, Verdict.SAME)
    questions = office.questions()
    run = office.relink_here()
    assert office.id_of(doubtful[0]) == office.id_of(doubtful[1])
    assert office.questions() != questions
    office.revert(run.run_id)
    assert office.id_of(doubtful[0]) != office.id_of(doubtful[1])
    # The steward's word stands, so that pair is not asked again; everything else is.
    assert office.questions() == {pair: reason for pair, reason in questions.items() if pair != ("A", "B")}
