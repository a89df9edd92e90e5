"""How commands reach a service: encrypted, and in whose name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from mdm.cli.application import application
from mdm.cli.connection import reach_services
from mdm.server.options import TlsFiles
from tests.certificates import Authority, Pair
from tests.cli.conftest import Run
from tests.serving import RunningServer, running_server

SHARED = {"tls_ca", "tls_certificate", "tls_key", "tls_server_name", "actor", "purpose"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def caller(authority: Authority) -> Pair:
    return authority.issue("desk")


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RunningServer]:
    """A service that asks its callers for a certificate."""
    files = TlsFiles(*authority.issue("service"), authority.certificate)
    with running_server(tmp_path_factory.mktemp("mutual") / "data", tls=files) as served:
        yield served


def commands(group: Any, name: str = "mdm") -> Iterator[tuple[str, Any]]:
    yield name, group
    if isinstance(group, TyperGroup):
        for inner_name, inner in group.commands.items():
            yield from commands(inner, f"{name} {inner_name}")


def test_every_command_that_reaches_a_service_has_the_same_options() -> None:
    root = get_command(application())
    reach_services(root)
    reaching = {name: command for name, command in commands(root) if "server" in {p.name for p in command.params}}
    assert len(reaching) >= 40
    assert "mdm relink" in reaching, "a group that is a command itself"
    for name, command in reaching.items():
        params = [param.name for param in command.params]
        assert set(params) >= SHARED, name
        assert len(params) == len(set(params)), name
        assert next(param for param in command.params if param.name == "server").envvar == "MDM_SERVER", name


def test_options_reach_an_encrypted_service(
    mdm: Run, mutual: RunningServer, authority: Authority, caller: Pair
) -> None:
    where = ("--server", mutual.address)
    trusted = ("--tls-ca", authority.certificate)
    shown = ("--tls-certificate", caller.certificate, "--tls-key", caller.key)
    assert json.loads(mdm("health", *where, *trusted, *shown, "--json").stdout) == {"status": "SERVING"}
    refused = mdm("health", *where, *trusted)
    assert refused.returncode == 1
    assert refused.stderr.endswith("asks for a client certificate and its key: --tls-certificate and --tls-key\n")
    plain = mdm("health", *where)
    assert plain.returncode == 1
    assert plain.stderr.endswith(" speaks TLS: name the authority of its certificate with --tls-ca or MDM_TLS_CA\n")
    half = mdm("health", *where, "--tls-key", caller.key)
    assert (half.returncode, half.stderr) == (
        2,
        "mdm: --tls-key: goes with --tls-certificate: name both or neither\n",
    )
    unencrypted = mdm("health", *where, "--tls-server-name", "mdm.example")
    assert (unencrypted.returncode, unencrypted.stderr) == (
        2,
        "mdm: --tls-server-name: goes with --tls-ca: without it nothing is encrypted\n",
    )
    missing = mdm("health", *where, "--tls-ca", "none.crt")
    assert (missing.returncode, missing.stderr) == (1, "mdm: none.crt cannot be read: No such file or directory\n")


def test_the_environment_reaches_it_too(
    mdm: Run, mutual: RunningServer, authority: Authority, caller: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MDM_SERVER": mutual.address,
        "MDM_TLS_CA": authority.certificate,
        "MDM_TLS_CERTIFICATE": caller.certificate,
        "MDM_TLS_KEY": caller.key,
        "MDM_TLS_SERVER_NAME": "mdm.example",
        "MDM_ACTOR": "intake",
        "MDM_PURPOSE": "nightly file",
    }.items():
        monkeypatch.setenv(name, str(value))
    feed = tmp_path / "patients.csv"
    feed.write_text(
        "record_id,full_name,birth_date,sex,personal_id,updated_at\nBV1,Nguyễn Văn Tùng Lâm,1971-05-06,,,\n",
        encoding="utf-8",
    )
    assert mdm("load", "hospital.patients", feed).returncode == 0
    golden_id = mdm("lookup", "hospital", "citizen", "BV1").stdout.split()[1]
    history = mdm("history", golden_id)
    assert "by intake · for nightly file · certificate CN=desk,O=Hospital 7" in history.stdout
    # An option counts before the environment.
    feed.write_text(feed.read_text(encoding="utf-8").replace("1971-05-06", "1971-05-07"), encoding="utf-8")
    assert mdm("load", "hospital.patients", feed, "--actor", "nurse").returncode == 0
    assert "by nurse · for nightly file" in mdm("history", golden_id).stdout


def test_health_tells_a_service_that_is_not_there(mdm: Run, server: RunningServer) -> None:
    assert mdm("health", "--server", server.address).stdout == "status  SERVING\n"
    assert mdm("health", "--server", server.address, "--service", "mdm.v1.LookupService").returncode == 0
    unknown = mdm("health", "--server", server.address, "--service", "mdm.v1.NoService")
    assert (unknown.returncode, unknown.stderr) == (2, "mdm: --service names no service of this one\n")
    gone = mdm("health", "--server", "127.0.0.1:1", "--timeout-s", "0.3")
    assert (gone.returncode, gone.stderr) == (
        1,
        "mdm: no service answers at 127.0.0.1:1; start one with: mdm serve --data DIR --listen 127.0.0.1:1\n",
    )
