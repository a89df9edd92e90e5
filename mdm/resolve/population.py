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
    """How many golden records there are of each kind; merges between re-linkages are not taken off."""

    def __init__(self, view: IndexView) -> None:
        """Count the live golden records. Cost: about 1 us each."""
        self._live = Counter(kind_of(golden_id) for golden_id, golden in view.iter_goldens() if golden.members)

    def follow(self, group: Group, cause: ev.Cause) -> None:
        """Activate a new epoch for each kind that has outgrown its present one."""
        for kind in EntityKind:
            live, present = self._live[kind] + group.minted[kind], group.engines[kind]
            if live > POPULATION_GROWTH_MAX * present.epoch.population:
                epoch = present.epoch.with_population(live)
                digest = group.batch.put_artefact("epoch", epoch.to_bytes())
                group.add(cause, ev.EpochActivated(kind, digest))
                group.engines[kind] = engine(kind, present.model, epoch)

    def expect(self, kind: EntityKind, count: int) -> None:
        """Take over what a re-linkage counted: all of a kind at once, for to count them again would hold writes up."""
        self._live[kind] = count

    def note(self, group: Group) -> None:
        """Count what a committed group minted."""
        self._live.update(group.minted)
