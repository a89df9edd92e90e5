"""What the load generator tells of a server that stalls, refuses, or is faster than the client."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import grpc
import msgspec
import pytest

from benchmarks.load.arrivals import draws
from benchmarks.load.client import READY
from benchmarks.load.generator import Measured, Server, run_load
from benchmarks.load.spec import Call, ClientReport, LoadSpec, write_requests

STALL_S = 0.6


@contextmanager
def serving(stall_after_s: float = 1e9) -> Iterator[str]:
    script = Path(__file__).with_name("stalling_server.py")
    command = [sys.executable, str(script), str(stall_after_s), str(STALL_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def load(tmp_path: Path, address: str, method: str, *, processes: int = 1, **told: object) -> Measured:
    requests = tmp_path / "requests"
    write_requests(requests, [b"one", b"", b"three"])
    call = Call("call", f"/test.Server/{method}", str(requests))
    spec = LoadSpec(address="", calls=(call,), seed=1, warm_up_s=0.2, measure_s=1.5, **told)  # type: ignore[arg-type]
    return run_load(spec, Server(address), processes)


def test_an_open_loop_counts_a_stall_for_every_call_that_was_due_in_it(tmp_path: Path) -> None:
    with serving(stall_after_s=0.5) as address:
        found = load(tmp_path, address, "Stall", rate_per_s=100.0, arrivals="even")
    # 60 of 150 calls were due in the stall; the one due at its beginning waited for all of it, that at its end for
    # nothing, so three quarters of the 60 waited for a quarter of it and more: 30 % of all.
    assert found.latency.quantile_ms(0.85) >= 1000 * STALL_S * 0.25
    assert found.latency.quantile_ms(1.0) >= 1000 * STALL_S * 0.95
    assert found.statuses == {"OK": pytest.approx(150, abs=2)}


def test_calls_that_are_due_while_the_client_stands_still_at_the_end_are_sent_and_late(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    write_requests(requests, [b"one"])
    call = Call("call", "/test.Server/Echo", str(requests))
    with serving() as address:
        spec = LoadSpec(address, (call,), seed=1, warm_up_s=0.1, measure_s=1.0, rate_per_s=500.0, arrivals="even")
        command = [sys.executable, "-m", "benchmarks.load.client", msgspec.json.encode(spec).decode()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline().strip() == READY
            start_s = time.monotonic()
            client.stdin.write(f"{start_s!r}\n")
            client.stdin.flush()
            time.sleep(max(start_s + 0.8 - time.monotonic(), 0))
            client.send_signal(signal.SIGSTOP)
            time.sleep(0.6)
            client.send_signal(signal.SIGCONT)
            found = msgspec.json.decode(client.stdout.read(), type=ClientReport, strict=False)
    assert found.calls["call"].statuses == {"OK": pytest.approx(500, abs=2)}
    assert found.lateness.quantile_ms(1.0) > 200
    assert found.calls["call"].latency.quantile_ms(1.0) > 200


def test_a_closed_loop_over_several_connections_never_waits_for_the_clock(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    # More than a connection takes at once, so that the next call is begun when another connection has nothing to do.
    write_requests(requests, [bytes(50_000)])
    call = Call("call", "/test.Server/Echo", str(requests))
    spec = LoadSpec(address="", calls=(call,), seed=1, warm_up_s=0.2, measure_s=1.0, outstanding=1, channels=2)
    with serving() as address:
        found = run_load(spec, Server(address))
    assert found.latency.quantile_ms(0.9) < 15


def test_a_closed_loop_hides_the_stall_in_one_call(tmp_path: Path) -> None:
    # The control of the test above: the same server, measured in the way that misses it.
    with serving(stall_after_s=0.5) as address:
        found = load(tmp_path, address, "Stall", outstanding=1)
    assert found.latency.quantile_ms(1.0) >= 1000 * STALL_S * 0.95
    assert found.latency.quantile_ms(0.98) < 1000 * STALL_S * 0.25


def test_statuses_come_from_the_trailers_and_a_refusal_is_no_answer(tmp_path: Path) -> None:
    with serving() as address:
        found = load(tmp_path, address, "Refuse", rate_per_s=50.0)
    assert set(found.statuses) == {"RESOURCE_EXHAUSTED"}
    assert found.statuses["RESOURCE_EXHAUSTED"] > 30
    assert found.failed_count == found.statuses["RESOURCE_EXHAUSTED"]
    assert found.rate_per_s == 0
    assert found.latency.count == 0


def test_a_deadline_is_counted_as_such(tmp_path: Path) -> None:
    with serving(stall_after_s=0.0) as address:
        requests = tmp_path / "requests"
        write_requests(requests, [b"one"])
        call = Call("call", "/test.Server/Stall", str(requests), timeout_s=0.2)
        spec = LoadSpec(
            address="", calls=(call,), seed=1, warm_up_s=0.0, measure_s=0.3, rate_per_s=50.0, arrivals="even"
        )
        found = run_load(spec, Server(address))
    assert found.statuses.get("DEADLINE_EXCEEDED", 0) >= 5


def test_several_processes_share_the_rate_and_their_counts_add_up(tmp_path: Path) -> None:
    with serving() as address:
        found = load(tmp_path, address, "Echo", processes=2, rate_per_s=100.0, arrivals="even")
    assert sum(found.statuses.values()) == pytest.approx(150, abs=4)


def test_skewed_requests_are_drawn_as_zipf_says() -> None:
    bodies = [bytes((number,)) for number in range(100)]
    spec = LoadSpec(address="", calls=(Call("a", "m", "f", skew=1.0),), seed=7, warm_up_s=0, measure_s=1)
    drawn = Counter(draw.body for draw in islice(draws(spec, [bodies]), 20_000))
    weights = [1 / rank for rank in range(1, 101)]
    for (_, count), weight in zip(drawn.most_common(3), weights, strict=False):
        assert count / 20_000 == pytest.approx(weight / sum(weights), rel=0.1)


def test_a_mixed_load_keeps_its_shares(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    write_requests(requests, [b"one"])
    often = Call("often", "/test.Server/Echo", str(requests), share=0.9)
    seldom = Call("seldom", "/test.Server/Refuse", str(requests), share=0.1)
    spec = LoadSpec(address="", calls=(often, seldom), seed=1, warm_up_s=0.1, measure_s=1.5, rate_per_s=300.0)
    with serving() as address:
        found = run_load(spec, Server(address))
    assert found.calls["often"].statuses.keys() == {"OK"}
    assert found.calls["seldom"].statuses.keys() == {"RESOURCE_EXHAUSTED"}
    # Draws are seeded, so the share is the same in every run: 0.1 of some 450 calls.
    assert 25 <= found.calls["seldom"].statuses["RESOURCE_EXHAUSTED"] <= 70


def test_requests_that_are_sent_once_are_never_sent_again_and_their_end_is_told(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    write_requests(requests, [b"%d" % number for number in range(20)])
    call = Call("write", "/test.Server/Echo", str(requests), is_consumed=True)
    spec = LoadSpec(address="", calls=(call,), seed=1, warm_up_s=0.0, measure_s=1.0, rate_per_s=50.0, arrivals="even")
    with serving() as address:
        found = run_load(spec, Server(address))
        with pytest.raises(RuntimeError, match="sent once"):
            run_load(spec, Server(address), processes=2)
    assert found.statuses == {"OK": 20}
    assert found.unsent_count == 30
    assert "never sent" in found.client_bound


def test_a_client_that_cannot_connect_is_an_error(tmp_path: Path) -> None:
    with serving() as address:
        pass
    with pytest.raises(RuntimeError, match="did not start"):
        load(tmp_path, address, "Echo", outstanding=1)


def test_the_server_of_these_tests_answers(tmp_path: Path) -> None:
    with serving() as address, grpc.insecure_channel(address) as channel:
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Server/Echo")
        assert echo(b"x", timeout=20) == b"x"


def test_a_window_ends_when_what_goes_on_meanwhile_has_ended(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    write_requests(requests, [b"one"])
    call = Call("call", "/test.Server/Echo", str(requests))
    spec = LoadSpec(address="", calls=(call,), seed=1, warm_up_s=0.1, measure_s=100.0, rate_per_s=50.0, arrivals="even")
    with serving() as address:
        found = run_load(spec, Server(address), meanwhile=lambda: time.sleep(0.8))
    assert 0.7 < found.window_s < 5
    assert found.statuses == {"OK": pytest.approx(50 * found.window_s, abs=3)}


def test_a_window_ends_by_itself_while_something_goes_on(tmp_path: Path) -> None:
    with serving() as address:
        requests = tmp_path / "requests"
        write_requests(requests, [b"one"])
        call = Call("call", "/test.Server/Echo", str(requests))
        spec = LoadSpec(address="", calls=(call,), seed=1, warm_up_s=0.0, measure_s=0.2, rate_per_s=50.0)
        # By then the client has told what it measured and has ended.
        found = run_load(spec, Server(address), meanwhile=lambda: time.sleep(2.0))
    assert found.window_s == pytest.approx(0.2)
    assert found.statuses.keys() == {"OK"}
