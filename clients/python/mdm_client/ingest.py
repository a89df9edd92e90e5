"""Streaming many records in: numbered, within the service's window, resumed when the connection breaks.

`IngestFlow` is the protocol without any input or output; the blocking and the asyncio client each drive one.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import FieldDescriptor

from mdm.v1 import common_pb2, registry_service_pb2
from mdm_client import wire
from mdm_client.errors import IngestError, InvalidArgumentError, ServiceError, UnavailableError
from mdm_client.records import EntityKind, SourceKey, SourceRecord
from mdm_client.results import IngestOutcome, ValueIssue, WriteOutcome
from mdm_client.streams import answers, left_at_exit

MESSAGE_OPERATIONS_MAX = 32
"""Operations in one message: the service proposes as many together."""

UNDER_WAY_MAX = 64
"""Operations that may wait for their acknowledgement, far less than the service grants: each waits for all before it,
at 2,500 records a second 26 ms. As many as the service can have in hand: twice as many are stored no faster."""

MESSAGE_DEFERRED_OPERATIONS_MAX = 128
"""The first for records that are resolved later, of which the service commits more together. They are also some four
times as fast, so that all that is granted may be under way."""

OPERATION_BYTES_MAX = 256 * 1024
"""A larger operation is rejected here: the service would break the stream off for it."""

MESSAGE_BYTES_MAX = 1024 * 1024
"""A quarter of what the service takes in one message."""

GIVE_UP_S = 120.0
"""How long a load is tried again without any progress, unless the caller says otherwise."""

AWAY_SAID_S = 3.0
"""A service that restarts is back sooner; from then on a person who watches wants to know what is waited for."""

INGEST_RECORDS = "/mdm.v1.RegistryService/IngestRecords"

_OPERATIONS = registry_service_pb2.IngestRecordsRequest.DESCRIPTOR.fields_by_name["operations"]
_OPERATION = registry_service_pb2.IngestOperations.DESCRIPTOR.fields_by_name["operations"]
_UPSERT = registry_service_pb2.IngestOperation.DESCRIPTOR.fields_by_name["upsert"]

_LENGTH_DELIMITED = 2
_VARINT_MAX = 0x7F
"""Most that one byte of a length says; each of these fields has a number of one digit."""

_BACKOFF_S_MAX = 2.0
_RETRIED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        # A host that is cut off is noticed later than the deadline of what a load asks beside its stream.
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
_RETRIED_EXHAUSTED = frozenset({"OVERLOADED", "STREAMS_EXHAUSTED", "STORAGE_NEARLY_FULL"})


@dataclass(frozen=True, slots=True)
class Upsert:
    """Store a record. `ordinal` rises through the load, gaps allowed; 0 takes the position in the load.

    Who builds messages anyway hands over the message: it is sent as it is.
    """

    record: SourceRecord | common_pb2.SourceRecord
    ordinal: int = 0
    other_kind: EntityKind | None = None
    """Of the other record, under the same record id, that the same row is about: stored newer, the row is stale."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Withdraw a record. `ordinal` as in `Upsert`."""

    key: SourceKey
    ordinal: int = 0
    updated_at: str = ""
    """When the source last changed the row that asks for it: a stored record that is newer stays."""


Operation = Upsert | Delete | SourceRecord


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What only the caller can count, for the service's list of loads."""

    row_count: int
    unchanged_record_count: int = 0
    """Records that need not be sent, because they are stored as they are."""
    rejected_row_count: int = 0
    refused_delete_count: int = 0
    """Records that the file lacks and that a gate keeps."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load is. The same `load_id` with the same operations resumes where it broke off, in any process."""

    load_id: str
    feed: str
    """As `registry.feed`, declared by the service."""
    is_resolved_later: bool = False
    allow_older: bool = False
    give_up_s: float = GIVE_UP_S
    is_continued: bool = False
    """More operations follow in a later call under the same `load_id`: what is durable stays known to the service."""
    on_away: Callable[[float], None] | None = None
    """Told once in each outage of more than 3 s for how many more seconds the load is tried again."""
    is_full: bool = False
    """Whether it stands for the whole feed; for the service's list of loads, as are the two that follow."""
    content_digest: str = ""
    """SHA-256 of the file in hexadecimal digits."""
    counts: Callable[[], LoadCounts] | None = None
    """Asked when all operations are durable."""
    registry_digest: str = ""
    """Of the registry's declaration by which the rows are read; see `LoadRecord.registry_digest`."""


class _Numbered(NamedTuple):
    """An operation as it travels."""

    ordinal: int
    body: bytes
    """Serialised once: of messages that are put into each other each is copied."""


