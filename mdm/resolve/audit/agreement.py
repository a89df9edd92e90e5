"""Two reviewers' labels: how far they agree, and the one label that counts."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from mdm.resolve.audit.estimates import NORMAL_95


class Label(enum.StrEnum):
    """What a reviewer said about a pair."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"


class Agreement(msgspec.Struct, frozen=True):
    """How two reviewers agree on the items of a sample; it says nothing about pairs outside it."""

    item_count: int
    agreed_count: int
    counts: dict[str, int]
    """`A/B` → items that the first labelled A and the second B."""
    kappa: float | None
    """Agreement beyond chance, at most 1. None where both used one and the same label throughout."""
    kappa_lower: float | None
    kappa_upper: float | None


def agreement(first: Sequence[Label], second: Sequence[Label]) -> Agreement:
    """Return Cohen's kappa over the three labels, with its large-sample 95 % interval.

    Source:
        Cohen (1960); the standard error of Fleiss, Cohen and Everitt (1969), Psychological Bulletin 72.
    """
    table = Counter(zip(first, second, strict=True))
    whole = table.total()
    counts = {f"{one}/{other}": table[one, other] for one in Label for other in Label if table[one, other]}
    share = {pair: count / whole for pair, count in table.items()}
    rows, columns = Counter(first), Counter(second)
    row = {label: rows[label] / whole for label in Label}
    column = {label: columns[label] / whole for label in Label}
    agreed = math.fsum(share.get((label, label), 0.0) for label in Label)
    expected = math.fsum(row[label] * column[label] for label in Label)
    agreed_count = sum(table[label, label] for label in Label)
    if expected >= 1.0:
        return Agreement(whole, agreed_count, counts, None, None, None)
    kappa = (agreed - expected) / (1 - expected)
    on_diagonal = math.fsum(
        share.get((label, label), 0.0) * ((1 - expected) - (column[label] + row[label]) * (1 - agreed)) ** 2
        for label in Label
    )
    off_diagonal = math.fsum(
        part * (column[one] + row[other]) ** 2 for (one, other), part in share.items() if one is not other
    )
    variance = on_diagonal + (1 - agreed) ** 2 * off_diagonal - (agreed * expected - 2 * expected + agreed) ** 2
    error = math.sqrt(max(variance, 0.0) / whole) / (1 - expected) ** 2
    half = NORMAL_95 * error
    return Agreement(whole, agreed_count, counts, kappa, max(kappa - half, -1.0), min(kappa + half, 1.0))


def disagreements(first: Mapping[str, Label], second: Mapping[str, Label]) -> list[str]:
    """Return the items that need a third opinion, in order: the two differ, or neither is sure."""
    return sorted(item for item in first if first[item] is not second[item] or first[item] is Label.UNSURE)


def settled(
    first: Mapping[str, Label], second: Mapping[str, Label], adjudicated: Mapping[str, Label]
) -> dict[str, Label]:
    """Return the label that counts for each item: what both say, else the adjudicator's, else unsure."""
    return {
        item: adjudicated.get(item, label if label is second[item] else Label.UNSURE) for item, label in first.items()
    }
