"""The suites, one module each: what is asked of the service, how, and against which ceiling.

Read in this order: `asking` (requests from the city's records), `profiles` (mixed loads), `ingesting` (a load stream),
`desk`, `lookup`, `match`, `resolve`, `load`, `relink`, `rebuild` with its `rebuild_process`, `recovery`, `backup`,
`overload`, `soak`, `footprint`, `others` (linkers that are not ours) for `relink` and `rivals`, `scaling`.
"""
