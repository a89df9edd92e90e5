"""Settings of `mdm serve`: three names each, and which of them counts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mdm.cli.application import application
from mdm.cli.settings import settings_of, told_where_it_stands
from mdm.errors import ConfigurationError, InvalidInputError
from tests.cli.conftest import Run

COMMAND: Any = get_command(application())
SERVE = COMMAND.commands["serve"]
SOURCES = {"option": "from-option", "environment": "from-environment", "file": "from-file"}


def effective(*arguments: str) -> dict[str, Any]:
    """Return the values that `mdm serve` would start with."""
    with SERVE.make_context("mdm serve", list(arguments)) as context:
        values: dict[str, Any] = context.params
        return values


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "serve.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"option", "environment", "file"}, "from-option"),
        ({"environment", "file"}, "from-environment"),
        ({"option", "file"}, "from-option"),
        ({"file"}, "from-file"),
        (set(), "127.0.0.1:50051"),
    ],
)
def test_option_before_environment_before_file_before_default(
    given: set[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "environment" in given:
        monkeypatch.setenv("MDM_SERVE_LISTEN", SOURCES["environment"])
    file = written(tmp_path, f'listen = "{SOURCES["file"]}"\n' if "file" in given else "")
    option = ["--listen", SOURCES["option"]] if "option" in given else []
    assert effective("--data", "d", "--config", file, *option)["listen"] == expected


def test_every_setting_can_stand_in_a_file_and_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples: dict[type, tuple[str, str]] = {
        str: ('"a:1"', "a:1"),
        Path: ('"x/y"', str(tmp_path / "x" / "y")),
        int: ("3", "3"),
        float: ("3", "3.0"),
        bool: ("true", "True"),
    }
    settings = [setting for setting in settings_of(SERVE) if setting.key]
    assert len(settings) >= 13
    file = written(tmp_path, "".join(f"{each.key} = {samples[each.type][0]}\n" for each in settings))
    from_file = effective("--config", file)
    assert {each.key: str(from_file[each.key]) for each in settings} == {
        each.key: samples[each.type][1] for each in settings
    }
    for each in settings:
        monkeypatch.setenv(each.variable, samples[each.type][1])
    from_environment = effective()
    assert all(from_environment[each.key] == from_file[each.key] for each in settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker = 2", "worker: is no setting; did you mean workers?"),
        ('config = "other.toml"', "config: is no setting; mdm config reference lists them"),
        ("tls-key = 'k'", "tls-key: is no setting; did you mean tls_key?"),
        ("workers = true", "workers: must be a whole number"),
        ("workers = 2.5", "workers: must be a whole number"),
        ("listen = 50051", "listen: must be a text"),
        ("data = []", "data: must be a text"),
        ('insecure = "no"', "insecure: must be true or false"),
        ('grace_s = "10"', "grace_s: must be a number"),
        ("[serve]\nworkers = 2", "serve: is no setting"),
        ("workers = 65", "workers: input should be less than or equal to 64"),
        ("grace_s = -1", "grace_s: input should be greater than or equal to 0"),
        ("workers = ", "is no TOML"),
    ],
)
def test_a_file_with_anything_else_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        effective("--data", "d", "--config", written(tmp_path, text))
    assert expected in str(caught.value)
    assert "serve.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file or directory"):
        effective("--data", "d", "--config", str(tmp_path / "none.toml"))


def test_a_mistyped_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDM_SERVE_TLS_CERTIFICAT", "x")
    with pytest.raises(
        ConfigurationError, match=r"CERTIFICAT: is no setting; did you mean MDM_SERVE_TLS_CERTIFICATE\?"
    ):
        effective("--data", "d")


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Kubernetes sets for a Service named mdm.
    monkeypatch.setenv("MDM_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MDM_PORT", "tcp://10.0.0.1:50051")
    assert effective("--data", "d")["listen"] == "127.0.0.1:50051"


def test_what_counts_is_shown_with_its_source(mdm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDM_SERVE_METRICS", "off")
    file = written(tmp_path, 'data = "state"\nworkers = 3\n')
    shown = mdm("config", "show", "--config", file, "--workers", 2, "--json")
    found = json.loads(shown.stdout)
    assert found["data"] == {"value": str(tmp_path / "state"), "source": "file"}
    assert found["workers"] == {"value": 2, "source": "option"}
    assert found["metrics"] == {"value": "off", "source": "environment MDM_SERVE_METRICS"}
    assert found["listen"] == {"value": "127.0.0.1:50051", "source": "default"}
    assert "workers          3  (file)" in mdm("config", "show", "--config", file).stdout


def test_the_document_is_what_the_options_say(mdm: Run, project_root: Path) -> None:
    document = (project_root / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert mdm("config", "reference").stdout == document, "write it anew: mdm config reference > docs/configuration.md"


def test_a_variable_out_of_range_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDM_SERVE_WORKERS", "many")
    with pytest.raises(ConfigurationError, match=r"^MDM_SERVE_WORKERS: input should be a valid integer"):
        effective("--data", "d")


def test_what_is_refused_is_named_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDM_SERVE_TLS_KEY", "k")
    file = written(tmp_path, "metrics = 'off'\nlisten = '0.0.0.0:0'")
    given = ["--config", file, "--data", "d", "--listen", "127.0.0.1:0", "--no-reflection"]
    for option, name in (
        ("--metrics", f"{file}: metrics"),
        ("--listen", "--listen"),
        ("--tls-key", "MDM_SERVE_TLS_KEY"),
        ("--no-reflection", "--no-reflection"),
        ("--tls-certificate", "--tls-certificate"),
    ):
        with (
            SERVE.make_context("mdm serve", [*given]) as context,
            pytest.raises(ConfigurationError) as caught,
            told_where_it_stands(context, Path(file)),
        ):
            raise InvalidInputError(option, "breaks a rule")
        assert str(caught.value) == f"{name}: breaks a rule"


@pytest.mark.parametrize(
    ("options", "file", "code", "expected"),
    [
        (("--tls-key", "k"), "", 2, "mdm: --tls-key: needs --tls-certificate"),
        ((), "tls_certificate = 'c'\ntls_key = 'k'", 2, "mdm: FILE: tls_certificate: "),
        # What is taken now may be free in a moment, and an address may come up after the service.
        (("--listen", "TAKEN"), "listen = '127.0.0.1:0'", 1, "mdm: --listen: TAKEN cannot be used: Address already"),
    ],
)
def test_what_is_refused_is_wrong_usage_and_what_may_pass_is_not(
    options: tuple[str, ...], file: str, code: int, expected: str, mdm: Run, tmp_path: Path
) -> None:
    path = written(tmp_path, f"metrics = 'off'\n{file}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        given = [address if each == "TAKEN" else each for each in options]
        done = mdm("serve", "--config", path, "--data", tmp_path / "data", *given)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith(expected.replace("FILE", path).replace("TAKEN", address))
