"""Keys of the house: entity kinds, source keys and golden IDs.

A golden ID is a kind letter, 60 random bits in Crockford base 32 and one check character
(ISO 7064 mod 37,36). It says nothing about its bearer.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from typing import NewType

import msgspec
from stdnum.iso7064 import mod_37_36

from mdm.errors import InvalidGoldenIdError, InvalidSourceKeyError
from mdm.limits import RECORD_ID_BYTES_MAX

GoldenId = NewType("GoldenId", str)
"""Canonical form: fixed length 18, upper case, hyphens included."""

RecordNumber = NewType("RecordNumber", int)
"""Dense 1-based ordinal of a source key, given by its first upsert event and never reused."""

GOLDEN_ID_PATTERN = re.compile(r"^[CB]-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]$")
GOLDEN_ID_LENGTH = 18
GOLDEN_ID_RANDOM_BITS = 60

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CROCKFORD_SYMBOLS = frozenset(_CROCKFORD)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_REGISTRY_PATTERN = re.compile(r"^[a-z][a-z0-9_]{1,31}$")


class EntityKind(enum.StrEnum):
    """What a record describes; part of its key, so a citizen never merges with a business."""

    CITIZEN = "citizen"
    BUSINESS = "business"

    @property
    def letter(self) -> str:
        """The first character of this kind's golden IDs."""
        return "C" if self is EntityKind.CITIZEN else "B"


class SourceKey(msgspec.Struct, frozen=True, gc=False, array_like=True, order=True):
    """The name a registry knows a record by: registry, entity kind, record id."""

    registry: str
    kind: EntityKind
    record_id: str

    def checked_to_store(self) -> SourceKey:
        """Return this key if a record may be stored under it; records that were once stored under others keep theirs.

        Raises:
            InvalidSourceKeyError: Not well formed, white space pads the record id, or it holds a control character.
        """
        if self.record_id != self.record_id.strip():
            raise InvalidSourceKeyError("record_id", "must not begin or end with white space")
        if not self.record_id.isprintable() and _CONTROL.search(self.record_id.replace("\0", "")):
            # Whoever writes a line break into a key has taken two rows for one.
            raise InvalidSourceKeyError("record_id", "must not hold a line break or another control character")
        return self.checked()

    def checked(self) -> SourceKey:
        """Return this key if it is well formed.

        Raises:
            InvalidSourceKeyError: The registry name is not `[a-z][a-z0-9_]{1,31}`, or the record id is empty, not NFC,
                longer than 128 bytes of UTF-8, or holds a NUL or half a surrogate pair.
        """
        if not _REGISTRY_PATTERN.fullmatch(self.registry):
            raise InvalidSourceKeyError("registry", "must match [a-z][a-z0-9_]{1,31}")
        if not self.record_id:
            raise InvalidSourceKeyError("record_id", "must not be empty")
        if "\0" in self.record_id:
            raise InvalidSourceKeyError("record_id", "must not hold a NUL character")
        if not self.record_id.isascii():
            if _SURROGATE.search(self.record_id):
                raise InvalidSourceKeyError("record_id", "must be text, without lone surrogates")
            if not unicodedata.is_normalized("NFC", self.record_id):
                raise InvalidSourceKeyError("record_id", "must be in Unicode normal form C")
        if len(self.record_id.encode()) > RECORD_ID_BYTES_MAX:
            raise InvalidSourceKeyError("record_id", f"must be at most {RECORD_ID_BYTES_MAX} bytes of UTF-8")
        return self


def golden_id(kind: EntityKind, random_bits: int) -> GoldenId:
    """Return the golden ID of `kind` that carries these 60 bits, in canonical form."""
    body = "".join(_CROCKFORD[random_bits >> shift & 31] for shift in range(GOLDEN_ID_RANDOM_BITS - 5, -1, -5))
    letter = kind.letter
    check = mod_37_36.calc_check_digit(letter + body)
    return GoldenId(f"{letter}-{body[:4]}-{body[4:8]}-{body[8:]}-{check}")


def parse_golden_id(text: str) -> GoldenId:
    """Return the canonical form of a golden ID, read without regard to case, hyphens or spaces around it.

    Raises:
        InvalidGoldenIdError: Not a kind letter with 12 Crockford base 32 symbols and the right check character.
    """
    compact = text.strip().replace("-", "").upper()
    # Upper case turns some foreign letters into Latin ones: what was not ASCII before is no golden ID.
    is_shaped = text.strip().isascii() and len(compact) == GOLDEN_ID_LENGTH - 4 and compact[0] in "CB"
    if not is_shaped or not _CROCKFORD_SYMBOLS.issuperset(compact[1:-1]):
        raise InvalidGoldenIdError("must look like C-XXXX-XXXX-XXXX-X (citizen) or B-XXXX-XXXX-XXXX-X (business)")
    if mod_37_36.calc_check_digit(compact[:-1]) != compact[-1]:
        raise InvalidGoldenIdError("its check character does not fit, so at least one character was mistyped")
    return GoldenId(f"{compact[0]}-{compact[1:5]}-{compact[5:9]}-{compact[9:13]}-{compact[13]}")


def kind_of(identifier: GoldenId) -> EntityKind:
    """Return the entity kind that a golden ID's letter names."""
    return EntityKind.CITIZEN if identifier[0] == "C" else EntityKind.BUSINESS
