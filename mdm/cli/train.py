"""`mdm train`: a linkage model and its thresholds, from a stopped service's records or from feed files."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdm.cli.output import ExitCode, fail, note, progress, show
from mdm.cli.train_labels import LabelOf, judged_labels, pair_labels, read_labels, read_truth, truth_labels

if TYPE_CHECKING:
    from mdm.cli.output import Progress
    from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
    from mdm.linkage.features import Features
    from mdm.linkage.gates import TrainingReport
    from mdm.linkage.model import Model
    from mdm.linkage.thresholds import Choice

    Rows = Iterator[tuple[SourceKey, Features]]


@dataclass(frozen=True)
class _Material:
    """What a model is learned from, by place from 1."""

    kind: EntityKind
    keys: list[SourceKey]
    features: list[Features]
    label_of: LabelOf | None
    """None if nothing is known of any pair."""
    is_sample: bool
    """Whether the labels were drawn without regard to the answer."""
    entities: dict[int, str]
    """The truth, if it is known."""


def train(
    out: Annotated[Path, typer.Argument(help="Model file to write.")],
    kind: Annotated[Literal["citizen", "business"], typer.Option(help="What the model compares.")] = "citizen",
    feeds: Annotated[Path | None, typer.Option(help="Directory of feed files named FEED.csv or FEED.parquet.")] = None,
    data: Annotated[Path | None, typer.Option(help="A stopped service's directory.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="truth.csv of the feeds: m is counted on it, and thresholds are proven on it."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of a reviewed random sample of pairs: thresholds are proven on it.")
    ] = None,
    judgements: Annotated[
        bool, typer.Option("--judgements", help="With --data: stewards' judgements may raise the thresholds.")
    ] = False,
    target_precision: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=0.999999, help="Share of automatic links to be right; citizens 0.9999, businesses 0.999."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random sample of pairs.")] = 1,
    memory_limit: Annotated[str, typer.Option(help="Of DuckDB's buffers.")] = "2GB",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Learn how much each agreement and disagreement weighs, choose thresholds, and write both as a model file.

    \b
    Examples:
      mdm train --feeds ./city --kind citizen citizen.json
      mdm train --data ./data --judgements --kind business business.json
      mdm train --data ./data --labels reviewed.csv citizen.json
      mdm train --feeds ./city --truth ./city/truth.csv citizen.json

    \b
    Labels are CSV with left_registry, left_record_id, right_registry, right_record_id, label (same or different).
    A threshold is lowered only if labels prove the target precision. Judgements can only raise it: links that
    nobody complained of are not known to be right. Then: mdm model compare citizen.json
    """
    from mdm.domain.keys import EntityKind

    if (feeds is None) == (data is None):
        fail("give either --feeds or --data", ExitCode.USAGE)
    if truth is not None and feeds is None:
        fail("--truth belongs to --feeds", ExitCode.USAGE)
    if judgements and data is None:
        fail("--judgements belongs to --data", ExitCode.USAGE)
    if sum((truth is not None, labels is not None, judgements)) > 1:
        fail("give one of --truth, --labels and --judgements", ExitCode.USAGE)
    entity_kind = EntityKind(kind)
    judged: dict[tuple[int, int], int] = {}
    if feeds is not None:
        rows = list(_feed_rows(feeds, entity_kind))
    else:
        rows, judged = _data_rows(data or Path(), entity_kind)
    if not rows:
        fail(f"no {kind} records found")
    keys = [key for key, _ in rows]
    entities = read_truth(truth, keys) if truth is not None else {}
    label_of = truth_labels(entities) if truth is not None else None
    if labels is not None:
        label_of = pair_labels(read_labels(labels, entity_kind, keys))
    elif judgements:
        label_of = pair_labels(judged)
        note("judgements", pairs=len(judged))
    material = _Material(entity_kind, keys, [features for _, features in rows], label_of, not judgements, entities)
    with tempfile.TemporaryDirectory() as scratch, progress() as say:
        model, report, choice = _learn(material, Path(scratch), seed, memory_limit, target_precision, say)
    model.save(out)
    _show_report(out, model, report, choice, as_json=as_json)


def _learn(
    material: _Material,
    scratch: Path,
    seed: int,
    memory_limit: str,
    target_precision: float | None,
    say: Progress,
) -> tuple[Model, TrainingReport, Choice]:
    from datetime import UTC, datetime

    import msgspec

    from mdm.linkage.assessed_pairs import BELOW_REVIEW_BITS, assessed_pairs, scored_rows
    from mdm.linkage.epoch import StatisticsEpoch
    from mdm.linkage.model import Model, Provenance
    from mdm.linkage.snapshot import write_snapshot
    from mdm.linkage.splink_engine import Workspace, predict
    from mdm.linkage.thresholds import TARGET_PRECISION, choose_thresholds
    from mdm.linkage.train import train as learn

    kind, snapshot, pairs = material.kind, scratch / "snapshot.parquet", scratch / "pairs.parquet"
    sizes = Counter(key.registry for key in material.keys)
    # Without the truth, the largest registry names nearly every bearer once: the best guess of how many there are.
    population = len(set(material.entities.values())) or max(sizes.values())
    epoch = StatisticsEpoch.from_records(kind, material.features, population)
    source = f"{len(material.keys)} records of {', '.join(sorted(sizes))}"
    rows = zip(material.keys, material.features, strict=True)
    write_snapshot(snapshot, kind, ((place, key.registry, each) for place, (key, each) in enumerate(rows, start=1)))
    base = Model.default(kind)
    with Workspace(snapshot, base.specification, memory_limit) as workspace:
        model, report = learn(
            workspace,
            base,
            epoch,
            provenance=Provenance(source, seed=seed, trained_on=datetime.now(UTC).date().isoformat()),
            truth=_truth_file(material.entities, scratch) if material.entities else None,
            progress=say,
        )
        thresholds = model.thresholds
        threshold_bits = thresholds.review_bits - BELOW_REVIEW_BITS
        predict(workspace, model, epoch, pairs, threshold_bits=threshold_bits, progress=say)
    choice = choose_thresholds(
        assessed_pairs(
            scored_rows(pairs),
            lambda place: material.features[place - 1],
            model,
            epoch,
            material.label_of or (lambda _left, _right: -1),
        ),
        base_link_bits=thresholds.link_bits,
        base_review_bits=thresholds.review_bits,
        target_precision=target_precision or TARGET_PRECISION[kind],
        is_sample=material.is_sample,
    )
    chosen = msgspec.structs.replace(thresholds, link_bits=choice.link_bits, review_bits=choice.review_bits)
    return msgspec.structs.replace(model, thresholds=chosen), report, choice


