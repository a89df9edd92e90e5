"""Taking back what one operation of a load did: values, golden IDs, judgements and questions, as far as they stand.

Operations are taken back from the last to the first, so that each finds what it left, unless somebody else changed it
since. What a later write said of a record stays; so does what a steward said since.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from mdm.domain import events as ev
from mdm.domain.judgements import contradiction_of
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.rules import departure, regroup
from mdm.domain.state import Pair, pair_of
from mdm.linkage.evidence import contradiction
from mdm.resolve import relation_state
from mdm.resolve.bearer import is_another_bearer
from mdm.resolve.commands import REVERT_LOAD
from mdm.resolve.fixed_values import hand_over
from mdm.resolve.group import Group
from mdm.resolve.load_acts import Act, event_at
from mdm.resolve.load_newcomers import ask_about_newcomers
from mdm.resolve.matcher import describe
from mdm.resolve.payloads import decode_payload, ordering_us, stored_before
from mdm.resolve.recall import Recall
from mdm.resolve.upsert import Stored, resolve, resolve_stored, withdraw
from mdm.store.journal import JournalReader
from mdm.store.view import IndexView


class Effect(enum.StrEnum):
    """What taking a load back does, or leaves undone: to records first, then to golden IDs."""

    WITHDRAWN = "withdrawn"
    """The load had created the record, or brought it back; it is deleted."""
    RESTORED = "restored"
    """The load had changed the record; it has its former values."""
    RETURNED = "returned"
    """The load had deleted the record; it is stored again."""
    LEFT_CHANGED = "left_changed"
    """A later write changed the record; it stays as it is."""
    LEFT_ERASED = "left_erased"
    """The record, or the version before the load, was erased; it stays as it is."""
    FAILED = "failed"
    """A defect stood in the way; the log names it."""
    PARTED = "parted"
    """Golden records that the load had merged are apart again."""
    LEFT_JUDGED = "left_judged"
    """Golden records that the load had merged stay one, because a steward said so."""
    RETIRED = "retired"
    """A golden ID that held nothing but what the load brought is retired for good."""
    REVIVED = "revived"
    """A golden ID that the load had retired answers for its record again."""
    ASKED = "asked"
    """A question is put about somebody who came while the record was away, or had other values."""


class Fate(NamedTuple):
    """What becomes of the record of an act, and the values that it gets."""

    effect: Effect
    values: bytes = b""


def fate_of(view: IndexView, journal: JournalReader, act: Act) -> Fate:
    """Return what becomes of the record of an act. Cost: 30 µs."""
    number, core = act.number, act.core
    entry = view.record(number)
    if entry is None or entry.is_erased:
        return Fate(Effect.LEFT_ERASED)
    # What a revert gave back, this one or another, is since when it first was: nobody else has written it meanwhile.
    if entry.since_seq != act.seq:
        return Fate(Effect.LEFT_CHANGED)
    if isinstance(core, ev.RecordUpserted):
        if core.is_returning or not core.former_payload_id:
            return Fate(Effect.WITHDRAWN)
        values = journal.payload(core.former_payload_id)
        return Fate(Effect.LEFT_ERASED) if values is None else Fate(Effect.RESTORED, values)
    # A steward's word about it changes it too.
    is_last = entry.changed_seq == act.seq
    values = stored_before(journal, number, entry.payload_id if is_last else journal.last_payload_id(act.seq))
    return Fate(Effect.LEFT_ERASED) if values is None else Fate(Effect.RETURNED, values)


def take_back(group: Group, journal: JournalReader, act: Act, cause: ev.Cause) -> Counter[Effect]:
    """Draft what takes an act back; returns what that does. Cost: as for writing the record."""
    found: Counter[Effect] = Counter()
    first_draft = len(group.drafts)
    fate = fate_of(group.index, journal, act)
    for event in reversed(act.events):
        if isinstance(event.fact, ev.RecordsRegrouped):
            found.update(_part(group, journal, event, cause))
    match fate.effect:
        case Effect.WITHDRAWN:
            former_seq = act.core.former_seq
            former = event_at(journal, former_seq, group.drafts).fact if former_seq else None
            stated_us = former.updated_at_us if isinstance(former, ev.RecordDeleted) else None
            stamped = _stamped(group, act.number, cause)
            withdraw(group, act.number, stamped, stated_us, restored_seq=former_seq)
            _Restoring(group, journal, act, cause).restore_judgements()
        case Effect.RESTORED | Effect.RETURNED:
            _Restoring(group, journal, act, cause).restore(fate.values)
        case Effect.LEFT_CHANGED if found[Effect.PARTED] and group.golden_id_of(act.number) is not None:
            # Its present values may be those of one of them, or of both.
            resolve_stored(group, act.number, cause)
        case _:
            pass
    _restore_questions(group, journal, act, cause)
    if fate.values:
        found[Effect.ASKED] += ask_about_newcomers(group, journal, act, _stamped(group, act.number, cause))
    found[fate.effect] += 1
    facts = [event.fact for event in group.drafts[first_draft:]]
    found[Effect.RETIRED] += sum(isinstance(fact, ev.GoldenIdRetired) for fact in facts)
    found[Effect.REVIVED] += sum(isinstance(fact, ev.GoldenIdRevived) for fact in facts)
    return found


def _restore_questions(group: Group, journal: JournalReader, act: Act, cause: ev.Cause) -> None:
    """Close the questions that an act asked and put those again that it closed or asked in other words."""
    index = group.index
    closed: dict[Pair, ev.PotentialMatchOpened] = {}
    for event in reversed(act.events):
        match event.fact:
            case ev.PotentialMatchOpened(left=left, right=right) as fact:
                asked = index.potential_match((left, right))
                if asked is None:
                    continue
                known = (asked.reason, asked.match_weight_bits, asked.detail)
                is_known = known == (fact.reason, fact.match_weight_bits, fact.detail)
                if fact.former is not None and is_known:
                    group.add(_stamped(group, left, cause), ev.PotentialMatchOpened(left, right, *fact.former))
                elif asked.review == event.seq or (
                    # What a load closed later its revert has put again.
                    is_known and event_at(journal, asked.review, group.drafts).cause.method == REVERT_LOAD
                ):
                    group.add(_stamped(group, left, cause), ev.PotentialMatchClosed(left, right, "", *known))
            case ev.PotentialMatchClosed(left=left, right=right, reason=ev.MatchReason() as reason) as fact:
                closed[left, right] = ev.PotentialMatchOpened(left, right, reason, fact.match_weight_bits, fact.detail)
            case ev.RecordResolved(answered=answered) | ev.RecordsRegrouped(answered=answered):
                closed.update(((fact.left, fact.right), fact) for fact in answered)
            case _:
                pass
    for pair, fact in closed.items():
        homes = {group.golden_id_of(number) for number in pair}
        is_answered = index.judgement(pair) is not None or index.potential_match(pair) is not None
        if len(homes) > 1 and None not in homes and not is_answered:
            group.add(_stamped(group, pair[0], cause), fact)


def parts_of(
    view: IndexView, journal: JournalReader, event: ev.Event, drafts: Sequence[ev.Event] = ()
) -> tuple[list[tuple[RecordNumber, ...]], bool]:
    """Return the clusters that a merge comes apart into, none if it can't, and whether stewards keep any together.

    Members of before go where they were, later ones to whom their evidence led; who was said to be the same stays so.
    Cost: 10 µs for each member and for each event of the golden record's history since.
    """
    merge = event.fact
    if not isinstance(merge, ev.RecordsRegrouped) or not merge.former:
        return [], False
    golden_id = merge.groups[0].golden_id
    golden = view.golden(golden_id)
    surviving = golden.survivor or golden_id if golden is not None else golden_id
    golden = view.golden(surviving)
    if golden is None or not golden.members:
        return [], False
    home = {number: place for place, each in enumerate(merge.former) for number in each.numbers}
    ties = _Ties(golden.members)
    for place in range(len(merge.former)):
        ties.join([number for number in golden.members if home.get(number) == place])
    since = (event_at(journal, seq, drafts) for seq in view.iter_golden_seqs(surviving, event.seq))
    for one, other in _met_in(since):
        if home.get(one) is None or home.get(other) is None:
            ties.join([one, other])
    apart = ties.count_of(home)
    for number in golden.members:
        entry = view.record(number)
        for other in entry.judged if entry is not None else ():
            if view.judgement(pair_of(number, other)) is ev.Verdict.SAME:
                ties.join([number, other])
    # Whoever came since and is tied to nobody stays with the ID's own records.
    rest = [number for number in golden.members if home.get(number) is None]
    own = golden.anchor if golden.anchor is not None else golden.members[0]
    for number in rest:
        if not ties.is_tied_to(number, home):
            ties.join([own, number])
    clusters = ties.clusters()
    return clusters if len(clusters) > 1 else [], apart > len(clusters)


def _met_in(events: Iterable[ev.Event]) -> list[tuple[RecordNumber, RecordNumber]]:
    found: list[tuple[RecordNumber, RecordNumber]] = []
    for event in events:
        match event.fact:
            case ev.RecordResolved(number=number, partner=int() as partner):
                found.append((number, partner))
            case ev.RecordsRegrouped(left=int() as left, right=int() as right, former=former):
                found.append((left, right))
                found += [(each.numbers[0], other) for each in former for other in each.numbers[1:]]
            case _:
                pass
    return found


class _Ties:
    """Which members belong together: union-find."""

    def __init__(self, members: Sequence[RecordNumber]) -> None:
        self._root = {number: number for number in members}

    def join(self, numbers: Sequence[RecordNumber]) -> None:
        roots = sorted({self._find(number) for number in numbers if number in self._root})
        for root in roots[1:]:
            self._root[root] = roots[0]

    def clusters(self) -> list[tuple[RecordNumber, ...]]:
        found: dict[RecordNumber, list[RecordNumber]] = {}
        for number in self._root:
            found.setdefault(self._find(number), []).append(number)
        return [tuple(numbers) for numbers in found.values()]

    def count_of(self, numbers: dict[RecordNumber, int]) -> int:
        return len({self._find(number) for number in self._root if number in numbers})

    def is_tied_to(self, number: RecordNumber, numbers: dict[RecordNumber, int]) -> bool:
        root = self._find(number)
        return any(self._find(other) == root for other in numbers if other in self._root)

    def _find(self, number: RecordNumber) -> RecordNumber:
        while self._root[number] != number:
            number = self._root[number]
        return number


def _part(group: Group, journal: JournalReader, event: ev.Event, cause: ev.Cause) -> Counter[Effect]:
    merge = event.fact
    clusters, is_judged = parts_of(group.index, journal, event, group.drafts)
    found = Counter({Effect.LEFT_JUDGED: 1} if is_judged else {})
    if not clusters or not isinstance(merge, ev.RecordsRegrouped):
        return found
    stamped = _stamped(group, clusters[0][0], cause)
    for former in merge.former:
        # An anchor that left the merged golden record may have passed its ID on to the other side.
        golden = group.index.golden(former.golden_id)
        own = next((each for each in clusters if not set(former.numbers).isdisjoint(each)), None)
        if golden is None or golden.anchor is None or own is None or golden.anchor in own:
            continue
        if any(golden.anchor in each for each in clusters):
            heir = former.anchor if former.anchor in own else min(set(former.numbers).intersection(own))
            group.add(stamped, ev.AnchorMoved(former.golden_id, heir))
    reason = ev.RegroupReason.LOAD_REVERT
    for fact in regroup(group.index, clusters, group.mint, reason=reason, left=merge.left, right=merge.right):
        group.add(stamped, fact)
    found[Effect.PARTED] += 1
    return found


class _Restoring:
    """Gives one record the values, the golden ID and the judgements that it had before an act."""

    def __init__(self, group: Group, journal: JournalReader, act: Act, cause: ev.Cause) -> None:
        self._group = group
        self._journal = journal
        self._act = act
        self._number = act.number
        self._cause = _stamped(group, act.number, cause)

    def restore(self, values: bytes) -> None:
        group, number, home = self._group, self._number, self._act.home_before(self._group.index)
        entry = group.record(number)
        is_judged_since = any(
            standing.act_seq > self._act.seq
            for other in entry.judged
            if (standing := group.index.standing(pair_of(number, other))) is not None
        )
        self._store(values, is_new_bearer=not is_judged_since and self._is_another_bearer(values))
        if home is None and entry.golden_id is None:
            return  # It was pending.
        self.restore_judgements()
        description = describe(decode_payload(values))
        stored = Stored(number, group.engines[entry.kind], self._cause, description, False, {})
        if home is None or is_judged_since or not self._goes_home(home, stored):
            resolve(group, stored)
        else:
            self._restore_pins()
        self._restore_anchors()
        group.index.put_match_state(number, description.encoded, description.keys)

    def _is_another_bearer(self, values: bytes) -> bool:
        core, index, number = self._act.core, self._group.index, self._number
        if isinstance(core, ev.RecordUpserted):
            return core.is_new_bearer
        # Another load may have brought the key back for somebody else, and have been taken back before.
        if index.raw(number) == values:
            return False
        engine = self._group.engines[self._group.record(number).kind]
        return is_another_bearer(index, engine, number, describe(decode_payload(values)).features)

    def _store(self, values: bytes, *, is_new_bearer: bool) -> None:
        group, number = self._group, self._number
        record, entry = decode_payload(values), group.record(number)
        if is_new_bearer:
            hand_over(group, self._cause, number)
        payload_id, payload_hash = group.seal(number, values)
        group.index.put_raw(number, record.key, values)
        fact = ev.RecordUpserted(
            number,
            entry.registry,
            entry.kind,
            payload_id,
            payload_hash,
            ordering_us(record.updated_at, group.batch.at_us),
            is_new_bearer,
            entry.is_deleted,
            entry.payload_id,
            entry.since_seq,
            self._act.core.former_seq,
        )
        group.add(self._cause, fact)
        relation_state.note_version(group.index, fact, relation_state.stated_by(record), group.batch.at_us)

    def _goes_home(self, home: GoldenId, stored: Stored) -> bool:
        """Put the record under the golden ID that it had; returns False where that cannot be."""
        group, number = self._group, self._number
        golden = group.index.golden(home)
        target = golden.survivor or home if golden is not None else home
        entry, golden = group.record(number), group.index.golden(target)
        if golden is None or entry.golden_id == target:
            return golden is not None
        retired = [each.fact.golden_id for each in self._act.events if isinstance(each.fact, ev.GoldenIdRetired)]
        if golden.is_retired:
            if golden.is_erased or target not in retired:
                return False
        elif self._is_contradicted(golden.members, stored):
            return False
        if entry.golden_id is not None:
            hand_over(group, self._cause, number)
            for fact in departure(group.index, number):
                group.add(self._cause, fact)
        if golden.is_retired:
            # The ID itself first: the others redirect to it.
            for each in reversed(retired):
                group.add(self._cause, ev.GoldenIdRevived(each, number, is_redirect=each != target))
        else:
            group.add(self._cause, ev.RecordResolved(number, target, False, ev.Outcome.LINKED))
        return True

    def _is_contradicted(self, members: Sequence[RecordNumber], stored: Stored) -> bool:
        """Return whether somebody joined meanwhile who can't be the record's bearer."""
        index = self._group.index
        newcomers = [
            number
            for number in members
            if (entry := index.record(number)) is not None and entry.changed_seq > self._act.last_seq
        ]
        seen = Recall(index, stored.engine.kind)
        others = [features for number in newcomers if (features := seen.described(number)) is not None]
        return contradiction([stored.description.features], others) is not None

    def _restore_anchors(self) -> None:
        """Let the IDs that stood for the record do so again, where they still are with it."""
        index, home = self._group.index, self._group.golden_id_of(self._number)
        for event in self._act.events:
            if not isinstance(event.fact, ev.AnchorMoved):
                continue
            golden = index.golden(event.fact.golden_id)
            if golden is None or golden.anchor != event.fact.number:
                continue
            if (golden.survivor or event.fact.golden_id) == home:
                self._group.add(self._cause, ev.AnchorMoved(event.fact.golden_id, self._number))

    def _restore_pins(self) -> None:
        """Fix the values again that stewards had fixed, and take them from the member that they were handed over to.

        What a steward has fixed anew or let go since stays so.
        """
        group, number = self._group, self._number
        facts = [event.fact for event in self._act.events]
        heirs = {fact.field: fact.number for fact in facts if isinstance(fact, ev.ValuePinned)}
        for fact in facts:
            if not isinstance(fact, ev.ValueUnpinned) or fact.number != number:
                continue
            value, heir = self._journal.payload(fact.payload_id), heirs.get(fact.field)
            has_passed_on = heir is not None and fact.field not in dict(group.record(heir).pins)
            if value is None or has_passed_on or self._is_spoken_of_since(fact.field):
                continue
            if heir is not None and group.golden_id_of(heir) == group.golden_id_of(number):
                group.add(self._cause, ev.ValueUnpinned(heir, fact.field))
            group.add(self._cause, ev.ValuePinned(number, fact.field, group.seal(number, value)[0]))

    def _is_spoken_of_since(self, field: str) -> bool:
        """Return whether somebody fixed a value of the field, or let it go, in the golden record since the act."""
        index, home = self._group.index, self._group.golden_id_of(self._number)
        if field in dict(self._group.record(self._number).pins) or home is None:
            return True
        since = (
            event_at(self._journal, seq, self._group.drafts) for seq in index.iter_golden_seqs(home, self._act.last_seq)
        )
        return any(
            isinstance(event.fact, ev.ValuePinned | ev.ValueUnpinned)
            and event.fact.field == field
            and not event.cause.load_id
            for event in since
        )

    def restore_judgements(self) -> None:
        """Let what was said of the record bind again, and what others inherited of it end."""
        group = self._group
        home = self._act.home_before(group.index)
        issued = group.index.golden(home) if home is not None else None
        home = issued.survivor or home if issued is not None else home
        for event in self._act.events:
            match event.fact:
                case ev.JudgementMade(left=left, right=right, act_seq=act_seq):
                    standing = group.index.standing((left, right))
                    # Another load's revert may have made it anew, as part of the same act.
                    if standing is not None and standing.act_seq == (act_seq or event.seq):
                        group.add(self._cause, ev.JudgementWithdrawn(left, right))
                case _:
                    pass
        for event in self._act.events:
            fact = event.fact
            if not isinstance(fact, ev.JudgementWithdrawn) or not fact.made_seq:
                continue
            made = next(self._journal.events(fact.made_seq - 1, fact.made_seq)).fact
            pair = (fact.left, fact.right)
            if not isinstance(made, ev.JudgementMade) or group.index.standing(pair) is not None:
                continue
            other = group.index.record(pair[0] if pair[1] == self._number else pair[1])
            judge = ev.Judge(*pair, made.verdict)
            if other is None or other.is_erased or contradiction_of(group.index, judge):
                continue
            if made.verdict is ev.Verdict.SAME and home is not None and other.golden_id not in {None, home}:
                # They were parted since, by an unmerge or a withdrawal.
                continue
            again = msgspec.structs.replace(made, act_seq=made.act_seq or fact.made_seq)
            group.add(self._cause, again)


def _stamped(group: Group, number: RecordNumber, cause: ev.Cause) -> ev.Cause:
    return group.engines[group.record(number).kind].stamped(cause)
