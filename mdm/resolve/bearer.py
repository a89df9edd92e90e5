"""Whether a source key still names the same bearer: companies change their representative, numbers are given anew."""

from __future__ import annotations

from rapidfuzz.distance import DamerauLevenshtein

from mdm.domain.keys import RecordNumber
from mdm.linkage.evidence import veto
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.resolve.engines import Engine
from mdm.resolve.matcher import describe, features_of
from mdm.resolve.payloads import decode_payload
from mdm.store.view import IndexView

SAME_BEARER_BITS_MIN = 3.0
"""Two versions of one source key below it are of two bearers: a key names the same one until its values deny it."""


def is_another_bearer(state: IndexView, engine: Engine, number: RecordNumber, new: Features) -> bool:
    """Return whether the values of a source key are about somebody else than the stored ones.

    Compares with the last version, also of a record that was deleted; what is pending has no bearer yet.
    """
    entry = state.record(number)
    if entry is None:
        return False
    old = features_of(state, engine.kind, number)
    if old is None and entry.is_deleted:
        payload = state.raw(number)
        old = describe(decode_payload(payload)).features if payload is not None else None
    return old is not None and differ(engine, old, new)


def differ(engine: Engine, old: Features, new: Features) -> bool:
    """Return whether two versions of one record describe two bearers: a veto, or a weight below `SAME_BEARER_BITS_MIN`.

    Values too thin to tell anyone apart do not count against the bearer as long as name, birth date and codes stay;
    nor does a personal ID that was corrected by one digit beside the same name and birth date.
    """
    if _identity(old) == _identity(new):
        return False
    if veto(old, new) is not None and not _is_digit_corrected(old, new):
        return True
    pair = engine.scorer.score(old, [new])[0]
    return pair.match_weight_bits < SAME_BEARER_BITS_MIN


def _identity(features: Features) -> tuple[object, ...]:
    if isinstance(features, BusinessFeatures):
        return (features.name, features.tax_codes)
    return (features.name, features.birth_date, features.birth_year, features.sex, features.personal_ids)


def _is_digit_corrected(old: Features, new: Features) -> bool:
    if not isinstance(old, CitizenFeatures) or not isinstance(new, CitizenFeatures):
        return False
    if old.name is None or old.birth_date is None:
        return False
    if (old.name, old.birth_date, old.birth_order) != (new.name, new.birth_date, new.birth_order):
        return False
    return any(
        DamerauLevenshtein.distance(before, after) == 1 for before in old.verified_ids for after in new.verified_ids
    )
