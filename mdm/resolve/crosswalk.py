"""The crosswalk as columns, at one seq."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mdm.domain.keys import SourceKey
from mdm.store.layout import CrosswalkStatus
from mdm.store.view import IndexView


class CrosswalkChunk(msgspec.Struct, frozen=True):
    """Rows as parallel columns, ordered by registry, entity kind and record id."""

    registries: list[str]
    kinds: list[str]
    record_ids: list[str]
    golden_ids: list[str]


class CrosswalkExport:
    """One row for each live, resolved record.

    Attributes:
        seq: Position at which the rows hold.
        pending_count: Records left out because they are not resolved yet; final once the rows were read.
    """

    def __init__(self, view: IndexView, chunk_rows: int) -> None:
        """Read from this view, which must stay open."""
        self._view = view
        self._chunk_rows = chunk_rows
        self.seq = view.applied_seq
        self.pending_count = 0

    def __iter__(self) -> Iterator[CrosswalkChunk]:
        """Yield chunks of at most `chunk_rows` rows."""
        rows: list[tuple[SourceKey, str]] = []
        for key, entry in self._view.iter_crosswalk():
            if entry.status is CrosswalkStatus.PENDING:
                self.pending_count += 1
            elif entry.golden_id is not None:
                rows.append((key, entry.golden_id))
                if len(rows) == self._chunk_rows:
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
