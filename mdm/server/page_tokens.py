"""Page tokens: opaque to callers, a list's name and its place in the order of that list to us."""

from __future__ import annotations

import base64
import binascii

from mdm.errors import InvalidTokenError

_NUMBER_MAX = (1 << 63) - 1


def page_token(name: str, *place: int) -> str:
    """Return the token of a place, numbers from 0, in the list of this name."""
    return base64.urlsafe_b64encode(":".join((name, *map(str, place))).encode()).decode()


def place_of(token: str, name: str, count: int) -> tuple[int, ...] | None:
    """Return the `count` numbers that `page_token` was given; None for the empty token of a first page.

    Raises:
        InvalidTokenError: Of another list, or no token at all.
    """
    if not token:
        return None
    try:
        written, *numbers = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").split(":")
    except (binascii.Error, UnicodeDecodeError):
        written, numbers = "", []
    place = tuple(int(number) for number in numbers if number.isdigit() and len(number) <= len(str(_NUMBER_MAX)))
    if written != name or len(place) != count or len(numbers) != count or max(place) > _NUMBER_MAX:
        raise InvalidTokenError("page_token", "must be the next_page_token of an earlier answer, unchanged")
    return place
