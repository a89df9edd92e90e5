"""The reviewer's desk: one pair at a time on a terminal, one key for each answer, saved at once."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mdm.cli.differences import (
    Difference,
    address_difference,
    birth_difference,
    card_difference,
    name_difference,
    number_difference,
    phone_difference,
)
from mdm.cli.output import ExitCode, cell, fail

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mdm.resolve.audit.sheets import Row, Sheet

_KEYS = {"s": "same", "d": "different", "u": "unsure"}
_BACK, _QUIT = "b", "q"
_ESCAPE, _READ_BYTES = b"\x1b", 64
_HELP = "s same · d different · u unsure · b back · q quit"

_NAMES = ("full_name", "other_name", "legal_name", "short_name", "foreign_name")
_NUMBERS = ("personal_id", "old_personal_id", "passport", "social_insurance_number", "tax_code")

_DIFFERENCES: dict[str, Difference] = {
    **dict.fromkeys(_NAMES, name_difference),
    **dict.fromkeys(_NUMBERS, number_difference),
    "birth_date": birth_difference,
    "died_on": birth_difference,
    "established_on": birth_difference,
    "health_card": card_difference,
    "phones": phone_difference,
    "addresses": address_difference,
}

_UNTOLD = frozenset({"registry", "updated_at", "status"})
"""Fields that differ by their nature: a note on them would only distract."""


def label(path: Path) -> None:
    """Let a reviewer label the sheet from its first open item on."""
    from rich.console import Console

    from mdm.resolve.audit.sheets import read_sheet

    sheet = read_sheet(path)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("labelling needs a terminal; a spreadsheet can fill in the column label as well", ExitCode.USAGE)
    console = Console(highlight=False)
    place = next((place for place, row in enumerate(sheet.rows) if not row.label), len(sheet.rows))
    with _single_keys() as pressed:
        while place < len(sheet.rows):
            _show(console, sheet, place)
            key = pressed()
            if key == _QUIT:
                break
            if key == _BACK:
                place = max(place - 1, 0)
            elif key in _KEYS:
                sheet.rows[place].label = _KEYS[key]
                sheet.save(path)
                place += 1
    done = sum(bool(row.label) for row in sheet.rows)
    rest = "" if done == len(sheet.rows) else f"; mdm audit label {path} goes on"
    console.print(f"{done:,} of {len(sheet.rows):,} labelled{rest}", markup=False)


def difference(field: str, left: str, right: str) -> str:
    """Return in words how two values of a field differ; empty if they say the same or one is not stated."""
    if not left or not right or left == right or field in _UNTOLD:
        return ""
    told = _DIFFERENCES.get(field)
    if told is None:
        return "" if left.casefold() == right.casefold() else "differs"
    sides = left.split(" ; "), right.split(" ; ")
    # Any value in common is what a reader looks for first.
    if set(sides[0]) & set(sides[1]):
        return "one in common"
    # A difference is told from the fuller value to the other; a pair has no direction, so the other way is tried too.
    fuller, other = sorted(sides, key=lambda side: (side[0].isascii(), -len(side[0]), side))
    said = told(fuller, other)
    return told(other, fuller) if said.startswith("another") else said


def _show(console: Console, sheet: Sheet, place: int) -> None:
    row = sheet.rows[place]
    console.clear()
    given = f"   labelled {row.label}" if row.label else ""
    console.print(cell(f"{place + 1:,} of {len(sheet.rows):,}   {row.item}{given}"))
    console.print(_table(sheet, row))
    console.print(_HELP, markup=False)


def _table(sheet: Sheet, row: Row) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("left", ratio=2, overflow="fold")
    table.add_column("right", ratio=2, overflow="fold")
    table.add_column("", ratio=1, style="yellow")
    for field, left, right in zip(sheet.fields, row.cells[::2], row.cells[1::2], strict=True):
        if left or right:
            said = difference(field, left, right)
            style = "bold" if said else ""
            name = cell(field.replace("_", " "), style="dim")
            table.add_row(name, cell(left, style=style), cell(right, style=style), cell(said))
    return table


@contextmanager
def _single_keys() -> Iterator[Callable[[], str]]:
    """Yield what waits for the next key, on a terminal that hands each over at once and loses none typed ahead."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    waiting: list[str] = []

    def pressed() -> str:
        try:
            while not waiting:
                read = os.read(descriptor, _READ_BYTES)
                if not read:
                    return _QUIT
                # An arrow key is an escape and letters, one of them D.
                unknown = read.startswith(_ESCAPE)
                waiting.extend([""] if unknown else read.decode(errors="replace").lower())
        except KeyboardInterrupt:
            # Every answer is saved already.
            return _QUIT
        return waiting.pop(0)

    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
