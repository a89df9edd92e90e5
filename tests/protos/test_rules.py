"""The request rules in the .proto files bite on the very messages that gRPC hands to the server."""

from __future__ import annotations

import protovalidate
import pytest
from google.protobuf.message import Message

from mdm.domain.keys import EntityKind
from mdm.domain.records import AddressKind, Assurance, IdentifierType, RelationType
from mdm.limits import (
    CONFIGURATION_BYTES_MAX,
    EXPORT_FIELDS_MAX,
    EXPORT_REGISTRIES_MAX,
    FEED_CHANGE_TYPES_MAX,
    FEED_CHECKPOINT_S_MAX,
    MATCH_CANDIDATES_ANSWERED_MAX,
    PAGE_SIZE_MAX,
    REASON_CHARACTERS_MAX,
    REQUEST_ID_CHARACTERS_MAX,
    RESUME_TOKEN_CHARACTERS_MAX,
    SURVIVORSHIP_BYTES_MAX,
    SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS_MAX,
)
from mdm.v1 import (
    change_service_pb2,
    configuration_service_pb2,
    erasure_service_pb2,
    explain_service_pb2,
    export_service_pb2,
    golden_record_service_pb2,
    lookup_service_pb2,
    match_service_pb2,
    model_service_pb2,
    registry_service_pb2,
    relink_service_pb2,
    survivorship_service_pb2,
)
from mdm.v1 import common_pb2 as common

KEY = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id="BN0001")
CITIZEN = common.Attributes(citizen=common.CitizenAttributes(full_name="NGUYỄN THỊ HOA"))
RECORD = common.SourceRecord(key=KEY, attributes=CITIZEN)


def violations(message: Message) -> set[tuple[str, str]]:
    return {
        (".".join(element.field_name for element in violation.proto.field.elements), violation.proto.rule_id)
        if violation.proto.field
        else ("", violation.proto.rule_id)
        for violation in protovalidate.collect_violations(message)
    }


VALID = [
    lookup_service_pb2.LookupRequest(key=KEY),
    lookup_service_pb2.LookupByIdentifierRequest(type=common.IDENTIFIER_TYPE_TAX_CODE, value="0301-234-567"),
    match_service_pb2.MatchRequest(attributes=CITIZEN),
    match_service_pb2.ResolveRequest(mode=match_service_pb2.RESOLVE_MODE_FIND_ONLY, attributes=CITIZEN),
    match_service_pb2.ResolveRequest(mode=match_service_pb2.RESOLVE_MODE_FIND_OR_CREATE, attributes=CITIZEN, key=KEY),
    registry_service_pb2.UpsertRecordRequest(record=RECORD),
    registry_service_pb2.IngestRecordsRequest(
        header=registry_service_pb2.IngestHeader(load_id="load-1", feed="hospital.patients")
    ),
    registry_service_pb2.IngestRecordsRequest(end=registry_service_pb2.IngestEnd()),
    golden_record_service_pb2.GetGoldenRecordRequest(golden_id="c7k3m9xq24tabz"),
    export_service_pb2.ExportCrosswalkRequest(),
    export_service_pb2.ExportGoldenRecordsRequest(fields=["full_name"] * EXPORT_FIELDS_MAX),
    export_service_pb2.ExportLineageRequest(resume_token="t" * RESUME_TOKEN_CHARACTERS_MAX),
    configuration_service_pb2.GetConfigurationRequest(),
    configuration_service_pb2.ActivateConfigurationRequest(content=b"x" * CONFIGURATION_BYTES_MAX),
    relink_service_pb2.RelinkServicePlanRequest(),
    relink_service_pb2.RelinkServiceGetRequest(),
    model_service_pb2.ListModelsRequest(),
    model_service_pb2.GetModelRequest(),
    model_service_pb2.CompareModelsRequest(candidate=model_service_pb2.ModelReference(digest="0" * 32)),
    model_service_pb2.ActivateModelRequest(model=model_service_pb2.ModelReference()),
    change_service_pb2.ChangeServiceWatchRequest(after=common.JournalToken(value="t")),
    change_service_pb2.ChangeServiceWatchRequest(
        start=change_service_pb2.WATCH_START_NOW,
        registries=["hospital"] * EXPORT_REGISTRIES_MAX,
        change_types=[common.GOLDEN_ID_CHANGE_TYPE_MERGED] * FEED_CHANGE_TYPES_MAX,
        checkpoint_interval_s=FEED_CHECKPOINT_S_MAX,
    ),
    survivorship_service_pb2.GetSurvivorshipRulesRequest(),
    survivorship_service_pb2.CompareSurvivorshipRulesRequest(content=b"[citizen]"),
    survivorship_service_pb2.ActivateSurvivorshipRulesRequest(content=b"[citizen]", is_dry_run=True),
    erasure_service_pb2.EraseSubjectRequest(key=KEY, reason="asked for"),
    erasure_service_pb2.EraseSubjectRequest(golden_id="c7k3m9xq24tabz", reason="asked for"),
    erasure_service_pb2.ListErasuresRequest(),
    explain_service_pb2.WhyRecordsRequest(
        left=explain_service_pb2.RecordOrGoldenId(key=KEY),
        right=explain_service_pb2.RecordOrGoldenId(golden_id="c7k3m9xq24tabz"),
    ),
    explain_service_pb2.HowGoldenRecordRequest(golden_id="c7k3m9xq24tabz"),
]


