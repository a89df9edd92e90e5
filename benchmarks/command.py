"""One entry for all suites.

Examples:
  python -m benchmarks run lookup match                     quick: a city of 20,000 citizens
  python -m benchmarks run all --size 450000 --save run.json --html run.html
  python -m benchmarks run lookup --server HOST:PORT --city DIR    reads a service that runs; with --tls-ca over TLS
  python -m benchmarks run quality --sets historical        city, feed, quality: with options of their own
  python -m benchmarks compare before.json after.json       exit code 1 if a figure got worse
  python -m benchmarks report run.json --html run.html --markdown
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import city, comparison, feed
from benchmarks.figures import Result, read_result
from benchmarks.quality import suite as quality
from benchmarks.report import page
from benchmarks.session import QUICK_CITIZENS, Session, Suite
from benchmarks.suites import (
    backup,
    desk,
    footprint,
    load,
    lookup,
    match,
    overload,
    rebuild,
    recovery,
    relink,
    resolve,
    rivals,
    scaling,
    soak,
)
from benchmarks.tables import markdown, terminal, told_apart
from mdm.server.supervisor import WITHOUT_EVENT_ENGINE
from mdm_client import MdmError

OWN_OPTIONS = {"city": city, "feed": feed, "quality": quality}
"""Suites that answer other questions than how fast: each with its own options and its own result."""

SUITES: dict[str, Suite] = {
    "desk": desk.measure,
    "lookup": lookup.measure,
    "match": match.measure,
    "resolve": resolve.measure,
    "load": load.measure,
    "relink": relink.measure,
    "rebuild": rebuild.measure,
    "recovery": recovery.measure,
    "backup": backup.measure,
    "overload": overload.measure,
    "soak": soak.measure,
    "footprint": footprint.measure,
    "rivals": rivals.measure,
    "scaling": scaling.measure,
}
"""Suites of figures, in the order in which `all` runs all but the last, which builds cities of its own."""

READING = {"desk", "lookup", "match", "overload"}
"""Suites that can be run on somebody's service: they store nothing, and need neither its processes nor its files."""

TLS_FILES = {
    "ca": "authorities that are trusted",
    "certificate": "the caller's own",
    "key": "of that certificate",
    "server-name": "name in its certificate, if it is reached under another",
}
"""Options that mean what they mean to `mdm`, which takes the same variables of the environment."""

