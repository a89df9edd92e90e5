"""The service's online path in one process: a real writer takes the records in any order, then a real re-linkage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from benchmarks.quality.batch import Stopwatch
from benchmarks.quality.datasets import Linkage, Numbers, Truth, Workshop
from benchmarks.quality.metrics import differing_pairs
from mdm.config import Configuration
from mdm.domain.events import Cause
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import SourceRecord
from mdm.resolve.commands import CommitRelink, Request, RunAnswer, StartRelink, Upsert, WriteAnswer
from mdm.resolve.projection import open_index
from mdm.resolve.relink_runs import Phase, RunState, read_state
from mdm.resolve.writer import Writer
from mdm.store.data_directory import DataDirectory
from mdm.store.journal import Journal

GROUP_RECORDS = 64
"""Records that the writer takes together, as under a load from several streams."""

STEP_S = 0.02
CAUSE = Cause(actor="benchmark", method="quality")


class Subject(NamedTuple):
    """The records of one kind and what batch made of them."""

    sources: Sequence[SourceRecord]
    truth: Truth
    batch_clusters: Numbers


def link_online(subjects: Mapping[EntityKind, Subject], workshop: Workshop) -> Iterator[Linkage]:
    """Yield, for each kind, what loading alone makes of all records, and what a re-linkage after it makes.

    Args:
        subjects: Both kinds are loaded together, as they come in life, in an order shuffled by the seed.
        workshop: Where to work.
    """
    data = workshop.scratch / "online"
    records = [source for subject in subjects.values() for source in subject.sources]
    order = np.random.default_rng(workshop.options.seed).permutation(len(records))
    workshop.say(f"loading {len(records):,} records online, in any order")
    stopwatch = Stopwatch()
    with _Service(data) as service:
        service.load([records[place] for place in order.tolist()])
    stopwatch.lap("load")
    yield from _linkages("online_loaded", data, subjects, stopwatch.seconds)
    workshop.say("re-linking what was loaded")
    with _Service(data) as service:
        seconds = service.relink()
    yield from _linkages("online_relinked", data, subjects, seconds)


class _Service:
    """A writer on a data directory of its own."""

    def __init__(self, data: Path) -> None:
        self._directory = DataDirectory.open(data, create=True, exclusive=True)
        self._writer = Writer.open(self._directory, Configuration.load(None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._directory.close()

    def load(self, records: Sequence[SourceRecord]) -> None:
        for at in range(0, len(records), GROUP_RECORDS):
            group = [Upsert(Request(CAUSE), record) for record in records[at : at + GROUP_RECORDS]]
            for answer in self._writer.execute(group):
                assert isinstance(answer, WriteAnswer), answer

    def relink(self) -> dict[str, float]:
        """Plan and commit a re-linkage; return the seconds of each phase."""
        seconds: dict[str, float] = {}
        (started,) = self._writer.execute([StartRelink(Request(CAUSE))])
        assert isinstance(started, RunAnswer), started
        planned = self._follow(started.run_id, seconds)
        assert planned.phase is Phase.PLANNED, planned.phase
        (committed,) = self._writer.execute([CommitRelink(Request(CAUSE), started.run_id)])
        assert isinstance(committed, RunAnswer), committed
        ended = self._follow(started.run_id, seconds)
        assert ended.phase is Phase.COMMITTED, ended.phase
        return seconds

    def _follow(self, run_id: str, seconds: dict[str, float]) -> RunState:
        """Do the writer's background work until the run rests, and add up how long each phase took."""
        state = read_state(self._directory.relinks, run_id)
        while True:
            began, phase = time.monotonic(), state.phase.value
            has_more = self._writer.background_step()
            state = read_state(self._directory.relinks, run_id)
            if not has_more and not state.phase.is_final:
                time.sleep(STEP_S)
            seconds[phase] = seconds.get(phase, 0.0) + time.monotonic() - began
            if state.phase.is_final and not has_more:
                return state


def _linkages(
    way: str, data: Path, subjects: Mapping[EntityKind, Subject], seconds: Mapping[str, float]
) -> Iterator[Linkage]:
    """Read the crosswalk and the open questions out of a service that is at rest."""
    with (
        DataDirectory.open(data, exclusive=True) as directory,
        Journal.open_read_only(directory.journal) as journal,
        open_index(directory, journal) as index,
        index.read() as view,
    ):
        rows = list(view.iter_crosswalk())
        asked = [pair for pair, _ in view.iter_potential_matches()]
    key_of = {row.number: key for key, row in rows}
    golden_of = {key: row.golden_id for key, row in rows}
    for kind, subject in subjects.items():
        position: dict[SourceKey, int] = {source.key: place for place, source in enumerate(subject.sources)}
        golden_ids = [golden_of[source.key] for source in subject.sources]
        clusters = np.unique(np.array(golden_ids, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
        pairs = [
            sorted((position[key_of[left]], position[key_of[right]]))
            for left, right in asked
            if key_of[left].kind is kind
        ]
        yield Linkage(
            subject=str(kind),
            way=way,
            truth=subject.truth,
            clusters=clusters,
            questions=np.array(pairs, np.int64).reshape(-1, 2),
            seconds=seconds,
            facts={"pairs_other_than_batch": differing_pairs(clusters, subject.batch_clusters)},
        )
