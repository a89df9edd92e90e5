"""A city's registries night by night: full files of which a hundredth changes, and a file that is poisoned."""

from __future__ import annotations

import csv
import random
from pathlib import Path

FEEDS = (
    "household.residents",
    "social_security.employers",
    "social_security.insured",
    "company.businesses",
    "hospital.patients",
)
"""In the order in which they are loaded."""

CHANGED, CAME, WENT = 0.006, 0.002, 0.002
"""Shares of a file's rows in one night."""

HELD_BACK = 0.02
"""Share of the rows that are not there on the first night: those that come later."""

POISONED = "hospital.patients"
_SHIFTED = 0.2
_LOST = 0.003
_KEPT_IN_PLACE = frozenset({"record_id", "facility_id", "updated_at"})

Table = list[dict[str, str]]


class Nights:
    """The files of each night, made from a city and a seed; `write` goes from night to night."""

    def __init__(self, city: Path, seed: int) -> None:
        self.number = 0
        self._dice = random.Random(seed)
        self._tables: dict[str, Table] = {}
        self._reserve: dict[str, Table] = {}
        for feed in FEEDS:
            with (city / f"{feed}.csv").open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            held_back = set(self._dice.sample(range(len(rows)), int(HELD_BACK * len(rows))))
            self._tables[feed] = [row for place, row in enumerate(rows) if place not in held_back]
            self._reserve[feed] = [rows[place] for place in sorted(held_back)]

    def write(self, folder: Path) -> Path:
        """Write the next night's files; returns their folder."""
        self.number += 1
        night = folder / f"night-{self.number}"
        night.mkdir(parents=True)
        for feed, rows in self._tables.items():
            if self.number > 1:
                self._change(feed, rows)
            _write(night / f"{feed}.csv", rows)
        return night

    def poison(self, night: Path) -> Path:
        """Write the poisoned file beside a night's good one: values slipped by a row, and some rows are lost.

        Every row is well formed and says what some person's row says, so that no rule for a row finds it.
        """
        rows = [dict(row) for row in self._tables[POISONED]]
        shifted = sorted(self._dice.sample(range(len(rows) - 1), int(_SHIFTED * len(rows))))
        for place in shifted:
            values = self._tables[POISONED][place + 1]
            # Every other row gets a stranger's name and keeps the rest: nobody that is known.
            slipped = values.keys() - _KEPT_IN_PLACE if place % 2 else {"full_name", "phone"}
            rows[place] |= {column: values[column] for column in slipped}
            rows[place]["updated_at"] = self._now()
        lost = set(self._dice.sample(range(len(rows)), int(_LOST * len(rows))))
        path = night / f"{POISONED}.poisoned.csv"
        _write(path, [row for place, row in enumerate(rows) if place not in lost])
        return path

    def _change(self, feed: str, rows: Table) -> None:
        count = len(rows)
        for place in self._dice.sample(range(count), max(1, int(CHANGED * count))):
            row = rows[place] = dict(rows[place])
            row["phone"] = f"09{self._dice.randrange(10**8):08}"
            row["updated_at"] = self._now()
        for place in sorted(self._dice.sample(range(count), int(WENT * count)), reverse=True):
            del rows[place]
        for _ in range(min(max(1, int(CAME * count)), len(self._reserve[feed]))):
            rows.append(self._reserve[feed].pop())

    def _now(self) -> str:
        return f"2027-01-{self.number:02}T02:00:00"


def _write(path: Path, rows: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
