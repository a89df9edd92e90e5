"""The short form of every suite: whether it works and tells the truth, not how fast anything is.

Starting processes is most of what it costs, so the suites share one store and one service. `scaling`, which opens a
session of its own, and the whole runs of `main` start theirs on a copy, as every suite does outside of tests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from benchmarks.command import SUITES, figure_options, main
from benchmarks.data import prepared_city
from benchmarks.figures import Figure, Result, read_result
from benchmarks.report import page
from benchmarks.session import Deployment, Session
from benchmarks.suites import lookup, match
from benchmarks.tables import markdown, terminal
from benchmarks.targets import TARGETS

CITIZENS = 300
SHORT = ["--size", str(CITIZENS), "--repeats", "1", "--measure-seconds", "0.2", "--warm-up-seconds", "0.05"]

pytestmark = pytest.mark.timeout(400)


class Sharing(Session):
    """A session whose suites find one service, in which they see what others stored."""

    shared: Deployment | None = None

    @contextmanager
    def deployment(
        self, *, is_writing: bool = False, is_empty: bool = False, grace_s: float = 2.0
    ) -> Iterator[Deployment]:
        if is_empty:
            with super().deployment(is_writing=is_writing, is_empty=is_empty, grace_s=grace_s) as opened:
                yield opened
        else:
            assert self.shared is not None
            yield self.shared


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the city and its store are built once."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def session(cache: Path) -> Iterator[Session]:
    arguments = [*SUITES, *SHORT, "--cache", str(cache), "--soak-minutes", "0.02", "--sizes", str(CITIZENS)]
    with Sharing([*SUITES], figure_options().parse_args(arguments)) as opened:
        with Session.deployment(opened, is_writing=True) as opened.shared:
            yield opened
        assert not opened.shared.data.exists()
    assert not opened.scratch.exists()


@pytest.fixture(scope="module")
def measured() -> dict[str, Result]:
    """Results of the suites that ran so far."""
    return {}


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_measures_what_it_names(
    session: Session, suite: str, measured: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "CONCURRENCIES", (1, 16))
    monkeypatch.setattr(match, "SPLINK_CALLS", 1)
    session.result = msgspec.structs.replace(
        session.result, suites=[suite], figures=[], curves=[], latencies={}, notes=[]
    )
    SUITES[suite](session)
    result = measured[suite] = session.result
    names = [figure.name for figure in result.figures]
    assert len(names) == len(set(names)) > 0
    for figure in result.figures:
        assert figure.values, figure.name
        assert all(math.isfinite(value) for value in figure.values), figure.name
        assert len(figure.ceiling_values) in {0, len(figure.values)}, figure.name
        # A loaded machine may let calls fail: then a note must say so.
        failed = sum(count for status, count in figure.statuses.items() if status != "OK")
        is_told = any(f"{failed:,} calls were not answered" in note for note in result.notes)
        assert not failed or is_told or figure.name.startswith("overload."), (figure.name, figure.statuses)
        assert not figure.statuses or figure.statuses.get("OK", 0) > 0 or figure.unit == "checks", figure.name
    assert json.loads(json.dumps(result.plain()))["figures"][0]["spread"]["count"] == len(result.figures[0].values)
    for text in (terminal(result), page([result])):
        assert all(figure.title.partition("'")[0] in text for figure in result.figures)


def test_every_promise_is_measured_by_a_suite(measured: dict[str, Result]) -> None:
    if measured.keys() != SUITES.keys():
        pytest.skip("needs the results of all suites, which the tests above make")
    names = {figure.name for result in measured.values() for figure in result.figures}
    assert names >= TARGETS.keys()
    table = markdown([*measured.values()])
    assert table.count("\n|") > len(TARGETS) / 2


def test_a_run_is_saved_compared_and_shown(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, html = tmp_path / "new" / "run.json", tmp_path / "run.html"
    arguments = ["run", "footprint", *SHORT, "--cache", str(cache), "--save", str(saved), "--html", str(html)]
    assert main(arguments) == 0
    assert "Journal on disk" in capsys.readouterr().out
    assert "Journal on disk" in html.read_text(encoding="utf-8")
    assert read_result(saved).city["citizens"] == CITIZENS
    assert main(["compare", str(saved), str(saved)]) == 0
    assert "one repeat" in capsys.readouterr().out
    assert main(["report", str(saved), "--markdown"]) == 0


@pytest.mark.parametrize(
    ("suites", "text"),
    [
        (["lookup", "resolve"], "only read"),
        (["rebuild"], "only read"),
        (["footprint"], "only read"),
        (["lookup"], "does not answer"),
    ],
)
def test_a_running_service_is_only_read(
    cache: Path, capsys: pytest.CaptureFixture[str], suites: list[str], text: str
) -> None:
    city = str(prepared_city(cache, CITIZENS, 7, print).directory)
    arguments = [*suites, *SHORT, "--cache", str(cache), "--city", city, "--server", "127.0.0.1:1"]
    assert main(arguments) == 2
    assert text in capsys.readouterr().err


def test_a_service_that_holds_another_city_is_not_measured(
    session: Session, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(session, Sharing)
    assert session.shared is not None
    other = str(prepared_city(cache, 60, 8, print).directory)
    arguments = ["lookup", *SHORT, "--cache", str(cache), "--city", other, "--server", session.shared.address]
    assert main(arguments) == 2
    assert "of the city's patients" in capsys.readouterr().err


def test_what_was_measured_before_a_suite_failed_is_kept(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_session: Session) -> None:
        raise RuntimeError("the service did not start")

    monkeypatch.setitem(
        SUITES, "lookup", lambda opened: opened.add(Figure(name="a", title="A", unit="ms", values=[1.0]))
    )
    monkeypatch.setitem(SUITES, "match", fail)
    saved = tmp_path / "run.json"
    assert main(["lookup", "match", *SHORT, "--cache", str(cache), "--save", str(saved)]) == 2
    assert "did not start" in capsys.readouterr().err
    result = read_result(saved)
    assert [figure.name for figure in result.figures] == ["a"]
    assert "broken off in suite match" in result.notes
    assert main(["lookup", *SHORT, "--cache", str(cache), "--save", str(saved / "run.json")]) == 2
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lookup", "--server", "127.0.0.1:1"], "need --city"),
        (["lookup", "--city", "nowhere"], "lacks"),
        (["compare", "nowhere", "nowhere"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    more = ["--cache", str(tmp_path)] if arguments[0] == "lookup" else []
    assert main([*arguments, *more]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "nothing"],
        ["run", "lookup", "--repeats", "0"],
        ["run", "lookup", "-x"],
        ["lookup", "--measure-seconds", "0"],
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
