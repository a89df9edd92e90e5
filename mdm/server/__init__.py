"""The service: processes, wire and calls. The only owner of gRPC.

Read in this order: `options` (what a serving process is told), `listening` (addresses and ports), `tls` (certificates),
`disk_space` (a full disk), `children` (starting and ending processes), `service_state` (what they tell the others),
`notify` (what systemd is told), `degradation` (reads only), `supervisor` (keeps them running), `frames` (the private
socket's messages), `writer_process` and `writer_link` (its two ends), `reader_process` (a gRPC server on the shared
port) with `health_service` and `availability` (health by service), `self_check` (whether it hangs) and `waiting_room`
(what answers while the index is being built), `interceptors` (what every call passes), `stalls` (callers that do not
read on), `polling` (the thread that takes calls up) and `unary` (all that are no streams), `pools`, `errors`, `logs`,
`metrics`, `validation`, `redaction`, `calls`, `page_tokens`, `resume_tokens`, `wire_records`, `wire_values`,
`wire_answers`, `wire_columns`, `wire_relations`, `wire_relink`, `wire_loads`, `wire_stewardship`, `wire_history`,
`wire_explain` (wire ↔ domain), then one module for each service: `registry_service`, `ingest`, `load_service`,
`lookup_service`, `match_service`, `golden_record_service`, `export_service`, `relink_service`, `model_service`,
`survivorship_service`, `configuration_service`, `erasure_service`, `stewardship_service`, `explain_service`,
`admin_service`, `backup_service` with `backup_process` (reads the journal for one backup), and `change_service` with
`bell` (wakes those who watch).
"""
