"""From a data directory to the items of an audit."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.errors import DataDirectoryError, IndexMismatchError, InvalidInputError
from mdm.limits import AUDIT_ITEMS_MAX
from mdm.linkage.model import Thresholds
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import PredictionReport, Workspace, predict
from mdm.resolve.audit.design import Stratum, allocate, draw
from mdm.resolve.audit.pairs import (
    WEIGHT_BITS_MIN,
    Pairs,
    Population,
    Progress,
    apart_pairs,
    cut,
    joined,
    linked_pairs,
    registry_pair,
    unblocked_pairs,
)
from mdm.resolve.engines import Engine, active_engines
from mdm.resolve.payloads import decode_payload
from mdm.resolve.projection import index_versions
from mdm.store.data_directory import DataDirectory
from mdm.store.generations import Start, boot_id
from mdm.store.index import Index
from mdm.store.journal import Journal, JournalReader
from mdm.store.view import IndexView


class Item(msgspec.Struct, frozen=True):
    """One pair to be judged."""

    id: str
    """Says nothing of the pair; begins with the audit's name."""
    left: int
    """Record number, the smaller."""
    right: int
    stratum: int
    """Place among the strata."""
    match_weight_bits: float
    registries: str


class Key(msgspec.Struct, frozen=True):
    """What stays behind while reviewers work: which item is which. Holds no personal values."""

    format_version: int
    audit: str
    """Name of this draw: other data, size or seed give another."""
    kind: EntityKind
    seed: int
    journal_id: str
    read_seq: int
    model_digest: str
    epoch_digest: str
    record_count: int
    pending_record_count: int
    """Records without a golden ID: outside the audit."""
    judged_pair_count: int
    """Pairs that a steward has judged: outside the audit."""
    searched_record_count: int
    """Records that were compared with every other one."""
    match_weight_bits_min: float
    """Pairs apart below it are outside the audit."""
    below_pair_count: int
    """How many of these blocking made."""
    strata: tuple[Stratum, ...]
    items: tuple[Item, ...]


class Audit(msgspec.Struct, frozen=True):
    """A drawn sample: the key, and what the registries say of the items' records."""

    key: Key
    records: dict[int, SourceRecord]


class Frame(msgspec.Struct, frozen=True):
    """Every pair that may be drawn, and what state of the service it describes."""

    population: Population
    thresholds: Thresholds
    pairs: Pairs
    searched_record_count: int
    below_pair_count: int
    journal_id: str
    read_seq: int
    model_digest: str
    epoch_digest: str


FORMAT_VERSION = 1


def sample(
    data: Path, kind: EntityKind, *, size: int, seed: int, searched: int, memory_limit: str, progress: Progress
) -> Audit:
    """Draw an audit from the data directory of a running or stopped service; nothing of the service is changed.

    Half of the items are pairs that stand together, half pairs that stand apart; where one side has fewer, the other
    gets the rest. Costs what scoring the city costs, and `searched` × records × 5 to 10 µs.

    Args:
        data: The directory.
        kind: Of the records.
        size: Items.
        seed: The same state, size and seed give the same audit.
        searched: Records, drawn at random, that are compared with every other one.
        memory_limit: Of DuckDB's buffers.
        progress: Told of stages.

    Raises:
        DataDirectoryError: Not ours, of another version, or its index is not whole: start the service once.
        IndexMismatchError: The index is another release's.
        InvalidInputError: There are fewer than two resolved records, or `size` is beyond its bounds.
    """
    with _copied(data) as (view, journal, scratch):
        engine = active_engines(view, journal.artefact)[kind]
        progress("records", 0, None)
        population = Population.read(view, kind)
        if len(population.numbers) < 2:  # noqa: PLR2004  (a pair takes two)
            raise InvalidInputError("kind", f"the data directory holds no two resolved {kind} records")
        chosen = searched_records(population, searched, seed)
        pairs, prediction = _all_pairs(population, engine, chosen, scratch, memory_limit, progress)
        frame = Frame(
            population,
            engine.model.thresholds,
            pairs,
            len(chosen),
            prediction.candidate_pairs - prediction.kept_pairs,
            str(journal.journal_id),
            view.applied_seq,
            engine.model_digest,
            engine.epoch_digest,
        )
        key = draw_key(frame, size, seed)
        numbers = sorted({number for item in key.items for number in (item.left, item.right)})
        return Audit(key, {number: _record(view, number) for number in numbers})


