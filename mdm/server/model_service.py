"""ModelService: which model is in force, what another would change, putting it in force and taking that back.

Readers read, check and compare; the writer only puts in force what was compared with the model that still is.
"""

# ruff: noqa: ARG002, N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

import grpc

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.errors import InvalidInputError, ModelRefusedError, UnknownModelError
from mdm.limits import MODEL_BAND_CHANGE_SHARE_MAX, MODEL_SAMPLE_GOLDEN_RECORDS
from mdm.linkage.model import Model
from mdm.resolve.commands import SwitchAnswer, SwitchModel
from mdm.resolve.model_comparison import ModelComparison, Pattern
from mdm.resolve.models import ModelVersion, checked_model
from mdm.resolve.reader import Reader
from mdm.server.calls import cause_of, request_of, token_at, write
from mdm.server.wire_answers import timestamp
from mdm.server.wire_records import KINDS, kind_number
from mdm.server.writer_link import WriterLink
from mdm.v1 import model_service_pb2 as wire
from mdm.v1.model_service_pb2_grpc import ModelServiceServicer

SEED = 1
"""Of the sample that an activation is checked on; fixed, so that a repetition sees the same."""

_BANDS = {
    Band.LINK: wire.PAIR_BAND_LINK,
    Band.REVIEW: wire.PAIR_BAND_REVIEW,
    Band.NONE: wire.PAIR_BAND_NONE,
}


class ModelService(ModelServiceServicer):
    """Steers which model decides."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Compare here, have the writer act.

        Each call refreshes the reader first: another reader may just have put a model in force, and what a person
        steers must not lag the second that decisions may.
        """
        self._reader = reader
        self._link = link

    def ListModels(self, request: wire.ListModelsRequest, context: grpc.ServicerContext) -> wire.ListModelsResponse:
        """Return every activation and the statistics in force."""
        self._reader.refresh()
        asked = KINDS.get(request.entity_kind)
        response = wire.ListModelsResponse()
        for kind in (asked,) if asked else EntityKind:
            versions = self._reader.models(kind)
            response.activations.extend(
                _activation(kind, version, is_in_force=version is versions[-1]) for version in versions
            )
            engine = self._reader.engine(kind)
            response.statistics.add(
                entity_kind=kind_number(kind), digest=engine.epoch_digest, population_count=engine.epoch.population
            )
        response.activations.sort(key=lambda each: each.activated_at.ToMicroseconds(), reverse=True)
        return response

    def GetModel(self, request: wire.GetModelRequest, context: grpc.ServicerContext) -> wire.GetModelResponse:
        """Return a model file."""
        self._reader.refresh()
        digest = request.digest or self._in_force(KINDS.get(request.entity_kind, EntityKind.CITIZEN))
        return wire.GetModelResponse(digest=digest, content=self._reader.model_body(digest))

    def CompareModels(
        self, request: wire.CompareModelsRequest, context: grpc.ServicerContext
    ) -> wire.CompareModelsResponse:
        """Return what a model would change."""
        self._reader.refresh()
        kind, candidate, _ = self._model(request.candidate, EntityKind.CITIZEN)
        base = self._model(request.base, kind)[1] if request.HasField("base") else None
        if base is not None and base.kind != kind:
            raise InvalidInputError("base", "must be a model of the same kind as the candidate")
        found = self._compared(candidate, base, request.sample_golden_record_count, request.sample_ordinal)
        return wire.CompareModelsResponse(comparison=_comparison(kind, found))

    def ActivateModel(
        self, request: wire.ActivateModelRequest, context: grpc.ServicerContext
    ) -> wire.ActivateModelResponse:
        """Put a model in force if it changes no more than allowed."""
        if request.is_forced and not request.reason:
            raise InvalidInputError("reason", "must say why where is_forced is set")
        self._reader.refresh()
        kind, model, body = self._model(request.model, EntityKind.CITIZEN)
        found = self._compared(model, None, request.sample_golden_record_count, SEED)
        allowed = (
            request.band_change_fraction_max
            if request.HasField("band_change_fraction_max")
            else MODEL_BAND_CHANGE_SHARE_MAX
        )
        if found.band_change_share > allowed and not (request.is_forced or request.is_dry_run):
            raise ModelRefusedError(
                f"{found.band_change_share:.2%} of the near pairs would change their band, more than {allowed:.2%}"
            )
        response = wire.ActivateModelResponse(digest=found.candidate_digest, comparison=_comparison(kind, found))
        if not request.is_dry_run:
            cause = cause_of(context, request.caller, "ActivateModel")
            guard = request_of(cause, request.request_id, request)
            command = SwitchModel(guard, kind, body, found.base_digest, request.reason)
            self._put_in_force(command, response, context)
        return response

    def RollbackModel(
        self, request: wire.RollbackModelRequest, context: grpc.ServicerContext
    ) -> wire.RollbackModelResponse:
        """Put the model in force that was before the last activation."""
        self._reader.refresh()
        kind = KINDS[request.entity_kind]
        cause = cause_of(context, request.caller, "RollbackModel")
        in_force = self._in_force(kind)
        response = wire.RollbackModelResponse()
        try:
            found = self._compared(Model.from_bytes(self._reader.model_before(kind)), None, 0, SEED)
            response.digest = found.candidate_digest
            response.comparison.CopyFrom(_comparison(kind, found))
        except UnknownModelError:
            # The writer may have gone back to the last one for this very request, whose answer was lost.
            if request.is_dry_run:
                raise
        if not request.is_dry_run:
            guard = request_of(cause, request.request_id, request)
            command = SwitchModel(guard, kind, b"", in_force, request.reason, is_rollback=True)
            self._put_in_force(command, response, context)
        return response

    def _in_force(self, kind: EntityKind) -> str:
        return self._reader.engine(kind).model_digest

    def _model(self, reference: wire.ModelReference, kind: EntityKind) -> tuple[EntityKind, Model, bytes]:
        """Return the model that is meant, its kind and its file; `kind` says whose model in force is."""
        body = reference.content or self._reader.model_body(reference.digest or self._in_force(kind))
        return *checked_model(body), body

    def _compared(self, candidate: Model, base: Model | None, sample_count: int, seed: int) -> ModelComparison:
        return self._reader.compare_models(candidate, base, sample_count or MODEL_SAMPLE_GOLDEN_RECORDS, seed)

    def _put_in_force(
        self,
        command: SwitchModel,
        response: wire.ActivateModelResponse | wire.RollbackModelResponse,
        context: grpc.ServicerContext,
    ) -> None:
        answer = write(self._link, command, context)
        if not isinstance(answer, SwitchAnswer):
            raise TypeError(type(answer).__name__)
        if answer.is_repeated:
            # The comparison is with what the first call put in force: it would say that nothing changed.
            response.ClearField("comparison")
        response.digest = answer.digest
        response.token.CopyFrom(token_at(self._reader, answer.seq))


