"""The page: whole, well formed, and of no outside."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser

import pytest

from benchmarks.charts import percent, ticks_between
from benchmarks.quality.report import page, summary
from tests.benchmarks.quality.conftest import Run

VOID = {"meta", "br", "img", "input", "hr", "link"}


class Outline(HTMLParser):
    """Checks that every element is closed in its turn, and gathers tags, texts and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.outward: list[str] = []
        self.ids: set[str] = set()
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "data", "action", "xlink:href"}:
                (self.targets.add if (value or "").startswith("#") else self.outward.append)(value or "")
            if name == "id":
                self.ids.add(f"#{value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def outline(html: str) -> Outline:
    found = Outline()
    found.feed(html)
    found.close()
    return found


@pytest.fixture(scope="module")
def html(small_run: Run) -> str:
    return (small_run.out / "quality.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed(html: str) -> None:
    found = outline(html)
    assert found.open == []
    assert html.startswith("<!doctype html>")
    assert found.tags.count("figure") == 2 * 4
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html).lower().split()


def test_the_page_needs_nothing_from_outside_and_runs_nothing(html: str) -> None:
    found = outline(html)
    assert found.outward == []
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert "url(" not in html
    assert "@import" not in html
    assert found.targets == {"#city-400-3-hard---citizen", "#city-400-3-hard---business"}
    assert found.targets <= found.ids


def test_the_page_shows_what_the_result_holds(small_run: Run, html: str) -> None:
    figures = small_run.result["sets"]["city:400:3:hard"]["citizen"]["batch"]
    for value in (
        percent(figures["pairs"]["recall"]["value"]),
        "adult, number on both sides",
        "hospital – social security",
        "name and year",
        "middle dropped",
        "Errors that remain",
    ):
        assert value in html


def test_the_summary_has_a_line_for_each_way(small_run: Run) -> None:
    lines = summary(small_run.result).splitlines()
    assert len(lines) == 1 + 2 * 3
    figures = small_run.result["sets"]["city:400:3:hard"]["citizen"]["batch"]
    assert lines[1].startswith("city:400:3:hard citizen batch ")
    assert percent(figures["pairs"]["f1"]["value"]) in lines[1]
    assert lines[1].endswith(f" {figures['review']['per_1000_records']['value']:.1f}")


def test_what_stands_in_records_is_text_and_never_markup(small_run: Run) -> None:
    result = copy.deepcopy(small_run.result)
    examples = result["sets"]["city:400:3:hard"]["citizen"]["batch"]["examples"]
    next(iter(examples.values()))[0]["records"][0]["name"] = "<script>alert(1)</script>"
    found = outline(page(result))
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.texts


def test_differences_and_skipped_sets_stand_on_the_page(small_run: Run) -> None:
    result = small_run.result | {"skipped": {"uganda": "is not here"}}
    row = {"where": "city batch", "figure": "recall", "before": 0.9, "after": 0.8, "band": 0.01, "verdict": "worse"}
    text = " ".join(outline(page(result, [row])).texts)
    assert "was skipped: is not here" in text
    assert "Against the run before" in text
    assert "worse" in text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.00 %"), (0.99, "99.00 %"), (0.999999, "99.9999 %"), (0.0, "0.00 %")]
)
def test_only_all_is_a_hundred_per_cent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0.97, 1.0, 3, [0.97, 0.98, 0.99, 1.0]),
        (-10, 57, 7, [-10, 0, 10, 20, 30, 40, 50]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert ticks_between(low, high, count) == ticks
