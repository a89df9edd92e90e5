"""Matching: the only owner of Splink and DuckDB.

Read in this order: `features`, `normalise` (raw → features), `codec`, `predicates`, `comparisons`, `citizens`,
`businesses`, `blocking` (`posting_keys`), `specification` (comparisons and blocking for both engines), `epoch`
(`StatisticsEpoch`), `model` (`Model`), `scorer` (`compile_scorer`, `Scorer`; online), `evidence` (`assess`, `veto`,
`compatible`: pair → band), `snapshot`, `splink_engine`, `train`, `adaptation`, `cluster`, `identification`.
"""
