"""The models of the service, by both clients: `client.models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm_client import wire_models
from mdm_client.wire_models import Model

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client
    from mdm_client.model_results import ModelComparison, ModelFile, ModelInForce, ModelList
    from mdm_client.records import EntityKind


class Models:
    """Linkage models: which is in force, what another would change, putting it in force and taking that back.

    A model is named by its digest or given as the content of its file; an empty string means the one in force.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, kind: EntityKind | None = None) -> ModelList:
        """Return every activation, the latest first."""
        return self._client.send(wire_models.list_models(kind))

    def get(self, digest: str = "", kind: EntityKind | None = None) -> ModelFile:
        """Return a model file; without a digest the one in force for this kind."""
        return self._client.send(wire_models.get_model(digest, kind))

    def compare(
        self, candidate: Model, base: Model = "", *, sample_golden_record_count: int = 0, sample_ordinal: int = 1
    ) -> ModelComparison:
        """Return what a model would change on a sample of the city; 0 golden records means 1,000."""
        return self._client.send(
            wire_models.compare_models(candidate, base, sample_golden_record_count, sample_ordinal)
        )

    def activate(
        self,
        model: Model,
        *,
        reason: str = "",
        band_change_fraction_max: float | None = None,
        is_forced: bool = False,
        sample_golden_record_count: int = 0,
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ModelInForce:
        """Put a model in force if it changes no more than allowed; a forced one needs a reason."""
        call = wire_models.activate_model(
            model,
            self._client.caller,
            reason=reason,
            band_change_fraction_max=band_change_fraction_max,
            is_forced=is_forced,
            sample_golden_record_count=sample_golden_record_count,
            is_dry_run=is_dry_run,
            request_id=request_id,
        )
        return self._client.send(call)

    def rollback(
        self, kind: EntityKind, reason: str, *, is_dry_run: bool = False, request_id: str | None = None
    ) -> ModelInForce:
        """Take the last activation back; once more, the one before it."""
        call = wire_models.rollback_model(
            kind, reason, self._client.caller, is_dry_run=is_dry_run, request_id=request_id
        )
        return self._client.send(call)


class AsyncModels:
    """As `Models`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, kind: EntityKind | None = None) -> ModelList:
        """Return every activation, the latest first."""
        return await self._client.send(wire_models.list_models(kind))

    async def get(self, digest: str = "", kind: EntityKind | None = None) -> ModelFile:
        """Return a model file; without a digest the one in force for this kind."""
        return await self._client.send(wire_models.get_model(digest, kind))

    async def compare(
        self, candidate: Model, base: Model = "", *, sample_golden_record_count: int = 0, sample_ordinal: int = 1
    ) -> ModelComparison:
        """Return what a model would change on a sample of the city; 0 golden records means 1,000."""
        return await self._client.send(
            wire_models.compare_models(candidate, base, sample_golden_record_count, sample_ordinal)
        )

    async def activate(
        self,
        model: Model,
        *,
        reason: str = "",
        band_change_fraction_max: float | None = None,
        is_forced: bool = False,
        sample_golden_record_count: int = 0,
        is_dry_run: bool = False,
        request_id: str | None = None,
    ) -> ModelInForce:
        """Put a model in force if it changes no more than allowed; a forced one needs a reason."""
        call = wire_models.activate_model(
            model,
            self._client.caller,
            reason=reason,
            band_change_fraction_max=band_change_fraction_max,
            is_forced=is_forced,
            sample_golden_record_count=sample_golden_record_count,
            is_dry_run=is_dry_run,
            request_id=request_id,
        )
        return await self._client.send(call)

    async def rollback(
        self, kind: EntityKind, reason: str, *, is_dry_run: bool = False, request_id: str | None = None
    ) -> ModelInForce:
        """Take the last activation back; once more, the one before it."""
        call = wire_models.rollback_model(
            kind, reason, self._client.caller, is_dry_run=is_dry_run, request_id=request_id
        )
        return await self._client.send(call)
