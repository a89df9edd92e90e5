"""The page of a result: what it shows first, and that it needs nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from benchmarks.figures import Curve, Figure, Result, Target
from benchmarks.load.histogram import Histogram
from benchmarks.report import page

ENVIRONMENT = {
    "measured_at": "2026-11-26T05:00:00+00:00",
    "processor": "p",
    "cores": 2,
    "memory_gib": 4,
    "disk": {"file_system": "ext4"},
    "commit": "0123456789abcdef",
    "is_clean": True,
    "kernel": "6",
    "python": "3.11",
    "libraries": {"lmdb": "3"},
}


def result(*figures: Figure) -> Result:
    return Result(
        suites=["desk"],
        environment=ENVIRONMENT,
        city={"citizens": 10, "rows": 30, "seed": 7},
        settings={"repeats": 3, "readers": 1, "clients": 1},
        figures=list(figures),
    )


class _Balance(HTMLParser):
    """Counts elements that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag not in {"meta", "br", "line", "rect", "circle", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "rect", "circle", "polyline"}:
            assert self.open.pop() == tag


def admissions(measured: float) -> Figure:
    return Figure(
        name="desk.admissions",
        title="Admissions",
        unit="an hour",
        values=[measured],
        ceiling="empty handlers",
        ceiling_values=[400_000.0],
        target=Target(50_000, is_minimum=True),
    )


def test_the_first_tiles_are_admissions_promised_measured_possible_and_left_over() -> None:
    shown = page([result(admissions(100_000.0))])
    tiles = re.findall(r'<div class="tile ?(\w*)"><b>([^<]*)</b>', shown)
    assert tiles == [("", "50,000"), ("good", "100,000"), ("", "400,000"), ("", "50,000")]
    missed = re.findall(r'<div class="tile ?(\w*)"><b>([^<]*)</b>', page([result(admissions(20_000.0))]))
    assert missed[1] == ("bad", "20,000")


def test_every_promise_says_whether_it_is_kept() -> None:
    kept = Figure(name="a", title="Kept", unit="ms", values=[1.0], target=Target(2, is_minimum=False))
    missed = Figure(name="b", title="Missed", unit="ms", values=[3.0], target=Target(2, is_minimum=False))
    shown = page([result(kept, missed)])
    assert "1 of 2 promises are kept" in shown
    assert shown.count(">kept</b>") == shown.count(">MISSED</b>") == 1


def test_the_page_stands_alone_and_is_whole() -> None:
    told = result(admissions(1.0), Figure(name="x", title="<script>", unit="ms", values=[1.0], note="a & b"))
    told.latencies["A & B"] = Histogram.of([0.001, 0.002, 0.5])
    told.curves.append(Curve(title="C", x_title="x", y_title="y", points=[(1, 5), (16, 9)], is_logarithmic=True))
    told.notes.append("note < this")
    shown = page([told])
    balance = _Balance()
    balance.feed(shown)
    assert balance.open == []
    assert "<script" not in shown
    assert not re.search(r'(src|href)="', shown)
    assert "note &lt; this" in shown
    assert shown.count("<svg viewBox") >= 2


def test_no_two_lines_of_a_chart_look_alike() -> None:
    told = result()
    told.latencies = {f"load {number}": Histogram.of([0.001, 0.002]) for number in range(8)}
    charts = [each for each in page([told]).split("<figure>")[1:] if "intended start" in each]
    lines = [re.findall(r'<polyline class="line (\w+)"', chart) for chart in charts]
    assert [len(each) for each in lines] == [6, 2]
    assert all(len(set(each)) == len(each) for each in lines)
