"""One state of the index, read through a memory: what a consideration asks for twice is read and decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, IdentityView, Judgement, Pair, PotentialMatch, RecordEntry
from mdm.linkage.codec import features_decoder
from mdm.linkage.features import Features


class MatchState(IdentityView, Protocol):
    """Identity view together with features and postings, as index views and transactions offer it."""

    def features(self, number: RecordNumber) -> bytes | None:
        """Return the encoded features of a resolved record."""

    def postings(self, key: bytes, limit: int) -> tuple[Sequence[RecordNumber], int]:
        """Return the most recent holders of a key, at most `limit`, and how many there are."""


class ReadsExceededError(Exception):
    """More would have to be read than whoever asked has time for. No caller ever sees it."""


class Recall:
    """A state that remembers its answers about records of one kind.

    Invariant: the state does not change while it is remembered, so one lives no longer than a call.
    """

    def __init__(self, state: MatchState, kind: EntityKind, records_max: int | None = None) -> None:
        """Remember nothing yet.

        Args:
            state: What is read.
            kind: Of the records.
            records_max: Different records to read the features of before `ReadsExceededError`; None for any number.
        """
        self.state = state
        self._records_max = records_max
        self._decode = features_decoder(kind)
        self._records: dict[RecordNumber, RecordEntry | None] = {}
        self._goldens: dict[GoldenId, GoldenEntry | None] = {}
        self._described: dict[RecordNumber, Features | None] = {}
        self._decoded: dict[bytes, Features] = {}

    def expect(self, count: int) -> None:
        """Raise `ReadsExceededError` before the first of so many different records is read, if they are too many."""
        if self._records_max is not None and count > self._records_max:
            raise ReadsExceededError

    def described(self, number: RecordNumber) -> Features | None:
        """Return the features of a resolved record, None for another one; equal features are one object."""
        if number in self._described:
            return self._described[number]
        if len(self._described) == self._records_max:
            raise ReadsExceededError
        encoded = self.state.features(number)
        found = None
        if encoded is not None:
            found = self._decoded.get(encoded)
            if found is None:
                found = self._decoded[encoded] = self._decode(encoded)
        self._described[number] = found
        return found

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""
        if number not in self._records:
            self._records[number] = self.state.record(number)
        return self._records[number]

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry of a golden ID in canonical form."""
        if golden_id not in self._goldens:
            self._goldens[golden_id] = self.state.golden(golden_id)
        return self._goldens[golden_id]

    def potential_match(self, pair: Pair) -> PotentialMatch | None:
        """Return the open question about a pair. Few have one: neither this nor what follows is remembered."""
        return self.state.potential_match(pair)

    def judgement(self, pair: Pair) -> Verdict | None:
        """Return the verdict of the standing judgement about a pair."""
        return self.state.judgement(pair)

    def standing(self, pair: Pair) -> Judgement | None:
        """Return the standing judgement about a pair."""
        return self.state.standing(pair)

    def review(self, review: int) -> Review | None:
        """Return a review that is not closed."""
        return self.state.review(review)

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        return self.state.setting(name)
