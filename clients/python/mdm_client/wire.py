"""Plain values to messages and back. With the other `wire_` modules, the only place that knows both."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from mdm.v1 import common_pb2, golden_record_service_pb2, match_service_pb2, relink_service_pb2
from mdm_client import records, relink_results, results
from mdm_client.faults import named_faults

_Member = TypeVar("_Member", bound=StrEnum)


class EnumWire(Generic[_Member]):
    """Pairs an enumeration of the client with one of the wire, by name; the wire's names carry a prefix."""

    def __init__(self, members: type[_Member], wire: Any, prefix: str) -> None:
        """Pair every member that the wire has too."""
        numbers: dict[str, Any] = dict(wire.items())
        pairs = [(member, numbers.get(f"{prefix}_{member.name}")) for member in members]
        self._numbers = {member: number for member, number in pairs if number is not None}
        self._members = {number: member for member, number in self._numbers.items()}
        self._unknown = self._members[0]

    def to_wire(self, member: _Member) -> Any:
        """Return the wire's number of a member."""
        return self._numbers[member]

    def from_wire(self, number: int) -> _Member:
        """Return the member of a number; one that this version does not know is UNSPECIFIED."""
        return self._members.get(number, self._unknown)

    def column(self, numbers: Iterable[int]) -> list[_Member]:
        """Return the members of a column of numbers."""
        members, unknown = self._members, self._unknown
        return [members.get(number, unknown) for number in numbers]


ENTITY_KIND = EnumWire(records.EntityKind, common_pb2.EntityKind, "ENTITY_KIND")
IDENTIFIER_TYPE = EnumWire(records.IdentifierType, common_pb2.IdentifierType, "IDENTIFIER_TYPE")
ASSURANCE = EnumWire(records.Assurance, common_pb2.Assurance, "ASSURANCE")
ADDRESS_KIND = EnumWire(records.AddressKind, common_pb2.AddressKind, "ADDRESS_KIND")
RELATION_TYPE = EnumWire(records.RelationType, common_pb2.RelationType, "RELATION_TYPE")
RECORD_STATUS = EnumWire(results.RecordStatus, common_pb2.RecordStatus, "RECORD_STATUS")
GOLDEN_ID_STATUS = EnumWire(results.GoldenIdStatus, common_pb2.GoldenIdStatus, "GOLDEN_ID_STATUS")
WRITE_OUTCOME = EnumWire(results.WriteOutcome, common_pb2.WriteOutcome, "WRITE_OUTCOME")
CHANGE_TYPE = EnumWire(results.GoldenIdChangeType, common_pb2.GoldenIdChangeType, "GOLDEN_ID_CHANGE_TYPE")
MATCH_GRADE = EnumWire(results.MatchGrade, common_pb2.MatchGrade, "MATCH_GRADE")
AGREEMENT = EnumWire(results.Agreement, common_pb2.Agreement, "AGREEMENT")
RESOLVE_OUTCOME = EnumWire(results.ResolveOutcome, match_service_pb2.ResolveOutcome, "RESOLVE_OUTCOME")
CRITERION = EnumWire(
    results.SurvivorshipCriterion, golden_record_service_pb2.SurvivorshipCriterion, "SURVIVORSHIP_CRITERION"
)
RELINK_STATE = EnumWire(relink_results.RelinkState, relink_service_pb2.RelinkState, "RELINK_STATE")
RELINK_CHANGE = EnumWire(relink_results.RelinkChange, relink_service_pb2.RelinkChange, "RELINK_CHANGE")


@named_faults("key")
def key_to_wire(key: records.SourceKey) -> common_pb2.SourceKey:
    """Return the message of a source key."""
    return common_pb2.SourceKey(
        registry=key.registry, entity_kind=ENTITY_KIND.to_wire(key.kind), record_id=key.record_id
    )


def key_from_wire(message: common_pb2.SourceKey) -> records.SourceKey:
    """Return the source key of a message."""
    return records.SourceKey(message.registry, ENTITY_KIND.from_wire(message.entity_kind), message.record_id)


@named_faults("")
def record_to_wire(record: records.SourceRecord) -> common_pb2.SourceRecord:
    """Return the message of a source record; about 20 µs."""
    return common_pb2.SourceRecord(
        key=key_to_wire(record.key), attributes=attributes_to_wire(record.attributes), updated_at=record.updated_at
    )


