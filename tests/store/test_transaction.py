"""The index holds what a plain dictionary holds after the same events."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.domain import events as ev
from mdm.domain.changes import Changes, apply_noting
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey, golden_id
from mdm.domain.reviews import QueueState
from mdm.domain.state import GoldenEntry, MemoryState, pair_of
from mdm.store import counts, layout
from mdm.store.index import Index, IndexVersions
from mdm.store.transaction import IndexTransaction
from mdm.store.view import Databases, IndexView

VERSIONS = IndexVersions("normaliser 1", "specification 1")
RECORDS_MAX = 12


class City:
    """Makes valid facts from arbitrary choices and folds them into dictionaries as it goes."""

    def __init__(self, choices: random.Random) -> None:
        self.state = MemoryState()
        self.events: list[ev.Event] = []
        self.changes: dict[int, Changes] = {}
        self._choices = choices
        self._payload_id = 0

    def take(self, fact: ev.Fact) -> None:
        event = ev.Event(len(self.events) + 1, 1, ev.SCHEMA_VERSION, ev.Cause(), fact)
        changes = apply_noting(self.state, event)
        if changes is not None:
            self.changes[event.seq] = changes
        self.events.append(event)

    def step(self) -> None:
        steps = [self.upsert] * 2 + [self.resolve] * 3 + [self.delete, self.merge, self.split, self.open, self.close]
        steps += [self.judge, self.withdraw, self.pin, self.choose, self.configure]
        self._choices.choice(steps)()

    def upsert(self) -> None:
        count = len(self.state.records)
        number = RecordNumber(self._choices.randint(1, min(count + 1, RECORDS_MAX)))
        old = self.state.records.get(number)
        kind = old.kind if old else self._choices.choice((EntityKind.CITIZEN, EntityKind.CITIZEN, EntityKind.BUSINESS))
        is_new_bearer = old is not None and self._choices.random() < 0.3
        self._payload_id += 1
        self.take(ev.RecordUpserted(number, "hospital", kind, self._payload_id, b"hash", None, is_new_bearer))

    def resolve(self) -> None:
        number = self._any_record()
        if number is None:
            return
        entry = self.state.records[number]
        if entry.is_deleted:
            return
        homes = [each for each in self._survivors() if each[0] == entry.kind.letter]
        if homes and self._choices.random() < 0.6:
            target, is_minted = self._choices.choice(homes), False
        else:
            target, is_minted = self._mint(entry.kind), True
        self.take(ev.RecordResolved(number, target, is_minted, ev.Outcome.LINKED, None, 9.5))
        if entry.golden_id is not None and entry.golden_id != target:
            self._settle(entry.golden_id, number)

    def delete(self) -> None:
        number = self._any_record()
        if number is None:
            return
        home = self.state.records[number].golden_id
        self.take(ev.RecordDeleted(number))
        if home is not None:
            self._settle(home, number)

    def merge(self) -> None:
        kind = self._choices.choice("CB")
        homes = [each for each in self._survivors() if each[0] == kind]
        if len(homes) < 2:
            return
        parts = self._choices.sample(homes, 2)
        oldest = min(parts, key=lambda each: self._age(self.state.goldens[each]))
        numbers = tuple(number for each in parts for number in self.state.goldens[each].members)
        self.take(ev.RecordsRegrouped((ev.Group(oldest, False, numbers),), ev.RegroupReason.FRAGMENTS))

    def split(self) -> None:
        merged = [each for each in self._survivors() if self.state.goldens[each].absorbed]
        if not merged:
            return
        home = self._choices.choice(merged)
        entry = self.state.goldens[home]
        back = entry.absorbed[0]
        anchor = self.state.goldens[back].anchor
        anchors = {self.state.goldens[each].anchor for each in (home, *entry.absorbed[1:])}
        if anchor is None or anchor in anchors:
            return
        rest = tuple(number for number in entry.members if number != anchor)
        groups = (ev.Group(home, False, rest), ev.Group(back, False, (anchor,)))
        self.take(ev.RecordsRegrouped(groups, ev.RegroupReason.JUDGEMENT))

    def open(self) -> None:
        if (pair := self._any_pair()) is not None:
            self.take(ev.PotentialMatchOpened(*pair, self._choices.choice(list(ev.MatchReason)), 4.25, "sex"))

    def close(self) -> None:
        if self.state.potential_matches:
            self.take(ev.PotentialMatchClosed(*self._choices.choice(sorted(self.state.potential_matches))))

    def judge(self) -> None:
        if (pair := self._any_pair()) is not None:
            self.take(ev.JudgementMade(*pair, self._choices.choice(list(ev.Verdict))))

    def withdraw(self) -> None:
        if self.state.judgements:
            self.take(ev.JudgementWithdrawn(*self._choices.choice(sorted(self.state.judgements))))

    def pin(self) -> None:
        if (number := self._any_record()) is not None:
            self._payload_id += 1
            self.take(ev.ValuePinned(number, "full_name", self._payload_id))
            if self._choices.random() < 0.5:
                self.take(ev.ValueUnpinned(number, "full_name"))

    def choose(self) -> None:
        if (pair := self._any_pair()) is not None:
            self.take(ev.ClerkChose(pair[0], pair[1], (pair[1],)))

    def configure(self) -> None:
        self.take(ev.ConfigurationChanged(f"digest {len(self.events)}"))
        self.take(ev.EpochActivated(EntityKind.CITIZEN, f"digest {len(self.events)}"))
        self.take(ev.RelinkCommitStarted("run-1", "digest", 2))
        self.take(ev.RelinkCommitFinished("run-1", 0))

    def _settle(self, home: GoldenId, left: RecordNumber) -> None:
        entry = self.state.goldens[home]
        for each in (*entry.absorbed, home):
            if not entry.members:
                self.take(ev.GoldenIdRetired(each))
            elif self.state.goldens[each].anchor == left:
                self.take(ev.AnchorMoved(each, entry.members[0]))

    def _mint(self, kind: EntityKind) -> GoldenId:
        return golden_id(kind, len(self.state.goldens) + 1)

    def _survivors(self) -> list[GoldenId]:
        return sorted(each for each, entry in self.state.goldens.items() if entry.members)

    def _any_record(self) -> RecordNumber | None:
        return self._choices.choice(sorted(self.state.records)) if self.state.records else None

    def _any_pair(self) -> tuple[RecordNumber, RecordNumber] | None:
        if len(self.state.records) < 2:
            return None
        left, right = self._choices.sample(sorted(self.state.records), 2)
        return pair_of(left, right)

    @staticmethod
    def _age(entry: GoldenEntry) -> tuple[int, int]:
        return entry.minted_seq, entry.minted_ordinal


def source_key(number: RecordNumber, kind: EntityKind) -> SourceKey:
    return SourceKey("hospital", kind, f"BN{number}")


def check(view: IndexView, state: MemoryState) -> None:
    assert dict(view.iter_records()) == state.records
    assert dict(view.iter_goldens()) == state.goldens
    assert dict(view.iter_potential_matches()) == state.potential_matches
    assert dict(view.iter_judgements()) == {pair: each.verdict for pair, each in state.judgements.items()}
    assert {name.decode(): value.decode() for name, value in view.iter_entries("settings")} == state.settings
    assert len(list(view.iter_crosswalk())) == len(state.records)
    assert view.counts() == counted(state)
    assert view.oldest_review() == (state.reviews[min(state.reviews)] if state.reviews else None)
    for number, entry in state.records.items():
        row = view.crosswalk(source_key(number, entry.kind))
        assert row is not None
        assert (row.number, row.golden_id) == (number, entry.golden_id)
        assert (row.status is layout.CrosswalkStatus.DELETED) == entry.is_deleted
        assert view.record(number) == entry
    for each, golden in state.goldens.items():
        assert view.golden(each) == golden
        assert view.is_issued(each)


def counted(state: MemoryState) -> dict[counts.Count, int]:
    found = Counter(counts.of_record(entry) for entry in state.records.values())
    found.update(counts.of_golden(each, entry) for each, entry in state.goldens.items())
    found.update(counts.of_review(entry) for entry in state.reviews.values())
    found.update(counts.of_judgement(entry) for entry in state.judgements.values())
    return dict(found)


def check_changes(view: IndexView, told: dict[int, Changes]) -> None:
    assert dict(view.iter_changes()) == told
    seqs: dict[GoldenId, list[int]] = {}
    for seq, changes in told.items():
        assert view.changes(seq) == changes
        for each in {golden.golden_id for golden in changes.goldens}:
            seqs.setdefault(each, []).append(seq)
    for each, of_one in seqs.items():
        assert list(view.iter_golden_seqs(each)) == of_one
        assert list(view.iter_golden_seqs(each, of_one[0])) == of_one[1:]
    last = max(told, default=0)
    assert [seq for seq, _ in view.iter_changes(last // 2)] == [seq for seq in told if seq > last // 2]
    assert view.changes(last + 1) is None


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 9))
def test_the_index_holds_what_dictionaries_hold_after_the_same_events(
    choices: random.Random, step_count: int, group_size: int
) -> None:
    city = City(choices)
    for _ in range(step_count):
        city.step()
    with tempfile.TemporaryDirectory() as directory, Index.open(Path(directory), versions=VERSIONS) as index:
        for begin in range(0, len(city.events), group_size):
            with index.write() as txn:
                for event in city.events[begin : begin + group_size]:
                    fact = event.fact
                    if isinstance(fact, ev.RecordUpserted) and event.seq % 2:
                        txn.put_raw(fact.number, source_key(fact.number, fact.kind), b"values")
                    txn.fold(event)
                    if isinstance(fact, ev.RecordUpserted) and not event.seq % 2:
                        txn.put_raw(fact.number, source_key(fact.number, fact.kind), b"values")
        with index.read() as view:
            assert view.applied_seq == len(city.events)
            check(view, city.state)
            check_changes(view, city.changes)


NUMBERS = [RecordNumber(number) for number in range(1, RECORDS_MAX + 2)]
PAIRS = list(itertools.combinations(NUMBERS, 2))
KEYS = [source_key(number, kind) for number in NUMBERS for kind in EntityKind]
IDS = [key.record_id for key in KEYS]
GOLDEN_IDS = [golden_id(kind, bits) for kind in EntityKind for bits in range(1, 60)]
SEQS = range(1, 400)


def posting_key(number: int) -> bytes:
    return number.to_bytes(9, "big")


def each(read: Callable[[IndexView], Callable[..., object]], arguments: Iterable[object]) -> Callable[..., object]:
    return lambda view: [read(view)(argument) for argument in arguments]


def every(read: Callable[[IndexView], Iterable[object]]) -> Callable[[IndexView], object]:
    return lambda view: list(read(view))


READS: dict[str, Callable[[IndexView], object]] = {
    "applied_seq": lambda view: view.applied_seq,
    "record": each(lambda view: view.record, NUMBERS),
    "golden": each(lambda view: view.golden, GOLDEN_IDS),
    "is_issued": each(lambda view: view.is_issued, GOLDEN_IDS),
    "potential_match": each(lambda view: view.potential_match, PAIRS),
    "judgement": each(lambda view: view.judgement, PAIRS),
    "standing": each(lambda view: view.standing, PAIRS),
    "review": each(lambda view: view.review, SEQS),
    "iter_review_queue": lambda view: [list(view.iter_review_queue(queue)) for queue in QueueState],
    "setting": each(lambda view: view.setting, ["configuration", "epoch:citizen", "relink:run-1"]),
    "last_number": lambda view: view.last_number(),
    "crosswalk": each(lambda view: view.crosswalk, KEYS),
    "number_of": each(lambda view: view.number_of, KEYS),
    "lookup_many": lambda view: view.lookup_many("hospital", EntityKind.CITIZEN, IDS),
    "payloads": every(lambda view: view.payloads("hospital", EntityKind.CITIZEN, IDS)),
    "key_of": each(lambda view: view.key_of, NUMBERS),
    "raw": each(lambda view: view.raw, NUMBERS),
    "features": each(lambda view: view.features, NUMBERS),
    "posting_keys": each(lambda view: view.posting_keys, NUMBERS),
    "packed_posting_keys": each(lambda view: view.packed_posting_keys, NUMBERS),
    "postings": lambda view: [view.postings(posting_key(number), 5) for number in NUMBERS],
    "relation_state": each(lambda view: view.relation_state, NUMBERS),
    "relation_count": lambda view: [view.relation_count(posting_key(number)) for number in NUMBERS],
    "iter_relations": lambda view: [list(view.iter_relations(posting_key(number))) for number in NUMBERS],
    "iter_records": every(lambda view: view.iter_records()),
    "iter_crosswalk": every(lambda view: view.iter_crosswalk()),
    "live_count": each(lambda view: lambda kind: view.live_count("hospital", kind), EntityKind),
    "iter_goldens": every(lambda view: view.iter_goldens()),
    "issued_counts": lambda view: view.issued_counts(),
    "counts": lambda view: view.counts(),
    "oldest_review": lambda view: view.oldest_review(),
    "iter_potential_matches": every(lambda view: view.iter_potential_matches()),
    "iter_judgements": every(lambda view: view.iter_judgements()),
    "changes": each(lambda view: view.changes, SEQS),
    "iter_changes": every(lambda view: view.iter_changes()),
    "iter_golden_seqs": lambda view: [list(view.iter_golden_seqs(golden)) for golden in GOLDEN_IDS],
    # Only the end of a transaction writes its position.
    "iter_entries": lambda view: [list(view.iter_entries(name)) for name in Databases._fields if name != "meta"],
}


def write(txn: IndexTransaction, events: Iterable[ev.Event]) -> None:
    for event in events:
        fact = event.fact
        if isinstance(fact, ev.RecordUpserted):
            txn.put_raw(fact.number, source_key(fact.number, fact.kind), b"values %d" % event.seq)
            txn.put_match_state(fact.number, b"features %d" % event.seq, [posting_key(1 + event.seq % 7)])
            txn.put_relation_state(fact.number, [posting_key(1 + event.seq % 5)], b"stays %d" % event.seq)
        txn.fold(event)


@pytest.mark.parametrize("name", READS)
def test_a_transaction_reads_at_once_what_others_read_after_its_commit(index: Index, name: str) -> None:
    city = City(random.Random(3))
    while len(city.events) < 120:
        city.step()
    with index.write() as txn:
        write(txn, city.events[:20])
    with index.read() as view:
        before = READS[name](view)
    with index.write() as txn:
        # What is read between writes must not be remembered as it was.
        assert READS[name](txn) == before
        write(txn, city.events[20:70])
        READS[name](txn)
        write(txn, city.events[70:])
        found = READS[name](txn)
    with index.read() as view:
        assert found == READS[name](view)
    assert before != found


def test_every_read_of_an_index_is_among_those_above() -> None:
    assert set(READS) == {name for name in vars(IndexView) if not name.startswith("_")}


def test_a_source_key_is_known_from_its_values_on_whatever_is_read_before_its_event(index: Index) -> None:
    number, key = RecordNumber(1), source_key(RecordNumber(1), EntityKind.CITIZEN)
    with index.write() as txn:
        txn.put_raw(number, key, b"values")
        assert txn.crosswalk(key) is None
        txn.fold(ev.Event(1, 1, 1, ev.Cause(), ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, 1, b"")))
        assert txn.number_of(key) == number


def test_the_choices_above_reach_every_kind_of_state() -> None:
    city = City(random.Random(1))
    for _ in range(2000):
        city.step()
    goldens = city.state.goldens.values()

    assert any(entry.is_retired for entry in goldens)
    assert any(entry.survivor for entry in goldens)
    assert any(entry.absorbed for entry in goldens)
    assert any(entry.is_deleted for entry in city.state.records.values())
    assert any(isinstance(each.fact, ev.RecordsRegrouped) and len(each.fact.groups) == 2 for each in city.events)
