"""What a load would do, asked of the service before anything is sent: exact where it costs little, else of a sample."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from mdm.cli.load_comparison import GONE
from mdm.limits import PREVIEW_SAMPLE_RECORDS

if TYPE_CHECKING:
    from mdm.domain.records import SourceRecord
    from mdm.feeds.mapping import DeleteOperation, Operation

_SEED = 1
_Z = 1.96
"""Of a 95 % interval."""


class LoadPreview:
    """Counts new, changed and unchanged records of all rows, and asks what would become of some of the first two."""

    def __init__(self, client: Any, *, is_later: bool, is_exact: bool, allows_older: bool) -> None:
        self._client = client
        self._allows_older = allows_older
        self.withdrawn_count = 0
        """Live records that rows withdraw although none asks for it."""
        self._is_later = is_later
        self._sample_max = math.inf if is_exact else PREVIEW_SAMPLE_RECORDS
        self._counts: Counter[str] = Counter()
        self._sample: list[SourceRecord] = []
        self._outcomes: Counter[str] = Counter()
        self._is_exact = is_exact
        self._dice = random.Random(_SEED)
        self._written_count = 0

    def look_at(self, operations: list[Operation]) -> None:
        """Take in what a thousand rows would send."""
        from mdm.feeds.mapping import UpsertOperation

        groups: dict[tuple[str, str], list[SourceRecord]] = {}
        deletes: dict[tuple[str, str], list[DeleteOperation]] = {}
        for operation in operations:
            if isinstance(operation, UpsertOperation):
                key = operation.record.key
                groups.setdefault((key.registry, key.kind), []).append(operation.record)
            else:
                deletes.setdefault((operation.key.registry, operation.key.kind), []).append(operation)
        for (registry, kind), records in groups.items():
            self._compare(registry, kind, records)
        for (registry, kind), asked in deletes.items():
            statuses = self._statuses(registry, kind, [operation.key.record_id for operation in asked])
            for operation, status in zip(asked, statuses, strict=True):
                if status in GONE:
                    self._counts["absent"] += 1
                elif operation.updated_at and not self._allows_older and self._is_stale(operation):
                    self._counts["stale"] += 1
                else:
                    self._counts["deleted"] += 1
                    self.withdrawn_count += operation.is_implied

    def facts(self) -> dict[str, Any]:
        """Return the counts, and what would become of new and changed records."""
        counts = {name: self._counts[name] for name in ("new", "changed", "unchanged", "deleted", "stale", "absent")}
        if not self._is_exact:
            for record in self._sample:
                self._outcomes[self._previewed(record)] += 1
        asked = self._outcomes.total()
        records = {
            outcome: _scaled(count, asked, self._written_count) for outcome, count in sorted(self._outcomes.items())
        }
        found = {"new_or_changed": self._written_count, "asked_of": asked, "is_exact": asked == self._written_count}
        return {"would_load": counts, "would_become": found | {"records": records}}

    def _compare(self, registry: str, kind: str, records: list[SourceRecord]) -> None:
        from mdm.resolve.payloads import content_digest, encode_payload
        from mdm_client import EntityKind

        ids = [record.key.record_id for record in records]
        digests = [content_digest(encode_payload(record)) for record in records]
        unchanged = self._client.batch_compare_records(
            registry, EntityKind(kind), ids, digests, is_resolved_later=self._is_later
        )
        written = [record for record, is_unchanged in zip(records, unchanged, strict=True) if not is_unchanged]
        self._counts["unchanged"] += len(records) - len(written)
        statuses = self._statuses(registry, kind, [record.key.record_id for record in written])
        for record, status in zip(written, statuses, strict=True):
            self._counts["new" if status in GONE else "changed"] += 1
            self._written_count += 1
            if self._is_exact:
                self._outcomes[self._previewed(record)] += 1
            elif len(self._sample) < self._sample_max:
                self._sample.append(record)
            elif (place := self._dice.randrange(self._written_count)) < len(self._sample):
                self._sample[place] = record

    def _statuses(self, registry: str, kind: str, record_ids: list[str]) -> list[str]:
        from mdm_client import EntityKind

        if not record_ids:
            return []
        return [str(status) for status in self._client.batch_lookup(registry, EntityKind(kind), record_ids).statuses]

    def _is_stale(self, operation: DeleteOperation) -> bool:
        """Return whether the stored record is newer than the row. Cost: a call, for each row that withdraws one."""
        from mdm.resolve.payloads import ordering_us
        from mdm_client import EntityKind, SourceKey

        key = SourceKey(operation.key.registry, EntityKind(operation.key.kind), operation.key.record_id)
        texts = (operation.updated_at, self._client.get_record(key).record.updated_at)
        stated, stored = (ordering_us(text, time.time_ns() // 1000) for text in texts)
        return stated is not None and stored is not None and stated < stored

    def _previewed(self, record: SourceRecord) -> str:
        from mdm.server.wire_records import record_message

        return str(self._client.preview(record_message(record), candidate_count_max=1).outcome)


def _scaled(count: int, asked: int, whole: int) -> dict[str, int]:
    """Return how many of all it would be: as counted, or from a sample with Wilson's 95 % interval."""
    if asked == whole:
        return {"count": count}
    share, weight = count / asked, _Z * _Z / asked
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / asked + weight / (4 * asked)) / (1 + weight)
    return {
        "count": round(share * whole),
        "at_least": math.floor(max(middle - half, 0.0) * whole),
        "at_most": math.ceil(min(middle + half, 1.0) * whole),
    }
