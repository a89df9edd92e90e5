"""What would be enough: pairs as they would be if both records stated one value more, judged as any other pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.linkage.blocking import posting_keys
from mdm.linkage.evidence import assess
from mdm.linkage.features import Features
from mdm.resolve.engines import Engine

_VALUE = "="
"""A value that no record states, so that it is as rare as any."""

_Stating = Callable[[Any], dict[str, Any]]


def _listed(column: str, *, single: str | None = None) -> _Stating:
    """Return what states the value in a list column, and in the column of one value where that is empty."""

    def state(features: Any) -> dict[str, Any]:
        stated: dict[str, Any] = {column: (*getattr(features, column), _VALUE)}
        if single is not None:
            stated[single] = getattr(features, single) or _VALUE
        return stated

    return state


def _house(features: Any) -> dict[str, Any]:
    return {"premises": (*features.premises, _VALUE), "wards": (*features.wards, _VALUE)}


COUNTERFACTUALS: dict[tuple[EntityKind, str], _Stating] = {
    (EntityKind.CITIZEN, "personal_id"): _listed("personal_ids", single="personal_id"),
    (EntityKind.CITIZEN, "insurance_number"): _listed("insurance_numbers"),
    (EntityKind.CITIZEN, "phone"): _listed("phones", single="phone"),
    (EntityKind.CITIZEN, "address"): _house,
    (EntityKind.CITIZEN, "family"): _listed("relative_ids"),
    (EntityKind.CITIZEN, "employer"): lambda _features: {"employer": _VALUE},
    (EntityKind.BUSINESS, "tax_code"): _listed("tax_codes", single="tax_code"),
    (EntityKind.BUSINESS, "phone"): _listed("phones", single="phone"),
    (EntityKind.BUSINESS, "address"): _house,
    (EntityKind.BUSINESS, "representative"): _listed("representative_ids"),
}
"""By comparison, what one shared value more would be. Names and birth dates are not among them: who they are stands."""


def enough_alone(engine: Engine, left: Features, right: Features) -> list[str]:
    """Return the comparisons of which one more shared value would make the pair found and linked, in the model's order.

    Args:
        engine: In force.
        left: Features of one record, of the engine's kind.
        right: Features of the other.
    """
    return [
        comparison.name
        for comparison in engine.scorer.specification.comparisons
        if (stating := COUNTERFACTUALS.get((engine.kind, comparison.name))) is not None
        and _links(engine, _with(left, stating), _with(right, stating))
    ]


def _with(features: Features, stating: _Stating) -> Features:
    return msgspec.structs.replace(features, **stating(features))


def _links(engine: Engine, left: Features, right: Features) -> bool:
    if not set(posting_keys(left)).intersection(posting_keys(right)):
        return False
    levels, bits = engine.scorer.score(left, [right])[0]
    found = assess(engine.kind, levels, left, right, bits, engine.model, engine.epoch)
    return found.band is Band.LINK and not found.is_sole
