"""Exports: a state of its own to read, however long that takes, and the ledger of what was handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import msgspec

from mdm.errors import ExportExpiredError
from mdm.resolve.configuring import configuration_in_force
from mdm.resolve.opened import Opened
from mdm.resolve.survivorship import RulesInForce, rules_in_force
from mdm.store.data_directory import DataDirectory
from mdm.store.export_copies import ExportCopies
from mdm.store.export_ledger import ExportEntry
from mdm.store.journal import JournalReader
from mdm.store.view import IndexView

_Chunk = TypeVar("_Chunk")


class Exported(msgspec.Struct, frozen=True):
    """One consistent state, with the rules that were in force in it."""

    copy_name: str
    """By which an export that was cut finds it again."""
    view: IndexView
    journal: JournalReader
    rules: RulesInForce
    is_kept: Callable[[], bool]

    def while_kept(self, chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
        """Yield chunks of this state until an erasure takes it away: nothing that was erased goes out afterwards.

        Raises:
            ExportExpiredError: It is gone.
        """
        for chunk in chunks:
            if not self.is_kept():
                raise ExportExpiredError("an erasure took away the state that the export was reading: begin it again")
            yield chunk


class Exporter:
    """Opens states for exports. Safe to share between threads."""

    def __init__(self, directory: DataDirectory, opened: Callable[[], Opened]) -> None:
        """Copy what `opened` returns, beside it."""
        self._opened = opened
        self._copies = ExportCopies(directory.path)
        self.ledger = directory.exports

    @contextmanager
    def reading(self, copy_name: str = "") -> Iterator[Exported]:
        """Yield the present state, or the one that an export which goes on was reading.

        Read from a copy: a transaction that stays open would make the index grow with every write.

        Raises:
            ExportExpiredError: The state is no longer kept.
            StorageNearlyFullError: The disk has no room for a copy.
            UnavailableError: An erasure replaced the index meanwhile.
        """
        opened = self._opened()
        with self._copies.reading(opened.index, copy_name) as (name, view):
            configuration = configuration_in_force(view, opened.journal)
            rules = rules_in_force(view, opened.journal, configuration)
            yield Exported(name, view, opened.journal, rules, partial(self._copies.is_kept, name))

    def note(self, entry: ExportEntry) -> None:
        """Note in the ledger that an export was handed out."""
        self.ledger.note(entry)

    def sweep(self) -> None:
        """Remove copies that nobody will ask for any more. Cost: 50 µs where there are none."""
        self._copies.sweep()
