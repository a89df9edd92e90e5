"""What several services need of a call: who asks, how much time is left, how fresh the answer must be."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import grpc
from google.protobuf.message import Message

from mdm import stages
from mdm.domain.events import Cause
from mdm.errors import InvalidInputError, NotFreshEnoughError
from mdm.limits import DEADLINE_UNARY_S_MAX, WRITER_ANSWER_S_MAX
from mdm.resolve.commands import Accepted, Command, Request
from mdm.resolve.reader import Reader
from mdm.server.errors import DeadlineTooShortError
from mdm.server.writer_link import WriterLink
from mdm.store.journal import JournalReader
from mdm.v1 import common_pb2 as common

ACTOR_KEY = "mdm-actor"
PURPOSE_KEY = "mdm-purpose"
ACTOR_CHARACTERS_MAX = 64
PURPOSE_CHARACTERS_MAX = 256
SUBJECT_CHARACTERS_MAX = 256
_ANSWER_MARGIN_S = 0.01
_FRESHNESS_S_MAX = 2.0


class WouldWaitError(Exception):
    """A call has to wait, or to read for long, on a thread that must not: it begins again in a pool.

    No caller ever sees it.
    """


class FreshRequest(Protocol):
    """A request that may name the position that its answer must include."""

    @property
    def at_least_as_fresh(self) -> common.JournalToken:
        """The position; empty for none."""


def cause_of(context: grpc.ServicerContext, caller: common.Caller, method: str, load_id: str = "") -> Cause:
    """Return who asks and what for: the request's caller, else the metadata `mdm-actor` and `mdm-purpose`.

    Both are what the caller asserts; beside them stands the subject of its certificate, if the listener asks for one.

    Raises:
        InvalidInputError: The metadata are too long.
    """
    actor, purpose = caller.actor, caller.purpose
    if not actor or not purpose:
        for key, value in context.invocation_metadata():
            if key == ACTOR_KEY and not actor:
                actor = _bounded(ACTOR_KEY, str(value), ACTOR_CHARACTERS_MAX)
            elif key == PURPOSE_KEY and not purpose:
                purpose = _bounded(PURPOSE_KEY, str(value), PURPOSE_CHARACTERS_MAX)
    # The stubs of grpcio take the values for other than they are.
    proven = cast("Mapping[str, Sequence[bytes]]", context.auth_context())
    subjects = proven.get("x509_subject", ())
    authenticated = ", ".join(subject.decode("utf-8", "replace") for subject in subjects)[:SUBJECT_CHARACTERS_MAX]
    return Cause(actor=actor, purpose=purpose, method=method, load_id=load_id, authenticated=authenticated)


def request_of(cause: Cause, request_id: str, content: Message) -> Request:
    """Return the writer's view of a repeatable request.

    Args:
        cause: Who asks.
        request_id: Empty switches the guard off.
        content: What must be the same in a repetition.
    """
    if not request_id:
        return Request(cause)
    body = content.SerializeToString(deterministic=True)
    return Request(cause, request_id, hashlib.blake2b(body, digest_size=16).digest())


def remaining_s(context: grpc.ServicerContext, at_most_s: float) -> float:
    """Return how long the call may still wait for something, its answer's way back left out.

    Raises:
        DeadlineTooShortError: Nothing is left: the handler would run on for nobody.
    """
    left_s = context.time_remaining()
    if left_s > at_most_s:
        return at_most_s
    if left_s <= _ANSWER_MARGIN_S:
        raise DeadlineTooShortError("the deadline passed while the call was being worked on")
    return left_s - _ANSWER_MARGIN_S


def has_thread(context: grpc.ServicerContext) -> bool:
    """Return whether the call may read for long; raise `WouldWaitError` to have it begin again where it may."""
    # gRPC's own contexts, those of streams, belong to calls that have a thread.
    return bool(getattr(context, "has_thread", True))


def await_freshness(reader: Reader, request: FreshRequest, context: grpc.ServicerContext) -> None:
    """Return once reads include the position that the request names.

    Raises:
        InvalidTokenError: The token is not one of this journal.
        DataRestoredError: It is of an epoch that a restore ended.
        NotFreshEnoughError: Not in time.
        WouldWaitError: Not now, on a thread that may not wait.
    """
    token = request.at_least_as_fresh.value
    if not token:
        return
    # As in `has_thread`.
    if getattr(context, "may_wait", True):
        reader.wait_until(token, remaining_s(context, _FRESHNESS_S_MAX))
        return
    try:
        reader.wait_until(token, 0.0)
    except NotFreshEnoughError as error:
        raise WouldWaitError from error


def journal_of(reader: Reader) -> JournalReader:
    """Return the journal whose tokens are given and taken. Cost: 3 us."""
    with reader.reading() as reading:
        return reading.journal


def check_registries(reader: Reader, names: Iterable[str]) -> None:
    """Pass if a filter names declared registries only.

    Raises:
        InvalidInputError: It does not; says which there are.
    """
    wanted = set(names)
    if not reader.configuration.registries.keys() >= wanted:
        # One of them may be declared since a moment ago.
        reader.refresh()
    known = reader.configuration.registries
    if not known.keys() >= wanted:
        raise InvalidInputError("registries", f"must be of {', '.join(sorted(known))}")


def write(link: WriterLink, command: Command, context: grpc.ServicerContext) -> Accepted:
    """Have the writer execute a command within the call's deadline.

    Raises:
        WriterUnavailableError: No answer came; the write may still be committed.
        MdmError: The writer refused it.
    """
    timeout_s = remaining_s(context, min(WRITER_ANSWER_S_MAX, DEADLINE_UNARY_S_MAX))
    begun_s = time.perf_counter()
    try:
        return link.write(command, timeout_s)
    finally:
        stages.note(stages.WRITE, time.perf_counter() - begun_s)


def token_at(reader: Reader, seq: int) -> common.JournalToken:
    """Return the wire form of a position."""
    return common.JournalToken(value=reader.token(seq))


def _bounded(key: str, value: str, characters_max: int) -> str:
    if len(value) > characters_max:
        raise InvalidInputError(key, f"must have at most {characters_max} characters")
    return value
