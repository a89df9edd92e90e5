"""A steward's words about records: text that may name a person, so it is sealed and never stands in an event.

What is said of two records is stored as two shares, one under each record's key, that tell nothing alone: erasing
either person makes the words unreadable.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from mdm.domain.keys import RecordNumber
from mdm.resolve.group import Group
from mdm.store.journal import JournalReader


def seal_reason(group: Group, numbers: Sequence[RecordNumber], text: str) -> tuple[int, ...]:
    """Seal a reason under the keys of all these records; returns its payloads, none for no text."""
    if not text:
        return ()
    last = text.encode()
    shares = [secrets.token_bytes(len(last)) for _ in numbers[1:]]
    for share in shares:
        last = _combined(last, share)
    return tuple(group.seal(number, share)[0] for number, share in zip(numbers, (*shares, last), strict=True))


def read_reason(journal: JournalReader, reason_ids: Sequence[int]) -> str:
    """Return a reason; empty if there is none or one of its records was erased."""
    text = b""
    for reason_id in reason_ids:
        share = journal.payload(reason_id)
        if share is None:
            return ""
        text = _combined(text, share) if text else share
    return text.decode()


def _combined(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))
