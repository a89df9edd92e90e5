"""The main job on a synthetic city: load online, re-link, load deferred, change, repeat; measured against the truth.

Everything goes through the commands that others use: `mdm serve`, `mdm load`, `mdm relink`, `mdm export crosswalk`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import load_feeds, mdm
from benchmarks.quality.datasets import Numbers, Truth
from benchmarks.quality.evaluation import plain
from benchmarks.quality.metrics import Agreement, pair_quality
from mdm.synth.city import write_city
from mdm.synth.feeds import COLUMNS
from mdm.synth.updates import write_updates
from tests.serving import running_server

Key = tuple[str, str, str]
"""Registry, entity kind, record id."""

KINDS = ("citizen", "business")
BOOTSTRAP_SEED = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the suite can be told."""
    parser.add_argument("--citizens", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--update-share", type=float, default=0.02, help="of households that move; scales the other changes"
    )
    parser.add_argument("--no-deferred", action="store_true", help="leave out loading for later")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the figures, and whether the promises among them hold: nothing reused, confused or changed twice."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        city, changes = root / "city", root / "changes"
        write_city(city, options.citizens, options.seed)
        updates = write_updates(changes, city, options.seed, options.update_share)
        result: dict[str, Any] = {"citizens": options.citizens, "seed": options.seed}
        with running_server(root / "online") as served:
            result["online"] = _online(served.address, city)
            result["updates"] = {"rows": asdict(updates), **_updates(served.address, city, changes)}
        result["verify"] = _verify(root / "online")
        if not options.no_deferred:
            with running_server(root / "deferred") as served:
                result["deferred"] = _deferred(served.address, city)
    kept = (
        result["online"]["ids_changed_by_second_relink"] == 0
        and result["online"]["events_added_by_second_load"] == 0
        and result["updates"]["ids_reused"] == 0
        and result["updates"]["bearers_confused"] == 0
        and result["verify"] == 0
    )
    return result, kept


def _deferred(server: str, city: Path) -> dict[str, Any]:
    loaded = _load(server, city, "later")
    relinked = _relink(server)
    return {"load": loaded, "relink_s": relinked["seconds"], "quality": _quality(_crosswalk(server), _truth(city))}


def _online(server: str, city: Path) -> dict[str, Any]:
    truth = _truth(city)
    loaded = _load(server, city, "now")
    after_load = _crosswalk(server)
    relinked = _relink(server)
    after_relink = _crosswalk(server)
    _relink(server)
    again = _crosswalk(server)
    seq = _events(server)
    reloaded = _load(server, city, "now")
    return {
        "load": loaded,
        "quality_after_load": _quality(after_load, truth),
        "relink_s": relinked["seconds"],
        "quality_after_relink": _quality(after_relink, truth),
        "ids_changed_by_second_relink": sum(again[key] != golden_id for key, golden_id in after_relink.items()),
        "events_added_by_second_load": _events(server) - seq,
        "second_load": reloaded,
    }


def _updates(server: str, city: Path, changes: Path) -> dict[str, Any]:
    """Load a change file of each feed and look whether any golden ID came to mean somebody else."""
    before, truth_before = _crosswalk(server), _truth(city)
    loaded = _load(server, changes, "now")
    after, truth_after = _crosswalk(server), _truth(changes)
    _relink(server)
    relinked = _crosswalk(server)
    return {
        "load": loaded,
        "quality": _quality(after, truth_after),
        "quality_after_relink": _quality(relinked, truth_after),
        "bearer_changes": sum(truth_before[key] != truth_after[key] for key in truth_before if key in truth_after),
        "bearers_confused": _confused(before, truth_before, after, truth_after)
        + _confused(after, truth_after, relinked, truth_after),
        "ids_reused": _reused(before, after, relinked, truth_before, truth_after),
        **_moves(before, after, truth_before, truth_after),
    }


def _moves(
    before: Mapping[Key, str], after: Mapping[Key, str], truth_before: Mapping[Key, str], truth_after: Mapping[Key, str]
) -> dict[str, int]:
    """Count records of the same bearer whose golden ID the changes moved, and those of them that gained nothing by it.

    A move is needful if the record then shares its golden ID with more records of its bearer, or with fewer of others;
    wrong if it only brought others; needless if it brought nothing.
    """
    # Who left for another bearer in the meantime was no company of the record any more.
    here, there = _company(before, truth_after), _company(after, truth_after)
    moved = [
        key
        for key, golden_id in before.items()
        if truth_before.get(key) is not None
        and truth_before[key] == truth_after.get(key)
        and after.get(key, "") != golden_id
    ]
    needless = wrong = 0
    for key in moved:
        (own_before, others_before), (own_after, others_after) = (
            _shared(here[before[key]], truth_after[key]),
            _shared(there[after[key]], truth_after[key]) if after.get(key) else (0, 0),
        )
        if own_after <= own_before and others_after >= others_before:
            wrong += others_after > others_before
            needless += others_after == others_before
    return {"ids_moved": len(moved), "ids_moved_wrongly": wrong, "ids_moved_needlessly": needless}


