"""Households and relations, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mdm_client.records import RelationType, SourceKey
from mdm_client.results import GoldenIdStatus


class RelationDirection(StrEnum):
    """Whose record states a relation."""

    UNSPECIFIED = "unspecified"
    """In a request, both."""
    OUTGOING = "outgoing"
    """A record of the golden record asked for says what the other is to its bearer."""
    INCOMING = "incoming"
    """A record of the other says what the bearer asked for is to it."""


class RelationGround(StrEnum):
    """How the other end of a relation was named with certainty."""

    UNSPECIFIED = "unspecified"
    RECORD_KEY = "record_key"
    """The registry names the other's record by its key."""
    IDENTIFIER = "identifier"
    """One golden record alone holds the number that is stated of the other."""
    HOUSEHOLD = "household"
    """The other is the one head of the household that is stated."""
    HOUSEHOLD_AND_NAME = "household_and_name"
    """The other is the one member of the household in the same registry who bears the name that is stated."""


class RelationObstacle(StrEnum):
    """Why the other end of a relation stays a name; nobody is guessed."""

    UNSPECIFIED = "unspecified"
    ONESELF = "oneself"
    """What is stated leads back to the bearer: the head of a household, or a number that was written twice."""
    AMBIGUOUS = "ambiguous"
    """Several golden records hold the number or bear the name."""
    CONTRADICTED = "contradicted"
    """The holder of the number bears another name, or cannot be the parent by sex or age."""
    PENDING = "pending"
    """The record named has no golden ID yet."""
    NOT_FOUND = "not_found"
    """No live record has the key, holds the number or heads the household."""
    NAME_ONLY = "name_only"
    """Nothing but a name is stated, or not even that."""


@dataclass(frozen=True, slots=True)
class HouseholdStatement:
    """One record that states the household of its bearer."""

    key: SourceKey
    name: str = field(repr=False)
    """What the record calls its bearer."""
    role: str = field(repr=False)
    """The bearer's relation to the head, as written."""
    since: str
    """The source's own time of the first version that stated household and role, as written; they may be older."""
    since_recorded_at: datetime
    """When that version was stored, UTC."""


@dataclass(frozen=True, slots=True)
class HouseholdMember:
    """One citizen in a household, with the records that say so."""

    golden_id: str
    is_head: bool
    statements: tuple[HouseholdStatement, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Household:
    """One household of one registry as it is now; each member stands once, the head first."""

    registry: str
    household_id: str = field(repr=False)
    members: tuple[HouseholdMember, ...]
    record_count: int
    """Records that state the household, those without a golden ID included; of more than 500 the oldest are shown."""


@dataclass(frozen=True, slots=True)
class FormerHousehold:
    """A household, or a role in one, that a record no longer states."""

    key: SourceKey
    household_id: str = field(repr=False)
    role: str = field(repr=False)
    since: str
    since_recorded_at: datetime
    until: str
    """The source's own time of the first version that no longer stated them, as written."""
    until_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Households:
    """The households of a citizen now, and those that the citizen left, the latest first."""

    golden_id: str
    """The surviving golden ID; empty if retired."""
    status: GoldenIdStatus
    households: tuple[Household, ...]
    former_households: tuple[FormerHousehold, ...]
    read_at: str


@dataclass(frozen=True, slots=True)
class RelationStatement:
    """One record that states a relation."""

    key: SourceKey
    updated_at: str
    name: str = field(repr=False)
    """Of the other: as stated in an outgoing relation; what the record calls its own bearer in an incoming one."""
    role: str = field(repr=False)
    household_id: str = field(repr=False)
    ground: RelationGround


@dataclass(frozen=True, slots=True)
class GoldenRelation:
    """One relation of a golden record; it stands once, however many records state it.

    Of an outgoing one, `type` says what the other is to the bearer asked for; of an incoming one, what the bearer asked
    for is to the other: a mother's children are her incoming relations of type MOTHER.
    """

    type: RelationType
    direction: RelationDirection
    golden_id: str
    """Of the other; empty where it could not be named with certainty."""
    ground: RelationGround
    obstacle: RelationObstacle
    statements: tuple[RelationStatement, ...] = field(repr=False)
    """At most 20, the oldest first."""
    statement_count: int
