"""Erasing over the command line, against a running service: what is shown, asked, destroyed, and what answers after."""

from __future__ import annotations

import json
import time

import grpc
import pytest

from mdm_client import (
    CitizenAttributes,
    Client,
    EntityKind,
    GoldenIdStatus,
    RecordStatus,
    Relation,
    RelationType,
    ServiceError,
    SourceKey,
    SourceRecord,
)
from tests.cli.conftest import Run
from tests.resolve.erasing import holding
from tests.serving import RunningServer

CITIZEN = EntityKind.CITIZEN
TEXTS = ("Vương Thị Xuyến", "1979-09-19", "0966111222", "ERASED-1", "ERASED-2")


def put(client: Client, record_id: str, registry: str = "hospital", **attributes: object) -> str:
    stated = {"full_name": TEXTS[0], "birth_date": TEXTS[1], "sex": "F", "phones": (TEXTS[2],)} | attributes
    record = SourceRecord(SourceKey(registry, CITIZEN, record_id), CitizenAttributes(**stated))  # type: ignore[arg-type]
    return client.upsert(record).golden_id


def at(server: RunningServer) -> tuple[str, str]:
    return "--server", server.address


def test_a_person_is_shown_then_erased_and_nothing_is_left(mdm: Run, server: RunningServer) -> None:
    with Client(server.address, actor="tests") as client:
        golden_id = put(client, "ERASED-1")
        assert put(client, "ERASED-2", "social_security") == golden_id
        relation = Relation(RelationType.MOTHER, name="Ẩn")
        put(client, "CHILD", full_name="Lê Văn Nhỏ", birth_date="2015-05-05", phones=(), relations=(relation,))
        list(client.export_crosswalk())
        assert holding(server.data, TEXTS)

        shown = json.loads(mdm("erase", golden_id, "--dry-run", "--json", *at(server)).stdout)
        assert (shown["golden_ids"], shown["record_count"]) == ([golden_id], 2)
        assert sorted(shown["records"]) == ["hospital citizen ERASED-1", "social_security citizen ERASED-2"]
        assert [(each["kind"], each["row_count"], each["actor"]) for each in shown["exports"]] == [
            ("crosswalk", 3, "tests")
        ]
        assert client.golden_record(golden_id).status is GoldenIdStatus.ACTIVE

        done = mdm("erase", "hospital", "citizen", "ERASED-1", "--reason", "request 7", "--yes", "--json", *at(server))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["is_finished"] is True
        assert holding(server.data, TEXTS) == {}

        after = client.golden_record(golden_id)
        assert (after.status, after.is_erased, after.values, after.members) == (GoldenIdStatus.RETIRED, True, (), ())
        assert client.lookup("hospital", CITIZEN, "ERASED-1").status is RecordStatus.NOT_FOUND
        assert '"status": "erased"' in mdm("lookup", golden_id, "--json", *at(server)).stdout
        (listed,) = json.loads(mdm("erase", "--list", "--json", *at(server)).stdout)
        assert (listed["golden_ids"], listed["record_count"], listed["reason"]) == ([golden_id], 2, "request 7")
        assert "request 7" in mdm("erase", "--list", *at(server)).stdout

        told = mdm("history", golden_id, *at(server)).stdout
        assert "A record joined (the machine's decision)" in told
        assert "[1 erased · " in told, "the key is gone"
        assert "A record left (an operator)" in told
        assert "The values of all its records were destroyed (an operator)" in told.splitlines()[-1]

        again = json.loads(mdm("erase", golden_id, "--reason", "twice", "--yes", "--json", *at(server)).stdout)
        assert (again["record_count"], again["token"], again["is_finished"]) == (0, "", True)
        assert put(client, "ERASED-1") != golden_id, "a new record of a new golden ID"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give a golden ID"),
        (("hospital", "citizen"), 2, "give a golden ID"),
        (("hospital", "patient", "P1"), 2, "give a golden ID"),
        (("C-18ZN-3GPM-WTVS-5",), 2, "--reason must say why"),
        (("C-18ZN-3GPM-WTVS-5", "--reason", "  "), 2, "--reason must say why"),
        (("C-18ZN-3GPM-WTVS-5", "--reason", "r", "--yes"), 1, "never issued"),
        (("C-18ZN-3GPM-WTSV-5", "--dry-run"), 1, "check character"),
        (("hospital", "citizen", "NOBODY", "--dry-run"), 1, "no record is stored"),
        (("hospital", "citizen", "\x07" * 200, "--dry-run"), 1, "record_id"),
    ],
)
def test_what_cannot_be_erased_is_refused(
    mdm: Run, server: RunningServer, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused = mdm("erase", *arguments, *at(server))
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr


def test_without_a_terminal_nobody_is_asked_and_nothing_happens(mdm: Run, server: RunningServer) -> None:
    with Client(server.address) as client:
        golden_id = put(client, "KEPT-1", full_name="Tạ Thị Giữ", phones=())
        refused = mdm("erase", golden_id, "--reason", "r", *at(server))
        assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
        assert client.golden_record(golden_id).status is GoldenIdStatus.ACTIVE


def test_a_changed_record_count_is_refused_over_the_wire(server: RunningServer) -> None:
    with Client(server.address) as client:
        golden_id = put(client, "KEPT-2", full_name="Tạ Thị Đếm", phones=())
        with pytest.raises(ServiceError, match="reason: must say why"):
            client.erasures.erase(golden_id, "  ")
        with pytest.raises(ServiceError) as caught:
            client.erasures.erase(golden_id, "r", expected_record_count=2)
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONFLICT")
        assert client.erasures.erase(golden_id, "r", expected_record_count=1, request_id="once").token


def test_a_repeated_request_gets_the_first_answer_although_its_key_is_gone(server: RunningServer) -> None:
    with Client(server.address) as client:
        put(client, "KEPT-3", full_name="Tạ Thị Lặp", phones=())
        key = SourceKey("hospital", CITIZEN, "KEPT-3")
        first = client.erasures.erase(key, "r", request_id="twice")
        again = client.erasures.erase(key, "r", request_id="twice")
        assert again.token == first.token != ""
        with pytest.raises(ServiceError, match="no record is stored"):
            client.erasures.erase(key, "r", request_id="another")


@pytest.mark.crash
def test_a_writer_that_is_killed_behind_an_erasure_finishes_it_after_its_restart(server: RunningServer) -> None:
    with Client(server.address) as client:
        for place, wait_s in enumerate((0.0, 0.2, 0.5)):
            golden_id = put(client, f"KILLED-{place}", full_name="Tạ Thị Xoá", phones=())
            token = client.erasures.erase(golden_id, "r").token
            time.sleep(wait_s)
            server.kill("writer_process")
            until_s = time.monotonic() + 60
            while not any(each.token == token and each.is_finished for each in client.erasures.list()):
                assert time.monotonic() < until_s
                time.sleep(0.1)
            assert holding(server.data, (f"KILLED-{place}", "Tạ Thị Xoá")) == {}
            assert client.golden_record(golden_id).is_erased
