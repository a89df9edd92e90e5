"""The journal: every event in total order, with the sealed values, answers and artefacts that belong to it.

The only truth; everything else is its fold. One transaction and one sync cover a whole batch. The first error on the
file ends the journal object, because after a failed sync nobody knows what the disk holds.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import apsw
import msgspec

from mdm.domain.events import SCHEMA_VERSION, Cause, Event, Fact, RecordUpserted
from mdm.domain.keys import RecordNumber
from mdm.errors import FencedError, JournalFailedError
from mdm.limits import JOURNAL_CHUNK_EVENTS, RECORD_KEYS_CACHED_MAX, WAL_PAGES_MAX
from mdm.store import journal_file
from mdm.store.event_codec import decode_event, encode_body
from mdm.store.sealing import SealedPayload, new_record_key, seal, unseal
from mdm.store.token import JournalToken


class Draft(msgspec.Struct, frozen=True):
    """A fact that has no place in the order yet."""

    cause: Cause
    fact: Fact


class StoredAnswer(msgspec.Struct, frozen=True):
    """The first answer to a request id."""

    content_hash: bytes
    response: bytes
    seq: int
    """Last seq of the batch that the answer belongs to."""


def artefact_digest(body: bytes) -> str:
    """Return the name under which the journal keeps an artefact: 32 hexadecimal characters."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


class Batch:
    """All that one transaction will write. Events have their seq from the start, so answers can carry a token.

    A batch that is never committed leaves no trace.
    """

    def __init__(self, journal: Journal, expected_seq: int, at_us: int) -> None:
        """Begin after `expected_seq`; see `Journal.begin`."""
        self.expected_seq = expected_seq
        self.at_us = at_us
        self.events: list[Event] = []
        self.payloads: list[SealedPayload] = []
        self.record_keys: dict[RecordNumber, bytes] = {}
        self.answers: dict[tuple[str, str, str], StoredAnswer] = {}
        self.artefacts: dict[str, tuple[str, bytes]] = {}
        self.erased: dict[RecordNumber, None] = {}
        self.erased_until: dict[RecordNumber, int] = {}
        self._journal = journal

    @property
    def last_seq(self) -> int:
        """Seq of the last event so far."""
        return self.expected_seq + len(self.events)

    @property
    def token(self) -> JournalToken:
        """The position that a client may wait for once this batch is committed."""
        return JournalToken(self._journal.journal_id, self._journal.epoch, self.last_seq)

    def add(self, cause: Cause, fact: Fact) -> Event:
        """Return the fact as the next event, to be folded into the index before the commit."""
        event = Event(self.last_seq + 1, self.at_us, SCHEMA_VERSION, cause, fact)
        self.events.append(event)
        return event

    def seal(self, number: RecordNumber, plain: bytes) -> SealedPayload:
        """Seal values under the record's key, which is made at its first payload."""
        key = self.record_keys.get(number) or self._journal.record_key(number)
        if key is None:
            key = self.record_keys[number] = new_record_key()
        payload = seal(key, number, self._journal.take_payload_id(), plain)
        self.payloads.append(payload)
        return payload

    def payload(self, payload_id: int) -> bytes | None:
        """Return the plain bytes of a payload that is committed or of this batch, or None when it was erased."""
        if not self.payloads or payload_id < self.payloads[0].payload_id:
            return self._journal.payload(payload_id)
        own = next(each for each in reversed(self.payloads) if each.payload_id == payload_id)
        key = self.record_keys.get(own.number) or self._journal.record_key(own.number)
        return unseal(key, own.number, payload_id, own.sealed) if key is not None else None

    def answer(self, actor: str, method: str, request_id: str, content_hash: bytes, response: bytes) -> None:
        """Remember the answer to a request id; `content_hash` tells a repeated request from another one."""
        self.answers[actor, method, request_id] = StoredAnswer(content_hash, response, self.last_seq)

    def erase(self, numbers: Iterable[RecordNumber], until: Iterable[tuple[RecordNumber, int]] = ()) -> None:
        """Destroy with this batch the keys and payloads of records; their events stay and replay without values.

        Args:
            numbers: Records with all their versions, those of this batch included.
            until: Records whose payloads go up to this payload id; the later ones and the key stay.
        """
        self.erased.update(dict.fromkeys(numbers))
        self.erased_until.update(until)

    def put_artefact(self, kind: str, body: bytes) -> str:
        """Keep a configuration, model, epoch or plan; returns its digest. The same body is stored once."""
        digest = artefact_digest(body)
        self.artefacts[digest] = (kind, body)
        return digest


