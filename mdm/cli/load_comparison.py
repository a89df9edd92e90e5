"""What of a file need not be sent, and what it would withdraw by the way: asked of the service some rows ahead."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mdm.cli.absent import say_away

if TYPE_CHECKING:
    from mdm.domain.records import SourceRecord
    from mdm.feeds.mapping import Operation
    from mdm.feeds.reading import Row
    from mdm.feeds.rejects import Reject

GONE = frozenset({"not_found", "deleted"})
"""Statuses of records that no delete would change."""

_WITHDRAWN_FREE = 20
"""Records that a file may withdraw by the way, whatever their share: a morning's corrections, no shifted column."""

_Answer = TypeVar("_Answer")

Rows = list[tuple["Row | Reject", int, "tuple[Operation, ...] | Reject"]]
"""Rows with the ordinal of the first operation of each, and what is to be done."""


class Compared(NamedTuple):
    """What the service says of some rows."""

    unchanged: set[int]
    """Ordinals of the operations that need not be sent."""
    withdrawn_count: int = 0
    """Records that the rows withdraw although none asks for it: they are about no such record any more."""
    live_count: int = 0
    """Records of the feed's kinds, pending ones included; only known beside the former."""


def withdraws_too_many(withdrawn_count: int, live_count: int, share_max: float) -> bool:
    """Return whether rows withdraw more by the way than a share, 0 to 1, of the live records."""
    return withdrawn_count > max(_WITHDRAWN_FREE, share_max * live_count)


def live_count(client: Any, registry: str, kinds: Iterable[str]) -> int:
    """Return how many records a registry has of some kinds, pending ones included. Cost: 1 ms."""
    wanted = {(registry, kind) for kind in kinds}
    counts = client.admin.status().records
    return sum(each.count for each in counts if (each.registry, each.kind) in wanted and each.state != "deleted")


def ahead(compared: Callable[[Rows], Compared], batches: Iterator[Rows]) -> Iterator[tuple[Rows, Compared]]:
    """Yield each batch with the ordinals of what need not be sent; the next is read while the service is asked."""
    asked: deque[tuple[Rows, Future[Compared]]] = deque()
    for batch in batches:
        answer: Future[Compared] = Future()
        # A daemon: whoever interrupts the load does not wait for a service that is away.
        Thread(target=_answer, args=(answer, compared, batch), daemon=True).start()
        asked.append((batch, answer))
        if len(asked) > 1:
            rows, answered = asked.popleft()
            yield rows, answered.result()
    for rows, answered in asked:
        yield rows, answered.result()


def _answer(answer: Future[Compared], compared: Callable[[Rows], Compared], batch: Rows) -> None:
    try:
        answer.set_result(compared(batch))
    except BaseException as error:  # noqa: BLE001  (whatever it is, the load raises it)
        answer.set_exception(error)


class Comparison:
    """Asks the service which records it has stored as they are; waits while it is away.

    Where it has none of these kinds to begin with, nothing is asked: that took a tenth of a first load's client.
    """

    def __init__(
        self, client: Any, kinds: Iterable[str], *, is_later: bool, durable_ordinal: Callable[[], int]
    ) -> None:
        self._client = client
        self._kinds = tuple(kinds)
        self._is_later = is_later
        self._durable_ordinal = durable_ordinal
        self._is_anything_stored: dict[str, bool] = {}
        """By registry, when this load began."""

    def __call__(self, rows: Rows) -> Compared:
        """Return what need not be sent, and what is withdrawn by the way."""
        from mdm.feeds.mapping import DeleteOperation, UpsertOperation
        from mdm.resolve.payloads import content_digest, encode_payload

        # What an earlier run of the load made durable is not asked about: it is counted as such.
        durable = self._durable_ordinal()
        groups: dict[tuple[str, str], list[tuple[int, SourceRecord]]] = {}
        implied: dict[tuple[str, str], list[str]] = {}
        for _, first, outcome in rows:
            for ordinal, operation in enumerate(outcome if isinstance(outcome, tuple) else (), start=first):
                if isinstance(operation, UpsertOperation) and ordinal > durable:
                    key = operation.record.key
                    groups.setdefault((key.registry, key.kind), []).append((ordinal, operation.record))
                elif isinstance(operation, DeleteOperation) and operation.is_implied and ordinal > durable:
                    implied.setdefault((operation.key.registry, operation.key.kind), []).append(operation.key.record_id)
        unchanged: set[int] = set()
        for (registry, kind), group in groups.items():
            if not self._has_any(registry):
                continue
            ids = [record.key.record_id for _, record in group]
            digests = [content_digest(encode_payload(record)) for _, record in group]
            found = self._asked(registry, kind, ids, digests)
            unchanged.update(ordinal for (ordinal, _), is_unchanged in zip(group, found, strict=True) if is_unchanged)
        withdrawn_count = sum(self._stored_count(*named, ids) for named, ids in implied.items())
        if not withdrawn_count:
            return Compared(unchanged)
        ((registry, _), *_) = implied
        whole = _persistent(lambda: live_count(self._client, registry, self._kinds))
        return Compared(unchanged, withdrawn_count, whole)

    def _has_any(self, registry: str) -> bool:
        found = self._is_anything_stored.get(registry)
        if found is None:
            count = _persistent(lambda: live_count(self._client, registry, self._kinds))
            found = self._is_anything_stored[registry] = count > 0
        return found

    def _asked(self, registry: str, kind: str, ids: list[str], digests: list[bytes]) -> list[bool]:
        from mdm_client import EntityKind

        return _persistent(
            lambda: self._client.batch_compare_records(
                registry, EntityKind(kind), ids, digests, is_resolved_later=self._is_later
            )
        )

    def _stored_count(self, registry: str, kind: str, ids: list[str]) -> int:
        from mdm_client import EntityKind

        statuses = _persistent(lambda: self._client.batch_lookup(registry, EntityKind(kind), ids)).statuses
        return sum(status not in GONE for status in statuses)


def _persistent(ask: Callable[[], _Answer]) -> _Answer:
    """Return the answer of a service that may be away for a while."""
    from mdm_client import ServiceError
    from mdm_client.ingest import GIVE_UP_S, Retry

    retry = Retry(GIVE_UP_S, on_away=say_away)
    while True:
        try:
            return ask()
        except ServiceError as error:
            time.sleep(retry.delay_s(error))
