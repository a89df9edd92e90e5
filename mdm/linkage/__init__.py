"""Matching: the only owner of Splink and DuckDB.

Read in this order: `features`, `normalise` (raw → features), `predicates`, `specification` (comparisons and
blocking for both engines), `model`, `epoch`, `scorer` (online), `evidence` (pair → band), `splink_engine`,
`train`, `cluster`.
"""
