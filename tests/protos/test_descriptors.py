"""What holds for every message of the interface, checked on the descriptors that the stubs carry."""

from __future__ import annotations

from collections.abc import Iterator

import protovalidate
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mdm import limits
from mdm.domain import records
from mdm.v1 import common_pb2, explain_service_pb2, golden_record_service_pb2, lookup_service_pb2, registry_service_pb2
from tests.protos.interface import FILES

MESSAGES: list[Descriptor] = [message for file in FILES for message in file.message_types_by_name.values()]
METHODS = [
    method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods_by_name.values()
]
UNSIGNED = {
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
}
INTEGERS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}

ITEMS_MAX = {
    "CitizenAttributes.identifiers": limits.RECORD_VALUES_MAX,
    "CitizenAttributes.phones": limits.RECORD_VALUES_MAX,
    "CitizenAttributes.addresses": limits.RECORD_VALUES_MAX,
    "CitizenAttributes.relations": limits.RECORD_VALUES_MAX,
    "BusinessAttributes.identifiers": limits.RECORD_VALUES_MAX,
    "BusinessAttributes.phones": limits.RECORD_VALUES_MAX,
    "BusinessAttributes.addresses": limits.RECORD_VALUES_MAX,
    "BusinessAttributes.relations": limits.RECORD_VALUES_MAX,
    "BusinessAttributes.former_names": limits.RECORD_VALUES_MAX,
    "Relation.identifiers": limits.RECORD_VALUES_MAX,
    "IngestOperations.operations": limits.BATCH_WRITE_RECORDS_MAX,
    "BatchMatchRequest.attributes": limits.BATCH_WRITE_RECORDS_MAX,
    "BatchCompareRecordsRequest.record_ids": limits.BATCH_COMPARE_RECORDS_MAX,
    "BatchLookupRequest.record_ids": limits.BATCH_LOOKUP_KEYS_MAX,
    "StreamLookupRequest.record_ids": limits.BATCH_LOOKUP_KEYS_MAX,
    "BatchLookupByIdentifierRequest.values": limits.BATCH_LOOKUP_KEYS_MAX,
    "TranslateKeysRequest.record_ids": limits.BATCH_LOOKUP_KEYS_MAX,
    "BatchCurrentGoldenIdsRequest.golden_ids": limits.BATCH_LOOKUP_KEYS_MAX,
    "BatchGetGoldenRecordsRequest.golden_ids": limits.PAGE_SIZE_MAX,
    "ClerkChoice.shown_golden_ids": limits.MATCH_CANDIDATES_ANSWERED_MAX,
    "ExportCrosswalkRequest.registries": limits.EXPORT_REGISTRIES_MAX,
    "ExportGoldenRecordsRequest.registries": limits.EXPORT_REGISTRIES_MAX,
    "ExportGoldenRecordsRequest.fields": limits.EXPORT_FIELDS_MAX,
    "ExportLineageRequest.registries": limits.EXPORT_REGISTRIES_MAX,
    "ChangeServiceWatchRequest.registries": limits.EXPORT_REGISTRIES_MAX,
    "ChangeServiceWatchRequest.change_types": limits.FEED_CHANGE_TYPES_MAX,
    "SplitRequest.keys": limits.SPLIT_RECORDS_MAX,
    "ListReviewsRequest.kinds": limits.REVIEW_KINDS_MAX,
    "ClaimReviewRequest.kinds": limits.REVIEW_KINDS_MAX,
    "ClaimReviewRequest.skipped_review_ids": limits.REVIEWS_SKIPPED_MAX,
}
"""Message.field of every `repeated` that a request can hold, with its bound."""


def reachable(message: Descriptor, seen: set[str]) -> Iterator[Descriptor]:
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    yield message
    for field in message.fields:
        if field.message_type:
            yield from reachable(field.message_type, seen)


def repeated_fields_of_requests() -> dict[str, FieldDescriptor]:
    seen: set[str] = set()
    return {
        f"{message.name}.{field.name}": field
        for method in METHODS
        for message in reachable(method.input_type, seen)
        for field in message.fields
        if field.is_repeated
    }


def breaks_items_max(field: FieldDescriptor, count: int) -> bool:
    assert field.containing_type is not None
    message = message_factory.GetMessageClass(field.containing_type)()
    values = getattr(message, field.name)
    if field.message_type:
        for _ in range(count):
            values.add()
    else:
        values.extend(["x" if field.enum_type is None else 1] * count)
    return any(
        violation.proto.rule_id == "repeated.max_items"
        and violation.proto.field is not None
        and violation.proto.field.elements[-1].field_name == field.name
        for violation in protovalidate.collect_violations(message)
    )


