"""Measurements on the running service; `python -m benchmarks SUITE` prints JSON.

`city` does the main job on a synthetic city and scores it against the truth. `feed` kills a subscriber of the change
feed and compares its copy with an export. `quality` measures how right linkage is, in batch and online, on cities and
public sets, beside other linkers. `recovery` kills processes under load and
counts what was lost. `serving` measures lookups and loading over gRPC.
"""
