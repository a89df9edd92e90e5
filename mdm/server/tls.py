"""The listener's certificate: proven before anything starts, and followed while it is renewed on disk."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from mdm.errors import InvalidInputError
from mdm.limits import CERTIFICATE_WARNING_DAYS
from mdm.server import metrics
from mdm.server.logs import logger
from mdm.server.options import TlsFiles

_READABLE_BY_OTHERS = 0o007
_Stamp = tuple[tuple[int, int, int], ...]


class _Material(NamedTuple):
    """What the files hold, and from when until when the certificate is valid."""

    configuration: grpc.ServerCertificateConfiguration
    begins: dt.datetime
    expires: dt.datetime


def check(files: TlsFiles) -> None:
    """Pass if a listener can be opened with these files, and warn if the certificate expires within two weeks.

    Raises:
        InvalidInputError: One cannot be read, holds something else, does not belong to another, lets everybody read the
            key, or is not valid today; names the option and says why.
    """
    material = _valid(_read(files))
    if material.expires - dt.datetime.now(dt.UTC) < dt.timedelta(days=CERTIFICATE_WARNING_DAYS):
        logger().warning("certificate_expires_soon", expires_at=material.expires.isoformat())


class Certificates:
    """The certificate in use: always the newest on disk that `check` would let pass.

    Each new connection gets it; those that are open keep theirs, until they reach their age. Files that are changed
    and do not fit each other, as in the midst of a renewal, change nothing.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Take the files up, also if the certificate has expired since the service began: its callers will notice.

        Raises:
            InvalidInputError: As `check`, the validity aside.
        """
        self._files = files
        self._lock = threading.Lock()
        self._stamp = _stamp(files)
        self._material = _read(files)
        self._waiting_until: dt.datetime | None = None
        self._is_handed_over = True
        _publish(self._material)

    def credentials(self) -> grpc.ServerCredentials:
        """Return what `add_secure_port` takes: TLS 1.2 or 1.3."""
        return grpc.dynamic_ssl_server_credentials(
            self._material.configuration,
            cast("Callable[[], grpc.ServerCertificateConfiguration]", self._renewed),
            require_client_authentication=self._files.client_ca is not None,
        )

    def refresh(self) -> None:
        """Take up what was renewed on disk; costs as much as asking for the state of three files."""
        with self._lock:
            now = dt.datetime.now(dt.UTC)
            is_due = self._waiting_until is not None and now >= self._waiting_until
            if (stamp := _stamp(self._files)) == self._stamp and not is_due:
                return
            # Also when it cannot be used: it is read again, and complained about, after the next change, or once what
            # was put there ahead of its time begins to be valid.
            self._stamp, self._waiting_until = stamp, None
            try:
                material = _read(self._files)
                self._waiting_until = material.begins if material.begins > now else None
                self._material = _valid(material)
            except (InvalidInputError, OSError) as error:
                logger().warning("certificate_not_renewed", why=str(error))
                return
            self._is_handed_over = False
        _publish(self._material)
        logger().info("certificate_renewed", expires_at=self._material.expires.isoformat())

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks before each handshake; None leaves it what it has.
        self.refresh()
        with self._lock:
            if self._is_handed_over:
                return None
            self._is_handed_over = True
            return self._material.configuration


def _publish(material: _Material) -> None:
    metrics.certificate_expires.labels("grpc").set(material.expires.timestamp())


def _stamp(files: TlsFiles) -> _Stamp:
    """Return what tells one state of the files from another, links followed; empty while one is missing."""
    paths = (files.certificate, files.key, files.client_ca)
    try:
        stats = [path.stat() for path in paths if path is not None]
    except OSError:
        return ()
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)


def _read(files: TlsFiles) -> _Material:
    chain, leaf = _certificates("--tls-certificate", files.certificate)
    key = _bytes("--tls-key", files.key)
    if files.key.stat().st_mode & _READABLE_BY_OTHERS:
        raise InvalidInputError("--tls-key", "lets every user of this machine read the key: chmod o= FILE")
    try:
        public_key = serialization.load_pem_private_key(key, password=None).public_key()
    except TypeError as error:
        raise InvalidInputError("--tls-key", "is protected by a passphrase: store it without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError("--tls-key", "holds no private key as PEM") from error
    if public_key != leaf.public_key():
        raise InvalidInputError("--tls-key", "does not belong to the first certificate in --tls-certificate")
    authorities = None if files.client_ca is None else _certificates("--tls-client-ca", files.client_ca)[0]
    configuration = grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=authorities)
    return _Material(configuration, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _valid(material: _Material) -> _Material:
    now = dt.datetime.now(dt.UTC)
    if now < material.begins:
        raise InvalidInputError("--tls-certificate", f"is not valid before {material.begins:%Y-%m-%d %H:%M} UTC")
    if now > material.expires:
        raise InvalidInputError("--tls-certificate", f"expired on {material.expires:%Y-%m-%d %H:%M} UTC: renew it")
    return material


def _certificates(option: str, path: Path) -> tuple[bytes, x509.Certificate]:
    """Return a file's text and its first certificate."""
    text = _bytes(option, path)
    try:
        return text, x509.load_pem_x509_certificates(text)[0]
    except ValueError as error:
        raise InvalidInputError(option, "holds no certificate as PEM") from error


def _bytes(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(option, f"{path} cannot be read: {error.strerror}") from error
