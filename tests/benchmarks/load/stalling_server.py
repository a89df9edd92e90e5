"""A server for tests of the load generator: it answers, stalls once, or refuses, and says its address."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

ECHO = "/test.Server/Echo"
STALL = "/test.Server/Stall"
REFUSE = "/test.Server/Refuse"


def main(stall_after_s: float, stall_s: float) -> None:
    """Serve one call at a time until killed; `Stall` stops once, so long after its first call."""
    began: list[float] = []
    lock = threading.Lock()

    def stall(request: bytes, _context: grpc.ServicerContext) -> bytes:
        with lock:
            began.append(time.monotonic())
            if began[0] and began[-1] - began[0] >= stall_after_s:
                began[0] = float("inf")
                time.sleep(stall_s)
        return request

    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    def echo(request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: grpc.unary_unary_rpc_method_handler(call)
        for name, call in (("Echo", echo), ("Stall", stall), ("Refuse", refuse))
    }
    server.add_registered_method_handlers("test.Server", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
