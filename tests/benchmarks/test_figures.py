"""What follows from measured values: spread, ratio, whether a promise is kept, and what a saved result says."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import msgspec
import pytest

from benchmarks import report
from benchmarks.comparison import changes, differing_settings, text
from benchmarks.figures import SCHEMA_VERSION, Curve, Figure, Result, Spread, Target, cost_of_work, number, read_result
from benchmarks.load.generator import Server, Watch
from benchmarks.load.histogram import Histogram
from benchmarks.tables import by_size, markdown, row, terminal


def figure(values: list[float], **more: object) -> Figure:
    return Figure(name="a", title="A", unit="calls/s", values=values, **more)  # type: ignore[arg-type]


def result(*figures: Figure, **more: object) -> Result:
    environment = {"processor": "p", "cores": 2, "memory_gib": 4, "disk": {"free_gib": 1, "file_system": "ext4"}}
    city = {"citizens": 10, "rows": 30, "seed": 7}
    settings = {"repeats": 3, "readers": 1, "clients": 1}
    told = {"suites": ["lookup"], "environment": environment, "city": city, "settings": settings, **more}
    return Result(figures=list(figures), **told)  # type: ignore[arg-type]


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    # Both halve together when the machine is disturbed: the ratio does not see it.
    found = figure([100.0, 50.0, 90.0], ceiling="c", ceiling_values=[200.0, 100.0, 180.0])
    assert found.ratio is not None
    assert (found.ratio.low, found.ratio.median, found.ratio.high) == (0.5, 0.5, 0.5)
    assert (found.spread.low, found.spread.median, found.spread.high) == (50.0, 90.0, 100.0)


@pytest.mark.parametrize(
    ("target", "is_kept"),
    [
        (None, None),
        (Target(90.0, is_minimum=True), True),
        (Target(91.0, is_minimum=True), False),
        (Target(90.0, is_minimum=False), True),
        (Target(89.0, is_minimum=False), False),
        (Target(0.5, is_minimum=True, on="ratio"), True),
        (Target(0.6, is_minimum=True, on="ratio"), False),
    ],
)
def test_a_promise_is_kept_by_the_median(target: Target | None, *, is_kept: bool | None) -> None:
    found = figure([80.0, 90.0, 200.0], ceiling="c", ceiling_values=[160.0, 180.0, 100.0], target=target)
    assert found.is_kept is is_kept


def test_a_promise_on_a_ratio_is_not_kept_without_a_ceiling() -> None:
    assert figure([1.0], target=Target(0.5, is_minimum=True, on="ratio")).is_kept is False


def test_what_an_earlier_run_has_and_a_later_one_lacks_is_gone() -> None:
    before = result(figure([100.0, 101.0]), msgspec.structs.replace(figure([5.0, 6.0]), name="lookup.b", title="B"))
    nothing = figure([math.nan, math.nan])
    assert [each.verdict for each in changes(before, result(nothing))] == ["gone", "gone"]
    # Of a suite that was not run nothing can be said.
    assert changes(before, result(suites=["match"])) == []
    assert "gone" in text(changes(before, result(nothing)))


@pytest.mark.parametrize(
    ("before", "after", "is_better_higher", "verdict"),
    [
        ([100, 102, 98], [100, 101, 99], True, "within noise"),
        ([100, 102, 98], [120, 121, 119], True, "better"),
        ([100, 102, 98], [80, 81, 79], True, "worse"),
        ([100, 102, 98], [120, 121, 119], False, "worse"),
        # The medians differ by much, but the runs scatter as far.
        ([100, 140, 98], [120, 121, 95], True, "within noise"),
        # Nobody knows how far a single value scatters.
        ([100], [200], True, "one repeat"),
        ([100, 101], [200], True, "one repeat"),
        # Outside both spreads, yet by less than two runs of one machine differ.
        ([100, 100, 100], [101, 101, 101], True, "within noise"),
    ],
)
def test_a_change_counts_only_outside_both_spreads(
    before: list[float], after: list[float], verdict: str, *, is_better_higher: bool
) -> None:
    old = result(figure(before, is_better_higher=is_better_higher))
    new = result(figure(after, is_better_higher=is_better_higher))
    (change,) = changes(old, new)
    assert change.verdict == verdict
    assert change.title in text([change])


def test_ceilings_are_compared_away() -> None:
    # Half as fast on a machine half as fast is no change.
    old = result(figure([100.0, 101.0], ceiling="c", ceiling_values=[200.0, 202.0]))
    new = result(figure([50.0, 50.5], ceiling="c", ceiling_values=[100.0, 101.0]))
    (change,) = changes(old, new)
    assert (change.verdict, change.is_ratio) == ("within noise", True)


@pytest.mark.parametrize(
    ("after", "ceiling", "verdict"),
    [(5.7, 1.0, "within noise"), (9.0, 1.0, "worse"), (5.7, 100.0, "better"), (9.0, 100.0, "within noise")],
)
def test_a_ratio_is_worse_only_where_the_value_is(after: float, ceiling: float, verdict: str) -> None:
    # A ceiling's own p99 scatters: a quarter of an hour later it was a sixteenth.
    named = {"is_better_higher": False, "ceiling": "c"}
    before = figure([5.77] * 5, ceiling_values=[20.0] * 5, **named)
    found = figure([after] * 5, ceiling_values=[ceiling] * 5, **named)
    (change,) = changes(result(before), result(found))
    assert change.verdict == verdict


def test_a_figure_gets_no_worse_by_another_of_ours_getting_better() -> None:
    # Answers through the SDK as before, single lookups twice as fast.
    old = result(figure([100.0, 101.0], ceiling="ours", ceiling_values=[10.0, 10.1], is_judged_by_value=True))
    new = result(figure([100.0, 101.0], ceiling="ours", ceiling_values=[20.0, 20.2], is_judged_by_value=True))
    (change,) = changes(old, new)
    assert (change.verdict, change.is_ratio) == ("within noise", False)


def test_figures_of_one_run_alone_are_not_compared() -> None:
    found = changes(result(), result(figure([1.0])))
    assert found == []
    assert "no figure in common" in text(found)


def test_another_machine_or_city_makes_no_fair_comparison_but_a_fuller_disk_does() -> None:
    same = result()
    fuller = result(environment=same.environment | {"disk": {"free_gib": 0, "file_system": "ext4"}})
    assert differing_settings(same, fuller) == []
    larger = result(city=same.city | {"citizens": 20})
    assert differing_settings(same, larger) == ["citizens: 10 before, 20 after"]


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    saved = result(figure([1.0, 2.0], target=Target(1.0, is_minimum=True)))
    saved.latencies["A"] = Histogram.of([0.001, 0.002])
    file = tmp_path / "run.json"
    file.write_bytes(msgspec.json.encode(saved.plain()))
    assert read_result(file) == saved


def test_a_repeat_in_which_nothing_was_answered_survives_and_counts_for_nothing(tmp_path: Path) -> None:
    told = result(figure([math.nan, 2.0, 4.0], ceiling="c", ceiling_values=[1.0, math.nan, 8.0]))
    file = tmp_path / "run.json"
    file.write_bytes(msgspec.json.encode(told.plain()))
    (found,) = read_result(file).figures
    assert found.spread == Spread(3.0, 2.0, 4.0, 2)
    assert found.ratio == Spread(0.5, 0.5, 0.5, 1)
    assert figure([math.nan], target=Target(9.0, is_minimum=False)).is_kept is False


def test_a_ceiling_over_two_repeats_is_shown_by_its_median() -> None:
    assert row(figure([1.0, 1.0], ceiling="c", ceiling_values=[100.0, 300.0]))[4] == "200"


def test_work_costs_what_was_used_while_it_was_watched_by_what_was_done() -> None:
    pid = os.getpid()
    watch = Watch(Server("", list, lambda: [pid]))
    used_s = time.process_time()
    while time.process_time() - used_s < 0.2:
        pass
    # Time in which nobody works makes the work no cheaper.
    time.sleep(0.3)
    watch.end()
    cost = cost_of_work(watch, 0.1, 1000)
    assert cost.us_per_operation["writer"] == pytest.approx(200, abs=30)
    assert cost.us_per_operation["client"] == pytest.approx(100, abs=0.2)


def test_a_running_service_is_named_as_where_it_was_measured() -> None:
    settings = {"repeats": 3, "readers": 1, "clients": 1}
    assert "on the same machine" in markdown([result()])
    elsewhere = markdown([result(settings=settings | {"server": "mdm:50051"})])
    assert "read mdm:50051" in elsewhere
    assert "same machine" not in elsewhere


def test_a_result_of_another_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(msgspec.json.encode(result(schema=SCHEMA_VERSION + 1).plain()))
    with pytest.raises(ValueError, match="schema"):
        read_result(file)
    file.write_text("{}")
    with pytest.raises(ValueError, match="no result"):
        read_result(file)


def test_a_table_says_measured_possible_and_promised() -> None:
    found = figure([90.0], ceiling="c", ceiling_values=[180.0], target=Target(0.6, is_minimum=True, on="ratio"))
    assert row(found)[:8] == ("A", "90", "90–90", "calls/s", "180", "0.5", "≥ 0.6 × ceiling", "MISSED")
    assert "| A | 90 calls/s (90–90) | c: 180 | 0.5 | ≥ 0.6 × ceiling | MISSED |" in markdown([result(found)])


def test_a_projection_stands_beside_what_was_measured_by_size() -> None:
    followed = msgspec.structs.replace(figure([60.0], is_projected=True), title="Match, projected to 800 citizens")
    points = [(100.0, 40.0), (200.0, 50.0)]
    curve = Curve(title="Match", x_title="citizens", y_title="µs", points=points, projected=(800.0, 60.0))
    plain = msgspec.structs.replace(curve, title="Throughput", projected=None)
    told = result(figure([7.0]), followed, curves=[curve, plain])
    told.environment["measured_at"] = "today"
    assert by_size(told) == [
        ("by size", "100 citizens", "200 citizens", "800 citizens, projected"),
        ("Match, µs", "40", "50", "60"),
    ]
    assert "| Match, µs | 40 | 50 | 60 |\n" in markdown([told])
    for shown in (markdown([told]), terminal(told), report.page([told])):
        assert shown.count("800 citizens, projected") == 1
        assert "projected to 800" not in shown, "among the figures are those that were measured"
    assert by_size(result(curves=[plain])) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.0, "1"), (12.345, "12.3"), (123.4, "123"), (1234567, "1,234,567")],
)
def test_numbers_show_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
