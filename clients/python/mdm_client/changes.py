"""The change feed, by both clients: `client.changes`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from mdm.v1 import change_service_pb2, common_pb2
from mdm_client import wire
from mdm_client.errors import ServiceError
from mdm_client.ingest import Retry, broken_off
from mdm_client.records import EntityKind, SourceKey
from mdm_client.results import GoldenIdChangeType

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client

FEED_RESET = "FEED_RESET"
"""Reason of the error that says: the token is of another journal or epoch, begin with an export."""


class WatchStart(StrEnum):
    """Where a feed begins if there is no token."""

    UNSPECIFIED = "unspecified"
    BEGINNING = "beginning"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class GoldenIdEffect:
    """One thing that happened to one golden ID; `other_golden_id` is the other one that the type speaks of, if any."""

    golden_id: str
    type: GoldenIdChangeType
    other_golden_id: str = ""


@dataclass(frozen=True, slots=True)
class RecordMove:
    """One record that answers under another golden ID; an empty one means none."""

    key: SourceKey | None
    """None if the record was erased since."""
    old_golden_id: str
    new_golden_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """All that one event changed."""

    happened_at: datetime
    effects: tuple[GoldenIdEffect, ...]
    moves: tuple[RecordMove, ...]


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Whole events in their order, or none, and where the feed stands behind them."""

    changes: tuple[Change, ...]
    token: str
    """Keep it with what you make of the changes: a feed resumes behind it."""
    is_current: bool
    """Whether the service had nothing more to tell."""


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which events are told; an empty part means all."""

    registries: Sequence[str] = ()
    """Events that concern records of these registries, and of their records only these."""
    kind: EntityKind | None = None
    types: Sequence[GoldenIdChangeType] = ()
    """Events with a change of these types, and of their changes only these."""


class Feed:
    """One subscription: makes its requests and puts its messages together."""

    def __init__(self, after: str, start: WatchStart, wanted: ChangeFilter, checkpoint_interval_s: int) -> None:
        self.after = after
        """Position up to which everything was told; empty before the first message of one without a token."""
        self._start = start
        self._wanted = wanted
        self._checkpoint_interval_s = checkpoint_interval_s
        self._moves: list[RecordMove] = []

    def request(self) -> change_service_pb2.ChangeServiceWatchRequest:
        """Return the request that goes on where the feed stands."""
        self._moves = []
        start = WatchStart.UNSPECIFIED if self.after else self._start
        return change_service_pb2.ChangeServiceWatchRequest(
            after=wire.token_to_wire(self.after),
            start=change_service_pb2.WatchStart.Value(f"WATCH_START_{start.name}"),
            registries=self._wanted.registries,
            entity_kind=wire.ENTITY_KIND.to_wire(self._wanted.kind)
            if self._wanted.kind
            else common_pb2.ENTITY_KIND_UNSPECIFIED,
            change_types=[wire.CHANGE_TYPE.to_wire(each) for each in self._wanted.types],
            checkpoint_interval_s=self._checkpoint_interval_s,
        )

    def receive(self, response: change_service_pb2.ChangeServiceWatchResponse) -> ChangeBatch | None:
        """Take a message in; returns whole events, None while the last one goes on in the next message."""
        changes = []
        for event in response.events:
            self._moves += [_move(each) for each in event.moves]
            if not event.is_continued:
                effects = tuple(
                    GoldenIdEffect(each.golden_id, wire.CHANGE_TYPE.from_wire(each.type), each.other_golden_id)
                    for each in event.effects
                )
                changes.append(Change(event.happened_at.ToDatetime(UTC), effects, tuple(self._moves)))
                self._moves = []
        if not response.token.value:
            return None
        self.after = response.token.value
        return ChangeBatch(tuple(changes), self.after, response.is_current)


class Changes:
    """What happened to golden IDs, in order."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def watch(
        self,
        after: str = "",
        *,
        start: WatchStart = WatchStart.UNSPECIFIED,
        wanted: ChangeFilter | None = None,
        checkpoint_interval_s: int = 0,
        give_up_s: float = 300.0,
    ) -> Iterator[ChangeBatch]:
        """Yield changes without end; goes on by itself after the service was away for less than `give_up_s`.

        Args:
            after: Token of an export, a write or a batch of this feed.
            start: Where to begin without a token.
            wanted: Which events.
            checkpoint_interval_s: Seconds after which a batch without changes comes; 0 means 10.
            give_up_s: How long the service may stay away.

        Raises:
            FailedPreconditionError: FEED_RESET: export again, and watch from its token.
            InvalidArgumentError: INVALID_TOKEN, or neither a token nor a start.
            UnavailableError: It stayed away for longer.
        """
        feed = Feed(after, start, wanted or ChangeFilter(), checkpoint_interval_s)
        retry = Retry(give_up_s)
        while True:
            try:
                for response in self._client.receive("ChangeService", "Watch", feed.request()):
                    retry.progress()
                    batch = feed.receive(response)
                    if batch is not None:
                        yield batch
                raise broken_off()
            except ServiceError as error:
                time.sleep(retry.delay_s(error))


class AsyncChanges:
    """What happened to golden IDs, in order."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def watch(
        self,
        after: str = "",
        *,
        start: WatchStart = WatchStart.UNSPECIFIED,
        wanted: ChangeFilter | None = None,
        checkpoint_interval_s: int = 0,
        give_up_s: float = 300.0,
    ) -> AsyncIterator[ChangeBatch]:
        """Yield changes without end, as `Changes.watch` does."""
        feed = Feed(after, start, wanted or ChangeFilter(), checkpoint_interval_s)
        retry = Retry(give_up_s)
        while True:
            try:
                async for response in self._client.receive("ChangeService", "Watch", feed.request()):
                    retry.progress()
                    batch = feed.receive(response)
                    if batch is not None:
                        yield batch
                raise broken_off()
            except ServiceError as error:
                await asyncio.sleep(retry.delay_s(error))


def _move(message: change_service_pb2.RecordMove) -> RecordMove:
    key = wire.key_from_wire(message.key) if message.HasField("key") else None
    return RecordMove(key, message.old_golden_id, message.new_golden_id)
