"""From the journal to the index: catching up, building a new generation, and proving that both agree.

Match state is computed anew from the raw values, so a new normaliser or specification takes effect by a rebuild and
never by changing an event.
"""

from __future__ import annotations

import errno
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import RecordNumber
from mdm.errors import IndexMismatchError, StoreError
from mdm.limits import DESCRIBED_TOGETHER, FREE_DISK_BYTES_MIN, PROJECTION_CHUNK_EVENTS
from mdm.resolve import relation_state
from mdm.resolve.describing import Payloads, match_states
from mdm.resolve.engines import MATCH_STATE_VERSIONS
from mdm.resolve.matcher import describe
from mdm.resolve.payloads import decode_payload
from mdm.resolve.versions import VersionedEvent, read_ahead, versioned_events
from mdm.store.comparison import Difference, differences
from mdm.store.data_directory import DataDirectory
from mdm.store.generations import Start, boot_id
from mdm.store.index import Index, IndexVersions
from mdm.store.journal import Journal, JournalReader
from mdm.store.transaction import IndexTransaction
from mdm.store.view import FIRST_NUMBER

Progress = Callable[[str, int, int], None]
"""Called with a stage, what is done of it and the whole: events of a replay, then records described."""


class RebuildReport(msgspec.Struct, frozen=True):
    """What a rebuild did."""

    event_count: int
    generation: str


class VerifyReport(msgspec.Struct, frozen=True):
    """Whether the index is the fold of the journal."""

    is_equal: bool
    event_count: int
    differences: tuple[Difference, ...]


def index_versions(journal: JournalReader) -> IndexVersions:
    """Return what an index of this journal, made by this release, is computed from and with."""
    return msgspec.structs.replace(MATCH_STATE_VERSIONS, journal=journal.name)


def project(index: Index, journal: JournalReader, progress: Progress | None = None) -> int:
    """Bring the index up to the journal's last event; returns how many events that took.

    Commits every `PROJECTION_CHUNK_EVENTS` events, so that a killed projection resumes. Cost: about 0.2 ms a record,
    most of it normalising.
    """
    last_seq = journal.last_seq
    with index.read() as view:
        start = view.applied_seq
    for chunk in _chunks(versioned_events(journal, start, last_seq)):
        with index.write() as txn:
            for number in _fold(txn, chunk):
                derive_match_state(txn, number)
            seq = txn.applied_seq
        if progress is not None:
            progress("replay", seq, last_seq)
    return last_seq - start


def build(index: Index, journal: JournalReader, path: Path, progress: Progress | None = None) -> int:
    """Make an empty index what `project` would make it; returns how many events that took.

    Identity state first, from events that a process reads ahead; then match state of what is resolved in the end, by
    all cores; then all postings in order. An index whose building was cut off is of no use.

    Args:
        index: The empty one.
        journal: Open for reading.
        path: Of its file.
        progress: Told how far it is.

    Cost: about 25 µs an event, 0.15 ms a record over all cores.
    """
    last_seq = journal.last_seq
    if progress is not None and last_seq:
        progress("replay", 0, last_seq)
    for chunk in _chunks(read_ahead(journal, path, last_seq)):
        with index.write(is_bulk=True) as txn:
            _fold(txn, chunk)
            seq = txn.applied_seq
        if progress is not None:
            progress("replay", seq, last_seq)
    with index.read() as view:
        last_number = view.last_number()
    for states in match_states(_resolved_payloads(index)):
        with index.write(is_bulk=True) as txn:
            for number, features, keys in states:
                txn.append_match_state(number, features, keys)
        if progress is not None:
            progress("records", states[-1][0], last_number)
    index.post_all()
    return last_seq


def open_index(directory: DataDirectory, journal: JournalReader, progress: Progress | None = None) -> Index:
    """Return the index of a data directory whose lock is held, whole and at the journal's last event.

    Uses the current generation when it is whole and of these versions, else restores a checkpoint, else rebuilds.
    """
    generations = directory.generations
    boot = boot_id()
    start = generations.usable(boot)
    path = generations.current() if start is Start.USE else None
    if start is Start.RESTORE:
        path = generations.restore_checkpoint()
    index = _opened(path, journal) if path is not None else None
    if path is None or index is None:
        path = rebuild_generation(directory, journal, progress)
        index = Index.open(path)
    generations.mark_open(path, boot)
    project(index, journal, progress)
    generations.remove_others()
    return index


def leave_clean(directory: DataDirectory, index: Index) -> None:
    """Leave the index wholly on disk, with the mark that says so; call after the last commit."""
    path = directory.generations.current()
    index.sync()
    if path is not None:
        directory.generations.mark_clean(path)


