"""Every section and key of a registries file. docs/registries.md explains each; a test holds both together.

Equal sections have equal canonical bytes: keys at their default are left out.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

import msgspec

from mdm.limits import TWO_PERSON_RECORDS_MIN

KindName = Literal["citizen", "business"]
AssuranceName = Literal["chip_read", "sighted", "stated", "guardian"]
AddressKindName = Literal["contact", "permanent", "current", "head_office"]
IdentifierTypeName = Literal[
    "personal_id", "old_personal_id", "passport", "social_insurance_number", "health_card", "tax_code"
]
RelationTypeName = Literal[
    "household", "guardian", "mother", "father", "spouse", "employer", "legal_representative", "owner", "branch_of"
]

FIELDS: dict[KindName, frozenset[str]] = {
    "citizen": frozenset(
        (
            *("full_name", "other_name", "birth_date", "sex", "nationality", "ethnicity", "birth_order"),
            *("facility_id", "status", "died_on"),
        )
    ),
    "business": frozenset(("legal_name", "foreign_name", "short_name", "form", "established_on", "status")),
}
"""Single-valued attributes of each entity kind; identifiers, phones, addresses and relations are declared as lists."""

DATE_FIELDS = frozenset({"birth_date", "died_on", "established_on"})

Columns = str | tuple[str, ...]
"""A column, or several whose filled cells are joined."""


def columns_of(named: Columns) -> tuple[str, ...]:
    """Return the columns that are named."""
    return (named,) if isinstance(named, str) else named


def folded_code(text: str) -> str:
    """Return a registry's code without what counts for nothing: spaces, letter case, Unicode form."""
    return unicodedata.normalize("NFC", text.strip()).casefold()


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all sections: an unknown key is an error, so that a typing mistake is never silently a default."""


class Condition(_Strict, frozen=True):
    """Holds for rows whose column has one of these values and none of those, and is of this form and not of that one.

    Spaces around a cell and its Unicode form count for nothing; letter case counts.
    """

    column: str
    one_of: tuple[str, ...] = ()
    """Values of which the cell must have one; "" is an empty cell."""
    none_of: tuple[str, ...] = ()
    """Values of which the cell must have none."""
    pattern: str = ""
    """Regular expression that the cell must match in full."""
    not_pattern: str = ""
    """Regular expression that the cell must not match in full."""

    def excludes(self, other: Condition) -> bool:
        """Return whether no row can fulfil both, as far as the declaration alone says."""
        if self.column != other.column:
            return False
        if self.one_of and other.one_of and not set(self.one_of) & set(other.one_of):
            return True
        return any(
            (left.one_of and set(left.one_of) <= set(right.none_of))
            or (left.pattern and left.pattern == right.not_pattern)
            for left, right in ((self, other), (other, self))
        )


class IdentifierColumn(_Strict, frozen=True):
    """An identifier that a column states."""

    type: IdentifierTypeName
    column: str
    assurance: AssuranceName = "stated"
    """How far it is to be believed; `chip_read` and `sighted` count as verified."""
    separator: str = ""
    """Splits a cell that holds several identifiers; empty when it holds one."""
    pattern: str = ""
    """Regular expression that a value must match in full to be taken; its first group, if any, is the identifier."""
    when: Condition | None = None
    """Rows in which the column states this identifier; without it, all."""


class AddressColumns(_Strict, frozen=True):
    """An address that columns state; taken if any of them is filled."""

    kind: AddressKindName
    text: Columns = ""
    """Column of the address, or columns of its parts, the house number first; they are joined by commas."""
    ward_code: str = ""
    """Column of the ward's official code, old or new."""


class RelationColumns(_Strict, frozen=True):
    """A relation that columns state; taken if any of its columns is filled and the condition holds."""

    type: RelationTypeName
    name: str = ""
    """Column of the other's name."""
    role: str = ""
    """Column that says what the other is to the bearer, or the bearer in a household."""
    group_id: str = ""
    """Column of the household's number."""
    record_id: str = ""
    """Column of the other's record id in this registry."""
    phone: str = ""
    """Column of the other's phone."""
    identifiers: tuple[IdentifierColumn, ...] = ()
    """Identifiers of the other."""
    is_same_record_id: bool = False
    """The other is the record of another kind that the same row yields."""
    role_text: str = ""
    """Role of every such relation, where no column states it."""
    when: Condition | None = None
    """Rows that state the relation; without it, all."""


