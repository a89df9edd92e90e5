"""Mixed loads: how many admissions an hour, and how the other profiles fare."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ceilings.bare_server import OWN
from benchmarks.ceilings.started import bare_server
from benchmarks.figures import Figure
from benchmarks.load.generator import Server
from benchmarks.load.spec import Call
from benchmarks.session import Session
from benchmarks.suites import asking
from benchmarks.suites.profiles import ADMISSION_DESK, OPERATIONS, PROFILES, Mixed

OUTSTANDING = 16
HALF = 0.5
CALLS_PER_S_MAX = 25_000
"""An empty handler on our stack answers some 20,000 a second on two cores, mixed calls a quarter of it."""

CALLS_PER_ADMISSION = round(1 / PROFILES[ADMISSION_DESK]["resolve"])
"""An admission ends with one record stored: 20 calls, of which 14 lookups, 3 by identifier, 2 matches."""

CEILING = "the same calls, answers ready, on our own stack"


def measure(session: Session) -> None:
    """Run the suite; of a running service, which is only read, the profiles that store nothing."""
    is_read = bool(session.options.server)
    if is_read:
        stored = ", ".join(profile for profile, shares in PROFILES.items() if "resolve" in shares)
        session.note(f"not measured, for they store records: {stored}, and so admissions an hour")
    with session.deployment(is_writing=not is_read) as service:
        for profile, shares in PROFILES.items():
            if not (is_read and "resolve" in shares):
                _profile(session, service.server, profile)


def _profile(session: Session, service: Server, profile: str) -> None:
    mixed = Mixed(session, profile)
    seconds = session.options.warm_up_seconds + session.options.measure_seconds
    name = profile.replace(" ", "_")
    answers = {call.method: asking.answered(service, call) for call in mixed.calls(0, 0)}
    with bare_server(answers, session.options.readers, OWN) as own:

        def calls(server: Server) -> Sequence[Call]:
            return mixed.calls(CALLS_PER_S_MAX if server is own else CALLS_PER_S_MAX / 4, seconds)

        runs, ceilings = session.in_turns(f"{profile}, closed loop", (service, own), calls, OUTSTANDING)
        figure = session.add_rate(
            f"desk.{name}.rate", f"Profile {profile}", runs, ceiling=CEILING, ceiling_runs=ceilings
        )
        figure.is_judged_by_value = True
        rate = figure.spread.median * HALF
        runs, ceilings = [], []
        for number in session.repeats(f"{profile}, {rate:,.0f} calls a second"):
            runs.append(session.open(service, mixed.calls(rate, seconds), rate, number))
            ceilings.append(session.open(own, mixed.calls(rate, seconds), rate, number))
    session.add_latency(
        f"desk.{name}.half_load_p99",
        f"Profile {profile}, p99 at half load",
        runs,
        0.99,
        ceiling=f"{CEILING}, at the same rate",
        ceiling_runs=ceilings,
    ).is_judged_by_value = True
    session.add_distribution(f"Profile {profile} at half load", runs)
    if profile == ADMISSION_DESK:
        _admissions(session, figure)
    _records(session, name, profile, figure)


def _admissions(session: Session, figure: Figure) -> None:
    an_hour = 3600 / CALLS_PER_ADMISSION
    session.add(
        Figure(
            name="desk.admissions",
            title="Admissions",
            unit="an hour",
            values=[value * an_hour for value in figure.values],
            ceiling=figure.ceiling,
            ceiling_values=[value * an_hour for value in figure.ceiling_values],
            is_judged_by_value=True,
            cost=figure.cost,
            bound_by=figure.bound_by,
            note=f"One admission is {CALLS_PER_ADMISSION} calls: "
            + ", ".join(
                f"{share * CALLS_PER_ADMISSION:g} of kind {kind}" for kind, share in PROFILES[ADMISSION_DESK].items()
            ),
        )
    )


def _records(session: Session, name: str, profile: str, figure: Figure) -> None:
    each = sum(share * OPERATIONS.get(kind, 1) for kind, share in PROFILES[profile].items())
    if each != 1:
        values = [value * each for value in figure.values]
        session.add(Figure(name=f"desk.{name}.records", title=f"Profile {profile}", unit="records/s", values=values))
