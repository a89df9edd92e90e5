"""Lookups of many callers at a time travel as one batch, so that code which asks key by key gets a batch's throughput.

A lone caller's lookup leaves at once. While it is under way others for the same registry and kind gather, and leave
together when it has landed, at the latest after `GATHER_S`. Each caller gets its own answer, or its own error: a batch
that is refused is asked again key by key.
"""

from __future__ import annotations

import asyncio
import threading
import time
import unicodedata
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from mdm_client.errors import InvalidArgumentError, ServiceError
from mdm_client.records import EntityKind
from mdm_client.results import BatchLookup, Lookup

GATHER_S = 0.001
"""Longest that a lookup waits for company: a third of what a lookup takes on a busy machine."""

BATCH_KEYS_MAX = 1_000
"""Keys that leave together: a service answers as many within a millisecond or two."""

_RECORD_ID_BYTES_MAX = 128


class Question(NamedTuple):
    """What lookups have in common that may travel together; they differ in the record id alone."""

    registry: str
    kind: EntityKind
    fresh: str
    timeout_s: float


def may_gather(record_id: str) -> bool:
    """Return whether a batch answers this record id as a call of its own does.

    One that is not well formed is an error of the call, but merely not found in a batch.
    """
    if record_id.isascii():
        return 0 < len(record_id) <= _RECORD_ID_BYTES_MAX and record_id.isprintable()
    try:
        is_short = len(record_id.encode()) <= _RECORD_ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
    return is_short and "\0" not in record_id and unicodedata.is_normalized("NFC", record_id)


class _Caller:
    """A thread that waits for its answer, or for its turn to ask for all who wait."""

    __slots__ = ("answer", "error", "record_id", "turn")

    def __init__(self, record_id: str) -> None:
        self.record_id = record_id
        self.turn = threading.Lock()
        self.turn.acquire()
        self.answer: Lookup | None = None
        self.error: ServiceError | None = None


class _Group:
    """Who waits with one question, and how many calls with it are under way."""

    __slots__ = ("calls", "waiting")

    def __init__(self) -> None:
        self.calls = 0
        self.waiting: list[_Caller] = []


class Gathering:
    """Gathers the lookups of threads. The first one that waits asks for all, so no thread is started for it."""

    def __init__(
        self, ask_one: Callable[[Question, str], Lookup], ask_many: Callable[[Question, list[str]], BatchLookup]
    ) -> None:
        """Ask by these, which raise `ServiceError`."""
        self._ask_one = ask_one
        self._ask_many = ask_many
        self._lock = threading.Lock()
        self._groups: dict[Question, _Group] = {}
        # After a call with several keys its callers are about to come back: worth the wait even with none under way.
        self._is_shared = False

    def lookup(self, question: Question, record_id: str) -> Lookup:
        """Return the answer to one key; raises as `ask_one` does."""
        if not may_gather(record_id):
            return self._ask_one(question, record_id)
        with self._lock:
            group = self._groups.get(question)
            if group is None:
                group = self._groups[question] = _Group()
            place = len(group.waiting)
            is_alone = not (group.calls or place or self._is_shared)
            if is_alone:
                group.calls = 1
            else:
                caller = _Caller(record_id)
                group.waiting.append(caller)
        if is_alone:
            try:
                return self._ask_one(question, record_id)
            finally:
                self._land(question, group, 1)
        if place == 0:
            return self._lead(question, group, caller)
        caller.turn.acquire()
        return self._answer_of(question, caller)

    def _lead(self, question: Question, group: _Group, leader: _Caller) -> Lookup:
        started_s = time.monotonic()
        leader.turn.acquire(timeout=GATHER_S)
        with self._lock:
            callers, group.waiting = group.waiting, []
            group.calls += 1
        question = question._replace(timeout_s=question.timeout_s - (time.monotonic() - started_s))
        try:
            if len(callers) > 1:
                self._fetch(question, callers)
            return self._answer_of(question, leader)
        finally:
            self._land(question, group, len(callers))
            # Also when this thread is interrupted: those who have no answer then ask for themselves.
            for caller in callers[1:]:
                caller.turn.release()

    def _fetch(self, question: Question, callers: list[_Caller]) -> None:
        for start in range(0, len(callers), BATCH_KEYS_MAX):
            part = callers[start : start + BATCH_KEYS_MAX]
            try:
                found = self._ask_many(question, [caller.record_id for caller in part])
            except InvalidArgumentError:
                continue
            except ServiceError as error:
                for caller in part:
                    caller.error = error.again()
            else:
                for caller, status, golden_id in zip(part, found.statuses, found.golden_ids, strict=True):
                    caller.answer = Lookup(status, golden_id, found.read_at)

    def _answer_of(self, question: Question, caller: _Caller) -> Lookup:
        if caller.error is not None:
            raise caller.error
        return self._ask_one(question, caller.record_id) if caller.answer is None else caller.answer

    def _land(self, question: Question, group: _Group, key_count: int) -> None:
        with self._lock:
            self._is_shared = key_count > 1
            group.calls -= 1
            if group.waiting:
                turn = group.waiting[0].turn
                if turn.locked():
                    turn.release()
            elif not group.calls:
                self._groups.pop(question, None)


