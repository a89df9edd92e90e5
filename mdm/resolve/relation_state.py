"""What a record's relations name, as keys of the index, and its households over time: derived when it is stored.

A function of the record's versions alone, whether it is resolved or not; who stands at the other end is asked when a
reader answers, so that no decision about another record ever changes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from mdm.domain.events import RecordUpserted
from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
from mdm.domain.records import BusinessAttributes, Identifier, IdentifierType, Relation, RelationType, SourceRecord
from mdm.domain.relations import Stay, kind_related, stays_after
from mdm.limits import RECORD_VALUES_MAX, VALUE_CHARACTERS_MAX
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.normalise.identifiers import (
    PERSONAL_ID_DIGITS,
    TAX_CODE_DIGITS,
    parse_claim,
    parse_tax_code,
)
from mdm.linkage.normalise.record import normalise
from mdm.linkage.normalise.text import clean, digits, fold
from mdm.store.transaction import IndexTransaction
from mdm.store.view import IndexView

RELATION_STATE_VERSION = 1
"""Goes up with every change that gives any record other keys or stays: the index is then built anew."""

_TYPE_BYTES = {type_: bytes((position,)) for position, type_ in enumerate(RelationType)}
_PERSONAL_TYPES = frozenset({IdentifierType.PERSONAL_ID, IdentifierType.OLD_PERSONAL_ID})
_SEPARATOR = "\x1f"


class Stated(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one version of a record says of others."""

    relation_keys: tuple[bytes, ...]
    """Sorted."""
    households: tuple[tuple[str, str], ...]
    """(household id, role), spaces collapsed."""
    updated_at: str
    """The source's time of the version, as written."""


_encode_stays = msgspec.msgpack.Encoder().encode
_decode_stays = msgspec.msgpack.Decoder(tuple[Stay, ...]).decode


def stated_by(record: SourceRecord) -> Stated:
    """Return what a version of a record says of others: a function of its values alone. Cost: about 5 us."""
    return Stated(tuple(sorted(relation_keys(record))), tuple(households_stated(record)), record.updated_at)


def note_version(txn: IndexTransaction, fact: RecordUpserted, stated: Stated, at_us: int) -> None:
    """Keep what one version of a record says of others; call it for every version, in the journal's order.

    A new bearer begins without a past: the households of the former one are not theirs.

    Args:
        txn: The index.
        fact: Of the version.
        stated: By its values.
        at_us: When it was stored, UTC microseconds.
    """
    before = () if fact.is_new_bearer else stays_of(txn, fact.number)
    households = [(household_id, _as_before(before, household_id, role)) for household_id, role in stated.households]
    stays = stays_after(before, households, stated.updated_at, at_us)
    txn.put_relation_state(fact.number, stated.relation_keys, _encode_stays(stays) if stays else b"")


def forget(txn: IndexTransaction, number: RecordNumber) -> None:
    """Drop what a withdrawn record said; should its key return, its past begins anew."""
    txn.drop_relation_state(number)


def stays_of(view: IndexView, number: RecordNumber) -> tuple[Stay, ...]:
    """Return a record's households over time, oldest first."""
    _, encoded = view.relation_state(number)
    return _decode_stays(encoded) if encoded else ()


def relations_of(record: SourceRecord) -> tuple[Relation, ...]:
    """Return what a record states of others, at most `RECORD_VALUES_MAX`, and what a business's tax code says of them.

    The 13 digits of a branch begin with its parent's code, and a household business is taxed under its owner's personal
    ID: both hold by law, so they hold also where the registry has no column for the parent or the owner.
    """
    stated = record.attributes.relations[:RECORD_VALUES_MAX]
    if isinstance(record.attributes, BusinessAttributes):
        return (*stated, *_implied(record, stated))
    return stated


def relation_keys(record: SourceRecord) -> frozenset[bytes]:
    """Return the keys under which the record's relations are found from their other ends. Cost: about 5 us."""
    registry = record.key.registry
    keys: set[bytes] = set()
    for relation in relations_of(record):
        if relation.record_id:
            keys.add(record_relation_key(relation.type, record_named(registry, relation)))
        household_id = household_of(relation)
        if household_id:
            keys.add(household_key(registry, household_id))
        keys.update(number_relation_key(relation.type, number) for number in numbers_named(relation))
    return frozenset(keys)


