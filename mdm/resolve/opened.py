"""One index generation as a reading process opens it, with what was compiled from its settings."""

from __future__ import annotations

import msgspec

from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.errors import WriterUnavailableError
from mdm.resolve.engines import Engine, active_engines
from mdm.resolve.survivorship import RulesInForce, rules_in_force
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.journal import Journal, JournalReader
from mdm.store.view import IndexView


class Opened(msgspec.Struct, frozen=True):
    """One index generation with what was compiled from its settings."""

    generation: str
    index: Index
    settings: tuple[str | None, ...]
    engines: dict[EntityKind, Engine]
    configuration: Configuration
    rules: RulesInForce
    journal: JournalReader
    """For its identity, which tokens carry, and for what a steward pinned; never on the way of a lookup."""


def open_current(directory: DataDirectory) -> Opened:
    """Open the current generation.

    Raises:
        WriterUnavailableError: The writer has not made an index yet.
    """
    path = directory.generations.current()
    if path is None:
        raise WriterUnavailableError("the writer has not made an index yet")
    index = Index.open(path, readonly=True)
    try:
        return opened(path.name, index, Journal.open_read_only(directory.journal))
    except BaseException:
        index.close()
        raise


def opened(generation: str, index: Index, journal: JournalReader) -> Opened:
    """Compile what the settings of an open index say.

    Raises:
        WriterUnavailableError: The writer has not journalled a configuration yet.
    """
    with index.read() as view:
        settings = settings_of(view)
        configuration = journal.artefact(settings[0] or "")
        if configuration is None:
            raise WriterUnavailableError("the writer has not journalled a configuration yet")
        engines = active_engines(view, journal.artefact)
        registries = Configuration.decode(configuration)
        rules = rules_in_force(view, journal, registries)
    return Opened(generation, index, settings, engines, registries, rules, journal)


def settings_of(view: IndexView) -> tuple[str | None, ...]:
    """Return the settings that `opened` compiles; while they stay, so does what was compiled."""
    names = ("configuration", "survivorship", *(f"{what}:{kind}" for what in ("model", "epoch") for kind in EntityKind))
    return tuple(view.setting(name) for name in names)
