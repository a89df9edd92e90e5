"""Every unary call as a value: which method, the request, what to make of the answer.

The blocking and the asyncio client both only send these, so a call is written once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mdm.v1 import (
    common_pb2,
    golden_record_service_pb2,
    lookup_service_pb2,
    match_service_pb2,
    registry_service_pb2,
)
from mdm_client import results, wire
from mdm_client.records import Attributes, EntityKind, IdentifierType, SourceKey, SourceRecord

KEYS_MAX = 10_000
"""Keys in one batch; the service refuses more."""

RECORDS_MAX = 500
"""Descriptions or golden records in one batch; the service refuses more."""

_Result_co = TypeVar("_Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Call(Generic[_Result_co]):
    """One unary call."""

    service: str
    method: str
    request: Any
    decode: Callable[[Any], _Result_co]
    is_batch: bool = False
    """Whether the batch deadline applies."""


def fresh_request_id(request_id: str | None) -> str:
    """Return the caller's request id, or a new one if it gave none.

    Raises:
        ValueError: It is empty: without it a retry could not be told from a second write.
    """
    if request_id == "":
        raise ValueError("request_id must not be empty; leave it out to get a new one")
    return request_id or str(uuid.uuid4())


def upsert(
    record: SourceRecord,
    caller: common_pb2.Caller,
    *,
    is_resolved_later: bool,
    allow_older: bool,
    request_id: str | None,
) -> Call[results.WriteResult]:
    """Store a record."""
    request = registry_service_pb2.UpsertRecordRequest(
        record=wire.record_to_wire(record),
        request_id=fresh_request_id(request_id),
        caller=caller,
        allow_older=allow_older,
        resolve=common_pb2.RESOLVE_TIME_LATER if is_resolved_later else common_pb2.RESOLVE_TIME_NOW,
    )

    def decode(answer: registry_service_pb2.UpsertRecordResponse) -> results.WriteResult:
        return results.WriteResult(
            outcome=wire.WRITE_OUTCOME.from_wire(answer.outcome),
            golden_id=answer.golden_id,
            changes=wire.changes_from_wire(answer.changes),
            token=answer.token.value,
            value_issues=wire.issues_from_wire(answer.value_issues),
            match_weight_bits=answer.match_weight_bits if answer.HasField("match_weight_bits") else None,
        )

    return Call("RegistryService", "UpsertRecord", request, decode)


def delete(
    key: SourceKey, caller: common_pb2.Caller, *, allow_missing: bool, request_id: str | None
) -> Call[results.WriteResult]:
    """Withdraw a record."""
    request = registry_service_pb2.DeleteRecordRequest(
        key=wire.key_to_wire(key),
        request_id=fresh_request_id(request_id),
        caller=caller,
        allow_missing=allow_missing,
    )

    def decode(answer: registry_service_pb2.DeleteRecordResponse) -> results.WriteResult:
        outcome = wire.WRITE_OUTCOME.from_wire(answer.outcome)
        return results.WriteResult(outcome, "", wire.changes_from_wire(answer.changes), answer.token.value)

    return Call("RegistryService", "DeleteRecord", request, decode)


def get_record(key: SourceKey, fresh: str) -> Call[results.StoredRecord]:
    """Read a record as stored."""
    request = registry_service_pb2.GetRecordRequest(
        key=wire.key_to_wire(key), at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: registry_service_pb2.GetRecordResponse) -> results.StoredRecord:
        record = wire.record_from_wire(answer.record) if answer.record.HasField("attributes") else None
        return results.StoredRecord(
            record,
            wire.RECORD_STATUS.from_wire(answer.status),
            answer.golden_id,
            wire.issues_from_wire(answer.value_issues),
            answer.read_at.value,
        )

    return Call("RegistryService", "GetRecord", request, decode)


def batch_compare(
    registry: str, kind: EntityKind, record_ids: Sequence[str], digests: Sequence[bytes], *, later: bool, fresh: str
) -> Call[list[bool]]:
    """Ask which of up to KEYS_MAX records of one registry are stored as the caller has them."""
    request = registry_service_pb2.BatchCompareRecordsRequest(
        registry=registry,
        entity_kind=wire.ENTITY_KIND.to_wire(kind),
        record_ids=record_ids,
        content_digests=b"".join(digests),
        resolve=common_pb2.RESOLVE_TIME_LATER if later else common_pb2.RESOLVE_TIME_NOW,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: registry_service_pb2.BatchCompareRecordsResponse) -> list[bool]:
        return list(answer.unchanged)

    return Call("RegistryService", "BatchCompareRecords", request, decode, is_batch=True)


def preview(
    record: SourceRecord | common_pb2.SourceRecord, candidate_count_max: int, fresh: str
) -> Call[results.Preview]:
    """Ask what an upsert would do."""
    request = registry_service_pb2.PreviewRecordRequest(
        record=wire.record_to_wire(record) if isinstance(record, SourceRecord) else record,
        candidate_count_max=candidate_count_max,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: registry_service_pb2.PreviewRecordResponse) -> results.Preview:
        return results.Preview(
            {feature.name: tuple(feature.values) for feature in answer.features},
            wire.match_from_wire(answer.match, answer.read_at.value),
            wire.WRITE_OUTCOME.from_wire(answer.outcome),
            answer.golden_id,
            answer.read_at.value,
        )

    return Call("RegistryService", "PreviewRecord", request, decode)


def lookup(key: SourceKey, fresh: str) -> Call[results.Lookup]:
    """Look one key up."""
    request = lookup_service_pb2.LookupRequest(key=wire.key_to_wire(key), at_least_as_fresh=wire.token_to_wire(fresh))

    def decode(answer: lookup_service_pb2.LookupResponse) -> results.Lookup:
        return results.Lookup(wire.RECORD_STATUS.from_wire(answer.status), answer.golden_id, answer.read_at.value)

    return Call("LookupService", "Lookup", request, decode)


def batch_lookup(registry: str, kind: EntityKind, record_ids: Sequence[str], fresh: str) -> Call[results.BatchLookup]:
    """Look up to KEYS_MAX keys of one registry up."""
    request = lookup_service_pb2.BatchLookupRequest(
        registry=registry,
        entity_kind=wire.ENTITY_KIND.to_wire(kind),
        record_ids=record_ids,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: lookup_service_pb2.BatchLookupResponse) -> results.BatchLookup:
        return results.BatchLookup(
            list(answer.golden_ids), wire.RECORD_STATUS.column(answer.statuses), answer.read_at.value
        )

    return Call("LookupService", "BatchLookup", request, decode, is_batch=True)


def lookup_by_identifier(kind: IdentifierType, value: str, fresh: str) -> Call[results.IdentifierHolders]:
    """Ask who holds an identifier."""
    request = lookup_service_pb2.LookupByIdentifierRequest(
        type=wire.IDENTIFIER_TYPE.to_wire(kind), value=value, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: lookup_service_pb2.LookupByIdentifierResponse) -> results.IdentifierHolders:
        holders = tuple(
            results.IdentifierHolder(item.golden_id, wire.ASSURANCE.from_wire(item.assurance), item.record_count)
            for item in answer.holders
        )
        return results.IdentifierHolders(
            holders, answer.holder_count, answer.read_at.value, is_truncated=answer.is_truncated
        )

    return Call("LookupService", "LookupByIdentifier", request, decode)


def batch_lookup_by_identifier(
    kind: IdentifierType, values: Sequence[str], fresh: str
) -> Call[list[results.IdentifierHolders]]:
    """Ask who holds each of up to KEYS_MAX identifiers of one type."""
    request = lookup_service_pb2.BatchLookupByIdentifierRequest(
        type=wire.IDENTIFIER_TYPE.to_wire(kind), values=values, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: lookup_service_pb2.BatchLookupByIdentifierResponse) -> list[results.IdentifierHolders]:
        found, start = [], 0
        for count, is_truncated in zip(answer.holder_counts, answer.truncated, strict=True):
            rows = slice(start, start + count)
            assurances = wire.ASSURANCE.column(answer.assurances[rows])
            # A service of an earlier release counts none.
            record_counts = answer.record_counts[rows] or [0] * count
            columns = zip(answer.golden_ids[rows], assurances, record_counts, strict=True)
            holders = tuple(results.IdentifierHolder(*row) for row in columns)
            found.append(results.IdentifierHolders(holders, count, answer.read_at.value, is_truncated=is_truncated))
            start += count
        return found

    return Call("LookupService", "BatchLookupByIdentifier", request, decode, is_batch=True)


def translate_keys(
    source_registry: str, kind: EntityKind, record_ids: Sequence[str], target_registry: str, fresh: str
) -> Call[results.Translation]:
    """Translate up to KEYS_MAX keys into another registry's."""
    request = lookup_service_pb2.TranslateKeysRequest(
        source_registry=source_registry,
        entity_kind=wire.ENTITY_KIND.to_wire(kind),
        record_ids=record_ids,
        target_registry=target_registry,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: lookup_service_pb2.TranslateKeysResponse) -> results.Translation:
        targets, start = [], 0
        for count in answer.target_counts:
            targets.append(tuple(answer.target_record_ids[start : start + count]))
            start += count
        return results.Translation(wire.RECORD_STATUS.column(answer.statuses), targets, answer.read_at.value)

    return Call("LookupService", "TranslateKeys", request, decode, is_batch=True)


