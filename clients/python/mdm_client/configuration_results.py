"""What the service answers about registries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mdm_client.records import EntityKind


class RegistryChangeType(StrEnum):
    """What happens to a registry."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ConfigurationInForce:
    """The registries in force, and who put them there, when and why."""

    digest: str
    content: bytes
    """JSON with the sections and keys of a registries file."""
    activated_at: datetime | None
    """None while it is the configuration that the data directory began with."""
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigurationDifference:
    """One key whose value changes; values as JSON, empty for none."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """How one registry differs from what was in force."""

    registry: str
    """Empty for what belongs to none."""
    change_type: RegistryChangeType
    differences: tuple[ConfigurationDifference, ...]
    stored_records: dict[EntityKind, int]
    """Live records stored of it."""
    is_trust_changed: bool
    """Golden records may show other values at once."""
    is_mapping_changed: bool
    """Its records follow when its feeds are loaded again."""


@dataclass(frozen=True, slots=True)
class ConfigurationActivated:
    """Registries that were put in force; `token` is empty for a dry run."""

    digest: str
    was_in_force: bool
    changes: tuple[RegistryChange, ...]
    token: str
