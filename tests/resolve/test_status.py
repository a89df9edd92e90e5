"""What an operator reads of the state."""

from __future__ import annotations

from mdm.domain.events import Cause
from mdm.resolve.commands import BeginLoad, FinishLoad, LoadAnswer, Request, Upsert
from mdm.resolve.status import LoadOutline, last_loads
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


def _last_loads(office: Office) -> list[LoadOutline]:
    with office.writer._index.read() as view:
        return list(last_loads(view))


def test_the_last_load_of_each_feed_is_named_the_newest_first(office: Office) -> None:
    assert _last_loads(office) == []
    hospital, household, insured = FEEDS
    office.execute(FinishLoad(_begun(office, "h-1", hospital, 2), 2))
    office.execute(FinishLoad(_begun(office, "r-1", household, 1), 1))
    for name in ("h-2", "h-3"):
        office.execute(FinishLoad(_begun(office, name, hospital, 1), 1))
    _begun(office, "i-1", insured, 3)
    assert _last_loads(office) == [
        LoadOutline(insured, "i-1", 3, is_finished=False),
        LoadOutline(hospital, "h-3", 0, is_finished=True),
        LoadOutline(household, "r-1", 0, is_finished=True),
    ]


def test_a_load_that_is_resumed_stays_one_and_one_that_is_taken_back_is_over(office: Office) -> None:
    hospital, household, _ = FEEDS
    _begun(office, "h-1", hospital, 2)
    office.execute(FinishLoad(_begun(office, "r-1", household, 1), 1))
    _begun(office, "h-1", hospital)
    assert _last_loads(office)[1] == LoadOutline(hospital, "h-1", 2, is_finished=False)
    revert(office, "h-1")
    assert _last_loads(office)[1].is_finished
    _begun(office, "h-1", hospital, 1)
    assert _last_loads(office)[0] == LoadOutline(hospital, "h-1.2", 1, is_finished=False)