class IngestFlow:
    """The protocol of one load over any number of connections; its requests are serialised.

    Invariant: `_unacknowledged` holds, in order, what was sent on this connection or has to be sent again; an operation
    leaves it with its outcome. Never more are under way than the service granted.
    """

    def __init__(self, load: Load, operations: Iterable[Operation], caller: common_pb2.Caller) -> None:
        """Begin with the first operation; nothing is taken from `operations` before the service accepts the load."""
        self.load = load
        self.counts: Counter[WriteOutcome] = Counter()
        self.skipped_count = 0
        """Operations that were durable before this process began."""
        self.token = ""
        """Position of the last write acknowledged."""
        self.load_id = load.load_id
        """Under which the service keeps the load; known once it accepts it."""
        self.is_finished = False
        self.is_registry_changed = False
        """At the end: whether another declaration is in force than the one that the rows were read by."""
        self._caller = caller
        self._source = self._messages(operations)
        self._is_exhausted = False
        self.failure: Exception | None = None
        """What the source failed with: no other attempt mends that."""
        self._unacknowledged: deque[_Numbered] = deque()
        self._sent_count = 0
        self._credit = 0
        self._is_end_sent = False
        self._durable_before = 0
        self._rejected_here: deque[IngestOutcome] = deque()

    def header(self) -> bytes:
        """Return the first message of a new connection."""
        self._sent_count = self._credit = 0
        self._is_end_sent = False
        header = registry_service_pb2.IngestHeader(
            load_id=self.load.load_id,
            feed=self.load.feed,
            resolve=common_pb2.RESOLVE_TIME_LATER if self.load.is_resolved_later else common_pb2.RESOLVE_TIME_NOW,
            allow_older=self.load.allow_older,
            caller=self._caller,
            is_full=self.load.is_full,
            content_digest=self.load.content_digest,
            registry_digest=self.load.registry_digest,
            # A restore may have lost what was acknowledged, and it is not kept here to be sent again.
            at_least_as_fresh=common_pb2.JournalToken(value=self.token) if self.token else None,
        )
        return registry_service_pb2.IngestRecordsRequest(header=header).SerializeToString()

    def next_request(self) -> bytes | None:
        """Return the next message to send; None while the service has to answer first."""
        batch: list[bytes] = []
        size = 0
        operations_max = min(MESSAGE_OPERATIONS_MAX, UNDER_WAY_MAX - self._sent_count)
        if self.load.is_resolved_later:
            operations_max = MESSAGE_DEFERRED_OPERATIONS_MAX
        while self._credit > 0 and len(batch) < operations_max and size < MESSAGE_BYTES_MAX:
            if self._sent_count == len(self._unacknowledged) and not self._take():
                break
            body = self._unacknowledged[self._sent_count].body
            batch.append(_field(_OPERATION, body))
            size += len(body)
            self._sent_count += 1
            self._credit -= 1
        if batch:
            return _field(_OPERATIONS, b"".join(batch))
        if not self._is_exhausted or self._unacknowledged:
            return None
        if self.load.is_continued:
            self.is_finished = True
        elif not self._is_end_sent:
            self._is_end_sent = True
            return registry_service_pb2.IngestRecordsRequest(end=self._end()).SerializeToString()
        return None

    def receive(self, response: registry_service_pb2.IngestRecordsResponse) -> list[IngestOutcome]:
        """Take an answer in; returns the outcomes that it brought."""
        match response.WhichOneof("part"):
            case "accepted":
                outcomes = self._accept(response.accepted)
            case "acknowledgements":
                outcomes = [self._outcome(item) for item in response.acknowledgements.outcomes]
                self._credit += response.acknowledgements.credit_operation_count
                self.token = response.acknowledgements.token.value or self.token
            case "summary":
                self.token = response.summary.token.value or self.token
                self.is_registry_changed = response.summary.is_registry_changed
                self.is_finished = True
                outcomes = []
            case _:
                outcomes = []
        self.counts.update(outcome.outcome for outcome in outcomes)
        return outcomes

    def local_outcomes(self) -> list[IngestOutcome]:
        """Return the outcomes of operations that were rejected without being sent."""
        outcomes = list(self._rejected_here)
        self._rejected_here.clear()
        self.counts.update(outcome.outcome for outcome in outcomes)
        return outcomes

    @property
    def durable_ordinal(self) -> int:
        """Last ordinal that was durable when the connection was made."""
        return self._durable_before

    def _end(self) -> registry_service_pb2.IngestEnd:
        counts = self.load.counts() if self.load.counts is not None else LoadCounts(0)
        return registry_service_pb2.IngestEnd(
            row_count=counts.row_count,
            unchanged_record_count=counts.unchanged_record_count,
            rejected_row_count=counts.rejected_row_count,
            refused_delete_count=counts.refused_delete_count,
        )

    def _accept(self, accepted: registry_service_pb2.IngestAccepted) -> list[IngestOutcome]:
        self._credit = accepted.credit_operation_count
        self.load_id = accepted.load_id or self.load.load_id
        self._durable_before = max(self._durable_before, accepted.durable_ordinal)
        outcomes = []
        while self._unacknowledged and self._unacknowledged[0].ordinal <= accepted.durable_ordinal:
            # Its acknowledgement was lost with the connection before.
            outcomes.append(IngestOutcome(self._unacknowledged.popleft().ordinal, WriteOutcome.CONFIRMED))
        return outcomes

    def _outcome(self, item: registry_service_pb2.IngestOutcome) -> IngestOutcome:
        if not self._sent_count or self._unacknowledged[0].ordinal != item.ordinal:
            raise IngestError("the service acknowledged an operation out of order")
        self._unacknowledged.popleft()
        self._sent_count -= 1
        return IngestOutcome(
            item.ordinal,
            wire.WRITE_OUTCOME.from_wire(item.outcome),
            item.golden_id,
            wire.issues_from_wire(item.value_issues),
            wire.changes_from_wire(item.changes),
        )

    def _take(self) -> bool:
        """Move one more operation from the source to the end of `_unacknowledged`; returns whether there was one."""
        if self.failure is not None:
            raise self.failure
        try:
            numbered = next(self._source, None)
        except Exception as error:
            # A source that failed has not ended: who iterates again must not take what it gave for all.
            self.failure = error
            raise
        self._is_exhausted = numbered is None
        if numbered is not None:
            self._unacknowledged.append(numbered)
        return numbered is not None

    def _messages(self, operations: Iterable[Operation]) -> Iterator[_Numbered]:
        last = 0
        for position, operation in enumerate(operations, start=1):
            ordinal = getattr(operation, "ordinal", 0) or position
            if ordinal <= last:
                raise ValueError(f"ordinal {ordinal} must be larger than {last}, the one before it")
            last = ordinal
            if ordinal <= self._durable_before:
                self.skipped_count += 1
                continue
            try:
                body = _body(operation, ordinal)
            except InvalidArgumentError as error:
                self._reject(ordinal, *(ValueIssue(each.field, each.rule) for each in error.field_violations))
                continue
            if len(body) > OPERATION_BYTES_MAX:
                self._reject(ordinal, ValueIssue("record", f"must be at most {OPERATION_BYTES_MAX} bytes"))
                continue
            yield _Numbered(ordinal, body)

    def _reject(self, ordinal: int, *issues: ValueIssue) -> None:
        self._rejected_here.append(IngestOutcome(ordinal, WriteOutcome.REJECTED, value_issues=issues))


