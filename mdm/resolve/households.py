"""The households of a golden record: who lives in them now, and which it left."""

from __future__ import annotations

import msgspec

from mdm.domain.keys import GoldenId, RecordNumber, SourceKey
from mdm.domain.relations import Stay
from mdm.domain.state import GoldenEntry
from mdm.limits import PAGE_SIZE_MAX
from mdm.linkage.normalise.text import fold
from mdm.resolve.relation_ends import Ends, StatingRecord, is_head
from mdm.resolve.relation_state import household_key, stays_of
from mdm.resolve.views import GoldenState
from mdm.store.view import IndexView


class HouseholdStatement(msgspec.Struct, frozen=True):
    """One record that states its bearer's household."""

    key: SourceKey
    name: str
    """What the record calls its bearer."""
    stay: Stay


class HouseholdMember(msgspec.Struct, frozen=True):
    """One golden record in a household, with the records that say so."""

    golden_id: GoldenId
    is_head: bool
    statements: tuple[HouseholdStatement, ...]


class Household(msgspec.Struct, frozen=True):
    """One household of one registry as it is now."""

    registry: str
    household_id: str
    members: tuple[HouseholdMember, ...]
    """The head first, then in the order in which their records were first stored."""
    record_count: int
    """Records that state the household, those without a golden ID and those that are not read included."""


class FormerStay(msgspec.Struct, frozen=True):
    """A household, or a role in one, that a record no longer states."""

    key: SourceKey
    stay: Stay


class HouseholdAnswer(msgspec.Struct, frozen=True):
    """The households of a golden ID's bearer."""

    golden_id: GoldenId | None
    """The surviving ID; None when retired."""
    state: GoldenState
    households: tuple[Household, ...]
    former: tuple[FormerStay, ...]
    read_seq: int


def households_of(view: IndexView, golden: GoldenEntry) -> tuple[tuple[Household, ...], tuple[FormerStay, ...]]:
    """Return the households that a golden record belongs to, and those it left, the latest first.

    Cost: about 20 us a record of each household.
    """
    ends = Ends(view)
    own: dict[tuple[str, str], list[RecordNumber]] = {}
    former: list[FormerStay] = []
    for number in golden.members:
        stating = ends.stating(number)
        if stating is None:
            continue
        for household_id, _ in stating.households:
            own.setdefault((stating.key.registry, household_id), []).append(number)
        former += [FormerStay(stating.key, stay) for stay in stays_of(view, number) if stay.is_over]
    former.sort(key=lambda each: each.stay.until_us or 0, reverse=True)
    households = tuple(_household(view, ends, *place, numbers) for place, numbers in own.items())
    return households, tuple(former[:PAGE_SIZE_MAX])


def _household(view: IndexView, ends: Ends, registry: str, household_id: str, numbers: list[RecordNumber]) -> Household:
    # Who asks is shown, however large the household.
    asking = [each for number in numbers if (each := ends.stating(number)) is not None]
    found = {each.number: each for each in (*ends.first_of_household(registry, household_id), *asking)}
    members: dict[GoldenId, list[HouseholdStatement]] = {}
    for each in found.values():
        members.setdefault(each.golden_id, []).extend(_statements(view, each, household_id))
    shown = [
        HouseholdMember(golden_id, any(is_head(each.stay.role) for each in said), tuple(said))
        for golden_id, said in members.items()
    ]
    shown.sort(key=lambda member: not member.is_head)
    return Household(registry, household_id, tuple(shown), view.relation_count(household_key(registry, household_id)))


def _statements(view: IndexView, stating: StatingRecord, household_id: str) -> list[HouseholdStatement]:
    lasting = {
        (stay.household_id, fold(stay.role)): stay for stay in stays_of(view, stating.number) if not stay.is_over
    }
    return [
        HouseholdStatement(stating.key, stating.name, lasting[household_id, fold(role)])
        for stated, role in stating.households
        if stated == household_id
    ]
