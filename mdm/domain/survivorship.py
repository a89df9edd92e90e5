"""Which of the members' values a golden record shows, what decided it, and what the others state.

Computed from the members when it is asked for, so it can't lag behind a merge, a split or an update.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from mdm.domain.keys import RecordNumber, SourceKey
from mdm.domain.records import Address, Assurance, Identifier, Relation, SourceRecord
from mdm.domain.survivorship_rules import Criterion, KindRules

Item = str | Identifier | Address | Relation
"""One value: a single-valued attribute, or one item of a repeated one."""

Completeness = Callable[[str, Item], int]
"""Field and value → how complete the value is; a larger number is more complete."""

NumberOf = Callable[[Identifier], str]
"""Identifier → the number that it states, the same for each spelling of it."""


class Member(msgspec.Struct, frozen=True):
    """One source record of a golden record, as survivorship weighs it."""

    number: RecordNumber
    record: SourceRecord
    trust_rank: int
    """1 is the most trusted registry."""
    updated_at_us: int | None


class Pin(msgspec.Struct, frozen=True):
    """A value that a steward fixed."""

    value: str
    number: RecordNumber
    """The member that carries it."""


class Alternative(msgspec.Struct, frozen=True):
    """A value that members state and the golden record does not show."""

    value: str
    source: SourceKey
    """The best of the records that state it."""
    updated_at: str
    trust_rank: int
    record_count: int
    """Members that state exactly this."""
    lost_by: Criterion


class GoldenValue(msgspec.Struct, frozen=True):
    """One value of a golden record and where it came from."""

    field: str
    """Path: the attribute, for identifiers, addresses and relations followed by their type or kind."""
    value: Item
    source: SourceKey
    updated_at: str
    trust_rank: int
    """The registry's for this field."""
    record_count: int
    """Members that state this: an identifier's number in any spelling, other values exactly."""
    alternatives_count: int
    """Other distinct values that members state under the same path."""
    decided_by: Criterion | None = None
    """What put it before the next best value; of further values of a repeated field, what put them behind the first.
    None where members state nothing else."""
    alternatives: tuple[Alternative, ...] = ()
    """Of a single-valued field, the best first. Repeated fields show all that is stated."""

    @property
    def is_pinned(self) -> bool:
        """Whether a steward fixed it."""
        return self.decided_by is Criterion.PINNED


def golden_values(
    members: Iterable[Member],
    rules: KindRules,
    completeness: Completeness,
    number_of: NumberOf,
    pins: Mapping[str, Pin] | None = None,
    fields: frozenset[str] = frozenset(),
) -> list[GoldenValue]:
    """Return the surviving value of every field that any member states or a steward pinned, in the attributes' order.

    Single values: a steward's pinned value, else the best by the field's criteria. Repeated values (identifiers,
    phones, addresses, relations, former names): each distinct one, the best first, every one with its own provenance.
    An identifier's number comes once: in the spelling that lost nothing, if one is stated, and as best assured.

    Args:
        members: All of one entity kind.
        rules: Of that kind.
        completeness: Asked only about fields whose criteria list it and whose members differ.
        number_of: Asked once about each identifier.
        pins: By field; single-valued ones only.
        fields: The only attributes to return values of; empty means all.

    Cost: 0.4 ms for 4 members, 3.3 ms for 50 that agree in nothing.
    """
    ordered = sorted(members, key=lambda member: member.number)
    if not ordered:
        return []
    values: list[GoldenValue] = []
    number_of = functools.cache(number_of)
    for name in ordered[0].record.attributes.__struct_fields__:
        if fields and name not in fields:
            continue
        stated = [(member, value) for member in ordered if (value := getattr(member.record.attributes, name))]
        pin = (pins or {}).get(name)
        if stated and isinstance(stated[0][1], tuple):
            items = [(member, item) for member, items in stated for item in items]
            values.extend(_repeated(name, _ranked(name, items, rules, completeness, number_of), rules, number_of))
        elif stated or pin is not None:
            ranked = _ranked(name, stated, rules, completeness, number_of)
            values.append(_single(name, ranked, rules, pin, ordered))
    return values


def path_of(field: str, item: Item) -> str:
    """Return the path under which an item is shown."""
    match item:
        case Identifier() | Relation():
            return f"{field}.{item.type}"
        case Address():
            return f"{field}.{item.kind}"
        case _:
            return field


class _Statement(NamedTuple):
    """A value in the mouth of one member; less is better."""

    key: tuple[int, ...]
    """One number for each criterion, then the record number and the place within the record, which make it total."""
    member: Member
    value: Item


