"""The journal's events with what the index keeps of each version's values; read by a process ahead of a long fold.

Opening sealed values and decoding them is a quarter of a rebuild's first part, and needs nothing of the index.
"""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec

from mdm.domain.events import Event
from mdm.domain.keys import SourceKey
from mdm.resolve.payloads import decode_payload
from mdm.resolve.relation_state import Stated, stated_by
from mdm.resolve.workers import Worker, WorkerEndedError, answer_all
from mdm.store.journal import Journal, JournalReader

READ_TOGETHER_EVENTS = 4_000
"""What the process reads at a time: some 5 MB."""

READ_AHEAD_EVENTS_MIN = 40_000
"""Worth starting a process for: folding them takes 1.5 s."""


class Version(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one version of a record says, as the index keeps it."""

    key: SourceKey
    payload: bytes
    stated: Stated


VersionedEvent = tuple[Event, Version | None]
"""An event, and the version that it stores; None for another fact, or where the values were erased."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[VersionedEvent]).decode


def versioned_events(journal: JournalReader, after_seq: int, until_seq: int) -> Iterator[VersionedEvent]:
    """Yield the events in (`after_seq`, `until_seq`], oldest first. Cost: about 10 µs an event.

    Raises:
        JournalFailedError: A seq is missing, or the file cannot be read, or a seal does not fit.
    """
    for event, payload in journal.events_with_payloads(after_seq, until_seq):
        yield event, None if payload is None else _version(payload)


def read_ahead(journal: JournalReader, path: Path, until_seq: int) -> Iterator[VersionedEvent]:
    """Yield all events up to `until_seq`; of many, a process reads some ahead. Cost: 2 µs an event beside it.

    Args:
        journal: Open for reading.
        path: Of its file.
        until_seq: Seq of the last event.

    Raises:
        JournalFailedError: As `versioned_events`.
    """
    if until_seq < READ_AHEAD_EVENTS_MIN or len(os.sched_getaffinity(0)) == 1:
        yield from versioned_events(journal, 0, until_seq)
        return
    read_seq = 0
    try:
        with Worker(__name__) as worker:
            for rows in _frames(worker, path, until_seq):
                yield from rows
                read_seq = rows[-1][0].seq
    except (WorkerEndedError, OSError):
        # Whatever ended it, or kept it from starting, who reads the same here meets it again, and can say what it is.
        pass
    yield from versioned_events(journal, read_seq, until_seq)


def _frames(worker: Worker, path: Path, until_seq: int) -> Iterable[list[VersionedEvent]]:
    starts = range(0, until_seq, READ_TOGETHER_EVENTS)
    worker.ask(_read, str(path), 0, min(READ_TOGETHER_EVENTS, until_seq))
    for following in itertools.chain(starts[1:], (None,)):
        body = worker.answer()
        if following is not None:
            worker.ask(_read, str(path), following, min(following + READ_TOGETHER_EVENTS, until_seq))
        yield _decode(body)


def _version(payload: bytes) -> Version:
    record = decode_payload(payload)
    return Version(record.key, payload, stated_by(record))


@cache
def _journal(path: str) -> JournalReader:
    return Journal.open_read_only(Path(path))


def _read(path: str, after_seq: int, until_seq: int) -> pickle.PickleBuffer:
    # As it lies in memory: it goes through the pipe as it is.
    return pickle.PickleBuffer(_encode(list(versioned_events(_journal(path), after_seq, until_seq))))


def main(parent: str) -> None:
    """Read for another process."""
    answer_all(parent)
