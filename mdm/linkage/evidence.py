"""What the evidence allows, whatever the weight says: vetoes, sufficiency and the three bands.

A weight adds up what the levels are worth on average. These rules know what it cannot: that a personal ID one digit
off is another living person, that a name and a birth date may well be a stranger's, that twins share all but a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.rules import NAME_AND_BIRTH_DATE_ONLY, SHARED_BY_NAMESAKES, SOLE, STRANGERS, Coincidence, Found, Rules
from mdm.linkage.scorer import Scorer
from mdm.linkage.specification import specification_for, specification_of

PAIR_SAY_BITS_MAX = 10.0
"""What one pair may say for or against two golden records being one: no single pair outvotes three."""

MEMBERS_HEARD_MAX = 50
"""Members of a golden record whose weights are summed: the largest honest ones have some twenty."""

UNLISTED_SHARE_MAX = 0.2
"""A register of residents that lacks more than a fifth of them does not tell that a bearer is the only one."""

PATTERNS_CACHED_MAX = 1024
"""Patterns of levels remembered, full within minutes at a desk's pace: nine in ten come again, and one that does not
costs 5 us."""

_ENTITY_KIND = "entity_kind"


class Assessment(NamedTuple):
    """The band of a pair; for a review its reason and the name of the veto or missing evidence, never a value."""

    band: Band
    reason: MatchReason | None = None
    detail: str = ""

    @property
    def is_namesake(self) -> bool:
        """Whether the two share name and birth date and little else."""
        return self.detail in SHARED_BY_NAMESAKES

    @property
    def is_sole(self) -> bool:
        """Whether the link holds only while nobody else listed bears this name and birth date."""
        return self.band is Band.LINK and self.detail == SOLE


_LINK = Assessment(Band.LINK)
_SOLE = Assessment(Band.LINK, None, SOLE)
NOTHING = Assessment(Band.NONE)
"""Neither a link nor worth a question."""


@lru_cache(maxsize=PATTERNS_CACHED_MAX)
def found_of(kind: str, levels: tuple[int, ...]) -> Found:
    """Return the levels of a pair by comparison name."""
    return Found(specification_of(kind).comparisons, levels)


@lru_cache(maxsize=PATTERNS_CACHED_MAX)
def _asked(kind: str, levels: tuple[int, ...], left: int, right: int) -> tuple[str | Coincidence | None, bool]:
    """Return what a link of records of these levels and traits lacks, and whether a veto is possible."""
    rules, found = specification_of(kind).rules, found_of(kind, levels)
    return rules.lack(found, left, right), rules.may_veto(found, left, right)


def veto(left: AnyFeatures, right: AnyFeatures) -> str | None:
    """Return the name of what forbids that both describe one bearer, or None. Symmetric; about 1 µs."""
    if type(left) is not type(right):
        return _ENTITY_KIND
    return specification_for(left).rules.veto(left, right)


def assess(
    kind: str,
    levels: tuple[int, ...],
    left: AnyFeatures,
    right: AnyFeatures,
    bits: float,
    model: Model,
    epoch: StatisticsEpoch,
) -> Assessment:
    """Return the band of one pair, for online and batch alike. About 2 µs.

    Args:
        kind: Of both records.
        levels: As scored.
        left: Features of one record.
        right: Features of the other.
        bits: The match weight.
        model: Gives the thresholds.
        epoch: Gives how common the name is.
    """
    return Assessor(kind, left, model, epoch).assess(levels, right, bits)


class Assessor:
    """Assesses the pairs of one record. What many candidates have in common is asked once: hundreds may bear a name."""

    def __init__(self, kind: str, features: AnyFeatures, model: Model, epoch: StatisticsEpoch) -> None:
        """Judge by these, as in `assess`."""
        self._kind = kind
        self._features = features
        self._model = model
        self._epoch = epoch
        self._rules = specification_of(kind).rules
        self._traits = self._rules.traits(features) if self._rules.traits is not None else 0
        self._known: dict[tuple[tuple[int, ...], int, bool], Assessment] = {}
        """By levels, the other's traits and whether the weight reaches the link threshold: where nothing is vetoed."""

    def assess(self, levels: tuple[int, ...], other: AnyFeatures, bits: float) -> Assessment:
        """Return the band of the pair with another record. About 2 µs, half of it where the like was asked before."""
        thresholds, rules, features = self._model.thresholds, self._rules, self._features
        if bits < thresholds.review_bits:
            return NOTHING
        is_above = bits >= thresholds.link_bits
        if rules.traits is None:
            missing, may_be_vetoed = rules.lack(found_of(self._kind, levels), features, other), True
            alike = None
        else:
            traits = rules.traits(other)
            alike = (levels, traits, is_above)
            known = self._known.get(alike)
            if known is not None:
                return known
            missing, may_be_vetoed = _asked(self._kind, levels, self._traits, traits)
        if isinstance(missing, Coincidence):
            missing = missing_beside_coincidence(missing, features, self._model, self._epoch)
        if missing == STRANGERS:
            return NOTHING
        forbidden = veto(features, other) if may_be_vetoed else None
        assessment = concluded(rules, missing, forbidden, is_above=is_above)
        if alike is not None and not may_be_vetoed:
            self._known[alike] = assessment
        return assessment


