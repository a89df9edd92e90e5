"""The relations of a golden record, in both directions, page by page.

What its own records state comes first, then what others' records state of it. A statement counts from its other end
exactly when it counts from its own: both directions ask `Ends.end_of`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

import msgspec

from mdm.domain.keys import GoldenId, RecordNumber, SourceKey, kind_of
from mdm.domain.records import RelationType
from mdm.domain.relations import NAMED_WITHIN_HOUSEHOLD, Direction, Ground, Obstacle, kind_related
from mdm.domain.state import GoldenEntry
from mdm.limits import RELATION_STATEMENTS_MAX, RELATIONS_EXAMINED_MAX
from mdm.linkage.normalise.text import fold
from mdm.resolve.relation_ends import End, Ends, StatingRecord
from mdm.resolve.relation_state import household_key, household_of, number_relation_key, record_relation_key
from mdm.resolve.views import GoldenState
from mdm.store.view import NO_NUMBER, IndexView

_DIRECTIONS = list(Direction)
_TYPES = list(RelationType)
_GROUNDS = list(Ground)


class Position(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A place in the order of a golden record's relations; stays what it is while relations come and go."""

    direction: int
    type: int
    number: int
    """Of the first record that states the relation."""
    place: int = 0
    """Among what that record states."""


class Statement(msgspec.Struct, frozen=True):
    """One record that states a relation."""

    key: SourceKey
    updated_at: str
    name: str
    """Of the other end: as stated in an outgoing relation, as the record calls its own bearer in an incoming one."""
    role: str
    household_id: str
    """Of a household."""
    ground: Ground | None


class RelationRow(msgspec.Struct, frozen=True):
    """One relation of a golden record, with the records that state it."""

    type: RelationType
    direction: Direction
    golden_id: GoldenId | None
    """The other end; None where it could not be named with certainty."""
    ground: Ground | None
    """The strongest among the statements."""
    obstacle: Obstacle | None
    statements: tuple[Statement, ...]
    """The first `RELATION_STATEMENTS_MAX`, oldest record first."""
    statement_count: int


class RelationPage(msgspec.Struct, frozen=True):
    """A page of a golden record's relations."""

    golden_id: GoldenId | None
    """The surviving ID; None when retired."""
    state: GoldenState
    rows: tuple[RelationRow, ...]
    following: Position | None
    """Where the next page begins; None on the last."""
    read_seq: int


class RelationFilter(msgspec.Struct, frozen=True):
    """Which relations are asked for."""

    type: RelationType | None = None
    direction: Direction | None = None


_Stated = tuple[StatingRecord, int, End]
"""A record, the place of the relation among what it states, and the other end."""


