"""What to do with one record, given how it compares with the golden records near it.

Three bands: link, review, new. The record links only above the link threshold, without a veto and with a clear lead
over a runner-up that excludes the first; otherwise it gets a golden ID of its own and a steward gets the question. The
same is asked of each further golden record that it would close up with the first.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import msgspec

from mdm.domain.events import MatchReason, Outcome
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.limits import POTENTIAL_MATCHES_MAX


class Band(enum.StrEnum):
    """Where the evidence of one pair falls."""

    LINK = "link"
    REVIEW = "review"
    NONE = "none"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """How the record compares with one other record."""

    number: RecordNumber
    golden_id: GoldenId
    band: Band
    match_weight_bits: float
    reason: MatchReason = MatchReason.WEIGHT
    detail: str = ""
    """Name of the veto or of what is missing; empty when nothing holds the link back."""


class Thresholds(msgspec.Struct, frozen=True, gc=False):
    """The model's decision thresholds, in bits of match weight."""

    lead_bits: float
    """How far the first must lie before a runner-up that excludes it."""
    move_bits: float
    """Weight that a record with other company must reach before it moves to another golden record."""


class Question(msgspec.Struct, frozen=True, gc=False):
    """A potential match to put before a steward."""

    number: RecordNumber
    reason: MatchReason
    match_weight_bits: float
    detail: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the record."""

    outcome: Outcome
    join: tuple[GoldenId, ...]
    """Golden records that it belongs to, strongest first; more than one are fragments to be merged. Empty: none, so
    that a record with company leaves it for a golden ID of its own."""
    partner: RecordNumber | None
    match_weight_bits: float | None
    questions: tuple[Question, ...]


class _Standing(msgspec.Struct):
    """A golden record's best evidence."""

    golden_id: GoldenId
    best: Evidence
    is_linkable: bool
    is_open: bool = False
    """Whether it is still to be asked if another member tells the two apart."""

    def asked(self, veto: Callable[[GoldenId], str]) -> Evidence:
        """Return the best evidence of what could be a question, one that answers itself taken out."""
        # Namesakes come in hundreds, of which a handful can become a question: only these need their members read.
        if self.is_open:
            self.is_open = False
            if veto(self.golden_id):
                # Another member tells the two apart: "same" would be no possible answer.
                self.best = msgspec.structs.replace(self.best, band=Band.NONE)
        return self.best


def decide(
    evidence: Iterable[Evidence],
    thresholds: Thresholds,
    *,
    current: GoldenId | None,
    veto: Callable[[GoldenId], str],
    compatible: Callable[[GoldenId, GoldenId], bool],
) -> Decision:
    """Decide for one record.

    Args:
        evidence: Every scored pair, in any order; pairs of band NONE only count as company of `current`.
        thresholds: Of the model in force.
        current: The golden record that holds the record now together with other members; None for a new record
            or one that is alone under its ID. It keeps the record unless a veto now stands between them.
        veto: Names what forbids the record among all members of a golden record; empty when nothing does. Asked only
            of those that the record could join or be asked about.
        compatible: Whether two golden records may be one: no veto between members, and joint evidence for it.
    """
    if current is not None and veto(current):
        # A change of values may bring a veto to light among records that were one before.
        current = None
    standings = _standings(evidence, veto)
    linkable = [standing for standing in standings if standing.is_linkable]
    friends, rivals = _sides(linkable, standings, thresholds, veto, compatible)
    if not friends:
        return _stay_or_create(current, standings, [], veto)
    top = friends[0]
    if any(top.best.match_weight_bits - rival.best.match_weight_bits < thresholds.lead_bits for rival in rivals):
        return _stay_or_create(current, standings, [top, *rivals], veto)
    if current is not None and current not in {friend.golden_id for friend in friends}:
        here = next((standing for standing in standings if standing.golden_id == current), None)
        here_bits = here.best.match_weight_bits if here else float("-inf")
        enough = top.best.match_weight_bits >= thresholds.move_bits
        if not (enough and top.best.match_weight_bits - here_bits >= thresholds.lead_bits):
            return _stay_or_create(current, standings, [top], veto)
    contested = {
        friend.golden_id for friend in friends if _is_contested(friend, rivals, thresholds.lead_bits, compatible)
    }
    if current in contested:
        # The record may as well be the rival's: it stays, but closes nothing up with where it is.
        return _stay_or_create(current, standings, [top, *rivals], veto)
    join = tuple(friend.golden_id for friend in friends if friend.golden_id not in contested)
    questions = _questions(standings, {*join, current}, rivals, veto)
    return Decision(Outcome.LINKED, join, top.best.number, top.best.match_weight_bits, questions)


