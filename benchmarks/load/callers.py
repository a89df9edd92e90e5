"""Many callers of one SDK client: `python -m benchmarks.load.callers ADDRESS KEYS WAY CALLERS SECONDS TLS` prints JSON.

Each caller asks for one key at a time, as code of an agency does, as a thread or as an asyncio task (WAY). It prints
answers a second and CPU microseconds for each; a key that is not found is an error.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import msgspec

from benchmarks.load.generator import tls_of
from benchmarks.load.spec import Encryption, read_requests
from mdm.v1 import lookup_service_pb2 as lookup
from mdm_client import AsyncClient, Client, EntityKind, Tls

WARM_UP_S = 0.5
KEYS_DRAWN = 1_000
"""By each caller: 256 of them know together more keys than the service answers in half a second."""


def main(address: str, keys_file: Path, way: str, callers: int, seconds: float, encryption: str) -> None:
    """Ask for so long, after a warm-up.

    Args:
        address: `HOST:PORT`.
        keys_file: Serialised lookups of one registry, as `write_requests` writes them.
        way: `threads` or `tasks`.
        callers: At a time.
        seconds: Measured.
        encryption: `Encryption` as JSON, `null` for none.
    """
    encrypted = msgspec.json.decode(encryption, type=Encryption | None)
    tls = tls_of(encrypted) if encrypted is not None else None
    keys = [lookup.LookupRequest.FromString(body).key.record_id for body in read_requests(keys_file)]
    run = {"threads": _threads, "tasks": lambda *told: asyncio.run(_tasks(*told))}[way]
    count = _Count(seconds)
    run(address, tls, keys, callers, count)
    print(json.dumps({"answers_per_s": count.answered / seconds, "cpu_us": count.cpu_s / count.answered * 1e6}))


class _Count:
    """Counts answers within a window, and the CPU that they took."""

    def __init__(self, seconds: float) -> None:
        self.begin_s = time.monotonic() + WARM_UP_S
        self.end_s = self.begin_s + seconds
        self.answered = 0
        self.cpu_s = 0.0
        self._cpu_at_begin_s: float | None = None

    def note(self, golden_id: str) -> bool:
        """Count an answer, and return whether to go on."""
        assert golden_id, "a key that was loaded was not found"
        now_s = time.monotonic()
        if now_s < self.begin_s:
            return True
        if self._cpu_at_begin_s is None:
            self._cpu_at_begin_s = time.process_time()
        if now_s < self.end_s:
            self.answered += 1
            return True
        if not self.cpu_s:
            self.cpu_s = time.process_time() - self._cpu_at_begin_s
        return False


def _drawn(keys: list[str], number: int) -> Iterator[str]:
    """Return keys without end, drawn beforehand: to draw one takes a tenth of what the client takes to ask for it."""
    return cycle(random.Random(number).choices(keys, k=KEYS_DRAWN))


def _threads(address: str, tls: Tls | None, keys: list[str], callers: int, count: _Count) -> None:
    with Client(address, tls=tls) as client:

        def ask(number: int) -> None:
            for key in _drawn(keys, number):
                if not count.note(client.lookup("hospital", EntityKind.CITIZEN, key).golden_id):
                    return

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def _tasks(address: str, tls: Tls | None, keys: list[str], callers: int, count: _Count) -> None:
    async with AsyncClient(address, tls=tls) as client:

        async def ask(number: int) -> None:
            for key in _drawn(keys, number):
                if not count.note((await client.lookup("hospital", EntityKind.CITIZEN, key)).golden_id):
                    return

        await asyncio.gather(*(ask(number) for number in range(callers)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
