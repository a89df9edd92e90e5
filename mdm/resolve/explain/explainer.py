"""What the server asks: explanations of records and golden IDs as callers name them."""

from __future__ import annotations

from mdm.domain.keys import RecordNumber, SourceKey
from mdm.errors import InvalidInputError, UnknownRecordError
from mdm.resolve.explain.growth import HowGolden, how_golden
from mdm.resolve.explain.obstacles import WhyNot, why_not
from mdm.resolve.explain.pairs import PairExplanation, best_pair, explain_pair
from mdm.resolve.reader import Reader
from mdm.resolve.reading import Reading, issued

Subject = SourceKey | str
"""A record by its key, or a golden ID."""


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
            raise UnknownRecordError(f"{side}: no record was ever stored under this key")
        return [number]
    requested, entry = issued(reading.view, subject)
    golden = reading.view.golden(entry.survivor or requested) or entry
    if not golden.members:
        raise InvalidInputError(f"{side}.golden_id", "is retired, so that there is no record to compare")
    return list(golden.members)