DEFAULT_REPEATS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as told; return 1 if a figure got worse, 2 if there was nothing to work with, 130 if interrupted."""
    # Of ceilings and clients as of the service: what differs is then the service's, and clients are late more seldom.
    os.environ.setdefault("GRPC_EXPERIMENTS", WITHOUT_EVENT_ENGINE)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in {*OWN_OPTIONS, *SUITES, "all"}:
        # The suite alone says what to do.
        given.insert(0, "run")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_run(commands.add_parser("run", help="measure", add_help=False))
    compare = commands.add_parser("compare", help="say which figures changed between two saved results")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    report = commands.add_parser("report", help="show saved results")
    report.add_argument("files", type=Path, nargs="+", metavar="FILE")
    report.add_argument("--html", type=Path, metavar="OUT", help="write one self-contained page")
    report.add_argument("--markdown", action="store_true", help="print the table for a document")
    options, rest = parser.parse_known_args(given)
    if options.command != "run" and rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        match options.command:
            case "run":
                return _run(given[1:])
            case "compare":
                return _compare(read_result(options.before), read_result(options.after))
            case _:
                return _report(told_apart([read_result(file) for file in options.files]), options)
    except (ValueError, RuntimeError, OSError, MdmError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rest", nargs=argparse.REMAINDER)


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in OWN_OPTIONS:
        name = arguments[0]
        module = OWN_OPTIONS[name]
        own = argparse.ArgumentParser(prog=f"python -m benchmarks run {name}", description=module.__doc__)
        module.add_options(own)
        result, is_kept = module.run(own.parse_args(arguments[1:]))
        print(json.dumps(result, indent=2))
        return 0 if is_kept else 1
    options = figure_options().parse_args(arguments)
    names = list(dict.fromkeys([*(list(SUITES)[:-1] if "all" in options.suites else []), *options.suites]))
    names = [name for name in names if name != "all"]
    if options.server and not READING.issuperset(names):
        others = ", ".join(name for name in names if name not in READING)
        raise ValueError(f"a running service is only read, by {', '.join(sorted(READING))}; leave out {others}")
    before = read_result(options.against) if options.against else None
    if options.save is not None and options.save == options.html:
        raise ValueError("--save and --html name the same file")
    for file in filter(None, (options.save, options.html)):
        # Better refused now than after hours.
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise ValueError(f"{file} is a directory: name a file")
    session = Session(names, options)
    try:
        with session:
            for name in names:
                SUITES[name](session)
    except BaseException:
        # What was measured before something failed took its time too.
        if session.result.figures:
            session.result.notes.append(f"broken off in suite {name}")
            # Beside an earlier result, which is whole.
            save, html = (file and file.with_name(f"{file.name}.partial") for file in (options.save, options.html))
            _told(session.result, None, argparse.Namespace(save=save, html=html))
        raise
    return _told(session.result, before, options)


def _told(result: Result, before: Result | None, options: argparse.Namespace) -> int:
    if options.save:
        options.save.write_bytes(msgspec.json.format(msgspec.json.encode(result.plain()), indent=1) + b"\n")
    if options.html:
        options.html.write_text(page([result]), encoding="utf-8")
    print(terminal(result))
    return _compare(before, result) if before is not None else 0


def figure_options() -> argparse.ArgumentParser:
    """Return the options that all suites of figures share."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks run",
        description="Measure how fast the service is, beside what bounds it.",
        epilog=f"Suites with options of their own: {', '.join(OWN_OPTIONS)}; see `run SUITE --help`.",
    )
    add = parser.add_argument
    add("suites", nargs="+", choices=[*SUITES, "all"], metavar="SUITE", help=f"{', '.join(SUITES)} or all")
    add(
        "--size",
        type=_from(50),
        metavar="CITIZENS",
        help=f"of the city (default {QUICK_CITIZENS}; with --city as many as its entities.csv names)",
    )
    sizes = list(scaling.DEFAULT_SIZES)
    add(
        "--sizes",
        type=_sizes,
        default=sizes,
        metavar="N,N,…",
        help=f"of the scaling suite (default {','.join(map(str, sizes))}; the last takes 30 GB of disk)",
    )
    add("--seed", type=_from(0), default=7, help="of the city and of every draw (default 7)")
    add("--repeats", type=_from(1), default=DEFAULT_REPEATS, help="of each measurement (default 5)")
    add("--readers", type=_from(1), default=1, help="reader processes of the service (default 1)")
    add("--clients", type=_from(1), default=1, help="client processes (default 1)")
    add("--measure-seconds", type=_above_zero, default=3.0, help="of each repeat (default 3)")
    add("--warm-up-seconds", type=_not_below_zero, default=0.5, help="before each repeat (default 0.5)")
    add("--kills", type=_from(1), default=20, help="of the recovery suite (default 20)")
    add("--soak-minutes", type=_above_zero, default=1.0, help="of the soak suite (default 1; a trend needs 30)")
    add("--server", default="", metavar="HOST:PORT", help="read a running service instead of starting one")
    for name, what in TLS_FILES.items():
        add(
            f"--tls-{name}",
            default=os.environ.get(f"MDM_TLS_{name.replace('-', '_').upper()}", ""),
            metavar="NAME" if name == "server-name" else "FILE",
            help=f"of --server where it speaks TLS: {what}",
        )
    add("--data", type=Path, metavar="DIR", help="copy this stopped service's data directory instead of building one")
    add("--city", type=Path, metavar="DIR", help="feeds that --data or --server holds, as Parquet")
    add("--cache", type=Path, default=Path("out/bench"), metavar="DIR", help="built cities (default out/bench)")
    add("--save", type=Path, metavar="FILE", help="write the result as JSON")
    add("--html", type=Path, metavar="FILE", help="write the result as a page")
    add("--against", type=Path, metavar="FILE", help="compare with this saved result")
    return parser


def _from(low: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}")
        return value

    return whole_number


def _not_below_zero(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _sizes(text: str) -> list[int]:
    sizes = [_from(50)(each) for each in text.split(",")]
    if len(set(sizes)) < len(sizes):
        raise argparse.ArgumentTypeError("must name each size once")
    return sizes


def _compare(before: Result, after: Result) -> int:
    found = comparison.changes(before, after)
    for name, result in (("before", before), ("after", after)):
        for note in result.notes:
            print(f"{name}: {note}", file=sys.stderr)
    for difference in comparison.differing_settings(before, after):
        print(f"no fair comparison: {difference}", file=sys.stderr)
    print(comparison.text(found))
    if not found:
        return 2
    return 1 if any(each.verdict in comparison.FAILURES for each in found) else 0


def _report(results: Sequence[Result], options: argparse.Namespace) -> int:
    if options.html:
        options.html.parent.mkdir(parents=True, exist_ok=True)
        options.html.write_text(page(results), encoding="utf-8")
    if options.markdown:
        print(markdown(results), end="")
    if not options.html and not options.markdown:
        print("\n\n".join(terminal(result) for result in results))
    return 0
