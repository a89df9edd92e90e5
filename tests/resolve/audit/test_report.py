from __future__ import annotations

import pytest

from mdm.domain.keys import EntityKind
from mdm.resolve.audit.agreement import Label
from mdm.resolve.audit.design import Stratum, Way
from mdm.resolve.audit.report import Share, evaluate
from mdm.resolve.audit.sampling import FORMAT_VERSION, Item, Key

S, D, U = Label.SAME, Label.DIFFERENT, Label.UNSURE
BOTH = "hospital × household"
OTHER = "company × hospital"

Drawn = tuple[Way, int, list[tuple[Label, str]]]
"""How a stratum's pairs stand, how many there are, and of each drawn one what was settled and between whom."""


def audit(*strata: Drawn, caught_share: float = 0.1) -> tuple[Key, dict[str, Label]]:
    """A key and its labels; items of different pairs, so that none share a record."""
    items: list[Item] = []
    labels: dict[str, Label] = {}
    described = []
    for place, (way, population, drawn) in enumerate(strata):
        for label, registries in drawn:
            number = len(items)
            item = Item(f"a1-{number}", 2 * number + 1, 2 * number + 2, place, 0.0, registries)
            items.append(item)
            labels[item.id] = label
        share = caught_share if way is Way.UNBLOCKED else 1.0
        populations = dict.fromkeys([registries for _, registries in drawn], population)
        described.append(Stratum(way, False, 0.0, None, population, share, 0.0, populations, len(drawn)))
    key = Key(
        *(FORMAT_VERSION, "a1", EntityKind.CITIZEN, 1, "journal", 9, "model", "epoch", 100, 0, 0, 5, -10.0, 0),
        strata=tuple(described),
        items=tuple(items),
    )
    return key, labels


def drawn(same: int, different: int, unsure: int = 0, registries: str = BOTH) -> list[tuple[Label, str]]:
    return [(label, registries) for label, count in ((S, same), (D, different), (U, unsure)) for _ in range(count)]


def middle(share: Share | None) -> float:
    assert share is not None
    assert share.estimate_min == share.estimate_max
    assert share.lower <= share.estimate_min <= share.upper
    return share.estimate_min


def test_strata_count_by_their_size_not_by_their_items() -> None:
    key, labels = audit(
        (Way.LINKED_DIRECTLY, 9000, drawn(100, 0)),
        (Way.LINKED_THROUGH_OTHERS, 1000, drawn(80, 20)),
        (Way.ASKED, 400, drawn(30, 10)),
        (Way.APART, 2000, drawn(5, 95)),
        (Way.UNBLOCKED, 20, drawn(2, 18)),
    )
    found = evaluate(key, labels, labels, {})
    # 200 of 10,000 links are wrong; 300 asked, 100 apart and 2 / 0.1 unblocked pairs are missed.
    assert middle(found.precision) == pytest.approx(0.98)
    assert middle(found.recall) == pytest.approx(9800 / 10_220)
    assert middle(found.recall_with_reviews) == pytest.approx(10_100 / 10_220)
    assert found.missed_by_blocking is not None
    assert found.missed_by_blocking.estimate == pytest.approx(20)
    assert found.agreement.agreed_count == found.item_count == 360
    assert [counts.same for counts in found.strata] == [100, 80, 30, 5, 2]


def test_without_an_error_the_bound_is_that_of_the_rule_of_three() -> None:
    key, labels = audit((Way.LINKED_DIRECTLY, 10**6, drawn(1000, 0)), (Way.APART, 10**4, drawn(0, 100)))
    found = evaluate(key, labels, labels, {}).precision
    assert found is not None
    assert (found.estimate_min, found.upper) == (1.0, 1.0)
    assert found.lower == pytest.approx(1 - 3.689 / 1000, abs=1e-6)


