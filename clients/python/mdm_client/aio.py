"""The asyncio client: the same calls as `client.Client`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from mdm.v1 import common_pb2
from mdm_client import calls, exports, results, streams, wire_relations
from mdm_client.admin import AsyncAdmin
from mdm_client.backups import AsyncBackups
from mdm_client.calls import KEYS_MAX, RECORDS_MAX, Call
from mdm_client.changes import AsyncChanges
from mdm_client.channel import DEFAULT_TARGET, Security, Timeouts, open_async_channel
from mdm_client.client import STUBS, split
from mdm_client.configuration import AsyncConfiguration
from mdm_client.diagnosis import reason_unreachable
from mdm_client.erasures import AsyncErasures
from mdm_client.errors import ServiceError, service_error, unreachable
from mdm_client.explanations import AsyncExplanations, AsyncHistories
from mdm_client.gathering import AsyncGatherings, IdentifierQuestion, key_question
from mdm_client.health import AsyncHealth
from mdm_client.ingest import IngestFlow, Load, Operation, Retry, broken_off, ingest_call
from mdm_client.loads import AsyncLoads
from mdm_client.models import AsyncModels
from mdm_client.records import Attributes, EntityKind, IdentifierType, RelationType, SourceKey, SourceRecord
from mdm_client.relations import GoldenRelation, Households, RelationDirection
from mdm_client.relink import AsyncRelink
from mdm_client.stewardship import AsyncStewardship
from mdm_client.survivorship import AsyncSurvivorship

_Result = TypeVar("_Result")


class AsyncClient:
    """A connection to the service; of one event loop, and meant to be kept and shared.

    Every call has a deadline, is repeated while the service is away, and raises a `ServiceError` if it fails for good.
    `fresh` takes the token of a write: the answer then includes that write. `timeout_s` replaces the default deadline.
    A write gets a new `request_id` unless one is given; repeating it with the same id and content is safe at any time.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        tls: Security = None,
        timeouts: Timeouts | None = None,
        actor: str = "",
        purpose: str = "",
        is_gathering: bool = True,
        heeds_health: bool = True,
    ) -> None:
        """Prepare a connection; it opens with the first call. The arguments are those of `Client`."""
        self.target = target
        self._tls = tls
        self._channel = open_async_channel(target, self._tls, heeds_health=heeds_health)
        self._timeouts = timeouts or Timeouts()
        self._caller = common_pb2.Caller(actor=actor, purpose=purpose)
        self._stubs: dict[str, Any] = {name: stub(self._channel) for name, stub in STUBS.items()}
        self._gatherings = AsyncGatherings(self.send, is_gathering=is_gathering)
        self.relink = AsyncRelink(self)
        self.stewardship = AsyncStewardship(self)
        self.models = AsyncModels(self)
        self.admin = AsyncAdmin(self)
        self.survivorship = AsyncSurvivorship(self)
        self.configuration = AsyncConfiguration(self)
        self.erasures = AsyncErasures(self)
        self.backups = AsyncBackups(self)
        self.loads = AsyncLoads(self)
        self.changes = AsyncChanges(self)
        self.explain = AsyncExplanations(self)
        self.history = AsyncHistories(self)
        self.health = AsyncHealth(self._channel)

    async def wait_until_ready(self, timeout_s: float) -> None:
        """Return once the service can be reached; raises as the blocking one does."""
        try:
            await asyncio.wait_for(self._channel.channel_ready(), timeout_s)
        except TimeoutError:
            why = await asyncio.to_thread(reason_unreachable, self.target, self._tls)
            raise unreachable(why) from None

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def lookup(
        self, registry: str, kind: EntityKind, record_id: str, *, fresh: str = "", timeout_s: float | None = None
    ) -> Coroutine[Any, Any, results.Lookup]:
        """Return the golden ID of one record; an unknown, deleted or pending key is an answer, not an error.

        Calls for one registry and kind that are under way at a time travel together, see `mdm_client.gathering`.
        """
        question = key_question(self._timeouts.single_s if timeout_s is None else timeout_s, registry, kind, fresh)
        return self._gatherings.keys.lookup(question, record_id)

    async def batch_lookup(
        self,
        registry: str,
        kind: EntityKind,
        record_ids: Sequence[str],
        *,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.BatchLookup:
        """Return the golden IDs of any number of keys of one registry, as columns; one call for each 10,000."""
        answer = results.BatchLookup([], [], "")
        for batch in split(record_ids, KEYS_MAX):
            part = await self.send(calls.batch_lookup(registry, kind, batch, fresh), timeout_s)
            answer = results.BatchLookup(
                answer.golden_ids + part.golden_ids, answer.statuses + part.statuses, answer.read_at or part.read_at
            )
        return answer

    async def stream_lookup(self, batches: Iterable[streams.KeyBatch]) -> AsyncIterator[results.BatchLookup]:
        """Yield the answer to each batch, in order; `ordinal` counts them from 0. For keys without end."""
        requests = (streams.lookup_request(ordinal, batch) for ordinal, batch in enumerate(batches))
        async for response in self.receive("LookupService", "StreamLookup", requests):
            yield streams.lookup_answer(response)

    async def lookup_by_identifier(
        self, kind: IdentifierType, value: str, *, fresh: str = "", timeout_s: float | None = None
    ) -> results.IdentifierHolders:
        """Return every golden record that holds an identifier; `.one()` insists on a single one."""
        question = IdentifierQuestion(self._timeouts.single_s if timeout_s is None else timeout_s, kind, fresh)
        return await self._gatherings.identifiers.lookup(question, value)

    async def batch_lookup_by_identifier(
        self, kind: IdentifierType, values: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> list[results.IdentifierHolders]:
        """Return the holders of any number of identifiers of one type, in their order."""
        batches = split(values, KEYS_MAX)
        return [
            holders
            for batch in batches
            for holders in await self.send(calls.batch_lookup_by_identifier(kind, batch, fresh), timeout_s)
        ]

    async def translate_keys(
        self,
        source_registry: str,
        kind: EntityKind,
        record_ids: Sequence[str],
        target_registry: str,
        *,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.Translation:
        """Return the same bearers' keys in another registry, or with the same registry their duplicates there."""
        answer = results.Translation([], [], "")
        for batch in split(record_ids, KEYS_MAX):
            part = await self.send(
                calls.translate_keys(source_registry, kind, batch, target_registry, fresh), timeout_s
            )
            answer = results.Translation(
                answer.statuses + part.statuses,
                answer.target_record_ids + part.target_record_ids,
                answer.read_at or part.read_at,
            )
        return answer

    async def match(
        self, attributes: Attributes, *, candidate_count_max: int = 0, fresh: str = "", timeout_s: float | None = None
    ) -> results.MatchResult:
        """Return ranked and graded candidates for a description; writes nothing. 0 candidates means 10."""
        return await self.send(calls.match(attributes, candidate_count_max, fresh), timeout_s)

    async def batch_match(
        self,
        attributes: Sequence[Attributes],
        *,
        candidate_count_max: int = 0,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> list[results.MatchResult]:
        """Return candidates for any number of descriptions, in their order; one call for each 500."""
        batches = split(attributes, RECORDS_MAX)
        return [
            found
            for batch in batches
            for found in await self.send(calls.batch_match(batch, candidate_count_max, fresh), timeout_s)
        ]

    async def resolve(
        self,
        attributes: Attributes,
        *,
        key: SourceKey | None = None,
        updated_at: str = "",
        choice: results.ClerkChoice | None = None,
        request_id: str | None = None,
        candidate_count_max: int = 0,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.Resolution:
        """Search before create: with a key, store the record and link it or give it an ID; without one, only search."""
        call = calls.resolve(
            attributes,
            self._caller,
            key=key,
            updated_at=updated_at,
            choice=choice,
            request_id=request_id,
            candidate_count_max=candidate_count_max,
            fresh=fresh,
        )
        return await self.send(call, timeout_s)

    async def upsert(
        self,
        record: SourceRecord,
        *,
        is_resolved_later: bool = False,
        allow_older: bool = False,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> results.WriteResult:
        """Store one record, new or changed, and resolve it; durable when this returns."""
        call = calls.upsert(
            record, self._caller, is_resolved_later=is_resolved_later, allow_older=allow_older, request_id=request_id
        )
        return await self.send(call, timeout_s)

    async def delete(
        self,
        key: SourceKey,
        *,
        allow_missing: bool = False,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> results.WriteResult:
        """Withdraw one record; raises NotFoundError if nothing was ever stored, unless `allow_missing`."""
        call = calls.delete(key, self._caller, allow_missing=allow_missing, request_id=request_id)
        return await self.send(call, timeout_s)

    async def get_record(
        self, key: SourceKey, *, fresh: str = "", timeout_s: float | None = None
    ) -> results.StoredRecord:
        """Return one record as its registry wrote it; raises NotFoundError."""
        return await self.send(calls.get_record(key, fresh), timeout_s)

    async def preview(
        self,
        record: SourceRecord | common_pb2.SourceRecord,
        *,
        candidate_count_max: int = 0,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.Preview:
        """Return what an upsert would do; writes nothing. Who builds messages anyway hands over the message."""
        return await self.send(calls.preview(record, candidate_count_max, fresh), timeout_s)

    async def golden_record(
        self,
        golden_id: str,
        *,
        include_alternatives: bool = False,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.GoldenRecord:
        """Return the golden record that an ID stands for, following a redirect; raises NotFoundError."""
        return await self.send(
            calls.golden_record(golden_id, fresh, include_alternatives=include_alternatives), timeout_s
        )

    async def batch_get(
        self, golden_ids: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> list[results.GoldenRecord]:
        """Return any number of golden records, in the order asked; an unknown ID is an answer here."""
        batches = split(golden_ids, RECORDS_MAX)
        return [found for batch in batches for found in await self.send(calls.batch_get(batch, fresh), timeout_s)]

    async def current_golden_ids(
        self, golden_ids: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> results.CurrentGoldenIds:
        """Return what any number of stored golden IDs stand for now, as columns."""
        answer = results.CurrentGoldenIds([], [], "")
        for batch in split(golden_ids, KEYS_MAX):
            part = await self.send(calls.current_golden_ids(batch, fresh), timeout_s)
            answer = results.CurrentGoldenIds(
                answer.surviving_golden_ids + part.surviving_golden_ids,
                answer.statuses + part.statuses,
                answer.read_at or part.read_at,
            )
        return answer

    async def list_members(
        self, golden_id: str, *, page_size: int = RECORDS_MAX, fresh: str = ""
    ) -> AsyncIterator[results.Member]:
        """Yield the source records of a golden record; fetches the next page when needed."""
        token = ""
        while True:
            members, token = await self.send(calls.list_members(golden_id, page_size, token, fresh))
            for member in members:
                yield member
            if not token:
                return

    async def households(self, golden_id: str, *, fresh: str = "", timeout_s: float | None = None) -> Households:
        """Return the households of a citizen, now and before, following a redirect; raises NotFoundError."""
        return await self.send(wire_relations.households(golden_id, fresh), timeout_s)

    async def list_relations(
        self,
        golden_id: str,
        *,
        type: RelationType | None = None,  # noqa: A002 – what the wire calls it
        direction: RelationDirection | None = None,
        page_size: int = RECORDS_MAX,
        fresh: str = "",
    ) -> AsyncIterator[GoldenRelation]:
        """Yield the relations of a golden record, its own statements first; fetches the next page when needed."""
        token = ""
        while True:
            call = wire_relations.list_relations(golden_id, type, direction, page_size, token, fresh)
            found, token = await self.send(call)
            for relation in found:
                yield relation
            if not token:
                return

    def export_crosswalk(
        self,
        registries: Sequence[str] = (),
        kind: EntityKind | None = None,
        *,
        include_pending: bool = False,
        include_lineage: bool = False,
        fresh: str = "",
    ) -> exports.AsyncCrosswalkExport:
        """Return the crosswalk as an iterable of column chunks, all at one position."""
        request = exports.crosswalk_request(
            registries, kind, include_pending=include_pending, include_lineage=include_lineage, fresh=fresh
        )
        return exports.AsyncCrosswalkExport(self, request)

    def export_golden_records(
        self,
        registries: Sequence[str] = (),
        kind: EntityKind | None = None,
        *,
        fields: Sequence[str] = (),
        fresh: str = "",
    ) -> exports.AsyncGoldenRecordExport:
        """Return the values of golden records as an iterable of column chunks, all at one position.

        With registries, of those that have a record of one; with fields, only these attributes. Values are personal
        data: the export stands in the service's ledger under this client's actor and purpose.
        """
        request = exports.golden_record_request(registries, kind, fields, self._caller, fresh)
        return exports.AsyncGoldenRecordExport(self, request)

    def export_lineage(
        self, registries: Sequence[str] = (), kind: EntityKind | None = None, *, fresh: str = ""
    ) -> exports.AsyncLineageExport:
        """Return every golden ID ever issued, and what became of it, as an iterable of lists, all at one position."""
        return exports.AsyncLineageExport(self, exports.lineage_request(registries, kind, self._caller, fresh))

    async def batch_compare_records(
        self,
        registry: str,
        kind: EntityKind,
        record_ids: Sequence[str],
        digests: Sequence[bytes],
        *,
        is_resolved_later: bool = False,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> list[bool]:
        """Return for each of any number of records whether it is stored with just these values.

        An upsert of one that is would change nothing, so a load need not send it. `digests` holds the `content_digest`
        of each record; with `is_resolved_later` one that waits for its golden ID counts as stored.
        """
        found: list[bool] = []
        for start in range(0, len(record_ids), KEYS_MAX):
            part = slice(start, start + KEYS_MAX)
            call = calls.batch_compare(
                registry, kind, record_ids[part], digests[part], later=is_resolved_later, fresh=fresh
            )
            found += await self.send(call, timeout_s)
        return found

    def ingest(self, operations: Iterable[Operation], load: Load) -> AsyncIngest:
        """Return a load under way: iterate over it for each operation's outcome, in order.

        Sends records as fast as the service takes them, survives restarts of the service, and resumes by the load's id.
        """
        return AsyncIngest(self._channel, IngestFlow(load, operations, self._caller))

    async def send(self, call: Call[_Result], timeout_s: float | None = None) -> _Result:
        """Send one unary call and return its decoded answer."""
        default_s = self._timeouts.batch_s if call.is_batch else self._timeouts.single_s
        method = getattr(self._stubs[call.service], call.method)
        try:
            return call.decode(await method(call.request, timeout=default_s if timeout_s is None else timeout_s))
        except grpc.RpcError as error:
            raise service_error(error) from None

    async def receive(self, service: str, method: str, request: Any) -> AsyncIterator[Any]:
        """Yield the messages of a streaming call; leaving the iteration cancels it."""
        metadata = (("mdm-actor", self._caller.actor), ("mdm-purpose", self._caller.purpose))
        call = getattr(self._stubs[service], method)(request, metadata=metadata)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise service_error(error) from None
        finally:
            call.cancel()

    @property
    def caller(self) -> common_pb2.Caller:
        """Who writes through this client."""
        return self._caller


class AsyncIngest:
    """A load under way: iterate over it for the outcome of each operation, in their order.

    The last outcome is durable before the iteration ends; then `flow.counts`, `flow.skipped_count` and `flow.token` are
    complete.
    """

    def __init__(self, channel: grpc.aio.Channel, flow: IngestFlow) -> None:
        self._call = ingest_call(channel)
        self.flow = flow

    async def __aiter__(self) -> AsyncIterator[results.IngestOutcome]:
        """Send everything; yield each outcome as it arrives. Raises what an iteration over `Ingest` does."""
        retry = Retry(self.flow.load.give_up_s, on_away=self.flow.load.on_away)
        while not self.flow.is_finished:
            try:
                async for outcome in self._attempt():
                    retry.progress()
                    yield outcome
            except ServiceError as error:
                if error is self.flow.failure:
                    raise
                await asyncio.sleep(retry.delay_s(error))

    async def _attempt(self) -> AsyncIterator[results.IngestOutcome]:
        flow = self.flow
        call = self._call()
        try:
            await _write(call, flow.header())
            while not flow.is_finished:
                while (request := flow.next_request()) is not None:
                    await _write(call, request)
                for outcome in flow.local_outcomes():
                    yield outcome
                if not flow.is_finished:
                    response = await call.read()
                    if response is grpc.aio.EOF:
                        raise broken_off()
                    for outcome in flow.receive(response):
                        yield outcome
        except grpc.RpcError as error:
            raise service_error(error) from None
        finally:
            call.cancel()


async def _write(call: Any, request: bytes) -> None:
    try:
        await call.write(request)
    except asyncio.InvalidStateError:
        # The call has ended; reading tells why.
        await call.read()
        raise broken_off() from None
