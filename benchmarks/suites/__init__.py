"""The suites, one module each: what is asked of the service, how, and against which ceiling.

Read in this order: `asking` (requests from the city's records), `lookup`, `match`.
"""
