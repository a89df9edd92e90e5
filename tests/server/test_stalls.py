"""A caller that stops reading, against a server of grpcio with the gate before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mdm.server.interceptors import Gate
from mdm.server.pools import CountingPool
from mdm.v1 import export_service_pb2 as wire
from mdm.v1.export_service_pb2_grpc import ExportServiceServicer, ExportServiceStub, add_ExportServiceServicer_to_server

MESSAGES = 200
STALLED_S = 0.3


class Exporting(ExportServiceServicer):
    """Sends more than a connection holds; a slow one takes longer to make a message than a caller may to read it."""

    def __init__(self) -> None:
        self.is_slow = False
        self.ended = threading.Event()

    def ExportLineage(self, *_: object) -> Iterator[wire.ExportLineageResponse]:  # noqa: N802 – the interface's name
        try:
            for number in range(MESSAGES):
                if self.is_slow and number == 1:
                    time.sleep(3 * STALLED_S)
                yield wire.ExportLineageResponse(resume_token="x" * 100_000)
        finally:
            self.ended.set()


def test_a_place_that_nobody_reads_from_is_free_again_and_its_caller_hears_why() -> None:
    pools = [CountingPool(name, 1, 1) for name in ("stream", "watch", "export", "backup", "administration")]
    gate, service = Gate(*pools), Exporting()  # type: ignore[abstract]  # of three calls one is enough
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[gate])
    add_ExportServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # Where a machine is slow, probes of the bandwidth let the window grow beyond all that is sent.
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.http2.bdp_probe", 0)]) as channel:
        stub = ExportServiceStub(channel)
        call = stub.ExportLineage(wire.ExportLineageRequest())
        next(call)
        until_s = time.monotonic() + 20
        while not gate.end_stalled(STALLED_S):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        assert service.ended.wait(10)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "go on behind the last message" in str(caught.value.details())
        # One that reads is left alone, however long the next message takes to make.
        service.is_slow = True
        until_s = time.monotonic() + 20
        while True:
            try:
                answers = stub.ExportLineage(wire.ExportLineageRequest())
                next(answers)
                break
            except grpc.RpcError:
                assert time.monotonic() < until_s, "its place is free again"
        reading = threading.Thread(target=lambda: taken.extend(answers))
        taken: list[wire.ExportLineageResponse] = []
        reading.start()
        while reading.is_alive():
            assert not gate.end_stalled(STALLED_S)
            time.sleep(0.02)
        assert len(taken) == MESSAGES - 1
    server.stop(None).wait()
    assert gate.end_stalled(0.0) == 0
