"""gRPC with nothing behind it: `python -m benchmarks.ceilings.bare_server ADDRESS STACK`.

Each method answers with bytes that were ready before and come as JSON on standard input. On the `plain` stack that is
`grpc.server` as the library has it, with a reader's channel options and as many threads, and neither interceptors nor
parsing. On our `own` stack, requests are taken up, parsed and checked as a reader does. It prints the address that it
listens on.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory

from mdm.limits import UNARY_WORKERS
from mdm.processes import die_with
from mdm.server.reader_process import CHANNEL_OPTIONS
from mdm.server.unary import UnaryCalls

OWN, PLAIN = "own", "plain"


def main(address: str, stack: str, answers: str) -> None:
    """Serve until killed.

    Args:
        address: `HOST:PORT`; port 0 takes a free one.
        stack: `own` or `plain`.
        answers: Full method name → its answer in base 64.
    """
    die_with(os.getppid())
    server = grpc.server(ThreadPoolExecutor(UNARY_WORKERS), options=CHANNEL_OPTIONS)
    calls = UnaryCalls(server)
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for name, answer in json.loads(answers).items():
        _, service, method = name.split("/")
        parse = _parser(service, method) if stack == OWN else None
        services.setdefault(service, {})[method] = grpc.unary_unary_rpc_method_handler(
            _answering(base64.b64decode(answer)), request_deserializer=parse
        )
    for service, handlers in services.items():
        if stack == OWN:
            calls.add(service, handlers)
        else:
            server.add_registered_method_handlers(service, handlers)
    port = server.add_insecure_port(address)
    if stack == OWN:
        calls.start()
    else:
        server.start()
    print(f"{address.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()


def _answering(body: bytes) -> Callable[[Any, grpc.ServicerContext], bytes]:
    def answer(_request: Any, _context: grpc.ServicerContext) -> bytes:
        return body

    return answer


def _parser(service: str, method: str) -> Callable[[bytes], Any]:
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    parse: Callable[[bytes], Any] = message_factory.GetMessageClass(found.input_type).FromString
    return parse


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin.read())
