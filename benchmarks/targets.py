"""What was promised of the service on two cores with 1.3 million records, client on the same machine."""

from __future__ import annotations

from benchmarks.figures import Target


def _at_least(bound: float, *, of_ceiling: bool = False) -> Target:
    return Target(bound, is_minimum=True, on="ratio" if of_ceiling else "value")


def _at_most(bound: float, *, of_ceiling: bool = False) -> Target:
    return Target(bound, is_minimum=False, on="ratio" if of_ceiling else "value")


TARGETS = {
    "lookup.unary.rate": _at_least(0.9, of_ceiling=True),
    # The same promise, read strictly: of an empty handler that has all of our stack before it.
    "lookup.unary.rate_to_own_stack": _at_least(0.9, of_ceiling=True),
    "lookup.unary.half_load_p99": _at_most(1.5, of_ceiling=True),
    "lookup.batch.rate": _at_least(600_000),
    "lookup.batch.rate_to_gets": _at_least(0.8, of_ceiling=True),
    # A loop that makes an object of each key reaches this share.
    "lookup.batch.rate_to_reply": _at_least(0.23, of_ceiling=True),
    "lookup.coalesced.rate": _at_least(10.0, of_ceiling=True),
    "lookup.coalesced.tasks.rate": _at_least(10.0, of_ceiling=True),
    "match.unary.rate_per_core": _at_least(1_500),
    "match.unary.half_load_p50": _at_most(1.5),
    "match.unary.half_load_p99": _at_most(6.0),
    "match.unary.speedup": _at_least(15.0),
    "match.batch.rate_per_core": _at_least(5_000),
    "match.hot.p99": _at_most(2.0, of_ceiling=True),
    "resolve.ingest.rate": _at_least(3_000),
    "resolve.ingest.acknowledgement_p99": _at_most(50.0),
    "load.later.rate": _at_least(10_000),
    "load.again.rate": _at_least(40_000),
    "relink.predict_and_cluster": _at_most(1.5, of_ceiling=True),
    "relink.peak_memory": _at_most(8.0),
    "relink.desk_p99": _at_most(3.0, of_ceiling=True),
    "relink.write_stall": _at_most(1.0),
    "rebuild.identity.rate": _at_least(25_000),
    "rebuild.match.rate_per_core": _at_least(6_000),
    "rebuild.restart": _at_most(5.0),
    "recovery.lost": _at_most(0.0),
    "recovery.unequal": _at_most(0.0),
    "overload.unhealthy": _at_most(0.0),
    "overload.other_statuses": _at_most(0.0),
    # The city's health department counted 26.8 million outpatient visits in the first half of 2025, the two provinces
    # that joined it included: 27,000 in each of 1,000 working hours. The first hour of a Monday may have the double.
    "desk.admissions": _at_least(54_000),
    "overload.goodput": _at_least(0.8, of_ceiling=True),
    "soak.reader_growth": _at_most(5.0),
    "soak.writer_growth": _at_most(5.0),
}
"""Figure's name → its target."""