@named_faults("attributes")
def attributes_to_wire(attributes: records.Attributes) -> common_pb2.Attributes:
    """Return the message of a citizen's or a business's attributes."""
    identifiers = [_identifier_to_wire(item) for item in attributes.identifiers]
    addresses = [
        common_pb2.Address(kind=ADDRESS_KIND.to_wire(item.kind), text=item.text, ward_code=item.ward_code)
        for item in attributes.addresses
    ]
    relations = [_relation_to_wire(item) for item in attributes.relations]
    if isinstance(attributes, records.CitizenAttributes):
        citizen = common_pb2.CitizenAttributes(
            full_name=attributes.full_name,
            other_name=attributes.other_name,
            birth_date=attributes.birth_date,
            sex=attributes.sex,
            nationality=attributes.nationality,
            ethnicity=attributes.ethnicity,
            birth_order=attributes.birth_order,
            facility_id=attributes.facility_id,
            status=attributes.status,
            died_on=attributes.died_on,
            identifiers=identifiers,
            phones=attributes.phones,
            addresses=addresses,
            relations=relations,
        )
        return common_pb2.Attributes(citizen=citizen)
    business = common_pb2.BusinessAttributes(
        legal_name=attributes.legal_name,
        foreign_name=attributes.foreign_name,
        short_name=attributes.short_name,
        form=attributes.form,
        established_on=attributes.established_on,
        status=attributes.status,
        identifiers=identifiers,
        phones=attributes.phones,
        addresses=addresses,
        relations=relations,
        former_names=attributes.former_names,
    )
    return common_pb2.Attributes(business=business)


def record_from_wire(message: common_pb2.SourceRecord) -> records.SourceRecord:
    """Return the source record of a message that has attributes."""
    return records.SourceRecord(
        key_from_wire(message.key), _attributes_from_wire(message.attributes), message.updated_at
    )


def issues_from_wire(messages: Iterable[common_pb2.ValueIssue]) -> tuple[results.ValueIssue, ...]:
    """Return value issues."""
    return tuple(results.ValueIssue(item.field, item.rule) for item in messages)


def changes_from_wire(messages: Iterable[common_pb2.GoldenIdChange]) -> tuple[results.GoldenIdChange, ...]:
    """Return what happened to golden IDs."""
    return tuple(
        results.GoldenIdChange(item.golden_id, CHANGE_TYPE.from_wire(item.type), item.surviving_golden_id)
        for item in messages
    )


def match_from_wire(message: common_pb2.MatchResult, read_at: str = "") -> results.MatchResult:
    """Return what a search found."""
    candidates = tuple(
        results.MatchCandidate(
            golden_id=item.golden_id,
            grade=MATCH_GRADE.from_wire(item.grade),
            match_weight_bits=item.match_weight_bits,
            match_probability=item.match_probability,
            starting_weight_bits=item.starting_weight_bits,
            comparisons=tuple(
                results.FieldComparison(one.field, one.level, AGREEMENT.from_wire(one.agreement), one.match_weight_bits)
                for one in item.comparisons
            ),
            member_count=item.member_count,
            veto=item.veto,
        )
        for item in message.candidates
    )
    blocks = tuple(
        results.TruncatedBlock(item.rule, item.holder_count, item.scored_count) for item in message.truncated_blocks
    )
    return results.MatchResult(
        candidates,
        message.candidate_count,
        message.scored_count,
        blocks,
        issues_from_wire(message.value_issues),
        read_at,
    )


def golden_record_from_wire(message: golden_record_service_pb2.GoldenRecord, read_at: str) -> results.GoldenRecord:
    """Return a golden record."""
    return results.GoldenRecord(
        requested_golden_id=message.requested_golden_id,
        golden_id=message.golden_id,
        status=GOLDEN_ID_STATUS.from_wire(message.status),
        kind=ENTITY_KIND.from_wire(message.entity_kind),
        values=tuple(golden_value_from_wire(item) for item in message.values),
        members=tuple(member_from_wire(item) for item in message.members),
        member_count=message.member_count,
        absorbed_golden_ids=tuple(message.absorbed_golden_ids),
        potential_match_count=message.potential_match_count,
        read_at=read_at,
        is_erased=message.is_erased,
    )


