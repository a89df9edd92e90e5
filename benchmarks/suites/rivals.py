"""Other linkers that are installed, linking the same citizens in the same run as a re-linkage does.

Plain Splink always; recordlinkage and GoldenMatch come with the extra `peers`.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.figures import Figure
from benchmarks.quality.peers.runs import PEERS
from benchmarks.session import Session
from benchmarks.suites.others import linked_by, write_plain_rows
from benchmarks.suites.relink import relink
from benchmarks.suites.scaling import options_for

CITIZENS_MAX = 20_000
"""recordlinkage holds every candidate pair in pandas: larger cities take it hours or all memory."""
STAGE = "predict_and_cluster"


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
    with session.deployment(is_writing=True) as service:
        for _ in session.repeats(f"linking {count:,} records by each"):
            rates["ours"].append(count / relink(service).part_s(STAGE))
            for peer in installed:
                rates[peer].append(count / linked_by(session, peer, rows)[STAGE])
    for name, values in rates.items():
        session.add(
            Figure(
                name=f"rivals.{name}",
                title=f"Predict and cluster {count:,} citizens' records: {name.replace('_', ' ')}",
                unit="records/s",
                values=values,
            )
        )
