"""The short form of every suite: whether it works and tells the truth, not how fast anything is.

Starting processes is most of what it costs, so the suites share one store and one service. `scaling`, which opens a
session of its own, and the whole runs of `main` start theirs on a copy, as every suite does outside of tests.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest

from benchmarks.ceilings.started import told_by
from benchmarks.command import SUITES, figure_options, main
from benchmarks.data import copied, prepared_city
from benchmarks.figures import Figure, Result, read_result
from benchmarks.load.generator import Measured, Server
from benchmarks.load.spec import Call
from benchmarks.report import page
from benchmarks.session import Deployment, Session
from benchmarks.suites import lookup, match
from benchmarks.suites.footprint import projection
from benchmarks.suites.profiles import PROFILES, Mixed
from benchmarks.suites.relink import ceiling_of
from benchmarks.tables import markdown, terminal
from benchmarks.targets import TARGETS
from mdm.limits import ADAPTATION_RECORDS_MIN
from mdm.server.options import TlsFiles
from tests.certificates import Authority
from tests.serving import running_server

CITIZENS = 300
SHORT = ["--size", str(CITIZENS), "--repeats", "1", "--measure-seconds", "0.2", "--warm-up-seconds", "0.05"]

pytestmark = pytest.mark.timeout(400)


class Run(NamedTuple):
    """A load that a suite sent."""

    suite: str
    calls: tuple[str, ...]
    is_ours: bool
    """Whether it went to the service, not to a ceiling."""
    rate_per_s: float
    """0 of a closed loop."""
    found: Measured


class Sharing(Session):
    """A session whose suites find one service, in which they see what others stored; remembers what they sent."""

    shared: Deployment | None = None
    runs: ClassVar[list[Run]] = []

    def closed(self, server: Server, calls: Sequence[Call], outstanding: int, seed: int = 0) -> Measured:
        return self._remembered(server, calls, 0.0, super().closed(server, calls, outstanding, seed))

    def open(
        self, server: Server, calls: Sequence[Call], rate_per_s: float, seed: int = 0, *more: Any, **named: Any
    ) -> Measured:
        found = super().open(server, calls, rate_per_s, seed, *more, **named)
        return self._remembered(server, calls, rate_per_s, found)

    def _remembered(self, server: Server, calls: Sequence[Call], rate_per_s: float, found: Measured) -> Measured:
        is_ours = self.shared is not None and server.address == self.shared.address
        self.runs.append(Run(self.result.suites[0], tuple(call.name for call in calls), is_ours, rate_per_s, found))
        return found

    def sent(self, suite: str, call: str, *, is_ours: bool = True, is_open: bool = False) -> list[Measured]:
        """Return the loads of one kind of call that a suite sent, in order."""
        return [
            run.found
            for run in self.runs
            if (run.suite, run.calls, run.is_ours, run.rate_per_s > 0) == (suite, (call,), is_ours, is_open)
        ]

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
def session(cache: Path) -> Iterator[Sharing]:
    short = ["--soak-minutes", "0.02", "--sizes", str(CITIZENS), "--kills", "3"]
    arguments = [*SUITES, *SHORT, "--cache", str(cache), *short]
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
        titles = [figure.title.partition(", projected")[0] for figure in result.figures]
        assert all(title.partition("'")[0] in text for title in titles)


@pytest.fixture
def figures(measured: dict[str, Result]) -> dict[str, Figure]:
    """Figures of all suites by name."""
    if measured.keys() != SUITES.keys():
        pytest.skip("needs the results of all suites, which the tests above make")
    return {figure.name: figure for result in measured.values() for figure in result.figures}


def test_a_rate_is_beside_the_ceiling_that_it_names(session: Sharing, figures: dict[str, Figure]) -> None:
    for name, suite, call in (
        ("lookup.unary.rate", "lookup", "lookup"),
        ("lookup.identifier.rate", "lookup", "identifier"),
        ("match.unary.rate", "match", "match"),
        ("match.batch.rate", "match", "batch_match"),
        ("resolve.unary.rate", "resolve", "resolve"),
    ):
        figure, operations = figures[name], match.BATCH_SIZE if "batch" in name else 1
        (measured, *_), (ceiling, *_) = session.sent(suite, call), session.sent(suite, call, is_ours=False)
        assert figure.values == [measured.rate_per_s * operations], name
        assert figure.ceiling_values == [ceiling.rate_per_s * operations], name


@pytest.mark.parametrize(
    ("name", "ceiling"),
    [
        ("relink.snapshot", "a copy of the index"),
        ("relink.predict_and_cluster", "plain Splink's predict"),
        ("relink.commit", "durable appends of the same events"),
        ("backup.full", "a plain copy"),
        ("backup.incremental", "a plain copy"),
        ("backup.restore", "a plain copy"),
        ("footprint.journal", "a row of the feeds as CSV"),
        ("footprint.index", "a row of the feeds as CSV"),
        ("footprint.memory", "a row of the feeds as CSV"),
        ("recovery.writer", "loads the modules of a writer"),
        ("recovery.reader", "nothing killed"),
        ("recovery.reader_replaced", "loads the modules of a reader"),
    ],
)
def test_work_is_beside_what_the_platform_needs_for_it(figures: dict[str, Figure], name: str, ceiling: str) -> None:
    figure = figures[name]
    assert ceiling in figure.ceiling
    assert all(value > 0 for value in figure.ceiling_values)
    assert figure.ratio is not None
    assert figure.ratio.count == len(figure.values)


def test_what_a_commit_stands_beside_are_the_events_that_it_added(
    session: Sharing, figures: dict[str, Figure], tmp_path: Path
) -> None:
    told = re.fullmatch(r"([\d,]+) events in ([\d,]+) transactions", figures["relink.commit"].note)
    assert told is not None
    events, transactions = (int(each.replace(",", "")) for each in told.groups())
    # At least a header, each record that was pending, and a trailer; not what the desk wrote later.
    assert 50 < events < 5_000
    assert 0 < transactions <= events
    assert session.shared is not None
    journal = session.shared.data / "journal.sqlite"
    assert told_by("ceilings.durable_events", tmp_path, journal, 10, 30)["events"] == 20
    assert not [*tmp_path.iterdir()]


def test_a_model_that_is_not_learned_is_not_compared_with_training(figures: dict[str, Figure]) -> None:
    assert figures["relink.epoch_and_model"].ceiling_values == []
    assert ceiling_of("epoch_and_model", ADAPTATION_RECORDS_MIN - 1) == ""
    assert "Splink's training" in ceiling_of("epoch_and_model", ADAPTATION_RECORDS_MIN)
    assert ceiling_of("plan", ADAPTATION_RECORDS_MIN) == ""


def test_what_a_snapshot_stands_beside_is_a_copy_of_the_index(session: Session, tmp_path: Path) -> None:
    told = told_by("ceilings.lmdb_copy", session.store, tmp_path)
    (index,) = (session.store / "index").glob("gen-*/data.mdb")
    assert told["index_bytes"] == index.stat().st_size
    # Features of 300 citizens' 900 records, and their posting keys.
    assert 100_000 < told["bytes"] < told["index_bytes"]
    assert not [*tmp_path.iterdir()]


def test_cpu_is_of_the_side_that_works_and_of_one_record(session: Sharing, figures: dict[str, Figure]) -> None:
    figure = figures["match.batch.rate"]
    assert figure.cost is not None
    (run,) = session.sent("match", "batch_match")
    answered_per_s = run.rate_per_s * match.BATCH_SIZE
    # In so short a run a slow machine may answer no batch, and then has no cost of one.
    readers_us = run.usage.reader_cores / answered_per_s * 1e6 if run.usage.reader_cores and answered_per_s else 0
    assert figure.cost.us_per_operation.get("readers", 0) == pytest.approx(readers_us, abs=0.01)
    # Nothing is written meanwhile.
    assert (run.usage.reader_cores or 0) > (run.usage.writer_cores or 0)
    assert figures["match.batch.rate_per_core"].values == [
        pytest.approx(answered_per_s / (run.usage.reader_cores or math.nan))
    ]


def test_latencies_are_of_the_loads_that_they_name(session: Sharing, figures: dict[str, Figure]) -> None:
    (hot,), (alone, others) = (
        session.sent("match", "hot_match", is_open=True),
        session.sent("match", "match", is_open=True),
    )
    assert figures["match.hot.p99"].values == [hot.latency.quantile_ms(0.99)]
    assert figures["match.hot.p99"].ceiling_values == [others.latency.quantile_ms(0.99)]
    p50_ms = figures["match.unary.half_load_p50"].values[0]
    assert p50_ms == alone.latency.quantile_ms(0.5)
    for name in ("match.unary.speedup", "match.unary.speedup_to_predict"):
        told = re.search(r"Splink took ([\d.]+) ms", figures[name].note)
        assert told is not None
        assert figures[name].values == [pytest.approx(float(told[1]) / p50_ms, rel=0.02)]


def test_admissions_follow_from_what_was_measured(figures: dict[str, Figure]) -> None:
    desk = figures["desk.admission_desk.rate"]
    # One call in twenty ends an admission.
    assert figures["desk.admissions"].values == [pytest.approx(value * 3600 / 20) for value in desk.values]
    assert figures["desk.admissions"].ceiling_values == [pytest.approx(each * 180) for each in desk.ceiling_values]


def test_40_million_records_are_projected_of_a_city_large_enough(figures: dict[str, Figure]) -> None:
    assert projection(250_000_000, 312_500, 100_000).endswith("40,000,000 would take 30 GiB if each takes as much")
    for name in ("journal", "index", "memory"):
        assert "300 citizens are too few to say" in figures[f"footprint.{name}"].note


@pytest.mark.parametrize(("profile", "shares"), PROFILES.items())
def test_a_profile_sends_its_calls_in_its_shares(session: Session, profile: str, shares: dict[str, float]) -> None:
    calls = Mixed(session, profile).calls(100.0, 0.1)
    assert {kind: call.share for kind, call in zip(shares, calls, strict=True)} == shares
    assert [call.skew > 0 for call in calls] == [kind.startswith("skewed") for kind in shares]


def test_every_promise_is_measured_by_a_suite(measured: dict[str, Result], figures: dict[str, Figure]) -> None:
    assert figures.keys() >= TARGETS.keys()
    table = markdown([*measured.values()])
    assert "| 300 citizens | 14,000,000 citizens, projected |" in table
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
    capsys.readouterr()
    assert main(["report", str(saved), str(saved)]) == 0
    told = capsys.readouterr().out
    assert "Journal on disk, a record, run 1" in told
    assert "Journal on disk, a record, run 2" in told


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


def test_a_running_service_that_speaks_tls_is_measured(
    session: Session, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    own, caller = authority.issue("service"), authority.issue("caller")
    copied(session.store, tmp_path / "data")
    files = TlsFiles(certificate=own.certificate, key=own.key, client_ca=authority.certificate)
    saved = tmp_path / "run.json"
    with running_server(tmp_path / "data", tls=files) as running:
        arguments = ["lookup", "overload", *SHORT, "--cache", str(cache), "--save", str(saved)]
        arguments += ["--city", str(session.city.directory), "--server", running.address]
        assert main([*arguments, "--tls-ca", str(authority.certificate)]) == 2
        assert "does not answer" in capsys.readouterr().err, "the service asks for a certificate"
        shown = ["--tls-certificate", str(caller.certificate), "--tls-key", str(caller.key)]
        named = ["--tls-ca", str(authority.certificate), "--tls-server-name", "mdm.example"]
        assert main([*arguments, *named, *shown]) == 0, capsys.readouterr().err
    figures = {figure.name: figure for figure in read_result(saved).figures}
    assert figures["lookup.unary.rate"].statuses == {"OK": figures["lookup.unary.rate"].statuses["OK"]}
    assert figures["lookup.coalesced.tasks.rate"].values[0] > 0


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
    saved.write_text("an earlier run", encoding="utf-8")
    assert main(["lookup", "match", *SHORT, "--cache", str(cache), "--save", str(saved)]) == 2
    assert "did not start" in capsys.readouterr().err
    result = read_result(tmp_path / "run.json.partial")
    assert [figure.name for figure in result.figures] == ["a"]
    assert "broken off in suite match" in result.notes
    assert saved.read_text(encoding="utf-8") == "an earlier run", "what is whole is not written over"
    assert main(["lookup", *SHORT, "--cache", str(cache), "--save", str(saved / "run.json")]) == 2
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lookup", "--server", "127.0.0.1:1"], "need --city"),
        (["lookup", "--server", "127.0.0.1:1", "--tls-key", "k"], "--tls-ca is needed"),
        (["lookup", "--server", "127.0.0.1:1", "--tls-ca", __file__, "--tls-key", "k"], "go together"),
        (["lookup", "--server", "127.0.0.1:1", "--tls-ca", "nowhere"], "nowhere is no file"),
        (["lookup", "--city", "nowhere"], "lacks"),
        (["lookup", "--save", "one", "--html", "one"], "name the same file"),
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