class _AsyncGroup:
    """Which tasks wait with one question, and how many calls with it are under way."""

    __slots__ = ("calls", "departure", "since_s", "waiting")

    def __init__(self) -> None:
        self.calls = 0
        self.waiting: list[tuple[str, asyncio.Future[Lookup]]] = []
        self.since_s = 0.0
        self.departure: asyncio.Handle | None = None


class AsyncGathering:
    """Gathers the lookups of one event loop's tasks: those that ask within one turn of the loop leave together."""

    def __init__(
        self,
        ask_one: Callable[[Question, str], Awaitable[Lookup]],
        ask_many: Callable[[Question, list[str]], Awaitable[BatchLookup]],
    ) -> None:
        """Ask by these, which raise `ServiceError`."""
        self._ask_one = ask_one
        self._ask_many = ask_many
        self._groups: dict[Question, _AsyncGroup] = {}
        self._tasks: set[asyncio.Task[list[Lookup | BaseException]]] = set()

    async def lookup(self, question: Question, record_id: str) -> Lookup:
        """Return the answer to one key; raises as `ask_one` does."""
        if not may_gather(record_id):
            return await self._ask_one(question, record_id)
        loop = asyncio.get_running_loop()
        group = self._groups.get(question)
        if group is None:
            group = self._groups[question] = _AsyncGroup()
        answer: asyncio.Future[Lookup] = loop.create_future()
        group.waiting.append((record_id, answer))
        if group.departure is None:
            group.since_s = loop.time()
            if group.calls:
                group.departure = loop.call_later(GATHER_S, self._depart, question, group)
            else:
                group.departure = loop.call_soon(self._depart, question, group)
        return await answer

    def _depart(self, question: Question, group: _AsyncGroup) -> None:
        waiting, group.waiting, group.departure = group.waiting, [], None
        waited_s = asyncio.get_running_loop().time() - group.since_s
        shortened = question._replace(timeout_s=question.timeout_s - waited_s)
        for start in range(0, len(waiting), BATCH_KEYS_MAX):
            part = waiting[start : start + BATCH_KEYS_MAX]
            group.calls += 1
            fetching = self._fetch(shortened, [record_id for record_id, _ in part])
            task = asyncio.create_task(fetching)
            self._tasks.add(task)
            task.add_done_callback(partial(self._land, question, group, part))

    async def _fetch(self, question: Question, record_ids: list[str]) -> list[Lookup | BaseException]:
        if len(record_ids) > 1:
            try:
                found = await self._ask_many(question, record_ids)
            except InvalidArgumentError:
                pass
            except ServiceError as error:
                return [error.again() for _ in record_ids]
            else:
                rows = zip(found.statuses, found.golden_ids, strict=True)
                return [Lookup(status, golden_id, found.read_at) for status, golden_id in rows]
        alone = (self._ask_one(question, record_id) for record_id in record_ids)
        return await asyncio.gather(*alone, return_exceptions=True)

    def _land(
        self,
        question: Question,
        group: _AsyncGroup,
        waiting: list[tuple[str, asyncio.Future[Lookup]]],
        task: asyncio.Task[list[Lookup | BaseException]],
    ) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        outcomes = [error or asyncio.CancelledError()] * len(waiting) if error or task.cancelled() else task.result()
        for (_, answer), outcome in zip(waiting, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, Lookup):
                answer.set_result(outcome)
            elif isinstance(outcome, asyncio.CancelledError):
                answer.cancel()
            else:
                answer.set_exception(outcome)
        group.calls -= 1
        if group.departure is not None:
            group.departure.cancel()
            self._depart(question, group)
        elif not group.calls:
            self._groups.pop(question, None)
