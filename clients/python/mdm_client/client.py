"""The blocking client."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from mdm.v1 import (
    admin_service_pb2_grpc,
    backup_service_pb2_grpc,
    change_service_pb2_grpc,
    common_pb2,
    configuration_service_pb2_grpc,
    erasure_service_pb2_grpc,
    explain_service_pb2_grpc,
    export_service_pb2_grpc,
    golden_record_service_pb2_grpc,
    load_service_pb2_grpc,
    lookup_service_pb2_grpc,
    match_service_pb2_grpc,
    model_service_pb2_grpc,
    registry_service_pb2_grpc,
    relink_service_pb2_grpc,
    stewardship_service_pb2_grpc,
    survivorship_service_pb2_grpc,
)
from mdm_client import calls, exports, results, streams, wire_relations
from mdm_client.admin import Admin
from mdm_client.backups import Backups
from mdm_client.calls import KEYS_MAX, RECORDS_MAX, Call
from mdm_client.changes import Changes
from mdm_client.channel import DEFAULT_TARGET, Security, Timeouts, open_channel
from mdm_client.configuration import Configuration
from mdm_client.diagnosis import reason_unreachable
from mdm_client.erasures import Erasures
from mdm_client.errors import service_error, unreachable
from mdm_client.explanations import Explanations, Histories
from mdm_client.gathering import Gatherings, IdentifierQuestion, key_question
from mdm_client.health import Health
from mdm_client.ingest import Ingest, IngestFlow, Load, Operation
from mdm_client.loads import Loads
from mdm_client.models import Models
from mdm_client.records import Attributes, EntityKind, IdentifierType, RelationType, SourceKey, SourceRecord
from mdm_client.relations import GoldenRelation, Households, RelationDirection
from mdm_client.relink import Relink
from mdm_client.stewardship import Stewardship
from mdm_client.streams import KeyBatch
from mdm_client.survivorship import Survivorship

_Result = TypeVar("_Result")

STUBS = {
    "RegistryService": registry_service_pb2_grpc.RegistryServiceStub,
    "LookupService": lookup_service_pb2_grpc.LookupServiceStub,
    "MatchService": match_service_pb2_grpc.MatchServiceStub,
    "GoldenRecordService": golden_record_service_pb2_grpc.GoldenRecordServiceStub,
    "ExportService": export_service_pb2_grpc.ExportServiceStub,
    "RelinkService": relink_service_pb2_grpc.RelinkServiceStub,
    "ModelService": model_service_pb2_grpc.ModelServiceStub,
    "SurvivorshipService": survivorship_service_pb2_grpc.SurvivorshipServiceStub,
    "ConfigurationService": configuration_service_pb2_grpc.ConfigurationServiceStub,
    "ErasureService": erasure_service_pb2_grpc.ErasureServiceStub,
    "BackupService": backup_service_pb2_grpc.BackupServiceStub,
    "LoadService": load_service_pb2_grpc.LoadServiceStub,
    "ChangeService": change_service_pb2_grpc.ChangeServiceStub,
    "ExplainService": explain_service_pb2_grpc.ExplainServiceStub,
    "StewardshipService": stewardship_service_pb2_grpc.StewardshipServiceStub,
    "AdminService": admin_service_pb2_grpc.AdminServiceStub,
}


class Client:
    """A connection to the service; thread-safe, and meant to be kept and shared.

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
        """Prepare a connection; it opens with the first call.

        Args:
            target: `HOST:PORT`.
            tls: Files of an encrypted connection, or gRPC's own credentials; without it nothing is encrypted.
            timeouts: Default deadlines.
            actor: The person or system that writes, by an official name that is no personal data.
            purpose: Purpose or legal basis of the access.
            is_gathering: Whether lookups of several callers at a time travel together; one that is alone never waits.
            heeds_health: Whether a server that answers no lookups counts as away. False to ask a service that may be
                starting or in trouble how it is: `health` and `admin` then reach it too.
        """
        self.target = target
        self._tls = tls
        self._channel = open_channel(target, self._tls, heeds_health=heeds_health)
        self._timeouts = timeouts or Timeouts()
        self._caller = common_pb2.Caller(actor=actor, purpose=purpose)
        self._stubs: dict[str, Any] = {name: stub(self._channel) for name, stub in STUBS.items()}
        self._gatherings = Gatherings(self.send, is_gathering=is_gathering)
        self.relink = Relink(self)
        self.stewardship = Stewardship(self)
        self.models = Models(self)
        self.survivorship = Survivorship(self)
        self.configuration = Configuration(self)
        self.erasures = Erasures(self)
        self.backups = Backups(self)
        self.loads = Loads(self)
        self.changes = Changes(self)
        self.explain = Explanations(self)
        self.history = Histories(self)
        self.health = Health(self._channel)
        self.admin = Admin(self)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return once the service can be reached.

        Raises:
            UnavailableError: It could not be, in time; says why, also that one side speaks TLS and the other does not.
        """
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout_s)
        except grpc.FutureTimeoutError:
            raise unreachable(reason_unreachable(self.target, self._tls)) from None

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lookup(
        self, registry: str, kind: EntityKind, record_id: str, *, fresh: str = "", timeout_s: float | None = None
    ) -> results.Lookup:
        """Return the golden ID of one record; an unknown, deleted or pending key is an answer, not an error.

        Calls for one registry and kind that are under way at a time travel together, see `mdm_client.gathering`.
        """
        question = key_question(self._timeouts.single_s if timeout_s is None else timeout_s, registry, kind, fresh)
        return self._gatherings.keys.lookup(question, record_id)

    def batch_lookup(
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
            part = self.send(calls.batch_lookup(registry, kind, batch, fresh), timeout_s)
            answer = results.BatchLookup(
                answer.golden_ids + part.golden_ids, answer.statuses + part.statuses, answer.read_at or part.read_at
            )
        return answer

    def stream_lookup(self, batches: Iterable[KeyBatch]) -> Iterator[results.BatchLookup]:
        """Yield the answer to each batch, in order; `ordinal` counts them from 0. For keys without end."""
        requests = (streams.lookup_request(ordinal, batch) for ordinal, batch in enumerate(batches))
        for response in self.receive("LookupService", "StreamLookup", requests):
            yield streams.lookup_answer(response)

    def lookup_by_identifier(
        self, kind: IdentifierType, value: str, *, fresh: str = "", timeout_s: float | None = None
    ) -> results.IdentifierHolders:
        """Return every golden record that holds an identifier; `.one()` insists on a single one."""
        question = IdentifierQuestion(self._timeouts.single_s if timeout_s is None else timeout_s, kind, fresh)
        return self._gatherings.identifiers.lookup(question, value)

    def batch_lookup_by_identifier(
        self, kind: IdentifierType, values: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> list[results.IdentifierHolders]:
        """Return the holders of any number of identifiers of one type, in their order."""
        batches = split(values, KEYS_MAX)
        return [
            holders
            for batch in batches
            for holders in self.send(calls.batch_lookup_by_identifier(kind, batch, fresh), timeout_s)
        ]

    def translate_keys(
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
            part = self.send(calls.translate_keys(source_registry, kind, batch, target_registry, fresh), timeout_s)
            answer = results.Translation(
                answer.statuses + part.statuses,
                answer.target_record_ids + part.target_record_ids,
                answer.read_at or part.read_at,
            )
        return answer

    def match(
        self, attributes: Attributes, *, candidate_count_max: int = 0, fresh: str = "", timeout_s: float | None = None
    ) -> results.MatchResult:
        """Return ranked and graded candidates for a description; writes nothing. 0 candidates means 10."""
        return self.send(calls.match(attributes, candidate_count_max, fresh), timeout_s)

    def batch_match(
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
            for found in self.send(calls.batch_match(batch, candidate_count_max, fresh), timeout_s)
        ]

    def resolve(
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
        return self.send(call, timeout_s)

    def upsert(
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
        return self.send(call, timeout_s)

    def delete(
        self,
        key: SourceKey,
        *,
        allow_missing: bool = False,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> results.WriteResult:
        """Withdraw one record; raises NotFoundError if nothing was ever stored, unless `allow_missing`."""
        call = calls.delete(key, self._caller, allow_missing=allow_missing, request_id=request_id)
        return self.send(call, timeout_s)

    def get_record(self, key: SourceKey, *, fresh: str = "", timeout_s: float | None = None) -> results.StoredRecord:
        """Return one record as its registry wrote it; raises NotFoundError."""
        return self.send(calls.get_record(key, fresh), timeout_s)

    def preview(
        self,
        record: SourceRecord | common_pb2.SourceRecord,
        *,
        candidate_count_max: int = 0,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.Preview:
        """Return what an upsert would do; writes nothing. Who builds messages anyway hands over the message."""
        return self.send(calls.preview(record, candidate_count_max, fresh), timeout_s)

    def golden_record(
        self,
        golden_id: str,
        *,
        include_alternatives: bool = False,
        fresh: str = "",
        timeout_s: float | None = None,
    ) -> results.GoldenRecord:
        """Return the golden record that an ID stands for, following a redirect; raises NotFoundError."""
        return self.send(calls.golden_record(golden_id, fresh, include_alternatives=include_alternatives), timeout_s)

    def batch_get(
        self, golden_ids: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> list[results.GoldenRecord]:
        """Return any number of golden records, in the order asked; an unknown ID is an answer here."""
        batches = split(golden_ids, RECORDS_MAX)
        return [found for batch in batches for found in self.send(calls.batch_get(batch, fresh), timeout_s)]

    def current_golden_ids(
        self, golden_ids: Sequence[str], *, fresh: str = "", timeout_s: float | None = None
    ) -> results.CurrentGoldenIds:
        """Return what any number of stored golden IDs stand for now, as columns."""
        answer = results.CurrentGoldenIds([], [], "")
        for batch in split(golden_ids, KEYS_MAX):
            part = self.send(calls.current_golden_ids(batch, fresh), timeout_s)
            answer = results.CurrentGoldenIds(
                answer.surviving_golden_ids + part.surviving_golden_ids,
                answer.statuses + part.statuses,
                answer.read_at or part.read_at,
            )
        return answer

    def list_members(
        self, golden_id: str, *, page_size: int = RECORDS_MAX, fresh: str = ""
    ) -> Iterator[results.Member]:
        """Yield the source records of a golden record; fetches the next page when needed."""
        token = ""
        while True:
            members, token = self.send(calls.list_members(golden_id, page_size, token, fresh))
            yield from members
            if not token:
                return

    def households(self, golden_id: str, *, fresh: str = "", timeout_s: float | None = None) -> Households:
        """Return the households of a citizen, now and before, following a redirect; raises NotFoundError."""
        return self.send(wire_relations.households(golden_id, fresh), timeout_s)

    def list_relations(
        self,
        golden_id: str,
        *,
        type: RelationType | None = None,  # noqa: A002 – what the wire calls it
        direction: RelationDirection | None = None,
        page_size: int = RECORDS_MAX,
        fresh: str = "",
    ) -> Iterator[GoldenRelation]:
        """Yield the relations of a golden record, its own statements first; fetches the next page when needed."""
        token = ""
        while True:
            call = wire_relations.list_relations(golden_id, type, direction, page_size, token, fresh)
            found, token = self.send(call)
            yield from found
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
    ) -> exports.CrosswalkExport:
        """Return the crosswalk as an iterable of column chunks, all at one position."""
        request = exports.crosswalk_request(
            registries, kind, include_pending=include_pending, include_lineage=include_lineage, fresh=fresh
        )
        return exports.CrosswalkExport(self, request)

    def export_golden_records(
        self,
        registries: Sequence[str] = (),
        kind: EntityKind | None = None,
        *,
        fields: Sequence[str] = (),
        fresh: str = "",
    ) -> exports.GoldenRecordExport:
        """Return the values of golden records as an iterable of column chunks, all at one position.

        With registries, of those that have a record of one; with fields, only these attributes. Values are personal
        data: the export stands in the service's ledger under this client's actor and purpose.
        """
        request = exports.golden_record_request(registries, kind, fields, self._caller, fresh)
        return exports.GoldenRecordExport(self, request)

    def export_lineage(
        self, registries: Sequence[str] = (), kind: EntityKind | None = None, *, fresh: str = ""
    ) -> exports.LineageExport:
        """Return every golden ID ever issued, and what became of it, as an iterable of lists, all at one position."""
        return exports.LineageExport(self, exports.lineage_request(registries, kind, self._caller, fresh))

    def batch_compare_records(
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
            found += self.send(call, timeout_s)
        return found

    def ingest(self, operations: Iterable[Operation], load: Load) -> Ingest:
        """Return a load under way: iterate over it for each operation's outcome, in order.

        Sends records as fast as the service takes them, survives restarts of the service, and resumes by the load's id.
        """
        return Ingest(self._channel, IngestFlow(load, operations, self._caller))

    def send(self, call: Call[_Result], timeout_s: float | None = None) -> _Result:
        """Send one unary call and return its decoded answer."""
        default_s = self._timeouts.batch_s if call.is_batch else self._timeouts.single_s
        method = getattr(self._stubs[call.service], call.method)
        try:
            return call.decode(method(call.request, timeout=default_s if timeout_s is None else timeout_s))
        except grpc.RpcError as error:
            raise service_error(error) from None

    @streams.left_at_exit
    def receive(self, service: str, method: str, request: Any) -> Generator[Any, None, None]:
        """Yield the messages of a streaming call; leaving the iteration cancels it."""
        metadata = (("mdm-actor", self._caller.actor), ("mdm-purpose", self._caller.purpose))
        yield from streams.answers(getattr(self._stubs[service], method)(request, metadata=metadata))

    @property
    def caller(self) -> common_pb2.Caller:
        """Who writes through this client."""
        return self._caller


def split(items: Sequence[_Result], count_max: int) -> Iterator[Sequence[_Result]]:
    """Yield slices of at most `count_max` items."""
    for start in range(0, len(items), count_max):
        yield items[start : start + count_max]
