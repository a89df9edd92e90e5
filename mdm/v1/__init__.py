"""The wire as Python: generated from `protos/mdm/v1` by `scripts/protos.sh`, never edited.

Read in this order: `common_pb2`, `lookup_service_pb2`, `match_service_pb2`, `registry_service_pb2`,
`golden_record_service_pb2`, `export_service_pb2`, `relink_service_pb2`, `model_service_pb2`, `error_reason_pb2`; each
service has its stubs beside it in `…_pb2_grpc`.
"""
