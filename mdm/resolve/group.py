"""One group commit in the making: facts are folded into the index transaction as they are drafted."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence

from mdm.domain import events as ev
from mdm.domain.changes import Changes
from mdm.domain.keys import GOLDEN_ID_RANDOM_BITS, EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.state import RecordEntry
from mdm.limits import OVERSIZED_MEMBERS_MIN
from mdm.resolve.engines import Engine
from mdm.store.journal import Batch
from mdm.store.transaction import IndexTransaction


class Group:
    """The journal batch and the index transaction that will be committed together.

    Invariant: `index` is the fold of everything in the journal and of `batch`, and of nothing else.
    """

    def __init__(self, batch: Batch, index: IndexTransaction, engines: dict[EntityKind, Engine]) -> None:
        """Begin with an empty batch."""
        self.batch = batch
        self.index = index
        self.engines = engines
        self.changes: list[Changes] = []
        """What the facts drafted so far changed, in their order."""
        self._minted: set[GoldenId] = set()
        self.minted: Counter[EntityKind] = Counter()
        """Golden IDs minted by this group."""

    @property
    def last_seq(self) -> int:
        """Seq of the last event drafted or committed."""
        return self.batch.last_seq

    @property
    def drafts(self) -> Sequence[ev.Event]:
        """The events so far."""
        return self.batch.events

    def add(self, cause: ev.Cause, fact: ev.Fact) -> None:
        """Draft a fact and fold it, and note golden records that it made too large."""
        changes = self.index.fold(self.batch.add(cause, fact))
        if changes is not None:
            self.changes.append(changes)
        for grown in _grown(fact):
            golden = self.index.golden(grown)
            count = len(golden.members) if golden else 0
            floor = max(OVERSIZED_MEMBERS_MIN, 2 * golden.accepted_count) if golden else 0
            if golden is not None and count >= floor and not golden.oversize_review:
                self.index.fold(self.batch.add(cause, ev.OversizeFound(grown, count)))

    def seal(self, number: RecordNumber, payload: bytes) -> tuple[int, bytes]:
        """Seal a record's values; returns payload id and keyed hash."""
        sealed = self.batch.seal(number, payload)
        return sealed.payload_id, sealed.payload_hash

    def mint(self, kind: EntityKind) -> GoldenId:
        """Return a golden ID that was never issued, checked against all ever issued."""
        while True:
            minted = golden_id(kind, secrets.randbits(GOLDEN_ID_RANDOM_BITS))
            # One fact may mint several, and only a folded one stands in the index.
            if not self.index.is_issued(minted) and minted not in self._minted:
                self._minted.add(minted)
                self.minted[kind] += 1
                return minted

    def record(self, number: RecordNumber) -> RecordEntry:
        """Return the entry of a record that is stored."""
        entry = self.index.record(number)
        if entry is None:
            message = f"record {number} is not stored"
            raise AssertionError(message)
        return entry

    def golden_id_of(self, number: RecordNumber) -> GoldenId | None:
        """Return the golden ID that a record belongs to now."""
        entry = self.index.record(number)
        return entry.golden_id if entry else None


def _grown(fact: ev.Fact) -> Sequence[GoldenId]:
    """Return the golden records that a fact may have made larger."""
    match fact:
        case ev.RecordResolved(is_minted=False):
            return (fact.golden_id,)
        case ev.RecordsRegrouped():
            return [group.golden_id for group in fact.groups]
        case _:
            return ()
