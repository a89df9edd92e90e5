"""The change feed and the copy of the crosswalk that follows it, against a real service."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.domain.keys import RecordNumber
from mdm.store.journal import Journal
from mdm.store.restoring import begin_epoch
from mdm.store.token import JournalToken, parse_token
from mdm_client import (
    AsyncClient,
    Client,
    CrosswalkCopyError,
    EntityKind,
    FailedPreconditionError,
    InvalidArgumentError,
    SourceKey,
    UnavailableError,
)
from mdm_client.changes import ChangeBatch, ChangeFilter, WatchStart
from mdm_client.crosswalk import CrosswalkCopy, async_follow, follow
from mdm_client.records import CitizenAttributes, Identifier, IdentifierType, SourceRecord
from mdm_client.results import GoldenIdChangeType
from tests.serving import RunningServer, running_server

CITIZEN = EntityKind.CITIZEN


def person(record_id: str, personal_id: str, registry: str = "hospital", name: str = "Đặng Thị Lụa") -> SourceRecord:
    attributes = CitizenAttributes(
        full_name=name, birth_date="1971-08-09", identifiers=(Identifier(IdentifierType.PERSONAL_ID, personal_id),)
    )
    return SourceRecord(SourceKey(registry, CITIZEN, record_id), attributes)


def until_current(batches: Iterator[ChangeBatch], token: str = "") -> list[ChangeBatch]:
    """Take batches until the service has nothing more to tell, and at least up to a position."""
    taken = []
    for batch in batches:
        taken.append(batch)
        if batch.is_current and (not token or parse_token(batch.token).seq >= parse_token(token).seq):
            return taken
    raise AssertionError("a feed has no end")


def exported_rows(client: Client, token: str = "") -> list[tuple[str, str, str, str]]:
    return sorted(
        (chunk.registry, str(chunk.kind), record_id, golden_id)
        for chunk in client.export_crosswalk(fresh=token)
        for record_id, golden_id in zip(chunk.record_ids, chunk.golden_ids, strict=True)
    )


def test_a_subscriber_hears_of_its_record_and_what_it_answers_under(client: Client) -> None:
    start = next(client.changes.watch(start=WatchStart.NOW))
    assert (start.changes, start.is_current) == ((), True)
    written = client.upsert(person("heard", "079171001234"))
    told = [
        change for batch in until_current(client.changes.watch(start.token), written.token) for change in batch.changes
    ]
    assert [move.new_golden_id for change in told for move in change.moves] == [written.golden_id]
    assert told[0].moves[0].key == SourceKey("hospital", CITIZEN, "heard")
    assert [effect.type for effect in told[0].effects] == [GoldenIdChangeType.CREATED]

    gone = client.delete(SourceKey("hospital", CITIZEN, "heard"))
    told = [
        change for batch in until_current(client.changes.watch(written.token), gone.token) for change in batch.changes
    ]
    assert told[0].effects[0].type is GoldenIdChangeType.RETIRED
    assert [(move.old_golden_id, move.new_golden_id) for change in told for move in change.moves] == [
        (written.golden_id, "")
    ]


def test_a_feed_tells_where_it_stands_while_its_filter_drops_everything(client: Client) -> None:
    batches = client.changes.watch(
        start=WatchStart.NOW, wanted=ChangeFilter(registries=["household"]), checkpoint_interval_s=1
    )
    first = next(batches)
    written = client.upsert(person("dropped", "079171004321"))
    later = next(batches)
    assert later.changes == ()
    assert parse_token(later.token).seq >= parse_token(written.token).seq > parse_token(first.token).seq


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"after": "not-a-token"}, "INVALID_TOKEN"),
        ({}, "INVALID_FIELD"),
        ({"start": WatchStart.NOW, "wanted": ChangeFilter(registries=["nobody"])}, "INVALID_FIELD"),
        ({"start": WatchStart.NOW, "checkpoint_interval_s": 61}, "INVALID_FIELD"),
        ({"start": WatchStart.NOW, "wanted": ChangeFilter(types=[GoldenIdChangeType.UNSPECIFIED])}, "INVALID_FIELD"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(client: Client, options: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        next(client.changes.watch(**options))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_a_token_of_another_epoch_or_beyond_the_end_says_begin_anew(client: Client) -> None:
    now = parse_token(next(client.changes.watch(start=WatchStart.NOW)).token)
    for other in (
        JournalToken(now.journal_id, now.epoch + 1, now.seq),
        JournalToken(now.journal_id, now.epoch, now.seq + 1_000_000),
    ):
        with pytest.raises(FailedPreconditionError) as caught:
            next(client.changes.watch(str(other)))
        assert caught.value.reason == "FEED_RESET"


def test_a_copy_begins_with_an_export_and_follows(client: Client, tmp_path: Path) -> None:
    client.upsert(person("copied-1", "079171005555"))
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        until_current(follow(client, copy))
        assert list(copy.rows()) == exported_rows(client)
        written = client.upsert(person("copied-2", "079171005555", "social_security"))
        moved = client.upsert(person("copied-1", "079171006666", name="Lý Văn Bảy"))
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        until_current(follow(client, copy), moved.token)
        assert list(copy.rows()) == exported_rows(client, moved.token)
        assert copy.golden_id(SourceKey("social_security", CITIZEN, "copied-2")) == written.golden_id
        assert SourceKey("social_security", CITIZEN, "copied-2") in copy.records(written.golden_id)
        assert len(copy) == len(exported_rows(client))


def test_a_copy_of_one_registry_holds_its_records_alone(client: Client, tmp_path: Path) -> None:
    with CrosswalkCopy(tmp_path / "copy.sqlite", ["social_security"]) as copy:
        until_current(follow(client, copy))
        written = client.upsert(person("alone", "079171007777"))
        written = client.upsert(person("alone", "079171007777", "social_security"))
        until_current(follow(client, copy), written.token)
        assert list(copy.rows()) == [row for row in exported_rows(client) if row[0] == "social_security"]
    with pytest.raises(CrosswalkCopyError, match="another file"):
        CrosswalkCopy(tmp_path / "copy.sqlite", ["hospital"])


def test_only_one_may_follow_into_a_file(client: Client, tmp_path: Path) -> None:
    with CrosswalkCopy(tmp_path / "copy.sqlite") as first:
        until_current(follow(client, first))
        with CrosswalkCopy(tmp_path / "copy.sqlite") as second:
            written = client.upsert(person("raced", "079171008888"))
            until_current(follow(client, first), written.token)
            before = list(second.rows())
            with pytest.raises(CrosswalkCopyError, match="only one"):
                second.apply(ChangeBatch((), "another", is_current=False))
            assert list(second.rows()) == before


def test_a_file_that_cannot_be_a_copy_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.sqlite"
    text.write_text("none of ours", encoding="ascii")
    with pytest.raises(CrosswalkCopyError, match="not a database"):
        CrosswalkCopy(text)
    assert text.read_text(encoding="ascii") == "none of ours"
    with pytest.raises(CrosswalkCopyError, match="unable to open"):
        CrosswalkCopy(tmp_path)


def test_a_copy_that_another_program_holds_is_as_before_and_goes_on_later(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "copy.sqlite"
    with CrosswalkCopy(path, ["hospital"]) as copy, contextlib.closing(sqlite3.connect(path)) as other:
        next(follow(client, copy))
        before = list(copy.rows())
        other.execute("BEGIN IMMEDIATE")
        copy._connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(CrosswalkCopyError, match="locked"):
            copy.apply(ChangeBatch((), copy.token, is_current=True))
        other.rollback()
        copy.apply(ChangeBatch((), copy.token, is_current=True))
        assert list(copy.rows()) == before


def test_asyncio_follows_as_well(server: RunningServer, client: Client, tmp_path: Path) -> None:
    async def run() -> list[tuple[str, str, str, str]]:
        async with AsyncClient(server.address) as opened:
            with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
                async for batch in async_follow(opened, copy):
                    if batch.is_current:
                        break
                return list(copy.rows())

    client.upsert(person("async", "079171009999"))
    assert asyncio.run(run()) == exported_rows(client)


def test_an_erased_record_leaves_the_copy_and_a_new_epoch_makes_it_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    erased, kept = SourceKey("hospital", CITIZEN, "erased"), SourceKey("hospital", CITIZEN, "kept")
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        with running_server(data) as served, Client(served.address) as client:
            client.upsert(person("erased", "079171001111"))
            client.upsert(person("kept", "079171002222", name="Lý Văn Bảy"))
            until_current(follow(client, copy))
            client.delete(erased)
        assert copy.golden_id(erased)
        erase(data)
        with running_server(data) as served, Client(served.address) as client:
            until_current(follow(client, copy))
            assert not copy.golden_id(erased), "the feed cannot name it any more, and the copy asks"
            assert list(copy.rows()) == exported_rows(client)
        with Journal.open(data / "journal.sqlite") as journal:
            epoch = begin_epoch(journal._connection, time.time_ns() // 1000)
        with running_server(data) as served, Client(served.address) as client:
            until_current(follow(client, copy))
            assert copy.golden_id(kept)
            assert parse_token(copy.token).epoch == epoch
            assert list(copy.rows()) == exported_rows(client)


def test_an_erasure_is_told_and_its_rows_leave_the_copy(client: Client, tmp_path: Path) -> None:
    golden_id = client.upsert(person("to-erase", "079171003333", name="Ngô Bảo Quyên")).golden_id
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        until_current(follow(client, copy))
        assert copy.records(golden_id)
        token = client.erasures.erase(golden_id, "asked for").token
        batches = until_current(follow(client, copy), token)
        told = [effect for batch in batches for change in batch.changes for effect in change.effects]
        assert (told[-1].golden_id, told[-1].type) == (golden_id, GoldenIdChangeType.ERASED)
        assert not copy.records(golden_id)
    assert b"to-erase" not in (tmp_path / "copy.sqlite").read_bytes()


def erase(data: Path) -> None:
    """Erase the first record ever stored, as far as the journal and the index go."""
    with Journal.open(data / "journal.sqlite") as journal:
        batch = journal.begin(0)
        batch.erase([RecordNumber(1)])
        journal.commit(batch)
    # The next start makes the index anew, without the values.
    shutil.rmtree(data / "index")
    (data / "index").mkdir()


def test_an_export_that_breaks_off_leaves_the_copy_as_it_was(client: Client, tmp_path: Path) -> None:
    client.upsert(person("whole", "079171003333"))
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        until_current(follow(client, copy))
        before, token = list(copy.rows()), copy.token
        exported = client.export_crosswalk()

        def broken_off() -> None:
            with copy.replacing(exported) as take:
                take(next(iter(exported)))
                raise ConnectionError

        with pytest.raises(ConnectionError):
            broken_off()
        assert (list(copy.rows()), copy.token) == (before, token)
        until_current(follow(client, copy))


def test_a_watch_goes_on_by_itself_when_its_server_was_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, Client(served.address) as client:
        batches = client.changes.watch(start=WatchStart.NOW)
        next(batches)
        served.kill("reader_process")
        written = None
        while written is None:
            with contextlib.suppress(UnavailableError):
                written = client.upsert(person("survives", "079171004444"), request_id="survives")
        told = [change for batch in until_current(batches, written.token) for change in batch.changes]
        assert [move.new_golden_id for change in told for move in change.moves] == [written.golden_id]
