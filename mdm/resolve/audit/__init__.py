"""Clerical audits: how right the links are where no truth is known, judged by people on a sample of pairs.

Read in this order: `design` (strata, allocation, the draw), `pairs` (the index → every pair an audit may draw),
`sheets` (what reviewers fill in, and the key that stays behind), `sampling` (data directory → sheets and key),
`estimates` (counts → bounds), `agreement` (two reviewers → one label, kappa) and `report` (labelled sheets →
precision and recall).
"""
