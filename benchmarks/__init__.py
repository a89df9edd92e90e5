"""Measurements on the running service; `python -m benchmarks SUITE` prints JSON.

`recovery` kills processes under load and counts what was lost. `serving` measures lookups and loading over gRPC.
"""
