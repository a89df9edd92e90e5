"""Relations as facts beside identity: whom each type leads to, how the other end was named, households over time."""

from __future__ import annotations

import enum
from collections.abc import Collection

import msgspec

from mdm.domain.keys import EntityKind
from mdm.domain.records import RelationType
from mdm.limits import STAYS_MAX

BUSINESS_ENDS = frozenset({RelationType.EMPLOYER, RelationType.BRANCH_OF})
"""Relations to a business; all others are to a citizen."""

NAMED_WITHIN_HOUSEHOLD = frozenset(
    {RelationType.MOTHER, RelationType.FATHER, RelationType.SPOUSE, RelationType.GUARDIAN}
)
"""Relations whose other end a name can tell apart within one household, and nowhere else."""


class Ground(enum.StrEnum):
    """How the other end of a relation was named with certainty; the strongest first."""

    RECORD_KEY = "record_key"
    """The registry names the other's record by its key."""
    IDENTIFIER = "identifier"
    """One golden record alone holds the number that is stated of the other."""
    HOUSEHOLD = "household"
    """The other is the one head of the household that is stated."""
    HOUSEHOLD_AND_NAME = "household_and_name"
    """The other is the one member of the household in the same registry who bears the name that is stated."""


class Obstacle(enum.StrEnum):
    """Why the other end stays a name: nobody is guessed. What says most comes first."""

    ONESELF = "oneself"
    """What is stated leads back to the bearer: the head of a household, or a number that was written twice."""
    AMBIGUOUS = "ambiguous"
    """Several golden records hold the number or bear the name."""
    CONTRADICTED = "contradicted"
    """The holder of the number bears another name than the one stated."""
    PENDING = "pending"
    """The record named has no golden ID yet."""
    NOT_FOUND = "not_found"
    """No live record has the key, holds the number or heads the household."""
    NAME_ONLY = "name_only"
    """Nothing but a name is stated, or not even that."""


class Direction(enum.StrEnum):
    """Whose record states a relation."""

    OUTGOING = "outgoing"
    """A record of the golden record in question says what the other is to its bearer."""
    INCOMING = "incoming"
    """A record of the other says what the bearer in question is to it."""


class Stay(msgspec.Struct, frozen=True, array_like=True):
    """The time during which one source record stated one household and one role in it."""

    household_id: str
    role: str
    """As written; empty when not stated."""
    since: str
    """The source's own time of the first version that stated it, as written. The stay may be older."""
    since_us: int
    """When that version was stored, UTC microseconds."""
    until: str = ""
    """The source's own time of the first version that no longer stated it; empty while the stay lasts."""
    until_us: int | None = None
    """When that version was stored; None while the stay lasts."""

    @property
    def is_over(self) -> bool:
        """Whether a later version stated something else."""
        return self.until_us is not None


def kind_related(type_: RelationType) -> EntityKind:
    """Return what the other end of a relation is."""
    return EntityKind.BUSINESS if type_ in BUSINESS_ENDS else EntityKind.CITIZEN


def stays_after(
    stays: tuple[Stay, ...], stated: Collection[tuple[str, str]], updated_at: str, at_us: int
) -> tuple[Stay, ...]:
    """Return a record's stays after its next version: those that are no longer stated end, new ones begin.

    Args:
        stays: Before, oldest first.
        stated: (household id, role) of every household that the version states.
        updated_at: The source's time of the version, as written.
        at_us: When the version was stored, UTC microseconds.

    Returns:
        Oldest first. Of more than `STAYS_MAX` those that ended first are dropped; what lasts is always kept.
    """
    if not stays:
        return tuple(Stay(*each, updated_at, at_us) for each in dict.fromkeys(stated))
    after = [
        stay
        if stay.is_over or (stay.household_id, stay.role) in stated
        else msgspec.structs.replace(stay, until=updated_at, until_us=at_us)
        for stay in stays
    ]
    lasting = {(stay.household_id, stay.role) for stay in after if not stay.is_over}
    after += [Stay(*each, updated_at, at_us) for each in dict.fromkeys(stated) if each not in lasting]
    surplus = len(after) - STAYS_MAX
    over = [stay for stay in after if stay.is_over][: max(surplus, 0)]
    return tuple(stay for stay in after if not any(stay is each for each in over))
