"""Values of golden records, as wire messages."""

from __future__ import annotations

from mdm.domain.keys import SourceKey
from mdm.domain.records import Address, Identifier, Relation
from mdm.domain.survivorship import GoldenValue, Item
from mdm.domain.survivorship_rules import Criterion
from mdm.server.wire_records import assurance_number, key_message
from mdm.v1 import golden_record_service_pb2 as wire

CRITERIA = {each: wire.SurvivorshipCriterion.Value(f"SURVIVORSHIP_CRITERION_{each.name}") for each in Criterion}


def value_message(value: GoldenValue, *, with_alternatives: bool = False) -> wire.GoldenValue:
    """Return a surviving value."""
    provenance = _provenance(value.source, value.updated_at, value.trust_rank)
    if isinstance(value.value, Identifier):
        provenance.assurance = assurance_number(value.value.assurance)
    message = wire.GoldenValue(
        field=value.field,
        value=value_text(value.value),
        provenance=provenance,
        alternative_count=value.alternatives_count,
        decided_by=CRITERIA[value.decided_by] if value.decided_by else wire.SURVIVORSHIP_CRITERION_UNSPECIFIED,
        record_count=value.record_count,
    )
    for each in value.alternatives if with_alternatives else ():
        message.alternatives.add(
            value=each.value,
            provenance=_provenance(each.source, each.updated_at, each.trust_rank),
            record_count=each.record_count,
            lost_by=CRITERIA[each.lost_by],
        )
    return message


def _provenance(key: SourceKey, updated_at: str, rank: int) -> wire.Provenance:
    return wire.Provenance(key=key_message(key), updated_at=updated_at, rank=rank)


def value_text(item: Item) -> str:
    """Return what stands for a value in one line of text."""
    match item:
        case Identifier():
            return item.value
        case Address():
            return item.text or item.ward_code
        case Relation():
            return item.name or item.record_id or item.group_id
        case str():
            return item
