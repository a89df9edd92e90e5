"""What bounds each path, measured in the same run: a service that had nothing to do could not be faster.

Read in this order: `bare_server` (gRPC alone: an empty handler, or an answer of a given size), `lmdb_gets`, `lmdb_puts`
and `lmdb_copy` (the index alone: a loop of gets, copied entry by entry, copied as a file and read through),
`durable_appends`, `durable_events` and `durable_copy` (the journal's disk alone: rows, events that a journal holds, a
whole file), `feed_rows` (a feed's rows, only seen), `splink_online` (Splink's own online calls), `started` (starts each
in a process of its own).
"""
