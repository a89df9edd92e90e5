"""ExplainService: why records are one or two, and what holds a golden record together."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import grpc

from mdm.resolve.explain.explainer import Explainer
from mdm.resolve.reader import Reader
from mdm.server.calls import await_freshness, token_at
from mdm.server.wire_explain import how_message, pair_message, subject, why_not_message
from mdm.v1 import common_pb2 as common
from mdm.v1 import explain_service_pb2 as wire
from mdm.v1.explain_service_pb2_grpc import ExplainServiceServicer


class ExplainService(ExplainServiceServicer):
    """Explains what this process reads."""

    def __init__(self, reader: Reader) -> None:
        """Read from this process's index."""
        self._reader = reader
        self._explainer = Explainer(reader)

    def WhyRecords(self, request: wire.WhyRecordsRequest, context: grpc.ServicerContext) -> wire.WhyRecordsResponse:
        """Compare two records."""
        await_freshness(self._reader, request, context)
        pair = self._explainer.why(subject(request.left), subject(request.right))
        return wire.WhyRecordsResponse(pair=pair_message(pair, self._token), read_at=self._token(pair.read_seq))

    def WhyNot(self, request: wire.WhyNotRequest, context: grpc.ServicerContext) -> wire.WhyNotResponse:
        """Say what keeps two records apart."""
        await_freshness(self._reader, request, context)
        found = self._explainer.why_not(subject(request.left), subject(request.right))
        keys = self._reader.source_keys({number for each in found.obstacles for number in each.records})
        return why_not_message(found, keys, self._token)

    def HowGoldenRecord(
        self, request: wire.HowGoldenRecordRequest, context: grpc.ServicerContext
    ) -> wire.HowGoldenRecordResponse:
        """Say what holds a golden record together."""
        await_freshness(self._reader, request, context)
        return how_message(self._explainer.how(request.golden_id), self._token)

    def _token(self, seq: int) -> common.JournalToken:
        return token_at(self._reader, seq)
