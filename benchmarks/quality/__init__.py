"""How right linkage is: any pipeline, measured against a known truth, with intervals, peers and a page to read.

Read in this order: `datasets` (the arrays that a pipeline hands over), `sets` (which sets there are), `intervals` and
`metrics` (what is counted), `cities` (the synthetic city, batch), `suite` (`python -m benchmarks quality`).
"""
