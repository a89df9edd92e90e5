"""Keeps the epoch's population near the city's while it grows between re-linkages.

A prior for 20,000 people would link strangers among 400,000. So when the golden records of a kind outnumber the
epoch's population twice, an epoch with the same names and the real population is activated, by event, before the next
record is decided. Counted by record, not by clock or group. A restart counts anew and takes merges off, so it may
come a little later then.
"""

from __future__ import annotations

from collections import Counter

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, kind_of
from mdm.limits import POPULATION_GROWTH_MAX
from mdm.resolve.engines import engine
from mdm.resolve.group import Group
from mdm.store.view import IndexView


class PopulationWatch:
    """How many golden records there are of each kind; merges between re-linkages are not taken off.

    To count a city's golden records takes a second a million, so a start takes the golden IDs ever issued for them,
    which are never fewer, and only where these would be too many counts those that live.
    """

    def __init__(self, view: IndexView) -> None:
        """Take the golden IDs ever issued. Cost: see `IndexView.issued_counts`."""
        self._live = Counter(view.issued_counts())
        self._is_counted = False

    def follow(self, group: Group, cause: ev.Cause) -> None:
        """Activate a new epoch for each kind that has outgrown its present one."""
        for kind in EntityKind:
            present = group.engines[kind]
            if self._live_of(kind, group) <= POPULATION_GROWTH_MAX * present.epoch.population:
                continue
            if not self._is_counted:
                self._count(group)
            live = self._live_of(kind, group)
            if live > POPULATION_GROWTH_MAX * present.epoch.population:
                epoch = present.epoch.with_population(live)
                digest = group.batch.put_artefact("epoch", epoch.to_bytes())
                group.add(cause, ev.EpochActivated(kind, digest))
                group.engines[kind] = engine(kind, present.model, epoch)

    def _live_of(self, kind: EntityKind, group: Group) -> int:
        return self._live[kind] + group.minted[kind]

    def _count(self, group: Group) -> None:
        living = Counter(kind_of(golden_id) for golden_id, golden in group.index.iter_goldens() if golden.members)
        # What this group minted is counted with it, until it is committed.
        living.subtract(group.minted)
        self._live, self._is_counted = living, True

    def expect(self, kind: EntityKind, count: int) -> None:
        """Take over what a re-linkage counted: all of a kind at once, for to count them again would hold writes up."""
        self._live[kind] = count

    def note(self, group: Group) -> None:
        """Count what a committed group minted."""
        self._live.update(group.minted)
