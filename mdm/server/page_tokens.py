"""Page tokens: opaque to callers; to us a list's name, the journal's epoch, and a place in the order of that list."""

from __future__ import annotations

import base64
import binascii

from mdm.errors import DataRestoredError, InvalidTokenError

_NUMBER_MAX = (1 << 63) - 1


def page_token(name: str, epoch: int, *place: int) -> str:
    """Return the token of a place, numbers from 0, in the list of this name."""
    return base64.urlsafe_b64encode(":".join((name, *map(str, (epoch, *place)))).encode()).decode()


def place_of(token: str, name: str, epoch: int, count: int) -> tuple[int, ...] | None:
    """Return the `count` numbers that `page_token` was given; None for the empty token of a first page.

    Raises:
        InvalidTokenError: Of another list, or no token at all.
        DataRestoredError: Of an epoch that a restore ended.
    """
    if not token:
        return None
    try:
        written, *numbers = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").split(":")
    except (binascii.Error, UnicodeDecodeError):
        written, numbers = "", []
    read = tuple(int(number) for number in numbers if number.isdigit() and len(number) <= len(str(_NUMBER_MAX)))
    if written != name or not len(read) == len(numbers) == 1 + count or max(read) > _NUMBER_MAX:
        raise InvalidTokenError("page_token", "must be the next_page_token of an earlier answer, unchanged")
    if read[0] != epoch:
        raise DataRestoredError("page_token was given out before the data was restored: read the first page again")
    return read[1:]