def _company(crosswalk: Mapping[Key, str], truth: Mapping[Key, str]) -> dict[str, Counter[str]]:
    """Return for each golden ID how many records of each bearer it holds."""
    company: dict[str, Counter[str]] = defaultdict(Counter)
    for key, golden_id in crosswalk.items():
        if key in truth:
            company[golden_id][truth[key]] += 1
    return company


def _shared(company: Counter[str], bearer: str) -> tuple[int, int]:
    """Return how many records are of the bearer, and how many of others."""
    return company[bearer], company.total() - company[bearer]


def _confused(
    before: Mapping[Key, str], truth_before: Mapping[Key, str], after: Mapping[Key, str], truth_after: Mapping[Key, str]
) -> int:
    """Count golden IDs that stood for one bearer and now stand only for others."""
    were, are = _bearers(before, truth_before), _bearers(after, truth_after)
    return sum(not were[golden_id] & are[golden_id] for golden_id in were.keys() & are.keys())


def _reused(
    before: Mapping[Key, str],
    after: Mapping[Key, str],
    relinked: Mapping[Key, str],
    truth_before: Mapping[Key, str],
    truth_after: Mapping[Key, str],
) -> int:
    """Count golden IDs that were gone after the changes and came back for another bearer."""
    were, came_back = _bearers(before, truth_before), _bearers(relinked, truth_after)
    gone = set(before.values()) - set(after.values())
    return sum(not were[golden_id] & came_back[golden_id] for golden_id in gone & came_back.keys())


def _bearers(crosswalk: Mapping[Key, str], truth: Mapping[Key, str]) -> dict[str, set[str]]:
    bearers: dict[str, set[str]] = defaultdict(set)
    for key, golden_id in crosswalk.items():
        if key in truth:
            bearers[golden_id].add(truth[key])
    return bearers


def _quality(crosswalk: Mapping[Key, str], truth: Mapping[Key, str]) -> dict[str, Any]:
    """Return pairwise precision, recall and F1 for each kind; a record without a golden ID pairs with nobody."""
    quality = {}
    for kind in KINDS:
        keys = [key for key in truth if key[1] == kind]
        entities, golden_ids = _codes(truth[key] for key in keys), _codes(crosswalk.get(key, key) for key in keys)
        # One registry for all: this suite reports none of them apart.
        agreement = Agreement(Truth(entities, np.zeros_like(entities), ("all",)), golden_ids)
        pairs = pair_quality(agreement.all(), BOOTSTRAP_SEED)
        quality[kind] = {
            "pairs": pairs.found_pairs,
            "false_pairs": pairs.false_pairs,
            "precision": round(pairs.precision.value, 6),
            "recall": round(pairs.recall.value, 4),
            "f1": round(pairs.f1.value, 4),
        }
    return {kind: plain(figures) for kind, figures in quality.items()}


def _codes(names: Iterable[Hashable]) -> Numbers:
    """Return a number for each name, the same for the same name, from 0."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], np.int64)


def _truth(directory: Path) -> dict[Key, str]:
    with (directory / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }


def _crosswalk(server: str) -> dict[Key, str]:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "crosswalk.csv"
        mdm("export", "crosswalk", file, "--server", server)
        with file.open(encoding="utf-8", newline="") as rows:
            return {
                (row["registry"], row["entity_kind"], row["record_id"]): row["golden_id"]
                for row in csv.DictReader(rows)
            }


def _events(server: str) -> int:
    """Return the journal's position, read off an export's token."""
    from mdm.store.token import parse_token  # noqa: PLC0415  (the token is opaque to everyone but a benchmark)

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "crosswalk.csv"
        mdm("export", "crosswalk", file, "--server", server)
        return parse_token(json.loads(file.with_name("crosswalk.csv.manifest.json").read_text())["token"]).seq


def _load(server: str, directory: Path, resolve: str) -> dict[str, Any]:
    files = {feed: file for feed in COLUMNS if (file := directory / f"{feed}.csv").exists()}
    loaded = load_feeds(files, server, directory, resolve=resolve, say=lambda _text: None)
    records = loaded.outcomes.total()
    return {
        "rows": loaded.rows,
        "records": records,
        "seconds": round(loaded.seconds, 1),
        "records_per_s": round(records / loaded.seconds),
        "outcomes": dict(loaded.outcomes),
    }


def _relink(server: str) -> dict[str, Any]:
    started = time.monotonic()
    report = mdm("relink", "--server", server, "--json")
    return {"seconds": round(time.monotonic() - started, 1), "report": report}


def _verify(data: Path) -> int:
    """Return how many databases of the index differ from a replay of the journal; -1 when verify failed otherwise."""
    done = subprocess.run(
        [sys.executable, "-m", "mdm", "verify", "--data", str(data)], capture_output=True, check=False
    )
    return 0 if done.returncode == 0 else -1
