"""Encrypted connections: which authorities are trusted, and what the caller shows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from mdm_client.errors import TlsFileError


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of an encrypted connection; they are read once, when a client is made.

    Args:
        ca: Authorities whose certificates are trusted; without it, gRPC's list of public ones.
        certificate: The caller's certificate, where the service asks for one; then `key` belongs to it.
        key: Private key of `certificate`.
        server_name: The name in the service's certificate, where it is reached under another.
    """

    ca: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what gRPC takes.

        Raises:
            TlsFileError: A file cannot be read or holds something else, or one of `certificate` and `key` is missing.
        """
        if (self.certificate is None) != (self.key is None):
            raise TlsFileError("a client certificate and its key go together: name both or neither")
        return grpc.ssl_channel_credentials(
            _read(self.ca, "CERTIFICATE"), _read(self.key, "PRIVATE KEY"), _read(self.certificate, "CERTIFICATE")
        )


def _read(path: Path | str | None, label: str) -> bytes | None:
    if path is None:
        return None
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise TlsFileError(f"{path} cannot be read: {error.strerror}") from error
    # gRPC only logs that it can't use a file, and then reaches nobody.
    if f"{label}-----".encode() not in text:
        raise TlsFileError(f"{path} holds no {label.lower()} as PEM")
    return text
