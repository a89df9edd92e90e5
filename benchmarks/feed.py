"""Kill -9 of a subscriber at random moments, while a city is loaded, changed and re-linked: is its copy the crosswalk?

The subscriber is `mdm watch --copy`, a process of its own; each one goes on with the file that the one before it left.
At the end its copy is compared with an export, row by row, and so is one made of nothing but the feed from its start.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdm.store.token import parse_token
from mdm.synth.city import write_city
from mdm.synth.feeds import COLUMNS
from mdm.synth.updates import write_updates
from mdm_client import Client, SourceKey
from mdm_client.changes import ChangeBatch, WatchStart
from mdm_client.crosswalk import CrosswalkCopy
from tests.serving import running_server

Row = tuple[str, str, str, str]
"""Registry, entity kind, record id, golden ID."""

LIFE_S = (0.0, 0.6)
"""A subscriber lives so long after its first word, drawn evenly: some commit tens of batches, some none."""
EARLY_SHARE = 0.2
EARLY_S = (0.2, 1.2)
START_S_MAX = 30.0
ROUND_STEPS = 12
"""Steps of the city's first round: five loads, a re-linkage, five loads, a reversal. The kills are spread over them."""
COMMAND_S_MAX = 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this suite."""
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--citizens", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the counts, and whether both copies equal the export."""
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="mdm-feed-") as scratch:
        root = Path(scratch)
        write_city(root / "city", options.citizens, options.seed, difficulty="hard")
        with running_server(root / "data", workers=2) as served:
            work = _Work(root, served.address, options.seed)
            kills = []
            for number in range(options.kills):
                work.wait_for(number * ROUND_STEPS // options.kills)
                kills.append(_kill_one(root, served.address, dice, work))
            work.stop()
            _mdm(root, "watch", "--copy", "copy.sqlite", "--once", "--server", served.address)
            with Client(served.address) as client, CrosswalkCopy(root / "copy.sqlite") as copy:
                exported, followed = exported_rows(client, copy.token), list(copy.rows())
                retold, event_count, kinds = retold_rows(client, copy.token)
    result = {
        "suite": "feed",
        "seed": options.seed,
        "citizens": options.citizens,
        "kills": options.kills,
        "kills_by_phase": dict(Counter(phase for phase, _ in kills)),
        "kills_with_changes_taken_in": sum(line_count > 0 for _, line_count in kills),
        "finished_steps_by_phase": dict(Counter(work.finished)),
        "events": event_count,
        "changes_by_type": dict(kinds.most_common()),
        "rows": len(exported),
        "rows_that_differ": difference_count(exported, followed),
        "rows_that_differ_of_the_feed_alone": difference_count(exported, retold),
    }
    return result, result["rows_that_differ"] == result["rows_that_differ_of_the_feed_alone"] == 0


class _Work:
    """Loads, changes and re-links a city, over and over, in a thread."""

    def __init__(self, root: Path, address: str, seed: int) -> None:
        self.phase = "load"
        self.finished: list[str] = []
        self._root, self._address, self._seed = root, address, seed
        self._is_stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._run_id = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, count: int) -> None:
        """Return once so many steps are finished."""
        while len(self.finished) < count and self._thread.is_alive():
            time.sleep(0.02)

    def stop(self) -> None:
        """End after the step in hand; raises what went wrong."""
        self._is_stopping.set()
        self._thread.join()
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        try:
            for step in self._steps():
                self.finished.append(step)
                if self._is_stopping.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 – raised again by stop, in the thread that asks
            self._failures.append(error)

    def _steps(self) -> Iterator[str]:
        # One feed waits for the first re-linkage, which so has records to give IDs to and golden records to merge.
        yield from self._load("city", later="hospital.patients")
        for round_ in range(1, 1_000):
            yield self._relink()
            write_updates(self._root / "changes", self._root / "city", self._seed + round_, 0.05)
            yield from self._load("changes", later="")
            self.phase = "revert"
            self._call("relink", "revert", self._run_id)
            yield self.phase

    def _load(self, folder: str, later: str) -> Iterator[str]:
        for feed in COLUMNS:
            self.phase = f"load {folder}"
            resolve = "later" if feed == later else "now"
            file = self._root / folder / f"{feed}.csv"
            if file.exists():
                self._call("load", feed, file, "--resolve", resolve, "--allow-older", "--json")
                yield self.phase

    def _relink(self) -> str:
        self.phase = "relink"
        self._run_id = json.loads(self._call("relink", "--json"))["run"]
        return self.phase

    def _call(self, *arguments: object) -> str:
        return _mdm(self._root, *arguments, "--server", self._address)


def _kill_one(root: Path, address: str, dice: random.Random, work: _Work) -> tuple[str, int]:
    """Start a subscriber, kill it at a random moment, and return what the city was doing and the lines it printed."""
    command = [sys.executable, "-m", "mdm", "watch", "--copy", "copy.sqlite", "--json", "--server", address]
    line_count = 0
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        # One in five is killed before it has said a word, while it connects, exports or takes its first batch in.
        killer = threading.Timer(dice.uniform(*EARLY_S) if dice.random() < EARLY_SHARE else START_S_MAX, process.kill)
        killer.start()
        for line in process.stdout:
            if not line_count:
                killer.cancel()
                killer = threading.Timer(dice.uniform(*LIFE_S), process.kill)
                killer.start()
            line_count += "token" not in json.loads(line) if line.endswith("\n") else 0
        phase = work.phase
        killer.cancel()
        process.kill()
    return phase, line_count


def exported_rows(client: Client, token: str) -> list[Row]:
    """Return the rows of an export that includes a position, in order."""
    return sorted(
        (chunk.registry, str(chunk.kind), record_id, golden_id)
        for chunk in client.export_crosswalk(fresh=token)
        for record_id, golden_id in zip(chunk.record_ids, chunk.golden_ids, strict=True)
    )


def retold_rows(client: Client, token: str) -> tuple[list[Row], int, Counter[str]]:
    """Return the rows that the feed alone gives from its beginning, the events told, and the changes by type."""
    rows: dict[SourceKey, str] = {}
    event_count, kinds = 0, Counter[str]()
    for batch in _until(client.changes.watch(start=WatchStart.BEGINNING), token):
        event_count += len(batch.changes)
        for change in batch.changes:
            kinds.update(str(effect.type) for effect in change.effects)
            for move in change.moves:
                assert move.key is not None
                assert rows.get(move.key, "") == move.old_golden_id, "a gap, or another order"
                rows[move.key] = move.new_golden_id
    found = [(key.registry, str(key.kind), key.record_id, golden_id) for key, golden_id in rows.items() if golden_id]
    return sorted(found), event_count, kinds


def difference_count(one: list[Row], other: list[Row]) -> int:
    """Return how many rows stand in one of the two alone."""
    return len(set(one) ^ set(other))


def _until(batches: Iterator[ChangeBatch], token: str) -> Iterator[ChangeBatch]:
    wanted_seq = parse_token(token).seq
    for batch in batches:
        yield batch
        if batch.is_current and parse_token(batch.token).seq >= wanted_seq:
            return


def _mdm(root: Path, *arguments: object) -> str:
    command = [sys.executable, "-m", "mdm", *map(str, arguments)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mdm {arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
