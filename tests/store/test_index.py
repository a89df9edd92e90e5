from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from mdm.domain.events import Cause, Event, MatchReason, Outcome, RecordDeleted, RecordResolved, RecordUpserted, Verdict
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey, golden_id
from mdm.domain.state import Judgement, PotentialMatch
from mdm.errors import IndexDamagedError, IndexMismatchError, StoreError
from mdm.limits import INDEX_READERS_MAX
from mdm.store.comparison import differences
from mdm.store.index import DATA_FILE, Index, IndexVersions
from mdm.store.layout import LAYOUT_VERSION, CrosswalkStatus
from mdm.store.transaction import IndexTransaction
from mdm.store.view import IndexView

CAUSE = Cause("loader")
VERSIONS = IndexVersions("normaliser 1", "specification 1")
CITIZEN = EntityKind.CITIZEN
RESOLVED, PENDING, DELETED, NOT_FOUND = (
    CrosswalkStatus.RESOLVED,
    CrosswalkStatus.PENDING,
    CrosswalkStatus.DELETED,
    CrosswalkStatus.NOT_FOUND,
)


def posting(value: int) -> bytes:
    return b"n" + value.to_bytes(8, "big")


def key_of(number: int) -> SourceKey:
    return SourceKey("hospital", CITIZEN, f"BN{number}")


def fill(txn: IndexTransaction, count: int, keys: list[bytes]) -> None:
    for _ in range(count):
        number = RecordNumber(txn.last_number() + 1)
        txn.put_raw(number, key_of(number), b"values")
        seq = txn.applied_seq
        txn.fold(Event(seq + 1, 1, 1, CAUSE, RecordUpserted(number, "hospital", CITIZEN, number, b"hash")))
        resolved = RecordResolved(number, golden_id(CITIZEN, number), True, Outcome.CREATED)
        txn.fold(Event(seq + 2, 1, 1, CAUSE, resolved))
        txn.put_match_state(number, b"features %d" % number, keys)


def test_a_transaction_sees_its_own_writes_and_others_only_after_the_commit(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 1, [posting(1)])
        assert txn.record(RecordNumber(1)) is not None
        assert txn.crosswalk(key_of(1)) is not None
        assert txn.postings(posting(1), 10) == ([1], 1)
        assert txn.last_number() == 1
        with index.read() as view:
            assert view.last_number() == 0
            assert view.applied_seq == 0
    with index.read() as view:
        assert view.last_number() == 1
        assert view.applied_seq == 2


