"""A firm's earlier names: an update that renames it keeps as evidence what its own record said before.

Features are a function of the raw values alone, so the names go into the values that are stored.
"""

from __future__ import annotations

import msgspec

from mdm.domain.keys import RecordNumber
from mdm.domain.records import BusinessAttributes, SourceRecord
from mdm.limits import NAME_CHARACTERS_MAX, RECORD_VALUES_MAX
from mdm.linkage.normalise.businesses import business_name
from mdm.linkage.normalise.text import clean
from mdm.resolve.bearer import is_another_bearer
from mdm.resolve.engines import Engine
from mdm.resolve.matcher import describe
from mdm.resolve.payloads import decode_payload
from mdm.store.view import IndexView


def with_former_names(state: IndexView, engine: Engine, number: RecordNumber, record: SourceRecord) -> SourceRecord:
    """Return the record with the legal names that its earlier versions bore, as long as its bearer is the same.

    Args:
        state: Holds the record's last version.
        engine: Of the record's kind.
        number: Of the record.
        record: Its new version.

    Returns:
        The same object where there is nothing to keep. Costs 20 µs for a firm, and a normalisation after a renaming.
    """
    attributes = record.attributes
    payload = state.raw(number) if isinstance(attributes, BusinessAttributes) else None
    before = decode_payload(payload).attributes if payload is not None else None
    if not isinstance(attributes, BusinessAttributes) or not isinstance(before, BusinessAttributes):
        return record
    names = _former_names(before, attributes)
    if names == attributes.former_names or is_another_bearer(state, engine, number, describe(record).features):
        return record
    return msgspec.structs.replace(record, attributes=msgspec.structs.replace(attributes, former_names=names))


def _former_names(before: BusinessAttributes, now: BusinessAttributes) -> tuple[str, ...]:
    """Return stated and earlier names, each once and none in another spelling of the present one; the latest last."""
    seen = {_core(now.legal_name)}
    kept = list(now.former_names)
    seen |= {_core(name) for name in kept}
    for name in (*before.former_names, before.legal_name):
        core = _core(name)
        if core is not None and core not in seen:
            seen.add(core)
            kept.append(name)
    return tuple(kept[-RECORD_VALUES_MAX:]) if len(kept) > len(now.former_names) else now.former_names


def _core(name: str) -> str | None:
    return business_name(clean(name, NAME_CHARACTERS_MAX)[0]).core
