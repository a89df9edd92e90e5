"""What the demo prints: numbered steps with their time, tables, a waterfall; in colour only on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mdm.cli.demo_story import Row, Story
from mdm.cli.demo_truth import Quality
from mdm_client.results import MatchCandidate

PLAIN_WIDTH = 118
"""Columns where there is no terminal: four registries side by side stay readable."""

WIDTH_MAX = 132
"""Wider lines are hard to follow with the eye."""

_WIDTH_ROOMY = 100
_SECONDS_SHOWN_MIN = 0.95
REGISTRY_TITLES = {
    "household": "household registry",
    "social_security": "social security",
    "hospital": "hospital",
    "company": "company registry",
}
"""How a reader calls the registries."""


class Page:
    """Prints the demo step by step and keeps the time."""

    def __init__(self) -> None:
        """Begin at step one, now."""
        console = Console(highlight=False)
        width = min(console.width, WIDTH_MAX) if console.is_terminal else PLAIN_WIDTH
        self._console = Console(highlight=False, width=width)
        is_roomy = width >= _WIDTH_ROOMY
        self._gap = 3 if is_roomy else 1
        self._bar_width = 40 if is_roomy else 20
        self._step = 0
        self._started_s = time.monotonic()

    def title(self, title: str, *lines: str) -> None:
        """Print the head of the page."""
        self._console.print(f"\n[bold]{escape(title)}[/bold]")
        self.say(*lines)

    def say(self, *lines: str) -> None:
        """Print lines; a long one is wrapped."""
        for line in lines:
            self._console.print(Text(line))

    def good(self, line: str) -> None:
        """Print something that worked."""
        self._console.print(Text.assemble(("✓ ", "bold green"), line))

    def bad(self, line: str) -> None:
        """Print something that did not come out as it should."""
        self._console.print(Text.assemble(("✗ ", "bold red"), line))

    def command(self, line: str) -> None:
        """Print a command to copy: on one line however long, so that it pastes as it is."""
        self._console.print(Text.assemble(("$ ", "dim"), (line, "cyan")), soft_wrap=True)

    def code(self, text: str) -> None:
        """Print code to copy."""
        self._console.print(Text(text, style="cyan"), soft_wrap=True)

    def gap(self) -> None:
        """Print an empty line."""
        self._console.print()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Head a step with its number and close it with the time it took."""
        self._step += 1
        self._console.print()
        self._console.rule(f"[bold]{self._step}  {escape(title)}[/bold]", align="left", style="dim")
        started_s = time.monotonic()
        yield
        seconds = time.monotonic() - started_s
        took = f"{seconds:.1f} s" if seconds >= _SECONDS_SHOWN_MIN else f"{1000 * seconds:.0f} ms"
        self._console.print(Text(took, style="dim"), justify="right")

    def elapsed_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._started_s

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> None:
        """Print a table whose columns after the first `left` hold numbers."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, self._gap, 0, 0))
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index < left else "right", no_wrap=index < left)
        for row in rows:
            table.add_row(*(_written(value) for value in row))
        self._console.print(table)

    def qualities(self, rows: Sequence[tuple[str, str, Quality]]) -> None:
        """Print how well golden IDs agree with the truth: when, what, counts."""
        self.table(
            ("", "", "IDs", "truth", "precision", "recall", "F1", "wrong", "missed"),
            [
                (
                    when,
                    what,
                    found.golden_count,
                    found.entity_count,
                    f"{found.precision:.4f}",
                    f"{found.recall:.4f}",
                    f"{found.f1:.4f}",
                    found.wrong_pair_count,
                    found.missed_pair_count,
                )
                for when, what, found in rows
            ],
            left=2,
        )

    def story(self, story: Story) -> None:
        """Print the rows of a citizen side by side; under a value that differs, how."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("", style="dim")
        for row in story.rows:
            table.add_column(Text(REGISTRY_TITLES[row.key.registry]), overflow="fold", ratio=1)
        table.add_row("record id", *(Text(row.key.record_id, style="dim") for row in story.rows))
        for field in story.rows[0].cells:
            if not any(row.cells[field].text for row in story.rows):
                continue
            table.add_row(field, *(_cell(row, field) for row in story.rows))
        self._console.print(table)

    def waterfall(self, candidate: MatchCandidate) -> None:
        """Print how the match weight adds up, from the prior to the sum."""
        steps = sorted(
            (item for item in candidate.comparisons if item.match_weight_bits), key=lambda item: -item.match_weight_bits
        )
        silent = [item for item in candidate.comparisons if not item.match_weight_bits]
        ends = [candidate.starting_weight_bits]
        for item in steps:
            ends.append(ends[-1] + item.match_weight_bits)
        low, high = min(0.0, *ends), max(0.0, *ends)
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for column in ("compared", "found"):
            table.add_column(column, no_wrap=True)
        table.add_column("bits", justify="right")
        table.add_column("doubt │ certainty", no_wrap=True)
        start = candidate.starting_weight_bits
        table.add_row("before looking", "two rows at random", f"{start:+.1f}", self._bar(0.0, start, low, high))
        for item, before, after in zip(steps, ends[:-1], ends[1:], strict=True):
            bar = self._bar(before, after, low, high)
            table.add_row(_words(item.field), _words(item.level), f"{item.match_weight_bits:+.1f}", bar)
        total = Text(f"{candidate.match_weight_bits:+.1f}", style="bold")
        table.add_row(Text("sum", style="bold"), "", total, self._bar(0.0, candidate.match_weight_bits, low, high))
        self._console.print(table)
        if silent:
            self.say(
                f"Says nothing, because a side does not state it: {', '.join(_words(item.field) for item in silent)}."
            )

    def _bar(self, before: float, after: float, low: float, high: float) -> Text:
        scale = self._bar_width / (high - low) if high > low else 0.0
        zero, begin, end = (round((value - low) * scale) for value in (0.0, min(before, after), max(before, after)))
        mark = "█" if after >= before else "░"
        cells = "".join(
            mark if begin <= index < end else "│" if index == zero else " " for index in range(self._bar_width + 1)
        )
        return Text(cells.rstrip(), style="green" if after >= before else "red")


def odds(match_weight_bits: float) -> str:
    """Return a match weight as a reader's odds, in two digits at most."""
    chance = 2.0 ** abs(match_weight_bits)
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if chance >= size:
            text = f"{chance / size:,.0f} {word}"
            break
    else:
        text = f"{chance:.0f}"
    return f"{text} to 1" if match_weight_bits >= 0 else f"1 to {text}"


def _cell(row: Row, field: str) -> Text:
    cell = row.cells[field]
    if not cell.text:
        return Text("–", style="dim")
    if not cell.difference:
        return Text(cell.text)
    return Text.assemble(cell.text, "\n", (f"≠ {cell.difference}", "yellow"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _written(value: object) -> Text:
    return Text(f"{value:,}" if isinstance(value, int) else str(value))
