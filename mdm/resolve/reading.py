"""One consistent state with all that an answer needs beside the index: engines, configuration and journal."""

from __future__ import annotations

from typing import NamedTuple

from mdm.config import Configuration
from mdm.domain.keys import GoldenId, parse_golden_id
from mdm.domain.restores import never_issued
from mdm.domain.state import GoldenEntry
from mdm.resolve.engines import Engines
from mdm.resolve.survivorship import RulesInForce
from mdm.store.journal import JournalReader
from mdm.store.view import IndexView


class Reading(NamedTuple):
    """What one call reads from. The view is of one transaction: keep it for one call."""

    view: IndexView
    engines: Engines
    configuration: Configuration
    journal: JournalReader
    rules: RulesInForce


def issued(view: IndexView, golden_id: str) -> tuple[GoldenId, GoldenEntry]:
    """Return a golden ID in canonical form and its entry.

    Raises:
        InvalidGoldenIdError: Not a golden ID.
        UnknownGoldenIdError: Never issued here.
    """
    requested = parse_golden_id(golden_id)
    entry = view.golden(requested)
    if entry is None:
        raise never_issued(view)
    return requested, entry
