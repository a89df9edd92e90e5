"""gRPC with nothing behind it: `python -m benchmarks.ceilings.bare_server ADDRESS ANSWERS`, ANSWERS as JSON.

The same server as a reader's, with its channel options and as many threads, but no interceptors, no rules, no parsing
and no work: each method answers with bytes that were ready before. It prints the address that it listens on.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from mdm.limits import UNARY_WORKERS
from mdm.processes import die_with
from mdm.server.reader_process import _CHANNEL_OPTIONS


def main(address: str, answers: str) -> None:
    """Serve until killed.

    Args:
        address: `HOST:PORT`; port 0 takes a free one.
        answers: Full method name → its answer in base 64.
    """
    die_with(os.getppid())
    server = grpc.server(ThreadPoolExecutor(UNARY_WORKERS), options=_CHANNEL_OPTIONS)
    services: dict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = {}
    for name, answer in json.loads(answers).items():
        _, service, method = name.split("/")
        services.setdefault(service, {})[method] = grpc.unary_unary_rpc_method_handler(
            _answering(base64.b64decode(answer))
        )
    for service, handlers in services.items():
        server.add_registered_method_handlers(service, handlers)
    port = server.add_insecure_port(address)
    server.start()
    print(f"{address.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()


def _answering(body: bytes) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def answer(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        return body

    return answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
