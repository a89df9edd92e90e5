"""Measurements on the running service: one entry, `python -m benchmarks`, and results that can be compared.

Read in this order: `figures` (what a result holds), `targets` (what was promised), `session` (one run: options, city,
service), `data` (the city, built once), `processes` and `environment` (what the machine did and is), `load` (the load
generator), `ceilings` (what bounds each path), `suites` (what is measured), `comparison`, `tables`, `report`, `charts`
and `pages` (what a reader sees); `command` runs them.

Suites that answer other questions: `city` does the main job on a synthetic city and scores it against the truth; `feed`
kills a subscriber of the change feed and compares its copy with an export; `quality` measures how right linkage is, in
batch and online, beside other linkers.
"""