class RecordMapping(_Strict, frozen=True):
    """One record that each row of a feed yields."""

    kind: KindName
    when: Condition | None = None
    """Rows that yield the record; in every other row the record of that kind and record id is withdrawn."""
    fields: dict[str, Columns] = {}
    """Attribute of the kind → column, or columns whose filled cells are joined: dates by /, all else by a space."""
    identifiers: tuple[IdentifierColumn, ...] = ()
    phones: tuple[str, ...] = ()
    """Columns of phone numbers."""
    phone_separator: str = ""
    """Splits a cell that holds several numbers."""
    former_names: tuple[str, ...] = ()
    """Columns that hold earlier legal names of a business."""
    former_name_separator: str = ""
    """Splits a cell that holds several names."""
    addresses: tuple[AddressColumns, ...] = ()
    relations: tuple[RelationColumns, ...] = ()
    translations: dict[str, dict[str, str]] = {}
    """Attribute → the registry's code → the value stored; codes not listed are stored as written. Letter case and the
    Unicode form of a code count for nothing."""
    date_patterns: dict[str, str] = {}
    """Date attribute → regular expression with groups year, month and day; a cell that does not match it in full is
    stored as written. Only for forms that are not read anyway."""
    required: str = ""
    """Column without which the row yields no such record: an empty cell withdraws the record of that id."""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that this record reads."""
        identifiers = [*self.identifiers, *(item for relation in self.relations for item in relation.identifiers)]
        conditions = [self.when, *(item.when for item in identifiers), *(each.when for each in self.relations)]
        named = {self.required, *self.phones, *self.former_names}
        named |= {column for columns in self.fields.values() for column in columns_of(columns)}
        named |= {item.column for item in identifiers}
        named |= {condition.column for condition in conditions if condition}
        for address in self.addresses:
            named |= {*columns_of(address.text), address.ward_code}
        for relation in self.relations:
            named |= {relation.name, relation.role, relation.group_id, relation.record_id, relation.phone}
        return frozenset(named - {""})


class Feed(_Strict, frozen=True):
    """One file that a registry hands over: its key columns, and the records that each row yields."""

    records: Annotated[tuple[RecordMapping, ...], msgspec.Meta(min_length=1)]
    record_id: str = "record_id"
    """Column of the registry's own key."""
    operation: str = "operation"
    """Column that says `upsert` or `delete`; a file without it only has upserts."""
    updated_at: str = "updated_at"
    """Column that says when the registry last changed the row."""

    @property
    def kinds(self) -> frozenset[KindName]:
        """Entity kinds that a row yields."""
        return frozenset(record.kind for record in self.records)

    @property
    def columns(self) -> frozenset[str]:
        """Every column that a row of this feed may have."""
        return frozenset({self.record_id, self.operation, self.updated_at}).union(
            *(item.columns for item in self.records)
        )


class Registry(_Strict, frozen=True):
    """One source system. Rank 1 is the most trusted: its values survive where registries differ."""

    title: str
    """What people call it."""
    trust_rank: Annotated[int, msgspec.Meta(ge=1)]
    """1 is the most trusted; where values are chosen by trust, the lower rank wins."""
    feeds: Annotated[dict[str, Feed], msgspec.Meta(min_length=1)]
    """Name of the feed → what its rows yield."""

    @property
    def kinds(self) -> frozenset[KindName]:
        """Entity kinds that the registry holds."""
        return frozenset[KindName]().union(*(feed.kinds for feed in self.feeds.values()))


class Stewardship(_Strict, frozen=True):
    """What stewards may do alone."""

    two_person_records_min: Annotated[int, msgspec.Meta(ge=2)] = TWO_PERSON_RECORDS_MIN
    """Members of a golden record from which a merge that makes it needs a second person."""


class Declaration(_Strict, frozen=True):
    """A registries file: all registries, or some that are to be added."""

    registries: dict[str, Registry] = {}
    stewardship: Stewardship | None = None
    """What is in force stays where the file has no such section."""
