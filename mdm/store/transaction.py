"""Writes the index within one transaction, which sees its own writes: records of one group see each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import lmdb

from mdm.domain.changes import ChangeKind, Changes, apply_noting
from mdm.domain.events import Event
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, Judgement, Pair, PotentialMatch, RecordEntry
from mdm.errors import IndexMismatchError
from mdm.limits import POSTING_KEY_BYTES
from mdm.store import counts, layout
from mdm.store.layout import CrosswalkEntry
from mdm.store.view import APPLIED_SEQ_KEY, Databases, IndexView


class IndexTransaction(IndexView):
    """The one write transaction. Implements `IdentityState`; keeps the crosswalk and the postings in step by itself.

    Entries of records and golden IDs are decoded once and written once, in the order of their keys, at the end or
    before anything reads past them: a record is put twice while it is stored and resolved, and read some ten times.

    Invariant: `_records` and `_goldens` hold the truth; of what stands in `_dirty_records` and `_dirty_goldens` LMDB
    holds an older state.
    """

    def __init__(self, txn: lmdb.Transaction[bytes], databases: Databases, *, is_bulk: bool = False) -> None:
        """Write through an open transaction; see `Index.write`."""
        super().__init__(txn, databases)
        self._is_bulk = is_bulk
        self._applied_seq = super().applied_seq
        self._stored_last_number = self._last_number = super().last_number()
        self._last_raw_number = self._last_of(databases.keys)
        self._last_related_number = self._last_of(databases.relation_states)
        self._records: dict[RecordNumber, RecordEntry | None] = {}
        self._goldens: dict[GoldenId, GoldenEntry | None] = {}
        self._dirty_records: set[RecordNumber] = set()
        self._dirty_goldens: set[GoldenId] = set()
        self._numbers: dict[bytes, RecordNumber] = {}
        """Of source keys that were put here, which stand in the crosswalk once their record is written."""
        self._source_keys: dict[RecordNumber, bytes] = {}
        """The same the other way round."""
        self._tally = counts.Tally()

    @property
    def applied_seq(self) -> int:
        """Seq of the last event folded in."""
        return self._applied_seq

    def fold(self, event: Event) -> Changes | None:
        """Apply the next event to identity state, keep and return what it changed, and move `applied_seq` to it.

        Raises:
            IndexMismatchError: An event is missing between `applied_seq` and this one.
        """
        if event.seq != self._applied_seq + 1:
            raise IndexMismatchError(f"the index is at seq {self._applied_seq} and cannot take seq {event.seq}")
        changes = apply_noting(self, event)
        if changes is not None:
            key = layout.seq_bytes(event.seq)
            self._txn.put(key, layout.encode(changes), append=True, db=self._db.changes)
            for change in changes.goldens:
                # A golden ID's entry says where it was minted; most are never touched again.
                if change.kind is not ChangeKind.CREATED:
                    self._txn.put(change.golden_id.encode("ascii"), key, db=self._db.golden_seqs)
        self._applied_seq = event.seq
        return changes

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""
        if number in self._records:
            return self._records[number]
        entry = self._records[number] = super().record(number) if number <= self._stored_last_number else None
        return entry

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry of a golden ID in canonical form."""
        if golden_id in self._goldens:
            return self._goldens[golden_id]
        entry = self._goldens[golden_id] = super().golden(golden_id)
        return entry

    def is_issued(self, golden_id: GoldenId) -> bool:
        """Return whether the golden ID was ever minted, whatever became of it."""
        return self.golden(golden_id) is not None

    def last_number(self) -> RecordNumber:
        """Return the highest record number ever given, 0 before the first."""
        return self._last_number

    def number_of(self, key: SourceKey) -> RecordNumber | None:
        """Return the number of a source key, or None if nothing was ever stored under it."""
        return self._numbers.get(layout.source_key_bytes(key)) or super().number_of(key)

    def crosswalk(self, key: SourceKey) -> CrosswalkEntry | None:
        """Return what is known under a source key."""
        self._write_entries()
        return super().crosswalk(key)

    def lookup_many(self, registry: str, kind: EntityKind, record_ids: Sequence[str]) -> layout.CrosswalkColumn:
        """Return what is known under many record ids of one registry; see `IndexView.lookup_many`."""
        self._write_entries()
        return super().lookup_many(registry, kind, record_ids)

    def payloads(
        self, registry: str, kind: EntityKind, record_ids: Iterable[str]
    ) -> Iterator[tuple[int, bytes | None]]:
        """Yield what is stored under record ids of one registry; see `IndexView.payloads`."""
        self._write_entries()
        return super().payloads(registry, kind, record_ids)

    def issued_counts(self) -> dict[EntityKind, int]:
        """Return how many golden IDs were ever issued; see `IndexView.issued_counts`."""
        self._write_entries()
        return super().issued_counts()

    def iter_goldens(self, after: GoldenId | None = None) -> Iterator[tuple[GoldenId, GoldenEntry]]:
        """Yield golden IDs ever issued, in order, from the one after `after`."""
        self._write_entries()
        return super().iter_goldens(after)

    def put_record(self, number: RecordNumber, entry: RecordEntry) -> None:
        """Store the entry of a record, and what the crosswalk says of it."""
        self._tally.move_record(self.record(number), entry)
        self._records[number] = entry
        self._dirty_records.add(number)
        self._last_number = max(self._last_number, number)

    def put_golden(self, golden_id: GoldenId, entry: GoldenEntry) -> None:
        """Store the entry of a golden ID."""
        self._tally.move_golden(golden_id, self.golden(golden_id), entry)
        self._goldens[golden_id] = entry
        self._dirty_goldens.add(golden_id)

    def put_potential_match(self, pair: Pair, match: PotentialMatch | None) -> None:
        """Store an open question, or remove it with None."""
        value = None if match is None else layout.encode(match)
        self._put_or_delete(layout.pair_bytes(pair), value, self._db.potential_matches)

    def put_judgement(self, pair: Pair, judgement: Judgement | None) -> None:
        """Store a judgement, or remove it with None."""
        self._tally.move_judgement(self.standing(pair), judgement)
        value = None if judgement is None else layout.encode(judgement)
        self._put_or_delete(layout.pair_bytes(pair), value, self._db.judgements)

    def put_review(self, review: int, entry: Review | None) -> None:
        """Store a review at its place in the queue, or remove it with None."""
        known = self.review(review)
        self._tally.move_review(known, entry)
        place = None if entry is None else layout.review_place(entry.queue, entry.place, review)
        if known is not None:
            before = layout.review_place(known.queue, known.place, review)
            if before != place:
                self._txn.delete(before, db=self._db.review_queue)
        if place is not None:
            self._txn.put(place, b"", db=self._db.review_queue)
        value = None if entry is None else layout.encode(entry)
        self._put_or_delete(layout.number_bytes(RecordNumber(review)), value, self._db.reviews)

    def put_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        self._txn.put(name.encode(), value.encode(), db=self._db.settings)

    def put_raw(self, number: RecordNumber, key: SourceKey, payload: bytes) -> None:
        """Store the values of the record's last version, before or after its event is folded in.

        Raises:
            IndexMismatchError: The number already belongs to another source key.
        """
        number_key, source_key = layout.number_bytes(number), layout.source_key_bytes(key)
        is_last = number > self._last_raw_number
        self._last_raw_number = max(self._last_raw_number, number)
        self._txn.put(number_key, payload, append=is_last, db=self._db.raw)
        known = None if is_last else self._txn.get(number_key, db=self._db.keys)
        if known is None:
            self._txn.put(number_key, source_key, append=is_last, db=self._db.keys)
            self._numbers[source_key] = number
            self._source_keys[number] = source_key
            if self.record(number) is not None:
                self._dirty_records.add(number)
        elif known != source_key:
            raise IndexMismatchError(f"record {number} stands under two source keys")

    def put_match_state(self, number: RecordNumber, features: bytes, posting_keys: Iterable[bytes]) -> None:
        """Store what the record is matched by, and post it under exactly these keys of 9 bytes each."""
        number_key = layout.number_bytes(number)
        self._txn.put(number_key, features, db=self._db.features)
        self._post(number_key, frozenset(posting_keys))

    def append_match_state(self, number: RecordNumber, features: bytes, posting_keys: Iterable[bytes]) -> None:
        """Do the same in bulk, for a record whose number is higher than that of any record with match state."""
        number_key = layout.number_bytes(number)
        self._txn.put(number_key, features, append=True, db=self._db.features)
        packed = b"".join(sorted(frozenset(posting_keys)))
        if packed:
            self._txn.put(number_key, packed, append=True, db=self._db.posting_keys)

    def drop_match_state(self, number: RecordNumber) -> None:
        """Take the record out of matching: deleted or erased."""
        number_key = layout.number_bytes(number)
        self._txn.delete(number_key, db=self._db.features)
        self._post(number_key, frozenset())

    def relation_state(self, number: RecordNumber) -> tuple[tuple[bytes, ...], bytes]:
        """Return what is known of a record's relations; see `IndexView.relation_state`."""
        return ((), b"") if number > self._last_related_number else super().relation_state(number)

    def put_relation_state(self, number: RecordNumber, relation_keys: Iterable[bytes], stays: bytes) -> None:
        """Store what a record's relations name, as keys of 9 bytes each, and its households over time."""
        number_key = layout.number_bytes(number)
        known_keys, known_stays = self.relation_state(number)
        wanted = frozenset(relation_keys)
        if (known_keys, known_stays) == ((), stays) and not wanted:
            return
        self._move(number_key, frozenset(known_keys), wanted, self._db.relations)
        if not wanted and not stays:
            self._txn.delete(number_key, db=self._db.relation_states)
            return
        is_last = number > self._last_related_number
        self._last_related_number = max(self._last_related_number, number)
        value = layout.relation_state_value(b"".join(sorted(wanted)), stays)
        self._txn.put(number_key, value, append=is_last, db=self._db.relation_states)

    def drop_relation_state(self, number: RecordNumber) -> None:
        """Forget what the record says of others: deleted or erased."""
        self.put_relation_state(number, (), b"")

    def purge(self, number: RecordNumber) -> None:
        """Remove every derived copy of the record's values and its source key, after their erasure from the journal.

        LMDB does not overwrite what it frees: the old bytes lie in the file, unreachable, until `Index.rewrite`.
        """
        number_key = layout.number_bytes(number)
        self.drop_match_state(number)
        self.drop_relation_state(number)
        self._txn.delete(number_key, db=self._db.raw)
        source_key = self._txn.pop(number_key, db=self._db.keys)
        if source_key is not None:
            self._txn.delete(source_key, db=self._db.crosswalk)
            self._numbers.pop(source_key, None)
            self._source_keys.pop(number, None)

    def finish(self) -> None:
        """Write what is written once; `Index.write` calls it before the commit."""
        self._write_entries()
        self._write_counts()
        self._txn.put(APPLIED_SEQ_KEY, self._applied_seq.to_bytes(8, "big"), db=self._db.meta)

    def _post(self, number_key: bytes, wanted: frozenset[bytes]) -> None:
        known = frozenset(self.posting_keys(layout.number_of(number_key)))
        if known != wanted:
            self._move(number_key, known, wanted, self._db.postings)
            self._put_or_delete(number_key, b"".join(sorted(wanted)) or None, self._db.posting_keys)

    def _move(
        self, number_key: bytes, known: frozenset[bytes], wanted: frozenset[bytes], holders: lmdb._Database
    ) -> None:
        if not {POSTING_KEY_BYTES}.issuperset(map(len, wanted)):
            raise ValueError(f"a posting key has {POSTING_KEY_BYTES} bytes")
        if self._is_bulk:
            return
        for key in known - wanted:
            self._txn.delete(key, number_key, db=holders)
        for key in wanted - known:
            self._txn.put(key, number_key, db=holders)

    def _iter(self, database: lmdb._Database) -> Iterator[tuple[bytes, bytes]]:
        self._write_entries()
        self._write_counts()
        return super()._iter(database)

    def _iter_numbers(
        self, database: lmdb._Database, start: RecordNumber, stop: RecordNumber | None
    ) -> Iterator[tuple[bytes, bytes]]:
        self._write_entries()
        return super()._iter_numbers(database, start, stop)

    def _iter_from(self, database: lmdb._Database, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._write_entries()
        return super()._iter_from(database, prefix, after)

    def _write_entries(self) -> None:
        """Bring LMDB's entries, and the crosswalk, up to what was put."""
        txn, databases = self._txn, self._db
        rows: list[tuple[bytes, bytes]] = []
        for number in sorted(self._dirty_records):
            entry = self._records[number]
            if entry is not None:
                key = layout.number_bytes(number)
                # In order and behind the last one, pages are filled to the brim instead of split in halves.
                txn.put(key, layout.encode(entry), append=number > self._stored_last_number, db=databases.records)
                source_key = self._source_keys.get(number) or txn.get(key, db=databases.keys)
                if source_key is not None:
                    rows.append((source_key, layout.crosswalk_value(number, entry)))
        for source_key, value in sorted(rows):
            txn.put(source_key, value, db=databases.crosswalk)
        for golden_id in sorted(self._dirty_goldens):
            golden = self._goldens[golden_id]
            if golden is not None:
                txn.put(golden_id.encode("ascii"), layout.encode(golden), db=databases.goldens)
        self._dirty_records.clear()
        self._dirty_goldens.clear()
        self._stored_last_number = self._last_number

    def _write_counts(self) -> None:
        database = self._db.counts
        for count, change in self._tally.take():
            key = counts.count_bytes(count)
            number = counts.number_of(self._txn.get(key, b"", db=database)) + change
            self._put_or_delete(key, counts.number_bytes(number) if number else None, database)

    def _put_or_delete(self, key: bytes, value: bytes | None, database: lmdb._Database) -> None:
        if value is None:
            self._txn.delete(key, db=database)
        else:
            self._txn.put(key, value, db=database)