def golden_value_from_wire(message: golden_record_service_pb2.GoldenValue) -> results.GoldenValue:
    """Return a surviving value."""
    return results.GoldenValue(
        field=message.field,
        value=message.value,
        source=key_from_wire(message.provenance.key),
        updated_at=message.provenance.updated_at,
        rank=message.provenance.rank,
        assurance=ASSURANCE.from_wire(message.provenance.assurance),
        alternative_count=message.alternative_count,
        decided_by=CRITERION.from_wire(message.decided_by),
        record_count=message.record_count,
        alternatives=tuple(
            results.AlternativeValue(
                item.value,
                key_from_wire(item.provenance.key),
                item.provenance.updated_at,
                item.provenance.rank,
                item.record_count,
                CRITERION.from_wire(item.lost_by),
            )
            for item in message.alternatives
        ),
    )


def member_from_wire(message: golden_record_service_pb2.Member) -> results.Member:
    """Return a member."""
    return results.Member(key_from_wire(message.key), message.updated_at, message.is_anchor)


def token_to_wire(token: str) -> common_pb2.JournalToken | None:
    """Return the message of a token; none for an empty one."""
    return common_pb2.JournalToken(value=token) if token else None


def _identifier_to_wire(item: records.Identifier) -> common_pb2.Identifier:
    return common_pb2.Identifier(
        type=IDENTIFIER_TYPE.to_wire(item.type), value=item.value, assurance=ASSURANCE.to_wire(item.assurance)
    )


def _relation_to_wire(item: records.Relation) -> common_pb2.Relation:
    return common_pb2.Relation(
        type=RELATION_TYPE.to_wire(item.type),
        name=item.name,
        role=item.role,
        group_id=item.group_id,
        record_id=item.record_id,
        phone=item.phone,
        identifiers=[_identifier_to_wire(identifier) for identifier in item.identifiers],
    )


def _attributes_from_wire(message: common_pb2.Attributes) -> records.Attributes:
    if message.HasField("business"):
        business = message.business
        return records.BusinessAttributes(
            legal_name=business.legal_name,
            foreign_name=business.foreign_name,
            short_name=business.short_name,
            form=business.form,
            established_on=business.established_on,
            status=business.status,
            identifiers=_identifiers_from_wire(business.identifiers),
            phones=tuple(business.phones),
            addresses=_addresses_from_wire(business.addresses),
            relations=_relations_from_wire(business.relations),
            former_names=tuple(business.former_names),
        )
    citizen = message.citizen
    return records.CitizenAttributes(
        full_name=citizen.full_name,
        other_name=citizen.other_name,
        birth_date=citizen.birth_date,
        sex=citizen.sex,
        nationality=citizen.nationality,
        ethnicity=citizen.ethnicity,
        birth_order=citizen.birth_order,
        identifiers=_identifiers_from_wire(citizen.identifiers),
        phones=tuple(citizen.phones),
        addresses=_addresses_from_wire(citizen.addresses),
        relations=_relations_from_wire(citizen.relations),
        facility_id=citizen.facility_id,
        status=citizen.status,
        died_on=citizen.died_on,
    )


def _identifiers_from_wire(messages: Iterable[common_pb2.Identifier]) -> tuple[records.Identifier, ...]:
    return tuple(
        records.Identifier(IDENTIFIER_TYPE.from_wire(item.type), item.value, ASSURANCE.from_wire(item.assurance))
        for item in messages
    )


def _addresses_from_wire(messages: Iterable[common_pb2.Address]) -> tuple[records.Address, ...]:
    return tuple(records.Address(ADDRESS_KIND.from_wire(item.kind), item.text, item.ward_code) for item in messages)


def _relations_from_wire(messages: Iterable[common_pb2.Relation]) -> tuple[records.Relation, ...]:
    return tuple(
        records.Relation(
            type=RELATION_TYPE.from_wire(item.type),
            name=item.name,
            role=item.role,
            group_id=item.group_id,
            record_id=item.record_id,
            phone=item.phone,
            identifiers=_identifiers_from_wire(item.identifiers),
        )
        for item in messages
    )
