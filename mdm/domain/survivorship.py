"""Which value a golden record shows: the most trusted registry's, then the most recent, with its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from mdm.domain.keys import RecordNumber, SourceKey
from mdm.domain.records import SourceRecord


class Member(msgspec.Struct, frozen=True):
    """One source record of a golden record, as survivorship weighs it."""

    number: RecordNumber
    record: SourceRecord
    trust_rank: int
    """1 is the most trusted registry."""
    updated_at_us: int | None


class GoldenValue(msgspec.Struct, frozen=True):
    """One value of a golden record and where it came from."""

    field: str
    value: str | tuple[object, ...]
    source: SourceKey
    updated_at: str
    trust_rank: int
    alternatives_count: int
    """Other distinct values that members state for the same field."""
    is_pinned: bool = False


def golden_values(members: Iterable[Member], pins: Mapping[str, str] | None = None) -> list[GoldenValue]:
    """Return the surviving value of every field that any member states, in the order of the attribute structs.

    Single values: a steward's pinned value, else the best member's. Repeated values (identifiers, phones, addresses,
    relations): each distinct one, best member first, every one with its own provenance.

    Args:
        members: All of one entity kind.
        pins: Field → value fixed by a steward.
    """
    ranked = sorted(members, key=_rank)
    if not ranked:
        return []
    values: list[GoldenValue] = []
    for field in msgspec.structs.fields(ranked[0].record.attributes):
        stated = [(member, getattr(member.record.attributes, field.name)) for member in ranked]
        stated = [(member, value) for member, value in stated if value]
        pinned = (pins or {}).get(field.name)
        if not stated:
            if pinned is not None:
                # Fixed by a steward, and no member states anything any more.
                best = ranked[0]
                source = (best.record.key, best.record.updated_at, best.trust_rank)
                values.append(GoldenValue(field.name, pinned, *source, 0, is_pinned=True))
            continue
        if isinstance(stated[0][1], tuple):
            values.extend(_repeated(field.name, stated))
        else:
            best, value = stated[0]
            distinct = {each for _, each in stated}
            values.append(
                GoldenValue(
                    field.name,
                    value if pinned is None else pinned,
                    best.record.key,
                    best.record.updated_at,
                    best.trust_rank,
                    len(distinct - {value if pinned is None else pinned}),
                    is_pinned=pinned is not None,
                )
            )
    return values


def _rank(member: Member) -> tuple[int, int, int]:
    # Undated values count as oldest; the record number makes the order total.
    recency = -(member.updated_at_us or 0)
    return (member.trust_rank, recency, member.number)


def _repeated(field: str, stated: list[tuple[Member, tuple[object, ...]]]) -> list[GoldenValue]:
    first: dict[object, Member] = {}
    for member, items in stated:
        for item in items:
            first.setdefault(item, member)
    return [
        GoldenValue(field, (item,), member.record.key, member.record.updated_at, member.trust_rank, len(first) - 1)
        for item, member in first.items()
    ]
