"""Random lives of a small city with real runs: planned, committed, taken back, in any order with everything else.

The batch process's own code runs here in this process, because a hundred interpreters would take minutes to start.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId
from mdm.domain.records import SourceRecord
from mdm.limits import RELINK_MEMORY_BYTES
from mdm.resolve import relink_process
from mdm.resolve.commands import CommitRelink, Request, RunAnswer
from mdm.resolve.relink_runs import WORK_DIRECTORY, Phase, new_run, read_state
from tests.resolve.office import Office, citizen

EXAMPLES = int(os.environ.get("MDM_RELINK_MACHINE_EXAMPLES", "6"))
STEPS = 14

NAMES = ("Nguyễn Thị Thúy", "Huỳnh Ngọc Bảo Trâm", "Lý Quốc Cường")
PHONES = ("", "0903123456", "0911222333")
KEYS = [(registry, name) for registry in ("hospital", "household") for name in ("A", "B", "C", "D")]
keys = st.sampled_from(KEYS)


def record(key: tuple[str, str], name: str, phone: str) -> SourceRecord:
    return citizen(key[1], name, registry=key[0], phone=phone, address="")


class CityMachine(RuleBasedStateMachine):
    """A writer at work, and beside it every golden ID ever seen with what must hold of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.office = Office(self.folder / "data")
        self.stored: set[tuple[str, str]] = set()
        self.committed: list[tuple[str, int, dict[GoldenId, tuple[object, ...]]]] = []
        """Runs with the position behind them and all golden IDs before them."""
        self.retired: set[GoldenId] = set()
        self.issued: dict[GoldenId, int] = {}
        """Golden ID → position at which it was minted."""

    def teardown(self) -> None:
        differences = self.office.differences(self.folder / "replayed")
        self.office.close()
        shutil.rmtree(self.folder)
        assert differences == []

    @rule(key=keys, name=st.sampled_from(NAMES), phone=st.sampled_from(PHONES), later=st.booleans())
    def a_record_arrives(self, key: tuple[str, str], name: str, phone: str, later: bool) -> None:  # noqa: FBT001
        self.office.put(record(key, name, phone), later=later)
        self.stored.add(key)

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def a_record_goes(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.stored)))
        self.office.drop(record(key, NAMES[0], "").key)

    @precondition(lambda self: len(self.stored) > 1)
    @rule(data=st.data(), verdict=st.none() | st.sampled_from(list(Verdict)))
    def a_steward_judges(self, data: st.DataObject, verdict: Verdict | None) -> None:
        pair = data.draw(st.lists(st.sampled_from(sorted(self.stored)), min_size=2, max_size=2, unique=True))
        left, right = (record(key, NAMES[0], "").key for key in pair)
        self.office.judge(left, right, verdict)

    @precondition(lambda self: self.stored)
    @rule(is_disturbed=st.booleans())
    def a_relinkage_is_committed(self, is_disturbed: bool) -> None:  # noqa: FBT001
        run_id = self.planned()
        if is_disturbed:
            self.office.put(record(KEYS[0], NAMES[1], PHONES[1]))
            self.stored.add(KEYS[0])
        before = self.office.goldens()
        self.commit(run_id)
        self.committed.append((run_id, self.office.seq, before))

    @precondition(lambda self: self.committed)
    @rule(data=st.data())
    def a_relinkage_is_taken_back(self, data: st.DataObject) -> None:
        run_id, seq, before = data.draw(st.sampled_from(self.committed))
        is_untouched = self.office.seq == seq
        left = self.office.goldens()
        reversal = self.planned(reverts=run_id)
        self.commit(reversal)
        self.committed.append((reversal, self.office.seq, left))
        found = read_state(self.office.directory.relinks, reversal).reversal
        assert found is not None
        if is_untouched and found.kept_pending_count == 0 and run_id not in {each[0] for each in self.reversals()}:
            after = self.office.goldens()
            assert {identifier: after[identifier] for identifier in before} == before
            assert all(after[identifier][-1] for identifier in after.keys() - before.keys())

    def reversals(self) -> list[tuple[str, int, dict[GoldenId, tuple[object, ...]]]]:
        return [each for each in self.committed if read_state(self.office.directory.relinks, each[0]).reverts]

    def planned(self, reverts: str = "") -> str:
        relinks = self.office.directory.relinks
        state = new_run(relinks, memory_limit_bytes=RELINK_MEMORY_BYTES, reverts=reverts)
        work = relinks / state.run_id / WORK_DIRECTORY
        # The first stage is done here: a process opens an index once, and the writer has it open.
        relink_process._prepare(work)
        self.office.writer._index.copy(work / "index")
        relink_process.main(self.office.path, state.run_id)
        assert read_state(relinks, state.run_id).phase is Phase.PLANNED
        return state.run_id

    def commit(self, run_id: str) -> None:
        (answer,) = self.office.execute(CommitRelink(Request(self.office.cause), run_id))
        assert isinstance(answer, RunAnswer)
        assert self.office.follow(run_id).phase is Phase.COMMITTED

    @invariant()
    def each_resolved_record_has_exactly_one_golden_id(self) -> None:
        members = self.office.members()
        found = [number for group in set(members.values()) for number in group]
        assert sorted(found) == sorted(members)
        for key in self.stored:
            source_key = record(key, NAMES[0], "").key
            entry = self.office.entry(source_key)
            assert (entry.golden_id is None) is (self.office.number(source_key) not in members)

    @invariant()
    def no_golden_id_is_ever_issued_again(self) -> None:
        with self.office.writer._index.read() as view:
            entries = dict(view.iter_goldens())
        for identifier, minted_seq in self.issued.items():
            assert entries[identifier].minted_seq == minted_seq
            assert entries[identifier].is_retired or identifier not in self.retired
        self.issued |= {identifier: entry.minted_seq for identifier, entry in entries.items()}
        self.retired = {identifier for identifier, entry in entries.items() if entry.is_retired}

    @invariant()
    def every_golden_id_answers(self) -> None:
        for identifier, (anchor, survivor, members, _, is_retired) in self.office.goldens().items():
            assert is_retired is (anchor is None)
            assert bool(members) is (survivor is None and not is_retired), identifier


TestCity = CityMachine.TestCase
TestCity.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize="MDM_RELINK_MACHINE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