@pytest.mark.parametrize("message", VALID, ids=lambda message: message.DESCRIPTOR.name)
def test_a_plain_request_passes(message: Message) -> None:
    assert violations(message) == set()


NOW = change_service_pb2.WATCH_START_NOW

INVALID = [
    (lookup_service_pb2.LookupRequest(), ("key", "required")),
    (change_service_pb2.ChangeServiceWatchRequest(), ("", "watch_from_one_place")),
    (
        change_service_pb2.ChangeServiceWatchRequest(start=NOW, after=common.JournalToken(value="t")),
        ("", "watch_from_one_place"),
    ),
    (
        change_service_pb2.ChangeServiceWatchRequest(start=NOW, registries=["hospital"] * (EXPORT_REGISTRIES_MAX + 1)),
        ("registries", "repeated.max_items"),
    ),
    (
        change_service_pb2.ChangeServiceWatchRequest(
            start=NOW, change_types=[common.GOLDEN_ID_CHANGE_TYPE_MERGED] * (FEED_CHANGE_TYPES_MAX + 1)
        ),
        ("change_types", "repeated.max_items"),
    ),
    (
        change_service_pb2.ChangeServiceWatchRequest(start=NOW, checkpoint_interval_s=FEED_CHECKPOINT_S_MAX + 1),
        ("checkpoint_interval_s", "int32.gte_lte"),
    ),
    (
        lookup_service_pb2.LookupRequest(
            key=common.SourceKey(registry="H!", entity_kind=common.ENTITY_KIND_CITIZEN, record_id="1")
        ),
        ("key.registry", "string.pattern"),
    ),
    (
        lookup_service_pb2.LookupRequest(key=common.SourceKey(registry="hospital", record_id="1")),
        ("key.entity_kind", "enum.not_in"),
    ),
    (
        lookup_service_pb2.LookupRequest(
            key=common.SourceKey(
                registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id="Đ" * 65
            )  # 130 bytes, 65 characters.
        ),
        ("key.record_id", "string.max_bytes"),
    ),
    (
        registry_service_pb2.UpsertRecordRequest(record=RECORD, request_id="x" * (REQUEST_ID_CHARACTERS_MAX + 1)),
        ("request_id", "string.max_len"),
    ),
    # Field 5 with the value 9, as a client of a later version may send it.
    (registry_service_pb2.UpsertRecordRequest.FromString(b"\x28\x09"), ("resolve", "enum.defined_only")),
    (registry_service_pb2.IngestRecordsRequest(), ("part", "required")),
    (
        registry_service_pb2.IngestRecordsRequest(
            header=registry_service_pb2.IngestHeader(load_id="load-1", feed="patients")
        ),
        ("header.feed", "string.pattern"),
    ),
    (match_service_pb2.MatchRequest(attributes=common.Attributes()), ("attributes.bearer", "required")),
    (
        match_service_pb2.MatchRequest(attributes=CITIZEN, candidate_count_max=MATCH_CANDIDATES_ANSWERED_MAX + 1),
        ("candidate_count_max", "int32.gte_lte"),
    ),
    (
        match_service_pb2.ResolveRequest(mode=match_service_pb2.RESOLVE_MODE_FIND_OR_CREATE, attributes=CITIZEN),
        ("", "resolve.key_required"),
    ),
    (
        match_service_pb2.ResolveRequest(
            mode=match_service_pb2.RESOLVE_MODE_FIND_ONLY,
            attributes=CITIZEN,
            clerk_choice=match_service_pb2.ClerkChoice(none_of_these=False),
        ),
        ("clerk_choice.none_of_these", "bool.const"),
    ),
    (
        golden_record_service_pb2.ListMembersRequest(golden_id="C-1", page_size=PAGE_SIZE_MAX + 1),
        ("page_size", "int32.gte_lte"),
    ),
    (relink_service_pb2.RelinkServiceCommitRequest(), ("run_id", "string.min_len")),
    (model_service_pb2.CompareModelsRequest(), ("candidate", "required")),
    (
        model_service_pb2.CompareModelsRequest(candidate=model_service_pb2.ModelReference(digest="4E1C")),
        ("candidate.digest", "string.pattern"),
    ),
    (
        model_service_pb2.ActivateModelRequest(
            model=model_service_pb2.ModelReference(), reason="x" * (REASON_CHARACTERS_MAX + 1)
        ),
        ("reason", "string.max_len"),
    ),
    (
        model_service_pb2.ActivateModelRequest(model=model_service_pb2.ModelReference(), band_change_fraction_max=1.5),
        ("band_change_fraction_max", "double.gte_lte"),
    ),
    (model_service_pb2.RollbackModelRequest(reason="worse"), ("entity_kind", "enum.not_in")),
    (
        model_service_pb2.RollbackModelRequest(entity_kind=common.ENTITY_KIND_CITIZEN),
        ("reason", "string.min_len"),
    ),
    (survivorship_service_pb2.CompareSurvivorshipRulesRequest(), ("content", "bytes.min_len")),
    (configuration_service_pb2.ActivateConfigurationRequest(), ("content", "bytes.min_len")),
    (
        configuration_service_pb2.ActivateConfigurationRequest(content=b"x" * (CONFIGURATION_BYTES_MAX + 1)),
        ("content", "bytes.max_len"),
    ),
    (export_service_pb2.ExportGoldenRecordsRequest(fields=["Full"]), ("fields", "string.pattern")),
    (
        export_service_pb2.ExportLineageRequest(resume_token="t" * (RESUME_TOKEN_CHARACTERS_MAX + 1)),
        ("resume_token", "string.max_len"),
    ),
    (
        survivorship_service_pb2.ActivateSurvivorshipRulesRequest(content=b"x" * (SURVIVORSHIP_BYTES_MAX + 1)),
        ("content", "bytes.max_len"),
    ),
    (
        survivorship_service_pb2.CompareSurvivorshipRulesRequest(
            content=b"x", sample_golden_record_count=SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS_MAX + 1
        ),
        ("sample_golden_record_count", "int32.gte_lte"),
    ),
    (erasure_service_pb2.EraseSubjectRequest(reason="asked for"), ("subject", "required")),
    (erasure_service_pb2.EraseSubjectRequest(golden_id="C-1"), ("reason", "string.min_len")),
    (erasure_service_pb2.ListErasuresRequest(page_size=PAGE_SIZE_MAX + 1), ("page_size", "int32.gte_lte")),
    (explain_service_pb2.WhyNotRequest(left=explain_service_pb2.RecordOrGoldenId(key=KEY)), ("right", "required")),
    (
        explain_service_pb2.WhyNotRequest(
            left=explain_service_pb2.RecordOrGoldenId(), right=explain_service_pb2.RecordOrGoldenId(key=KEY)
        ),
        ("left.subject", "required"),
    ),
    (explain_service_pb2.HowGoldenRecordRequest(), ("golden_id", "string.min_len")),
]


