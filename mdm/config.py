"""Registries as data: which registries there are, how far each is trusted, and what records a row of each feed yields.

`registries.toml` beside this module is the default; any file of the same form takes its place, so a fifth registry
needs no code. The file is only input: the service journals its digest, and what stands in the journal is in force.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from mdm.errors import ConfigurationError, UnknownRegistryError
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

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,31}$")
_Decoded = TypeVar("_Decoded")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all sections: an unknown key is an error, so that a typing mistake is never silently a default."""


class IdentifierColumn(_Strict, frozen=True):
    """An identifier that a column states."""

    type: IdentifierTypeName
    column: str
    assurance: AssuranceName = "stated"
    separator: str = ""
    """Splits a cell that holds several identifiers; empty when it holds one."""
    pattern: str = ""
    """Regular expression that a value must match in full to be taken; its first group, if any, is the identifier."""


class AddressColumns(_Strict, frozen=True):
    """An address that columns state; taken if any of them is filled."""

    kind: AddressKindName
    text: str = ""
    ward_code: str = ""


class Condition(_Strict, frozen=True):
    """Holds for rows whose column has one of these values, or none of them."""

    column: str
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


class RelationColumns(_Strict, frozen=True):
    """A relation that columns state; taken if any of its columns is filled and the condition holds."""

    type: RelationTypeName
    name: str = ""
    role: str = ""
    group_id: str = ""
    record_id: str = ""
    phone: str = ""
    identifiers: tuple[IdentifierColumn, ...] = ()
    is_same_record_id: bool = False
    """The other is the record of another kind that the same row yields."""
    role_text: str = ""
    """Role of every such relation, where no column states it."""
    when: Condition | None = None


class RecordMapping(_Strict, frozen=True):
    """One record that each row of a feed yields."""

    kind: KindName
    fields: dict[str, str] = {}
    """Attribute of the kind → column."""
    identifiers: tuple[IdentifierColumn, ...] = ()
    phones: tuple[str, ...] = ()
    phone_separator: str = ""
    former_names: tuple[str, ...] = ()
    """Columns that hold earlier legal names of a business."""
    former_name_separator: str = ""
    addresses: tuple[AddressColumns, ...] = ()
    relations: tuple[RelationColumns, ...] = ()
    translations: dict[str, dict[str, str]] = {}
    """Attribute → the registry's code → the value stored; codes not listed are stored as written."""
    required: str = ""
    """Column without which the row yields no such record: an empty cell withdraws the record of that id."""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that this record reads."""
        identifiers = [*self.identifiers, *(item for relation in self.relations for item in relation.identifiers)]
        named = {self.required, *self.fields.values(), *self.phones, *self.former_names}
        named |= {item.column for item in identifiers}
        for address in self.addresses:
            named |= {address.text, address.ward_code}
        for relation in self.relations:
            named |= {relation.name, relation.role, relation.group_id, relation.record_id, relation.phone}
            named |= {relation.when.column} if relation.when else set()
        return frozenset(named - {""})


class Feed(_Strict, frozen=True):
    """One file that a registry hands over: its key columns, and the records that each row yields."""

    records: Annotated[tuple[RecordMapping, ...], msgspec.Meta(min_length=1)]
    record_id: str = "record_id"
    operation: str = "operation"
    """Column that says `upsert` or `delete`; a file without it only has upserts."""
    updated_at: str = "updated_at"

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
    trust_rank: Annotated[int, msgspec.Meta(ge=1)]
    feeds: dict[str, Feed]

    @property
    def kinds(self) -> frozenset[KindName]:
        """Entity kinds that the registry holds."""
        return frozenset[KindName]().union(*(feed.kinds for feed in self.feeds.values()))


class Stewardship(_Strict, frozen=True):
    """What stewards may do alone."""

    two_person_records_min: Annotated[int, msgspec.Meta(ge=2)] = TWO_PERSON_RECORDS_MIN
    """Members of a golden record from which a merge that makes it needs a second person."""


class Configuration(_Strict, frozen=True, dict=True):
    """All registries. Equal configurations have equal bytes and digests."""

    registries: dict[str, Registry]
    stewardship: Stewardship = Stewardship()

    @classmethod
    def load(cls, path: Path | None = None) -> Configuration:
        """Return the configuration that a TOML file holds; None takes the one that ships.

        Raises:
            ConfigurationError: The file cannot be read, is no TOML in UTF-8, or breaks the schema; names the key.
        """
        name = path.name if path else "registries.toml"
        try:
            text = (path or resources.files("mdm") / "registries.toml").read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigurationError(name, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(name, "must be UTF-8") from error
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(name, f"is no TOML: {error}") from error
        return cls(_registries(raw), _stewardship(raw))

    @classmethod
    def decode(cls, body: bytes) -> Configuration:
        """Return what `encode` wrote.

        Raises:
            ConfigurationError: The bytes are no configuration of this version.
        """
        try:
            raw = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise ConfigurationError("configuration", "is not in its stored form") from error
        return cls(_registries(raw), _stewardship(raw))

    def encode(self) -> bytes:
        """Return the canonical bytes: JSON with sorted keys, defaults left out."""
        return msgspec.json.encode(self, order="sorted")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in lower-case hexadecimal."""
        return hashlib.sha256(self.encode()).hexdigest()

    @cached_property
    def _kinds(self) -> dict[str, frozenset[KindName]]:
        return {name: registry.kinds for name, registry in self.registries.items()}

    def check(self, registry: str, kind: str) -> None:
        """Pass if the registry is declared and holds records of this kind.

        Raises:
            UnknownRegistryError: It is not, or does not.
        """
        kinds = self._kinds.get(registry)
        if kinds is None:
            raise UnknownRegistryError("registry", f"must be one of {', '.join(sorted(self.registries))}")
        if kind not in kinds:
            raise UnknownRegistryError("entity_kind", f"registry {registry} holds {', '.join(sorted(kinds))} only")

    def feed(self, name: str) -> Feed:
        """Return the feed `registry.feed`.

        Raises:
            UnknownRegistryError: No such feed is declared; the message lists those that are.
        """
        registry, _, feed = name.partition(".")
        declared = self.registries.get(registry)
        if declared is None or feed not in declared.feeds:
            raise UnknownRegistryError("feed", f"must be one of {', '.join(self.feed_names)}")
        return declared.feeds[feed]

    @property
    def feed_names(self) -> tuple[str, ...]:
        """Names of all feeds as `registry.feed`, sorted."""
        return tuple(sorted(f"{name}.{feed}" for name, registry in self.registries.items() for feed in registry.feeds))


