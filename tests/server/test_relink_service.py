"""A re-linkage over the wire: planned, looked at, committed or cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import relink_service_pb2 as wire
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.relink_service_pb2_grpc import RelinkServiceStub
from tests.server.records import citizen, info_of, key
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