def match(attributes: Attributes, candidate_count_max: int, fresh: str) -> Call[results.MatchResult]:
    """Search for a bearer."""
    request = match_service_pb2.MatchRequest(
        attributes=wire.attributes_to_wire(attributes),
        candidate_count_max=candidate_count_max,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: match_service_pb2.MatchResponse) -> results.MatchResult:
        return wire.match_from_wire(answer.result, answer.read_at.value)

    return Call("MatchService", "Match", request, decode)


def batch_match(
    attributes: Sequence[Attributes], candidate_count_max: int, fresh: str
) -> Call[list[results.MatchResult]]:
    """Search for up to RECORDS_MAX bearers."""
    request = match_service_pb2.BatchMatchRequest(
        attributes=[wire.attributes_to_wire(item) for item in attributes],
        candidate_count_max=candidate_count_max,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: match_service_pb2.BatchMatchResponse) -> list[results.MatchResult]:
        return [wire.match_from_wire(item, answer.read_at.value) for item in answer.results]

    return Call("MatchService", "BatchMatch", request, decode, is_batch=True)


def resolve(
    attributes: Attributes,
    caller: common_pb2.Caller,
    *,
    key: SourceKey | None,
    updated_at: str,
    choice: results.ClerkChoice | None,
    request_id: str | None,
    candidate_count_max: int,
    fresh: str,
) -> Call[results.Resolution]:
    """Search before create; without a key, search only."""
    is_creating = key is not None
    request = match_service_pb2.ResolveRequest(
        mode=match_service_pb2.RESOLVE_MODE_FIND_OR_CREATE if is_creating else match_service_pb2.RESOLVE_MODE_FIND_ONLY,
        key=wire.key_to_wire(key) if key else None,
        attributes=wire.attributes_to_wire(attributes),
        updated_at=updated_at,
        clerk_choice=_choice_to_wire(choice) if choice else None,
        request_id=fresh_request_id(request_id),
        caller=caller,
        candidate_count_max=candidate_count_max,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: match_service_pb2.ResolveResponse) -> results.Resolution:
        return results.Resolution(
            wire.RESOLVE_OUTCOME.from_wire(answer.outcome),
            wire.MATCH_GRADE.from_wire(answer.grade),
            answer.golden_id,
            wire.match_from_wire(answer.match, answer.token.value),
            wire.changes_from_wire(answer.changes),
            answer.token.value,
            wire.WRITE_OUTCOME.from_wire(answer.write_outcome),
        )

    return Call("MatchService", "Resolve", request, decode)