def _registries(raw: object) -> dict[str, Registry]:
    sections = _table(_table(raw, "").get("registries", {}), "registries")
    for key in _table(raw, ""):
        if key not in Configuration.__struct_fields__:
            raise ConfigurationError(key, "is not a key of this file; it holds [registries.NAME] and [stewardship]")
    if not sections:
        raise ConfigurationError("registries", "must declare at least one registry")
    return {name: _registry(name, _table(section, f"registries.{name}")) for name, section in sections.items()}


def _stewardship(raw: object) -> Stewardship:
    return _converted(_table(raw, "").get("stewardship", {}), Stewardship, "stewardship")


def _registry(name: str, raw: dict[str, Any]) -> Registry:
    path = f"registries.{name}"
    _check_name(name, path)
    feeds = {}
    for feed, section in _table(raw.get("feeds", {}), f"{path}.feeds").items():
        _check_name(feed, f"{path}.feeds.{feed}")
        feeds[feed] = _converted(section, Feed, f"{path}.feeds.{feed}")
        _check_feed(feeds[feed], f"{path}.feeds.{feed}")
    if not feeds:
        raise ConfigurationError(f"{path}.feeds", "must declare at least one feed")
    bare = _converted(raw | {"feeds": {}}, Registry, path)
    return msgspec.structs.replace(bare, feeds=feeds)


def _check_feed(feed: Feed, path: str) -> None:
    if len(feed.kinds) < len(feed.records):
        raise ConfigurationError(
            f"{path}.records", "may declare each kind once: a record id names one record of a kind"
        )
    for record in feed.records:
        here = f"{path}.records({record.kind})"
        for field in (*record.fields, *record.translations):
            if field not in FIELDS[record.kind]:
                raise ConfigurationError(
                    f"{here}.fields.{field}", f"must be one of {', '.join(sorted(FIELDS[record.kind]))}"
                )
        if record.former_names and record.kind != "business":
            raise ConfigurationError(f"{here}.former_names", "belongs to a business; a citizen has other_name")
        for identifier in (
            *record.identifiers,
            *(item for relation in record.relations for item in relation.identifiers),
        ):
            try:
                re.compile(identifier.pattern)
            except re.error as error:
                raise ConfigurationError(f"{here}.identifiers.{identifier.column}.pattern", f"{error}") from error


def _check_name(name: str, path: str) -> None:
    if not _NAME.match(name):
        raise ConfigurationError(path, "must match [a-z][a-z0-9_]{1,31}")


def _table(raw: object, path: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigurationError(path or "configuration", "must be a table")
    return raw


def _converted(raw: object, target: type[_Decoded], path: str) -> _Decoded:
    try:
        return msgspec.convert(raw, target)
    except msgspec.ValidationError as error:
        # msgspec's message names keys and expected types, with `$` for the section that was being read.
        raise ConfigurationError(path, str(error).replace("$", path)) from error
