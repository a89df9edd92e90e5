"""The stream of a load: operations in, acknowledgements out, a bounded number between.

One thread reads the caller's messages, proposes groups of records and sends them to the writer; the handler's thread
waits for the writer and acknowledges in order. Proposals run ahead of the writer by two groups at most: a proposal is
void once a neighbour was written. Records that are resolved later need none, and more of them travel together.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from mdm import stages
from mdm.declarations.sections import Feed
from mdm.domain.events import Cause
from mdm.errors import InvalidInputError, LimitExceededError
from mdm.limits import (
    INGEST_DEFERRED_IN_FLIGHT_GROUPS,
    INGEST_DEFERRED_RECORDS,
    INGEST_IN_FLIGHT_GROUPS,
    INGEST_PROPOSAL_RECORDS,
    INGEST_WINDOW_RECORDS,
    WRITER_ANSWER_S_MAX,
)
from mdm.linkage.features import FieldIssue
from mdm.linkage.normalise.record import value_issues
from mdm.resolve.commands import (
    Answer,
    BeginLoad,
    Delete,
    FinishLoad,
    LoadAnswer,
    Refusal,
    Request,
    Upsert,
    WriteAnswer,
)
from mdm.resolve.reader import Reader
from mdm.server import frames, metrics
from mdm.server.errors import InvalidRequestError
from mdm.server.logs import log_failure
from mdm.server.validation import violations_of
from mdm.server.wire_answers import OUTCOMES, change_messages, issue_messages, issues_of
from mdm.server.wire_records import KINDS, source_key, source_record
from mdm.server.writer_link import WriterLink, answers_of, refused, wait_for
from mdm.v1 import common_pb2 as common
from mdm.v1 import registry_service_pb2 as wire

_Violations = tuple[tuple[str, str], ...]


class _Sent(msgspec.Struct):
    """A group on its way: each operation's ordinal, and why it is rejected or its place among the commands."""

    ordinals: list[int]
    rejections: dict[int, _Violations]
    """By index in `ordinals`."""
    issues: dict[int, tuple[FieldIssue, ...]]
    """Of deferred records, by index in `ordinals`: the writer does not look into their values."""
    answer: Future[frames.Reply] | None


class _Pace(NamedTuple):
    """How much of a stream may be on its way to the writer."""

    together: int
    """Records in one message."""
    in_flight: int
    """Messages."""
    window: int
    """Records that the client may send and not have acknowledged."""


_RESOLVED = _Pace(INGEST_PROPOSAL_RECORDS, INGEST_IN_FLIGHT_GROUPS, INGEST_WINDOW_RECORDS)
_DEFERRED = _Pace(
    INGEST_DEFERRED_RECORDS,
    INGEST_DEFERRED_IN_FLIGHT_GROUPS,
    INGEST_DEFERRED_RECORDS * INGEST_DEFERRED_IN_FLIGHT_GROUPS,
)


class _Load(msgspec.Struct):
    """What holds for the whole stream."""

    request: Request
    registry: str
    feed: Feed
    is_deferred: bool
    allow_older: bool
    claim: frames.Claim
    resumed_ordinal: int
    """Last ordinal that was durable when the stream began."""

    @property
    def pace(self) -> _Pace:
        return _DEFERRED if self.is_deferred else _RESOLVED


