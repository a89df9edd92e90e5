from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from mdm.domain.events import Cause, ConfigurationChanged, Outcome, RecordResolved, RecordUpserted
from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.errors import DataDirectoryError, FencedError, JournalFailedError
from mdm.store import journal_file
from mdm.store.journal import Draft, Journal, StoredAnswer, artefact_digest
from mdm.store.restoring import begin_epoch

CAUSE = Cause("loader", "load", "IngestRecords", "load-1")
ONE, TWO = RecordNumber(1), RecordNumber(2)


def erase(journal: Journal, number: RecordNumber) -> None:
    batch = journal.begin(0)
    batch.erase([number])
    journal.commit(batch)


def drafts(count: int) -> list[Draft]:
    return [Draft(CAUSE, ConfigurationChanged(f"{each:032x}")) for each in range(count)]


def upsert(journal: Journal, number: RecordNumber, plain: bytes) -> int:
    batch = journal.begin(at_us=1)
    payload = batch.seal(number, plain)
    batch.add(CAUSE, RecordUpserted(number, "hospital", EntityKind.CITIZEN, payload.payload_id, payload.payload_hash))
    journal.commit(batch)
    return payload.payload_id


def test_events_come_back_in_order_and_without_change(journal: Journal) -> None:
    resolved = RecordResolved(ONE, golden_id(EntityKind.CITIZEN, 7), True, Outcome.CREATED, None, 12.5)
    written = journal.append(0, [Draft(CAUSE, resolved), *drafts(5)], at_us=10)

    assert [event.seq for event in written] == [1, 2, 3, 4, 5, 6]
    assert list(journal.events()) == written
    assert list(journal.events(after_seq=2, until_seq=4)) == written[2:4]


def test_reading_in_chunks_loses_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    written = journal.append(0, drafts(10), at_us=1)
    monkeypatch.setattr("mdm.store.journal.JOURNAL_CHUNK_EVENTS", 3)

    assert list(journal.events()) == written


def test_event_time_never_decreases(journal: Journal) -> None:
    journal.append(0, drafts(1), at_us=1000)
    journal.append(1, drafts(1), at_us=400)
    journal.append(2, drafts(1), at_us=1001)

    assert [event.at_us for event in journal.events()] == [1000, 1001, 1002]


def test_everything_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        written = journal.append(0, drafts(2), at_us=1000)
        payload_id = upsert(journal, ONE, b"values")
        identity = (journal.journal_id, journal.epoch)
    with Journal.open(path) as journal:
        assert (journal.journal_id, journal.epoch) == identity
        assert list(journal.events(until_seq=2)) == written
        assert journal.payload(payload_id) == b"values"
        assert journal.append(3, drafts(1), at_us=0)[0].at_us > 1000
        assert journal.begin(0).seal(TWO, b"x").payload_id > payload_id


@pytest.mark.parametrize("expected_seq", [0, 2, 4, 1000])
def test_an_append_after_another_position_is_fenced_and_writes_nothing(journal: Journal, expected_seq: int) -> None:
    journal.append(0, drafts(3), at_us=1)

    with pytest.raises(FencedError):
        journal.append(expected_seq, drafts(1), at_us=1)

    assert journal.last_seq == 3
    assert journal.append(3, drafts(1), at_us=1)[0].seq == 4


def test_a_second_writer_is_fenced_once_the_first_has_written(journal: Journal, tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as second:
        batch = second.begin(at_us=1)
        batch.add(CAUSE, drafts(1)[0].fact)
        journal.append(0, drafts(1), at_us=1)

        with pytest.raises(FencedError):
            second.commit(batch)


def test_a_second_writer_is_fenced_while_the_first_writes(journal: Journal, tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "journal.sqlite"))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(FencedError):
        journal.append(0, drafts(1), at_us=1)

    other.close()
    assert journal.append(0, drafts(1), at_us=1)[0].seq == 1


def test_an_uncommitted_batch_leaves_no_trace(journal: Journal) -> None:
    batch = journal.begin(at_us=1)
    batch.seal(ONE, b"values")
    batch.answer("a", "m", "r", b"hash", b"response")

    assert journal.last_seq == 0
    assert journal.record_key(ONE) is None
    assert journal.record_key(ONE) is None
    assert journal.answer("a", "m", "r") is None


def test_a_fenced_batch_leaves_no_trace_of_its_payloads_and_answers(journal: Journal) -> None:
    batch = journal.begin(at_us=1)
    payload = batch.seal(ONE, b"values")
    batch.answer("a", "m", "r", b"hash", b"response")
    digest = batch.put_artefact("model", b"body")
    journal.append(0, drafts(1), at_us=1)

    with pytest.raises(FencedError):
        journal.commit(batch)

    assert journal.payload(payload.payload_id) is None
    assert journal.record_key(ONE) is None
    assert journal.answer("a", "m", "r") is None
    assert journal.artefact(digest) is None