class Retry:
    """When to try again: backing off from 0.1 s to 2 s, until `give_up_s` have passed without progress."""

    def __init__(
        self,
        give_up_s: float,
        clock: Callable[[], float] = time.monotonic,
        on_away: Callable[[float], None] | None = None,
    ) -> None:
        """Start counting now. `on_away` is told once, after `AWAY_SAID_S`, how many seconds are left."""
        self._give_up_s = give_up_s
        self._clock = clock
        self._on_away = on_away
        self.progress()

    def progress(self) -> None:
        """Start anew: the service answered."""
        self._since = self._clock()
        self._delay_s = 0.1
        self._is_away_said = False

    def delay_s(self, error: ServiceError) -> float:
        """Return how long to wait before the next attempt; raise the error if there is to be none."""
        is_retried = error.code in _RETRIED and (
            error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED or error.reason in _RETRIED_EXHAUSTED
        )
        waited_s = self._clock() - self._since
        if not is_retried or waited_s > self._give_up_s:
            raise error
        if self._on_away is not None and waited_s >= AWAY_SAID_S and not self._is_away_said:
            self._is_away_said = True
            self._on_away(self._give_up_s - waited_s)
        delay_s = max(self._delay_s * random.uniform(0.5, 1.0), error.retry_after_s or 0.0)
        self._delay_s = min(2 * self._delay_s, _BACKOFF_S_MAX)
        return delay_s


