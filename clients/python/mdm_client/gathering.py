"""Lookups of many callers at a time travel as one batch, so that code which asks key by key gets a batch's throughput.

A lone caller's lookup leaves at once. While it is under way others with the same question gather, and leave together
when it has landed, at the latest after `GATHER_S`. Each caller gets its own answer, or its own error: what a batch
refuses, or cannot answer as fully as a call of its own, is asked again one by one.
"""

from __future__ import annotations

import asyncio
import threading
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from itertools import repeat, starmap
from typing import Any, Generic, NamedTuple, TypeVar, cast

from mdm_client import calls
from mdm_client.calls import Call
from mdm_client.errors import InvalidArgumentError, ServiceError
from mdm_client.records import EntityKind, IdentifierType, SourceKey
from mdm_client.results import IdentifierHolders, Lookup

GATHER_S = 0.001
"""Longest that a lookup waits for company: a third of what a lookup takes on a busy machine."""

BATCH_VALUES_MAX = 1_000
"""Values that leave together: a service answers as many keys within a millisecond or two."""

_TASKS_LEAVING_MIN = 128
"""Tasks whose lookups leave without waiting for more: answering as many takes a client about as long as their batch is
under way, so that two halves of 256 tasks take turns and neither the client nor the service waits."""

_CALLS_LEAVING_MAX = 2
"""Calls under way from which on no tasks leave early."""

_RECORD_ID_BYTES_MAX = 128
_IDENTIFIER_CHARACTERS_MAX = 256


class KeyQuestion(NamedTuple):
    """What lookups of record ids have in common that may travel together."""

    timeout_s: float
    registry: str
    kind: EntityKind
    fresh: str


key_question = lru_cache(maxsize=64)(KeyQuestion)
"""Makes one, or finds the one made before for half of that."""


class IdentifierQuestion(NamedTuple):
    """What lookups of identifiers have in common that may travel together."""

    timeout_s: float
    type: IdentifierType
    fresh: str


def is_record_id(value: str) -> bool:
    """Return whether a batch answers this record id as a call of its own does.

    One that is not well formed is an error of the call, but merely not found in a batch.
    """
    if value.isascii():
        return 0 < len(value) <= _RECORD_ID_BYTES_MAX and value.isprintable()
    try:
        is_short = len(value.encode()) <= _RECORD_ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
    return is_short and "\0" not in value and unicodedata.is_normalized("NFC", value)


def is_identifier(value: str) -> bool:
    """Return whether a batch answers this identifier as a call of its own does."""
    return 0 < len(value) <= _IDENTIFIER_CHARACTERS_MAX


_Question = TypeVar("_Question", KeyQuestion, IdentifierQuestion)
_Answer = TypeVar("_Answer")


def _shortened(question: _Question, since_s: float) -> _Question:
    """Return the question with the time that is left of its deadline, which counts from when its caller asked."""
    return question._replace(timeout_s=question.timeout_s - (time.monotonic() - since_s))


def _whole(answers: Sequence[_Answer | None], value_count: int) -> Sequence[_Answer | None]:
    """Return a batch's answers if each value has one; of others nobody could tell whose they are."""
    if len(answers) != value_count:
        raise ValueError(f"a batch of {value_count} values has {len(answers)} answers")
    return answers


