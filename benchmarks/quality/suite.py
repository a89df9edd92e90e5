"""How right linkage is: cities and public sets, linked in batch and online, against the truth and against peers.

Examples:
  python -m benchmarks quality
  python -m benchmarks quality --size 20000 --out results
  python -m benchmarks quality --sets city:100000:7:default --online-citizens-max 0 --save run.json
  python -m benchmarks quality --compare run.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.quality import sets
from benchmarks.quality.comparison import differences
from benchmarks.quality.datasets import SkippedError, Workshop
from benchmarks.quality.evaluation import evaluate
from benchmarks.quality.peers.runs import PEERS
from benchmarks.quality.report import page, summary


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the suite can be told."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    known = "\n".join(f"  {each.help}" for each in sets.PIPELINES.values())
    parser.description = f"{__doc__}\nData sets:\n{known}\n"
    default = sets.default_sets(sets.DEFAULT_CITIZENS)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--sets", nargs="+", default=default, metavar="SET", help=f"default: {' '.join(default)}")
    chosen.add_argument(
        "--size",
        dest="sets",
        type=_sets_of_size,
        default=argparse.SUPPRESS,
        metavar="CITIZENS",
        help=f"of the default sets, instead of {sets.DEFAULT_CITIZENS}",
    )
    parser.add_argument("--seed", type=int, default=1, help="of samples, bootstrap and loading order (default 1)")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=list(PEERS),
        choices=[*PEERS, "none"],
        metavar="PEER",
        help=f"other linkers to run on the same rows: {', '.join(PEERS)} or none (default: all that are installed)",
    )
    parser.add_argument(
        "--peer-seconds-max", type=float, default=1800.0, metavar="SECONDS", help="ends a peer that takes longer"
    )
    parser.add_argument(
        "--online-citizens-max",
        type=int,
        default=5_000,
        metavar="COUNT",
        help="larger cities are linked in batch alone: the writer takes some 1,000 records a second (default 5000)",
    )
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB's buffers (default 2GB)")
    parser.add_argument("--examples", action="store_true", help="show five errors of each kind, of synthetic data only")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write quality.json and quality.html")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="name what changed since this saved result")


def _sets_of_size(text: str) -> list[str]:
    if not text.isdecimal() or int(text) < sets.CITIZENS_MIN:
        raise argparse.ArgumentTypeError(f"must be a number of citizens from {sets.CITIZENS_MIN} on")
    return sets.default_sets(int(text))


def default_options() -> argparse.Namespace:
    """Return the options of a run without arguments."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args([])


def run(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the figures, and whether both engines agreed on every pair that was compared."""
    try:
        chosen = {name: sets.split_name(name) for name in options.sets}
        before = None if options.compare is None else _saved(options.compare)
    except ValueError as error:
        print(f"quality: {error}", file=sys.stderr)
        sys.exit(2)
    result: dict[str, Any] = {"suite": "quality", "environment": environment(), "seed": options.seed, "sets": {}}
    skipped: dict[str, str] = {}
    for name, (data_set, argument) in chosen.items():
        try:
            result["sets"][name] = _measured(name, data_set, argument, options)
        except SkippedError as reason:
            skipped[name] = str(reason)
    result["skipped"] = skipped
    if before is not None:
        result["differences"] = differences(before, result)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    if options.save is not None:
        options.save.write_text(text, encoding="utf-8")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "quality.json").write_text(text, encoding="utf-8")
        (options.out / "quality.html").write_text(page(result, result.get("differences", ())), encoding="utf-8")
    print(summary(result), file=sys.stderr)
    return result, is_kept(result)


def is_kept(result: dict[str, Any]) -> bool:
    """Return whether batch and online agreed wherever they were compared."""
    figures = [each for subjects in result["sets"].values() for ways in subjects.values() for each in ways.values()]
    parities = [each["parity"] for each in figures if "parity" in each]
    return all(each["level_mismatches"] == each["weight_mismatches"] == 0 for each in parities)


def _saved(path: Path) -> dict[str, Any]:
    """Read an earlier result.

    Raises:
        ValueError: There is none in the file.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {type(error).__name__}") from error
    if not isinstance(saved, dict) or saved.get("suite") != "quality":
        raise ValueError(f"{path} is no result of this suite")
    return saved


def _measured(name: str, data_set: sets.DataSet, argument: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return subject → way → figures of one data set."""
    began = time.monotonic()

    def say(stage: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {name}: {stage}", file=sys.stderr)

    subjects: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mdm-quality-") as scratch:
        workshop = Workshop(Path(scratch), sets.shared_data(), options, say)
        for linkage in data_set.pipeline(argument, workshop):
            say(f"{linkage.subject}: measuring {linkage.way}")
            subjects.setdefault(linkage.subject, {})[linkage.way] = evaluate(
                linkage, options.seed, with_examples=options.examples
            )
    return subjects
