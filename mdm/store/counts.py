"""What the index counts as it goes, so that nobody counts a city to know its state.

A count is the sum of what each change added and took away: the same whatever the order and the grouping of the events.
One that comes back to zero leaves no entry.
"""

from __future__ import annotations

from collections import defaultdict

from mdm.domain.keys import GoldenId
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, Judgement, RecordEntry

Count = tuple[str, ...]
"""What is counted: its sort, then its facets."""

_COUNT_BYTES = 8
_SEPARATOR = "\0"


RECORDS, GOLDENS, REVIEWS, JUDGEMENTS = "records", "goldens", "reviews", "judgements"
"""The sorts of counts. Their facets: registry, kind and state; letter of the kind and state; kind of review and queue;
verdict."""


RECORD_STATES = ("live", "pending", "deleted")
"""What a record can count as."""


def of_record(entry: RecordEntry) -> Count:
    """Return what a record counts as: deleted, live (it has a golden ID) or pending."""
    state = "deleted" if entry.is_deleted else "live" if entry.golden_id is not None else "pending"
    # `value` is a property that takes as long as all the rest, for each record that is written.
    return RECORDS, entry.registry, entry.kind._value_, state


def of_golden(golden_id: GoldenId, entry: GoldenEntry) -> Count:
    """Return what a golden ID counts as: retired, redirected or active."""
    state = "retired" if entry.is_retired else "redirected" if entry.survivor is not None else "active"
    return GOLDENS, golden_id[0], state


def of_review(entry: Review) -> Count:
    """Return what a review counts as."""
    return REVIEWS, entry.kind.value, entry.queue.name.lower()


def of_judgement(entry: Judgement) -> Count:
    """Return what a standing judgement counts as."""
    return JUDGEMENTS, entry.verdict.value


class Tally:
    """What one transaction adds to the counts and takes away.

    Entries are put several times for each time that they count as something else, so that is asked first.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._changes: defaultdict[Count, int] = defaultdict(int)

    def move_record(self, old: RecordEntry | None, new: RecordEntry) -> None:
        """Count a record as what it is now. Its registry and kind never change."""
        if old is None:
            self._changes[of_record(new)] += 1
        elif old.is_deleted != new.is_deleted or (old.golden_id is None) != (new.golden_id is None):
            self._changes[of_record(old)] -= 1
            self._changes[of_record(new)] += 1

    def move_golden(self, golden_id: GoldenId, old: GoldenEntry | None, new: GoldenEntry) -> None:
        """Count a golden ID as what it is now."""
        if old is None:
            self._changes[of_golden(golden_id, new)] += 1
        elif old.is_retired != new.is_retired or (old.survivor is None) != (new.survivor is None):
            self._move(of_golden(golden_id, old), of_golden(golden_id, new))

    def move_review(self, old: Review | None, new: Review | None) -> None:
        """Count a review as what it is now, if it is any more."""
        self._move(of_review(old) if old is not None else None, of_review(new) if new is not None else None)

    def move_judgement(self, old: Judgement | None, new: Judgement | None) -> None:
        """Count a judgement as what it is now, if it stands any more."""
        self._move(of_judgement(old) if old is not None else None, of_judgement(new) if new is not None else None)

    def _move(self, before: Count | None, after: Count | None) -> None:
        if before is not None:
            self._changes[before] -= 1
        if after is not None:
            self._changes[after] += 1

    def take(self) -> list[tuple[Count, int]]:
        """Return what changed since the last time, in order, and begin anew."""
        changes, self._changes = self._changes, defaultdict(int)
        return sorted((count, change) for count, change in changes.items() if change)


def count_bytes(count: Count) -> bytes:
    """Return the key of a count."""
    return _SEPARATOR.join(count).encode()


def count_of(key: bytes) -> Count:
    """Return the count of a key."""
    return tuple(key.decode().split(_SEPARATOR))


def number_bytes(number: int) -> bytes:
    """Return how a count's number is stored."""
    return number.to_bytes(_COUNT_BYTES, "big")


def number_of(value: bytes) -> int:
    """Return a stored number."""
    return int.from_bytes(value, "big")
