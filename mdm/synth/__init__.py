"""The synthetic city: five feeds and the truth behind them, from a seed.

Read in this order: `dice` (seeded draws), `tables` (names, rates, streets as data), `names`, `identifiers`,
`addresses`, `people`, `households`, `firms`, `corruption` (what keyboards and old systems do to values), `clerks` (what
the desks of a registry write), `feeds` (columns and writers), `records` (from people and firms to rows),
`city` (`write_city`), `updates` (`write_updates`: what changes later).
"""