def record_named(registry: str, relation: Relation) -> SourceKey:
    """Return the key of the record that a relation names by `record_id`."""
    return SourceKey(registry, kind_related(relation.type), relation.record_id)


def household_of(relation: Relation) -> str:
    """Return the household that a relation states, spaces collapsed; empty for any other relation."""
    if relation.type is not RelationType.HOUSEHOLD or not relation.group_id:
        return ""
    return clean(relation.group_id, VALUE_CHARACTERS_MAX)[0]


def households_stated(record: SourceRecord) -> Iterator[tuple[str, str]]:
    """Yield (household id, role) of each household that a record states, spaces collapsed."""
    for relation in record.attributes.relations[:RECORD_VALUES_MAX]:
        household_id = household_of(relation)
        if household_id:
            yield household_id, clean(relation.role, VALUE_CHARACTERS_MAX)[0]


def numbers_named(relation: Relation) -> tuple[str, ...]:
    """Return the numbers stated of the other end, as features hold them; none for what is malformed or a passport.

    A passport's number means nothing without the country that issued it.
    """
    found: dict[str, None] = {}
    for identifier in relation.identifiers[:RECORD_VALUES_MAX]:
        text = clean(identifier.value, VALUE_CHARACTERS_MAX)[0]
        if kind_related(relation.type) is EntityKind.BUSINESS:
            code = parse_tax_code(text, may_be_branch=False) if identifier.type is IdentifierType.TAX_CODE else None
            number = code.code if code else None
        elif identifier.type in _PERSONAL_TYPES:
            claim = parse_claim(text, None, None)
            number = claim.personal_id.number if claim.personal_id else claim.cmnd
        else:
            number = None
        if number is not None:
            found[number] = None
    return tuple(found)


def record_relation_key(type_: RelationType, key: SourceKey) -> bytes:
    """Return the key of relations of one type that name a record by its source key."""
    return _hashed(type_, "record", key.registry, key.kind.value, key.record_id)


def number_relation_key(type_: RelationType, number: str) -> bytes:
    """Return the key of relations of one type that state this number of their other end."""
    return _hashed(type_, "number", number)


def household_key(registry: str, household_id: str) -> bytes:
    """Return the key of the records that state a household."""
    return _hashed(RelationType.HOUSEHOLD, "household", registry, household_id)


def _hashed(type_: RelationType, *parts: str) -> bytes:
    body = _SEPARATOR.join(parts).encode()
    return _TYPE_BYTES[type_] + hashlib.blake2b(body, digest_size=8, person=b"relation").digest()


def _as_before(stays: tuple[Stay, ...], household_id: str, role: str) -> str:
    # "CHỦ HỘ" after "Chủ hộ" is another clerk, not another role.
    for stay in stays:
        if not stay.is_over and stay.household_id == household_id and fold(stay.role) == fold(role):
            return stay.role
    return role


def _implied(record: SourceRecord, stated: tuple[Relation, ...]) -> Iterator[Relation]:
    codes = [
        digits(identifier.value)
        for identifier in record.attributes.identifiers[:RECORD_VALUES_MAX]
        if identifier.type is IdentifierType.TAX_CODE
    ]
    named = {number for relation in stated for number in numbers_named(relation)} if codes else set()
    if not any(len(code) > TAX_CODE_DIGITS and named.isdisjoint((code, code[:TAX_CODE_DIGITS])) for code in codes):
        return
    # Only the features know whether twelve digits are a personal ID or a branch's code without its first zero.
    features = normalise(record).features
    for code in features.tax_codes if isinstance(features, BusinessFeatures) else ():
        if len(code) == PERSONAL_ID_DIGITS:
            type_, identifier = RelationType.OWNER, Identifier(IdentifierType.PERSONAL_ID, code)
        elif len(code) > PERSONAL_ID_DIGITS:
            type_, identifier = RelationType.BRANCH_OF, Identifier(IdentifierType.TAX_CODE, code[:TAX_CODE_DIGITS])
        else:
            continue
        if identifier.value not in named:
            yield Relation(type_, identifiers=(identifier,))
