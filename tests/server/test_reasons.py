"""Each reason that the wire can show is provoked over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from mdm.limits import BATCH_LOOKUP_KEYS_MAX, INGEST_WINDOW_RECORDS, REQUEST_UNARY_BYTES_MAX
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import load_service_pb2 as load
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import relink_service_pb2 as relink
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.load_service_pb2_grpc import LoadServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.relink_service_pb2_grpc import RelinkServiceStub
from tests.server.records import citizen, details_of, header, info_of, key, operations, raw_call, status_of

Provocation = Callable[[grpc.Channel], object]
DEADLINE_S = 5


def _lookup(channel: grpc.Channel, request: lookup.LookupRequest, **options: Any) -> object:
    return LookupServiceStub(channel).Lookup(request, **options)


def _golden(channel: grpc.Channel, golden_id: str) -> object:
    request = golden.GetGoldenRecordRequest(golden_id=golden_id)
    return GoldenRecordServiceStub(channel).GetGoldenRecord(request, timeout=DEADLINE_S)


def _batch(channel: grpc.Channel, count: int, registry_name: str = "hospital") -> object:
    request = lookup.BatchLookupRequest(
        registry=registry_name, entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=["P1"] * count
    )
    return LookupServiceStub(channel).BatchLookup(request, timeout=DEADLINE_S)


def _upsert(channel: grpc.Channel, request_id: str, name: str) -> object:
    request = registry.UpsertRecordRequest(record=citizen("REUSED", name), request_id=request_id)
    return RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S)


def _reused(channel: grpc.Channel) -> object:
    _upsert(channel, "reused-1", "Trần Văn Tâm")
    return _upsert(channel, "reused-1", "Trần Văn Tám")


def _revert(channel: grpc.Channel, load_id: str) -> object:
    return LoadServiceStub(channel).RevertLoad(
        load.RevertLoadRequest(load_id=load_id, reason="poisoned"), timeout=DEADLINE_S
    )


def _revert_while_it_runs(channel: grpc.Channel) -> object:
    messages: SimpleQueue[registry.IngestRecordsRequest | None] = SimpleQueue()
    messages.put(header("running"))
    stream = RegistryServiceStub(channel).IngestRecords(iter(messages.get, None))
    try:
        return _revert(channel, next(stream).accepted.load_id)
    finally:
        messages.put(None)
        stream.cancel()


OVERDRAWN = 20_000
"""Operations without credit, so many that a service which handles some meanwhile has still too many of them."""


def _too_many_unacknowledged(channel: grpc.Channel) -> object:
    # Messages that do not wait for credit, each within its own bound.
    def requests() -> Iterator[registry.IngestRecordsRequest]:
        yield header("overdrawn")
        for start in range(1, OVERDRAWN, 500):
            parts = [
                registry.IngestOperation(ordinal=ordinal, delete=key(f"NONE-{ordinal}"))
                for ordinal in range(start, start + 500)
            ]
            yield operations(*parts)

    assert INGEST_WINDOW_RECORDS < OVERDRAWN
    return list(RegistryServiceStub(channel).IngestRecords(requests()))


def _unknown_method(channel: grpc.Channel) -> object:
    return raw_call(channel, "/mdm.v1.LookupService/Guess", b"")


def _stale_digest(channel: grpc.Channel) -> object:
    request = relink.RelinkServiceCommitRequest(run_id="20200101T000000-abcdef")
    return RelinkServiceStub(channel).Commit(request, timeout=DEADLINE_S)


HUGE_NAME = "A" * REQUEST_UNARY_BYTES_MAX

CASES: list[tuple[str, grpc.StatusCode, Provocation]] = [
    ("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT, lambda c: _batch(c, BATCH_LOOKUP_KEYS_MAX + 1)),
    ("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT, lambda c: _batch(c, 0)),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: raw_call(c, "/mdm.v1.LookupService/Lookup", b"\xff\xff"),
    ),
    ("INVALID_GOLDEN_ID", grpc.StatusCode.INVALID_ARGUMENT, lambda c: _golden(c, "C-7K3M-9XQ2-4TAB-1")),
    (
        "INVALID_SOURCE_KEY",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: _lookup(c, lookup.LookupRequest(key=key("a\0b")), timeout=DEADLINE_S),
    ),
    ("UNKNOWN_REGISTRY", grpc.StatusCode.INVALID_ARGUMENT, lambda c: _batch(c, 1, "hospitals")),
    (
        "UNKNOWN_REGISTRY",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: list(RegistryServiceStub(c).IngestRecords(iter([header("l", "hospital.dentists")]))),
    ),
    (
        "INVALID_TOKEN",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: _lookup(
            c,
            lookup.LookupRequest(key=key("P1"), at_least_as_fresh=common.JournalToken(value="made-up")),
            timeout=DEADLINE_S,
        ),
    ),
    (
        "DEADLINE_REQUIRED",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: _lookup(c, lookup.LookupRequest(key=key("P1"))),
    ),
    (
        "DEADLINE_TOO_LONG",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: _lookup(c, lookup.LookupRequest(key=key("P1")), timeout=3600),
    ),
    (
        "REQUEST_TOO_LARGE",
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        lambda c: RegistryServiceStub(c).PreviewRecord(
            registry.PreviewRecordRequest(record=citizen("P1", HUGE_NAME)), timeout=DEADLINE_S
        ),
    ),
    ("UNKNOWN_METHOD", grpc.StatusCode.UNIMPLEMENTED, _unknown_method),
    ("GOLDEN_ID_NOT_FOUND", grpc.StatusCode.NOT_FOUND, lambda c: _golden(c, never_issued())),
    (
        "RECORD_NOT_FOUND",
        grpc.StatusCode.NOT_FOUND,
        lambda c: RegistryServiceStub(c).GetRecord(registry.GetRecordRequest(key=key("NEVER")), timeout=DEADLINE_S),
    ),
    (
        "RECORD_NOT_FOUND",
        grpc.StatusCode.NOT_FOUND,
        lambda c: RegistryServiceStub(c).DeleteRecord(
            registry.DeleteRecordRequest(key=key("NEVER")), timeout=DEADLINE_S
        ),
    ),
    ("RELINK_RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND, _stale_digest),
    ("LOAD_NOT_FOUND", grpc.StatusCode.NOT_FOUND, lambda c: _revert(c, "never loaded")),
    ("LOAD_RUNNING", grpc.StatusCode.FAILED_PRECONDITION, _revert_while_it_runs),
    ("REQUEST_ID_REUSED", grpc.StatusCode.FAILED_PRECONDITION, _reused),
    ("LIMIT_EXCEEDED", grpc.StatusCode.RESOURCE_EXHAUSTED, _too_many_unacknowledged),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda c: MatchServiceStub(c).Resolve(
            match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_OR_CREATE, attributes=citizen("x").attributes),
            timeout=DEADLINE_S,
        ),
    ),
]


def never_issued() -> str:
    from mdm.domain.keys import EntityKind, golden_id  # noqa: PLC0415 – used by one case

    return golden_id(EntityKind.CITIZEN, 1)


@pytest.mark.parametrize(("reason", "code", "provoke"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_each_reason_has_its_code_and_exactly_one_error_info(
    channel: grpc.Channel, reason: str, code: grpc.StatusCode, provoke: Provocation
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        provoke(channel)
    info = info_of(caught.value)
    assert (info.reason, caught.value.code()) == (reason, code)
    assert info.domain == "mdm.hochiminhcity.gov.vn"
    assert status_of(caught.value).message == details_of(caught.value)


def test_a_missing_deadline_is_refused_with_the_line_that_mends_it(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _lookup(channel, lookup.LookupRequest(key=key("P1")))
    assert "timeout=5" in details_of(caught.value)
    assert "--timeout 5s" in details_of(caught.value)
    assert info_of(caught.value).metadata["deadline_s_max"] == "10"


def test_an_oversize_batch_names_the_field_and_its_bound(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _batch(channel, BATCH_LOOKUP_KEYS_MAX + 1)
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status_of(caught.value).details)
    assert [violation.field for violation in bad.field_violations] == ["record_ids"]
    assert "10000" in bad.field_violations[0].description


def test_the_largest_batch_is_answered(channel: grpc.Channel) -> None:
    response = _batch(channel, BATCH_LOOKUP_KEYS_MAX)
    assert isinstance(response, lookup.BatchLookupResponse)
    assert len(response.golden_ids) == len(response.statuses) == BATCH_LOOKUP_KEYS_MAX


@pytest.mark.parametrize("timeout", [10.0, 0.5])
def test_a_deadline_within_the_bound_is_taken(channel: grpc.Channel, timeout: float) -> None:
    response = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("NEVER")), timeout=timeout)
    assert response.status == common.RECORD_STATUS_NOT_FOUND