def test_the_first_answer_is_kept_with_the_position_it_belongs_to(journal: Journal) -> None:
    content_hash = journal.fingerprint(b"content")
    batch = journal.begin(at_us=1)
    batch.add(CAUSE, drafts(1)[0].fact)
    batch.answer("desk 4", "UpsertRecord", "r-1", content_hash, str(batch.token).encode())
    journal.commit(batch)

    assert journal.answer("desk 4", "UpsertRecord", "r-1") == StoredAnswer(
        content_hash, str(journal.token(1)).encode(), 1
    )
    assert journal.answer("desk 5", "UpsertRecord", "r-1") is None
    assert journal.answer("desk 4", "DeleteRecord", "r-1") is None
    assert journal.fingerprint(b"content") != journal.fingerprint(b"content ")


def test_an_artefact_is_found_by_its_digest_and_stored_once(journal: Journal) -> None:
    body = b'{"threshold": 12}' * 1000
    for _ in range(2):
        batch = journal.begin(at_us=1)
        assert batch.put_artefact("model", body) == artefact_digest(body)
        journal.commit(batch)

    assert journal.artefact(artefact_digest(body)) == body
    assert journal.artefact(artefact_digest(b"other")) is None


def test_replay_brings_each_upsert_with_its_values(journal: Journal) -> None:
    for number in (ONE, TWO, ONE):
        upsert(journal, number, b"values of %d" % number)
    journal.append(3, drafts(1), at_us=1)

    plains = [plain for _, plain in journal.events_with_payloads()]

    assert plains == [b"values of 1", b"values of 2", b"values of 1", None]


def test_replay_finds_payloads_whose_ids_lie_far_apart(journal: Journal) -> None:
    upsert(journal, ONE, b"first")
    for _ in range(50):
        journal.take_payload_id()
    upsert(journal, TWO, b"second")

    assert [plain for _, plain in journal.events_with_payloads()] == [b"first", b"second"]


def test_equal_values_have_equal_hashes_within_a_record_and_other_ones_across_records(journal: Journal) -> None:
    for number, values in ((ONE, b"same"), (ONE, b"same"), (ONE, b"other"), (TWO, b"same")):
        upsert(journal, number, values)
    facts = [event.fact for event in journal.events() if isinstance(event.fact, RecordUpserted)]
    first, again, changed, another = (fact.payload_hash for fact in facts)

    assert first == again
    assert len({first, changed, another}) == 3


def test_no_plain_value_stands_in_the_files(journal: Journal, tmp_path: Path) -> None:
    upsert(journal, ONE, "Nguyễn Thị Canary".encode())

    for path in tmp_path.iterdir():
        assert b"Canary" not in path.read_bytes()


def test_erasure_leaves_neither_key_nor_payload_on_disk_and_replay_goes_on(journal: Journal, tmp_path: Path) -> None:
    payload_id = upsert(journal, ONE, b"values" * 50)
    other_id = upsert(journal, TWO, b"other")
    key = journal.record_key(ONE)
    sealed = journal._one("SELECT sealed FROM payloads WHERE payload_id = ?", payload_id)
    assert key is not None
    assert sealed is not None
    assert any(key in path.read_bytes() for path in tmp_path.iterdir())

    erase(journal, ONE)

    assert journal.payload(payload_id) is None
    assert journal.record_key(ONE) is None
    assert journal.payload(other_id) == b"other"
    assert [plain for _, plain in journal.events_with_payloads()] == [None, b"other"]
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert key not in content
        assert sealed[0] not in content


def test_the_payload_id_of_an_erased_record_is_never_given_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        payload_id = upsert(journal, ONE, b"values")
        erase(journal, ONE)
    with Journal.open(path) as journal:
        upsert(journal, TWO, b"other")
        assert journal.payload(payload_id) is None


def test_erasure_under_a_reader_empties_the_log_once_the_reader_is_gone(journal: Journal, tmp_path: Path) -> None:
    upsert(journal, ONE, b"values" * 50)
    key = journal.record_key(ONE)
    assert key is not None
    reader = apsw.Connection(str(tmp_path / "journal.sqlite"))
    rows = reader.execute("SELECT * FROM events, (SELECT 1 UNION SELECT 2)")
    next(rows)

    erase(journal, ONE)
    reader.close(force=True)
    journal.append(1, drafts(1), at_us=1)

    assert not any(key in path.read_bytes() for path in tmp_path.iterdir())


def test_a_payload_moved_to_another_record_does_not_open(journal: Journal) -> None:
    first, second = upsert(journal, ONE, b"one"), upsert(journal, TWO, b"two")
    journal._connection.execute(
        "UPDATE payloads SET sealed = (SELECT sealed FROM payloads WHERE payload_id = ?) WHERE payload_id = ?",
        (first, second),
    )

    with pytest.raises(JournalFailedError, match="payload 2 of record 2 is damaged"):
        journal.payload(second)