class JournalReader:
    """Reads a journal, beside its writer or alone. Safe to share between threads; calls take turns."""

    def __init__(self, connection: apsw.Connection, on_failure: Callable[[], None] | None = None) -> None:
        """Take over an open connection; see `Journal.open` and `Journal.open_read_only`."""
        self._connection = connection
        self._on_failure = on_failure
        self._lock = threading.RLock()
        self._failure: str | None = None
        self._keys: dict[RecordNumber, bytes] = {}
        with self._guarded():
            row = self._one("SELECT journal_id, epoch, fingerprint_key FROM meta")
        if row is None:
            raise JournalFailedError("the journal's meta row is missing")
        self.journal_id = UUID(bytes=row[0])
        """Given at creation; tokens carry it."""
        self.epoch: int = row[1]
        """Begins at 1; a restore begins a later one, so that tokens of lost events are refused."""
        self._fingerprint_key: bytes = row[2]

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the file; after a failure without touching it again."""
        with self._lock:
            if self._failure is not None:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.close(force=True)

    @property
    def name(self) -> str:
        """Journal id and epoch: what an index must have been folded from."""
        return f"{self.journal_id}:{self.epoch}"

    @property
    def last_seq(self) -> int:
        """Seq of the last committed event; 0 for an empty journal."""
        with self._guarded():
            return int(self._value("SELECT coalesce(max(seq), 0) FROM events"))

    def events(self, after_seq: int = 0, until_seq: int | None = None) -> Iterator[Event]:
        """Yield the events in (`after_seq`, `until_seq`], oldest first, in chunks: no long transaction, any size.

        Raises:
            JournalFailedError: A seq is missing, or the file cannot be read.
        """
        for chunk in self._chunks(after_seq, until_seq):
            yield from chunk

    def events_with_payloads(
        self, after_seq: int = 0, until_seq: int | None = None
    ) -> Iterator[tuple[Event, bytes | None]]:
        """Yield events with the plain payload that a `RecordUpserted` refers to; None where erased or another fact.

        Cost: about 4 µs an event.
        """
        for chunk in self._chunks(after_seq, until_seq):
            wanted = [event.fact.payload_id for event in chunk if isinstance(event.fact, RecordUpserted)]
            plains = self._payloads(wanted)
            for event in chunk:
                fact = event.fact
                yield event, plains.get(fact.payload_id) if isinstance(fact, RecordUpserted) else None

    def payload(self, payload_id: int) -> bytes | None:
        """Return the plain bytes of a payload, or None when it was erased."""
        return self._payloads([payload_id]).get(payload_id)

    def seq_at(self, at_us: int) -> int:
        """Return the seq of the last event that happened at or before a time, 0 before the first. Cost: 30 look-ups."""
        low, high = 0, self.last_seq
        while low < high:
            middle = (low + high + 1) // 2
            with self._guarded():
                is_later = int(self._value("SELECT at_us FROM events WHERE seq = ?", middle)) > at_us
            low, high = (low, middle - 1) if is_later else (middle, high)
        return low

    def last_payload_id(self, seq: int) -> int:
        """Return the highest payload id that a record's version has up to a position, 0 if none came.

        Payload ids rise with the seq. Cost: 1 µs for each event since the last version of any record.
        """
        # The name stands in the body of each such fact, and may stand in a caller's words.
        sql = "SELECT seq, at_us, body FROM events WHERE seq <= ? AND instr(body, ?) ORDER BY seq DESC"
        with self._guarded():
            for row in self._connection.execute(sql, (seq, RecordUpserted.__name__.encode())):
                fact = decode_event(*row).fact
                if isinstance(fact, RecordUpserted):
                    return fact.payload_id
        return 0

    def payloads_of(self, number: RecordNumber, until_payload_id: int) -> Iterator[bytes]:
        """Yield the plain payloads of a record up to an id, the latest first; none after its erasure."""
        sql = "SELECT payload_id FROM payloads WHERE number = ? AND payload_id <= ? ORDER BY payload_id DESC"
        with self._guarded():
            ids = [payload_id for (payload_id,) in self._connection.execute(sql, (number, until_payload_id))]
        for payload_id in ids:
            plain = self.payload(payload_id)
            if plain is not None:
                yield plain

    def record_key(self, number: RecordNumber) -> bytes | None:
        """Return the record's key, or None before its first payload and after its erasure."""
        with self._guarded():
            key = self._keys.get(number)
            if key is None:
                row = self._one("SELECT key FROM record_keys WHERE number = ?", number)
                if row is None:
                    return None
                key = bytes(row[0])
                self._remember_key(number, key)
            return key

    def fingerprint(self, content: bytes) -> bytes:
        """Return a 16-byte keyed hash of a request's content, for `Batch.answer`: it gives nothing of it away."""
        return hashlib.blake2b(content, digest_size=16, key=self._fingerprint_key).digest()

    def answer(self, actor: str, method: str, request_id: str) -> StoredAnswer | None:
        """Return the committed answer to a request id, if it came before."""
        sql = "SELECT content_hash, response, seq FROM answers WHERE actor = ? AND method = ? AND request_id = ?"
        with self._guarded():
            row = self._one(sql, actor, method, request_id)
        return None if row is None else StoredAnswer(*row)

    def artefact(self, digest: str) -> bytes | None:
        """Return the body of an artefact.

        Raises:
            JournalFailedError: The stored body does not have this digest.
        """
        with self._guarded():
            row = self._one("SELECT body FROM artefacts WHERE digest = ?", digest)
        if row is None:
            return None
        try:
            body = zlib.decompress(row[0])
        except zlib.error as error:
            raise JournalFailedError(f"artefact {digest} is damaged") from error
        if artefact_digest(body) != digest:
            raise JournalFailedError(f"artefact {digest} is damaged: its digest does not fit")
        return body

    def token(self, seq: int | None = None) -> JournalToken:
        """Return the token of a position, by default of the last event."""
        return JournalToken(self.journal_id, self.epoch, self.last_seq if seq is None else seq)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn the first error of the file into the last thing that this object does."""
        with self._lock:
            if self._failure is not None:
                raise JournalFailedError(f"the journal failed before ({self._failure}); nothing more is done")
            try:
                yield
            except FencedError:
                raise
            except (apsw.Error, OSError, msgspec.MsgspecError) as error:
                raise self._fail(error) from error

    def _fail(self, error: BaseException) -> JournalFailedError:
        self._failure = type(error).__name__
        if self._on_failure is not None:
            self._on_failure()
        return JournalFailedError(f"the journal cannot go on: {self._failure}")

    def _one(self, sql: str, *bindings: apsw.SQLiteValue) -> tuple[Any, ...] | None:
        return self._connection.execute(sql, bindings).fetchone()

    def _value(self, sql: str, *bindings: apsw.SQLiteValue) -> Any:
        return self._connection.execute(sql, bindings).get

    def _chunks(self, after_seq: int, until_seq: int | None) -> Iterator[list[Event]]:
        sql = "SELECT seq, at_us, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        until = (1 << 63) - 1 if until_seq is None else until_seq
        seq = after_seq
        while True:
            with self._guarded():
                rows: list[Any] = self._connection.execute(sql, (seq, until, JOURNAL_CHUNK_EVENTS)).fetchall()
                chunk = [decode_event(*row) for row in rows]
            if not chunk:
                return
            if chunk[0].seq != seq + 1 or chunk[-1].seq != seq + len(chunk):
                raise JournalFailedError(f"the journal has a gap after seq {seq}")
            seq = chunk[-1].seq
            yield chunk

    def _payloads(self, payload_ids: Sequence[int]) -> dict[int, bytes]:
        if not payload_ids:
            return {}
        low, high = min(payload_ids), max(payload_ids)
        sql = "SELECT p.payload_id, p.number, p.sealed, k.key FROM payloads p JOIN record_keys k USING (number) WHERE "
        rows: list[Any] = []
        with self._guarded():
            # The payloads of neighbouring events have neighbouring ids: one range instead of a search for each.
            if high - low < 2 * len(payload_ids):
                rows.extend(self._connection.execute(sql + "p.payload_id BETWEEN ? AND ?", (low, high)))
            else:
                for each in payload_ids:
                    rows.extend(self._connection.execute(sql + "p.payload_id = ?", (each,)))
        return {
            payload_id: unseal(key, number, payload_id, sealed) for payload_id, number, sealed, key in rows if sealed
        }

    def _remember_key(self, number: RecordNumber, key: bytes) -> None:
        self._keys[number] = key
        if len(self._keys) > RECORD_KEYS_CACHED_MAX:
            del self._keys[next(iter(self._keys))]


class Journal(JournalReader):
    """The one writer of a journal.

    Invariant: what `commit` returned from is on disk; what it raised from is never acknowledged.
    """

    def __init__(self, connection: apsw.Connection, on_failure: Callable[[], None] | None = None) -> None:
        """Take over an open connection; see `open`."""
        super().__init__(connection, on_failure)
        self._wal_pages = 0
        self._is_wal_to_empty = False
        with self._guarded():
            row = self._one("SELECT seq, at_us FROM events ORDER BY seq DESC LIMIT 1")
            self._last_seq, self._last_at_us = (0, 0) if row is None else (int(row[0]), int(row[1]))
            self._last_key_number = int(self._value("SELECT coalesce(max(number), 0) FROM record_keys"))
            self._next_payload_id = 1 + int(self._value("SELECT coalesce(max(payload_id), 0) FROM payloads"))
            self._connection.set_wal_hook(self._note_wal_pages)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        on_failure: Callable[[], None] | None = None,
        vfs: str | None = None,
    ) -> Journal:
        """Open the journal file for writing.

        Args:
            path: The file; its directory must exist.
            create: Whether a missing file becomes a new journal.
            on_failure: Called at the first error, before `JournalFailedError` is raised; a writer process exits in it.
            vfs: Name of a registered SQLite VFS, for fault injection.

        Raises:
            DataDirectoryError: SQLite is too old, or the file is missing, truncated, not ours or of another version.
        """
        return cls(journal_file.open_for_writing(path, create=create, vfs=vfs), on_failure)

    @staticmethod
    def open_read_only(path: Path) -> JournalReader:
        """Open the journal file for reading, beside a writer or alone.

        Raises:
            DataDirectoryError: As for `open`.
        """
        return JournalReader(journal_file.open_for_reading(path))

    def begin(self, at_us: int) -> Batch:
        """Return an empty batch after the last event. Its time is `at_us`, or just after the last event's."""
        return Batch(self, self._last_seq, self._later(at_us))

    def _later(self, at_us: int) -> int:
        return max(at_us, self._last_at_us + 1)  # Equal times tell which events were committed together.

    def append(self, expected_seq: int, drafts: Sequence[Draft], *, at_us: int) -> list[Event]:
        """Commit `drafts` as the events after `expected_seq`, in one transaction and one sync.

        Raises:
            FencedError: The last seq is not `expected_seq`.
            JournalFailedError: The file reported an error, now or before; nothing may be acknowledged.
        """
        batch = Batch(self, expected_seq, self._later(at_us))
        for draft in drafts:
            batch.add(draft.cause, draft.fact)
        self.commit(batch)
        return batch.events

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction and sync it. Cost: 0.2 ms and about 10 µs an event.

        Raises:
            FencedError: Someone appended after the batch was begun; nothing was written.
            JournalFailedError: The file reported an error, now or before; nothing may be acknowledged.
        """
        with self._guarded(), self._transaction():
            last_seq = int(self._value("SELECT coalesce(max(seq), 0) FROM events"))
            if last_seq != batch.expected_seq:
                raise FencedError(f"expected the journal at seq {batch.expected_seq}, found {last_seq}")
            self._write(batch)
        self._last_seq = batch.last_seq
        if batch.events:
            self._last_at_us = batch.at_us
        for number, key in batch.record_keys.items():
            self._remember_key(number, key)
        self._last_key_number = max(self._last_key_number, *batch.record_keys, 0)
        for number in batch.erased:
            self._keys.pop(number, None)
        if batch.erased or batch.erased_until:
            # Older versions of the overwritten pages stand in the WAL until it is emptied.
            self._is_wal_to_empty = True
        if self._is_wal_to_empty or self._wal_pages >= WAL_PAGES_MAX:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Move the WAL into the file as far as readers allow, and sync it."""
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if self._is_wal_to_empty else apsw.SQLITE_CHECKPOINT_PASSIVE
        with self._guarded():
            try:
                self._connection.wal_checkpoint(mode=mode)
            except apsw.BusyError:
                return  # A reader is in the way for the moment; the next commit tries again.
            self._wal_pages = 0
            self._is_wal_to_empty = False

    def record_key(self, number: RecordNumber) -> bytes | None:
        """Return the record's key, or None; of a new number, as nearly every record has, without a look at the file."""
        return super().record_key(number) if number <= self._last_key_number else None

    def take_payload_id(self) -> int:
        """Return an id that no other payload of this journal has; one that is not committed leaves a gap."""
        with self._lock:
            payload_id = self._next_payload_id
            self._next_payload_id += 1
            return payload_id

    def empty_wal(self) -> bool:
        """Move the WAL into the file and cut it to nothing; returns False while a reader is in the way."""
        self._is_wal_to_empty = True
        self.checkpoint()
        return not self._is_wal_to_empty

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            raise FencedError("another process is writing to the journal") from error
        try:
            yield
        except FencedError:
            self._connection.execute("ROLLBACK")
            raise
        except BaseException as error:
            raise self._fail(error) from error
        self._connection.execute("COMMIT")

    def _write(self, batch: Batch) -> None:
        many = self._connection.executemany
        many(
            "INSERT INTO events VALUES (?, ?, ?)", ((each.seq, each.at_us, encode_body(each)) for each in batch.events)
        )
        many("INSERT INTO record_keys VALUES (?, ?)", batch.record_keys.items())
        many("INSERT INTO payloads VALUES (?, ?, ?)", ((p.payload_id, p.number, p.sealed) for p in batch.payloads))
        many(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)",
            ((*key, each.content_hash, each.response, each.seq) for key, each in batch.answers.items()),
        )
        many(
            "INSERT INTO artefacts VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((digest, kind, zlib.compress(body)) for digest, (kind, body) in batch.artefacts.items()),
        )
        # Last, so that what this batch sealed goes too. The emptied rows keep their ids from meaning another payload.
        many("DELETE FROM record_keys WHERE number = ?", ((number,) for number in batch.erased))
        many("UPDATE payloads SET sealed = x'' WHERE number = ?", ((number,) for number in batch.erased))
        many("UPDATE payloads SET sealed = x'' WHERE number = ? AND payload_id <= ?", batch.erased_until.items())

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK
