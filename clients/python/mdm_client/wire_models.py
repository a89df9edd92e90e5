"""Calls and messages of linkage models."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from mdm.v1 import common_pb2, model_service_pb2
from mdm_client import model_results, wire
from mdm_client.calls import Call, fresh_request_id
from mdm_client.records import EntityKind

PAIR_BAND = wire.EnumWire(model_results.PairBand, model_service_pb2.PairBand, "PAIR_BAND")

Model = str | bytes
"""A model by its digest or as the content of its file; an empty string means the one in force."""


def list_models(kind: EntityKind | None) -> Call[model_results.ModelList]:
    """Ask which models were in force."""
    request = model_service_pb2.ListModelsRequest(entity_kind=_kind(kind))

    def decode(answer: model_service_pb2.ListModelsResponse) -> model_results.ModelList:
        statistics = tuple(
            model_results.StatisticsInForce(
                wire.ENTITY_KIND.from_wire(item.entity_kind), item.digest, item.population_count
            )
            for item in answer.statistics
        )
        return model_results.ModelList(tuple(_activation(item) for item in answer.activations), statistics)

    return Call("ModelService", "ListModels", request, decode)


def get_model(digest: str, kind: EntityKind | None) -> Call[model_results.ModelFile]:
    """Ask for a model file."""
    request = model_service_pb2.GetModelRequest(digest=digest, entity_kind=_kind(kind))

    def decode(answer: model_service_pb2.GetModelResponse) -> model_results.ModelFile:
        return model_results.ModelFile(answer.digest, answer.content)

    return Call("ModelService", "GetModel", request, decode)


def compare_models(
    candidate: Model, base: Model, sample_golden_record_count: int, sample_ordinal: int
) -> Call[model_results.ModelComparison]:
    """Ask what a model would change."""
    request = model_service_pb2.CompareModelsRequest(
        candidate=_reference(candidate),
        base=_reference(base) if base else None,
        sample_golden_record_count=sample_golden_record_count,
        sample_ordinal=sample_ordinal,
    )

    def decode(answer: model_service_pb2.CompareModelsResponse) -> model_results.ModelComparison:
        return _comparison(answer.comparison)

    return Call("ModelService", "CompareModels", request, decode, is_batch=True)


def activate_model(
    model: Model,
    caller: common_pb2.Caller,
    *,
    reason: str,
    band_change_fraction_max: float | None,
    is_forced: bool,
    sample_golden_record_count: int,
    is_dry_run: bool,
    request_id: str | None,
) -> Call[model_results.ModelInForce]:
    """Put a model in force."""
    request = model_service_pb2.ActivateModelRequest(
        model=_reference(model),
        reason=reason,
        band_change_fraction_max=band_change_fraction_max,
        is_forced=is_forced,
        sample_golden_record_count=sample_golden_record_count,
        is_dry_run=is_dry_run,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )
    return Call("ModelService", "ActivateModel", request, _in_force, is_batch=True)


def rollback_model(
    kind: EntityKind, reason: str, caller: common_pb2.Caller, *, is_dry_run: bool, request_id: str | None
) -> Call[model_results.ModelInForce]:
    """Take the last activation back."""
    request = model_service_pb2.RollbackModelRequest(
        entity_kind=_kind(kind),
        reason=reason,
        is_dry_run=is_dry_run,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )
    return Call("ModelService", "RollbackModel", request, _in_force, is_batch=True)


def _kind(kind: EntityKind | None) -> Any:
    return wire.ENTITY_KIND.to_wire(kind or EntityKind.UNSPECIFIED)


def _reference(model: Model) -> model_service_pb2.ModelReference:
    if isinstance(model, bytes):
        return model_service_pb2.ModelReference(content=model)
    return model_service_pb2.ModelReference(digest=model) if model else model_service_pb2.ModelReference()


def _in_force(answer: Any) -> model_results.ModelInForce:
    comparison = _comparison(answer.comparison) if answer.HasField("comparison") else None
    return model_results.ModelInForce(answer.digest, comparison, answer.token.value)


def _activation(message: model_service_pb2.ModelActivation) -> model_results.ModelActivation:
    return model_results.ModelActivation(
        kind=wire.ENTITY_KIND.from_wire(message.entity_kind),
        digest=message.digest,
        activated_at=message.activated_at.ToDatetime(tzinfo=UTC),
        actor=message.actor,
        purpose=message.purpose,
        method=message.method,
        reason=message.reason,
        is_in_force=message.is_in_force,
        is_pinned=message.is_pinned,
        is_rollback=message.is_rollback,
        is_usable=message.is_usable,
        source=message.source,
        trained_on=message.trained_on,
        record_count=message.record_count,
        link_bits=message.link_bits,
        review_bits=message.review_bits,
    )


def _comparison(message: model_service_pb2.ModelComparison) -> model_results.ModelComparison:
    return model_results.ModelComparison(
        base_digest=message.base_digest,
        candidate_digest=message.candidate_digest,
        kind=wire.ENTITY_KIND.from_wire(message.entity_kind),
        golden_record_count=message.golden_record_count,
        sampled_golden_record_count=message.sampled_golden_record_count,
        pair_count=message.pair_count,
        near_pair_count=message.near_pair_count,
        band_change_fraction=message.band_change_fraction,
        changes=tuple(
            model_results.BandChange(PAIR_BAND.from_wire(item.before), PAIR_BAND.from_wire(item.after), item.pair_count)
            for item in message.changes
        ),
        shift_min_bits=message.shift_min_bits,
        shift_low_bits=message.shift_low_bits,
        shift_median_bits=message.shift_median_bits,
        shift_high_bits=message.shift_high_bits,
        shift_max_bits=message.shift_max_bits,
        patterns=tuple(
            model_results.LevelPattern(
                tuple(item.levels),
                PAIR_BAND.from_wire(item.before),
                PAIR_BAND.from_wire(item.after),
                item.pair_count,
                item.shift_bits,
            )
            for item in message.patterns
        ),
        merged_golden_record_count=message.merged_golden_record_count,
        split_golden_record_count=message.split_golden_record_count,
    )
