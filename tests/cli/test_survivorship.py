"""Rules of survivorship over the command line: show, check, preview, activate, and what golden records then show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.resolve.survivorship import shipped_rules
from mdm_client import (
    Assurance,
    CitizenAttributes,
    Client,
    EntityKind,
    Identifier,
    IdentifierType,
    SourceKey,
    SourceRecord,
)
from tests.cli.conftest import Run
from tests.serving import RunningServer

PERSONAL_ID = Identifier(IdentifierType.PERSONAL_ID, "079187001234", Assurance.SIGHTED)
PHONES = ("0903123456", "0911222333")


@pytest.fixture(scope="module")
def golden_id(server: RunningServer) -> Iterator[str]:
    """A golden record whose two registries disagree about the name's marks, the phone and the birth date."""
    with Client(server.address, actor="tests") as client:
        stated = [
            ("household", "NGUYEN THI BICH TRAM", "1987", PHONES[0], "2024-01-01"),
            ("social_security", "Nguyễn Thị Bích Trâm", "05/03/1987", PHONES[1], "2025-01-01"),
        ]
        for registry, name, birth_date, phone, updated_at in stated:
            key = SourceKey(registry, EntityKind.CITIZEN, "TRAM")
            attributes = CitizenAttributes(
                full_name=name, birth_date=birth_date, sex="F", phones=(phone,), identifiers=(PERSONAL_ID,)
            )
            written = client.upsert(SourceRecord(key, attributes, updated_at))
        found = client.lookup("household", EntityKind.CITIZEN, "TRAM", fresh=written.token)
        assert found.golden_id == written.golden_id, "one golden record of two"
        yield written.golden_id


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_bytes(shipped_rules().replace(b'phones = ["recency", "trust", "frequency"]', b'phones = ["trust"]'))
    return path


def at(server: RunningServer) -> tuple[str, str]:
    return "--server", server.address


def test_the_shipped_rules_are_in_force_from_the_first_start(mdm: Run, server: RunningServer) -> None:
    shown = mdm("survivorship", "show", *at(server))
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.encode() == shipped_rules(), "byte for byte, so that activating it again changes nothing"
    assert json.loads(shown.stderr)["by"] == "service"


def test_a_golden_record_says_what_decided_and_what_lost(mdm: Run, server: RunningServer, golden_id: str) -> None:
    shown = json.loads(mdm("lookup", golden_id, "--alternatives", "--json", *at(server)).stdout)
    assert shown["values"]["full_name"] == "Nguyễn Thị Bích Trâm  (social_security, by completeness)"
    assert shown["values"]["birth_date"] == "05/03/1987  (social_security, by completeness)"
    assert shown["values"]["phones"] == f"{PHONES[1]}  (social_security, by recency)"
    assert shown["values"]["phones 2"].startswith(PHONES[0])
    assert shown["values"]["sex"] == "F  (household)"
    assert shown["alternatives"]["full_name 1"] == "NGUYEN THI BICH TRAM  (household, lost by completeness)"
    assert "alternatives" not in json.loads(mdm("lookup", golden_id, "--json", *at(server)).stdout)


def test_other_rules_are_checked_previewed_and_put_in_force(
    mdm: Run, server: RunningServer, golden_id: str, rules: Path
) -> None:
    checked = mdm("survivorship", "check", rules, "--json", *at(server))
    assert json.loads(checked.stdout)["is_in_force"] is False

    previewed = mdm("survivorship", "preview", rules, *at(server))
    assert "1 of them (100.0%)" in previewed.stdout, previewed.stdout
    assert f"{golden_id}  {PHONES[1]} (social_security) → {PHONES[0]} (household)" in previewed.stdout
    facts = json.loads(mdm("survivorship", "preview", rules, "--json", *at(server)).stdout)
    (citizens,) = [kind for kind in facts["kinds"] if kind["kind"] == "citizen"]
    assert citizens["changed_golden_record_count"] == 1
    assert [field["path"] for field in citizens["fields"]] == ["phones"]
    assert citizens["fields"][0]["criteria"] == {"trust": 1}
    assert json.loads(mdm("lookup", golden_id, "--json", *at(server)).stdout)["values"]["phones"].startswith(PHONES[1])

    done = mdm("survivorship", "activate", rules, "--reason", "the register knows", "--json", *at(server))
    answer = json.loads(done.stdout)
    assert answer["in_force"] == json.loads(checked.stdout)["digest"]
    with Client(server.address) as client:
        record = client.golden_record(golden_id, fresh=answer["token"])
        while record.values and next(v for v in record.values if v.field == "phones").value != PHONES[0]:
            record = client.golden_record(golden_id)
    said = json.loads(mdm("survivorship", "show", *at(server)).stderr)
    assert (said["by"], said["reason"], said["digest"]) == ("mdm-cli", "the register knows", answer["in_force"])
    again = json.loads(mdm("survivorship", "activate", rules, "--json", *at(server)).stdout)
    assert again["was_in_force"] is True
    restored = rules.with_name("shipped.toml")
    restored.write_bytes(shipped_rules())
    assert mdm("survivorship", "activate", restored, *at(server)).returncode == 0


BAD = [
    (b"[citizen", "survivorship: is no TOML"),
    (b'[citizen]\ndefault = ["newest"]\n[business]\ndefault = ["trust"]', "citizen.default: must be a list of"),
    (
        b'[citizen]\ndefault = ["trust"]\n[citizen.trust]\nsex = ["hospitals"]\n[business]\ndefault = ["trust"]',
        "citizen.trust.sex: must name registries of citizen records",
    ),
]


@pytest.mark.parametrize(("content", "said"), BAD, ids=[said for _, said in BAD])
@pytest.mark.parametrize("command", ["check", "preview", "activate"])
def test_a_broken_file_is_refused_with_field_and_rule(
    mdm: Run, server: RunningServer, tmp_path: Path, command: str, content: bytes, said: str
) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    refused = mdm("survivorship", command, path, *at(server))
    assert refused.returncode == 1
    assert f"mdm: {said}" in refused.stderr


def test_a_missing_file_is_wrong_usage(mdm: Run, server: RunningServer) -> None:
    refused = mdm("survivorship", "check", "nothing.toml", *at(server))
    assert refused.returncode == 2
    assert "No such file" in refused.stderr
