"""How right linkage is: any pipeline, measured against a known truth, with intervals, peers and a page to read.

Read in this order: `datasets` (the arrays that a pipeline hands over), `sets` (which sets there are), `intervals` and
`metrics` (what is counted), `blocking`, `missed`, `weights` and `examples` (where it was lost), `evaluation` (all of
it as JSON), `batch` and `online` (the service's two paths), `cities` (the synthetic city), `people`, `historical`,
`febrl`, `uganda` and `public_sets` (public sets of persons, each with its own specification), `companies` (names of
firms), `peers` (other linkers), `charts` and `report` (the page), `comparison` (with an earlier run),
`suite` (`python -m benchmarks quality`).
"""