def test_every_repeated_field_of_a_request_has_a_bound() -> None:
    assert repeated_fields_of_requests().keys() == ITEMS_MAX.keys()


@pytest.mark.parametrize(("name", "items_max"), ITEMS_MAX.items())
def test_the_bound_in_the_proto_is_the_one_in_limits(name: str, items_max: int) -> None:
    field = repeated_fields_of_requests()[name]
    assert not breaks_items_max(field, items_max)
    assert breaks_items_max(field, items_max + 1)


def test_no_call_shares_its_request_or_response() -> None:
    types = [name for method in METHODS for name in (method.input_type.full_name, method.output_type.full_name)]
    assert len(types) == len(set(types))


def test_no_number_is_unsigned() -> None:
    assert [field.full_name for message in MESSAGES for field in message.fields if field.type in UNSIGNED] == []


def test_every_integer_names_what_it_counts() -> None:
    # An ordinal, a rank, a seq, an epoch and a number are places, not amounts; a pid and a layout are names; a priority
    # orders, a time has its unit; page_size is the AIPs' own name.
    amounts = ("_count", "_counts", "_count_min", "_count_max", "_count_before", "_count_after", "_bytes", "_bytes_min")
    places = ("ordinal", "rank", "_number", "_numbers", "seq", ".seqs", "epoch", "pid", "layout")
    counted = (*amounts, *places, "priority", "priority_min", "_s", "_seconds", "_us", "page_size")
    names = [field.full_name for message in MESSAGES for field in message.fields if field.type in INTEGERS]
    assert [name for name in names if not name.endswith(counted)] == []


def test_every_value_of_a_person_is_redacted_from_debug_output() -> None:
    personal = {
        *common_pb2.CitizenAttributes.DESCRIPTOR.fields,
        *(field for field in common_pb2.Relation.DESCRIPTOR.fields if field.name != "type"),
        *(field for field in common_pb2.Address.DESCRIPTOR.fields if field.name != "kind"),
        *(
            field
            for message in MESSAGES
            for field in message.fields
            if field.name in {"record_id", "record_ids", "attributes"}
        ),
        common_pb2.Identifier.DESCRIPTOR.fields_by_name["value"],
        golden_record_service_pb2.GoldenValue.DESCRIPTOR.fields_by_name["value"],
        *(
            field
            for message in MESSAGES
            if message.file is golden_record_service_pb2.DESCRIPTOR
            for field in message.fields
            if field.name in {"household_id", "name", "role"}
        ),
        registry_service_pb2.Feature.DESCRIPTOR.fields_by_name["values"],
        *(
            field
            for field in explain_service_pb2.ExplainedComparison.DESCRIPTOR.fields
            if field.name.endswith("_values")
        ),
        lookup_service_pb2.LookupByIdentifierRequest.DESCRIPTOR.fields_by_name["value"],
        lookup_service_pb2.BatchLookupByIdentifierRequest.DESCRIPTOR.fields_by_name["values"],
        lookup_service_pb2.TranslateKeysResponse.DESCRIPTOR.fields_by_name["target_record_ids"],
    }
    assert {field.full_name for field in personal if not field.GetOptions().debug_redact} == set()


@pytest.mark.parametrize(
    ("ours", "wire"),
    [
        (records.CitizenAttributes, common_pb2.CitizenAttributes),
        (records.BusinessAttributes, common_pb2.BusinessAttributes),
        (records.Relation, common_pb2.Relation),
        (records.Address, common_pb2.Address),
        (records.Identifier, common_pb2.Identifier),
        (records.SourceRecord, common_pb2.SourceRecord),
    ],
    ids=lambda value: value.__name__,
)
def test_the_wire_carries_every_field_of_the_domain_in_its_order(ours: type, wire: type) -> None:
    assert [field.name for field in wire.DESCRIPTOR.fields] == list(ours.__struct_fields__)  # type: ignore[attr-defined]


def test_the_stubs_need_no_package_for_the_rules() -> None:
    assert {file.name: [each.name for each in file.dependencies if each.name.startswith("buf/")] for file in FILES} == {
        file.name: [] for file in FILES
    }


def test_other_languages_get_their_own_packages() -> None:
    for file in FILES:
        options = file.GetOptions()
        assert options.java_package == "vn.gov.hochiminhcity.mdm.v1"
        assert options.java_multiple_files
        assert options.csharp_namespace == "HcmMdm.V1"
        assert options.go_package