def test_a_reader_beside_the_writer_sees_what_was_committed_and_cannot_write(journal: Journal, tmp_path: Path) -> None:
    with Journal.open_read_only(tmp_path / "journal.sqlite") as reader:
        assert reader.last_seq == 0
        written = journal.append(0, drafts(3), at_us=1)
        assert list(reader.events()) == written
        assert reader.name == journal.name
        with pytest.raises(apsw.ReadOnlyError):
            reader._connection.execute("DELETE FROM events")


def test_a_reader_that_closes_last_leaves_the_log_to_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path, create=True)
    written = journal.append(0, drafts(3), at_us=1)
    reader = Journal.open_read_only(path)
    journal._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # As a kill would leave it.
    journal.close()
    before = path.read_bytes()
    reader.close()

    assert path.read_bytes() == before
    with Journal.open(path) as journal:
        assert list(journal.events()) == written


def test_a_gap_between_events_is_noticed(journal: Journal) -> None:
    journal.append(0, drafts(5), at_us=1)
    journal._connection.execute("DELETE FROM events WHERE seq = 3")

    with pytest.raises(JournalFailedError, match="gap"):
        list(journal.events())


def test_a_new_epoch_stays_and_is_another_one_each_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        assert journal.epoch == 1
        assert begin_epoch(journal._connection, 2_000_000_000_000_000) == 2_000_000_000
        assert begin_epoch(journal._connection, 2_000_000_000_000_000) == 2_000_000_001, (
            "the clock stood still, or went back"
        )
    with Journal.open(path) as journal:
        assert journal.epoch == 2_000_000_001


def test_a_missing_journal_is_refused_unless_it_may_be_created(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="missing"):
        Journal.open(tmp_path / "journal.sqlite")
    with pytest.raises(DataDirectoryError, match="missing"):
        Journal.open_read_only(tmp_path / "journal.sqlite")


def test_an_empty_file_left_by_a_killed_creation_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()

    with Journal.open(path, create=True) as journal:
        assert journal.last_seq == 0


@pytest.mark.parametrize(
    ("kept_share", "create"),
    [(0.0, False), (0.001, False), (0.5, False), (0.99, False), (0.001, True), (0.5, True), (0.99, True)],
)
def test_a_truncated_copy_is_refused(tmp_path: Path, kept_share: float, create: bool) -> None:  # noqa: FBT001
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        journal.append(0, drafts(2000), at_us=1)
    copy = tmp_path / "copy.sqlite"
    shutil.copyfile(path, copy)
    with copy.open("rb+") as file:
        file.truncate(int(path.stat().st_size * kept_share))

    with pytest.raises(DataDirectoryError, match="truncated"):
        Journal.open(copy, create=create)


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        ("user_version = 2", "layout 2, this release reads layout 1"),
        ("application_id = 1", "not a journal of this service"),
    ],
)
def test_a_file_of_another_version_or_program_is_refused(tmp_path: Path, pragma: str, message: str) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path, create=True).close()
    with apsw.Connection(str(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()

    with pytest.raises(DataDirectoryError, match=message):
        Journal.open(path)
    with pytest.raises(DataDirectoryError, match=message):
        Journal.open_read_only(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(DataDirectoryError):
        Journal.open(path)


@pytest.mark.parametrize(
    ("version", "is_refused"),
    [("3.40.1", True), ("3.51.2", True), ("3.51.3", False), ("3.54.1", False), ("4.0", False)],
)
def test_an_sqlite_that_may_lose_commits_is_refused(version: str, is_refused: bool) -> None:  # noqa: FBT001
    if is_refused:
        with pytest.raises(DataDirectoryError, match=r"3\.51\.3"):
            journal_file.check_sqlite_version(version)
    else:
        journal_file.check_sqlite_version(version)


def test_each_commit_is_synced_before_it_returns(journal: Journal) -> None:
    assert journal._connection.pragma("synchronous") == 2
    assert journal._connection.pragma("journal_mode") == "wal"


def test_a_writer_and_readers_that_start_together_after_a_crash_all_open(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with journal_file.open_for_writing(crashed / "journal", create=True) as connection:
        rows = ((seq, seq, os.urandom(400)) for seq in range(1, 20_001))
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    start = threading.Barrier(3)

    def last_seq(path: Path, *, is_writer: bool) -> object:
        start.wait()
        opened = journal_file.open_for_writing(path, create=False) if is_writer else journal_file.open_for_reading(path)
        seq = opened.execute("SELECT max(seq) FROM events").get
        opened.close()
        return seq

    with ThreadPoolExecutor(3) as pool:
        for attempt in range(5):
            copy = tmp_path / str(attempt)
            copy.mkdir()
            # Without the shared memory file: the WAL has to be recovered, and one of the three does it.
            for name in ("journal", "journal-wal"):
                shutil.copy(crashed / name, copy / name)
            opened = [pool.submit(last_seq, copy / "journal", is_writer=number == 0) for number in range(3)]
            assert [each.result() for each in opened] == [20_000] * 3
    connection.close()