def _ranked(
    field: str,
    stated: list[tuple[Member, Item]],
    rules: KindRules,
    completeness: Completeness,
    number_of: NumberOf,
) -> list[_Statement]:
    if len(stated) == 1:
        # Nothing to choose from, as for most fields of most golden records.
        return [_Statement((), *stated[0])]
    distinct = {value for _, value in stated}
    columns: list[list[int]] = []
    for criterion in rules.criteria(field):
        match criterion:
            case Criterion.TRUST:
                columns.append([_rank(field, member, rules) for member, _ in stated])
            case Criterion.RECENCY:
                # Undated values count as oldest.
                columns.append([-(member.updated_at_us or 0) for member, _ in stated])
            case _ if len(distinct) == 1:
                # Where all say the same, nothing has to be read to know the value; only whose word it is.
                columns.append([0] * len(stated))
            case Criterion.COMPLETENESS:
                complete = {value: -completeness(field, value) for value in distinct}
                columns.append([complete[value] for _, value in stated])
            case _:
                written = {value: _written(value, number_of) for value in distinct}
                counts = Counter(written[value] for _, value in stated)
                columns.append([-counts[written[value]] for _, value in stated])
    columns.append([member.number for member, _ in stated])
    # Numbers and places make the order total, so nothing behind them is ever compared.
    keys = zip(*columns, range(len(stated)), strict=True)
    return sorted(_Statement(key, *each) for key, each in zip(keys, stated, strict=True))


def _rank(field: str, member: Member, rules: KindRules) -> int:
    order = rules.trust.get(field)
    if order is None:
        return member.trust_rank
    registry = member.record.key.registry
    return order.index(registry) + 1 if registry in order else len(order) + member.trust_rank


def _written(value: Item, number_of: NumberOf) -> object:
    """Return what is the same for two writings of one value: but for case and spaces, or of one number."""
    match value:
        case str():
            return " ".join(value.casefold().split())
        case Identifier():
            return _identity(value, number_of)
        case Address():
            return value.kind, " ".join(value.text.casefold().split()), value.ward_code
        case _:
            return value


def _difference(better: _Statement, worse: _Statement, criteria: tuple[Criterion, ...]) -> Criterion:
    for criterion, left, right in zip(criteria, better.key, worse.key, strict=False):
        if left != right:
            return criterion
    return Criterion.FIRST_STORED


def _single(
    field: str, ranked: list[_Statement], rules: KindRules, pin: Pin | None, members: list[Member]
) -> GoldenValue:
    if pin is None and len(ranked) == 1:
        member = ranked[0].member
        record = member.record
        return GoldenValue(field, ranked[0].value, record.key, record.updated_at, _rank(field, member, rules), 1, 0)
    criteria = rules.criteria(field)
    counts = Counter(statement.value for statement in ranked)
    best: dict[Item, _Statement] = {}
    for statement in ranked:
        best.setdefault(statement.value, statement)
    shown = ranked[0].value if pin is None else pin.value
    source = best[shown].member if shown in best or pin is None else _carrier(pin, members)
    others = [statement for value, statement in best.items() if value != shown]
    alternatives = tuple(
        Alternative(
            str(each.value),
            each.member.record.key,
            each.member.record.updated_at,
            _rank(field, each.member, rules),
            counts[each.value],
            Criterion.PINNED if pin is not None else _difference(ranked[0], each, criteria),
        )
        for each in others
    )
    decided_by = alternatives[0].lost_by if alternatives else None
    return GoldenValue(
        field,
        shown,
        source.record.key,
        source.record.updated_at,
        _rank(field, source, rules),
        counts[shown],
        len(others),
        Criterion.PINNED if pin is not None else decided_by,
        alternatives,
    )


def _carrier(pin: Pin, members: list[Member]) -> Member:
    return next((member for member in members if member.number == pin.number), members[0])


def _identity(value: Item, number_of: NumberOf) -> Hashable:
    if isinstance(value, Identifier):
        # A guardian's number is never the bearer's, even where another record takes it for that.
        return value.type, number_of(value), value.assurance is Assurance.GUARDIAN
    return value


def _spelling(value: Item, number_of: NumberOf) -> tuple[bool, bool, int]:
    """Return how far a spelling is from what is to be shown of its number; less is better."""
    if not isinstance(value, Identifier):
        return False, False, 0
    number = number_of(value)
    has_lost = _bare(value.value) != _bare(number)
    return has_lost, value.value != number, _ASSURANCES.index(value.assurance)


def _bare(text: str) -> str:
    """Return letters and digits alone: groups, spaces and points cost a number nothing."""
    return "".join(filter(str.isalnum, text)).upper()


_ASSURANCES = tuple(Assurance)
"""The best first."""


def _repeated(field: str, ranked: list[_Statement], rules: KindRules, number_of: NumberOf) -> list[GoldenValue]:
    criteria = rules.criteria(field)
    by_path: dict[str, dict[Hashable, list[_Statement]]] = {}
    for statement in ranked:
        stated = by_path.setdefault(path_of(field, statement.value), {})
        stated.setdefault(_identity(statement.value, number_of), []).append(statement)
    values = []
    for path, stated in by_path.items():
        first, *others = (statements[0] for statements in stated.values())
        for statements in stated.values():
            best = statements[0]
            shown = min(statements, key=lambda each: _spelling(each.value, number_of))
            decided_by = None
            if others:
                decided_by = _difference(first, others[0] if best is first else best, criteria)
            values.append(
                GoldenValue(
                    path,
                    shown.value,
                    shown.member.record.key,
                    shown.member.record.updated_at,
                    _rank(field, shown.member, rules),
                    len({each.member.number for each in statements}),
                    len(others),
                    decided_by,
                )
            )
    return values