def rebuild(data: Path, progress: Progress | None = None) -> RebuildReport:
    """Build a new index generation from the journal and put it in the old one's place.

    Raises:
        DataDirectoryError: `data` is not ours, or a server is using it.
    """
    with DataDirectory.open(data, exclusive=True) as directory, Journal.open_read_only(directory.journal) as journal:
        directory.generations.drop_checkpoints()
        path = rebuild_generation(directory, journal, progress)
        directory.generations.remove_others()
        return RebuildReport(journal.last_seq, path.name)


def rebuild_generation(directory: DataDirectory, journal: JournalReader, progress: Progress | None = None) -> Path:
    """Build and swap in a new generation of a data directory whose lock is held.

    Raises:
        StoreError: It cannot be written; nothing of it is left.
    """
    generations = directory.generations
    with generations.making() as path:
        generations.mark_open(path, boot_id())
        with Index.open(path, versions=index_versions(journal)) as index:
            try:
                build(index, journal, directory.journal, progress)
                index.sync()
            except StoreError as error:
                if generations.free_bytes() >= FREE_DISK_BYTES_MIN:
                    raise
                # LMDB calls it an I/O error; and what filled the disk is gone before anybody else can look.
                full = OSError(errno.ENOSPC, error.__class__.__name__)
                raise StoreError(
                    "there is no room for a new index: free space on its disk; the old one stays"
                ) from full
        generations.mark_clean(path)
        generations.swap(path)
    return path


def verify(data: Path, progress: Progress | None = None) -> VerifyReport:
    """Replay the journal into a scratch index and compare it with the one in use, entry by entry.

    Raises:
        DataDirectoryError: `data` is not ours, or a server is using it.
    """
    with DataDirectory.open(data, exclusive=True) as directory, Journal.open_read_only(directory.journal) as journal:
        # A server that was killed leaves its index behind the journal, which is no difference: catch up first.
        with (
            open_index(directory, journal) as index,
            tempfile.TemporaryDirectory(dir=data, prefix="verify-") as scratch,
        ):
            with Index.open(Path(scratch), versions=index_versions(journal)) as replayed:
                count = build(replayed, journal, directory.journal, progress)
                found = differences(index, replayed)
            index.sync()
        current = directory.generations.current()
        if current is not None:
            directory.generations.mark_clean(current)
    return VerifyReport(not found, count, tuple(found))


def _opened(path: Path, journal: JournalReader) -> Index | None:
    """Open an index if it is of these versions and a fold of this journal, not of another one or of lost events."""
    try:
        index = Index.open(path)
    except IndexMismatchError:
        return None
    with index.read() as view:
        is_ahead = view.applied_seq > journal.last_seq
    if is_ahead or index.versions != index_versions(journal):
        index.close()
        return None
    return index


def _chunks(events: Iterator[VersionedEvent]) -> Iterator[Iterable[VersionedEvent]]:
    """Yield what goes into one transaction each; a chunk is to be used up before the next, and read as it is used."""
    for first in events:
        yield itertools.chain((first,), itertools.islice(events, PROJECTION_CHUNK_EVENTS - 1))


def _fold(txn: IndexTransaction, chunk: Iterable[VersionedEvent]) -> Iterable[RecordNumber]:
    """Fold identity and relation state; returns the records whose match state may be another one now."""
    touched: dict[RecordNumber, None] = {}
    for event, version in chunk:
        fact = event.fact
        if isinstance(fact, ev.RecordUpserted) and version is not None:
            txn.put_raw(fact.number, version.key, version.payload)
            relation_state.note_version(txn, fact, version.stated, event.at_us)
        txn.fold(event)
        if isinstance(fact, ev.RecordDeleted):
            relation_state.forget(txn, fact.number)
        elif isinstance(fact, ev.SubjectErased):
            for number in fact.numbers:
                txn.purge(number)
        match fact:
            case ev.RecordUpserted() | ev.RecordResolved() | ev.RecordDeleted() | ev.GoldenIdRevived():
                touched[fact.number] = None
            case ev.RecordsRegrouped():
                touched.update(dict.fromkeys(number for group in fact.groups for number in group.numbers))
            case _:
                pass
    return touched


def _resolved_payloads(index: Index) -> Iterator[Payloads]:
    """Yield the payloads of all resolved records, in the order of their numbers, some at a time."""
    start = FIRST_NUMBER
    while True:
        with index.read() as view:
            resolved = (
                (number, payload)
                for number, entry in view.iter_records(start)
                if entry.golden_id is not None and (payload := view.raw(number)) is not None
            )
            frame = list(itertools.islice(resolved, DESCRIBED_TOGETHER))
        if not frame:
            return
        start = RecordNumber(frame[-1][0] + 1)
        yield frame


def derive_match_state(txn: IndexTransaction, number: RecordNumber) -> None:
    """Make features and postings of a resolved record what its raw values say; drop those of any other."""
    entry, payload = txn.record(number), txn.raw(number)
    if entry is None or entry.golden_id is None or payload is None:
        txn.drop_match_state(number)
    else:
        description = describe(decode_payload(payload))
        txn.put_match_state(number, description.encoded, description.keys)
