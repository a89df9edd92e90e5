from __future__ import annotations

import pytest

from mdm.domain.keys import EntityKind
from mdm.domain.records import RelationType
from mdm.domain.relations import Stay, kind_related, stays_after
from mdm.limits import STAYS_MAX

HEAD = ("HK1", "chủ hộ")
CHILD = ("HK1", "con")
MOVED = ("HK2", "con")


def stay(stated: tuple[str, str], since: int, until: int | None = None) -> Stay:
    return Stay(*stated, str(since), since, "" if until is None else str(until), until)


@pytest.mark.parametrize(
    ("versions", "stays"),
    [
        ([[]], ()),
        ([[CHILD]], (stay(CHILD, 1),)),
        ([[CHILD], [CHILD]], (stay(CHILD, 1),)),
        ([[CHILD], [MOVED]], (stay(CHILD, 1, 2), stay(MOVED, 2))),
        ([[CHILD], [HEAD]], (stay(CHILD, 1, 2), stay(HEAD, 2))),
        ([[CHILD], []], (stay(CHILD, 1, 2),)),
        ([[CHILD], [], [CHILD]], (stay(CHILD, 1, 2), stay(CHILD, 3))),
        ([[CHILD, MOVED], [MOVED]], (stay(CHILD, 1, 2), stay(MOVED, 1))),
        ([[CHILD, CHILD]], (stay(CHILD, 1),)),
    ],
    ids=["none", "first", "unchanged", "moved", "another role", "left", "came back", "one of two", "written twice"],
)
def test_stays_follow_the_versions(versions: list[list[tuple[str, str]]], stays: tuple[Stay, ...]) -> None:
    found: tuple[Stay, ...] = ()
    for at_us, stated in enumerate(versions, start=1):
        found = stays_after(found, stated, str(at_us), at_us)
    assert found == stays


@pytest.mark.parametrize("moves", [STAYS_MAX - 1, STAYS_MAX, STAYS_MAX + 1])
def test_of_too_many_stays_the_oldest_that_are_over_go_first(moves: int) -> None:
    lasting = ("HK0", "chủ hộ")
    found: tuple[Stay, ...] = ()
    for at_us in range(1, moves + 1):
        found = stays_after(found, [lasting, (f"HK{at_us}", "")], "", at_us)
    assert len(found) == min(moves + 1, STAYS_MAX)
    assert found[0].household_id == "HK0"
    assert found[-1] == Stay(f"HK{moves}", "", "", moves)
    assert [each.since_us for each in found] == sorted(each.since_us for each in found)


def test_employers_and_parent_firms_are_businesses_and_everybody_else_is_a_citizen() -> None:
    businesses = {type_ for type_ in RelationType if kind_related(type_) is EntityKind.BUSINESS}
    assert businesses == {RelationType.EMPLOYER, RelationType.BRANCH_OF}