@pytest.mark.parametrize(
    ("message", "violation"), INVALID, ids=lambda value: value[1] if isinstance(value, tuple) else ""
)
def test_a_broken_rule_names_the_field_path(message: Message, violation: tuple[str, str]) -> None:
    assert violation in violations(message)


def test_a_bad_operation_of_a_load_does_not_fail_its_batch() -> None:
    batch = registry_service_pb2.IngestOperations(operations=[registry_service_pb2.IngestOperation(ordinal=0)])
    assert violations(registry_service_pb2.IngestRecordsRequest(operations=batch)) == set()
    assert violations(batch.operations[0]) == {("ordinal", "int64.gte"), ("operation", "required")}


def test_a_violation_carries_no_value() -> None:
    request = lookup_service_pb2.LookupByIdentifierRequest(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value="0791" * 100)
    (violation,) = protovalidate.collect_violations(request)
    assert "0791" not in str(violation.proto)


@pytest.mark.parametrize(
    ("ours", "wire"),
    [
        (EntityKind, common.EntityKind),
        (IdentifierType, common.IdentifierType),
        (Assurance, common.Assurance),
        (AddressKind, common.AddressKind),
        (RelationType, common.RelationType),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_wire_knows_every_value_of_the_domain_and_no_other(ours: type, wire: object) -> None:
    descriptor = wire.DESCRIPTOR  # type: ignore[attr-defined]  # Enum wrappers share no public base class.
    prefix = "".join(
        "_" * (index > 0 and letter.isupper()) + letter for index, letter in enumerate(descriptor.name)
    ).upper()
    expected = {f"{prefix}_{value.name}" for value in ours} | {f"{prefix}_UNSPECIFIED"}  # type: ignore[attr-defined]
    assert {value.name for value in descriptor.values} == expected
