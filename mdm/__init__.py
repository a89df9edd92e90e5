"""Record linkage and master data for a city: four registries in, golden IDs out.

Read in this order: `domain` (keys, records, events, identity rules), `store` (journal and index),
`linkage` (normalise, compare, score, cluster), `resolve` (the writer and its use cases), `server` (gRPC),
`synth` (the synthetic city), `cli` (the commands). `v1` holds the generated stubs.
"""