class Ingest:
    """A load under way: iterate over it for the outcome of each operation, in their order.

    The last outcome is durable before the iteration
    ends; then `counts`, `skipped_count` and `token` are complete.
    """

    def __init__(self, channel: grpc.Channel, flow: IngestFlow) -> None:
        """Prepare a load; it begins with the iteration."""
        self._call = ingest_call(channel)
        self._flow = flow

    @property
    def counts(self) -> Counter[WriteOutcome]:
        """Operations by outcome so far."""
        return self._flow.counts

    @property
    def skipped_count(self) -> int:
        """Operations that an earlier attempt in another process had made durable."""
        return self._flow.skipped_count

    @property
    def durable_ordinal(self) -> int:
        """Last ordinal that was durable when the service accepted the load; known once it takes operations."""
        return self._flow.durable_ordinal

    @property
    def load_id(self) -> str:
        """Id under which the service keeps the load; known once it accepts it."""
        return self._flow.load_id

    @property
    def is_registry_changed(self) -> bool:
        """Whether another declaration of the registry is in force at the end than the one that the load names."""
        return self._flow.is_registry_changed

    @property
    def token(self) -> str:
        """Position of the last write; a read that carries it sees the whole load."""
        return self._flow.token

    @left_at_exit
    def __iter__(self) -> Generator[IngestOutcome, None, None]:
        """Send everything; yield each outcome as it arrives.

        Raises:
            UnavailableError: The service stayed away for longer than the load's `give_up_s`.
            DataRestoredError: The service was restored meanwhile; begin the load again with its first operation.
            ServiceError: The service refused the load.
        """
        load = self._flow.load
        retry = Retry(load.give_up_s, on_away=load.on_away)
        while not self._flow.is_finished:
            try:
                for outcome in self._attempt():
                    retry.progress()
                    yield outcome
            except ServiceError as error:
                if error is self._flow.failure:
                    raise
                time.sleep(retry.delay_s(error))

    def _attempt(self) -> Iterator[IngestOutcome]:
        flow = self._flow
        outbox: SimpleQueue[bytes | None] = SimpleQueue()
        inbox: SimpleQueue[Any] = SimpleQueue()
        outbox.put(flow.header())
        call = self._call(iter(outbox.get, None))
        receiver = Thread(target=_receive, args=(call, inbox), name="ingest", daemon=True)
        receiver.start()
        try:
            while not flow.is_finished:
                while (request := flow.next_request()) is not None:
                    outbox.put(request)
                    # Outcomes are handed on while records are still being read: a slow source delays none.
                    while not inbox.empty():
                        yield from flow.receive(_answer(inbox))
                yield from flow.local_outcomes()
                if not flow.is_finished:
                    yield from flow.receive(_answer(inbox))
        finally:
            outbox.put(None)
            call.cancel()
            # See `answers`: nothing may hold the call when the process ends, not even the trace of a failure.
            del call
            receiver.join()


def _answer(inbox: SimpleQueue[Any]) -> registry_service_pb2.IngestRecordsResponse:
    answer = inbox.get()
    if isinstance(answer, Exception):
        raise answer
    if answer is None:
        raise broken_off()
    response: registry_service_pb2.IngestRecordsResponse = answer
    return response


def broken_off() -> UnavailableError:
    """Return the error of a stream that ended, without an error of its own, before the summary."""
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, "the stream ended before its summary")


def _receive(call: Any, inbox: SimpleQueue[Any]) -> None:
    try:
        for response in answers(call):
            inbox.put(response)
    except Exception as error:  # noqa: BLE001 – whatever it is, who waits for an answer gets it
        inbox.put(error.with_traceback(None))
    else:
        inbox.put(None)


def ingest_call(channel: Any) -> Any:
    """Return the call of a blocking or an asyncio channel, which takes the requests of an `IngestFlow`."""
    return channel.stream_stream(
        INGEST_RECORDS, response_deserializer=registry_service_pb2.IngestRecordsResponse.FromString
    )


def _body(operation: Operation, ordinal: int) -> bytes:
    match operation:
        case Delete(key=key, updated_at=updated_at):
            delete = wire.key_to_wire(key)
            message = registry_service_pb2.IngestOperation(ordinal=ordinal, delete=delete, updated_at=updated_at)
            return message.SerializeToString()
        case Upsert(record=record) | (SourceRecord() as record):
            stored = wire.record_to_wire(record) if isinstance(record, SourceRecord) else record
            around = registry_service_pb2.IngestOperation(ordinal=ordinal)
            if isinstance(operation, Upsert) and operation.other_kind is not None:
                around.other_entity_kind = wire.ENTITY_KIND.to_wire(operation.other_kind)
            return around.SerializeToString() + _field(_UPSERT, stored.SerializeToString())


def _field(of: FieldDescriptor, content: bytes) -> bytes:
    """Return a field that holds a message, of which the content is given: tag, length, content."""
    head, rest = [of.number << 3 | _LENGTH_DELIMITED], len(content)
    while rest > _VARINT_MAX:
        head.append(rest & _VARINT_MAX | _VARINT_MAX + 1)
        rest >>= 7
    return bytes((*head, rest)) + content