class _Caller(Generic[_Answer]):
    """A thread that waits for its answer, or for its turn to ask for all who wait."""

    __slots__ = ("answer", "error", "since_s", "turn", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        self.since_s = time.monotonic()
        self.turn = threading.Lock()
        self.turn.acquire()
        self.answer: _Answer | None = None
        self.error: ServiceError | None = None


class _Group(Generic[_Answer]):
    """Who waits with one question, and how many calls with it are under way."""

    __slots__ = ("calls", "waiting")

    def __init__(self) -> None:
        self.calls = 0
        self.waiting: list[_Caller[_Answer]] = []


class Gathering(Generic[_Question, _Answer]):
    """Gathers the lookups of threads. The first one that waits asks for all, so no thread is started for it."""

    def __init__(
        self,
        may_gather: Callable[[str], bool],
        ask_one: Callable[[_Question, str], _Answer],
        ask_many: Callable[[_Question, list[str]], Sequence[_Answer | None]],
    ) -> None:
        """Ask by these, which raise `ServiceError`.

        Args:
            may_gather: Whether a batch answers a value as a call of its own does.
            ask_one: A call for one value.
            ask_many: A batch; None where only a call of its own answers fully.
        """
        self._may_gather = may_gather
        self._ask_one: Callable[[_Question, str], _Answer] = ask_one
        self._ask_many: Callable[[_Question, list[str]], Sequence[_Answer | None]] = ask_many
        self._lock = threading.Lock()
        self._groups: dict[_Question, _Group[_Answer]] = {}
        # After a call with several values its callers are about to come back: worth the wait even with none under way.
        self._is_shared = False

    def lookup(self, question: _Question, value: str) -> _Answer:
        """Return the answer to one value; raises as `ask_one` does."""
        if not self._may_gather(value):
            return self._ask_one(question, value)
        with self._lock:
            group = self._groups.get(question)
            if group is None:
                group = self._groups[question] = _Group()
            place = len(group.waiting)
            is_alone = not (group.calls or place or self._is_shared)
            if is_alone:
                group.calls = 1
            else:
                caller: _Caller[_Answer] = _Caller(value)
                group.waiting.append(caller)
        if is_alone:
            try:
                return self._ask_one(question, value)
            finally:
                self._land(question, group, 1)
        if place == 0:
            return self._lead(question, group, caller)
        caller.turn.acquire()
        return self._answer_of(question, caller)

    def _lead(self, question: _Question, group: _Group[_Answer], leader: _Caller[_Answer]) -> _Answer:
        callers: list[_Caller[_Answer]] = []
        # Also when this thread is interrupted, waiting or asking: those who have no answer then ask for themselves.
        try:
            try:
                leader.turn.acquire(timeout=GATHER_S)
            finally:
                with self._lock:
                    callers, group.waiting = group.waiting, []
                    group.calls += 1
            if len(callers) > 1:
                self._fetch(_shortened(question, leader.since_s), callers)
            return self._answer_of(question, leader)
        finally:
            self._land(question, group, len(callers))
            for caller in callers[1:]:
                caller.turn.release()

    def _fetch(self, question: _Question, callers: list[_Caller[_Answer]]) -> None:
        for start in range(0, len(callers), BATCH_VALUES_MAX):
            part = callers[start : start + BATCH_VALUES_MAX]
            try:
                answers = _whole(self._ask_many(question, [caller.value for caller in part]), len(part))
            except InvalidArgumentError:
                continue
            except ServiceError as error:
                for caller in part:
                    caller.error = error.again()
            else:
                for caller, answer in zip(part, answers, strict=True):
                    caller.answer = answer

    def _answer_of(self, question: _Question, caller: _Caller[_Answer]) -> _Answer:
        if caller.error is not None:
            raise caller.error
        if caller.answer is not None:
            return caller.answer
        return self._ask_one(_shortened(question, caller.since_s), caller.value)

    def _land(self, question: _Question, group: _Group[_Answer], value_count: int) -> None:
        with self._lock:
            self._is_shared = value_count > 1
            group.calls -= 1
            if group.waiting:
                turn = group.waiting[0].turn
                if turn.locked():
                    turn.release()
            elif not group.calls:
                self._groups.pop(question, None)


class _AsyncGroup(Generic[_Answer]):
    """Which tasks wait with one question, and how many calls with it are under way."""

    __slots__ = ("calls", "departure", "loop", "since_s", "waiting")

    def __init__(self) -> None:
        # Remembered, for to ask which loop runs is a system call until Python 3.12.
        self.loop = asyncio.get_running_loop()
        self.calls = 0
        self.waiting: list[tuple[str, asyncio.Future[_Answer]]] = []
        self.since_s = 0.0
        self.departure: asyncio.Handle | None = None


class AsyncGathering(Generic[_Question, _Answer]):
    """Gathers the lookups of one event loop's tasks: those that ask within one turn of the loop leave together.

    While calls are under way they leave within `GATHER_S`. 128 that wait leave at once while fewer than two calls are
    under way, so that one is answered while another travels.
    """

    def __init__(
        self,
        may_gather: Callable[[str], bool],
        ask_one: Callable[[_Question, str], Awaitable[_Answer]],
        ask_many: Callable[[_Question, list[str]], Awaitable[Sequence[_Answer | None]]],
    ) -> None:
        """Ask by these, as in `Gathering`."""
        self._may_gather = may_gather
        self._ask_one: Callable[[_Question, str], Awaitable[_Answer]] = ask_one
        self._ask_many: Callable[[_Question, list[str]], Awaitable[Sequence[_Answer | None]]] = ask_many
        self._groups: dict[_Question, _AsyncGroup[_Answer]] = {}
        self._tasks: set[asyncio.Task[Sequence[_Answer | BaseException]]] = set()

    async def lookup(self, question: _Question, value: str) -> _Answer:
        """Return the answer to one value; raises as `ask_one` does."""
        if not self._may_gather(value):
            return await self._ask_one(question, value)
        group = self._groups.get(question)
        if group is None:
            group = self._groups[question] = _AsyncGroup()
        answer: asyncio.Future[_Answer] = group.loop.create_future()
        group.waiting.append((value, answer))
        if group.departure is None:
            group.since_s = time.monotonic()
            if group.calls:
                group.departure = group.loop.call_later(GATHER_S, self._depart, question, group)
            else:
                group.departure = group.loop.call_soon(self._depart, question, group)
        elif len(group.waiting) >= _TASKS_LEAVING_MIN and group.calls < _CALLS_LEAVING_MAX:
            group.departure.cancel()
            self._depart(question, group)
        return await answer

    def _depart(self, question: _Question, group: _AsyncGroup[_Answer]) -> None:
        waiting, group.waiting, group.departure = group.waiting, [], None
        shortened = _shortened(question, group.since_s)
        for start in range(0, len(waiting), BATCH_VALUES_MAX):
            part = waiting[start : start + BATCH_VALUES_MAX]
            group.calls += 1
            fetching = self._fetch(shortened, [value for value, _ in part])
            task = asyncio.create_task(fetching)
            self._tasks.add(task)
            task.add_done_callback(partial(self._land, question, group, part))

    async def _fetch(self, question: _Question, values: list[str]) -> Sequence[_Answer | BaseException]:
        answers: Sequence[_Answer | None] = [None] * len(values)
        started_s = time.monotonic()
        if len(values) > 1:
            try:
                answers = _whole(await self._ask_many(question, values), len(values))
            except InvalidArgumentError:
                pass
            except ServiceError as error:
                return [error.again() for _ in values]
        if None not in answers:
            return cast("Sequence[_Answer | BaseException]", answers)
        left = _shortened(question, started_s)
        alone = [self._ask_one(left, value) for value, answer in zip(values, answers, strict=True) if answer is None]
        own = iter(await asyncio.gather(*alone, return_exceptions=True))
        return [next(own) if answer is None else answer for answer in answers]

    def _land(
        self,
        question: _Question,
        group: _AsyncGroup[_Answer],
        waiting: list[tuple[str, asyncio.Future[_Answer]]],
        task: asyncio.Task[Sequence[_Answer | BaseException]],
    ) -> None:
        self._tasks.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcomes = task.result() if failure is None else [failure] * len(waiting)
        for (_, answer), outcome in zip(waiting, outcomes, strict=True):
            if answer.done():
                continue
            if not isinstance(outcome, BaseException):
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


def _never(_: str) -> bool:
    return False


def _key_call(question: KeyQuestion, record_id: str) -> Call[Lookup]:
    return calls.lookup(SourceKey(question.registry, question.kind, record_id), question.fresh)


def _keys_call(question: KeyQuestion, record_ids: list[str]) -> Call[list[Lookup | None]]:
    batch = calls.batch_lookup(question.registry, question.kind, record_ids, question.fresh)

    def decode(answer: Any) -> list[Lookup | None]:
        found = batch.decode(answer)
        rows = zip(found.statuses, found.golden_ids, repeat(found.read_at, len(record_ids)), strict=True)
        return list(starmap(Lookup, rows))

    return Call(batch.service, batch.method, batch.request, decode)


def _identifier_call(question: IdentifierQuestion, value: str) -> Call[IdentifierHolders]:
    return calls.lookup_by_identifier(question.type, value, question.fresh)


def _identifiers_call(question: IdentifierQuestion, values: list[str]) -> Call[list[IdentifierHolders | None]]:
    batch = calls.batch_lookup_by_identifier(question.type, values, question.fresh)

    def decode(answer: Any) -> list[IdentifierHolders | None]:
        # A batch does not count the holders that it leaves out.
        return [None if holders.is_truncated else holders for holders in batch.decode(answer)]

    return Call(batch.service, batch.method, batch.request, decode)


class Gatherings:
    """The lookups of one blocking client."""

    def __init__(self, send: Callable[[Call[Any], float], Any], *, is_gathering: bool) -> None:
        """Send calls with this; without gathering each lookup is a call of its own."""
        self.keys: Gathering[KeyQuestion, Lookup] = Gathering(
            is_record_id if is_gathering else _never,
            lambda question, value: send(_key_call(question, value), question.timeout_s),
            lambda question, values: send(_keys_call(question, values), question.timeout_s),
        )
        self.identifiers: Gathering[IdentifierQuestion, IdentifierHolders] = Gathering(
            is_identifier if is_gathering else _never,
            lambda question, value: send(_identifier_call(question, value), question.timeout_s),
            lambda question, values: send(_identifiers_call(question, values), question.timeout_s),
        )


class AsyncGatherings:
    """The lookups of one asyncio client."""

    def __init__(self, send: Callable[[Call[Any], float], Awaitable[Any]], *, is_gathering: bool) -> None:
        """Send calls with this, as in `Gatherings`."""
        self.keys: AsyncGathering[KeyQuestion, Lookup] = AsyncGathering(
            is_record_id if is_gathering else _never,
            lambda question, value: send(_key_call(question, value), question.timeout_s),
            lambda question, values: send(_keys_call(question, values), question.timeout_s),
        )
        self.identifiers: AsyncGathering[IdentifierQuestion, IdentifierHolders] = AsyncGathering(
            is_identifier if is_gathering else _never,
            lambda question, value: send(_identifier_call(question, value), question.timeout_s),
            lambda question, values: send(_identifiers_call(question, values), question.timeout_s),
        )
