"""What a session tells of measurements that a reader must not take as they stand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.ceilings.started import bare_server
from benchmarks.command import figure_options
from benchmarks.load.generator import Measured
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import Call, CallCounts, write_requests
from benchmarks.processes import Usage
from benchmarks.session import Session

METHOD = "/test.Server/Empty"
SHORT = ["--measure-seconds", "0.3", "--warm-up-seconds", "0"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the city is written once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def session(cache: Path) -> Session:
    return Session(["x"], figure_options().parse_args(["lookup", "--size", "50", "--cache", str(cache)]))


def measured(
    *, refused: int = 0, client_cores: float = 0.2, reader_cores: float = 0.3, foreign_cores: float = 0.0
) -> Measured:
    statuses = {"OK": 90, **({"UNAVAILABLE": refused} if refused else {})}
    counts = CallCounts(Histogram.of([0.001] * 90), statuses, 90)
    usage = Usage(client_cores, reader_cores, 0.0, foreign_cores)
    return Measured({"a": counts}, Histogram.of([0.0]), usage, 1.0, 0, client_cores)


def test_a_ceiling_that_failed_or_that_its_client_held_back_is_told(session: Session) -> None:
    with session:
        session.add_rate("a", "A", [measured()], ceiling="Bare", ceiling_runs=[measured(refused=3)])
        session.add_rate("b", "B", [measured()], ceiling="Ready", ceiling_runs=[measured(client_cores=0.99)])
    small, bare, ready = session.result.notes
    assert "450,000 citizens, not 50" in small
    assert bare.startswith("Bare: 3 calls")
    assert ready == "Ready: not the service but the client: a client process used 0.99 cores"


def test_a_client_that_was_full_beside_a_full_service_is_told(session: Session) -> None:
    with session:
        session.add_rate("a", "A", [measured(client_cores=0.99, reader_cores=0.9)])
    assert session.result.notes[-1].startswith("A: not only the service but also the client: ")
    assert session.result.figures[-1].bound_by == "readers"


def test_what_is_measured_beside_other_work_is_not_said_to_be_disturbed(session: Session) -> None:
    with session:
        session.add_distribution("busy", [measured(foreign_cores=1.5)], is_alone=False)
    assert len(session.result.notes) == 1


def test_a_machine_that_others_used_is_told(session: Session) -> None:
    with session:
        session.add_distribution("quiet", [measured(foreign_cores=1.5)])
    assert "1.5 cores in 1 of 1" in session.result.notes[1]


def test_what_is_to_be_sent_once_is_sent_by_one_client_in_a_closed_loop_too(cache: Path, tmp_path: Path) -> None:
    given = ["desk", "--size", "50", "--cache", str(cache), "--clients", "2", *SHORT]
    with Session(["x"], figure_options().parse_args(given)) as session, bare_server({METHOD: b""}, 1) as server:
        write_requests(tmp_path / "requests", [b"%d" % number for number in range(5)])
        call = Call("call", METHOD, str(tmp_path / "requests"), is_consumed=True)
        found = session.closed(server, [call], 2)
        assert session.processes([msgspec.structs.replace(call, is_consumed=False)], 3) == 2
    assert sum(found.statuses.values()) == 5


def test_cpu_of_one_operation_leaves_out_a_run_without_answers(session: Session) -> None:
    none = Measured({"a": CallCounts(Histogram(), {}, 0)}, Histogram(), Usage(0.1, 0.1, 0.1, 0.0), 1.0, 0, 0.1)
    with session:
        figure = session.add_rate("a", "A", [none, measured()])
    assert figure.cost is not None
    assert figure.cost.us_per_operation["readers"] == pytest.approx(0.3 / 90 * 1e6, abs=0.1)
