"""Backups: equal to the journal whatever happens meanwhile, proven to the last byte, and whole after every kill."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from mdm.domain.events import Cause, Outcome, RecordDeleted, RecordResolved, RecordUpserted, SubjectErased
from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.errors import BackupFileError, BackupMismatchError
from mdm.store import journal_rows, restoring
from mdm.store.backup_check import check_backup, check_rows
from mdm.store.backup_file import BackupWriter
from mdm.store.journal import Journal
from mdm.store.journal_rows import Extent, Row, Table
from tests.store.backups import Transfer, back_up, begun, quiet, tables_of

CITIZEN = EntityKind.CITIZEN
CAUSE = Cause("loader")


class Author:
    """Writes records, answers, artefacts and erasures into a journal, as the writer does."""

    def __init__(self, path: Path, seed: int = 1) -> None:
        self.path = path
        self.journal = Journal.open(path, create=True)
        self.dice = random.Random(seed)
        self.numbers: list[RecordNumber] = []
        self.erased: set[RecordNumber] = set()
        self._at_us = 1

    def write(self, count: int = 5) -> None:
        """Commit a batch: new records and new versions of old ones, sometimes with an answer or an artefact."""
        self._at_us += 1
        batch = self.journal.begin(self._at_us)
        for _ in range(count):
            alive = [each for each in self.numbers if each not in self.erased]
            if alive and self.dice.random() < 0.3:
                number = self.dice.choice(alive)
            else:
                number = RecordNumber(len(self.numbers) + 1)
                self.numbers.append(number)
            sealed = batch.seal(number, b"values of %d, version of %d" % (number, batch.last_seq))
            batch.add(CAUSE, RecordUpserted(number, "hospital", CITIZEN, sealed.payload_id, sealed.payload_hash))
            batch.add(CAUSE, RecordResolved(number, golden_id(CITIZEN, number), True, Outcome.CREATED))
        if self.dice.random() < 0.5:
            batch.answer("clerk", "Upsert", f"request {batch.last_seq}", b"hash", b"answer")
        if self.dice.random() < 0.2:
            batch.put_artefact("model", b"model %d" % batch.last_seq)
        self.journal.commit(batch)

    def answer(self) -> None:
        """Commit an answer without an event, as the start of a re-linkage does."""
        batch = self.journal.begin(self._at_us)
        batch.answer("operator", "StartRelink", f"request {self.dice.random()}", b"hash", b"answer")
        self.journal.commit(batch)

    def erase(self) -> RecordNumber:
        """Erase a record."""
        number = self.dice.choice([each for each in self.numbers if each not in self.erased])
        batch = self.journal.begin(self._at_us)
        batch.add(CAUSE, RecordDeleted(number))
        batch.add(CAUSE, SubjectErased((), (number,)))
        batch.erase([number])
        self.journal.commit(batch)
        self.erased.add(number)
        return number

    def act(self) -> None:
        """Do one of these."""
        is_anyone_left = len(self.numbers) > len(self.erased)
        self.dice.choices((self.write, self.answer, self.erase), (6, 1, is_anyone_left))[0]()


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    written = Author(tmp_path / "journal.sqlite")
    for _ in range(20):
        written.write()
    yield written
    written.journal.close()


def test_a_backup_is_the_journal(author: Author, tmp_path: Path) -> None:
    author.erase()
    contents, event_count = back_up(author.path, tmp_path / "backup", b'{"export": 1}\n')
    assert tables_of(tmp_path / "backup") == tables_of(author.path)
    assert contents == check_backup(tmp_path / "backup", quiet)
    assert contents.token == author.journal.token()
    assert event_count == author.journal.last_seq
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir() if "backup" in each.name) == ["backup"]


def test_an_empty_journal_has_a_backup_that_grows(tmp_path: Path) -> None:
    written = Author(tmp_path / "journal.sqlite")
    back_up(written.path, tmp_path / "backup")
    written.write()
    assert back_up(written.path, tmp_path / "backup")[1] == 10
    assert tables_of(tmp_path / "backup") == tables_of(written.path)
    written.journal.close()


def test_the_next_backup_takes_only_what_came_and_loses_what_was_erased(author: Author, tmp_path: Path) -> None:
    back_up(author.path, tmp_path / "backup")
    held = (tmp_path / "backup").read_bytes()
    before = author.journal.last_seq
    number = author.erase()
    connection = apsw.Connection(str(tmp_path / "backup"), flags=apsw.SQLITE_OPEN_READONLY)
    key = connection.execute("SELECT key FROM record_keys WHERE number = ?", (number,)).get
    sealed = connection.execute("SELECT sealed FROM payloads WHERE number = ?", (number,)).fetchall()
    connection.close()
    secrets = [key, *(each for (each,) in sealed)]
    assert len(secrets) > 1
    assert all(each in held for each in secrets), "the search finds them before"
    author.write()
    _, event_count = back_up(author.path, tmp_path / "backup")
    assert event_count == author.journal.last_seq - before
    assert tables_of(tmp_path / "backup") == tables_of(author.path)
    held = (tmp_path / "backup").read_bytes()
    assert not [each for each in secrets if each in held]


@pytest.mark.parametrize("seed", range(12))
def test_a_backup_of_a_journal_that_is_written_meanwhile_is_the_journal_at_its_end(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that many parts and rounds lie between.
    monkeypatch.setattr(journal_rows, "BACKUP_MESSAGE_BYTES", 500)
    monkeypatch.setattr(journal_rows, "BACKUP_TAIL_EVENTS", 10)
    written = Author(tmp_path / "journal.sqlite", seed)
    parts = 0
    for _ in range(3):
        for _ in range(30):
            written.act()
        with BackupWriter(tmp_path / "backup") as writer:
            transfer = begun(written.path, writer, tmp_path / "backup")
            for _ in transfer:
                parts += 1
                if written.dice.random() < 0.1:
                    written.act()
            is_at_end = transfer.extract.end.seq == written.journal.last_seq
            at_end = tables_of(written.path)
            transfer.publish()
        check_backup(tmp_path / "backup", quiet)
        # An answer without an event may have come since.
        if is_at_end and transfer.extract.counts.answers == len(at_end["answers"]):
            assert tables_of(tmp_path / "backup") == at_end
    assert parts > 20
    back_up(written.path, tmp_path / "backup")
    assert tables_of(tmp_path / "backup") == tables_of(written.path)
    written.journal.close()


def test_a_stream_that_broke_off_is_gone_on_with_from_what_arrived(author: Author, tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "backup") as writer:
        for cut in (1, 2, 3):
            for _ in zip(range(cut), Transfer(author.path, writer), strict=False):
                pass
            author.erase()
        transfer = Transfer(author.path, writer)
        for _ in transfer:
            pass
        transfer.publish()
    assert tables_of(tmp_path / "backup") == tables_of(author.path)


def test_a_base_with_all_events_and_nothing_else_is_not_gone_on_with_in_one_transaction(
    author: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_rows, "BACKUP_MESSAGE_BYTES", 500)
    monkeypatch.setattr(journal_rows, "BACKUP_TAIL_EVENTS", 10)
    with BackupWriter(tmp_path / "backup") as writer:
        for table, _ in Transfer(author.path, writer):
            if table is not Table.EVENTS:
                break
        transfer = Transfer(author.path, writer)
        in_one = transfer.extract._tail
        counts: list[int] = []

        def tail(reached: Extent) -> Iterator[tuple[Table, list[Row]]]:
            for table, rows in in_one(reached):
                counts.append(len(rows))
                yield table, rows

        monkeypatch.setattr(transfer.extract, "_tail", tail)
        for _ in transfer:
            pass
        transfer.publish()
    assert sum(counts) <= 10
    assert tables_of(tmp_path / "backup") == tables_of(author.path)


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :]


def test_a_flipped_bit_is_found_wherever_it_is(author: Author, tmp_path: Path) -> None:
    back_up(author.path, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    damaged = tmp_path / "damaged"
    places = {*range(200), *range(200, len(content), 53), *range(len(content) - 60, len(content))}
    for at in sorted(places):
        damaged.write_bytes(flip(content, at))
        with pytest.raises(BackupFileError):
            check_backup(damaged, quiet)


@pytest.mark.parametrize("column", ["events.body", "record_keys.key", "payloads.sealed", "artefacts.body"])
def test_a_row_that_changed_is_found_without_the_seal(author: Author, tmp_path: Path, column: str) -> None:
    author.journal.append(author.journal.last_seq, [], at_us=1)
    batch = author.journal.begin(2)
    batch.put_artefact("model", b"a model")
    author.journal.commit(batch)
    back_up(author.path, tmp_path / "backup")
    table, name = column.split(".")
    check_rows(tmp_path / "backup", quiet)
    connection = apsw.Connection(str(tmp_path / "backup"), flags=apsw.SQLITE_OPEN_READWRITE)
    rowid, cell = connection.execute(f"SELECT rowid, {name} FROM {table} ORDER BY rowid DESC LIMIT 1").get
    connection.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (flip(cell, len(cell) // 2), rowid))
    connection.close()
    with pytest.raises(BackupFileError, match="damaged"):
        check_rows(tmp_path / "backup", quiet)


FIRST = "WHERE payload_id = (SELECT min(payload_id) FROM payloads WHERE sealed <> x'')"
ERASED = "WHERE payload_id = (SELECT max(payload_id) FROM payloads WHERE sealed = x'')"
HARM = [
    ("UPDATE events SET body = x'00' WHERE seq = (SELECT max(seq) FROM events)", True),
    ("UPDATE events SET body = x'00' WHERE seq = 1", True),
    ("UPDATE payloads SET sealed = x'00' WHERE payload_id = (SELECT max(payload_id) FROM payloads)", True),
    ("UPDATE record_keys SET key = zeroblob(32) WHERE number = (SELECT max(number) FROM record_keys)", True),
    ("UPDATE artefacts SET digest = 'x' WHERE rowid = (SELECT max(rowid) FROM artefacts)", True),
    ("DELETE FROM payloads WHERE payload_id = 1", True),
    (f"UPDATE payloads SET sealed = x'00' {ERASED}", True),
    (f"UPDATE payloads SET sealed = x'' {FIRST}", True),
    # Its file's seal says so, before anything is taken over.
    (f"UPDATE payloads SET sealed = x'00' {FIRST}", False),
]
"""What is done to a backup that was brought up to date, and whether it is found without opening the old values."""


def test_of_a_backup_brought_up_to_date_all_is_proven_that_its_earlier_seal_does_not_say(
    author: Author, tmp_path: Path
) -> None:
    back_up(author.path, tmp_path / "backup")
    author.erase()
    author.write()
    author.numbers.append(RecordNumber(len(author.numbers) + 1))
    batch = author.journal.begin(1)
    sealed = batch.seal(author.numbers[-1], b"a new record")
    batch.add(CAUSE, RecordUpserted(author.numbers[-1], "hospital", CITIZEN, sealed.payload_id, sealed.payload_hash))
    batch.put_artefact("model", b"a new model")
    author.journal.commit(batch)
    with BackupWriter(tmp_path / "backup") as writer:
        transfer = begun(author.path, writer, tmp_path / "backup")
        assert len(list(transfer)) > 3
        transfer.publish()
        proven = writer.proven
    assert proven is not None
    for statement, is_found in HARM:
        harmed = tmp_path / "harmed"
        shutil.copy(tmp_path / "backup", harmed)
        check_rows(harmed, quiet, proven)
        connection = apsw.Connection(str(harmed), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.execute(statement)
        assert connection.changes() == 1
        connection.close()
        with pytest.raises(BackupFileError, match="damaged"):
            check_rows(harmed, quiet)
        with pytest.raises(BackupFileError, match="damaged") if is_found else contextlib.nullcontext():
            check_rows(harmed, quiet, proven)
        with pytest.raises(BackupFileError, match="damaged"):
            back_up(author.path, harmed)


@pytest.mark.parametrize("table", ["events", "record_keys", "payloads", "artefacts", "answers"])
def test_a_row_that_is_missing_is_found_without_the_seal(author: Author, tmp_path: Path, table: str) -> None:
    batch = author.journal.begin(2)
    batch.put_artefact("model", b"a model")
    batch.answer("clerk", "Upsert", "request", b"hash", b"answer")
    author.journal.commit(batch)
    back_up(author.path, tmp_path / "backup")
    connection = apsw.Connection(str(tmp_path / "backup"), flags=apsw.SQLITE_OPEN_READWRITE)
    key = "request_id" if table == "answers" else "rowid"
    connection.execute(f"DELETE FROM {table} WHERE {key} = (SELECT max({key}) FROM {table})")
    connection.close()
    with pytest.raises(BackupFileError, match="missing"):
        check_rows(tmp_path / "backup", quiet)


def test_what_is_no_backup_is_refused_by_name(author: Author, tmp_path: Path) -> None:
    back_up(author.path, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t (x)").connection.close()
    other = (tmp_path / "other.sqlite").read_bytes()
    cases = [
        (b"", "seal is missing"),
        (b"not a backup, but quite long text, longer than any seal", "no backup"),
        (content[:-1], "damaged|seal is missing"),
        (content[: len(content) // 2], "seal is missing"),
        (content[:4096], "seal is missing"),
        (author.path.read_bytes(), "seal is missing"),
        (content + b"\0", "damaged|seal is missing"),
        (other, "seal is missing"),
    ]
    for given, text in cases:
        (tmp_path / "given").write_bytes(given)
        with pytest.raises(BackupFileError, match=text):
            check_backup(tmp_path / "given", quiet)
        with pytest.raises(BackupFileError, match=text):
            back_up(author.path, tmp_path / "given")
        assert (tmp_path / "given").read_bytes() == given, "what was there stays"
        assert not (tmp_path / ".given.partial").exists()
    with pytest.raises(BackupFileError, match="no backup of this service"):
        check_rows(tmp_path / "other.sqlite", quiet)
    with pytest.raises(BackupFileError, match="No such file"):
        check_backup(tmp_path / "missing", quiet)


def test_another_journals_backup_is_no_base(author: Author, tmp_path: Path) -> None:
    stranger = Author(tmp_path / "stranger.sqlite")
    stranger.write()
    back_up(stranger.path, tmp_path / "backup")
    held = (tmp_path / "backup").read_bytes()
    with pytest.raises(BackupMismatchError, match="another journal"):
        back_up(author.path, tmp_path / "backup")
    assert (tmp_path / "backup").read_bytes() == held
    stranger.journal.close()


def test_a_backup_from_before_a_restore_is_no_base(author: Author, tmp_path: Path) -> None:
    back_up(author.path, tmp_path / "backup")
    restoring.begin_epoch(author.journal._connection, 5)
    with pytest.raises(BackupMismatchError, match="restored since"):
        back_up(author.path, tmp_path / "backup")


def test_a_backup_of_a_history_that_went_another_way_is_no_base(author: Author, tmp_path: Path) -> None:
    author.journal.checkpoint()
    author.journal.close()
    shutil.copy(author.path, tmp_path / "copy.sqlite")
    twin, author.journal = Author(tmp_path / "copy.sqlite", 2), Journal.open(author.path)
    twin.numbers = list(author.numbers)
    twin.write()
    author.write(8)
    back_up(twin.path, tmp_path / "backup")
    with pytest.raises(BackupMismatchError, match="does not begin with"):
        back_up(author.path, tmp_path / "backup")
    twin.write(3)
    back_up(twin.path, tmp_path / "longer")
    with pytest.raises(BackupMismatchError, match="does not begin with"):
        back_up(author.path, tmp_path / "longer")
    twin.journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory that is a disk of one MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(path)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_is_named_and_leaves_the_earlier_backup(author: Author, small_disk: Path) -> None:
    back_up(author.path, small_disk / "backup")
    held = (small_disk / "backup").read_bytes()
    for _ in range(200):
        author.write(20)
    with pytest.raises(BackupFileError, match="disk is full"):
        back_up(author.path, small_disk / "backup")
    assert [each.name for each in small_disk.iterdir()] == ["backup"]
    assert (small_disk / "backup").read_bytes() == held
    with pytest.raises(BackupFileError, match=r"disk is full|No space"):
        back_up(author.path, small_disk / "first")
    assert [each.name for each in small_disk.iterdir()] == ["backup"]


def test_a_link_stays_a_link_and_what_it_names_is_brought_up_to_date(author: Author, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "backup").symlink_to(tmp_path / "disk" / "backup")
    for _ in range(2):
        author.write()
        back_up(author.path, tmp_path / "backup")
        assert (tmp_path / "backup").is_symlink()
        assert check_backup(tmp_path / "disk" / "backup", quiet).token == author.journal.token()
    assert [each.name for each in (tmp_path / "disk").iterdir()] == ["backup"]


def test_two_backups_at_one_place_never_meet(author: Author, tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "backup") as writer:
        transfer = Transfer(author.path, writer)
        for _ in transfer:
            pass
        with pytest.raises(BackupFileError, match="another backup is being made at backup"):
            back_up(author.path, tmp_path / "backup")
        transfer.publish()
        assert back_up(author.path, tmp_path / "backup")[1] == 0
    check_backup(tmp_path / "backup", quiet)
    # What a killed one left is in nobody's way.
    (tmp_path / ".backup.partial").write_bytes(b"half a backup")
    back_up(author.path, tmp_path / "backup")
    assert tables_of(tmp_path / "backup") == tables_of(author.path)


BACKING_UP = """
import sys
from pathlib import Path
from tests.store.backups import back_up
for _ in range(1000):
    back_up(Path(sys.argv[1]), Path(sys.argv[2]))
    print("done", flush=True)
"""


@pytest.mark.crash
def test_a_kill_at_any_moment_leaves_a_whole_backup(author: Author, tmp_path: Path) -> None:
    back_up(author.path, tmp_path / "backup")
    seqs = []
    for _ in range(10):
        arguments = [sys.executable, "-c", BACKING_UP, str(author.path), str(tmp_path / "backup")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            author.write()
            time.sleep(author.dice.uniform(0, 0.05))
            child.kill()
        seqs.append(check_backup(tmp_path / "backup", quiet).token.seq)
    assert seqs == sorted(seqs)
    assert seqs[0] < seqs[-1]
    back_up(author.path, tmp_path / "backup")
    assert tables_of(tmp_path / "backup") == tables_of(author.path)
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]  # noqa: PTH208
