"""The public sets of persons, linked as a re-linkage does and then by the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.quality.batch import Found, Stopwatch, examined, open_questions
from benchmarks.quality.datasets import Linkage, Pipeline, SkippedError, Stratum, Truth, Workshop
from benchmarks.quality.peers.runs import link_with_peers
from benchmarks.quality.people import PersonSet
from mdm.domain.keys import RecordNumber
from mdm.linkage.codec import encode_features
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model, Provenance
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import Workspace
from mdm.linkage.train import SAMPLE_PAIRS, train
from mdm.resolve.relink_linkage import link
from mdm.resolve.relink_snapshot import People, Records


def pipeline(read_set: Callable[[Path], PersonSet]) -> Pipeline:
    """Return the pipeline that links this set as a re-linkage does, and then lets the peers link it."""

    def link_public_set(_argument: str, workshop: Workshop) -> Iterator[Linkage]:
        if workshop.shared is None:
            raise SkippedError("no folder of public sets; name it in MDM_SHARED_DATA")
        people = read_set(workshop.shared / "persons")
        truth = truth_of(people)
        yield link_people(people, truth, workshop)
        yield from link_with_peers(people.specification.kind, plain_table(people), truth, workshop)

    return link_public_set


def truth_of(people: PersonSet) -> Truth:
    """Return the truth as codes; where thresholds were chosen on the set, both halves are strata."""
    strata: tuple[Stratum, ...] = ()
    if people.tuned_on is not None:
        tuned_on = np.array(people.tuned_on)
        strata = (Stratum("held out from tuning", ~tuned_on), Stratum("tuned on", tuned_on))
    files, file_codes = np.unique([row["file"] or "" for row in people.rows], return_inverse=True)
    entities = np.unique(people.bearers, return_inverse=True)[1]
    return Truth(entities.astype(np.int64), file_codes.astype(np.int64), tuple(files.tolist()), strata)


def plain_table(people: PersonSet) -> pa.Table:
    """Return the rows for peers: `row` from 0, the file as `registry`, and the columns as their source states them."""
    columns = [column for column in people.rows[0] if column != "file"]
    stated = {column: pa.array([row[column] for row in people.rows], pa.string()) for column in columns}
    files = pa.array([row["file"] for row in people.rows], pa.string())
    return pa.table({"row": pa.array(range(len(people.rows)), pa.int64()), "registry": files} | stated)


def link_people(people: PersonSet, truth: Truth, workshop: Workshop, sample_pairs: int = SAMPLE_PAIRS) -> Linkage:
    """Link a set as a re-linkage does: snapshot, statistics, training on the records alone, Splink, bands, clusters.

    Args:
        people: What to link.
        truth: Of the same records; only measures.
        workshop: Where to work.
        sample_pairs: Random pairs that u is learned from.
    """
    kind, options = people.specification.kind, workshop.options
    snapshot, stopwatch = workshop.scratch / f"{kind}.parquet", Stopwatch()
    workshop.say(f"{kind}: snapshot of {len(people.features):,} records")
    numbered = list(enumerate(people.features, start=1))
    write_snapshot(
        snapshot, kind, ((number, people.rows[number - 1]["file"] or "", features) for number, features in numbered)
    )
    # Nobody says how many people there are: linkage begins with one for each record and counts its clusters.
    epoch = StatisticsEpoch.from_records(kind, people.features, len(people.features))
    records = Records(kind, {RecordNumber(number): encode_features(features) for number, features in numbered})
    stopwatch.lap("snapshot")
    workshop.say(f"{kind}: training")
    base = Model.build(kind, thresholds=people.thresholds)
    with Workspace(snapshot, base.specification, options.memory_limit) as workspace:
        provenance = Provenance(kind, seed=options.seed)
        model, training = train(workspace, base, epoch, provenance=provenance, sample_pairs=sample_pairs)
        stopwatch.lap("train")
        workshop.say(f"{kind}: linking")
        linked = link(records, workspace, model, epoch, People(), progress=_silent)
        stopwatch.lap("predict_and_cluster")
    questions = open_questions(linked)
    stopwatch.lap("plan")
    found = Found(records, snapshot, model, linked, questions)
    facts = {"learned": list(training.learned), "kept": training.kept}
    return examined(kind, found, truth, workshop, seconds=stopwatch.seconds, facts=facts)


def _silent(_stage: str, _done: int, _whole: int) -> None:
    return
