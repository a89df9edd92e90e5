"""Why a service cannot be reached: gRPC's own errors do not say that one side speaks TLS and the other does not."""

from __future__ import annotations

import socket
import ssl

from mdm_client.channel import Security
from mdm_client.tls import Tls

_WAIT_S = 2.0
_ALPN = ["h2"]


def reason_unreachable(target: str, tls: Security) -> str:
    """Return one sentence that says why no call gets through; opens one connection and closes it, within 4 s.

    Args:
        target: `HOST:PORT`; other names of gRPC are taken for unreachable.
        tls: How the client connects; of gRPC's own credentials nothing is known.
    """
    host, _, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        with socket.create_connection((host, int(port)), _WAIT_S) as connection:
            connection.settimeout(_WAIT_S)
            if tls is None:
                return _without(target, connection)
            if isinstance(tls, Tls):
                return _with(target, host, connection, tls)
    except (OSError, ValueError, OverflowError):
        pass
    return f"no service answers at {target}"


def _without(target: str, connection: socket.socket) -> str:
    context = ssl.create_default_context()
    # Only whether TLS is spoken matters here; nothing is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_ALPN)
    try:
        context.wrap_socket(connection).close()
    except ssl.SSLError:
        return f"no service answers at {target}, though something listens there"
    return f"the service at {target} speaks TLS: name the authority of its certificate"


def _with(target: str, host: str, connection: socket.socket, tls: Tls) -> str:
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(_ALPN)
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
        with context.wrap_socket(connection, server_hostname=tls.server_name or host) as wrapped:
            # A caller's certificate is judged after the handshake: then a service that accepts it speaks first.
            if wrapped.recv(1):
                return f"no service answers at {target}, though something there speaks TLS"
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of the service at {target} is not trusted: {error.verify_message}"
    except (ssl.SSLError, ConnectionError) as error:
        if "WRONG_VERSION_NUMBER" in str(error):
            return f"the service at {target} does not speak TLS"
    if tls.certificate is None:
        return f"the service at {target} asks for a client certificate and its key"
    return f"the service at {target} refuses the client certificate"
