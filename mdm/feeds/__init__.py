"""Feed files: from bytes to operations on source records.

Read in this order: `rejects` (rows set aside, and the gate that stops a poisoned load), `reading` (CSV and Parquet to
rows), `cells` (what columns state), `mapping` (row to operations, as the registries file declares), `profile` (what a
file holds, for a dry run).
"""
