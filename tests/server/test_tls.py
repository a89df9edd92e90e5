"""An encrypted listener: who gets in, what is refused at the start, and certificates that are renewed meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.errors import InvalidInputError
from mdm.server import metrics
from mdm.server.options import ServeOptions, TlsFiles
from mdm.server.tls import Certificates, check
from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    EntityKind,
    Load,
    SourceKey,
    SourceRecord,
    Tls,
    TlsFileError,
    UnavailableError,
    Upsert,
)
from tests.certificates import Authority, Pair
from tests.serving import RunningServer, running_server, start_server

WAIT_S = 1.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def service_pair(authority: Authority) -> Pair:
    return authority.issue("service")


@pytest.fixture(scope="module")
def caller(authority: Authority) -> Pair:
    return authority.issue("caller")


@pytest.fixture(scope="module")
def encrypted(folder: Path, service_pair: Pair) -> Iterator[RunningServer]:
    """Two readers, on every address of the machine: TLS is what allows that."""
    files = TlsFiles(service_pair.certificate, service_pair.key)
    with running_server(folder / "plain", workers=2, tls=files, listen="0.0.0.0:0", metrics="127.0.0.1:0") as served:
        yield served


@pytest.fixture(scope="module")
def mutual(folder: Path, service_pair: Pair, authority: Authority) -> Iterator[RunningServer]:
    files = TlsFiles(service_pair.certificate, service_pair.key, authority.certificate)
    with running_server(folder / "mutual", tls=files) as served:
        yield served


def target_of(server: RunningServer) -> str:
    return "127.0.0.1:" + server.address.rpartition(":")[2]


def reaches(server: RunningServer, tls: Tls | None) -> bool:
    with Client(target_of(server), tls=tls) as client:
        client.wait_until_ready(WAIT_S)
        return not client.lookup("hospital", EntityKind.CITIZEN, "NONE").golden_id


def why_not(server: RunningServer, tls: Tls | None) -> str:
    with pytest.raises(UnavailableError) as caught:
        reaches(server, tls)
    return caught.value.message


def test_every_reader_speaks_tls(encrypted: RunningServer, authority: Authority) -> None:
    # Each connection reaches one reader of the two; 16 leave one out once in 32,768 times.
    assert all(reaches(encrypted, Tls(ca=authority.certificate)) for _ in range(16))


def test_the_asyncio_client_speaks_tls(encrypted: RunningServer, authority: Authority) -> None:
    async def call() -> str:
        async with AsyncClient(target_of(encrypted), tls=Tls(ca=str(authority.certificate))) as client:
            await client.wait_until_ready(WAIT_S)
            return (await client.lookup("hospital", EntityKind.CITIZEN, "NONE")).golden_id

    assert asyncio.run(call()) == ""


def test_health_and_streams_speak_tls(encrypted: RunningServer, authority: Authority) -> None:
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    with grpc.secure_channel(target_of(encrypted), credentials) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=5)
        assert next(iter(watched)).status == health_pb2.HealthCheckResponse.SERVING
        watched.cancel()


def test_a_certificate_of_another_name_needs_that_name(
    folder: Path, authority: Authority, encrypted: RunningServer
) -> None:
    port = encrypted.address.rpartition(":")[2]
    by_address = Client(f"127.0.0.2:{port}", tls=Tls(ca=authority.certificate))
    with by_address, pytest.raises(UnavailableError, match="is not trusted: IP address mismatch"):
        by_address.wait_until_ready(WAIT_S)
    with Client(f"127.0.0.2:{port}", tls=Tls(ca=authority.certificate, server_name="mdm.example")) as client:
        client.wait_until_ready(WAIT_S)


def test_what_both_sides_expect_is_told(
    encrypted: RunningServer, mutual: RunningServer, authority: Authority, stranger: Authority, caller: Pair
) -> None:
    trusted = authority.certificate
    alien = stranger.issue("alien")
    where = target_of(mutual)
    assert reaches(mutual, Tls(trusted, caller.certificate, caller.key))
    assert why_not(mutual, Tls(trusted)) == f"the service at {where} asks for a client certificate and its key"
    assert (
        why_not(mutual, Tls(trusted, alien.certificate, alien.key))
        == f"the service at {where} refuses the client certificate"
    )
    where = target_of(encrypted)
    assert why_not(encrypted, Tls(stranger.certificate)) == (
        f"the certificate of the service at {where} is not trusted: unable to get local issuer certificate"
    )
    assert why_not(encrypted, None) == f"the service at {where} speaks TLS: name the authority of its certificate"


def test_what_a_caller_proves_stands_beside_what_it_asserts(
    mutual: RunningServer, authority: Authority, caller: Pair
) -> None:
    tls = Tls(authority.certificate, caller.certificate, caller.key)
    record = SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "BV1"), CitizenAttributes(full_name="Lê Văn Tám"))
    with Client(target_of(mutual), tls=tls, actor="intake", purpose="admission") as client:
        golden_id = client.upsert(record).golden_id
        (entry,) = client.history.entries(golden_id)
        assert (entry.actor, entry.purpose, entry.authenticated) == ("intake", "admission", "CN=caller,O=Hospital 7")
        other = SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "BV2"), record.attributes)
        # A stream is told of its caller in another way.
        assert len(list(client.ingest([Upsert(other)], Load("night", "hospital.patients")))) == 1
        (loaded,) = client.history.entries(client.lookup("hospital", EntityKind.CITIZEN, "BV2").golden_id)
        assert (loaded.actor, loaded.load_id, loaded.authenticated) == ("intake", "night", entry.authenticated)


def test_without_a_certificate_nothing_is_proven(encrypted: RunningServer, authority: Authority) -> None:
    record = SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "BV1"), CitizenAttributes(full_name="Lê Văn Tám"))
    with Client(target_of(encrypted), tls=Tls(authority.certificate), actor="CN=caller,O=Hospital 7") as client:
        (entry,) = client.history.entries(client.upsert(record).golden_id)
    assert (entry.actor, entry.authenticated) == ("CN=caller,O=Hospital 7", "")


def test_a_call_says_so_too(encrypted: RunningServer, stranger: Authority) -> None:
    distrustful = Client(target_of(encrypted), tls=Tls(stranger.certificate))
    with distrustful, pytest.raises(UnavailableError, match="certificate of the service is not trusted: unable to"):
        distrustful.lookup("hospital", EntityKind.CITIZEN, "NONE")
    with (
        Client(target_of(encrypted)) as client,
        pytest.raises(UnavailableError, match="perhaps the service speaks TLS"),
    ):
        client.lookup("hospital", EntityKind.CITIZEN, "NONE")


def test_a_service_without_tls_is_told_apart(server: RunningServer, authority: Authority) -> None:
    with Client(server.address, tls=Tls(authority.certificate)) as client:
        with pytest.raises(UnavailableError, match="does not speak TLS"):
            client.wait_until_ready(WAIT_S)
        with pytest.raises(UnavailableError, match="does not speak TLS"):
            client.lookup("hospital", EntityKind.CITIZEN, "NONE")


def test_versions_before_1_2_are_refused(encrypted: RunningServer) -> None:
    host, _, port = target_of(encrypted).rpartition(":")
    spoken = set()
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2"])
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = version
        with socket.create_connection((host, int(port))) as connection:
            try:
                with context.wrap_socket(connection) as wrapped:
                    spoken.add(wrapped.version())
            except ssl.SSLError:
                spoken.add(None)
    assert spoken == {None, "TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(
    ("certificate", "key", "expected"),
    [
        ("missing.crt", "service.key", "--tls-certificate: {folder}/missing.crt cannot be read: No such file"),
        ("service.key", "service.key", "--tls-certificate: holds no certificate as PEM"),
        ("service.crt", "missing.key", "--tls-key: {folder}/missing.key cannot be read: No such file"),
        ("service.crt", "service.crt", "--tls-key: lets every user of this machine read the key"),
        ("service.crt", "garbage.key", "--tls-key: holds no private key as PEM"),
        ("service.crt", "caller.key", "--tls-key: does not belong to the first certificate in --tls-certificate"),
        ("locked.crt", "locked.key", "--tls-key: is protected by a passphrase"),
        ("old.crt", "old.key", "--tls-certificate: expired on 20"),
        ("early.crt", "early.key", "--tls-certificate: is not valid before 20"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    certificate: str, key: str, expected: str, authority: Authority, service_pair: Pair, caller: Pair, folder: Path
) -> None:
    authority.issue("locked", passphrase=b"secret")
    authority.issue("old", valid_days=(-2, -1))
    authority.issue("early", valid_days=(1, 2))
    (folder / "garbage.key").touch(mode=0o600)
    with pytest.raises(InvalidInputError) as caught:
        check(TlsFiles(folder / certificate, folder / key))
    assert str(caught.value).startswith(expected.format(folder=folder))


def test_a_reader_that_starts_again_takes_a_certificate_that_expired_meanwhile(authority: Authority) -> None:
    # Else the service would lose its readers one by one, and tell nobody why.
    files = TlsFiles(*authority.issue("expired-since", valid_days=(-2, -1)))
    with pytest.raises(InvalidInputError, match="expired"):
        check(files)
    assert Certificates(files).credentials() is not None


def test_authorities_of_callers_that_are_none_are_refused(service_pair: Pair) -> None:
    with pytest.raises(InvalidInputError, match="--tls-client-ca: holds no certificate as PEM"):
        check(TlsFiles(service_pair.certificate, service_pair.key, service_pair.key))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"tls": "old"}, "mdm serve: --tls-certificate: expired on 20"),
        ({"tls": "service", "is_insecure": True}, "mdm serve: --insecure: contradicts --tls-certificate"),
        (
            {"tls": "service", "metrics": "0.0.0.0:0"},
            "mdm serve: --metrics: would be reached from other machines, unencrypted: serve it on 127.0.0.1, or pass",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    changed: dict[str, Any], expected: str, authority: Authority, service_pair: Pair, folder: Path, tmp_path: Path
) -> None:
    authority.issue("old", valid_days=(-2, -1))
    tls = TlsFiles(folder / f"{changed['tls']}.crt", folder / f"{changed['tls']}.key")
    options = ServeOptions(data=tmp_path / "data", listen="127.0.0.1:0", metrics="off")
    process = start_server(msgspec.structs.replace(options, **changed | {"tls": tls}), tmp_path / "log")
    assert process.wait(30) == 1
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines()[-1].startswith(expected)


def test_a_certificate_is_renewed_while_the_service_runs(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    pair = Authority(tmp_path, "first").issue("served")
    trusted = tmp_path / "first.crt"
    with running_server(tmp_path / "data", tls=TlsFiles(*pair), metrics="127.0.0.1:0") as served:
        tls = Tls(trusted)
        with Client(served.address, tls=tls) as kept:
            kept.wait_until_ready(WAIT_S)
            before = served_until(served)
            # Half of a renewal changes nothing: the new certificate without its key.
            new = Authority(tmp_path, "second").issue("renewed", valid_days=(-0.5, 20))
            replace(new.certificate, pair.certificate)
            assert reaches(served, tls)
            replace(new.key, pair.key)
            assert why_not(served, tls).endswith("unable to get local issuer certificate")
            assert reaches(served, Tls(tmp_path / "second.crt"))
            # What is no use is not taken: a certificate that expired, a key that is gone.
            late = Authority(tmp_path, "third").issue("late", valid_days=(-2, -1))
            replace(late.certificate, pair.certificate)
            replace(late.key, pair.key)
            assert reaches(served, Tls(tmp_path / "second.crt"))
            pair.key.unlink()
            assert reaches(served, Tls(tmp_path / "second.crt"))
            # An open connection stays.
            assert not kept.lookup("hospital", EntityKind.CITIZEN, "NONE").golden_id
            assert served_until(served, other_than=before) - before == pytest.approx(19.5 * 86_400, abs=60)
        assert served.stop() == 0
        log = served.log()
    assert log.count("certificate_renewed") == 1
    assert log.count("certificate_not_renewed") >= 3
    assert log.count("certificate_expires_soon") == 1


def test_a_certificate_that_is_put_there_ahead_of_its_time_is_taken_up_when_it_begins(
    tmp_path: Path, authority: Authority
) -> None:
    # As with a clock some seconds behind the authority's: else it would never be, and the old one would expire.
    served = Authority(tmp_path).issue("served")
    certificates = Certificates(TlsFiles(*served))
    gauge = metrics.certificate_expires.labels("grpc")
    before = gauge._value.get()
    early = authority.issue("ahead", valid_days=(2 / 86_400, 20))
    replace(early.certificate, served.certificate)
    replace(early.key, served.key)
    certificates.refresh()
    until_s = time.monotonic() + 20
    while gauge._value.get() == before and time.monotonic() < until_s:
        time.sleep(0.1)
        certificates.refresh()
    assert gauge._value.get() - before == pytest.approx(19.5 * 86_400, abs=60)


def test_files_of_a_client_that_cannot_be_used_are_named(folder: Path, authority: Authority, caller: Pair) -> None:
    for tls, expected in (
        (Tls(ca=folder / "missing.crt"), "missing.crt cannot be read: No such file or directory"),
        (Tls(ca=caller.key), "caller.key holds no certificate as PEM"),
        (Tls(certificate=caller.certificate), "go together: name both or neither"),
        (Tls(certificate=caller.certificate, key=caller.certificate), "caller.crt holds no private key as PEM"),
    ):
        with pytest.raises(TlsFileError, match=expected):
            Client("127.0.0.1:1", tls=tls)


def replace(new: Path, old: Path) -> None:
    """Put a file in another's place in one step, as renewals do."""
    copy = old.with_suffix(".new")
    shutil.copy2(new, copy)
    copy.replace(old)


def served_until(server: RunningServer, other_than: float = 0.0) -> float:
    """Return the time that the metrics page states, once it is another; readers publish once a second."""
    name, until_s = "mdm_certificate_expires_timestamp_seconds{", time.monotonic() + 20
    while time.monotonic() < until_s:
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        found = [float(line.split()[-1]) for line in page.splitlines() if line.startswith(name)]
        if found and found[0] != other_than:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("the metrics page did not change")