class RelationList:
    """The relations of one golden record within one view."""

    def __init__(self, view: IndexView, golden_id: GoldenId, golden: GoldenEntry, wanted: RelationFilter) -> None:
        """List for a surviving golden ID."""
        self._view = view
        self._ends = Ends(view)
        self._golden_id = golden_id
        self._members = golden.members
        self._wanted = wanted

    def page(self, size: int, after: Position | None) -> tuple[list[RelationRow], Position | None]:
        """Return at most `size` rows and where the next page begins; None behind the last one.

        A page that had to look at more than `RELATIONS_EXAMINED_MAX` records holds fewer rows and is continued.
        """
        rows: list[RelationRow] = []
        start = after or Position(0, 0, NO_NUMBER, -1)
        last, examined = start, 0
        for position, row in itertools.chain(self._outgoing(start), self._incoming(start)):
            if len(rows) == size or examined == RELATIONS_EXAMINED_MAX:
                if row is not None or examined == RELATIONS_EXAMINED_MAX:
                    return rows, last
            elif row is not None:
                rows.append(row)
            last, examined = position, examined + 1
        return rows, None

    def _outgoing(self, start: Position) -> Iterator[tuple[Position, RelationRow | None]]:
        if self._wanted.direction is Direction.INCOMING or start.direction > 0:
            return
        grouped: dict[tuple[object, ...], list[_Stated]] = {}
        for number in self._members:
            stating = self._ends.stating(number)
            for place, relation in enumerate(stating.relations if stating else ()):
                if stating is not None and self._wanted.type in {None, relation.type}:
                    end = self._ends.end_of(stating, relation)
                    grouped.setdefault(_sameness(stating, place, end), []).append((stating, place, end))
        rows = [
            (Position(0, _TYPES.index(_relation_type(stated[0])), stated[0][0].number, stated[0][1]), stated)
            for stated in grouped.values()
        ]
        for position, stated in sorted(rows, key=lambda each: each[0]):
            if position > start:
                yield position, _row(Direction.OUTGOING, stated)

    def _incoming(self, start: Position) -> Iterator[tuple[Position, RelationRow | None]]:
        if self._wanted.direction is Direction.OUTGOING:
            return
        for place, type_ in enumerate(_TYPES):
            is_asked_for = self._wanted.type in {None, type_} and kind_related(type_) is kind_of(self._golden_id)
            if is_asked_for and (start.direction, start.type) <= (1, place):
                after = start.number if (start.direction, start.type) == (1, place) else NO_NUMBER
                yield from self._incoming_of(type_, RecordNumber(after))

    def _incoming_of(self, type_: RelationType, after: RecordNumber) -> Iterator[tuple[Position, RelationRow | None]]:
        keys = self._keys(type_)
        found: dict[GoldenId, list[_Stated]] = {}
        for number in _merged(self._view.iter_relations(key, after) for key in keys):
            position = Position(1, _TYPES.index(type_), number)
            entry = self._view.record(number)
            other = entry.golden_id if entry is not None else None
            if other is None or other == self._golden_id:
                yield position, None
                continue
            if other not in found:
                found[other] = self._stated_by(other, type_, keys)
            stated = found[other]
            # One row for each golden record: where the first of its records stands that says so.
            is_first = bool(stated) and stated[0][0].number == number
            yield position, _row(Direction.INCOMING, stated) if is_first else None

    def _stated_by(self, other: GoldenId, type_: RelationType, keys: frozenset[bytes]) -> list[_Stated]:
        golden = self._view.golden(other)
        found = []
        for number in golden.members if golden else ():
            stating = self._ends.stating(number) if not keys.isdisjoint(self._view.relation_state(number)[0]) else None
            for place, relation in enumerate(stating.relations if stating else ()):
                if stating is not None and relation.type is type_:
                    end = self._ends.end_of(stating, relation)
                    if end.golden_id == self._golden_id:
                        found.append((stating, place, end))
        return found

    def _keys(self, type_: RelationType) -> frozenset[bytes]:
        """Return the keys of every record that may state this of the bearer."""
        keys = {number_relation_key(type_, number) for number in self._ends.numbers_of(self._members)}
        for member in self._members:
            key = self._view.key_of(member)
            if key is not None:
                keys.add(record_relation_key(type_, key))
        if type_ in NAMED_WITHIN_HOUSEHOLD or type_ is RelationType.HOUSEHOLD:
            keys.update(self._household_keys())
        return frozenset(keys)

    def _household_keys(self) -> Iterator[bytes]:
        for member in self._members:
            stating = self._ends.stating(member)
            if stating is not None:
                yield from (household_key(stating.key.registry, each) for each, _ in stating.households)


def _merged(holders: Iterable[Iterator[RecordNumber]]) -> Iterator[RecordNumber]:
    for number, _ in itertools.groupby(heapq.merge(*holders)):
        yield number


def _relation_type(stated: _Stated) -> RelationType:
    stating, place, _ = stated
    return stating.relations[place].type


def _sameness(stating: StatingRecord, place: int, end: End) -> tuple[object, ...]:
    """Return what two statements must share to be one relation: the other end, or else all that names it."""
    relation = stating.relations[place]
    registry, household_id = stating.key.registry, household_of(relation)
    household = (registry, household_id) if household_id else None
    if end.golden_id is not None:
        return relation.type, end.golden_id, household
    record = (registry, relation.record_id) if relation.record_id else None
    return relation.type, end.obstacle, household, record, fold(relation.name), relation.identifiers


def _row(direction: Direction, stated: list[_Stated]) -> RelationRow:
    statements = []
    for stating, place, end in stated:
        relation = stating.relations[place]
        name = relation.name if direction is Direction.OUTGOING else stating.name
        statements.append(
            Statement(stating.key, stating.record.updated_at, name, relation.role, household_of(relation), end.ground)
        )
    end = min((each for _, _, each in stated), key=_strength)
    golden_id = end.golden_id if direction is Direction.OUTGOING else stated[0][0].golden_id
    return RelationRow(
        _relation_type(stated[0]),
        direction,
        golden_id,
        end.ground,
        end.obstacle,
        tuple(statements[:RELATION_STATEMENTS_MAX]),
        len(statements),
    )


def _strength(end: End) -> int:
    return _GROUNDS.index(end.ground) if end.ground is not None else len(_GROUNDS)