def _show_report(out: Path, model: Model, report: TrainingReport, choice: Choice, *, as_json: bool) -> None:
    import msgspec

    facts: dict[str, Any] = {"model": str(out), "digest": model.digest}
    if as_json:
        show(facts | {**msgspec.to_builtins(report), "thresholds": msgspec.to_builtins(choice)}, as_json=True)
        return
    chosen, calibration = choice.chosen, choice.calibration
    facts["learned"] = report.learned
    facts["kept"] = {name: str(failure) for name, failure in report.kept.items()}
    facts["sessions"] = {
        f"equal {'+'.join(session.columns)}": (
            f"{'settled' if session.is_converged else 'not settled'} after {session.iteration_count} iterations, "
            f"last change {session.last_change:.1g}"
            if session.iteration_count
            else "no such pairs"
        )
        for session in report.sessions
    }
    facts["link threshold"] = f"{choice.link_bits:g} bits, {choice.basis} (was {choice.base.link_bits:g})"
    facts["review threshold"] = f"{choice.review_bits:g} bits, {choice.question_count:,} pairs to review"
    facts["expected precision"] = (
        f"{chosen.precision:.6f} of {chosen.link_count:,} linked pairs, {choice.expected_error_count:.1f} wrong; "
        f"target {choice.target_precision:g}"
    )
    if choice.label_count:
        facts["precision proven"] = f"at least {chosen.precision_min:.6f} (95 %), on {choice.label_count:,} labels"
        facts["reliability"] = {
            f"{row.bits_min:g} to {row.bits_max:g} bits": (
                f"predicted {row.predicted_share:.4f}, observed {row.observed_share:.4f} "
                f"({row.observed_min:.4f} to {row.observed_max:.4f}) of {row.label_count:,}"
            )
            for row in calibration.rows
        }
    if calibration.label_count:
        facts["calibration"] = f"a bit is worth {calibration.slope:.2f}, shifted by {calibration.shift_bits:+.2f} bits"
    show(facts, as_json=False)


def _feed_rows(directory: Path, kind: EntityKind) -> Rows:
    """Yield the features of every row of the feeds in a directory."""
    from mdm.config import Configuration
    from mdm.feeds.mapping import RowMapper, UpsertOperation
    from mdm.feeds.reading import Row, open_feed
    from mdm.linkage.normalise.record import normalise

    configuration = Configuration.load()
    for feed in configuration.feed_names:
        for path in (directory / f"{feed}.csv", directory / f"{feed}.parquet"):
            if not path.exists() or kind not in configuration.feed(feed).kinds:
                continue
            opened = open_feed(path)
            mapper = RowMapper(configuration, feed, opened.columns)
            for row in opened.rows():
                outcome = mapper.operations(row) if isinstance(row, Row) else ()
                for operation in outcome if isinstance(outcome, tuple) else ():
                    if isinstance(operation, UpsertOperation) and operation.record.key.kind is kind:
                        yield operation.record.key, normalise(operation.record).features


def _data_rows(
    directory: Path, kind: EntityKind
) -> tuple[list[tuple[SourceKey, Features]], dict[tuple[int, int], int]]:
    """Return a stopped service's live records with their features, and the labels that people gave pairs of them."""
    from mdm.linkage.normalise.record import normalise
    from mdm.resolve.payloads import decode_payload
    from mdm.resolve.projection import open_index
    from mdm.store.data_directory import DataDirectory
    from mdm.store.journal import Journal

    rows: list[tuple[SourceKey, Features]] = []
    place_of: dict[RecordNumber, int] = {}
    with (
        DataDirectory.open(directory, exclusive=True) as opened,
        Journal.open_read_only(opened.journal) as journal,
        open_index(opened, journal) as index,
        index.read() as view,
    ):
        for number, entry in view.iter_records():
            payload = view.raw(number)
            if entry.kind is kind and not entry.is_deleted and payload is not None:
                record = decode_payload(payload)
                rows.append((record.key, normalise(record).features))
                place_of[number] = len(rows)
        return rows, judged_labels(view, place_of)


def _truth_file(entities: dict[int, str], scratch: Path) -> Path:
    """Return a Parquet file of places and entities."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = scratch / "truth.parquet"
    pq.write_table(pa.table({"number": list(entities), "entity": list(entities.values())}), target)
    return target
