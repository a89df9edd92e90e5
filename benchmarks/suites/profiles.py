"""Mixed loads: what calls arrive together, in which shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from benchmarks.load.spec import Call
from benchmarks.session import Session
from benchmarks.suites import asking
from mdm.v1 import common_pb2 as common
from mdm.v1 import match_service_pb2 as match

ADMISSION_DESK, NIGHTLY_BATCH, COUNTER_RUSH, SKEWED_KEYS = (
    "admission desk",
    "nightly batch",
    "counter rush",
    "skewed keys",
)

PROFILES: dict[str, dict[str, float]] = {
    # Somebody is admitted: known keys are looked up, cards are read, a few are searched for, one is stored.
    ADMISSION_DESK: {"lookup": 0.70, "identifier": 0.15, "match": 0.10, "resolve": 0.05},
    # Systems translate their files by night: few calls, each of many keys.
    NIGHTLY_BATCH: {"batch_lookup": 0.90, "batch_match": 0.10},
    # Schools enrol, a campaign vaccinates: most who come are searched for and stored.
    COUNTER_RUSH: {"lookup": 0.30, "identifier": 0.20, "match": 0.30, "resolve": 0.20},
    # A few keys are asked for by everybody.
    SKEWED_KEYS: {"skewed_lookup": 1.0},
}
"""Profile → kind of call → its share."""

OPERATIONS = {"batch_lookup": 1_000, "batch_match": 100}
"""Records that one call of a kind is about; 1 where it is not named."""

SKEW = 1.1
"""Zipf's exponent of skewed keys: the most popular of 20,000 keys is asked for in every seventh call."""


class Mixed:
    """The calls of a profile, with fresh records to store for each use."""

    def __init__(self, session: Session, profile: str) -> None:
        """Prepare what can be asked again and again."""
        self._session = session
        self._shares = PROFILES[profile]
        attributes = asking.matched_attributes(session) if {"match", "batch_match"} & self._shares.keys() else []
        makers: dict[str, Callable[[], Call]] = {
            "lookup": lambda: asking.lookups(session),
            "skewed_lookup": lambda: asking.lookups(session, skew=SKEW),
            "identifier": lambda: asking.identifier_lookups(session),
            "match": lambda: asking.matches(session, attributes),
            "batch_lookup": lambda: asking.batch_lookups(session, OPERATIONS["batch_lookup"]),
            "batch_match": lambda: asking.batch_matches(session, attributes, OPERATIONS["batch_match"]),
        }
        self._again = [
            msgspec.structs.replace(makers[kind](), share=share)
            for kind, share in self._shares.items()
            if kind != "resolve"
        ]

    def calls(self, rate_per_s: float, seconds: float) -> Sequence[Call]:
        """Return the calls of one run that makes about so many calls a second.

        Args:
            rate_per_s: Of all kinds; in a closed loop, the most that may be reached.
            seconds: Of the run, warm-up included.
        """
        share = self._shares.get("resolve")
        if share is None:
            return self._again
        # Twice as many as expected: draws scatter, and what is left over is dropped.
        count = round(rate_per_s * seconds * share * 2) + 20
        return [*self._again, resolves(self._session, count, share)]


def resolves(session: Session, count: int, share: float = 1.0) -> Call:
    """Return searches that store whom they do not find, each of another record."""
    requests = (
        match.ResolveRequest(
            mode=match.RESOLVE_MODE_FIND_OR_CREATE,
            key=record.key,
            attributes=record.attributes,
            request_id=record.key.record_id,
            caller=common.Caller(actor="bench", purpose="benchmark"),
        )
        for record in asking.arrivals(session, count)
    )
    file = session.requests("resolve", requests)
    return Call("resolve", asking.RESOLVE, file, share=share, is_consumed=True)
