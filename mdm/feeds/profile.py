"""What a feed file holds, counted in one pass: the answer of a dry run."""

from __future__ import annotations

from collections import Counter

import msgspec

from mdm.feeds.mapping import DeleteOperation, RowMapper
from mdm.feeds.reading import FeedFile
from mdm.feeds.rejects import Reject, RejectsFile


class FeedProfile(msgspec.Struct, frozen=True):
    """Counts over one file; no values."""

    row_count: int
    upsert_count: int
    delete_count: int
    rejected_count: int
    rejected_by_rule: dict[str, int]
    """`field: reason` → rows."""
    filled_share_by_column: dict[str, float]
    """Share of the readable rows that state the column, 0 to 1, in the file's order."""
    unknown_columns: tuple[str, ...]
    """Columns of the file that the feed does not declare; they are ignored."""


def profile_feed(file: FeedFile, mapper: RowMapper, rejects: RejectsFile) -> FeedProfile:
    """Read a file to its end and count what it holds; set-aside rows go to `rejects`."""
    filled = [0] * len(file.columns)
    rules: Counter[str] = Counter()
    row_count = readable_count = upsert_count = delete_count = 0
    for row in file.rows():
        row_count += 1
        outcome = row if isinstance(row, Reject) else mapper.operations(row)
        if not isinstance(row, Reject):
            readable_count += 1
            filled = [count + bool(cell.strip()) for count, cell in zip(filled, row.cells, strict=True)]
        if isinstance(outcome, Reject):
            rules[f"{outcome.field}: {outcome.reason}"] += 1
            rejects.add(outcome)
            continue
        deleted = sum(isinstance(operation, DeleteOperation) for operation in outcome)
        delete_count += deleted
        upsert_count += len(outcome) - deleted
    return FeedProfile(
        row_count=row_count,
        upsert_count=upsert_count,
        delete_count=delete_count,
        rejected_count=rules.total(),
        rejected_by_rule=dict(sorted(rules.items())),
        filled_share_by_column={
            column: round(count / max(readable_count, 1), 4) for column, count in zip(file.columns, filled, strict=True)
        },
        unknown_columns=mapper.unknown_columns,
    )
