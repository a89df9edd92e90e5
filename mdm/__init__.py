"""Record linkage and master data for a city: four registries in, golden IDs out.

Read in this order: `errors`, `limits`, `machine`, `processes` and `stages` (what can go wrong, every bound, what a
machine gives, how processes start, how long the parts of calls take), `declarations` and `config` (registries as data),
`domain` (keys, records, events, identity rules), `feeds` (files to operations), `store` (journal and index), `linkage`
(normalise, compare, score, cluster), `resolve` (the writer and its use cases), `server` (gRPC), `cli` (the commands),
`synth` (the synthetic city). `v1` holds the generated stubs, `data` the tables that ship with the service.
"""
