"""Reads the index within one transaction: one consistent state, at one `applied_seq`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat, takewhile
from typing import NamedTuple, cast

import lmdb

from mdm.domain.changes import Changes
from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, Judgement, Pair, PotentialMatch, RecordEntry
from mdm.limits import POSTING_KEY_BYTES
from mdm.store import layout
from mdm.store.counts import Count, count_of, number_of
from mdm.store.layout import CrosswalkEntry

APPLIED_SEQ_KEY = b"applied_seq"
FIRST_NUMBER = RecordNumber(1)
NO_NUMBER = RecordNumber(0)
"""Below every number."""

_POSTING_ROW = struct.Struct(f">{POSTING_KEY_BYTES}xQ")
_FEW_HOLDERS_MAX = 8
"""Holders of a key up to which walking them is cheaper than reading whole pages."""


class Databases(NamedTuple):
    """The named databases of an index; field names are their names on disk."""

    meta: lmdb._Database
    """`applied_seq`, layout version, versions that the match state was computed with."""
    records: lmdb._Database
    """Number → `RecordEntry`."""
    keys: lmdb._Database
    """Number → source key."""
    raw: lmdb._Database
    """Number → payload as the journal sealed it, plain."""
    crosswalk: lmdb._Database
    """Source key → number, status, golden ID."""
    goldens: lmdb._Database
    """Golden ID → `GoldenEntry`."""
    potential_matches: lmdb._Database
    """Pair → `PotentialMatch`."""
    judgements: lmdb._Database
    """Pair → `Judgement`."""
    reviews: lmdb._Database
    """Review id → `Review`."""
    review_queue: lmdb._Database
    """Queue, place and id of each review, in the order in which stewards take them."""
    settings: lmdb._Database
    """Name → value."""
    features: lmdb._Database
    """Number → opaque bytes."""
    posting_keys: lmdb._Database
    """Number → its posting keys, sorted and concatenated."""
    postings: lmdb._Database
    """Posting key → numbers, as sorted duplicates."""
    relation_states: lmdb._Database
    """Number → its relation keys and its households over time; none for a record that states nothing of others."""
    relations: lmdb._Database
    """Relation key → numbers of the records that state it, as sorted duplicates."""
    changes: lmdb._Database
    """Seq → `Changes`, for events that touched a golden ID."""
    golden_seqs: lmdb._Database
    """Golden ID → seqs of the events that touched it after the one that minted it, as sorted duplicates."""
    counts: lmdb._Database
    """`Count` → how many; see `mdm.store.counts`."""


DUPLICATED = frozenset({"postings", "relations", "golden_seqs"})
"""Databases in which a key has many numbers or seqs."""


class IndexView:
    """One consistent state of the index. Holds old pages alive while it lives: keep it for one call."""

    def __init__(self, txn: lmdb.Transaction[bytes], databases: Databases) -> None:
        """Read through an open transaction whose own database is the crosswalk; see `Index.read`."""
        self._txn = txn
        self._db = databases
        self._holders: lmdb.Cursor[bytes] | None = None

    @property
    def applied_seq(self) -> int:
        """Seq of the last event in this state."""
        return int.from_bytes(self._txn.get(APPLIED_SEQ_KEY, b"", db=self._db.meta), "big")

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""
        value = self._txn.get(number.to_bytes(layout.NUMBER_BYTES, "big"), db=self._db.records)
        return None if value is None else layout.decode_record(value)

    def golden(self, golden_id: GoldenId) -> GoldenEntry | None:
        """Return the entry of a golden ID in canonical form."""
        value = self._txn.get(golden_id.encode("ascii"), db=self._db.goldens)
        return None if value is None else layout.decode_golden(value)

    def is_issued(self, golden_id: GoldenId) -> bool:
        """Return whether the golden ID was ever minted, whatever became of it."""
        return self._txn.get(golden_id.encode("ascii"), db=self._db.goldens) is not None

    def potential_match(self, pair: Pair) -> PotentialMatch | None:
        """Return the open question about a pair."""
        value = self._txn.get(layout.pair_bytes(pair), db=self._db.potential_matches)
        return None if value is None else layout.decode_potential_match(value)

    def judgement(self, pair: Pair) -> Verdict | None:
        """Return the verdict of the standing judgement about a pair."""
        standing = self.standing(pair)
        return standing.verdict if standing else None

    def standing(self, pair: Pair) -> Judgement | None:
        """Return the standing judgement about a pair."""
        value = self._txn.get(layout.pair_bytes(pair), db=self._db.judgements)
        return None if value is None else layout.decode_judgement(value)

    def review(self, review: int) -> Review | None:
        """Return a review that is not closed."""
        value = self._txn.get(layout.number_bytes(RecordNumber(review)), db=self._db.reviews)
        return None if value is None else layout.decode_review(value)

    def iter_review_queue(self, queue: int, after: tuple[int, int] | None = None) -> Iterator[tuple[int, int]]:
        """Yield place and id of the reviews of one queue, first come first, from behind `after`. About 1 µs each."""
        start = layout.review_place(queue, *(after or (0, 0)))
        with self._txn.cursor(self._db.review_queue) as cursor:
            is_placed = cursor.set_range(start if after is None else start + b"\0")
            while is_placed:
                found, place, review = layout.review_of_place(cursor.key())
                if found != queue:
                    return
                yield place, review
                is_placed = cursor.next()

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        value = self._txn.get(name.encode(), db=self._db.settings)
        return None if value is None else value.decode()

    def last_number(self) -> RecordNumber:
        """Return the highest record number ever given, 0 before the first; the next record gets the one after it."""
        return self._last_of(self._db.records)

    def crosswalk(self, key: SourceKey) -> CrosswalkEntry | None:
        """Return what is known under a source key."""
        value = self._txn.get(layout.source_key_bytes(key), db=self._db.crosswalk)
        return None if value is None else layout.crosswalk_entry(value)

    def number_of(self, key: SourceKey) -> RecordNumber | None:
        """Return the number of a source key, or None if nothing was ever stored under it."""
        value = self._txn.get(layout.source_key_bytes(key), db=self._db.crosswalk)
        return None if value is None else layout.number_of(value[: layout.NUMBER_BYTES])

    def lookup_many(self, registry: str, kind: EntityKind, record_ids: Sequence[str]) -> layout.CrosswalkColumn:
        """Return what is known under many record ids of one registry, in their order.

        Cost: 0.7 us a key, more where pages are cold.
        """
        keys = layout.source_key_column(registry, kind, record_ids)
        get = cast("Callable[[bytes, bytes], bytes]", self._txn.get)
        return layout.CrosswalkColumn(b"".join(map(get, keys, repeat(layout.MISSING_VALUE))))

    def payloads(
        self, registry: str, kind: EntityKind, record_ids: Iterable[str]
    ) -> Iterator[tuple[int, bytes | None]]:
        """Yield for each record id of one registry its `CrosswalkStatus` as int, and the payload of its last version.

        None where nothing is stored. Cost: 1.5 µs a record.
        """
        prefix = layout.source_key_prefix(registry, kind)
        get, crosswalk, raw = self._txn.get, self._db.crosswalk, self._db.raw
        for record_id in record_ids:
            value = get(prefix + record_id.encode(), db=crosswalk)
            if value is None:
                yield layout.CrosswalkStatus.NOT_FOUND, None
            else:
                yield value[layout.STATUS_OFFSET], get(value[: layout.NUMBER_BYTES], db=raw)

    def key_of(self, number: RecordNumber) -> SourceKey | None:
        """Return the source key of a record, or None after its erasure."""
        value = self._txn.get(layout.number_bytes(number), db=self._db.keys)
        return None if value is None else layout.source_key_of(value)

    def raw(self, number: RecordNumber) -> bytes | None:
        """Return the payload of the record's last version, or None after its erasure."""
        return self._txn.get(layout.number_bytes(number), db=self._db.raw)

    def features(self, number: RecordNumber) -> bytes | None:
        """Return the record's features, or None for a record without match state (pending, deleted, erased)."""
        return self._txn.get(number.to_bytes(layout.NUMBER_BYTES, "big"), db=self._db.features)

    def posting_keys(self, number: RecordNumber) -> tuple[bytes, ...]:
        """Return the keys under which the record is posted, sorted."""
        return tuple(_split(self.packed_posting_keys(number)))

    def packed_posting_keys(self, number: RecordNumber) -> bytes:
        """Return the same keys one behind the other, as they are stored."""
        packed: bytes = self._txn.get(layout.number_bytes(number), b"", db=self._db.posting_keys)
        return packed

    def postings(self, key: bytes, limit: int) -> tuple[list[RecordNumber], int]:
        """Return the most recent holders of a posting key, highest number first, and how many there are in all.

        Cost: O(`limit`), however many hold the key; 0.8 µs for one holder, 20 µs for 200, 40 µs for 200 of more.
        """
        cursor = self._holders
        if cursor is None:
            # One for all keys of a call: opening and closing it costs as much as the search.
            cursor = self._holders = self._txn.cursor(self._db.postings)
        if not cursor.set_key(key):
            return [], 0
        count = cursor.count()
        if count == 1 <= limit:
            return [RecordNumber(int.from_bytes(cursor.value(), "big"))], 1
        if _FEW_HOLDERS_MAX < count <= limit:
            rows = cursor.getmulti((key,), dupdata=True, dupfixed_bytes=layout.NUMBER_BYTES, keyfixed=True, values=True)
            return [number for (number,) in _POSTING_ROW.iter_unpack(rows)][::-1], count
        read = min(count, limit)
        cursor.last_dup()
        return list(struct.unpack(f">{read}Q", b"".join(islice(cursor.iterprev_dup(), read)))), count

    def relation_state(self, number: RecordNumber) -> tuple[tuple[bytes, ...], bytes]:
        """Return the keys of what the record's relations name, sorted, and its households over time as opaque bytes.

        Both are empty for a record that states nothing of others, is deleted or erased.
        """
        value = self._txn.get(layout.number_bytes(number), db=self._db.relation_states)
        if value is None:
            return (), b""
        packed, stays = layout.relation_state(value)
        return tuple(_split(packed)), stays

    def relation_count(self, key: bytes) -> int:
        """Return how many records state a relation key."""
        with self._txn.cursor(self._db.relations) as cursor:
            return cursor.count() if cursor.set_key(key) else 0

    def iter_relations(self, key: bytes, after: RecordNumber = NO_NUMBER) -> Iterator[RecordNumber]:
        """Yield the records that state a relation key, numbers above `after` in order. Cost: about 1 µs each."""
        with self._txn.cursor(self._db.relations) as cursor:
            is_placed = cursor.set_range_dup(key, layout.number_bytes(RecordNumber(after + 1)))
            while is_placed:
                yield layout.number_of(cursor.value())
                is_placed = cursor.next_dup()

    def iter_records(
        self, start: RecordNumber = FIRST_NUMBER, stop: RecordNumber | None = None
    ) -> Iterator[tuple[RecordNumber, RecordEntry]]:
        """Yield records with `start` <= number < `stop`, in order."""
        for key, value in self._iter_numbers(self._db.records, start, stop):
            yield layout.number_of(key), layout.decode_record(value)

    def iter_crosswalk(self, prefix: bytes = b"", after: bytes = b"") -> Iterator[tuple[SourceKey, CrosswalkEntry]]:
        """Yield the crosswalk, grouped by registry and kind, record ids in byte order.

        Args:
            prefix: Of the keys, as `layout.source_key_prefix` gives it; empty means all.
            after: The key behind which to begin, as `layout.source_key_bytes` gives it.
        """
        for key, value in self._iter_from(self._db.crosswalk, prefix, after):
            yield layout.source_key_of(key), layout.crosswalk_entry(value)

    def live_count(self, registry: str, kind: EntityKind) -> int:
        """Return how many live records are stored of a registry, pending ones included. Cost: 0.4 µs a record."""
        prefix, deleted = layout.source_key_prefix(registry, kind), layout.CrosswalkStatus.DELETED
        found = self._iter_from(self._db.crosswalk, prefix, b"")
        return sum(value[layout.STATUS_OFFSET] != deleted for _, value in found)

    def iter_goldens(self, after: GoldenId | None = None) -> Iterator[tuple[GoldenId, GoldenEntry]]:
        """Yield golden IDs ever issued, in order, from the one after `after`."""
        with self._txn.cursor(self._db.goldens) as cursor:
            is_placed = cursor.first() if after is None else cursor.set_range(after.encode("ascii") + b"\0")
            while is_placed:
                yield GoldenId(cursor.key().decode("ascii")), layout.decode_golden(cursor.value())
                is_placed = cursor.next()

    def issued_counts(self) -> dict[EntityKind, int]:
        """Return how many golden IDs were ever issued. Cost: 0.3 µs for each of a business; citizens are the rest."""
        with self._txn.cursor(self._db.goldens) as cursor:
            keys = cursor.iternext(keys=True, values=False)
            business_count = sum(1 for _ in takewhile(b"C".__gt__, keys))
        whole = self._txn.stat(self._db.goldens)["entries"]
        return {EntityKind.BUSINESS: business_count, EntityKind.CITIZEN: whole - business_count}

    def iter_potential_matches(self) -> Iterator[tuple[Pair, PotentialMatch]]:
        """Yield all open questions."""
        for key, value in self._iter(self._db.potential_matches):
            yield layout.pair_of_bytes(key), layout.decode_potential_match(value)

    def iter_judgements(self) -> Iterator[tuple[Pair, Verdict]]:
        """Yield the verdicts of all standing judgements."""
        for key, value in self._iter(self._db.judgements):
            yield layout.pair_of_bytes(key), layout.decode_judgement(value).verdict

    def changes(self, seq: int) -> Changes | None:
        """Return what one event changed; None if it touched no golden ID, or is not applied."""
        value = self._txn.get(layout.seq_bytes(seq), db=self._db.changes)
        return None if value is None else layout.decode_changes(value)

    def iter_changes(self, after_seq: int = 0) -> Iterator[tuple[int, Changes]]:
        """Yield what each event behind `after_seq` changed, in order, events that touched no golden ID left out.

        Cost: about 4 µs each.
        """
        with self._txn.cursor(self._db.changes) as cursor:
            is_placed = cursor.set_range(layout.seq_bytes(after_seq + 1))
            while is_placed:
                yield int.from_bytes(cursor.key(), "big"), layout.decode_changes(cursor.value())
                is_placed = cursor.next()

    def iter_golden_seqs(self, golden_id: GoldenId, after_seq: int = 0) -> Iterator[int]:
        """Yield the positions behind `after_seq` of the events that touched a golden ID, in order, its minting too."""
        golden = self.golden(golden_id)
        if golden is not None and golden.minted_seq > after_seq:
            yield golden.minted_seq
        with self._txn.cursor(self._db.golden_seqs) as cursor:
            is_placed = cursor.set_range_dup(golden_id.encode("ascii"), layout.seq_bytes(after_seq + 1))
            while is_placed:
                yield int.from_bytes(cursor.value(), "big")
                is_placed = cursor.next_dup()

    def counts(self) -> dict[Count, int]:
        """Return everything that the index counts. Cost: 1 µs each, of which a city has some sixty."""
        return {count_of(key): number_of(value) for key, value in self._iter(self._db.counts)}

    def oldest_review(self) -> Review | None:
        """Return the review that was opened first of those that are not closed."""
        with self._txn.cursor(self._db.reviews) as cursor:
            return layout.decode_review(cursor.value()) if cursor.first() else None

    def iter_entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the bytes of one named database, for comparison."""
        yield from self._iter(getattr(self._db, name))

    def _last_of(self, database: lmdb._Database) -> RecordNumber:
        with self._txn.cursor(database) as cursor:
            return layout.number_of(cursor.key()) if cursor.last() else NO_NUMBER

    def _iter(self, database: lmdb._Database) -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor(database) as cursor:
            yield from cursor

    def _iter_from(self, database: lmdb._Database, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        start = max(prefix, after + b"\0") if after else prefix
        with self._txn.cursor(database) as cursor:
            is_placed = cursor.set_range(start) if start else cursor.first()
            while is_placed:
                key, value = cursor.item()
                if not key.startswith(prefix):
                    return
                yield key, value
                is_placed = cursor.next()

    def _iter_numbers(
        self, database: lmdb._Database, start: RecordNumber, stop: RecordNumber | None
    ) -> Iterator[tuple[bytes, bytes]]:
        end = b"\xff" * layout.NUMBER_BYTES if stop is None else layout.number_bytes(stop)
        with self._txn.cursor(database) as cursor:
            is_placed = cursor.set_range(layout.number_bytes(start))
            while is_placed:
                key, value = cursor.item()
                if key >= end:
                    return
                yield key, value
                is_placed = cursor.next()


def _split(packed: bytes) -> list[bytes]:
    return [packed[offset : offset + POSTING_KEY_BYTES] for offset in range(0, len(packed), POSTING_KEY_BYTES)]
