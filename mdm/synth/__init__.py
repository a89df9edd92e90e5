"""The synthetic city: five feeds and the truth behind them, from a seed.

Read in this order: `dice` (seeded draws), `tables` (names, rates, streets as data), `names`, `identifiers`,
`addresses`, `people`, `households`, `firms`, `corruption` (what clerks do to values), `feeds` (columns and writers),
`records` (from people and firms to rows), `city` (writes a city), `updates` (writes what changes later).
"""

from mdm.synth.city import CityReport, write_city
from mdm.synth.updates import UpdateReport, write_updates

__all__ = ["CityReport", "UpdateReport", "write_city", "write_updates"]
