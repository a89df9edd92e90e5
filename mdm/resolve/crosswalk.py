"""The crosswalk as columns, at one seq."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mdm.domain.keys import EntityKind, SourceKey
from mdm.limits import CROSSWALK_CHUNK_ROWS
from mdm.store.layout import CrosswalkStatus
from mdm.store.view import IndexView


class CrosswalkChunk(msgspec.Struct, frozen=True):
    """Rows as parallel columns, ordered by registry, entity kind and record id."""

    registries: list[str]
    kinds: list[str]
    record_ids: list[str]
    golden_ids: list[str]


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


def _chunk(rows: list[tuple[SourceKey, str]]) -> CrosswalkChunk:
    return CrosswalkChunk(
        [key.registry for key, _ in rows],
        [key.kind.value for key, _ in rows],
        [key.record_id for key, _ in rows],
        [golden_id for _, golden_id in rows],
    )
