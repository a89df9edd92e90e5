"""Loads in the fold, and golden IDs that come back from retirement."""

from __future__ import annotations

from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.changes import ChangeKind, Changes, GoldenChange, apply_noting
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.loads import fresh_load_id, load_named, load_of, reverting
from mdm.domain.rules import departure
from mdm.domain.state import MemoryState

ONE, TWO = RecordNumber(1), RecordNumber(2)
FIRST, SECOND = golden_id(EntityKind.CITIZEN, 1), golden_id(EntityKind.CITIZEN, 2)
CAUSE = ev.Cause("loader", "nightly", "IngestRecords", "a")


class Town:
    def __init__(self) -> None:
        self.state = MemoryState()
        self.seq = 0

    def tell(self, *facts: ev.Fact) -> list[Changes]:
        found = []
        for fact in facts:
            self.seq += 1
            changes = apply_noting(self.state, ev.Event(self.seq, 1000 * self.seq, 1, CAUSE, fact))
            if changes is not None:
                found.append(changes)
        return found

    def bear(self, number: RecordNumber, issued: GoldenId) -> None:
        self.tell(
            ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, number, b""),
            ev.RecordResolved(number, issued, True, ev.Outcome.CREATED),
        )


def test_a_load_adds_up_and_the_same_name_gets_another_id() -> None:
    town = Town()
    town.tell(le.LoadStarted("a", "a", "hospital.patients", True, False, False, "d"))
    town.tell(le.LoadProgressed("a", 4, (("created", 3), ("stale", 1))), le.LoadProgressed("a", 6, (("created", 2),)))
    entry = load_of(town.state, "a")
    assert entry is not None
    assert (entry.outcomes, entry.is_open, entry.last_seq) == ({"created": 5, "stale": 1}, True, 3)
    assert (entry.actor, entry.purpose, entry.is_full, entry.content_digest) == ("loader", "nightly", True, "d")
    town.tell(le.LoadFinished("a", (("unchanged", 1),), 9, 2, 1))
    entry = load_of(town.state, "a")
    assert entry is not None
    assert (entry.outcomes["unchanged"], entry.row_count, entry.unchanged_count, entry.rejected_count) == (1, 9, 2, 1)
    assert not entry.is_open
    assert fresh_load_id(town.state, "a") == "a.2"
    town.tell(le.LoadStarted("a.2", "a", "hospital.patients"))
    named = load_named(town.state, "a")
    assert named is not None
    assert (named.load_id, named.before, town.state.setting("load:a")) == ("a.2", "a", "0")


def test_after_a_restore_no_load_gets_an_id_that_a_lost_one_may_have_had() -> None:
    town = Town()
    town.tell(le.LoadStarted("a", "a", "hospital.patients"), ev.JournalRestored(1_800_000_000, 1, 0, 0, 1))
    assert fresh_load_id(town.state, "a") == "a.1800000001"
    town.tell(le.LoadStarted("a.1800000001", "a", "hospital.patients"))
    assert fresh_load_id(town.state, "a") == "a.1800000002"


def test_loads_of_before_they_were_kept_fold_to_their_resume_point_alone() -> None:
    town = Town()
    town.tell(le.LoadProgressed("old", 7))
    assert (town.state.settings, load_of(town.state, "old")) == ({"load:old": "7"}, None)
    town.tell(le.LoadFinished("old"))
    assert town.state.settings == {"load:old": "0"}


def test_a_revert_is_noted_until_it_is_over() -> None:
    town = Town()
    town.tell(le.LoadStarted("a", "a", "hospital.patients"), le.LoadStarted("b", "b", "hospital.patients"))
    town.tell(le.LoadRevertStarted("a", 9, "slipped"), le.LoadRevertStarted("b", 9, "slipped"))
    assert reverting(town.state) == ["a", "b"]
    town.tell(le.LoadRevertProgressed("a", 1, (("restored", 2),)), le.LoadRevertProgressed("a", 1, (("restored", 1),)))
    town.tell(le.LoadRevertFinished("a"))
    entry = load_of(town.state, "a")
    assert entry is not None
    assert entry.revert is not None
    assert (entry.revert.outcomes, entry.revert.reason, entry.revert.finished_seq) == ({"restored": 3}, "slipped", 7)
    assert reverting(town.state) == ["b"]
    town.tell(le.LoadRevertFinished("b"))
    assert reverting(town.state) == []


def test_ids_that_were_retired_together_are_revived_together() -> None:
    town = Town()
    town.bear(ONE, FIRST)
    town.bear(TWO, SECOND)
    town.tell(ev.RecordsRegrouped((ev.Group(FIRST, False, (ONE, TWO)),), ev.RegroupReason.FRAGMENTS))
    town.tell(*departure(town.state, ONE), ev.RecordDeleted(ONE))
    before = town.state.goldens[FIRST], town.state.goldens[SECOND]
    town.tell(*departure(town.state, TWO), ev.RecordDeleted(TWO))
    assert all(golden.is_retired for golden in town.state.goldens.values())
    told = town.tell(
        ev.RecordUpserted(TWO, "hospital", EntityKind.CITIZEN, 9, b"", None, False, True),
        ev.GoldenIdRevived(FIRST, TWO),
        ev.GoldenIdRevived(SECOND, TWO, is_redirect=True),
    )
    assert town.state.records[TWO].golden_id == FIRST
    for golden, was in zip((town.state.goldens[FIRST], town.state.goldens[SECOND]), before, strict=True):
        assert (golden.members, golden.anchor, golden.survivor) == (was.members, was.anchor, was.survivor)
        assert (golden.absorbed, golden.minted_seq, golden.is_retired) == (was.absorbed, was.minted_seq, False)
    assert GoldenChange(FIRST, ChangeKind.RESTORED) in told[0].goldens
    assert GoldenChange(SECOND, ChangeKind.MERGED, FIRST) in told[1].goldens
