"""What the sections of a registries file cannot say by themselves, and what is allowed but suspicious."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import msgspec

from mdm.declarations.faults import Fault, faults_of, near
from mdm.declarations.sections import (
    DATE_FIELDS,
    FIELDS,
    AddressColumns,
    Condition,
    IdentifierColumn,
    KindName,
    RecordMapping,
    Registry,
    RelationColumns,
    columns_of,
    folded_code,
)

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,31}$")
_NAME_RULE = "must match [a-z][a-z0-9_]{1,31}"
_DATE_GROUPS = {"year", "month", "day"}
_NAME_FIELD: dict[KindName, str] = {"citizen": "full_name", "business": "legal_name"}

KnowsValue = Callable[[KindName, str, str], bool]
"""Whether the normaliser can use a value of a kind's attribute."""


def registry_faults(name: str, raw: object) -> list[Fault]:
    """Return everything that is wrong with the section of a registry, of its form and beyond.

    A record that is not well formed is not looked at further, which hides no fault of the others.
    """
    path = f"registries.{name}"
    found = [] if _NAME.match(name) else [Fault(path, _NAME_RULE)]
    found += faults_of(raw, Registry, path)
    feeds = raw.get("feeds") if isinstance(raw, dict) else None
    for feed_name, feed in (feeds if isinstance(feeds, dict) else {}).items():
        here = f"{path}.feeds.{feed_name}"
        if not _NAME.match(feed_name):
            found.append(Fault(here, _NAME_RULE))
        records = feed.get("records") if isinstance(feed, dict) else None
        found += _records_faults(records if isinstance(records, list) else [], f"{here}.records")
    return found


def suspicions(name: str, registry: Registry, raw: dict[str, Any], knows: KnowsValue) -> Iterator[Fault]:
    """Yield what is allowed in a registry but is rarely meant.

    Args:
        name: Of the registry.
        registry: Without faults.
        raw: The section that it was read from, which alone tells a default from what was written.
        knows: Says of a value whether the normaliser can use it.
    """
    for feed_name, feed in registry.feeds.items():
        for index, record in enumerate(feed.records):
            here = f"registries.{name}.feeds.{feed_name}.records[{index}]"
            written = raw["feeds"][feed_name]["records"][index]
            found = (
                *_evidence_suspicions(record, here),
                *_assurance_suspicions(written, here),
                *_value_suspicions(record, here, knows),
            )
            for fault in found:
                yield fault._replace(is_warning=True)


def _records_faults(raw: list[Any], path: str) -> Iterator[Fault]:
    records = {
        index: msgspec.convert(record, RecordMapping)
        for index, record in enumerate(raw)
        if not faults_of(record, RecordMapping)
    }
    # Of a record that is not well formed nobody knows the kind.
    is_single = len({record.kind for record in records.values()}) == 1 and len(records) == len(raw)
    for index, record in records.items():
        yield from _record_faults(record, f"{path}[{index}]", is_single=is_single)
    for (_, left), (index, right) in combinations(records.items(), 2):
        if left.kind != right.kind:
            continue
        if left.when is None or right.when is None or not left.when.excludes(right.when):
            yield Fault(
                f"{path}[{index}].kind",
                "may be declared once, or several times under conditions of which a row fulfils one at most",
                "a record id names one record of a kind; give both a `when` on one column, with other values",
            )


def _record_faults(record: RecordMapping, path: str, *, is_single: bool) -> Iterator[Fault]:
    known = FIELDS[record.kind]
    for section, keys in (("fields", record.fields), ("translations", record.translations)):
        yield from (
            Fault(f"{path}.{section}.{key}", f"must be one of {', '.join(sorted(known))}", near(key, known))
            for key in keys
            if key not in known
        )
    for key, columns in record.fields.items():
        if not all(columns_of(columns)) or not columns:
            yield Fault(f"{path}.fields.{key}", "must name a column")
    if record.former_names and record.kind != "business":
        yield Fault(f"{path}.former_names", "belongs to a business; a citizen has other_name")
    for key, codes in record.translations.items():
        twice = [code for code, count in Counter(map(folded_code, codes)).items() if count > 1]
        if twice:
            yield Fault(f"{path}.translations.{key}", "has codes that differ in letter case only")
    for key, pattern in record.date_patterns.items():
        yield from _date_pattern_faults(key, pattern, record, f"{path}.date_patterns.{key}")
    yield from _condition_faults(record.when, f"{path}.when")
    yield from _identifier_faults(record.identifiers, f"{path}.identifiers")
    for index, address in enumerate(record.addresses):
        yield from _address_faults(address, f"{path}.addresses[{index}]")
    for index, relation in enumerate(record.relations):
        yield from _relation_faults(relation, f"{path}.relations[{index}]", is_single=is_single)


