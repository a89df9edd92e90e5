"""Other linkers on the same rows in the same run, each in a process of its own.

Read in this order: `rows` (what they are given), `process` (one peer, one process), `splink_stock`, `record_linkage`,
`golden_match` (the peers), `runs` (their results as linkages); `golden_match_server` is asked online, one by one.
"""
