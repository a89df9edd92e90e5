"""By which criteria a golden record's values are chosen, field by field, as an operator writes them in a TOML file.

The file is kept as it was given, comments included; what the journal says is in force.
"""

from __future__ import annotations

import enum
import tomllib

import msgspec

from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.domain.records import BusinessAttributes, CitizenAttributes
from mdm.errors import ConfigurationError
from mdm.limits import SURVIVORSHIP_LINE_BYTES_MAX


class Criterion(enum.StrEnum):
    """Why one value stands before another. A file lists the first four; the others are not for choosing."""

    COMPLETENESS = "completeness"
    TRUST = "trust"
    RECENCY = "recency"
    FREQUENCY = "frequency"
    PINNED = "pinned"
    """A steward fixed the value."""
    FIRST_STORED = "first_stored"
    """Equal by every criterion listed: the record that was stored first."""


LISTED = tuple(each for each in Criterion if each not in {Criterion.PINNED, Criterion.FIRST_STORED})
"""What a file may list."""

FIELDS = {
    kind: tuple(field.name for field in msgspec.structs.fields(attributes))
    for kind, attributes in ((EntityKind.CITIZEN, CitizenAttributes), (EntityKind.BUSINESS, BusinessAttributes))
}
"""Fields of each kind, in the order in which a golden record shows them."""

NAMES = frozenset({"full_name", "other_name", "legal_name", "foreign_name", "short_name", "former_names"})
DATES = frozenset({"birth_date", "died_on", "established_on"})
MEASURABLE = NAMES | DATES | {"addresses"}
"""Fields of which one value can be more complete than another."""


class KindRules(msgspec.Struct, frozen=True):
    """The rules of one entity kind."""

    default: tuple[Criterion, ...]
    fields: dict[str, tuple[Criterion, ...]] = {}
    trust: dict[str, tuple[str, ...]] = {}
    """Field → registries, the most trusted first; others follow by their own rank."""

    def criteria(self, field: str) -> tuple[Criterion, ...]:
        """Return the criteria of a field, the weightiest first."""
        return self.fields.get(field, self.default)


class SurvivorshipRules(msgspec.Struct, frozen=True):
    """The rules of both kinds."""

    kinds: dict[EntityKind, KindRules]

    @classmethod
    def parse(cls, body: bytes) -> SurvivorshipRules:
        """Return the rules that a file holds.

        Raises:
            ConfigurationError: No TOML in UTF-8, or a section, field or criterion that there is none of; names it.
        """
        if any(len(line) > SURVIVORSHIP_LINE_BYTES_MAX for line in body.splitlines()):
            raise ConfigurationError("survivorship", f"must have lines of at most {SURVIVORSHIP_LINE_BYTES_MAX} bytes")
        try:
            raw = tomllib.loads(body.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ConfigurationError("survivorship", "must be UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError("survivorship", f"is no TOML: {error}") from error
        except RecursionError as error:
            raise ConfigurationError("survivorship", "must not nest so deeply") from error
        _check_keys(raw, [kind.value for kind in EntityKind], "")
        return cls({kind: _kind_rules(kind, raw.get(kind.value)) for kind in EntityKind})

    def check(self, configuration: Configuration) -> None:
        """Pass if every registry that the rules name is declared and holds records of the kind.

        Raises:
            ConfigurationError: One is not, or does not.
        """
        for kind, rules in self.kinds.items():
            holding = sorted(name for name, each in configuration.registries.items() if kind.value in each.kinds)
            for field, registries in rules.trust.items():
                if not set(registries) <= set(holding):
                    raise ConfigurationError(
                        f"{kind.value}.trust.{field}", f"must name registries of {kind.value} records: {_or(holding)}"
                    )


def _kind_rules(kind: EntityKind, raw: object) -> KindRules:
    path = kind.value
    if not isinstance(raw, dict):
        raise ConfigurationError(path, "must be a table with default, fields and trust")
    _check_keys(raw, ["default", "fields", "trust"], path)
    if "default" not in raw:
        raise ConfigurationError(f"{path}.default", "must list the criteria of fields that are not named")
    sections = {}
    for section in ("fields", "trust"):
        sections[section] = raw.get(section, {})
        if not isinstance(sections[section], dict):
            raise ConfigurationError(f"{path}.{section}", "must be a table of fields")
        _check_keys(sections[section], FIELDS[kind], f"{path}.{section}")
    fields = {
        field: _criteria(listed, f"{path}.fields.{field}", is_measurable=field in MEASURABLE)
        for field, listed in sections["fields"].items()
    }
    trust = {field: _registries(listed, f"{path}.trust.{field}") for field, listed in sections["trust"].items()}
    default = _criteria(raw["default"], f"{path}.default", is_measurable=False)
    for field in trust:
        if Criterion.TRUST not in fields.get(field, default):
            raise ConfigurationError(f"{path}.trust.{field}", "has no effect: the field's criteria do not list trust")
    return KindRules(default, fields, trust)


def _criteria(raw: object, path: str, *, is_measurable: bool) -> tuple[Criterion, ...]:
    if not isinstance(raw, list) or not raw:
        raise ConfigurationError(path, f"must be a list of {_or(LISTED)}")
    for each in raw:
        if each == Criterion.PINNED:
            raise ConfigurationError(path, "must not list pinned: what a steward pinned always comes first")
        if each not in LISTED:
            raise ConfigurationError(path, f"must be a list of {_or(LISTED)}")
        if each == Criterion.COMPLETENESS and not is_measurable:
            raise ConfigurationError(path, f"may list completeness for {_or(sorted(MEASURABLE))} only")
    if len(set(raw)) < len(raw):
        raise ConfigurationError(path, "must list each criterion once")
    return tuple(Criterion(each) for each in raw)


def _registries(raw: object, path: str) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(each, str) for each in raw):
        raise ConfigurationError(path, "must be a list of registries, the most trusted first")
    if len(set(raw)) < len(raw):
        raise ConfigurationError(path, "must list each registry once")
    return tuple(raw)


def _check_keys(raw: dict[str, object], known: list[str] | tuple[str, ...], path: str) -> None:
    for key in raw:
        if key not in known:
            raise ConfigurationError(f"{path}.{key}".lstrip("."), f"must be one of {', '.join(known)}")


def _or(names: tuple[str, ...] | list[str]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else ", ".join(names)
