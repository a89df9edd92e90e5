"""Honest load over gRPC: several client processes, started by exec, that count every answer and every delay.

Read in this order: `histogram` (durations in logarithmic buckets, so that runs and processes merge), `spec` (what a
client process is told and tells), `arrivals` (when a call is due, and which request it carries), `connection` (calls
over one connection, by libcurl), `client` (the process itself), `generator` (starts clients, watches the CPU of
everyone, and says when the clients were the bottleneck), `callers` (many callers of one SDK client, as an agency's code
is).
"""