def _activation(kind: EntityKind, version: ModelVersion, *, is_in_force: bool) -> wire.ModelActivation:
    activation, outline = version.activation, version.outline
    return wire.ModelActivation(
        entity_kind=kind_number(kind),
        digest=activation.digest,
        activated_at=timestamp(activation.at_us),
        actor=activation.cause.actor,
        purpose=activation.cause.purpose,
        method=activation.cause.method,
        reason=activation.reason,
        is_in_force=is_in_force,
        is_pinned=activation.is_pinned,
        is_rollback=activation.is_rollback,
        is_usable=outline.is_usable,
        source=outline.provenance.source,
        trained_on=outline.provenance.trained_on,
        record_count=outline.provenance.record_count,
        link_bits=outline.thresholds.link_bits,
        review_bits=outline.thresholds.review_bits,
    )


def _comparison(kind: EntityKind, found: ModelComparison) -> wire.ModelComparison:
    least, low, median, high, largest = found.shift_bits
    return wire.ModelComparison(
        base_digest=found.base_digest,
        candidate_digest=found.candidate_digest,
        entity_kind=kind_number(kind),
        golden_record_count=found.golden_record_count,
        sampled_golden_record_count=found.sampled_count,
        pair_count=found.pair_count,
        near_pair_count=found.near_pair_count,
        band_change_fraction=found.band_change_share,
        changes=[
            wire.BandChange(before=_BANDS[each.before], after=_BANDS[each.after], pair_count=each.pair_count)
            for each in found.changes
        ],
        shift_min_bits=least,
        shift_low_bits=low,
        shift_median_bits=median,
        shift_high_bits=high,
        shift_max_bits=largest,
        patterns=[_pattern(each) for each in found.patterns],
        merged_golden_record_count=found.merged_count,
        split_golden_record_count=found.split_count,
    )


def _pattern(pattern: Pattern) -> wire.LevelPattern:
    return wire.LevelPattern(
        levels=pattern.levels,
        before=_BANDS[pattern.before],
        after=_BANDS[pattern.after],
        pair_count=pattern.pair_count,
        shift_bits=pattern.shift_bits,
    )
