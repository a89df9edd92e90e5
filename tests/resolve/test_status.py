"""What an operator reads of the state."""

from __future__ import annotations

from mdm.domain.events import Cause
from mdm.resolve.commands import BeginLoad, FinishLoad, LoadAnswer, Request, Upsert
from mdm.resolve.status import last_loads
from mdm.server.wire_loads import load_status
from mdm.v1 import load_service_pb2 as load
from tests.resolve.loads import revert
from tests.resolve.office import Office, citizen

FEEDS = ("hospital.patients", "household.residents", "social_security.insured")


def _begun(office: Office, name: str, feed: str, rows: int = 0) -> Request:
    (begun,) = office.execute(BeginLoad(Request(Cause(actor="loader")), name, feed))
    assert isinstance(begun, LoadAnswer)
    request = Request(Cause(actor="loader", load_id=begun.load_id))
    registry = feed.partition(".")[0]
    for ordinal in range(1, rows + 1):
        office.execute(Upsert(request, citizen(f"{name}-{ordinal}", registry=registry), ordinal=ordinal))
    return request


def _last_loads(office: Office) -> list[tuple[str, str, int, str]]:
    with office.writer._index.read() as view:
        found = last_loads(view)
    names = {
        load.LOAD_STATUS_OPEN: "open",
        load.LOAD_STATUS_FINISHED: "finished",
        load.LOAD_STATUS_REVERTED: "reverted",
    }
    return [
        (each.entry.feed, each.entry.load_id, each.durable_ordinal, names[load_status(each.entry)]) for each in found
    ]


def test_the_last_load_of_each_feed_is_named_the_newest_first(office: Office) -> None:
    assert _last_loads(office) == []
    hospital, household, insured = FEEDS
    office.execute(FinishLoad(_begun(office, "h-1", hospital, 2), 2))
    office.execute(FinishLoad(_begun(office, "r-1", household, 1), 1))
    for name in ("h-2", "h-3"):
        office.execute(FinishLoad(_begun(office, name, hospital, 1), 1))
    _begun(office, "i-1", insured, 3)
    assert _last_loads(office) == [
        (insured, "i-1", 3, "open"),
        (hospital, "h-3", 0, "finished"),
        (household, "r-1", 0, "finished"),
    ]


def test_a_load_that_is_resumed_stays_one_and_one_that_is_taken_back_is_over(office: Office) -> None:
    hospital, household, _ = FEEDS
    _begun(office, "h-1", hospital, 2)
    office.execute(FinishLoad(_begun(office, "r-1", household, 1), 1))
    _begun(office, "h-1", hospital)
    assert _last_loads(office)[1] == (hospital, "h-1", 2, "open")
    revert(office, "h-1")
    assert _last_loads(office)[1] == (hospital, "h-1", 2, "reverted")
    _begun(office, "h-1", hospital, 1)
    assert _last_loads(office)[0] == (hospital, "h-1.2", 1, "open")
