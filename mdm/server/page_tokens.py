"""Page tokens: opaque to callers; to us a list's name, the journal's epoch, and a place in the order of that list."""

from __future__ import annotations

import base64
import binascii

from mdm.errors import DataRestoredError, InvalidTokenError
from mdm.store.journal import JournalReader

_SEAL_BYTES = 8
"""One forged text of 2^64 would pass."""


def page_token(name: str, journal: JournalReader, *place: int) -> str:
    """Return the token of a place, numbers from 0, in the list of this name."""
    return sealed(":".join((name, *map(str, (journal.epoch, *place)))).encode(), journal)


def place_of(token: str, name: str, journal: JournalReader, count: int) -> tuple[int, ...] | None:
    """Return the `count` numbers that `page_token` was given; None for the empty token of a first page.

    Raises:
        InvalidTokenError: Of another list, or no token at all.
        DataRestoredError: Of an epoch that a restore ended.
    """
    if not token:
        return None
    written, *numbers = (unsealed(token, journal) or b"").decode("ascii", "replace").split(":")
    if written != name or len(numbers) != 1 + count:
        raise InvalidTokenError("page_token", "must be the next_page_token of an earlier answer, unchanged")
    epoch, *place = map(int, numbers)
    if epoch != journal.epoch:
        raise DataRestoredError("page_token was given out before the data was restored: read the first page again")
    return tuple(place)


def sealed(body: bytes, journal: JournalReader) -> str:
    """Return a text that `unsealed` knows for one that this journal's service gave out, before or after a restore."""
    return base64.urlsafe_b64encode(body + journal.fingerprint(body)[:_SEAL_BYTES]).decode("ascii")


def unsealed(text: str, journal: JournalReader) -> bytes | None:
    """Return what `sealed` was given; None for any other text."""
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    body, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
    return body if seal == journal.fingerprint(body)[:_SEAL_BYTES] else None
