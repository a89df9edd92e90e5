"""A canary person goes through every kind of call; none of its values may show up where they do not belong."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc

from mdm.resolve.survivorship import shipped_rules
from mdm.server.redaction import HIDDEN, redacted
from mdm.v1 import common_pb2 as common
from mdm.v1 import erasure_service_pb2 as erasure
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import survivorship_service_pb2 as survivorship
from mdm.v1.erasure_service_pb2_grpc import ErasureServiceStub
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.survivorship_service_pb2_grpc import SurvivorshipServiceStub
from tests.server.records import citizen, details_of, end, header, operations, raw_call, trailing_of
from tests.serving import running_server

CANARIES = ("Canaryová", "canaryova", "079199777333", "CANARY-7", "1999-07-17", "0903123456")


def _record(**changes: str) -> common.SourceRecord:
    values = {"birth_date": "1999-07-17", "personal_id": "079199777333"} | changes
    return citizen("CANARY-7", "Nguyễn Canaryová", **values)


def _calls(channel: grpc.Channel) -> list[Callable[[], object]]:
    """Return calls that carry canaries: some are answered, some refused, some refused for the canary itself."""
    registries, lookups = RegistryServiceStub(channel), LookupServiceStub(channel)
    matches, goldens = MatchServiceStub(channel), GoldenRecordServiceStub(channel)
    survivorships, erasures = SurvivorshipServiceStub(channel), ErasureServiceStub(channel)
    key = _record().key
    stale = common.JournalToken(value="CANARY-7")
    bad_key = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id="CANARY-7\0")
    too_many = _record()
    too_many.attributes.citizen.phones.extend(["0903123456"] * 30)
    load = [header("canary"), operations(registry.IngestOperation(ordinal=1, upsert=too_many)), end()]
    reused = registry.UpsertRecordRequest(record=_record(birth_date="1999-07-18"), request_id="canary")
    return [
        lambda: registries.UpsertRecord(registry.UpsertRecordRequest(record=_record(), request_id="canary"), timeout=5),
        lambda: registries.UpsertRecord(reused, timeout=5),
        lambda: registries.UpsertRecord(registry.UpsertRecordRequest(record=too_many), timeout=5),
        lambda: registries.UpsertRecord(
            registry.UpsertRecordRequest(record=citizen("CANARY-7", registry_name="canaryova")), timeout=5
        ),
        lambda: registries.PreviewRecord(registry.PreviewRecordRequest(record=_record()), timeout=5),
        lambda: registries.GetRecord(registry.GetRecordRequest(key=bad_key), timeout=5),
        lambda: lookups.Lookup(lookup.LookupRequest(key=key, at_least_as_fresh=stale), timeout=5),
        lambda: lookups.Lookup(lookup.LookupRequest(key=key)),
        lambda: lookups.LookupByIdentifier(
            lookup.LookupByIdentifierRequest(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value="079199777333" * 30),
            timeout=5,
        ),
        lambda: matches.Match(match.MatchRequest(attributes=_record().attributes), timeout=5),
        lambda: goldens.GetGoldenRecord(golden.GetGoldenRecordRequest(golden_id="CANARY-7"), timeout=5),
        lambda: list(registries.IngestRecords(iter(load), timeout=5)),
        lambda: raw_call(channel, "/mdm.v1.LookupService/canaryova", b"079199777333"),
        lambda: survivorships.CompareSurvivorshipRules(
            survivorship.CompareSurvivorshipRulesRequest(content=b"# Canary\n" + shipped_rules()), timeout=5
        ),
        lambda: erasures.EraseSubject(erasure.EraseSubjectRequest(key=bad_key, reason="r"), timeout=5),
        lambda: erasures.EraseSubject(erasure.EraseSubjectRequest(key=key, reason="r"), timeout=5),
        lambda: erasures.EraseSubject(erasure.EraseSubjectRequest(key=key, reason="r"), timeout=5),
        lambda: registries.DeleteRecord(registry.DeleteRecordRequest(key=key), timeout=5),
    ]


def test_no_canary_reaches_a_log_an_error_or_a_metric(tmp_path: Path) -> None:
    shown: list[str] = []
    refused_count = 0
    with running_server(tmp_path / "data", metrics="127.0.0.1:0") as served, served.channel() as channel:
        for call in _calls(channel):
            try:
                call()
            except grpc.RpcError as error:
                refused_count += 1
                shown += [details_of(error), str(trailing_of(error))]
        with urllib.request.urlopen(f"http://{served.metrics_address}/metrics", timeout=5) as answer:
            shown.append(answer.read().decode())
        assert served.stop() == 0
        shown.append(served.log())
    text = "\n".join(shown)
    assert refused_count >= 8
    assert "mdm_calls_total" in text
    assert "writer_closed" in text
    assert [canary for canary in CANARIES if canary in text] == []


def test_a_redacted_record_names_its_fields_and_counts_but_no_value() -> None:
    record = _record()
    shown = str(redacted(registry.UpsertRecordRequest(record=record, request_id="r1")))
    assert "079199777333" in str(record), "the control: Python prints a field marked debug_redact"
    assert [canary for canary in CANARIES if canary in shown] == []
    assert redacted(registry.UpsertRecordRequest(record=record, request_id="r1")) == {
        "record": HIDDEN,
        "request_id": "r1",
    }
    attributes = redacted(record.attributes.citizen)
    assert (attributes["full_name"], attributes["phones"]) == (HIDDEN, f"{HIDDEN} x1")