def ingest(
    reader: Reader,
    link: WriterLink,
    requests: Iterator[wire.IngestRecordsRequest],
    cause_of_header: Callable[[wire.IngestHeader], Cause],
) -> Iterator[wire.IngestRecordsResponse]:
    """Yield the answers of one load.

    Raises:
        InvalidInputError: The messages do not come in the order that the proto states, or the feed is unknown.
        LimitExceededError: More operations are unacknowledged than were granted.
        WriterUnavailableError: The writer is gone, or another stream took the load over; what is acknowledged is
            durable, the rest is to be sent again.
    """
    first = next(requests, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidInputError("header", "must be the first message of the stream")
    load = _load(reader, link, first.header, cause_of_header(first.header))
    try:
        yield from _responses(reader, link, load, requests)
    finally:
        link.release_load(load.claim)


def _responses(
    reader: Reader, link: WriterLink, load: _Load, requests: Iterator[wire.IngestRecordsRequest]
) -> Iterator[wire.IngestRecordsResponse]:
    accepted = wire.IngestAccepted(
        durable_ordinal=load.resumed_ordinal,
        credit_operation_count=load.pace.window,
        load_id=load.request.cause.load_id,
    )
    yield wire.IngestRecordsResponse(accepted=accepted)
    intake = _Intake(reader, link, load, requests)
    counts: collections.Counter[int] = collections.Counter()
    last_seq = 0
    try:
        while (sent := intake.next()) is not None:
            begun_s = time.perf_counter()
            answers = answers_of(wait_for(sent.answer, WRITER_ANSWER_S_MAX)) if sent.answer is not None else ()
            stages.note(stages.WRITE, time.perf_counter() - begun_s)
            outcomes = _outcomes(sent, answers)
            gained = collections.Counter(outcome.outcome for outcome in outcomes)
            counts.update(gained)
            for outcome, count in gained.items():
                name = common.WriteOutcome.Name(outcome).removeprefix("WRITE_OUTCOME_").lower()
                metrics.load_operations.labels(name).inc(count)
            last_seq = max(last_seq, *(answer.seq for answer in answers if isinstance(answer, WriteAnswer)), 0)
            intake.acknowledge(len(outcomes))
            acknowledgements = wire.IngestAcknowledgements(
                outcomes=outcomes,
                durable_ordinal=sent.ordinals[-1],
                credit_operation_count=len(outcomes),
                token=_token(reader, last_seq),
            )
            yield wire.IngestRecordsResponse(acknowledgements=acknowledgements)
    finally:
        intake.stop()
    if intake.is_complete:
        end = intake.end
        counts_stated = (end.row_count, end.unchanged_record_count, end.rejected_row_count, end.refused_delete_count)
        ended = link.write(FinishLoad(load.request, *counts_stated))
        summary = _summary(reader, counts, last_seq)
        summary.is_registry_changed = isinstance(ended, LoadAnswer) and ended.is_registry_changed
        yield wire.IngestRecordsResponse(summary=summary)


class _Intake:
    """The thread that reads a stream's operations and sends them to the writer.

    Invariant: no more groups than the load's pace allows are proposed or sent and not acknowledged.
    """

    def __init__(
        self, reader: Reader, link: WriterLink, load: _Load, requests: Iterator[wire.IngestRecordsRequest]
    ) -> None:
        self.is_complete = False
        self.end = wire.IngestEnd()
        self._reader = reader
        self._link = link
        self._load = load
        self._requests = requests
        self._last_ordinal = load.resumed_ordinal
        self._count_lock = threading.Lock()
        self._unacknowledged_count = 0
        self._places = threading.Semaphore(load.pace.in_flight)
        self._sent: queue.SimpleQueue[_Sent | Exception | None] = queue.SimpleQueue()
        self._is_stopped = False
        threading.Thread(target=self._run, name="ingest", daemon=True).start()

    def next(self) -> _Sent | None:
        """Return the next group, None after the last; raise what ended the stream."""
        sent = self._sent.get()
        if isinstance(sent, Exception):
            raise sent
        return sent

    def acknowledge(self, count: int) -> None:
        """Make place for another group."""
        with self._count_lock:
            self._unacknowledged_count -= count
        self._places.release()

    def stop(self) -> None:
        """Let the thread end."""
        self._is_stopped = True
        self._places.release()

    def _run(self) -> None:
        try:
            for request in self._requests:
                self._take(request)
                if self.is_complete or self._is_stopped:
                    break
        except Exception as error:  # noqa: BLE001 – whatever it is, the call's own thread raises it
            # Raised where the call can answer it, behind the acknowledgements of what came before.
            self._sent.put(error)
        else:
            self._sent.put(None)

    def _take(self, request: wire.IngestRecordsRequest) -> None:
        match request.WhichOneof("part"):
            case "operations":
                self._take_operations(request.operations.operations)
            case "end":
                self.end = request.end
                self.is_complete = True
            case _:
                raise InvalidInputError("header", "must come once, before the operations")

    def _take_operations(self, operations: Sequence[wire.IngestOperation]) -> None:
        with self._count_lock:
            self._unacknowledged_count += len(operations)
            is_beyond = self._unacknowledged_count > self._load.pace.window
        if is_beyond:
            raise LimitExceededError(f"at most {self._load.pace.window} operations may be unacknowledged")
        together = self._load.pace.together
        for start in range(0, len(operations), together):
            self._places.acquire()
            if self._is_stopped:
                return
            self._sent.put(self._send(operations[start : start + together]))

    def _send(self, operations: Iterable[wire.IngestOperation]) -> _Sent:
        ordinals: list[int] = []
        rejections: dict[int, _Violations] = {}
        issues: dict[int, tuple[FieldIssue, ...]] = {}
        commands: list[Upsert | Delete] = []
        for index, operation in enumerate(operations):
            if operation.ordinal <= self._last_ordinal:
                raise InvalidInputError("ordinal", "must be larger than all before it in the load")
            self._last_ordinal = operation.ordinal
            ordinals.append(operation.ordinal)
            try:
                command = _command(self._reader, self._load, operation)
                if isinstance(command, Upsert) and command.is_deferred:
                    issues[index] = value_issues(command.record)
                commands.append(command)
            except Exception as error:  # noqa: BLE001 – one bad record never ends a load
                rejections[index] = _rules_of(error)
        return _Sent(ordinals, rejections, issues, self._link.send(commands, self._load.claim) if commands else None)


def _load(reader: Reader, link: WriterLink, header: wire.IngestHeader, cause: Cause) -> _Load:
    feed = reader.feed(header.feed)
    is_deferred = header.resolve == common.RESOLVE_TIME_LATER
    begin = BeginLoad(
        Request(cause),
        header.load_id,
        header.feed,
        header.is_full,
        is_deferred,
        header.allow_older,
        header.content_digest,
        header.registry_digest,
    )
    claim, begun = link.claim_load(begin)
    return _Load(
        request=Request(msgspec.structs.replace(cause, load_id=begun.load_id)),
        registry=header.feed.partition(".")[0],
        feed=feed,
        is_deferred=is_deferred,
        allow_older=header.allow_older,
        claim=claim,
        resumed_ordinal=begun.ordinal,
    )


def _command(reader: Reader, load: _Load, operation: wire.IngestOperation) -> Upsert | Delete:
    violations = violations_of(operation)
    if violations:
        raise InvalidRequestError(violations)
    if operation.WhichOneof("operation") == "delete":
        key = source_key(operation.delete)
        _check_feed(load, key.registry, key.kind)
        return Delete(load.request, key, operation.ordinal, operation.updated_at, load.allow_older)
    record = source_record(operation.upsert)
    _check_feed(load, record.key.registry, record.key.kind)
    return Upsert(
        load.request,
        record,
        is_deferred=load.is_deferred,
        allow_older=load.allow_older,
        proposal=None if load.is_deferred else reader.searches.propose(record),
        ordinal=operation.ordinal,
        other_kind=KINDS.get(operation.other_entity_kind),
    )


def _check_feed(load: _Load, registry: str, kind: str) -> None:
    if registry != load.registry:
        raise InvalidInputError("key.registry", "must be the registry of the load's feed")
    if kind not in load.feed.kinds:
        raise InvalidInputError("key.entity_kind", "must be a kind that the load's feed holds")


def _rules_of(error: Exception) -> _Violations:
    match error:
        case InvalidRequestError(violations=violations):
            return tuple(violations)
        case InvalidInputError(field=field, rule=rule):
            return ((field, rule),)
        case _:
            # A defect on one record must not stop the load at it for ever.
            error_id = getattr(error, "error_id", "") or log_failure("operation_failed", error)
            return (("record", f"the server failed on this record; its log has error id {error_id}"),)


def _outcomes(sent: _Sent, answers: Iterable[Answer]) -> list[wire.IngestOutcome]:
    following = iter(answers)
    outcomes: list[wire.IngestOutcome] = []
    for index, ordinal in enumerate(sent.ordinals):
        rules = sent.rejections.get(index)
        if rules is not None:
            outcomes.append(_rejected(ordinal, rules))
            continue
        match next(following):
            case WriteAnswer() as answer:
                outcomes.append(
                    wire.IngestOutcome(
                        ordinal=ordinal,
                        outcome=OUTCOMES[answer.outcome],
                        golden_id=answer.golden_id or "",
                        value_issues=issue_messages(issues_of(answer, sent.issues.get(index, ()))),
                        changes=change_messages(answer.changes),
                    )
                )
            case Refusal() as refusal:
                outcomes.append(_rejected(ordinal, _rules_of(refused(refusal))))
            case other:
                raise TypeError(type(other).__name__)
    return outcomes


def _rejected(ordinal: int, rules: _Violations) -> wire.IngestOutcome:
    return wire.IngestOutcome(
        ordinal=ordinal,
        outcome=common.WRITE_OUTCOME_REJECTED,
        value_issues=[common.ValueIssue(field=field, rule=rule) for field, rule in rules],
    )


def _summary(reader: Reader, counts: collections.Counter[int], last_seq: int) -> wire.IngestSummary:
    outcomes = [
        wire.OutcomeCount(outcome=common.WriteOutcome.ValueType(outcome), operation_count=count)
        for outcome, count in sorted(counts.items())
    ]
    return wire.IngestSummary(token=_token(reader, last_seq), outcome_counts=outcomes)


def _token(reader: Reader, last_seq: int) -> common.JournalToken:
    return common.JournalToken(value=reader.token(last_seq or reader.applied_seq()))
