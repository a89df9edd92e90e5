"""A re-linkage over the wire: planned, looked at, committed or cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mdm.domain.events import Verdict
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import relink_service_pb2 as wire
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.relink_service_pb2_grpc import RelinkServiceStub
from tests.resolve.office import Office
from tests.resolve.office import citizen as office_citizen
from tests.server.records import citizen, info_of, key
from tests.server.trouble import status
from tests.serving import running_server

DEADLINE_S = 10


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A service of its own with forty pending records of twenty citizens."""
    with running_server(tmp_path_factory.mktemp("relink") / "data") as served, served.channel() as opened:
        stub = RegistryServiceStub(opened)
        for name in ("hospital", "social_security"):
            for number in range(20):
                record = citizen(
                    f"R-{number}",
                    f"Trương Văn {chr(65 + number)}n",
                    registry_name=name,
                    birth_date=f"19{50 + number}-0{number % 9 + 1}-11",
                    personal_id=f"0790{50 + number}{number * 37:06}",
                )
                request = registry.UpsertRecordRequest(record=record, resolve=common.RESOLVE_TIME_LATER)
                stub.UpsertRecord(request, timeout=DEADLINE_S)
        yield opened


def reason_of(call: object) -> str:
    assert callable(call)
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(info_of(caught.value).reason)


def test_a_plan_is_watched_committed_as_reviewed_and_gives_pending_records_their_ids(channel: grpc.Channel) -> None:
    stub = RelinkServiceStub(channel)
    run = stub.Plan(wire.RelinkServicePlanRequest(request_id="plan"), timeout=DEADLINE_S).run
    second = wire.RelinkServicePlanRequest(request_id="second")
    assert reason_of(lambda: stub.Plan(second, timeout=DEADLINE_S)) == "RELINK_RUNNING"
    states = [each.run for each in stub.Watch(wire.RelinkServiceWatchRequest(run_id=run.run_id), timeout=100)]
    planned = states[-1]
    assert planned.state == wire.RELINK_STATE_PLANNED, planned
    assert (planned.component_count, planned.committed_component_count) == (20, 0)
    assert not planned.HasField("ended_at"), "it waits"
    assert not planned.HasField("token"), "nothing is written yet"
    report = stub.GetReport(wire.RelinkServiceGetReportRequest(run_id=run.run_id), timeout=DEADLINE_S)
    assert sum(impact.pending_record_count for impact in report.impacts) == 40

    other = wire.RelinkServiceCommitRequest(run_id=run.run_id, plan_digest="0" * 64)
    assert reason_of(lambda: stub.Commit(other, timeout=DEADLINE_S)) == "RELINK_PLAN_OUTDATED"
    commit = wire.RelinkServiceCommitRequest(run_id=run.run_id, plan_digest=states[-1].plan_digest)
    stub.Commit(commit, timeout=DEADLINE_S)
    states = [each.run for each in stub.Watch(wire.RelinkServiceWatchRequest(run_id=run.run_id), timeout=100)]
    committed = states[-1]
    assert committed.state == wire.RELINK_STATE_COMMITTED, committed
    assert (committed.component_count, committed.committed_component_count) == (20, 20)
    assert committed.dropped_component_count == 0
    assert committed.ended_at.ToMicroseconds() > committed.started_at.ToMicroseconds() > 0
    after_commit = lookup.LookupRequest(key=key("R-1"), at_least_as_fresh=committed.token)
    found = LookupServiceStub(channel).Lookup(after_commit, timeout=DEADLINE_S)
    assert committed.token.value
    assert found.read_at == committed.token
    same = LookupServiceStub(channel).Lookup(
        lookup.LookupRequest(key=key("R-1", "social_security")), timeout=DEADLINE_S
    )
    assert found.status == common.RECORD_STATUS_FOUND
    assert found.golden_id == same.golden_id
    latest = stub.Get(wire.RelinkServiceGetRequest(), timeout=DEADLINE_S).run
    assert latest.run_id == run.run_id
    last = status(channel).last_relink
    assert [each.stage for each in last.stages][:2] == ["starting", "snapshot"]
    assert [each.stage for each in last.stages][-2:] == ["planning", "committing"]
    took_us = last.ended_at.ToMicroseconds() - last.started_at.ToMicroseconds()
    assert 0 < sum(each.spent.ToMicroseconds() for each in last.stages) <= took_us


def test_a_cancelled_plan_cannot_be_committed(channel: grpc.Channel) -> None:
    stub = RelinkServiceStub(channel)
    run = stub.Plan(wire.RelinkServicePlanRequest(), timeout=DEADLINE_S).run
    stub.Cancel(wire.RelinkServiceCancelRequest(run_id=run.run_id), timeout=DEADLINE_S)
    states = [each.run for each in stub.Watch(wire.RelinkServiceWatchRequest(run_id=run.run_id), timeout=100)]
    assert states[-1].state == wire.RELINK_STATE_CANCELLED
    assert states[-1].HasField("ended_at")
    assert states[-1].committed_component_count == 0
    commit = wire.RelinkServiceCommitRequest(run_id=run.run_id)
    assert reason_of(lambda: stub.Commit(commit, timeout=DEADLINE_S)) == "RELINK_PLAN_OUTDATED"


def watched(stub: RelinkServiceStub, run_id: str) -> wire.RelinkRun:
    return [each.run for each in stub.Watch(wire.RelinkServiceWatchRequest(run_id=run_id), timeout=100)][-1]


