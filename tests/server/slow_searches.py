"""A server whose searches take long until lookups were asked for, in a process of its own as a reader is, for tests.

Client and server of one process share gRPC's poller, so that neither reads its connections as it does elsewhere.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from mdm.server.unary import UnaryCalls
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match

SEARCH_S = 0.2
"""30 of them outlast three lookups on any machine."""


def serve(lookups_count: int) -> None:
    """Print the port; searches are quick once so many lookups were asked for. Ends with the standard input."""
    lookups: list[lookup.LookupRequest] = []
    all_asked = threading.Event()

    def look_up(request: lookup.LookupRequest, _: object) -> bytes:
        lookups.append(request)
        if len(lookups) == lookups_count:
            all_asked.set()
        return b""

    def search(*_: object) -> match.MatchResponse:
        all_asked.wait(SEARCH_S)
        return match.MatchResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    calls = UnaryCalls(server)
    serializer = lookup.LookupResponse.SerializeToString
    looking_up = grpc.unary_unary_rpc_method_handler(look_up, lookup.LookupRequest.FromString, serializer)
    calls.add("mdm.v1.LookupService", {"Lookup": looking_up})
    searching = grpc.unary_unary_rpc_method_handler(
        search, match.MatchRequest.FromString, match.MatchResponse.SerializeToString
    )
    calls.add("mdm.v1.MatchService", {"Match": searching})
    port = server.add_insecure_port("127.0.0.1:0")
    calls.start()
    print(port, flush=True)  # noqa: T201 – how the test learns it
    sys.stdin.read()
    server.stop(0).wait(5)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
