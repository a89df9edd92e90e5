"""Households and relations: wire ↔ domain."""

from __future__ import annotations

from mdm.domain.relations import Direction, Ground, Obstacle
from mdm.resolve.households import FormerStay, Household, HouseholdAnswer, HouseholdMember, HouseholdStatement
from mdm.resolve.reader import Reader
from mdm.resolve.relations import RelationFilter, RelationRow
from mdm.server.calls import token_at
from mdm.server.wire_answers import GOLDEN_STATES, timestamp
from mdm.server.wire_records import RELATION_TYPE_NUMBERS, RELATION_TYPES, key_message, members_of, numbers_of
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as wire

_DIRECTIONS = numbers_of(dict(wire.RelationDirection.items()), "RELATION_DIRECTION", Direction)
_DIRECTION_OF = members_of(_DIRECTIONS)
_GROUNDS = numbers_of(dict(wire.RelationGround.items()), "RELATION_GROUND", Ground)
_OBSTACLES = numbers_of(dict(wire.RelationObstacle.items()), "RELATION_OBSTACLE", Obstacle)


def household_response(answer: HouseholdAnswer, reader: Reader) -> wire.GetHouseholdResponse:
    """Return the households of a golden ID's bearer."""
    return wire.GetHouseholdResponse(
        golden_id=answer.golden_id or "",
        status=GOLDEN_STATES[answer.state],
        households=[_household(each) for each in answer.households],
        former_households=[_former(each) for each in answer.former],
        read_at=token_at(reader, answer.read_seq),
    )


def relation_filter(request: wire.ListRelationsRequest) -> RelationFilter:
    """Return which relations are asked for."""
    return RelationFilter(RELATION_TYPES.get(request.type), _DIRECTION_OF.get(request.direction))


def relation_message(row: RelationRow) -> wire.GoldenRelation:
    """Return one relation with the records that state it."""
    return wire.GoldenRelation(
        type=common.RelationType.ValueType(RELATION_TYPE_NUMBERS[row.type]),
        direction=wire.RelationDirection.ValueType(_DIRECTIONS[row.direction]),
        golden_id=row.golden_id or "",
        ground=_ground(row.ground),
        obstacle=wire.RelationObstacle.ValueType(_OBSTACLES[row.obstacle] if row.obstacle else 0),
        statements=[
            wire.RelationStatement(
                key=key_message(each.key),
                updated_at=each.updated_at,
                name=each.name,
                role=each.role,
                household_id=each.household_id,
                ground=_ground(each.ground),
            )
            for each in row.statements
        ],
        statement_count=row.statement_count,
    )


def _household(household: Household) -> wire.Household:
    return wire.Household(
        registry=household.registry,
        household_id=household.household_id,
        members=[_member(member) for member in household.members],
        record_count=household.record_count,
    )


def _member(member: HouseholdMember) -> wire.HouseholdMember:
    return wire.HouseholdMember(
        golden_id=member.golden_id,
        is_head=member.is_head,
        statements=[_statement(each) for each in member.statements],
    )


def _statement(statement: HouseholdStatement) -> wire.HouseholdStatement:
    stay = statement.stay
    return wire.HouseholdStatement(
        key=key_message(statement.key),
        name=statement.name,
        role=stay.role,
        since=stay.since,
        since_recorded_at=timestamp(stay.since_us),
    )


def _former(former: FormerStay) -> wire.FormerHousehold:
    stay = former.stay
    return wire.FormerHousehold(
        key=key_message(former.key),
        household_id=stay.household_id,
        role=stay.role,
        since=stay.since,
        since_recorded_at=timestamp(stay.since_us),
        until=stay.until,
        until_recorded_at=None if stay.until_us is None else timestamp(stay.until_us),
    )


def _ground(ground: Ground | None) -> wire.RelationGround.ValueType:
    return wire.RelationGround.ValueType(_GROUNDS[ground] if ground else 0)