def _standings(evidence: Iterable[Evidence], veto: Callable[[GoldenId], str]) -> list[_Standing]:
    best: dict[GoldenId, Evidence] = {}
    bands = (Band.NONE, Band.REVIEW, Band.LINK)
    for pair in sorted(evidence, key=lambda pair: (-pair.match_weight_bits, pair.number)):
        known = best.get(pair.golden_id)
        # One pair that may link speaks for its golden record even if another weighs more but is held back.
        if known is None or bands.index(pair.band) > bands.index(known.band):
            best[pair.golden_id] = pair
    standings = []
    for golden_id, pair in best.items():
        detail = veto(golden_id) if pair.band is Band.LINK else ""
        if detail:
            held = msgspec.structs.replace(pair, band=Band.REVIEW, reason=MatchReason.VETO, detail=detail)
            standings.append(_Standing(golden_id, held, is_linkable=False))
        else:
            is_open = pair.band is Band.REVIEW and pair.reason is not MatchReason.VETO
            standings.append(_Standing(golden_id, pair, is_linkable=pair.band is Band.LINK, is_open=is_open))
    return sorted(standings, key=lambda each: (-each.best.match_weight_bits, each.best.number))


def _sides(
    linkable: list[_Standing],
    standings: list[_Standing],
    thresholds: Thresholds,
    veto: Callable[[GoldenId], str],
    compatible: Callable[[GoldenId, GoldenId], bool],
) -> tuple[list[_Standing], list[_Standing]]:
    """Split what is near into the fragments of one bearer and the rivals that exclude them."""
    friends: list[_Standing] = []
    rivals: list[_Standing] = []
    for standing in linkable:
        if all(compatible(friend.golden_id, standing.golden_id) for friend in friends):
            friends.append(standing)
        else:
            rivals.append(standing)
    if friends:
        floor = friends[-1].best.match_weight_bits - thresholds.lead_bits
        for standing in standings:
            if standing.best.match_weight_bits <= floor:
                break
            held = standing.asked(veto)
            # A vetoed candidate is no rival: something already says that the record is not this one.
            near = held.band is Band.REVIEW and held.reason is not MatchReason.VETO
            if near and any(_is_contested(friend, [standing], thresholds.lead_bits, compatible) for friend in friends):
                rivals.append(standing)
    return friends, rivals


def _is_contested(
    friend: _Standing, rivals: list[_Standing], lead_bits: float, compatible: Callable[[GoldenId, GoldenId], bool]
) -> bool:
    """Return whether a rival that excludes it lies too close: the record may belong to either, or to neither."""
    bits = friend.best.match_weight_bits
    return any(
        bits - rival.best.match_weight_bits < lead_bits and not compatible(friend.golden_id, rival.golden_id)
        for rival in rivals
    )


def _stay_or_create(
    current: GoldenId | None,
    standings: list[_Standing],
    ambiguous: list[_Standing],
    veto: Callable[[GoldenId], str],
) -> Decision:
    questions = _questions(standings, {current}, ambiguous, veto)
    if current is not None:
        here = next((each.best for each in standings if each.golden_id == current), None)
        partner, bits = (here.number, here.match_weight_bits) if here else (None, None)
        return Decision(Outcome.LINKED, (current,), partner, bits, questions)
    outcome = Outcome.REVIEW if questions else Outcome.CREATED
    best = questions[0] if questions else None
    return Decision(outcome, (), best.number if best else None, best.match_weight_bits if best else None, questions)


def _questions(
    standings: list[_Standing],
    settled: set[GoldenId | None],
    ambiguous: list[_Standing],
    veto: Callable[[GoldenId], str],
) -> tuple[Question, ...]:
    unclear = {standing.golden_id for standing in ambiguous}
    questions: list[Question] = []
    for standing in standings:
        if len(questions) == POTENTIAL_MATCHES_MAX:
            break
        if standing.golden_id in settled or standing.asked(veto).band is Band.NONE:
            continue
        pair = standing.best
        is_ambiguous = standing.golden_id in unclear or standing.is_linkable
        reason = MatchReason.AMBIGUOUS if is_ambiguous else pair.reason
        questions.append(Question(pair.number, reason, pair.match_weight_bits, pair.detail))
    return tuple(questions)
