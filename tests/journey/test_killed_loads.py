"""A full file loaded while client and service are killed again and again: it ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mdm.domain.events import RecordDeleted, RecordUpserted
from mdm.resolve.projection import verify
from mdm.store.data_directory import DataDirectory
from mdm.store.journal import Journal
from mdm.synth.city import write_city
from mdm_client import Client, DeadlineExceededError, NotFoundError, UnavailableError
from tests.journey.test_nights import crosswalk, partition
from tests.serving import RunningServer, running_server

SEED = 23
FEED = "hospital.patients"
VANISHED = 12
TARGETS = ("client", "writer_process", "reader_process", "service")
GIVE_UP_S = 3600.0


class Service:
    """A service that may be killed as a whole and started again at its address."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._stack = ExitStack()
        self.running: RunningServer = self._stack.enter_context(running_server(data))
        self.address = self.running.address

    def kill(self, target: str) -> None:
        if target == "service":
            self.running.process.kill()
            self.running.process.wait()
            self._stack.close()
            self.running = self._stack.enter_context(running_server(self._data, listen=self.address))
        else:
            # The writer may still be on its way back from the last kill while the reader tells of the load.
            until_s = time.monotonic() + GIVE_UP_S
            while not self.running.child_pids(target):
                assert time.monotonic() < until_s, f"no {target} came back"
                time.sleep(0.02)
            self.running.kill(target)

    def close(self) -> None:
        self._stack.close()


@contextmanager
def serving(data: Path) -> Iterator[Service]:
    service = Service(data)
    try:
        yield service
    finally:
        service.close()


def start(folder: Path, name: str, address: str) -> subprocess.Popen[str]:
    arguments = ["load", FEED, name, "--full", "--max-deletes", "10", "--json", "--server", address]
    return subprocess.Popen(
        [sys.executable, "-m", "mdm", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def loaded(folder: Path, name: str, address: str) -> dict[str, Any]:
    process = start(folder, name, address)
    said, noted = process.communicate()
    assert process.returncode == 0, noted
    summary: dict[str, Any] = json.loads(said)
    return summary


def done_count(client: Client, load_id: str | None) -> int:
    """Operations of the last load, or of this one, that are durable; 0 while nobody can say."""
    try:
        entry = client.loads.get(load_id) if load_id else next(client.loads.list(feed=FEED, page_size=1), None)
    except (UnavailableError, DeadlineExceededError, NotFoundError):
        return 0
    return sum(entry.outcome_counts.values()) if entry is not None else 0


def killed(folder: Path, service: Service, name: str, count: int, whole: int) -> tuple[dict[str, Any], Counter[str]]:
    """Load a file, and kill something each time that so much more of it is durable; returns summary and kills."""
    dice = random.Random(SEED)
    kills: Counter[str] = Counter()
    before_id = _last_load(service.address)
    give_up_s = time.monotonic() + GIVE_UP_S
    with Client(service.address) as client, ExitStack() as ended:

        def begin() -> subprocess.Popen[str]:
            begun = ended.enter_context(start(folder, name, service.address))
            # Should the test fail meanwhile: one that has ended is none to kill.
            ended.callback(begun.kill)
            return begun

        process = begin()
        while kills.total() < count:
            if process.poll() is not None:
                said, noted = process.communicate()
                if "no service answers" not in noted:
                    # A fast machine ends the load between two kills.
                    assert process.returncode == 0, noted
                    return json.loads(said), kills
                # Begun while the service was down: whoever runs loads runs them again.
                process = begin()
            assert time.monotonic() < give_up_s
            load_id = _last_load(service.address)
            done = done_count(client, load_id) if load_id != before_id else 0
            if done <= whole * kills.total() // (count + 1):
                time.sleep(0.02)
                continue
            target = TARGETS[kills.total() % len(TARGETS)] if count < 10 else dice.choice(TARGETS)
            kills[target] += 1
            if target == "client":
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
                process = begin()
            else:
                service.kill(target)
        said, noted = process.communicate()
    if "no service answers" in noted:
        return loaded(folder, name, service.address), kills
    assert process.returncode == 0, noted
    return json.loads(said), kills


def _last_load(address: str) -> str:
    with Client(address) as client:
        while True:
            try:
                return next((each.load_id for each in client.loads.list(feed=FEED, page_size=1)), "")
            except (UnavailableError, DeadlineExceededError):
                # Killed, or asked while it was killed; a slow machine takes longer than a call's deadline to start it.
                time.sleep(0.05)


def writes_of(data: Path, load_id: str) -> tuple[Counter[int], set[int]]:
    """Return how often a load stored each record, and which it deleted, from a journal at rest."""
    stored: Counter[int] = Counter()
    deleted: set[int] = set()
    with DataDirectory.open(data) as directory, Journal.open_read_only(directory.journal) as journal:
        for event in journal.events():
            if event.cause.load_id == load_id:
                match event.fact:
                    case RecordUpserted(number=number):
                        stored[number] += 1
                    case RecordDeleted(number=number):
                        deleted.add(number)
                    case _:
                        pass
    return stored, deleted


@pytest.mark.timeout(300)
@pytest.mark.crash
@pytest.mark.parametrize(
    ("citizens", "count"), [(200, 4), pytest.param(20_000, 60, marks=[pytest.mark.long, pytest.mark.timeout(7200)])]
)
def test_a_full_load_that_is_killed_again_and_again_has_no_gap_no_double_and_no_delete_too_many(
    tmp_path: Path, citizens: int, count: int
) -> None:
    write_city(tmp_path / "city", citizens, SEED)
    with (tmp_path / "city" / f"{FEED}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    # The day before there were a tenth of the rows, of which some vanish.
    early, vanished = rows[: len(rows) // 10], {row[0] for row in rows[:VANISHED]}
    for name, table in (("early.csv", early), ("full.csv", rows[VANISHED:])):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *table])
    data, clean = tmp_path / "data", tmp_path / "clean"
    with running_server(data) as served:
        loaded(tmp_path, "early.csv", served.address)
    shutil.copytree(data, clean, ignore=shutil.ignore_patterns("run"))
    (clean / "run").mkdir()

    new_count = len(rows) - len(early)
    with serving(data) as service:
        summary, kills = killed(tmp_path, service, "full.csv", count, new_count)
        found = crosswalk(service.address)
    with running_server(clean) as served:
        without = loaded(tmp_path, "full.csv", served.address)
        expected = crosswalk(served.address)

    stored, deleted = writes_of(data, summary["load_id"])
    clean_stored, clean_deleted = writes_of(clean, without["load_id"])
    gaps, doubles = len(expected.keys() - found.keys()), sum(times > 1 for times in stored.values())
    excess = len(deleted - clean_deleted)
    print(  # noqa: T201 – the figures are what the long form is run for
        f"\n{len(rows)} rows, {new_count} new, {VANISHED} vanished; killed {dict(kills)}: "
        f"gaps {gaps}, doubles {doubles}, deletes that should not be {excess}"
    )
    assert kills.total() > count // 2
    assert (gaps, doubles, excess) == (0, 0, 0)
    assert (len(stored), len(deleted)) == (len(clean_stored), len(clean_deleted)) == (new_count, len(vanished))
    assert found.keys() == expected.keys()
    assert not any(record_id in vanished for _, _, record_id in found)
    assert partition(found) == partition(expected)
    assert verify(data).is_equal
