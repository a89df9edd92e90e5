"""Other linkers that are installed, on the same citizens in the same run: linking all of them, and matching one.

Plain Splink always; recordlinkage and GoldenMatch come with the extra `peers`. Plain Splink's online calls stand beside
matches in the suite `match`.
"""

from __future__ import annotations

from importlib.util import find_spec
from statistics import median

from benchmarks.ceilings.started import told_by
from benchmarks.figures import Figure
from benchmarks.load.generator import Measured
from benchmarks.quality.peers.runs import PEERS
from benchmarks.session import Session
from benchmarks.suites import asking
from benchmarks.suites.others import linked_by, write_plain_rows
from benchmarks.suites.relink import relink
from benchmarks.suites.scaling import options_for

CITIZENS_MAX = 20_000
"""recordlinkage holds every candidate pair in pandas: larger cities take it hours or all memory."""
STAGE = "predict_and_cluster"
SERVER = "golden_match"
"""The peer that comes with a server of its own, which is asked this often in each repeat."""
SERVER_CALLS = 5


def measure(session: Session) -> None:
    """Run the suite, on a city of at most 20,000 citizens."""
    if session.city.citizens > CITIZENS_MAX:
        with Session(["rivals"], options_for(session, CITIZENS_MAX)) as smaller:
            measure(smaller)
        session.result.figures += smaller.result.figures
        session.result.notes += [*smaller.result.notes, f"rivals linked a city of {CITIZENS_MAX:,} citizens"]
        return
    rows = session.scratch / "rows.parquet"
    count = write_plain_rows(session.city, rows)
    installed = [peer for peer, library in PEERS.items() if find_spec(library) is not None]
    left_out = sorted(PEERS[peer] for peer in PEERS.keys() - set(installed))
    if left_out:
        session.result.notes.append(f"rivals left out, not installed (extra peers): {', '.join(left_out)}")
    rates: dict[str, list[float]] = {"ours": [], **{peer: [] for peer in installed}}
    matches: list[Measured] = []
    served_ms: list[float] = []
    with session.deployment(is_writing=True) as service:
        for number in session.repeats(f"linking {count:,} records by each"):
            rates["ours"].append(count / relink(service).part_s(STAGE))
            for peer in installed:
                rates[peer].append(count / linked_by(session, peer, rows)[STAGE])
            if SERVER in installed:
                calls = [asking.matches(session, asking.matched_attributes(session))]
                matches.append(session.closed(service.server, calls, 1, number))
                told = told_by("quality.peers.golden_match_server", rows, SERVER_CALLS)
                served_ms.append(median(told["match_ms"]))
    for name, values in rates.items():
        session.add(
            Figure(
                name=f"rivals.{name}",
                title=f"Predict and cluster {count:,} citizens' records: {name.replace('_', ' ')}",
                unit="records/s",
                values=values,
                ceiling="" if name == "ours" else "ours",
                ceiling_values=[] if name == "ours" else rates["ours"],
                is_judged_by_value=name != "ours",
            )
        )
    if served_ms:
        _matches(session, count, matches, served_ms)


def _matches(session: Session, count: int, ours: list[Measured], theirs_ms: list[float]) -> None:
    session.add_latency("rivals.ours.match", "Match, one call under way, p50", ours, 0.5)
    ours_ms = [run.latency.quantile_ms(0.5) for run in ours]
    session.add(
        Figure(
            name=f"rivals.{SERVER}.match",
            title=f"One match by GoldenMatch's server, which holds {count:,} rows",
            unit="ms",
            is_better_higher=False,
            values=theirs_ms,
            ceiling="ours",
            ceiling_values=ours_ms,
            is_judged_by_value=True,
            note=f"POST /match, the median of {SERVER_CALLS} calls in each repeat; every row is compared; "
            "the library's ANN search, which takes embeddings, is not measured",
        )
    )
