"""The impact of a re-linkage in words: by registry, by size, in examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdm_client.relink_results import RelinkExample, RelinkImpact, RelinkReversal, RelinkSizeCount

_NEW_ID = "a new golden ID"


def details_of(impact: RelinkImpact) -> dict[str, dict[str, str]]:
    """Return what a plan changes by registry and by size, and the largest golden records after."""
    kind = impact.kind.value
    registries = {
        each.registry: f"{each.record_count:,} records, {each.resolved_record_count:,} get a golden ID, "
        f"{each.moved_record_count:,} move to another"
        for each in impact.registries
    }
    bars = zip(impact.sizes, [*impact.sizes[1:], None], strict=True)
    sizes = {
        _range(bar, following): f"{bar.golden_record_count_before:,} golden records before, "
        f"{bar.golden_record_count_after:,} after"
        for bar, following in bars
        if bar.golden_record_count_before or bar.golden_record_count_after
    }
    largest = {
        f"{place}. {each.golden_id or _NEW_ID}": f"{each.member_count:,} records: "
        + ", ".join(f"{count:,} {registry}" for registry, count in each.registries.items())
        for place, each in enumerate(impact.largest, start=1)
    }
    return {f"{kind} by registry": registries, f"{kind} by size": sizes, f"{kind}, the largest after": largest}


def examples_in_words(examples: Sequence[RelinkExample]) -> dict[str, dict[str, str]]:
    """Return the examples, each with its records, its weight and the comparisons that decided."""
    shown: dict[str, dict[str, str]] = {}
    for number, example in enumerate(examples, start=1):
        lines = {
            f"{each.key.registry} {each.key.record_id}{' *' if each.is_deciding else ''}": (
                f"{each.golden_id_before or 'pending'} → {each.golden_id_after or _NEW_ID}"
            )
            for each in example.records
        }
        if example.record_count > len(example.records):
            lines["and"] = f"{example.record_count - len(example.records):,} more records"
        if example.match_weight_bits is not None:
            lines["weight of the pair *"] = f"{example.match_weight_bits:+.1f} bits"
            lines["made of"] = ", ".join(
                f"{step.comparison} {step.level} {step.bits:+.1f}".replace("_", " ") for step in example.steps
            )
        shown[f"example {number}: {example.kind.value} {example.change.value}"] = lines
    return shown


def reversal_in_words(reversal: RelinkReversal) -> dict[str, object]:
    """Return what comes back and what stays; a count of nothing says nothing."""
    counts = {
        "components that come back as they were": reversal.restored_component_count,
        "components left, because judged since": reversal.kept_judged_component_count,
        "components left, because changed since": reversal.kept_changed_component_count,
        "golden IDs that get their records back": reversal.restored_golden_id_count,
        "golden IDs that the run issued, retired": reversal.withdrawn_golden_id_count,
        "records that were pending and keep their golden ID": reversal.kept_pending_record_count,
        "active again as before": [setting.replace(":", " of ") for setting in reversal.restored_settings],
    }
    return {words: count for words, count in counts.items() if count} or {"changes": "none"}


def _range(bar: RelinkSizeCount, following: RelinkSizeCount | None) -> str:
    if following is None:
        return f"{bar.member_count_min} records or more"
    if following.member_count_min == bar.member_count_min + 1:
        return f"{bar.member_count_min} record{'' if bar.member_count_min == 1 else 's'}"
    return f"{bar.member_count_min} to {following.member_count_min - 1} records"
