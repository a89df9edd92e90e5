"""The crosswalk as columns, at one seq."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mdm.domain.keys import EntityKind, GoldenId, SourceKey, kind_of
from mdm.domain.state import GoldenEntry
from mdm.limits import CROSSWALK_CHUNK_ROWS
from mdm.resolve.views import GoldenState, golden_state
from mdm.store.layout import CrosswalkStatus
from mdm.store.view import IndexView


class CrosswalkChunk(msgspec.Struct, frozen=True):
    """Rows as parallel columns, ordered by registry, entity kind and record id."""

    registries: list[str]
    kinds: list[str]
    record_ids: list[str]
    golden_ids: list[str]


class Lineage(msgspec.Struct, frozen=True):
    """Where one golden ID comes from and what became of it."""

    golden_id: GoldenId
    state: GoldenState
    surviving: GoldenId | None
    """What answers in its place: itself, its survivor, or None when it is retired."""
    minted_at_us: int
    predecessors: tuple[GoldenId, ...]
    """What its first records answered under before: it was split off them."""


class CrosswalkFilter(msgspec.Struct, frozen=True):
    """Which rows to export."""

    registries: frozenset[str] = frozenset()
    """Empty means all."""
    kinds: frozenset[EntityKind] = frozenset(EntityKind)
    is_pending_included: bool = False
    """Whether pending records get a row, with an empty golden ID."""


class CrosswalkExport:
    """One row for each live, resolved record, and on request for each pending one.

    Attributes:
        seq: Position at which the rows hold.
        pending_count: Records asked for that are not resolved yet, sent or left out; final once the rows were read.
    """

    def __init__(self, view: IndexView, wanted: CrosswalkFilter) -> None:
        """Read from this view, which must stay open."""
        self._view = view
        self._wanted = wanted
        self.seq = view.applied_seq
        self.pending_count = 0

    def __iter__(self) -> Iterator[CrosswalkChunk]:
        """Yield chunks of at most `CROSSWALK_CHUNK_ROWS` rows."""
        wanted = self._wanted
        rows: list[tuple[SourceKey, str]] = []
        for key, entry in self._view.iter_crosswalk():
            if (wanted.registries and key.registry not in wanted.registries) or key.kind not in wanted.kinds:
                continue
            is_pending = entry.status is CrosswalkStatus.PENDING
            self.pending_count += is_pending
            if entry.golden_id is not None or (is_pending and wanted.is_pending_included):
                rows.append((key, entry.golden_id or ""))
                if len(rows) == CROSSWALK_CHUNK_ROWS:
                    yield _chunk(rows)
                    rows = []
        if rows:
            yield _chunk(rows)

    def lineage(self) -> Iterator[Lineage]:
        """Yield every golden ID ever issued, of the kinds asked for, in the order of the IDs. Cost: about 8 µs each."""
        for golden_id, entry in self._view.iter_goldens():
            if kind_of(golden_id) in self._wanted.kinds:
                yield _lineage(self._view, golden_id, entry)


def _lineage(view: IndexView, golden_id: GoldenId, entry: GoldenEntry) -> Lineage:
    minted = view.changes(entry.minted_seq)
    records = minted.records if minted is not None else ()
    before = {each.before: None for each in records if each.after == golden_id and each.before is not None}
    surviving = None if entry.is_retired else entry.survivor or golden_id
    return Lineage(golden_id, golden_state(entry), surviving, minted.at_us if minted is not None else 0, tuple(before))


def _chunk(rows: list[tuple[SourceKey, str]]) -> CrosswalkChunk:
    return CrosswalkChunk(
        [key.registry for key, _ in rows],
        [key.kind.value for key, _ in rows],
        [key.record_id for key, _ in rows],
        [golden_id for _, golden_id in rows],
    )