def reported(stub: RelinkServiceStub, run_id: str) -> wire.RelinkServiceGetReportResponse:
    return stub.GetReport(wire.RelinkServiceGetReportRequest(run_id=run_id), timeout=DEADLINE_S)


def test_a_plan_that_needs_more_memory_says_how_much(channel: grpc.Channel) -> None:
    stub = RelinkServiceStub(channel)
    for too_little in (-1, 1 << 20):
        request = wire.RelinkServicePlanRequest(memory_limit_bytes=too_little)
        assert reason_of(lambda request=request: stub.Plan(request, timeout=DEADLINE_S)) == "INVALID_FIELD"


def test_a_plan_cannot_be_kept_to_fewer_than_no_cores(channel: grpc.Channel) -> None:
    request = wire.RelinkServicePlanRequest(core_count_max=-1)
    assert reason_of(lambda: RelinkServiceStub(channel).Plan(request, timeout=DEADLINE_S)) == "INVALID_FIELD"


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[grpc.Channel]:
    """A service with two golden records that a steward joined, and a third one: a plan has something to merge."""
    office = Office(tmp_path / "data")
    pair = [office_citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all([*pair, office_citizen("Z", "Đặng Hoàng Long", "1969-10-20", sex="M")])
    office.judge(pair[0].key, pair[1].key, Verdict.SAME)
    office.close()
    with running_server(tmp_path / "data") as served, served.channel() as opened:
        yield opened


def test_a_commit_is_gated_reported_and_taken_back(apart: grpc.Channel) -> None:
    stub = RelinkServiceStub(apart)

    def ids() -> list[str]:
        lookups = [lookup.LookupRequest(key=key(name)) for name in ("A", "B", "Z")]
        return [LookupServiceStub(apart).Lookup(each, timeout=DEADLINE_S).golden_id for each in lookups]

    before = ids()
    run = watched(stub, stub.Plan(wire.RelinkServicePlanRequest(), timeout=DEADLINE_S).run.run_id)
    report = reported(stub, run.run_id)
    assert report.churn_percent == pytest.approx(100 / 3)
    (example,) = report.examples
    assert (example.change, example.record_count) == (wire.RELINK_CHANGE_MERGED, 2)
    assert [each.key.record_id for each in example.records] == ["A", "B"]
    assert [each.golden_id_before for each in example.records] == before[:2]
    assert [each.golden_id_after for each in example.records] == [before[0]] * 2
    (impact,) = report.impacts
    assert [(each.registry, each.record_count, each.moved_record_count) for each in impact.registries] == [
        ("hospital", 3, 1)
    ]
    assert sum(each.golden_record_count_after for each in impact.sizes) == impact.golden_record_count_after == 2
    assert (impact.largest[0].golden_id, impact.largest[0].member_count) == (before[0], 2)

    gated = wire.RelinkServiceCommitRequest(run_id=run.run_id, max_churn_percent=33)
    assert reason_of(lambda: stub.Commit(gated, timeout=DEADLINE_S)) == "RELINK_CHURN_EXCEEDED"
    allowed = wire.RelinkServiceCommitRequest(run_id=run.run_id, max_churn_percent=34)
    stub.Commit(allowed, timeout=DEADLINE_S)
    assert watched(stub, run.run_id).state == wire.RELINK_STATE_COMMITTED
    assert ids() == [before[0], before[0], before[2]]

    reversal = stub.Revert(wire.RelinkServiceRevertRequest(run_id=run.run_id), timeout=DEADLINE_S).run
    assert reversal.reverts_run_id == run.run_id
    assert watched(stub, reversal.run_id).state == wire.RELINK_STATE_PLANNED
    found = reported(stub, reversal.run_id).reversal
    assert (found.restored_component_count, found.restored_golden_id_count) == (1, 2)
    assert ids() == [before[0], before[0], before[2]], "a plan changes nothing"
    stub.Commit(wire.RelinkServiceCommitRequest(run_id=reversal.run_id), timeout=DEADLINE_S)
    assert watched(stub, reversal.run_id).state == wire.RELINK_STATE_COMMITTED
    assert ids() == before
    assert not reported(stub, run.run_id).HasField("reversal")


def test_a_component_that_the_commit_dropped_is_named(apart: grpc.Channel) -> None:
    stub = RelinkServiceStub(apart)
    run = watched(stub, stub.Plan(wire.RelinkServicePlanRequest(), timeout=DEADLINE_S).run.run_id)
    changed = registry.UpsertRecordRequest(record=citizen("B", "Nguyễn Thị Thúy", personal_id=""))
    RegistryServiceStub(apart).UpsertRecord(changed, timeout=DEADLINE_S)
    stub.Commit(wire.RelinkServiceCommitRequest(run_id=run.run_id), timeout=DEADLINE_S)
    assert watched(stub, run.run_id).dropped_component_count == 1
    (dropped,) = reported(stub, run.run_id).dropped
    assert sorted(each.record_id for each in dropped.keys) == ["A", "B"]


def test_a_run_that_was_never_committed_cannot_be_taken_back(channel: grpc.Channel) -> None:
    stub = RelinkServiceStub(channel)
    for run_id, reason in (("", "INVALID_FIELD"), ("20250101T000000-abcdef", "RELINK_RUN_NOT_FOUND")):
        request = wire.RelinkServiceRevertRequest(run_id=run_id)
        assert reason_of(lambda request=request: stub.Revert(request, timeout=DEADLINE_S)) == reason