def draw_key(frame: Frame, size: int, seed: int) -> Key:
    """Draw `size` items, or all pairs if there are fewer.

    Raises:
        InvalidInputError: `size` is too small for the strata, or beyond `AUDIT_ITEMS_MAX`.
    """
    population, pairs = frame.population, frame.pairs
    strata, places = cut(pairs, population, frame.thresholds, frame.searched_record_count)
    counts = _counts(strata, size)
    chosen = []
    for place, count in enumerate(counts):
        of_stratum = np.flatnonzero(places == place)
        chosen.append(of_stratum[draw(pairs.lefts[of_stratum], pairs.rights[of_stratum], count, seed)])
    drawn = np.concatenate(chosen)
    # Names are given in an order that tells nothing.
    drawn = drawn[shuffled(pairs.lefts[drawn], pairs.rights[drawn], seed, "items")]
    origin = (frame.journal_id, frame.read_seq, population.kind, seed, frame.model_digest, frame.epoch_digest)
    content = (*origin, pairs.lefts[drawn].tolist(), pairs.rights[drawn].tolist())
    # A letter first: a spreadsheet must not read an item as a date.
    audit = "a" + hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=3).hexdigest()
    return Key(
        FORMAT_VERSION,
        audit,
        population.kind,
        seed,
        frame.journal_id,
        frame.read_seq,
        frame.model_digest,
        frame.epoch_digest,
        len(population.numbers),
        population.pending_count,
        len(population.judged),
        frame.searched_record_count,
        WEIGHT_BITS_MIN,
        frame.below_pair_count,
        tuple(msgspec.structs.replace(stratum, items=count) for stratum, count in zip(strata, counts, strict=True)),
        tuple(_items(audit, pairs.where(drawn), population, places[drawn])),
    )


def searched_records(population: Population, count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of the records that are compared with every other one: a simple random sample."""
    places = draw(population.numbers, np.zeros_like(population.numbers), count, derived_seed(seed, "search"))
    return np.sort(population.numbers[places])


def shuffled(lefts: NDArray[np.int64], rights: NDArray[np.int64], seed: int, purpose: str) -> NDArray[np.intp]:
    """Return the places of pairs in a random order of this purpose's own."""
    return draw(lefts, rights, len(lefts), derived_seed(seed, purpose))


def derived_seed(seed: int, purpose: str) -> int:
    """Return a seed that has nothing to do with those of other purposes."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "big")


def _counts(strata: list[Stratum], size: int) -> list[int]:
    least = 2 * max(sum(stratum.way.is_linked is side for stratum in strata) for side in (True, False))
    if not least <= size <= AUDIT_ITEMS_MAX:
        raise InvalidInputError("size", f"must be {least} to {AUDIT_ITEMS_MAX}: there are {len(strata)} strata")
    sides = [[place for place, stratum in enumerate(strata) if stratum.way.is_linked is side] for side in (True, False)]
    wholes = [sum(strata[place].population for place in side) for side in sides]
    half = size // 2
    linked = min(wholes[0], size - min(wholes[1], half))
    counts = [0] * len(strata)
    for side, share in zip(sides, (linked, size - linked), strict=True):
        for place, count in zip(side, allocate([strata[place] for place in side], share), strict=True):
            counts[place] = count
    return counts


def _all_pairs(
    population: Population,
    engine: Engine,
    searched: NDArray[np.int64],
    scratch: Path,
    memory_limit: str,
    progress: Progress,
) -> tuple[Pairs, PredictionReport]:
    snapshot, predicted = scratch / "snapshot.parquet", scratch / "pairs.parquet"
    names = population.registry_names
    write_snapshot(
        snapshot,
        population.kind,
        (
            (int(number), names[registry], population.features(place))
            for place, (number, registry) in enumerate(zip(population.numbers, population.registries, strict=True))
        ),
    )
    with Workspace(snapshot, engine.model.specification, memory_limit) as workspace:
        prediction = predict(
            workspace, engine.model, engine.epoch, predicted, threshold_bits=WEIGHT_BITS_MIN, progress=progress
        )
    apart = apart_pairs(population, engine, predicted)
    linked = linked_pairs(population, engine, progress)
    pairs = joined([linked, apart, unblocked_pairs(population, engine, searched, apart, progress)])
    # Predictions come in no order, and a sum of floats depends on theirs.
    return pairs.where(np.argsort(pairs.codes)), prediction


def _items(audit: str, drawn: Pairs, population: Population, strata: NDArray[np.intp]) -> Iterator[Item]:
    one, other = (population.registries[population.places(side)] for side in (drawn.lefts, drawn.rights))
    for place, stratum in enumerate(strata):
        yield Item(
            f"{audit}-{place + 1:05d}",
            int(drawn.lefts[place]),
            int(drawn.rights[place]),
            int(stratum),
            round(float(drawn.bits[place]), 6),
            registry_pair(population, int(one[place]), int(other[place])),
        )


def _record(view: IndexView, number: int) -> SourceRecord:
    payload = view.raw(RecordNumber(number))
    if payload is None:
        raise IndexMismatchError("a record has features and no values: rebuild the index")
    return decode_payload(payload)


@contextmanager
def _copied(data: Path) -> Iterator[tuple[IndexView, JournalReader, Path]]:
    """Yield a view of a copy of the index, so that no transaction stays open in a running service's one."""
    directory = DataDirectory.open(data)
    generations = directory.generations
    current = generations.current()
    if current is None or generations.usable(boot_id()) is not Start.USE:
        raise DataDirectoryError(
            f"the index in {data} is missing or may be torn: start the service once, or rebuild it"
        )
    with (
        tempfile.TemporaryDirectory(dir=directory.path, prefix="audit-") as scratch,
        Journal.open_read_only(directory.journal) as journal,
    ):
        copied = Path(scratch) / "index"
        with Index.open(current, readonly=True) as index:
            if index.versions != index_versions(journal):
                raise IndexMismatchError("the index was made by another release: rebuild it")
            index.copy(copied)
        with Index.open(copied, readonly=True) as index, index.read() as view:
            yield view, journal, Path(scratch)
