"""What the server asks: explanations of records and golden IDs as callers name them."""

from __future__ import annotations

import msgspec

from mdm.domain.keys import GoldenId, RecordNumber, SourceKey
from mdm.errors import InvalidGoldenIdError, InvalidInputError, UnknownRecordError
from mdm.resolve.explain.growth import HowGolden, how_golden
from mdm.resolve.explain.history import HistoryEntry, Position, history_page, keys_of
from mdm.resolve.explain.obstacles import WhyNot, why_not
from mdm.resolve.explain.pairs import PairExplanation, best_pair, explain_pair
from mdm.resolve.reader import Reader
from mdm.resolve.reading import Reading, issued
from mdm.resolve.views import GoldenState, golden_state

Subject = SourceKey | str
"""A record by its key, or a golden ID."""


class History(msgspec.Struct, frozen=True):
    """A page of what happened to a golden ID."""

    requested: GoldenId
    golden_id: GoldenId | None
    """The surviving ID; None when retired."""
    state: GoldenState
    entries: tuple[HistoryEntry, ...]
    following: Position | None
    """The place behind which more follow."""
    keys: dict[RecordNumber, SourceKey]
    """Of the records that the entries name; an erased one has none."""
    read_seq: int


class Explainer:
    """Explains what the index holds, each answer from one consistent state. Safe to share between threads."""

    def __init__(self, reader: Reader) -> None:
        """Read what this process reads."""
        self._reader = reader

    def why(self, left: Subject, right: Subject) -> PairExplanation:
        """Compare two records; a golden ID stands for the member that speaks loudest for the pair.

        Raises:
            InvalidGoldenIdError: Not a golden ID; names the side.
            UnknownGoldenIdError: Never issued here.
            UnknownRecordError: Nothing was ever stored under a key.
            InvalidInputError: Both sides are the same, or a golden ID is retired.
            LimitExceededError: Two golden IDs with too many pairs of members.
        """
        with self._reader.reading() as reading:
            return _explained(reading, left, right)

    def why_not(self, left: Subject, right: Subject) -> WhyNot:
        """Return what keeps two records or golden IDs from being one; raises as `why`."""
        with self._reader.reading() as reading:
            return why_not(reading, _explained(reading, left, right))

    def history(self, golden_id: str, size: int, after: Position | None) -> History:
        """Return a page of what happened to a golden ID itself, a redirect not followed.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
        """
        with self._reader.reading() as reading:
            requested, entry = issued(reading.view, golden_id)
            page = history_page(reading, requested, size, after)
            current = None if entry.is_retired else entry.survivor or requested
            return History(
                requested,
                current,
                golden_state(entry),
                tuple(page.entries),
                page.following,
                keys_of(reading, page.entries),
                reading.view.applied_seq,
            )

    def how(self, golden_id: str) -> HowGolden:
        """Return what holds a golden record together.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
            LimitExceededError: Too many members.
        """
        with self._reader.reading() as reading:
            return how_golden(reading, *issued(reading.view, golden_id))


def _explained(reading: Reading, left: Subject, right: Subject) -> PairExplanation:
    lefts, rights = _numbers(reading, left, "left"), _numbers(reading, right, "right")
    # A record and the golden record that it belongs to: the others of it are meant.
    others = [number for number in rights if number not in lefts] if len(lefts) < len(rights) else rights
    if len(rights) < len(lefts):
        lefts = [number for number in lefts if number not in rights]
    if not others or set(lefts) == set(others):
        raise InvalidInputError("right", "must be another record or golden record than left")
    return explain_pair(reading, *best_pair(reading, lefts, others))


def _numbers(reading: Reading, subject: Subject, side: str) -> list[RecordNumber]:
    if isinstance(subject, SourceKey):
        number = reading.view.number_of(subject)
        if number is None:
            raise UnknownRecordError(f"{side}: no record is stored under this key")
        return [number]
    try:
        requested, entry = issued(reading.view, subject)
    except InvalidGoldenIdError as error:
        raise InvalidGoldenIdError(error.rule, f"{side}.golden_id") from error
    golden = reading.view.golden(entry.survivor or requested) or entry
    if not golden.members:
        raise InvalidInputError(f"{side}.golden_id", "is retired, so that there is no record to compare")
    return list(golden.members)
