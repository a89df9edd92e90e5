"""Models over the wire: listed, compared, refused, put in force and taken back."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import msgspec
import pytest

from mdm.domain.keys import EntityKind
from mdm.limits import MODEL_BYTES_MAX, MODEL_PATTERNS_SHOWN, MODEL_SAMPLE_GOLDEN_RECORDS_MAX
from mdm.linkage.model import Model
from mdm.v1 import common_pb2 as common
from mdm.v1 import model_service_pb2 as wire
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.model_service_pb2_grpc import ModelServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, info_of
from tests.serving import running_server

DEADLINE_S, COMPARISON_S = 10, 60
SHIPPED = Model.default(EntityKind.CITIZEN)
CALLER = common.Caller(actor="operator", purpose="tuning")


def changed(**thresholds: float) -> Model:
    return msgspec.structs.replace(SHIPPED, thresholds=msgspec.structs.replace(SHIPPED.thresholds, **thresholds))


STRICT, VERY_STRICT = changed(link_bits=7.25), changed(link_bits=60.0)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServiceStub]:
    """A service of its own with twenty linked pairs."""
    with running_server(tmp_path_factory.mktemp("models") / "data") as served, served.channel() as opened:
        registered = RegistryServiceStub(opened)
        for name in ("hospital", "social_security"):
            for number in range(20):
                record = citizen(
                    f"M-{number}",
                    f"Trương Văn {chr(65 + number)}n",
                    registry_name=name,
                    birth_date=f"19{50 + number}-0{number % 9 + 1}-11",
                    personal_id=f"0790{50 + number}{number * 37:06}",
                )
                registered.UpsertRecord(registry.UpsertRecordRequest(record=record), timeout=10)
        yield ModelServiceStub(opened)


def content(model: Model) -> wire.ModelReference:
    return wire.ModelReference(content=model.to_bytes())


def reason_of(call: object) -> str:
    assert callable(call)
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(info_of(caught.value).reason)


def activate(stub: ModelServiceStub, model: Model, **fields: object) -> wire.ActivateModelResponse:
    request = wire.ActivateModelRequest(model=content(model), caller=CALLER, **fields)  # type: ignore[arg-type]
    return stub.ActivateModel(request, timeout=COMPARISON_S)


def in_force(stub: ModelServiceStub) -> wire.ModelActivation:
    request = wire.ListModelsRequest(entity_kind=common.ENTITY_KIND_CITIZEN)
    first, *rest = stub.ListModels(request, timeout=DEADLINE_S).activations
    assert first.is_in_force
    assert not any(each.is_in_force for each in rest)
    return first


def test_a_fresh_service_lists_the_shipped_models_and_their_statistics(stub: ModelServiceStub) -> None:
    listed = stub.ListModels(wire.ListModelsRequest(), timeout=DEADLINE_S)
    assert {each.entity_kind for each in listed.activations} == {1, 2}
    assert all(each.actor == "service" and each.is_usable and not each.is_pinned for each in listed.activations)
    assert [each.population_count for each in listed.statistics] != [0, 0]
    got = stub.GetModel(wire.GetModelRequest(), timeout=DEADLINE_S)
    assert (got.digest, got.content) == (SHIPPED.digest, SHIPPED.to_bytes())
    business = stub.GetModel(wire.GetModelRequest(entity_kind=common.ENTITY_KIND_BUSINESS), timeout=DEADLINE_S)
    assert business.content == Model.default(EntityKind.BUSINESS).to_bytes()


def test_a_comparison_says_what_would_change(stub: ModelServiceStub) -> None:
    request = wire.CompareModelsRequest(candidate=content(VERY_STRICT))
    found = stub.CompareModels(request, timeout=COMPARISON_S).comparison
    assert (found.base_digest, found.candidate_digest) == (SHIPPED.digest, VERY_STRICT.digest)
    assert (found.golden_record_count, found.near_pair_count) == (20, 20)
    assert [(each.before, each.after, each.pair_count) for each in found.changes] == [
        (wire.PAIR_BAND_LINK, wire.PAIR_BAND_REVIEW, 20)
    ]
    assert found.band_change_fraction == 1.0
    assert found.split_golden_record_count == 20
    assert 0 < len(found.patterns) <= MODEL_PATTERNS_SHOWN
    assert "name=same" in found.patterns[0].levels
    turned = wire.CompareModelsRequest(candidate=content(SHIPPED), base=content(VERY_STRICT))
    back = stub.CompareModels(turned, timeout=COMPARISON_S).comparison
    assert [(each.before, each.after) for each in back.changes] == [(wire.PAIR_BAND_REVIEW, wire.PAIR_BAND_LINK)]


def test_a_model_that_changes_too_much_is_refused_unless_somebody_says_why(stub: ModelServiceStub) -> None:
    assert reason_of(lambda: activate(stub, VERY_STRICT)) == "MODEL_REFUSED"
    assert reason_of(lambda: activate(stub, VERY_STRICT, is_forced=True)) == "INVALID_FIELD"
    dry = activate(stub, VERY_STRICT, is_dry_run=True)
    assert dry.comparison.band_change_fraction == 1.0
    assert not dry.HasField("token")
    assert in_force(stub).digest == SHIPPED.digest
    forced = activate(stub, VERY_STRICT, is_forced=True, reason="a test of the bound")
    assert forced.token.value
    held = in_force(stub)
    assert (held.digest, held.reason, held.actor, held.purpose) == (
        VERY_STRICT.digest,
        "a test of the bound",
        "operator",
        "tuning",
    )
    assert (held.is_pinned, held.method, held.link_bits) == (True, "ActivateModel", 60.0)
    request = wire.RollbackModelRequest(
        entity_kind=common.ENTITY_KIND_CITIZEN, reason="enough", caller=CALLER, request_id="back"
    )
    back = stub.RollbackModel(request, timeout=COMPARISON_S)
    assert back.digest == SHIPPED.digest
    assert back.comparison.band_change_fraction == 1.0
    held = in_force(stub)
    assert (held.digest, held.is_rollback, held.reason) == (SHIPPED.digest, True, "enough")
    again = stub.RollbackModel(request, timeout=COMPARISON_S)
    assert (again.digest, again.token) == (back.digest, back.token)
    assert not again.HasField("comparison"), "a repetition compares nothing"


def test_a_small_change_is_activated_at_once_and_named_by_digest_afterwards(stub: ModelServiceStub) -> None:
    first = activate(stub, STRICT, request_id="small")
    assert first.comparison.band_change_fraction == 0.0
    assert activate(stub, STRICT, request_id="small").token == first.token
    named = wire.ActivateModelRequest(model=wire.ModelReference(digest=SHIPPED.digest), caller=CALLER)
    assert stub.ActivateModel(named, timeout=COMPARISON_S).digest == SHIPPED.digest
    assert in_force(stub).digest == SHIPPED.digest


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (msgspec.structs.replace(SHIPPED, specification_version=99), "INVALID_CONFIGURATION"),
        (
            Model.build("citizen", lambda _comparison, level: (level.m, level.u)),
            None,
        ),  # The specification's own values.
        (Model.build("citizen", lambda _comparison, _level: (0.5, 0.5)), "MODEL_REFUSED"),
    ],
)
def test_what_cannot_be_a_model_is_never_in_force(stub: ModelServiceStub, model: Model, reason: str | None) -> None:
    def dry() -> wire.ActivateModelResponse:
        return activate(stub, model, is_dry_run=True)

    if reason is None:
        assert dry().digest == model.digest
    else:
        assert reason_of(dry) == reason


def test_models_of_two_kinds_cannot_be_compared(stub: ModelServiceStub) -> None:
    business = content(Model.default(EntityKind.BUSINESS))
    request = wire.CompareModelsRequest(candidate=content(STRICT), base=business)
    assert reason_of(lambda: stub.CompareModels(request, timeout=COMPARISON_S)) == "INVALID_FIELD"


def test_the_bounds_in_the_proto_are_those_in_limits(stub: ModelServiceStub) -> None:
    largest = wire.CompareModelsRequest(
        candidate=content(STRICT), sample_golden_record_count=MODEL_SAMPLE_GOLDEN_RECORDS_MAX
    )
    assert stub.CompareModels(largest, timeout=COMPARISON_S).comparison.sampled_golden_record_count == 20
    for broken in (
        wire.CompareModelsRequest(
            candidate=content(STRICT), sample_golden_record_count=MODEL_SAMPLE_GOLDEN_RECORDS_MAX + 1
        ),
        wire.CompareModelsRequest(candidate=wire.ModelReference(content=b" " * (MODEL_BYTES_MAX + 1))),
    ):
        assert reason_of(lambda broken=broken: stub.CompareModels(broken, timeout=COMPARISON_S)) == "INVALID_FIELD"
