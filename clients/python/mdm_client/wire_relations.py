"""Calls and messages of households and relations."""

from __future__ import annotations

from datetime import UTC

from mdm.v1 import golden_record_service_pb2
from mdm_client import relations, wire
from mdm_client.calls import Call
from mdm_client.records import RelationType
from mdm_client.relations import RelationDirection

_DIRECTION = wire.EnumWire(RelationDirection, golden_record_service_pb2.RelationDirection, "RELATION_DIRECTION")
_GROUND = wire.EnumWire(relations.RelationGround, golden_record_service_pb2.RelationGround, "RELATION_GROUND")
_OBSTACLE = wire.EnumWire(relations.RelationObstacle, golden_record_service_pb2.RelationObstacle, "RELATION_OBSTACLE")

RelationPage = tuple[list[relations.GoldenRelation], str]
"""The relations of one page, and the token of the next one, empty on the last."""


def households(golden_id: str, fresh: str) -> Call[relations.Households]:
    """Read the households of a citizen."""
    request = golden_record_service_pb2.GetHouseholdRequest(
        golden_id=golden_id, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: golden_record_service_pb2.GetHouseholdResponse) -> relations.Households:
        return relations.Households(
            golden_id=answer.golden_id,
            status=wire.GOLDEN_ID_STATUS.from_wire(answer.status),
            households=tuple(_household_from_wire(item) for item in answer.households),
            former_households=tuple(_former_from_wire(item) for item in answer.former_households),
            read_at=answer.read_at.value,
        )

    return Call("GoldenRecordService", "GetHousehold", request, decode)


def list_relations(
    golden_id: str,
    type_: RelationType | None,
    direction: RelationDirection | None,
    page_size: int,
    page_token: str,
    fresh: str,
) -> Call[RelationPage]:
    """Read a page of relations."""
    request = golden_record_service_pb2.ListRelationsRequest(
        golden_id=golden_id,
        type=wire.RELATION_TYPE.to_wire(type_ or RelationType.UNSPECIFIED),
        direction=_DIRECTION.to_wire(direction or RelationDirection.UNSPECIFIED),
        page_size=page_size,
        page_token=page_token,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: golden_record_service_pb2.ListRelationsResponse) -> RelationPage:
        return [_relation_from_wire(item) for item in answer.relations], answer.next_page_token

    return Call("GoldenRecordService", "ListRelations", request, decode)


def _household_from_wire(message: golden_record_service_pb2.Household) -> relations.Household:
    members = tuple(
        relations.HouseholdMember(
            member.golden_id,
            member.is_head,
            tuple(
                relations.HouseholdStatement(
                    wire.key_from_wire(item.key),
                    item.name,
                    item.role,
                    item.since,
                    item.since_recorded_at.ToDatetime(UTC),
                )
                for item in member.statements
            ),
        )
        for member in message.members
    )
    return relations.Household(message.registry, message.household_id, members, message.record_count)


def _former_from_wire(message: golden_record_service_pb2.FormerHousehold) -> relations.FormerHousehold:
    return relations.FormerHousehold(
        wire.key_from_wire(message.key),
        message.household_id,
        message.role,
        message.since,
        message.since_recorded_at.ToDatetime(UTC),
        message.until,
        message.until_recorded_at.ToDatetime(UTC),
    )


def _relation_from_wire(message: golden_record_service_pb2.GoldenRelation) -> relations.GoldenRelation:
    return relations.GoldenRelation(
        type=wire.RELATION_TYPE.from_wire(message.type),
        direction=_DIRECTION.from_wire(message.direction),
        golden_id=message.golden_id,
        ground=_GROUND.from_wire(message.ground),
        obstacle=_OBSTACLE.from_wire(message.obstacle),
        statements=tuple(
            relations.RelationStatement(
                wire.key_from_wire(item.key),
                item.updated_at,
                item.name,
                item.role,
                item.household_id,
                _GROUND.from_wire(item.ground),
            )
            for item in message.statements
        ),
        statement_count=message.statement_count,
    )
