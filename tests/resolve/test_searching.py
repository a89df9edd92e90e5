"""Batches search one at a time, for a stretch each, in the order of their coming."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.resolve.searching import Searches, _Rota
from tests.resolve.cities import city_records
from tests.resolve.test_previews import reading

WAIT_S = 20.0


def until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.001)


def test_a_rota_goes_round_in_the_order_of_coming() -> None:
    rota, order = _Rota(0.0), list[str]()

    def hold(name: str) -> None:
        with rota:
            for _ in range(2):
                order.append(name)
                rota.pass_on()

    threads = [threading.Thread(target=hold, args=(name,)) for name in "bc"]
    with rota:
        for count, thread in enumerate(threads, 1):
            thread.start()
            until(lambda count=count: len(rota._waiting) == count)  # type: ignore[misc]
        for _ in range(2):
            order.append("a")
            rota.pass_on()
    for thread in threads:
        thread.join(WAIT_S)
    assert "".join(order) == "abcabc"
    with rota:
        assert not rota._waiting


def test_a_holder_keeps_the_rota_for_its_stretch() -> None:
    rota = _Rota(3600.0)
    with rota:
        waiting = threading.Thread(target=rota.__enter__)
        waiting.start()
        until(lambda: len(rota._waiting) == 1)
        rota.pass_on()
        assert len(rota._waiting) == 1
    waiting.join(WAIT_S)
    assert not waiting.is_alive()


def test_batches_side_by_side_answer_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = city_records(100, 5)[:12]
    with reading(tmp_path / "data", records) as reader:
        searches = reader.searches
        expected = [each.match for each in searches.find(records)]
        monkeypatch.setattr(searches._batches, "_stretch_s", 0.0)
        answers: dict[int, list[object]] = {}

        def ask(number: int) -> None:
            answers[number] = [each.match for each in searches.find(records)]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert answers == dict.fromkeys(range(4), expected)


def test_a_batch_that_is_given_up_keeps_no_other_waiting(tmp_path: Path) -> None:
    records = city_records(100, 5)[:5]
    with reading(tmp_path / "data", records) as reader:
        searches = reader.searches
        given_up = searches.find(records)
        next(given_up)
        assert _is_taken(searches)
        # One record alone is no batch: a preview that fell back to a thread waits for no batch's stretch.
        assert len(list(searches.find(records[:1]))) == 1
        given_up.close()
        assert not _is_taken(searches)
        assert len(list(searches.find(records))) == len(records)


def _is_taken(searches: Searches) -> bool:
    return searches._batches._is_taken
