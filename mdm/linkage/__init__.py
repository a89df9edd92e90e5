"""Matching: the only owner of Splink and DuckDB.

Read in this order: `features`, `normalise` (raw → features), `codec`, `predicates`, `comparisons`, `keys`, `rules` (the
forms of comparisons, blocking rules and rules of evidence), `citizens` and `citizen_evidence`, `businesses` and
`business_evidence`, `specification` (all of a kind together, for both engines), `blocking` (`posting_keys`), `epoch`
(`StatisticsEpoch`), `model` (`Model`), `scorer` (`compile_scorer`, `Scorer`; online), `evidence` (`assess`, `veto`,
`compatible`: pair → band), `banding` (the same for millions of pairs), `snapshot`, `pair_codes`, `candidate_pairs`,
`splink_engine`, `gates`, `train`, `adaptation`, `calibration`, `thresholds` (labels → where the bands lie),
`assessed_pairs`, `graph` (pairs and groups as columns), `cluster`, `identification`, `completeness` (how much a raw
value says).
"""