def test_what_is_unsettled_counts_against_and_then_for() -> None:
    key, labels = audit(
        (Way.LINKED_DIRECTLY, 1000, drawn(90, 0, 10)),
        (Way.APART, 1000, drawn(0, 90, 10)),
    )
    found = evaluate(key, labels, labels, {})
    assert found.unsettled_count == 20
    assert found.precision is not None
    assert found.recall is not None
    assert (found.precision.estimate_min, found.precision.estimate_max) == pytest.approx((0.9, 1.0))
    assert (found.recall.estimate_min, found.recall.estimate_max) == pytest.approx((900 / 1000, 1.0))
    assert found.precision.lower < 0.9
    assert found.recall.lower < 0.9
    assert found.precision.upper == found.recall.upper == 1.0


def test_a_disagreement_is_unsettled_until_a_third_person_settles_it() -> None:
    key, first = audit((Way.LINKED_DIRECTLY, 1000, drawn(100, 0)), (Way.APART, 1000, drawn(0, 100)))
    second = first | {"a1-3": D, "a1-4": U}
    open_ = evaluate(key, first, second, {})
    assert (open_.disagreements, open_.unsettled_count) == (("a1-3", "a1-4"), 2)
    settled = evaluate(key, first, second, {"a1-3": D, "a1-4": S})
    assert (settled.disagreements, settled.unsettled_count) == (("a1-3", "a1-4"), 0)
    assert middle(settled.precision) == pytest.approx(0.99)


def test_pairs_of_one_group_are_caught_together_and_bound_less() -> None:
    apart, together = [drawn(4, 0) for _ in range(2)]
    key, labels = audit((Way.LINKED_DIRECTLY, 1000, drawn(50, 0)), (Way.UNBLOCKED, 4, apart))
    chained = tuple(
        Item(item.id, 1000 + place, 1001 + place, item.stratum, 0.0, BOTH) if item.stratum else item
        for place, item in enumerate(key.items)
    )
    alone = evaluate(key, labels, labels, {}).missed_by_blocking
    grouped = evaluate(
        Key(**{field: getattr(key, field) for field in key.__struct_fields__} | {"items": chained}), labels, labels, {}
    ).missed_by_blocking
    assert together == apart
    assert alone is not None
    assert grouped is not None
    assert alone.estimate == grouped.estimate == 40
    assert grouped.upper > 1.5 * alone.upper


def test_a_search_that_found_nothing_still_bounds_what_blocking_misses() -> None:
    key, labels = audit((Way.LINKED_DIRECTLY, 1000, drawn(50, 0)), (Way.UNBLOCKED, 0, []))
    found = evaluate(key, labels, labels, {})
    assert found.missed_by_blocking is not None
    assert found.missed_by_blocking.estimate == 0
    assert found.missed_by_blocking.upper == pytest.approx(3.689 / 0.1, rel=1e-3)
    assert found.recall is not None
    assert found.recall.lower < 1000 / 1036


def test_a_pair_of_registries_is_reported_where_enough_items_speak_for_it() -> None:
    key, labels = audit(
        (Way.LINKED_DIRECTLY, 1000, [*drawn(45, 5), *drawn(10, 0, registries=OTHER)]),
        (Way.APART, 500, [*drawn(5, 45), *drawn(0, 10, registries=OTHER)]),
    )
    found = evaluate(key, labels, labels, {}).registries
    assert found[OTHER].precision is None
    assert found[OTHER].recall is None
    assert found[BOTH].items == 100
    # 5 of 60 items in a stratum of 1,000 pairs, which the helper puts all between these two registries.
    assert middle(found[BOTH].precision) == pytest.approx(1 - 1000 * 5 / 60 / 1000)
    assert middle(found[BOTH].recall) is not None


def test_without_links_there_is_no_precision_and_nothing_is_found() -> None:
    key, labels = audit((Way.APART, 500, drawn(5, 45)))
    found = evaluate(key, labels, labels, {})
    assert found.precision is None
    assert middle(found.recall) == 0.0
