"""What proves that a backup can be restored: all rows are read, events decoded, values opened with their keys."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import apsw
import msgspec

from mdm.domain.events import RecordUpserted
from mdm.errors import BackupFileError, JournalFailedError
from mdm.limits import JOURNAL_CHUNK_EVENTS
from mdm.store.backup_file import Contents, Progress, copy_sealed, erased_since, open_backup, read_contents
from mdm.store.event_codec import decode_event
from mdm.store.journal import artefact_digest
from mdm.store.journal_rows import COUNTS_SQL, Counts, Extent, RowsDigest
from mdm.store.sealing import payload_hash, unseal

_EVENTS_SQL = "SELECT seq, at_us, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
_PAYLOADS_SQL = """
SELECT p.payload_id, p.number, p.sealed, k.key FROM payloads p LEFT JOIN record_keys k USING (number)
WHERE p.payload_id > ? AND p.payload_id <= ? ORDER BY p.payload_id
"""
_ID_MAX = (1 << 63) - 1


def check_backup(path: Path, progress: Progress) -> Contents:
    """Prove that a backup is whole: its seal, then its rows. Cost: about 13 µs a record.

    Raises:
        BackupFileError: It is not; says what was found.
    """
    copy_sealed(path, None, progress)
    return check_rows(path, progress)


def check_rows(path: Path, progress: Progress, proven: Extent | None = None) -> Contents:
    """Prove that the rows of a backup, sealed or not yet, are a whole journal at the position that it names.

    SQLite's own structure; all events from the first to the last, in order, with the digest that the service gave; as
    many keys, payloads, answers and artefacts as it counted; every payload opens with its record's key and has the hash
    that its event names, but for those that an erasure destroyed.

    Args:
        path: The backup.
        progress: Told how far it is.
        proven: Up to where the rows are those of an earlier backup, which was proven before it was sealed, and every
            byte of which has been compared with that seal. Of these no event is decoded and no payload opened again;
            all else is looked at, also that erasures destroyed what they name and nothing else.

    Raises:
        BackupFileError: They are not; says what was found.
    """
    connection = open_backup(path)
    try:
        contents = read_contents(connection, path)
        _Check(connection, path, contents, progress, proven or Extent()).run()
    except (apsw.Error, msgspec.MsgspecError, JournalFailedError, zlib.error) as error:
        raise BackupFileError(f"{path.name} is damaged: {type(error).__name__} while its rows were read") from error
    finally:
        connection.close(force=True)
    return contents


class _Check:
    def __init__(
        self, connection: apsw.Connection, path: Path, contents: Contents, progress: Progress, proven: Extent
    ) -> None:
        self._connection = connection
        self._path = path
        self._contents = contents
        self._progress = progress
        self._proven = proven
        numbers, until = erased_since(connection, 0)
        self._erased = numbers
        self._erased_until: dict[int, int] = {}
        for number, payload_id in until:
            self._erased_until[number] = max(payload_id, self._erased_until.get(number, 0))

    def run(self) -> None:
        found = self._connection.execute("PRAGMA quick_check(1)").get
        self._require(found == "ok", "SQLite finds its pages damaged")
        counts = Counts(*self._connection.execute(COUNTS_SQL).get)
        self._require(counts == self._contents.counts, "rows are missing")
        self._events_and_payloads()
        sql = "SELECT digest, body FROM artefacts WHERE rowid > ?"
        for digest, body in self._connection.execute(sql, (self._proven.artefact,)):
            self._require(artefact_digest(zlib.decompress(body)) == digest, "an artefact's digest does not fit")

    def _events_and_payloads(self) -> None:
        digest = RowsDigest()
        last_seq = self._contents.token.seq
        seq = at_us = 0
        payload_id = self._proven.payload_id
        self._payloads(0, payload_id, {})
        while rows := self._rows(_EVENTS_SQL, (seq, JOURNAL_CHUNK_EVENTS)):
            digest.update(rows)
            named: dict[int, tuple[int, bytes]] = {}
            for row in rows:
                self._require(row[0] == seq + 1, f"an event is missing after seq {seq}")
                self._require(row[1] >= at_us, f"time runs backwards at seq {row[0]}")
                seq, at_us = row[:2]
                fact = decode_event(*row).fact if seq > self._proven.seq else None
                if isinstance(fact, RecordUpserted):
                    named[fact.payload_id] = fact.number, fact.payload_hash
            # Payload ids rise with the seq, so one walk over each table compares them.
            until = max(named, default=payload_id)
            self._payloads(payload_id, until, named)
            self._require(not named, f"payloads are missing that events name, before seq {seq}")
            payload_id = until
            self._progress("events checked", seq, last_seq)
        self._payloads(payload_id, _ID_MAX, {})
        self._require(seq == last_seq, "events are missing at its end")
        self._require(digest.digest() == self._contents.events_sha256, "its events are not those of the service")

    def _payloads(self, after: int, until: int, named: dict[int, tuple[int, bytes]]) -> None:
        """Open the payloads of a range of ids, and take out of `named` those that are what their event says."""
        for payload_id, number, sealed, key in self._connection.execute(_PAYLOADS_SQL, (after, until)):
            event = named.pop(payload_id, None)
            if number in self._erased or payload_id <= self._erased_until.get(number, 0):
                self._require(not sealed, f"payload {payload_id} was erased and is there")
                continue
            self._require(key is not None and bool(sealed), f"payload {payload_id} or its key is missing")
            if payload_id <= self._proven.payload_id:
                continue
            plain = unseal(key, number, payload_id, sealed)
            if event is not None:
                is_named = event == (number, payload_hash(key, plain))
                self._require(is_named, f"payload {payload_id} is not the one that its event names")

    def _rows(self, sql: str, bindings: tuple[int, int]) -> list[Any]:
        return self._connection.execute(sql, bindings).fetchall()

    def _require(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001  (what has to hold)
        if not holds:
            raise BackupFileError(f"{self._path.name} is damaged: {otherwise}")