def _date_pattern_faults(key: str, pattern: str, record: RecordMapping, path: str) -> Iterator[Fault]:
    dates = DATE_FIELDS & FIELDS[record.kind]
    if key not in dates:
        yield Fault(path, f"must be one of {', '.join(sorted(dates))}", near(key, dates))
    yield from (found := list(_pattern_faults(pattern, path)))
    groups = set() if found else set(re.compile(pattern).groupindex)
    if not found and ("year" not in groups or groups - _DATE_GROUPS):
        yield Fault(path, "must have a group (?P<year>…), and may have month and day, no others")


def _identifier_faults(identifiers: tuple[IdentifierColumn, ...], path: str) -> Iterator[Fault]:
    for index, identifier in enumerate(identifiers):
        if not identifier.column:
            yield Fault(f"{path}[{index}].column", "must name a column")
        yield from _pattern_faults(identifier.pattern, f"{path}[{index}].pattern")
        yield from _condition_faults(identifier.when, f"{path}[{index}].when")


def _address_faults(address: AddressColumns, path: str) -> Iterator[Fault]:
    if not any(columns_of(address.text)) and not address.ward_code:
        yield Fault(path, "must name a column as text or ward_code")


def _relation_faults(relation: RelationColumns, path: str, *, is_single: bool) -> Iterator[Fault]:
    stated = (relation.name, relation.group_id, relation.record_id, relation.phone, *relation.identifiers)
    if not any(stated):
        yield Fault(path, "must name a column that says who the other is", "name, record_id, group_id or identifiers")
    if relation.is_same_record_id and is_single:
        yield Fault(f"{path}.is_same_record_id", "needs a record of the other kind in this feed")
    yield from _identifier_faults(relation.identifiers, f"{path}.identifiers")
    yield from _condition_faults(relation.when, f"{path}.when")


def _condition_faults(condition: Condition | None, path: str) -> Iterator[Fault]:
    if condition is None:
        return
    if not condition.column:
        yield Fault(f"{path}.column", "must name a column")
    if not (condition.one_of or condition.none_of or condition.pattern or condition.not_pattern):
        yield Fault(path, "must say one_of, none_of, pattern or not_pattern")
    yield from _pattern_faults(condition.pattern, f"{path}.pattern")
    yield from _pattern_faults(condition.not_pattern, f"{path}.not_pattern")


def _pattern_faults(pattern: str, path: str) -> Iterator[Fault]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield Fault(path, f"is no regular expression: {error}")


def _evidence_suspicions(record: RecordMapping, path: str) -> Iterator[Fault]:
    if not record.identifiers:
        yield Fault(
            f"{path}.identifiers", "are missing", "without any, few records link: names and dates must do alone"
        )
    if _NAME_FIELD[record.kind] not in record.fields:
        yield Fault(
            f"{path}.fields.{_NAME_FIELD[record.kind]}", "is missing", "records without a name hardly ever link"
        )
    if record.kind == "citizen" and "birth_date" not in record.fields:
        yield Fault(f"{path}.fields.birth_date", "is missing", "people of one name are told apart by it")
    counted = Counter(_read_once(record))
    yield from (
        Fault(path, f"reads column {column} {count} times", "is one of them a slip?")
        for column, count in sorted(counted.items())
        if count > 1
    )


def _assurance_suspicions(written: dict[str, Any], path: str) -> Iterator[Fault]:
    for index, identifier in enumerate(written.get("identifiers", [])):
        if "assurance" not in identifier:
            yield Fault(
                f"{path}.identifiers[{index}].assurance",
                "is missing, so the identifier counts as stated only",
                "sighted if an officer saw the document, chip_read if its chip was read",
            )


def _read_once(record: RecordMapping) -> Iterator[str]:
    """Yield the columns of everything that reads a whole cell in every row."""
    for columns in record.fields.values():
        yield from columns_of(columns)
    yield from (item.column for item in record.identifiers if not item.pattern and item.when is None)
    yield from record.phones
    for address in record.addresses:
        yield from (column for column in (*columns_of(address.text), address.ward_code) if column)


def _value_suspicions(record: RecordMapping, path: str, knows: KnowsValue) -> Iterator[Fault]:
    for field, codes in record.translations.items():
        for code, value in codes.items():
            if not knows(record.kind, field, value):
                yield Fault(
                    f"{path}.translations.{field}.{code}",
                    "gives a value that the normaliser does not know",
                    "it is kept as written, but is no evidence",
                )
    for field in record.translations.keys() - record.fields.keys():
        yield Fault(f"{path}.translations.{field}", "translates an attribute that no column states")
