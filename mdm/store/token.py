"""The journal token: a position in one journal, as clients carry it from a write to a read."""

from __future__ import annotations

import base64
import binascii
import hashlib
from uuid import UUID

import msgspec

from mdm.errors import DataRestoredError, InvalidTokenError

_VERSION = 1
_EPOCH_BYTES = 4
_SEQ_BYTES = 8
_CHECK_BYTES = 4
_TOKEN_BYTES = 1 + 16 + _EPOCH_BYTES + _SEQ_BYTES + _CHECK_BYTES


class JournalToken(msgspec.Struct, frozen=True):
    """A seq of one journal in one epoch. Its text is opaque to clients: 44 URL-safe characters."""

    journal_id: UUID
    epoch: int
    seq: int

    @classmethod
    def of(cls, journal_id: bytes, epoch: int, seq: int) -> JournalToken:
        """Return the position as the journal's tables name it."""
        return cls(UUID(bytes=journal_id), epoch, seq)

    def __str__(self) -> str:
        """Return the text form."""
        body = (
            bytes([_VERSION])
            + self.journal_id.bytes
            + self.epoch.to_bytes(_EPOCH_BYTES, "big")
            + self.seq.to_bytes(_SEQ_BYTES, "big")
        )
        return base64.urlsafe_b64encode(body + _check(body)).decode("ascii")

    def require(self, journal_id: UUID, epoch: int, field: str = "token") -> JournalToken:
        """Return this token if it belongs to the journal in this epoch.

        Raises:
            InvalidTokenError: It is of another journal.
            DataRestoredError: It is of an epoch that a restore ended.
        """
        if self.journal_id != journal_id:
            raise InvalidTokenError(field, "was given out by another journal")
        if self.epoch != epoch:
            raise DataRestoredError(
                f"{field} was given out before the data was restored: leave it out or read it again"
            )
        return self


def parse_token(text: str, field: str = "token") -> JournalToken:
    """Return the position that `text` stands for.

    Raises:
        InvalidTokenError: `text` was not made by this service, or was changed.
    """
    rule = "must be a token that a write or an export returned, unchanged"
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidTokenError(field, rule) from error
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if len(raw) != _TOKEN_BYTES or raw[0] != _VERSION or check != _check(body):
        raise InvalidTokenError(field, rule)
    return JournalToken(
        UUID(bytes=body[1:17]),
        int.from_bytes(body[17 : 17 + _EPOCH_BYTES], "big"),
        int.from_bytes(body[17 + _EPOCH_BYTES :], "big"),
    )


def _check(body: bytes) -> bytes:
    # Catches cut and mistyped tokens. No secret: a forged position only makes its own reader wait.
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, person=b"mdm token").digest()
