"""`mdm model` as an operator uses it, against a running service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.model import Model
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]
SHIPPED = Model.default(EntityKind.CITIZEN)


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A model that links nothing."""
    path = tmp_path / "strict.json"
    thresholds = msgspec.structs.replace(SHIPPED.thresholds, link_bits=90.0)
    msgspec.structs.replace(SHIPPED, thresholds=thresholds).save(path)
    return path


@pytest.fixture
def loaded(mdm: Run, server: RunningServer, tmp_path: Path) -> list[str]:
    """The options that name a service with linked pairs; the shipped model is in force."""
    header = "record_id,full_name,birth_date,sex,personal_id,updated_at\n"
    person = "{},Huỳnh Ngọc Bảo Trâm,1987-03-05,F,079187001234,\n"
    (tmp_path / "pair.csv").write_text(header + person.format("T1") + person.format("T2"), encoding="utf-8")
    done = mdm("load", "hospital.patients", "pair.csv", "--server", server.address)
    assert done.returncode == 0, done.stderr
    return ["--server", server.address]


def test_a_model_is_compared_stopped_forced_and_taken_back(mdm: Run, loaded: list[str], strict: Path) -> None:
    compared = mdm("model", "compare", strict, *loaded)
    assert compared.returncode == 0, compared.stderr
    assert "link → review: 1 pairs" in compared.stdout
    assert "personal_id=same" in compared.stdout
    assert "Trâm" not in compared.stdout

    stopped = mdm("model", "activate", strict, *loaded)
    assert stopped.returncode == 4
    assert "--max-band-changes 2 %" in stopped.stderr
    assert "link → review" in stopped.stdout, "it says what it would have changed"

    forced = mdm("model", "activate", strict, "--force", "--reason", "a trial", "--json", *loaded)
    assert forced.returncode == 0, forced.stderr
    digest = json.loads(forced.stdout)["digest"]
    listed = mdm("model", "list", *loaded).stdout
    assert f"{digest[:12]}  citizen" in listed
    assert "link 90 bits, review 6 bits, in force, pinned" in listed
    assert "a trial" in listed

    dry = mdm("model", "rollback", "--reason", "enough", "--dry-run", *loaded)
    assert "would be in force" in dry.stdout
    back = mdm("model", "rollback", "--reason", "enough", *loaded)
    assert back.returncode == 0, back.stderr
    activations = json.loads(mdm("model", "list", "--kind", "citizen", "--json", *loaded).stdout)
    assert [each["digest"] for each in activations if each["is_in_force"]] == [SHIPPED.digest]
    nothing_before = mdm("model", "rollback", "--reason", "more", *loaded)
    assert nothing_before.returncode == 1
    assert "no earlier model" in nothing_before.stderr


def test_a_model_is_named_by_its_first_digits_and_shown_with_its_weights(
    mdm: Run, loaded: list[str], tmp_path: Path
) -> None:
    shown = mdm("model", "show", SHIPPED.digest[:6], "--out", "copy.json", *loaded)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "copy.json").read_bytes() == SHIPPED.to_bytes()
    assert "personal_id" in shown.stdout
    assert "+16.00 bits" in shown.stdout
    without_service = mdm("model", "show", "copy.json")
    assert without_service.stdout == shown.stdout
    unknown = mdm("model", "compare", "0123abcd", *loaded)
    assert unknown.returncode == 2
    assert "mdm model list" in unknown.stderr


def test_a_file_that_is_no_model_is_refused_in_one_line(mdm: Run, loaded: list[str], tmp_path: Path) -> None:
    (tmp_path / "song.json").write_text('{"title": "x"}')
    for command in (["compare"], ["activate"]):
        done = mdm("model", *command, "song.json", *loaded)
        assert done.returncode == 1
        assert "model" in done.stderr
        assert "Traceback" not in done.stderr


def test_help_teaches_the_way_from_training_to_force(mdm: Run) -> None:
    assert "mdm model rollback" in mdm("model", "--help").stdout
    for command in ("compare", "activate", "rollback"):
        assert "mdm model" in mdm("model", command, "--help").stdout.split("Example")[1]
