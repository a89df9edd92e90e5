"""What a blocking call of many answers brings, and what streams of lookups hold beside single answers."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from threading import Lock, Thread, current_thread
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import grpc

from mdm.v1 import lookup_service_pb2
from mdm_client import results, wire
from mdm_client.errors import ServiceError, service_error
from mdm_client.records import EntityKind

_Arguments = ParamSpec("_Arguments")
_Item = TypeVar("_Item")

_UNDER_WAY: WeakKeyDictionary[Generator[Any, None, None], Thread] = WeakKeyDictionary()
"""Iterations that have not ended, and which thread began each."""
_BEGINNING = Lock()


def left_at_exit(
    function: Callable[_Arguments, Generator[_Item, None, None]],
) -> Callable[_Arguments, Generator[_Item, None, None]]:
    """Make a generator function's iterations end before the process does, while gRPC's threads still run: `answers`."""

    @wraps(function)
    def begin(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Generator[_Item, None, None]:
        iteration = function(*args, **kwargs)
        with _BEGINNING:
            _UNDER_WAY[iteration] = current_thread()
        return iteration

    return begin


@atexit.register
def leave_all() -> None:
    """Leave every iteration under way, but for those of other threads: what one of these does is cut off with it.

    A daemon thread would take the end of its iteration for the end of the stream.
    """
    with _BEGINNING:
        under_way = [each for each, thread in _UNDER_WAY.items() if thread is current_thread() or not thread.is_alive()]
    for iteration in under_way:
        with suppress(ValueError):
            iteration.close()


def _forget_all() -> None:
    """In a child that was forked the streams are its parent's; nobody else is left who might hold the lock."""
    global _BEGINNING  # noqa: PLW0603 – the one that is there may be held by a thread that the child lacks
    _BEGINNING = Lock()
    _UNDER_WAY.clear()


os.register_at_fork(after_in_child=_forget_all)


def answers(call: Any) -> Iterator[Any]:
    """Yield the messages of a blocking call; leaving the iteration cancels it. Raises ServiceError.

    The call is let go with the iteration. One that is still there when the process ends takes a lock that threads of
    gRPC's share; one of those that was stopped with the process may hold it, and the process would never end.
    """
    failure: ServiceError | None = None
    try:
        yield from call
    except grpc.RpcError as error:
        # The error is the call itself: by its trace it would hold itself, and by being its context outlive the failure.
        failure = service_error(error.with_traceback(None))
    except BaseException as error:  # noqa: BLE001 – raised again
        # An interrupt's trace, too, would hold gRPC's frames and by them the call.
        raise error.with_traceback(None) from None
    finally:
        call.cancel()
        del call
    if failure is not None:
        try:
            raise failure
        finally:
            del failure


@dataclass(frozen=True, slots=True)
class KeyBatch:
    """Up to 10,000 keys of one registry and kind."""

    registry: str
    kind: EntityKind
    record_ids: list[str]


def lookup_request(ordinal: int, batch: KeyBatch) -> lookup_service_pb2.StreamLookupRequest:
    """Return the message of a batch."""
    return lookup_service_pb2.StreamLookupRequest(
        ordinal=ordinal,
        registry=batch.registry,
        entity_kind=wire.ENTITY_KIND.to_wire(batch.kind),
        record_ids=batch.record_ids,
    )


def lookup_answer(response: lookup_service_pb2.StreamLookupResponse) -> results.BatchLookup:
    """Return the answer to a batch."""
    return results.BatchLookup(
        list(response.golden_ids),
        wire.RECORD_STATUS.column(response.statuses),
        response.read_at.value,
        response.ordinal,
    )
