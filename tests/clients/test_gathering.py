"""Lookups that travel together: each caller gets what a call of its own would have brought, answer or error."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from mdm_client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    EntityKind,
    IdentifierType,
    InvalidArgumentError,
    ServiceError,
)
from mdm_client.gathering import (
    _TASKS_LEAVING_MIN,
    BATCH_VALUES_MAX,
    AsyncGathering,
    Gathering,
    IdentifierQuestion,
    KeyQuestion,
    is_identifier,
    is_record_id,
)
from mdm_client.results import IdentifierHolders, Lookup, RecordStatus
from tests.clients.test_client import record
from tests.serving import RunningServer, running_server

_Told = TypeVar("_Told")

CITIZEN = EntityKind.CITIZEN
CALLERS = 64
KEYS = [f"GATHER-{number}" for number in range(24)]
ODD = ["", "a\0b", "x" * 129, "e\u0301", "tab\there", "é" * 65]
"""Empty, with a NUL, too long, not in normal form C, well formed though not printable, too long in UTF-8."""


@pytest.fixture(scope="module")
def golden_ids(client: Client) -> dict[str, str]:
    return {key: client.upsert(record(key)).golden_id for key in KEYS}


@pytest.fixture
def plain(server: RunningServer) -> Iterator[Client]:
    with Client(server.address, is_gathering=False) as opened:
        yield opened


class Counted:
    """Asks by a client's own calls and counts the keys of each."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.key_counts: list[int] = []

    def one(self, question: KeyQuestion, record_id: str) -> Lookup:
        self.key_counts.append(1)
        return self.client._gatherings.keys._ask_one(question, record_id)

    def many(self, question: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
        self.key_counts.append(len(record_ids))
        return self.client._gatherings.keys._ask_many(question, record_ids)


def test_many_threads_get_each_its_own_answer_in_few_calls(plain: Client, golden_ids: dict[str, str]) -> None:
    counted = Counted(plain)
    gathering = Gathering(is_record_id, counted.one, counted.many)
    question = KeyQuestion(5.0, "hospital", CITIZEN, "")

    def ask(caller: int) -> list[tuple[str, str]]:
        keys = [KEYS[(caller + turn) % len(KEYS)] for turn in range(30)]
        return [(key, gathering.lookup(question, key).golden_id) for key in keys]

    answers = [answer for found in _at_once(ask, CALLERS) for answer in found]
    assert all(golden_ids[key] == golden_id for key, golden_id in answers)
    assert len(answers) == CALLERS * 30
    assert sum(counted.key_counts) == len(answers)
    assert len(counted.key_counts) < len(answers) / 4
    assert not gathering._groups


def test_a_lone_caller_asks_by_a_call_of_its_own_at_once(plain: Client, golden_ids: dict[str, str]) -> None:
    counted = Counted(plain)
    gathering = Gathering(is_record_id, counted.one, counted.many)
    for key in KEYS:
        gathering.lookup(KeyQuestion(5.0, "hospital", CITIZEN, ""), key)
    assert counted.key_counts == [1] * len(KEYS)


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
def test_a_key_that_is_no_key_fails_its_own_caller_alone(
    server: RunningServer, plain: Client, golden_ids: dict[str, str], *, is_async: bool
) -> None:
    keys = [key for pair in zip(KEYS, ODD * 4, strict=True) for key in pair]
    expected = [_told(plain, key) for key in keys]
    assert any("record_id" in told for told in expected)
    if is_async:
        found = asyncio.run(_tell(server, keys))
    else:
        with Client(server.address) as client:
            found = _at_once(lambda caller: _told(client, keys[caller]), len(keys))
    assert found == expected


def test_a_refused_batch_tells_each_caller_what_its_own_call_would(server: RunningServer, plain: Client) -> None:
    expected = _told(plain, "A", "no_such_registry")
    with Client(server.address) as client:
        assert set(_at_once(lambda _: _told(client, "A", "no_such_registry"), CALLERS)) == {expected}


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
def test_callers_of_a_service_that_hangs_are_let_go_at_their_own_deadlines(tmp_path: Path, *, is_async: bool) -> None:
    waits_s = [0.3 if caller % 2 else 1.2 for caller in range(20)]
    with running_server(tmp_path / "data") as served, Client(served.address) as client:
        client.lookup("hospital", CITIZEN, "A")
        pid = served.child_pids("reader_process")[0]
        _stop(pid)
        try:
            if is_async:
                took_s = asyncio.run(_time_out(served, waits_s))
            else:
                took_s = _at_once(lambda caller: _timed(client, waits_s[caller]), len(waits_s))
        finally:
            os.kill(pid, signal.SIGCONT)
    # Sooner by the time in which they gathered, later by what a busy machine takes to wake twenty callers.
    assert all(wait_s - 0.1 < took < wait_s + 0.6 for wait_s, took in zip(waits_s, took_s, strict=True))


def test_a_gathered_lookup_is_as_fresh_as_asked(client: Client) -> None:
    def write_and_read(caller: int) -> bool:
        written = client.upsert(record(f"FRESH-{caller}"))
        return client.lookup("hospital", CITIZEN, f"FRESH-{caller}", fresh=written.token).golden_id == written.golden_id

    assert all(_at_once(write_and_read, 16))


def test_identifiers_that_travel_together_are_answered_as_alone(
    server: RunningServer, plain: Client, golden_ids: dict[str, str]
) -> None:
    stated = [number for key in KEYS for number in _personal_ids(key)]
    values = [*stated, "", "x" * 257, "không có", "000000000000", "\0"]
    expected = [_held(plain, value) for value in values]
    assert sum(golden_id in told for golden_id in golden_ids.values() for told in expected) >= len(KEYS)
    with Client(server.address) as client:
        assert _at_once(lambda caller: _held(client, values[caller]), len(values)) == expected


def test_what_a_batch_cannot_answer_fully_is_asked_alone(
    plain: Client, golden_ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for all threads to start.
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 0.5)
    batches: list[int] = []

    def many(_question: IdentifierQuestion, values: list[str]) -> list[IdentifierHolders | None]:
        batches.append(len(values))
        return [None] * len(values)

    gathering = Gathering(is_identifier, plain._gatherings.identifiers._ask_one, many)
    gathering._is_shared = True
    question = IdentifierQuestion(5.0, IdentifierType.PERSONAL_ID, "")
    values = [number for key in KEYS for number in _personal_ids(key)]
    found = _at_once(lambda caller: gathering.lookup(question, values[caller]), len(values))
    assert batches
    assert [holders.one().golden_id for holders in found] == list(golden_ids.values())


def test_nobody_is_left_waiting_when_the_one_who_asks_for_all_is_interrupted(
    plain: Client, golden_ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for all threads to start.
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 0.5)
    interrupted: list[int] = []

    def many(_question: KeyQuestion, record_ids: list[str]) -> list[Lookup]:
        interrupted.append(len(record_ids))
        raise KeyboardInterrupt

    gathering = Gathering(is_record_id, plain._gatherings.keys._ask_one, many)
    gathering._is_shared = True

    def ask(caller: int) -> str:
        try:
            return gathering.lookup(KeyQuestion(5.0, "hospital", CITIZEN, ""), KEYS[caller % len(KEYS)]).golden_id
        except KeyboardInterrupt:
            return "interrupted"

    found = _at_once(ask, CALLERS)
    assert interrupted
    assert found.count("interrupted") == len(interrupted)
    assert set(found) - {"interrupted"} <= set(golden_ids.values())


def test_nobody_is_left_waiting_when_the_one_who_gathers_is_interrupted(
    plain: Client, golden_ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 5.0)
    gathering = Gathering(is_record_id, plain._gatherings.keys._ask_one, plain._gatherings.keys._ask_many)
    # As after a call that several shared: the next caller waits for company.
    gathering._is_shared = True
    question = KeyQuestion(5.0, "hospital", CITIZEN, "")

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    with ThreadPoolExecutor(2) as followers:

        def follow(key: str) -> str:
            while not gathering._groups:
                time.sleep(0.01)
            return gathering.lookup(question, key).golden_id

        try:
            following = [followers.submit(follow, key) for key in KEYS[:2]]
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt):
                gathering.lookup(question, KEYS[2])
        finally:
            signal.signal(signal.SIGALRM, before)
            # Whoever was forgotten is let go, so that the test ends either way.
            forgotten = [caller for group in gathering._groups.values() for caller in group.waiting]
            for caller in forgotten:
                caller.turn.release()
        assert [each.result(timeout=20) for each in following] == [golden_ids[key] for key in KEYS[:2]]
    assert not forgotten
    assert not gathering._groups


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
def test_what_is_asked_again_alone_has_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, *, is_async: bool
) -> None:
    # Long enough for all threads to start.
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 0.5)
    waited_s, left_s = 0.3, []

    def one(question: KeyQuestion, _: str) -> Lookup:
        left_s.append(question.timeout_s)
        return Lookup(RecordStatus.NOT_FOUND, "", "")

    def many(_: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
        time.sleep(waited_s)
        return [None] * len(record_ids)

    question = KeyQuestion(5.0, "hospital", CITIZEN, "")
    if is_async:

        async def ask() -> None:
            async def one_later(asked: KeyQuestion, record_id: str) -> Lookup:
                return one(asked, record_id)

            async def many_later(asked: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
                return many(asked, record_ids)

            tasks = AsyncGathering(is_record_id, one_later, many_later)
            await asyncio.gather(*(tasks.lookup(question, key) for key in KEYS))

        asyncio.run(ask())
    else:
        threads = Gathering(is_record_id, one, many)
        threads._is_shared = True
        _at_once(lambda caller: threads.lookup(question, KEYS[caller]), len(KEYS))
    assert len(left_s) == len(KEYS)
    assert all(left < question.timeout_s - waited_s for left in left_s)


def _shifted(record_ids: list[str]) -> list[Lookup | None]:
    return [Lookup(RecordStatus.FOUND, record_id, "") for record_id in record_ids[1:]]


def test_no_task_is_left_waiting_by_a_batch_that_answers_fewer_than_were_asked() -> None:
    async def one(_: KeyQuestion, record_id: str) -> Lookup:
        return Lookup(RecordStatus.FOUND, record_id, "")

    async def many(_: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
        return _shifted(record_ids)

    async def ask() -> list[object]:
        gathering = AsyncGathering(is_record_id, one, many)
        question = KeyQuestion(5.0, "hospital", CITIZEN, "")
        asking = [gathering.lookup(question, key) for key in KEYS]
        return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 20)

    assert {type(found) for found in asyncio.run(ask())} == {ValueError}


def test_no_thread_is_given_what_a_batch_answers_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    # All but the first gather, however slowly they start: they leave when the first one's call has landed.
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 20.0)
    batches: list[int] = []
    question = KeyQuestion(60.0, "hospital", CITIZEN, "")

    def one(_: KeyQuestion, record_id: str) -> Lookup:
        while not batches and len(gathering._groups[question].waiting) < len(KEYS) - 1:
            time.sleep(0.001)
        return Lookup(RecordStatus.FOUND, record_id, "")

    def many(_: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
        batches.append(len(record_ids))
        return _shifted(record_ids)

    gathering = Gathering(is_record_id, one, many)

    def ask(caller: int) -> str:
        try:
            return gathering.lookup(question, KEYS[caller]).golden_id
        except ValueError:
            return "refused"

    found = _at_once(ask, len(KEYS))
    assert batches == [len(KEYS) - 1]
    assert found.count("refused") == 1
    assert all(told in {key, "refused"} for key, told in zip(KEYS, found, strict=True))


def test_nobody_is_left_waiting_when_the_client_is_closed(server: RunningServer) -> None:
    client = Client(server.address)
    is_closed = threading.Event()

    def ask(_: int) -> str:
        while True:
            try:
                client.lookup("hospital", CITIZEN, "A", timeout_s=5.0)
            except (ServiceError, ValueError) as error:
                assert is_closed.wait(5)
                return type(error).__name__

    with ThreadPoolExecutor(CALLERS) as callers:
        asking = [callers.submit(ask, caller) for caller in range(CALLERS)]
        time.sleep(0.3)
        is_closed.set()
        client.close()
        assert all(each.result(timeout=20) for each in asking)


async def _closed_while_asked(server: RunningServer) -> list[object]:
    client = AsyncClient(server.address)
    await client.lookup("hospital", CITIZEN, "A")
    asking = [asyncio.create_task(client.lookup("hospital", CITIZEN, f"A{n}")) for n in range(CALLERS)]
    await asyncio.sleep(0)
    await client.close()
    return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 20)


def test_no_task_is_left_waiting_when_the_client_is_closed(server: RunningServer) -> None:
    assert len(asyncio.run(_closed_while_asked(server))) == CALLERS


def test_a_task_that_gives_up_takes_no_other_with_it(server: RunningServer, golden_ids: dict[str, str]) -> None:
    async def ask() -> list[object]:
        async with AsyncClient(server.address) as client:
            asking = [asyncio.create_task(client.lookup("hospital", CITIZEN, key)) for key in KEYS]
            await asyncio.sleep(0)
            asking[0].cancel()
            return await asyncio.gather(*asking, return_exceptions=True)

    first, *others = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert [found.golden_id for found in others if isinstance(found, Lookup)] == [golden_ids[key] for key in KEYS[1:]]


def test_two_calls_of_many_tasks_leave_early_and_what_is_left_in_batches(server: RunningServer) -> None:
    key_counts: list[int] = []

    async def ask() -> list[Lookup]:
        async with AsyncClient(server.address, is_gathering=False) as client:

            async def many(question: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
                key_counts.append(len(record_ids))
                return await client._gatherings.keys._ask_many(question, record_ids)

            gathering = AsyncGathering(is_record_id, client._gatherings.keys._ask_one, many)
            question = KeyQuestion(5.0, "hospital", CITIZEN, "")
            return await asyncio.gather(*(gathering.lookup(question, f"N{n}") for n in range(2 * BATCH_VALUES_MAX + 5)))

    assert {found.status for found in asyncio.run(ask())} == {RecordStatus.NOT_FOUND}
    left_count = 2 * BATCH_VALUES_MAX + 5 - 2 * _TASKS_LEAVING_MIN
    assert key_counts == [_TASKS_LEAVING_MIN, _TASKS_LEAVING_MIN, BATCH_VALUES_MAX, left_count - BATCH_VALUES_MAX]


def test_those_left_by_an_early_call_wait_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdm_client.gathering.GATHER_S", 60.0)
    key_counts: list[int] = []

    async def ask() -> None:
        is_over = asyncio.Event()

        async def one(_: KeyQuestion, record_id: str) -> Lookup:
            raise AssertionError(record_id)

        async def many(_: KeyQuestion, record_ids: list[str]) -> Sequence[Lookup | None]:
            key_counts.append(len(record_ids))
            await is_over.wait()
            return [Lookup(RecordStatus.NOT_FOUND, "", "") for _ in record_ids]

        gathering = AsyncGathering(is_record_id, one, many)
        question = KeyQuestion(5.0, "hospital", CITIZEN, "")
        count = _TASKS_LEAVING_MIN + 5
        asking = [asyncio.create_task(gathering.lookup(question, f"N{number}")) for number in range(count)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert key_counts == [_TASKS_LEAVING_MIN]
        is_over.set()
        await asyncio.gather(*asking)

    asyncio.run(ask())
    assert key_counts == [_TASKS_LEAVING_MIN, 5]


@pytest.mark.parametrize("record_id", [*ODD, "plain", "Số-1", "x" * 128, "é" * 64, "\ud800", " "])
def test_what_gathers_is_answered_alike_by_both_calls(plain: Client, record_id: str) -> None:
    if not is_record_id(record_id):
        return
    alone = plain.lookup("hospital", CITIZEN, record_id)
    batch = plain.batch_lookup("hospital", CITIZEN, [record_id])
    assert (alone.status, alone.golden_id) == (batch.statuses[0], batch.golden_ids[0])


def _at_once(ask: Callable[[int], _Told], count: int) -> list[_Told]:
    with ThreadPoolExecutor(count) as callers:
        return list(callers.map(ask, range(count)))


def _told(client: Client, key: str, registry: str = "hospital") -> str:
    try:
        return client.lookup(registry, CITIZEN, key).golden_id
    except InvalidArgumentError as error:
        return f"{error} {error.field_violations}"


def _personal_ids(key: str) -> list[str]:
    return [identifier.value for identifier in record(key).attributes.identifiers]


def _held(client: Client, value: str) -> str:
    try:
        found = client.lookup_by_identifier(IdentifierType.PERSONAL_ID, value)
    except InvalidArgumentError as error:
        return f"{error} {error.field_violations}"
    return f"{found.holders} {found.holder_count} {found.is_truncated}"


async def _tell(server: RunningServer, keys: list[str]) -> list[str]:
    async with AsyncClient(server.address) as client:

        async def told(key: str) -> str:
            try:
                return (await client.lookup("hospital", CITIZEN, key)).golden_id
            except InvalidArgumentError as error:
                return f"{error} {error.field_violations}"

        return await asyncio.gather(*(told(key) for key in keys))


def _stop(pid: int) -> None:
    """Stop a process, and wait until none of its threads can answer anybody."""
    os.kill(pid, signal.SIGSTOP)
    while any(
        task.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T"
        for task in Path(f"/proc/{pid}/task").glob("*/stat")
    ):
        time.sleep(0.001)


def _timed(client: Client, wait_s: float) -> float:
    started_s = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        client.lookup("hospital", CITIZEN, "A", timeout_s=wait_s)
    return time.monotonic() - started_s


async def _time_out(served: RunningServer, waits_s: list[float]) -> list[float]:
    async with AsyncClient(served.address) as client:

        async def timed(wait_s: float) -> float:
            started_s = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                await client.lookup("hospital", CITIZEN, "A", timeout_s=wait_s)
            return time.monotonic() - started_s

        return await asyncio.gather(*(timed(wait_s) for wait_s in waits_s))
