"""What an operator asks of the state: positions, sizes, counts, what decides, what ran last. Nothing here reads a city.

Cost: about 1 ms, whatever the city's size; half a dozen look-ups in the journal, the counts that the index keeps.
"""

from __future__ import annotations

import time

import msgspec

from mdm.domain.keys import EntityKind
from mdm.domain.loads import LAST_LOAD, LoadEntry, load_of
from mdm.domain.restores import Restore, restores_of
from mdm.resolve.engines import MATCH_STATE_VERSIONS, Engine
from mdm.resolve.reading import Reading
from mdm.resolve.relink_runs import RunState, read_state, run_ids
from mdm.store import counts
from mdm.store.data_directory import DataDirectory
from mdm.store.export_ledger import ExportEntry
from mdm.store.index import IndexSizes
from mdm.store.journal import JournalReader
from mdm.store.journal_file import JOURNAL_VERSION
from mdm.store.layout import LAYOUT_VERSION
from mdm.store.view import IndexView

_KIND_OF_LETTER = {kind.letter: kind for kind in EntityKind}
LOADS_SEARCHED_MAX = 200
"""Loads that are looked through for the last of each feed: a month of nights."""


class RecordCount(msgspec.Struct, frozen=True):
    """Records of one registry, kind and state."""

    registry: str
    kind: EntityKind
    state: str
    """`live`, `pending` or `deleted`."""
    count: int


class GoldenCount(msgspec.Struct, frozen=True):
    """Golden IDs of one kind."""

    kind: EntityKind
    active_count: int
    redirected_count: int
    retired_count: int


class ReviewCount(msgspec.Struct, frozen=True):
    """Reviews of one kind in one queue."""

    kind: str
    queue: str
    count: int


class EngineInForce(msgspec.Struct, frozen=True):
    """What decides about one kind."""

    kind: EntityKind
    model_digest: str
    model_since_us: int
    """0 where the journal does not say."""
    epoch_digest: str
    epoch_since_us: int
    population: int


class LoadOutline(msgspec.Struct, frozen=True):
    """The last load of a feed."""

    entry: LoadEntry
    durable_ordinal: int


class JournalStatus(msgspec.Struct, frozen=True):
    """Where the journal stands."""

    journal_id: str
    epoch: int
    seq: int
    token: str
    last_event_us: int
    file_bytes: int
    wal_bytes: int


class StoreStatus(msgspec.Struct, frozen=True):
    """The state as one reader sees it."""

    journal: JournalStatus
    applied_seq: int
    lag_us: int
    """How long the first event that is not applied has been waiting; 0 if none is."""
    sizes: IndexSizes
    generation: str
    records: tuple[RecordCount, ...]
    goldens: tuple[GoldenCount, ...]
    reviews: tuple[ReviewCount, ...]
    oldest_review_us: int
    judgement_count: int
    engines: tuple[EngineInForce, ...]
    last_relink: RunState | None
    last_loads: tuple[LoadOutline, ...]
    last_backup: ExportEntry | None
    restores: tuple[Restore, ...]

    @property
    def lag_events_count(self) -> int:
        """Events that the journal is ahead of this reader's index."""
        return max(0, self.journal.seq - self.applied_seq)


class Versions(msgspec.Struct, frozen=True):
    """What the state was computed with."""

    normaliser: str
    specification: str
    index_layout: int
    journal_layout: int


VERSIONS = Versions(
    MATCH_STATE_VERSIONS.normaliser, MATCH_STATE_VERSIONS.specification, LAYOUT_VERSION, JOURNAL_VERSION
)
"""Of this release."""


def store_status(
    reading: Reading, directory: DataDirectory, sizes: IndexSizes, generation: str, last_backup: ExportEntry | None
) -> StoreStatus:
    """Return the state of one reading.

    Args:
        reading: One consistent state.
        directory: Where journal and runs lie.
        sizes: Of the index that is read.
        generation: Its name.
        last_backup: As the ledger says.
    """
    view, journal = reading.view, reading.journal
    applied_seq = view.applied_seq
    journal_status = _journal_status(journal, directory)
    lag_us = 0
    if journal_status.seq > applied_seq:
        lag_us = max(0, time.time_ns() // 1000 - _time_of(journal, applied_seq + 1))
    found = view.counts()
    oldest = view.oldest_review()
    return StoreStatus(
        journal_status,
        applied_seq,
        lag_us,
        sizes,
        generation,
        tuple(
            RecordCount(facets[1], EntityKind(facets[2]), facets[3], count)
            for facets, count in sorted(found.items())
            if facets[0] == counts.RECORDS
        ),
        tuple(
            GoldenCount(kind, *(found.get((counts.GOLDENS, letter, state), 0) for state in _GOLDEN_STATES))
            for letter, kind in sorted(_KIND_OF_LETTER.items(), reverse=True)
        ),
        tuple(
            ReviewCount(facets[1], facets[2], count)
            for facets, count in sorted(found.items())
            if facets[0] == counts.REVIEWS
        ),
        oldest.opened_at_us if oldest is not None else 0,
        sum(count for facets, count in found.items() if facets[0] == counts.JUDGEMENTS),
        tuple(_engine_in_force(view, journal, engine) for engine in reading.engines.values()),
        _last_relink(directory),
        last_loads(view),
        last_backup,
        tuple(restores_of(view)),
    )


_GOLDEN_STATES = ("active", "redirected", "retired")


def _journal_status(journal: JournalReader, directory: DataDirectory) -> JournalStatus:
    seq = journal.last_seq
    file_bytes, wal_bytes = directory.journal_bytes()
    return JournalStatus(
        str(journal.journal_id),
        journal.epoch,
        seq,
        str(journal.token(seq)),
        _time_of(journal, seq) if seq else 0,
        file_bytes,
        wal_bytes,
    )


def _engine_in_force(view: IndexView, journal: JournalReader, engine: Engine) -> EngineInForce:
    kind = engine.kind
    activations = (view.setting(f"models:{kind}") or "").split()
    epoch_seq = view.setting(f"epoch_seq:{kind}")
    return EngineInForce(
        kind,
        engine.model_digest,
        _time_of(journal, int(activations[-1])) if activations else 0,
        engine.epoch_digest,
        _time_of(journal, int(epoch_seq)) if epoch_seq else 0,
        engine.epoch.population,
    )


def _last_relink(directory: DataDirectory) -> RunState | None:
    found = run_ids(directory.relinks)
    return read_state(directory.relinks, found[-1]) if found else None


def last_loads(view: IndexView) -> tuple[LoadOutline, ...]:
    """Return the last load of each feed among the last `LOADS_SEARCHED_MAX`, the newest first. Cost: 10 us a load."""
    found: dict[str, LoadOutline] = {}
    load_id = view.setting(LAST_LOAD)
    for _ in range(LOADS_SEARCHED_MAX):
        entry = load_of(view, load_id) if load_id else None
        if entry is None:
            break
        ordinal = int(view.setting(f"load:{entry.load_id}") or 0)
        found.setdefault(entry.feed, LoadOutline(entry, ordinal))
        load_id = entry.before
    return tuple(found.values())


def _time_of(journal: JournalReader, seq: int) -> int:
    """Return when an event happened, in microseconds."""
    return next((event.at_us for event in journal.events(seq - 1, seq)), 0)