def test_an_exception_takes_the_whole_transaction_back(index: Index) -> None:
    def fail() -> None:
        with index.write() as txn:
            fill(txn, 3, [posting(1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    with index.read() as view:
        assert view.applied_seq == 0
        assert index.sizes().entries["postings"] == 0
        assert index.sizes().entries["crosswalk"] == 0


@pytest.mark.parametrize("seq", [0, 2, 4, 9])
def test_an_event_out_of_order_is_refused(index: Index, seq: int) -> None:
    with index.write() as txn:
        fill(txn, 1, [])
    with pytest.raises(IndexMismatchError, match="is at seq 2"), index.write() as txn:
        txn.fold(Event(seq, 1, 1, CAUSE, RecordDeleted(RecordNumber(1))))


def test_the_crosswalk_follows_the_record(index: Index) -> None:
    with index.write() as txn:
        number = RecordNumber(1)
        txn.fold(Event(1, 1, 1, CAUSE, RecordUpserted(number, "hospital", CITIZEN, 1, b"")))
        txn.put_raw(number, key_of(1), b"values")
        assert looked_up(txn, ["BN1", "BN2"]) == (["", ""], [PENDING, NOT_FOUND])
        minted = golden_id(CITIZEN, 1)
        txn.fold(Event(2, 1, 1, CAUSE, RecordResolved(number, minted, True, Outcome.CREATED)))
        assert looked_up(txn, ["BN2", "BN1"]) == (["", minted], [NOT_FOUND, RESOLVED])
        txn.fold(Event(3, 1, 1, CAUSE, RecordDeleted(number)))
        assert looked_up(txn, ["BN1"]) == ([""], [DELETED])


def test_a_record_id_is_looked_up_in_its_own_registry_and_kind_alone(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 1, [])
    with index.read() as view:
        assert looked_up(view, ["BN1"], registry="household") == ([""], [NOT_FOUND])
        assert looked_up(view, ["BN1"], kind=EntityKind.BUSINESS) == ([""], [NOT_FOUND])
        assert looked_up(view, ["BN1"])[1] == [RESOLVED]
        assert looked_up(view, []) == ([], [])


@pytest.mark.parametrize("odd", ["", "BN1\0", "\0", "BN1\0\x01\x08hospitalCBN1", "\0\x01\x08hospitalCBN1"])
def test_a_record_id_that_holds_a_nul_finds_nothing_and_shifts_no_other(index: Index, odd: str) -> None:
    with index.write() as txn:
        fill(txn, 1, [])
    with index.read() as view:
        assert looked_up(view, ["BN1", odd, "BN1"])[1] == [RESOLVED, NOT_FOUND, RESOLVED]
        assert looked_up(view, [odd])[1] == [NOT_FOUND]


def looked_up(
    view: IndexView, record_ids: list[str], *, registry: str = "hospital", kind: EntityKind = CITIZEN
) -> tuple[list[str], list[int]]:
    column = view.lookup_many(registry, kind, record_ids)
    return column.golden_ids(), list(column.statuses)


@pytest.mark.parametrize(
    ("holder_count", "limit"),
    [(0, 5), (1, 5), (4, 5), (5, 5), (6, 5), (700, 5), (700, 699), (700, 700), (700, 701), (700, 0)],
)
def test_the_most_recent_holders_of_a_posting_come_first_and_all_are_counted(
    index: Index, holder_count: int, limit: int
) -> None:
    with index.write() as txn:
        for number in range(1, holder_count + 1):
            txn.put_match_state(RecordNumber(number), b"", [posting(7)])
        txn.put_match_state(RecordNumber(9000), b"", [posting(6), posting(8)])
    with index.read() as view:
        numbers, count = view.postings(posting(7), limit)

    assert count == holder_count
    assert numbers == list(range(holder_count, 0, -1))[:limit]


def test_posting_keys_follow_the_record_as_its_values_change(index: Index) -> None:
    one, two = RecordNumber(1), RecordNumber(2)
    with index.write() as txn:
        txn.put_match_state(one, b"old", [posting(1), posting(2), posting(2)])
        txn.put_match_state(two, b"other", [posting(2)])
        assert txn.posting_keys(one) == (posting(1), posting(2))

        txn.put_match_state(one, b"new", [posting(2), posting(3)])
        assert [txn.postings(posting(each), 9)[0] for each in (1, 2, 3)] == [[], [2, 1], [1]]

        txn.drop_match_state(one)
        assert txn.features(one) is None
        assert txn.posting_keys(one) == ()
        assert [txn.postings(posting(each), 9)[0] for each in (1, 2, 3)] == [[], [2], []]
        txn.drop_match_state(one)


def test_a_posting_key_of_another_width_is_refused(index: Index) -> None:
    with pytest.raises(ValueError, match="9 bytes"), index.write() as txn:
        txn.put_match_state(RecordNumber(1), b"", [b"short"])


def test_relations_are_found_from_their_other_end_in_the_order_of_the_records(index: Index) -> None:
    one, two, three = map(RecordNumber, (1, 2, 300))
    with index.write() as txn:
        for number in (three, one, two):
            txn.put_relation_state(number, [posting(7), posting(number % 5)], b"stays %d" % number)
        txn.put_relation_state(RecordNumber(4), [posting(8)], b"")
        assert list(txn.iter_relations(posting(7))) == [one, two, three]
        assert list(txn.iter_relations(posting(7), after=one)) == [two, three]
        assert list(txn.iter_relations(posting(7), after=three)) == []
        assert (txn.relation_count(posting(7)), txn.relation_count(posting(6))) == (3, 0)
        assert txn.relation_state(one) == ((posting(1), posting(7)), b"stays 1")

        txn.put_relation_state(one, [posting(1)], b"moved")
        assert list(txn.iter_relations(posting(7))) == [two, three]
        assert txn.relation_state(one) == ((posting(1),), b"moved")

        txn.put_relation_state(two, [], b"only stays")
        txn.drop_relation_state(three)
        txn.drop_relation_state(three)
        assert [txn.relation_state(each) for each in (two, three)] == [((), b"only stays"), ((), b"")]
        assert list(txn.iter_relations(posting(7))) == []
    assert index.sizes().entries["relation_states"] == 3


def test_a_relation_key_of_another_width_is_refused(index: Index) -> None:
    with pytest.raises(ValueError, match="9 bytes"), index.write() as txn:
        txn.put_relation_state(RecordNumber(1), [b"short"], b"")


def test_a_number_never_changes_its_source_key(index: Index) -> None:
    with index.write() as txn:
        txn.put_raw(RecordNumber(1), key_of(1), b"values")
    with pytest.raises(IndexMismatchError, match="two source keys"), index.write() as txn:
        txn.put_raw(RecordNumber(1), key_of(2), b"values")


def test_purging_leaves_no_value_and_no_source_key(index: Index) -> None:
    number = RecordNumber(1)
    with index.write() as txn:
        fill(txn, 2, [posting(1)])
        txn.put_relation_state(number, [posting(9)], b"households")
        txn.purge(number)
        txn.purge(number)
    with index.read() as view:
        assert (view.raw(number), view.key_of(number), view.features(number)) == (None, None, None)
        assert view.crosswalk(key_of(1)) is None
        assert view.postings(posting(1), 9) == ([2], 1)
        assert (view.relation_state(number), view.relation_count(posting(9))) == (((), b""), 0)
        assert view.record(number) is not None
        assert view.raw(RecordNumber(2)) == b"values"


def test_records_are_read_in_ranges(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 300, [])
    with index.read() as view:
        assert [number for number, _ in view.iter_records()] == list(range(1, 301))
        assert [number for number, _ in view.iter_records(RecordNumber(250), RecordNumber(260))] == list(
            range(250, 260)
        )
        assert {key.record_id: entry.number for key, entry in view.iter_crosswalk()} == {
            f"BN{number}": number for number in range(1, 301)
        }
        golden_ids = [each for each, _ in view.iter_goldens()]
        assert golden_ids == sorted(golden_id(CITIZEN, number) for number in range(1, 301))
        assert [each for each, _ in view.iter_goldens(after=golden_ids[41])] == golden_ids[42:]


def test_an_issued_golden_id_is_known_for_ever(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 1, [])
        txn.fold(Event(3, 1, 1, CAUSE, RecordDeleted(RecordNumber(1))))
        assert txn.is_issued(golden_id(CITIZEN, 1))
        assert not txn.is_issued(golden_id(CITIZEN, 2))


def test_open_questions_judgements_and_settings_come_back_and_go(index: Index) -> None:
    pair = (RecordNumber(1), RecordNumber(2**40))
    match = PotentialMatch(7, MatchReason.VETO, 11.5, "sex")
    with index.write() as txn:
        txn.put_potential_match(pair, match)
        txn.put_judgement(pair, Judgement(Verdict.DIFFERENT))
        txn.put_setting("model:citizen", "digest")
    with index.read() as view:
        assert view.potential_match(pair) == match
        assert list(view.iter_potential_matches()) == [(pair, match)]
        assert list(view.iter_judgements()) == [(pair, Verdict.DIFFERENT)]
        assert view.setting("model:citizen") == "digest"
    with index.write() as txn:
        txn.put_potential_match(pair, None)
        txn.put_judgement(pair, None)
        assert txn.potential_match(pair) is None
        assert txn.judgement(pair) is None


def test_an_index_remembers_what_it_was_computed_with(tmp_path: Path) -> None:
    versions = IndexVersions("n", "s", "journal:1", "relations 1")
    Index.open(tmp_path / "index", versions=versions).close()

    with Index.open(tmp_path / "index", versions=VERSIONS) as index:
        assert index.versions == versions


def test_an_index_that_lacks_databases_says_that_its_layout_is_older(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "index", versions=VERSIONS)
    with index._environment.begin(write=True) as txn:
        txn.drop(index._databases.relations)
        txn.put(b"layout", (1).to_bytes(4, "big"), db=index._databases.meta)
    index.close()

    with pytest.raises(IndexMismatchError, match=f"layout 1, not {LAYOUT_VERSION}"):
        Index.open(tmp_path / "index")


def test_an_index_that_is_missing_foreign_or_damaged_has_to_be_rebuilt(tmp_path: Path) -> None:
    with pytest.raises(IndexMismatchError, match="rebuild"):
        Index.open(tmp_path / "none", readonly=True)
    with pytest.raises(IndexMismatchError, match="rebuild"):
        Index.open(tmp_path / "none")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / DATA_FILE).write_bytes(os.urandom(65536))
    with pytest.raises(IndexMismatchError):
        Index.open(tmp_path / "noise", versions=VERSIONS)
    with lmdb.open(str(tmp_path / "foreign"), max_dbs=2) as environment:
        environment.open_db(b"other")
    with pytest.raises(IndexMismatchError):
        Index.open(tmp_path / "foreign", versions=VERSIONS)


def test_an_index_of_another_layout_has_to_be_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.open(tmp_path / "index", versions=VERSIONS).close()
    monkeypatch.setattr("mdm.store.index.LAYOUT_VERSION", LAYOUT_VERSION + 1)

    with pytest.raises(IndexMismatchError, match=f"layout {LAYOUT_VERSION}, not {LAYOUT_VERSION + 1}"):
        Index.open(tmp_path / "index", versions=VERSIONS)


def test_a_full_index_is_an_error_of_the_store_and_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdm.store.index.INDEX_MAP_BYTES", 1 << 20)
    with Index.open(tmp_path / "index", versions=VERSIONS) as index:
        with pytest.raises(StoreError, match="MapFullError"), index.write() as txn:
            fill(txn, 20_000, [posting(1)])
        with index.read() as view:
            assert view.applied_seq == 0


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_damaged_page_is_told_from_other_failures(index: Index, tmp_path: Path, mode: str) -> None:
    with index.write() as txn:
        fill(txn, 200, [posting(1)])
    (file,) = tmp_path.rglob(DATA_FILE)
    with file.open("r+b") as pages:
        for offset in range(2 * 4096, file.stat().st_size, 4096):
            pages.seek(offset)
            pages.write(b"\xff" * 4096)
    with pytest.raises(IndexDamagedError), getattr(index, mode)() as view:
        view.record(RecordNumber(77))


def test_a_full_disk_is_an_error_of_the_store_and_the_committed_state_stays(index: Index, tmp_path: Path) -> None:
    with index.write() as txn:
        fill(txn, 10, [posting(1)])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "index" / DATA_FILE).stat().st_size, unlimited[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"), index.write() as txn:
            fill(txn, 5_000, [posting(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

    with index.read() as view:
        assert view.applied_seq == 20
        assert view.last_number() == 10
        assert view.postings(posting(1), 100) == (list(range(10, 0, -1)), 10)


READER = """
import sys
from pathlib import Path
from mdm.domain.keys import EntityKind
from mdm.store.index import Index
with Index.open(Path(sys.argv[1]), readonly=True) as index, index.read() as view:
    print(view.applied_seq, view.lookup_many("hospital", EntityKind.CITIZEN, ["BN1"]).golden_ids(), flush=True)
    sys.stdin.read()
"""


def test_another_process_reads_beside_the_writer_and_its_slot_is_freed_when_it_is_killed(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 1, [])
    arguments = [sys.executable, "-W", "error", "-c", READER, index._environment.path()]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"2 ['{golden_id(CITIZEN, 1)}']\n"
        assert index.release_dead_readers() == 0
        child.kill()
        child.wait()
        assert index.release_dead_readers() == 1
    assert index._environment.max_readers() == INDEX_READERS_MAX


def test_a_copy_is_a_whole_index_of_its_own(index: Index, tmp_path: Path) -> None:
    with index.write() as txn:
        fill(txn, 50, [posting(1)])
    index.copy(tmp_path / "copy")
    with index.write() as txn:
        fill(txn, 50, [posting(1)])

    with Index.open(tmp_path / "copy", readonly=True) as copied, copied.read() as view:
        assert view.applied_seq == 100
        assert view.last_number() == 50
        assert copied.versions == VERSIONS


def test_sizes_count_the_entries(index: Index) -> None:
    with index.write() as txn:
        fill(txn, 10, [posting(1), posting(2)])
    index.sync()

    sizes = index.sizes()

    assert sizes.entries["records"] == 10
    assert sizes.entries["postings"] == 20
    assert sizes.entries["goldens"] == 10
    assert sizes.file_bytes > 0


def test_a_golden_id_that_cannot_exist_is_not_found(index: Index) -> None:
    with index.read() as view:
        assert view.golden(GoldenId("C-0000-0000-0000-0")) is None


def test_an_index_written_anew_holds_the_same_entries_and_no_trace_of_deleted_ones(
    index: Index, tmp_path: Path
) -> None:
    secret = b"what nobody may find"
    with index.write() as txn:
        fill(txn, 600, [posting(1), posting(2)])
        txn.put_raw(RecordNumber(601), key_of(601), secret * 50)
    with index.write() as txn:
        txn.purge(RecordNumber(601))
    index.sync()
    index.copy(tmp_path / "copy")
    assert secret in (tmp_path / "copy" / DATA_FILE).read_bytes(), "the control: a copy takes it along"

    index.rewrite(tmp_path / "anew")
    assert secret not in (tmp_path / "anew" / DATA_FILE).read_bytes()
    with Index.open(tmp_path / "anew", readonly=True) as anew:
        assert differences(index, anew) == []
        assert anew.sizes().entries["postings"] == 1200
        assert anew.versions == index.versions

    index.move_to(tmp_path / "anew")
    with index.write() as txn:
        fill(txn, 1, [posting(1)])
    with index.read() as view:
        assert view.postings(posting(1), 1000)[1] == 601


def test_an_index_that_cannot_be_written_anew_whole_is_not_used(index: Index, tmp_path: Path) -> None:
    with index.write() as txn:
        fill(txn, 3, [posting(1)])
    with Index.open(tmp_path / "anew", versions=VERSIONS) as occupied, occupied.write() as txn:
        txn.put_raw(RecordNumber(9), key_of(9), b"of another index")
    with pytest.raises(StoreError):
        index.rewrite(tmp_path / "anew")
