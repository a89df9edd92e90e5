"""What goes to a worker process comes back as it was, and whatever ends it is told without a value of a record."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from mdm.errors import StoreError
from mdm.processes import command
from mdm.resolve.workers import Worker, answer_all

VALUE = "079084000001"


def _answered(asked: object) -> object:
    if asked == VALUE:
        raise ValueError(VALUE)
    if asked == "wait":
        time.sleep(60)
    # Whatever a library may print.
    print("loud")  # noqa: T201
    os.write(1, b"louder")
    return {"asked": asked}


_last: list[weakref.ref[object]] = []


def _is_let_go() -> bool:
    return all(last() is None for last in _last)


class _Probe:
    """Arrives as whether what was asked before is gone."""

    def __reduce__(self) -> tuple[Callable[[], bool], tuple[()]]:
        return _is_let_go, ()


def _noted(asked: object, found: object) -> object:
    _last[:] = [weakref.ref(asked)]
    return found


def main(parent: str) -> None:
    """Be the worker process of these tests."""
    answer_all(parent)


def test_arrays_and_objects_come_back_as_they_were() -> None:
    large = np.arange(3_000_000)
    with Worker(__name__) as worker:
        for asked in ([large, large[::2], np.empty(0), "text", None], [], (1.5, {"a": b"bytes"})):
            worker.ask(_answered, asked)
            np.testing.assert_equal(worker.answer(), {"asked": asked})
        worker.ask(_answered, [np.zeros(3)])
        (found,) = worker.answer()["asked"]
        found += 1  # What came is the receiver's own.
    assert found.tolist() == [1.0, 1.0, 1.0]


def test_what_was_asked_is_let_go_before_more_is_read() -> None:
    with Worker(__name__) as worker:
        for _ in range(3):
            worker.ask(_noted, np.zeros(10), _Probe())
            assert worker.answer()


def test_what_fails_in_it_is_named_and_no_value_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with Worker(__name__) as worker:
        worker.ask(_answered, VALUE)
        with pytest.raises(StoreError, match="ended early"):
            worker.answer()
    printed = capfd.readouterr()
    assert VALUE not in printed.out + printed.err
    assert "ValueError at test_workers.py:" in printed.err


@pytest.mark.parametrize(
    "use", [Worker.answer, lambda worker: worker.ask(_answered, np.arange(10**6))], ids=["answer", "ask"]
)
def test_one_that_was_killed_is_an_error(use: Callable[[Worker], object]) -> None:
    with Worker(__name__) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(StoreError, match="ended early"):
            use(worker)


def test_one_that_does_not_listen_is_ended_with_words_unsent() -> None:
    with Worker(__name__) as worker:
        worker.ask(_answered, "wait")
        pipe = worker._process.stdin
        assert isinstance(pipe, io.BufferedWriter)
        os.set_blocking(pipe.fileno(), False)
        while pipe.raw.write(bytes(65_536)):
            pass
        pipe.write(b"unsent")
        os.set_blocking(pipe.fileno(), True)
    assert worker._process.returncode == -signal.SIGKILL


def test_one_without_its_parent_ends() -> None:
    orphan = subprocess.run(command(__name__, "1"), input=b"", capture_output=True, check=False, timeout=30)
    assert orphan.returncode == 1