def missing_beside_coincidence(
    shared: Coincidence, features: AnyFeatures, model: Model, epoch: StatisticsEpoch
) -> str | None:
    """Return what a link lacks where a name and a birth date are all that is shared: it hangs on how rare the name is.

    Args:
        shared: What the rules found.
        features: Of either record.
        model: Says how few strangers of that name and birth date are few enough.
        epoch: Gives how common the name is.
    """
    name: str | None = getattr(features, "name", None)
    strangers, strangers_max = 1.0 if name is None else epoch.expected_strangers(name), model.thresholds.coincidence_max
    if strangers < strangers_max and not shared.has_moved:
        return None
    # One who shares both would have to be missing from the register of residents as well, for it shows only one.
    unlisted = epoch.unlisted_share
    is_known_to_be_rare = unlisted <= UNLISTED_SHARE_MAX and strangers * unlisted < strangers_max
    return SOLE if is_known_to_be_rare else NAME_AND_BIRTH_DATE_ONLY


def concluded(rules: Rules, missing: str | None, forbidden: str | None, *, is_above: bool) -> Assessment:
    """Return the band of a pair that is worth a question at least.

    Args:
        rules: Of its kind.
        missing: What a link lacks.
        forbidden: What vetoes it.
        is_above: Whether its weight reaches the link threshold.
    """
    if missing == STRANGERS:
        return NOTHING
    if forbidden is not None:
        # A veto is worth a steward's time only where a link would else have been made.
        would_link = is_above and missing is None
        if not would_link or forbidden == _ENTITY_KIND or forbidden in rules.plain_facts:
            return NOTHING
        return Assessment(Band.REVIEW, MatchReason.VETO, forbidden)
    if not is_above:
        return Assessment(Band.REVIEW, MatchReason.WEIGHT, missing or "")
    if missing == SOLE:
        return _SOLE
    return _LINK if missing is None else Assessment(Band.REVIEW, MatchReason.THIN_EVIDENCE, missing)


def contradiction(
    members_a: Sequence[AnyFeatures], members_b: Sequence[AnyFeatures], same: Sequence[Sequence[AnyFeatures]] = ()
) -> str | None:
    """Return the name of what forbids that all these members describe one bearer, or None.

    A veto between two of them that no steward overruled, or what only shows when all are seen together. Costs
    len(a) × len(b) vetoes of 1 µs.

    Args:
        members_a: Of one golden record.
        members_b: Of another, or of none yet.
        same: Members in groups, each of which stewards called one bearer; see `standing_veto`.
    """
    for left in members_a:
        for right in members_b:
            forbidden = standing_veto(left, right, same)
            if forbidden is not None:
                return forbidden
    members = [*members_a, *members_b]
    rules = specification_for(members[0]).rules if members else None
    return rules.excess(members) if rules is not None and len(members) >= rules.excess_members_min else None


def standing_veto(left: AnyFeatures, right: AnyFeatures, same: Sequence[Sequence[AnyFeatures]]) -> str | None:
    """Return the name of the veto between two records, or None if there is none or stewards overruled it.

    They did if they called two the same in spite of this very veto, one like the left and one like the right: who is
    one bearer under two numbers is so for every record that carries either. A record without a number says nothing of
    the kind, so that neither a third number nor a judgement about other values lets a stranger in.

    Args:
        left: Features of one record.
        right: Features of the other.
        same: Members of the golden records in question in groups, each of which stewards called one bearer.
    """
    forbidden = veto(left, right)
    if forbidden is None:
        return None
    for group in same:
        ones = [each for each in group if veto(left, each) is None and veto(each, right) == forbidden]
        others = [each for each in group if veto(each, right) is None and veto(left, each) == forbidden]
        if any(veto(one, other) == forbidden for one in ones for other in others):
            return None
    return forbidden


def compatible(
    members_a: Sequence[AnyFeatures],
    members_b: Sequence[AnyFeatures],
    scorer: Scorer,
    same: Sequence[Sequence[AnyFeatures]] = (),
) -> bool:
    """Return whether two golden records may be one.

    Nothing may contradict it, and the mean weight of all pairs must lie above the model's `joint_bits_min`, so that
    one slipped number does not join two people whose other records know better. Pairs whose veto stewards overruled
    are not heard: what parts them is known to be of one bearer. The same test guards online merging of fragments and
    batch clusters. Costs len(a) × len(b) vetoes of 1 µs, and as many scorings up to `MEMBERS_HEARD_MAX` members of
    each.

    Args:
        members_a: Of one golden record.
        members_b: Of the other.
        scorer: Weighs the pairs.
        same: As in `standing_veto`.
    """
    if contradiction(members_a, members_b, same) is not None:
        return False
    heard_a, heard_b = members_a[:MEMBERS_HEARD_MAX], members_b[:MEMBERS_HEARD_MAX]
    weights = [
        pair.match_weight_bits
        for left in heard_a
        for right, pair in zip(heard_b, scorer.score(left, heard_b), strict=True)
        if not same or veto(left, right) is None
    ]
    return is_spoken_for(weights, scorer.model) if weights else bool(heard_a and heard_b)


def is_spoken_for(weights: Sequence[float], model: Model) -> bool:
    """Return whether the weights of all pairs together speak for one bearer, each with its say and no more."""
    held = (min(max(weight, -PAIR_SAY_BITS_MAX), PAIR_SAY_BITS_MAX) for weight in weights)
    return sum(held) > model.thresholds.joint_bits_min * len(weights)
