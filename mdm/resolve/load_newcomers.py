"""Whoever came while a load's doing stood: asked about where a record is again that they may be of the same bearer as.

Nobody is joined by it. Beside the record others may still stand as the load left them, and a wrong join would outlast
its revert; a steward or the next re-linkage joins those who are one.
"""

from __future__ import annotations

from mdm.domain import events as ev
from mdm.domain.decision import Band, Decision, Evidence, Question
from mdm.domain.judgements import members_of
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.state import RecordEntry, pair_of
from mdm.limits import POTENTIAL_MATCHES_MAX
from mdm.linkage.evidence import contradiction
from mdm.linkage.features import Features
from mdm.resolve.group import Group
from mdm.resolve.load_acts import Act, event_at
from mdm.resolve.matcher import called_same, candidates_of, evidence_of, score
from mdm.resolve.questions import agreeing, without_answered
from mdm.resolve.recall import Recall
from mdm.store.journal import JournalReader


def ask_about_newcomers(group: Group, journal: JournalReader, act: Act, cause: ev.Cause) -> int:
    """Draft questions between the record of an act that is taken back and those who came since; returns how many.

    Cost: 0.1 ms where nobody came, else as for matching the record.
    """
    return _Meeting(group, journal, act).ask(cause)


class _Meeting:
    """One record that is as it was before a load, and those near it."""

    def __init__(self, group: Group, journal: JournalReader, act: Act) -> None:
        self._group = group
        self._journal = journal
        self._act = act
        self._number = act.number
        self._entry = group.record(act.number)
        self._seen = Recall(group.index, self._entry.kind)

    def ask(self, cause: ev.Cause) -> int:
        index, number, entry = self._group.index, self._number, self._entry
        if entry.golden_id is None or self._is_of_load(entry):
            # What the load brought earlier; that is taken back next.
            return 0
        near = candidates_of(index, entry.kind, index.posting_keys(number), number).numbers
        newcomers = [other for other in near if self._is_newcomer(other)]
        questions = self._questions(newcomers) if newcomers else ()
        for question in questions:
            pair = pair_of(number, question.number)
            fact = ev.PotentialMatchOpened(*pair, question.reason, question.match_weight_bits, question.detail)
            self._group.add(cause, fact)
        return len(questions)

    def _is_of_load(self, entry: RecordEntry) -> bool:
        event = event_at(self._journal, entry.since_seq, self._group.drafts)
        return event.cause.load_id == self._act.load_id

    def _is_newcomer(self, other: RecordNumber) -> bool:
        entry = self._seen.record(other)
        return (
            entry is not None
            and entry.golden_id not in {None, self._entry.golden_id}
            and entry.since_seq > self._act.first_seq
            and not self._is_of_load(entry)
        )

    def _questions(self, newcomers: list[RecordNumber]) -> tuple[Question, ...]:
        seen, number, home = self._seen, self._number, self._entry.golden_id
        engine = self._group.engines[self._entry.kind]
        features = seen.described(number)
        if features is None:
            return ()
        scored = score(seen, engine, features, newcomers)
        best: dict[GoldenId, Evidence] = {}
        for pair in evidence_of(seen, engine, features, scored, self._entry, number):
            known = best.get(pair.golden_id)
            is_better = known is None or pair.match_weight_bits > known.match_weight_bits
            if is_better and pair.number in newcomers and pair.band is not Band.NONE:
                best[pair.golden_id] = pair
        asked = tuple(
            Question(
                pair.number,
                ev.MatchReason.LOAD_REVERT if pair.band is Band.LINK else pair.reason,
                pair.match_weight_bits,
                pair.detail,
            )
            for pair in sorted(best.values(), key=lambda each: (-each.match_weight_bits, each.number))
            if self._is_open(pair, features)
        )
        decision = Decision(ev.Outcome.REVIEW, (), None, None, asked[:POTENTIAL_MATCHES_MAX])
        agreed = {each.number: agreeing(engine.kind, each.levels) for each in scored}
        return without_answered(seen, decision, number, home, agreed).questions

    def _is_open(self, pair: Evidence, features: Features) -> bool:
        """Return whether "same" is a possible answer that nobody is asked for yet."""
        seen = self._seen
        members = members_of(seen.golden(pair.golden_id))
        own = members_of(seen.golden(self._entry.golden_id)) if self._entry.golden_id is not None else ()
        for number in own:
            entry = seen.record(number)
            if entry is not None and not set(entry.potential_matches).isdisjoint(members):
                return False
        if pair.reason is ev.MatchReason.VETO:
            return True
        # Who stands there as the load left them says nothing.
        entries = ((number, seen.record(number)) for number in members)
        told = [number for number, entry in entries if entry is not None and not self._is_of_load(entry)]
        others = [each for number in told if (each := seen.described(number)) is not None]
        return contradiction([features], others, called_same(seen, told)) is None
