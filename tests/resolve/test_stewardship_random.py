"""Random towns, random acts: what is taken back leaves no trace, what stands binds, and replay equals the index."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from mdm.domain import events as ev
from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.domain.state import Pair
from mdm.resolve.commands import Pin, Refusal, Request, Split, Steward, StewardAnswer, Unmerge, WithdrawJudgement
from tests.resolve.office import Office, citizen
from tests.resolve.test_stewardship import state

TOWNS = int(os.environ.get("MDM_STEWARDSHIP_TOWNS", "12"))
STEPS = 25
NAMES = ("Nguyễn Thị Thúy", "Huỳnh Ngọc Bảo Trâm", "Trần Thị Kim Ngân")
PHONES = ("", "0903123456", "0911222333")
IDS = ("", "079187000123", "079187004567")


def row(choices: random.Random, record_id: str) -> SourceRecord:
    return citizen(
        record_id, choices.choice(NAMES), personal_id=choices.choice(IDS), phone=choices.choice(PHONES), address=""
    )


class Town:
    """A writer at work, and the judgements that must hold."""

    def __init__(self, office: Office, choices: random.Random) -> None:
        self.office = office
        self.choices = choices
        self.names = [f"R{number}" for number in range(10)]

    def act(self, act: object) -> StewardAnswer | None:
        request = Request(ev.Cause(actor="steward"))
        (answer,) = self.office.execute(Steward(request, act, "why"))  # type: ignore[arg-type]
        if isinstance(answer, Refusal):
            assert answer.error in {"JudgementContradictedError", "ActImpossibleError"}, answer
            return None
        assert isinstance(answer, StewardAnswer)
        return answer

    def survivors(self) -> list[GoldenId]:
        """Golden IDs with members, in the order of their age: the IDs themselves are random."""
        return self.by_age(identifier for identifier, entry in self.office.goldens().items() if entry[2])

    def by_age(self, identifiers: Iterable[GoldenId]) -> list[GoldenId]:
        def age(identifier: GoldenId) -> tuple[int, int]:
            entry = self.office.golden(identifier)
            return entry.minted_seq, entry.minted_ordinal

        return sorted(identifiers, key=age)

    def pair(self) -> Pair | None:
        live = sorted(self.office.members())
        return (min(two), max(two)) if len(live) > 1 and (two := self.choices.sample(live, 2)) else None

    def put(self) -> None:
        self.office.put(row(self.choices, self.choices.choice(self.names)))

    def drop(self) -> None:
        self.office.drop(citizen(self.choices.choice(self.names)).key)

    def merge_and_unmerge(self) -> None:
        goldens = self.survivors()
        if len(goldens) < 2:
            return
        left, right = self.choices.sample(goldens, 2)
        before = state(self.office)
        if self.act(ev.Merge(left, right)) is None:
            assert state(self.office) == before
            return
        merged = left if self.office.answer(left) != left else right
        assert self.office.answer(left) == self.office.answer(right)
        assert self.act(Unmerge(merged)) is not None
        assert state(self.office) == before

    def same_and_withdrawn(self) -> None:
        pair = self.pair()
        before = self.office.goldens()
        answer = self.act(ev.Judge(*pair, Verdict.SAME)) if pair else None
        if pair is None or answer is None or not answer.judgement:
            return
        members = self.office.members()
        assert members[pair[0]] == members[pair[1]]
        self.act(WithdrawJudgement(answer.judgement))
        assert {each: self.office.goldens()[each][4] for each in before} == {each: before[each][4] for each in before}

    def judge(self) -> None:
        pair = self.pair()
        if pair:
            self.act(ev.Judge(*pair, self.choices.choice(list(Verdict))))

    def split(self) -> None:
        identifier = self.choices.choice(self.survivors() or [GoldenId("")])
        members: tuple[RecordNumber, ...] = self.office.goldens()[identifier][2] if identifier else ()  # type: ignore[assignment]
        if len(members) > 1:
            self.act(Split(identifier, tuple(self.choices.sample(members, self.choices.randint(1, len(members) - 1)))))

    def move(self) -> None:
        live, goldens = sorted(self.office.members()), self.survivors()
        if live:
            self.act(ev.Move(self.choices.choice(live), self.choices.choice(goldens)))

    def unmerge(self) -> None:
        redirects = self.by_age(identifier for identifier, entry in self.office.goldens().items() if entry[1])
        if redirects:
            self.act(Unmerge(self.choices.choice(redirects)))

    def withdraw(self) -> None:
        with self.office.writer._index.read() as view:
            pairs = [pair for pair, _ in view.iter_judgements()]
            standing = view.standing(self.choices.choice(pairs)) if pairs else None
        if standing is not None:
            self.act(WithdrawJudgement(standing.seq))

    def pin(self) -> None:
        goldens = self.survivors()
        if goldens:
            self.act(Pin(self.choices.choice(goldens), "full_name", self.choices.choice(NAMES)))

    def check(self) -> None:
        """Judgements hold between live records, reviews point at what lives, and each record has one golden record."""
        members = self.office.members()
        with self.office.writer._index.read() as view:
            judgements = dict(view.iter_judgements())
            questions = dict(view.iter_potential_matches())
        for (left, right), verdict in judgements.items():
            if left in members and right in members:
                assert (members[left] == members[right]) is (verdict is Verdict.SAME), (left, right, verdict)
        for left, right in questions:
            assert members[left] != members[right]
            assert (left, right) not in judgements
        reviews = self.office.reviews()
        assert {match.review for match in questions.values()} == set(reviews)
        assert {(entry.left, entry.right) for entry in reviews.values()} == set(questions)
        for identifier in self.office.goldens():
            entry = self.office.golden(identifier)
            assert entry.is_retired is (entry.anchor is None), identifier
            if entry.members:
                assert entry.anchor in entry.members
                assert all(self.office.golden(each).survivor == identifier for each in entry.absorbed)
            elif entry.survivor is not None:
                assert entry.anchor in self.office.golden(entry.survivor).members

    def live(self) -> None:
        steps = [self.put] * 6 + [self.drop, self.judge, self.judge, self.split, self.move, self.unmerge, self.withdraw]
        steps += [self.pin, self.merge_and_unmerge, self.merge_and_unmerge, self.same_and_withdrawn]
        for _ in range(STEPS):
            self.choices.choice(steps)()
            self.check()


@pytest.mark.parametrize("seed", range(TOWNS))
def test_random_acts_bind_while_they_stand_and_leave_no_trace_when_taken_back(seed: int, tmp_path: Path) -> None:
    office = Office(tmp_path / "town")
    Town(office, random.Random(seed)).live()
    assert office.differences(tmp_path / "replayed") == []
    office.close()
