"""Batch re-linkage, by both clients: `client.relink`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import grpc

from mdm_client import wire_relink
from mdm_client.errors import ServiceError

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client
    from mdm_client.records import EntityKind
    from mdm_client.relink_results import RelinkReport, RelinkRun


class Relink:
    """Batch re-linkage: planned, reviewed, committed. One run at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def plan(
        self,
        kind: EntityKind | None = None,
        *,
        is_learning: bool = False,
        memory_limit_bytes: int = 0,
        core_count_max: int = 0,
        request_id: str | None = None,
    ) -> RelinkRun:
        """Start a run that computes a plan and changes nothing; None links both kinds.

        0 leaves the default memory and all cores. With `is_learning`, weights are learned even if an operator put a
        model in force.
        """
        call = wire_relink.plan(
            kind,
            self._client.caller,
            request_id,
            is_learning=is_learning,
            memory_limit_bytes=memory_limit_bytes,
            core_count_max=core_count_max,
        )
        return self._client.send(call)

    def revert(self, run_id: str, *, request_id: str | None = None) -> RelinkRun:
        """Start a run that computes what takes a committed run back and changes nothing; commit it like a plan."""
        return self._client.send(wire_relink.revert(run_id, self._client.caller, request_id))

    def commit(
        self,
        run_id: str,
        plan_digest: str = "",
        *,
        max_churn_percent: float | None = None,
        request_id: str | None = None,
    ) -> RelinkRun:
        """Start to commit a plan; with a digest only the plan that was reviewed, with a bound only below it.

        Raises:
            FailedPreconditionError: RELINK_CHURN_EXCEEDED if more of the golden IDs would change.
        """
        return self._client.send(
            wire_relink.commit(run_id, plan_digest, max_churn_percent, self._client.caller, request_id)
        )

    def cancel(self, run_id: str, *, request_id: str | None = None) -> RelinkRun:
        """Stop a run; what was committed stays."""
        return self._client.send(wire_relink.cancel(run_id, self._client.caller, request_id))

    def get(self, run_id: str = "") -> RelinkRun:
        """Return a run as it stands; the latest without an id."""
        return self._client.send(wire_relink.get(run_id))

    def report(self, run_id: str) -> RelinkReport:
        """Return the impact report of a planned run."""
        return self._client.send(wire_relink.report(run_id))

    def watch(self, run_id: str) -> Iterator[RelinkRun]:
        """Yield the run's progress until it waits or ends; goes on after the service was away for a moment."""
        run = None
        while run is None or run.is_under_way:
            try:
                for response in self._client.receive("RelinkService", "Watch", wire_relink.watch_request(run_id)):
                    run = wire_relink.run_from_wire(response.run)
                    yield run
            except ServiceError as error:
                if error.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
                # The unary call waits for the service to come back, by the retries of its service config.
                run = self.get(run_id)
                yield run


class AsyncRelink:
    """Batch re-linkage: planned, reviewed, committed. One run at a time."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def plan(
        self,
        kind: EntityKind | None = None,
        *,
        is_learning: bool = False,
        memory_limit_bytes: int = 0,
        core_count_max: int = 0,
        request_id: str | None = None,
    ) -> RelinkRun:
        """Start a run that computes a plan and changes nothing; None links both kinds.

        0 leaves the default memory and all cores. With `is_learning`, weights are learned even if an operator put a
        model in force.
        """
        call = wire_relink.plan(
            kind,
            self._client.caller,
            request_id,
            is_learning=is_learning,
            memory_limit_bytes=memory_limit_bytes,
            core_count_max=core_count_max,
        )
        return await self._client.send(call)

    async def revert(self, run_id: str, *, request_id: str | None = None) -> RelinkRun:
        """Start a run that computes what takes a committed run back and changes nothing; commit it like a plan."""
        return await self._client.send(wire_relink.revert(run_id, self._client.caller, request_id))

    async def commit(
        self,
        run_id: str,
        plan_digest: str = "",
        *,
        max_churn_percent: float | None = None,
        request_id: str | None = None,
    ) -> RelinkRun:
        """Start to commit a plan; with a digest only the plan that was reviewed, with a bound only below it.

        Raises:
            FailedPreconditionError: RELINK_CHURN_EXCEEDED if more of the golden IDs would change.
        """
        return await self._client.send(
            wire_relink.commit(run_id, plan_digest, max_churn_percent, self._client.caller, request_id)
        )

    async def cancel(self, run_id: str, *, request_id: str | None = None) -> RelinkRun:
        """Stop a run; what was committed stays."""
        return await self._client.send(wire_relink.cancel(run_id, self._client.caller, request_id))

    async def get(self, run_id: str = "") -> RelinkRun:
        """Return a run as it stands; the latest without an id."""
        return await self._client.send(wire_relink.get(run_id))

    async def report(self, run_id: str) -> RelinkReport:
        """Return the impact report of a planned run."""
        return await self._client.send(wire_relink.report(run_id))

    async def watch(self, run_id: str) -> AsyncIterator[RelinkRun]:
        """Yield the run's progress until it waits or ends; goes on after the service was away for a moment."""
        run = None
        while run is None or run.is_under_way:
            try:
                async for response in self._client.receive("RelinkService", "Watch", wire_relink.watch_request(run_id)):
                    run = wire_relink.run_from_wire(response.run)
                    yield run
            except ServiceError as error:
                if error.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
                # The unary call waits for the service to come back, by the retries of its service config.
                run = await self.get(run_id)
                yield run
