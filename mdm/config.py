"""Registries as data: which registries there are, how far each is trusted, and what records a row of each feed yields.

`registries.toml` beside this module is the default; any file of the same form takes its place, so a fifth registry
needs no code. The file is only input: the service journals its digest, and what stands in the journal is in force.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mdm.declarations.faults import Fault, faults_of, near
from mdm.declarations.rules import KnowsValue, registry_faults, suspicions
from mdm.declarations.sections import Declaration, Feed, KindName, Registry, Stewardship
from mdm.errors import ConfigurationError, UnknownRegistryError
from mdm.limits import CONFIGURATION_BYTES_MAX, CONFIGURATION_LINE_BYTES_MAX


class Difference(NamedTuple):
    """One key of a registries file that two configurations give another value; values as JSON, empty for none."""

    path: str
    before: str
    after: str


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """All registries. Equal configurations have equal bytes and digests."""

    registries: dict[str, Registry]
    stewardship: Stewardship = Stewardship()

    @classmethod
    def load(cls, path: Path | None = None) -> Configuration:
        """Return the configuration that a TOML file holds; None takes the one that ships.

        Raises:
            ConfigurationError: The file cannot be read, is no TOML in UTF-8, or has faults; names all of them.
        """
        name = path.name if path else "registries.toml"
        try:
            body = (path or resources.files("mdm") / "registries.toml").read_bytes()
        except OSError as error:
            raise ConfigurationError(name, f"cannot be read: {error.strerror}") from error
        return cls.of(parse_declaration(body, name))

    @classmethod
    def of(cls, declaration: Declaration) -> Configuration:
        """Return the configuration that is a whole file.

        Raises:
            ConfigurationError: It declares no registry.
        """
        if not declaration.registries:
            raise ConfigurationError("registries", "must declare at least one registry")
        return cls(declaration.registries, declaration.stewardship or Stewardship())

    @classmethod
    def decode(cls, body: bytes) -> Configuration:
        """Return what `encode` wrote.

        Raises:
            ConfigurationError: The bytes are no configuration of this version.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError as error:
            raise ConfigurationError("configuration", "is not in its stored form") from error

    def encode(self) -> bytes:
        """Return the canonical bytes: JSON with sorted keys, defaults left out."""
        return msgspec.json.encode(self, order="sorted")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in lower-case hexadecimal."""
        return hashlib.sha256(self.encode()).hexdigest()

    def registry_digest(self, name: str) -> str:
        """Return the SHA-256 of one registry's canonical bytes; empty if it is not declared. Cost: 0.1 ms."""
        declared = self.registries.get(name)
        return hashlib.sha256(msgspec.json.encode(declared, order="sorted")).hexdigest() if declared else ""

    @cached_property
    def _kinds(self) -> dict[str, frozenset[KindName]]:
        return {name: registry.kinds for name, registry in self.registries.items()}

    def holds(self, registry: str, kind: str) -> bool:
        """Return whether the registry is declared and holds records of this kind."""
        return kind in self._kinds.get(registry, ())

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

    def with_declaration(self, declaration: Declaration, *, is_whole: bool = False) -> Configuration:
        """Return this configuration with the registries of a file added, or in place of those of the same name.

        Args:
            declaration: The file.
            is_whole: Whether the file is all there is: registries that it lacks are left out.

        Raises:
            ConfigurationError: Nothing would be left.
        """
        if is_whole:
            return Configuration.of(declaration)
        return Configuration(self.registries | declaration.registries, declaration.stewardship or self.stewardship)

    def differences(self, other: Configuration) -> list[Difference]:
        """Return every key by which another configuration differs from this one, in the order of their paths."""
        return sorted(_differences(msgspec.to_builtins(self), msgspec.to_builtins(other), ""))


def parse_declaration(body: bytes, name: str = "file") -> Declaration:
    """Return what a registries file declares, all of it or some registries.

    Raises:
        ConfigurationError: It is no TOML in UTF-8, too large, or has faults; names all of them.
    """
    raw = _parsed(body, name)
    faults = _faults(raw)
    if faults:
        raise ConfigurationError(*faults[0][:2], others=[fault[:2] for fault in faults[1:]])
    return msgspec.convert(raw, Declaration)


def check_declaration(body: bytes, knows: KnowsValue, name: str = "file") -> list[Fault]:
    """Return everything that is wrong or suspicious in a registries file, faults first.

    Args:
        body: The file.
        knows: Says of a value whether the normaliser can use it.
        name: What the file is called where it cannot be read at all.
    """
    try:
        raw = _parsed(body, name)
    except ConfigurationError as error:
        return [Fault(error.field, error.rule)]
    found = _faults(raw)
    if not found:
        declared = msgspec.convert(raw, Declaration).registries
        for registry, section in declared.items():
            found += suspicions(registry, section, raw["registries"][registry], knows)
        ranks = [(section.trust_rank, registry) for registry, section in declared.items()]
        for rank, registry in ranks:
            others = sorted(other for each, other in ranks if each == rank and other != registry)
            if others:
                rule = f"is that of {', '.join(others)} too"
                path = f"registries.{registry}.trust_rank"
                found.append(Fault(path, rule, "between equals the later value wins", is_warning=True))
    return found


def _parsed(body: bytes, name: str) -> dict[str, Any]:
    if len(body) > CONFIGURATION_BYTES_MAX:
        raise ConfigurationError(name, f"must have at most {CONFIGURATION_BYTES_MAX} bytes")
    if any(len(line) > CONFIGURATION_LINE_BYTES_MAX for line in body.splitlines()):
        raise ConfigurationError(name, f"must have lines of at most {CONFIGURATION_LINE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(name, "must be UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(name, f"is no TOML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(name, "must not nest so deeply") from error


def _faults(raw: dict[str, Any]) -> list[Fault]:
    """Return what is wrong with a file that is TOML."""
    sections = raw.get("registries", {})
    if not isinstance(sections, dict):
        return [Fault("registries", "must be a table")]
    keys = Declaration.__struct_fields__
    found = [
        Fault(key, "is not a key of this file; it holds [registries.NAME] and [stewardship]", near(key, keys))
        for key in raw
        if key not in keys
    ]
    found += faults_of(raw.get("stewardship", {}), Stewardship, "stewardship")
    for name, section in sections.items():
        found += registry_faults(name, section)
    if not sections and "stewardship" not in raw:
        found.append(Fault("registries", "must declare at least one registry"))
    return found


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif _are_tables(before) and _are_tables(after):
        for index in range(max(len(before), len(after))):
            left, right = (each[index] if index < len(each) else None for each in (before, after))
            yield from _differences(left, right, f"{path}[{index}]")
    else:
        yield Difference(path, _said(before), _said(after))


def _are_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value)


def _said(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value, order="sorted").decode()
