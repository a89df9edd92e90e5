"""One load stream, as light as a client can be: messages serialised before, acknowledgements timed; and its ceiling."""

from __future__ import annotations

import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import grpc
import msgspec

from benchmarks.ceilings.started import told_by
from benchmarks.load.histogram import Histogram
from benchmarks.session import Session
from mdm.v1 import common_pb2 as common
from mdm.v1 import registry_service_pb2 as registry
from mdm_client.ingest import MESSAGE_OPERATIONS_MAX, UNDER_WAY_MAX

INGEST = "/mdm.v1.RegistryService/IngestRecords"
_STREAM_S_MAX = 3600.0
_STORED = (
    common.WRITE_OUTCOME_CREATED,
    common.WRITE_OUTCOME_LINKED,
    common.WRITE_OUTCOME_REVIEW,
    common.WRITE_OUTCOME_PENDING,
    common.WRITE_OUTCOME_UPDATED,
)


class Ingested(NamedTuple):
    """What a load stream did."""

    record_count: int
    seconds: float
    """From the first record's sending to the last acknowledgement."""
    latency: Histogram
    """From when a record was due, or sent where nothing was due, to its acknowledgement."""
    lateness: Histogram
    outcomes: Counter[int]
    client_cpu_s: float

    @property
    def rate_per_s(self) -> float:
        """Acknowledged records a second."""
        return self.record_count / self.seconds


class _Sending:
    """The requests of a stream, sent as credit and rate allow; remembers when each record was due."""

    def __init__(self, header: bytes, messages: Sequence[tuple[int, bytes]], outstanding_max: int, rate: float) -> None:
        self.credit: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.due: deque[tuple[int, float]] = deque()
        """Last ordinal of a message, and when it was due."""
        self.late_s: list[float] = []
        self.began_s = 0.0
        self.acknowledged = 0
        self._header = header
        self._messages = messages
        self._outstanding_max = outstanding_max
        self._rate = rate

    def __iter__(self) -> Iterator[bytes]:
        yield self._header
        available = self.credit.get()
        self.began_s = time.monotonic()
        sent = 0
        for count, body in self._messages:
            while available < count or sent + count - self.acknowledged > self._outstanding_max:
                available += self.credit.get()
            due_s = self._await(sent)
            available -= count
            sent += count
            self.due.append((sent, due_s))
            yield body
        yield registry.IngestRecordsRequest(end=registry.IngestEnd()).SerializeToString()

    def _await(self, sent: int) -> float:
        now_s = time.monotonic()
        if not self._rate:
            return now_s
        due_s = self.began_s + sent / self._rate
        if due_s > now_s:
            time.sleep(due_s - now_s)
        self.late_s.append(max(time.monotonic() - due_s, 0.0))
        return due_s


def ingest(
    address: str,
    records: Sequence[common.SourceRecord],
    *,
    outstanding_max: int = UNDER_WAY_MAX,
    rate_per_s: float = 0.0,
    message_operations: int = MESSAGE_OPERATIONS_MAX,
    resolve: common.ResolveTime.ValueType = common.RESOLVE_TIME_NOW,
) -> Ingested:
    """Send records over one stream, and return when every one is acknowledged as durable.

    Args:
        address: `HOST:PORT`.
        records: Of the hospital.
        outstanding_max: Records sent and not acknowledged; unless told otherwise those of the SDK.
        rate_per_s: Records due in each second; 0 sends as fast as the window allows.
        message_operations: Records in one message.
        resolve: Whether they get golden IDs now.

    Raises:
        grpc.RpcError: The stream failed.
        RuntimeError: Not every record was acknowledged and written.
    """
    header = registry.IngestHeader(load_id=f"bench-{uuid.uuid4().hex}", feed="hospital.patients", resolve=resolve)
    sending = _Sending(
        registry.IngestRecordsRequest(header=header).SerializeToString(),
        [*_messages(records, message_operations)],
        outstanding_max,
        rate_per_s,
    )
    outcomes: Counter[int] = Counter()
    waited_s: list[float] = []
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(INGEST)
        cpu_s = time.process_time()
        ended_s = 0.0
        for body in stream(iter(sending), timeout=_STREAM_S_MAX):
            now_s = time.monotonic()
            response = registry.IngestRecordsResponse.FromString(body)
            outcomes.update(each.outcome for each in response.acknowledgements.outcomes)
            sending.acknowledged = outcomes.total()
            _time(sending, now_s, waited_s)
            if response.acknowledgements.outcomes:
                ended_s = now_s
            sending.credit.put(
                response.accepted.credit_operation_count or response.acknowledgements.credit_operation_count
            )
    if outcomes.total() != len(records):
        raise RuntimeError(f"{len(records)} records were sent and {outcomes.total()} acknowledged")
    # Otherwise what is measured is how fast a service finds that it has nothing to write.
    if unwritten := len(records) - sum(outcomes[outcome] for outcome in _STORED):
        raise RuntimeError(
            f"{unwritten} of {len(records)} records were rejected or stored before; "
            "a deployment that was measured before takes another --seed"
        )
    return Ingested(
        len(records),
        ended_s - sending.began_s,
        Histogram.of(waited_s),
        Histogram.of(sending.late_s),
        outcomes,
        time.process_time() - cpu_s,
    )


class Appends(msgspec.Struct):
    """What SQLite alone does with records, appending them durably."""

    records_per_s: float
    median_ms: float
    """Of a transaction."""
    p99_ms: float


def appends(session: Session, records: Iterable[common.SourceRecord], group: int) -> Appends:
    """Measure durable appends of these records, so many in a transaction."""
    file = session.requests("appends", records)
    told = told_by("ceilings.durable_appends", session.scratch, file, group, session.options.measure_seconds)
    return msgspec.convert(told, Appends)


def _time(sending: _Sending, now_s: float, waited_s: list[float]) -> None:
    """Take the messages that are acknowledged whole off those under way: all their records waited as long."""
    while sending.due and sending.due[0][0] <= sending.acknowledged:
        _, due_s = sending.due.popleft()
        waited_s.append(now_s - due_s)


def _messages(records: Sequence[common.SourceRecord], size: int) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(records), size):
        part = records[start : start + size]
        operations = registry.IngestOperations(
            operations=[registry.IngestOperation(ordinal=start + n, upsert=each) for n, each in enumerate(part, 1)]
        )
        yield len(part), registry.IngestRecordsRequest(operations=operations).SerializeToString()