def golden_record(golden_id: str, fresh: str, *, include_alternatives: bool) -> Call[results.GoldenRecord]:
    """Read one golden record."""
    request = golden_record_service_pb2.GetGoldenRecordRequest(
        golden_id=golden_id,
        at_least_as_fresh=wire.token_to_wire(fresh),
        include_alternatives=include_alternatives,
    )

    def decode(answer: golden_record_service_pb2.GetGoldenRecordResponse) -> results.GoldenRecord:
        return wire.golden_record_from_wire(answer.golden_record, answer.read_at.value)

    return Call("GoldenRecordService", "GetGoldenRecord", request, decode)


def batch_get(golden_ids: Sequence[str], fresh: str) -> Call[list[results.GoldenRecord]]:
    """Read up to RECORDS_MAX golden records."""
    request = golden_record_service_pb2.BatchGetGoldenRecordsRequest(
        golden_ids=golden_ids, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: golden_record_service_pb2.BatchGetGoldenRecordsResponse) -> list[results.GoldenRecord]:
        return [wire.golden_record_from_wire(item, answer.read_at.value) for item in answer.golden_records]

    return Call("GoldenRecordService", "BatchGetGoldenRecords", request, decode, is_batch=True)


def current_golden_ids(golden_ids: Sequence[str], fresh: str) -> Call[results.CurrentGoldenIds]:
    """Ask what up to KEYS_MAX stored golden IDs stand for now."""
    request = golden_record_service_pb2.BatchCurrentGoldenIdsRequest(
        golden_ids=golden_ids, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: golden_record_service_pb2.BatchCurrentGoldenIdsResponse) -> results.CurrentGoldenIds:
        return results.CurrentGoldenIds(
            list(answer.surviving_golden_ids), wire.GOLDEN_ID_STATUS.column(answer.statuses), answer.read_at.value
        )

    return Call("GoldenRecordService", "BatchCurrentGoldenIds", request, decode, is_batch=True)


def list_members(golden_id: str, page_size: int, page_token: str, fresh: str) -> Call[tuple[list[results.Member], str]]:
    """Read a page of members and the token of the next one, empty on the last."""
    request = golden_record_service_pb2.ListMembersRequest(
        golden_id=golden_id, page_size=page_size, page_token=page_token, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: golden_record_service_pb2.ListMembersResponse) -> tuple[list[results.Member], str]:
        return [wire.member_from_wire(item) for item in answer.members], answer.next_page_token

    return Call("GoldenRecordService", "ListMembers", request, decode)


def _choice_to_wire(choice: results.ClerkChoice) -> match_service_pb2.ClerkChoice:
    if choice.golden_id:
        return match_service_pb2.ClerkChoice(golden_id=choice.golden_id, shown_golden_ids=choice.shown_golden_ids)
    return match_service_pb2.ClerkChoice(none_of_these=True, shown_golden_ids=choice.shown_golden_ids)
