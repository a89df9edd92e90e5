"""Batches search one at a time, for a stretch each, in the order of their coming."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from mdm.domain.records import SourceRecord
from mdm.resolve import previews, searching
from mdm.resolve.searching import Searches, _Rota
from mdm.resolve.views import Preview
from tests.resolve.cities import city_records
from tests.resolve.test_previews import reading

WAIT_S = 20.0


def until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.001)


def begun(work: Callable[[], object]) -> threading.Thread:
    """Start a thread that a broken rota cannot keep the tests waiting by."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(threads: Iterable[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(WAIT_S)
    return not any(thread.is_alive() for thread in threads)


def queued(rota: _Rota, works: Iterable[Callable[[], object]]) -> list[threading.Thread]:
    """Start threads that stand in the queue one behind the other."""
    threads = []
    for work in works:
        count = len(rota._gates) + 1
        threads.append(begun(work))
        until(lambda count=count: len(rota._gates) == count)  # type: ignore[misc]
    return threads


def test_a_rota_goes_round_in_the_order_of_coming() -> None:
    rota, order = _Rota(0.0), list[str]()

    def hold(name: str) -> None:
        with rota:
            for _ in range(2):
                order.append(name)
                rota.pass_on()

    def first() -> None:
        with rota:
            threads.extend(queued(rota, [lambda: hold("b"), lambda: hold("c")]))
            for _ in range(2):
                order.append("a")
                rota.pass_on()

    threads: list[threading.Thread] = []
    assert ended([begun(first)])
    assert ended(threads)
    assert "".join(order) == "abcabc"
    assert not rota._gates


def test_each_holder_has_a_stretch_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    rota, order = _Rota(2.0), list[str]()

    def hold(name: str, count: int) -> None:
        nonlocal now_s
        with rota:
            for _ in range(count):
                rota.pass_on()
                order.append(name)
                now_s += 1.0

    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    rota.__enter__()
    threads = queued(rota, [lambda: hold("b", 4), lambda: hold("c", 1), lambda: hold("d", 3)])
    # Their stretches begin when they get it, however long they waited.
    now_s = 10.0
    rota.__exit__()
    assert ended(threads)
    assert "".join(order) == "bbcddbbd"
    assert not rota._gates


def test_a_holder_keeps_the_rota_for_its_stretch() -> None:
    rota = _Rota(3600.0)
    with rota:
        threads = queued(rota, [rota.__enter__])
        rota.pass_on()
        assert threads[0].is_alive()
    assert ended(threads)


def test_only_one_holds_it_whoever_leaves_while_another_waits() -> None:
    rota, over = _Rota(3600.0), threading.Event()

    def hold() -> None:
        with rota:
            assert over.wait(WAIT_S)

    with rota:
        threads = queued(rota, [hold])
    threads += queued(rota, [rota.__enter__])
    assert threads[1].is_alive()
    over.set()
    assert ended(threads)


def test_two_batches_go_round_record_by_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = city_records(100, 5)[:3]
    with reading(tmp_path / "data", records) as reader:
        searches, order = reader.searches, list[str]()
        monkeypatch.setattr(searches._batches, "_stretch_s", 0.0)

        def ask(name: str) -> None:
            for _ in searches.find(records):
                order.append(name)

        first = searches.find(records)
        next(first)
        order.append("a")
        threads = queued(searches._batches, [lambda: ask("b")])
        order.extend("a" for _ in first)
        assert ended(threads)
        assert "".join(order) == "ababab"


def test_no_preview_is_worked_out_beside_a_record_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = city_records(100, 5)[:3]
    with reading(tmp_path / "data", records) as reader:
        searches, taken = reader.searches, list[bool]()

        def preview_write(*given: object) -> Preview:
            taken.append(searches._turn.locked())
            return previews.preview_write(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(searching, "preview_write", preview_write)
        assert len(list(searches.find(records))) == len(records)
        assert taken == [True] * len(records)


def test_batches_side_by_side_answer_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = city_records(100, 5)[:12]
    with reading(tmp_path / "data", records) as reader:
        searches = reader.searches
        expected = [each.match for each in searches.find(records)]
        monkeypatch.setattr(searches._batches, "_stretch_s", 0.0)
        answers: dict[int, list[object]] = {}

        def ask(number: int) -> None:
            answers[number] = [each.match for each in searches.find(records)]

        assert ended([begun(lambda number=number: ask(number)) for number in range(4)])  # type: ignore[misc]
        assert answers == dict.fromkeys(range(4), expected)


def test_a_batch_that_is_given_up_keeps_no_other_waiting(tmp_path: Path) -> None:
    records = city_records(100, 5)[:5]
    with reading(tmp_path / "data", records) as reader:
        searches = reader.searches
        given_up = searches.find(records)
        next(given_up)
        assert searches._batches._gates
        # One record alone is no batch: a preview that fell back to a thread waits for no batch's stretch.
        assert found(searches, records[:1]) == 1
        given_up.close()
        assert not searches._batches._gates
        assert found(searches, records) == len(records)


def found(searches: Searches, records: Sequence[SourceRecord]) -> int:
    """Return how many answers there are, by a thread that may wait for ever."""
    answers: list[Preview] = []
    assert ended([begun(lambda: answers.extend(searches.find(records)))])
    return len(answers)
