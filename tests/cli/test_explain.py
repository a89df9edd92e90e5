from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

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
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]

ID, OTHER_ID = "079080001234", "079312004321"
DC1, DC2, BV1 = ("household", "citizen", "DC1"), ("household", "citizen", "DC2"), ("hospital", "citizen", "BV1")


def record(
    key: tuple[str, str, str], full_name: str, birth_date: str, sex: str, personal_id: str, *phones: str
) -> SourceRecord:
    identifier = Identifier(IdentifierType.PERSONAL_ID, personal_id, Assurance.SIGHTED)
    attributes = CitizenAttributes(
        full_name=full_name, birth_date=birth_date, sex=sex, identifiers=(identifier,), phones=phones
    )
    return SourceRecord(SourceKey(key[0], EntityKind(key[1]), key[2]), attributes, "2024-01-01")


@pytest.fixture(scope="module")
def address(server: RunningServer) -> str:
    """A service that holds a father with two visits to a hospital, and his daughter."""
    with Client(server.address, actor="desk-7") as client:
        client.upsert(record(DC1, "Đặng Quốc Vinh", "1980-04-12", "M", ID))
        client.upsert(record(DC2, "Đặng Hải Yến", "2012-06-01", "F", OTHER_ID))
        client.upsert(record(BV1, "ĐẶNG QUỐC VINH", "19800412", "1", ID, "0938417265"))
        client.upsert(record((*BV1[:2], "BV2"), "[bold]ĐẶNG QUỐC VINH", "19800412", "1", ID, "0938417265"))
    return server.address


def golden_id(mdm: Run, address: str, *key: str) -> str:
    return mdm("lookup", *key, "--server", address).stdout.split()[1]


def test_a_pair_is_shown_value_by_value_in_both_languages(mdm: Run, address: str) -> None:
    shown = mdm("why", *DC1, *BV1, "--server", address)
    assert (shown.returncode, shown.stderr) == (0, "")
    name = next(line for line in shown.stdout.splitlines() if line.startswith("name "))
    assert "Đặng Quốc Vinh" in name
    assert "ĐẶNG QUỐC VINH" in name
    assert "The names are the same" in name
    assert "reaches the link threshold" in shown.stdout
    assert any(line.startswith("one    C-") for line in shown.stdout.splitlines())
    spoken = mdm("why", *DC1, *BV1, "--language", "vi", "--server", address).stdout
    assert "Họ tên giống nhau" in spoken
    assert "chứng cứ đủ" in spoken


def test_values_are_data_and_no_markup(mdm: Run, address: str) -> None:
    shown = mdm("why", *BV1, "hospital", "citizen", "BV2", "--server", address).stdout
    assert "[bold]ĐẶNG QUỐC VINH" in shown


def test_two_who_are_apart_are_sent_on_to_why_not(mdm: Run, address: str) -> None:
    shown = mdm("why", *DC1, *DC2, "--server", address)
    assert "mdm why-not" in json.loads(shown.stderr)["event"]
    apart = mdm("why-not", *DC1, golden_id(mdm, address, *DC2), "--server", address)
    assert apart.returncode == 0
    lines = apart.stdout.splitlines()
    assert lines[0].startswith("left   household citizen DC1 · C-")
    assert any(line.startswith("- Something forbids the link at any weight") for line in lines)
    assert any(line.startswith("- The match weight lies below") for line in lines)
    one = mdm("why-not", *DC1, *BV1, "--server", address)
    assert (one.returncode, one.stdout) == (0, "")
    assert json.loads(one.stderr)["event"].startswith("they are one golden record")


def test_a_golden_record_is_shown_with_its_steps_and_its_weakest_link(mdm: Run, address: str) -> None:
    identifier = golden_id(mdm, address, *DC1)
    shown = mdm("how", identifier, "--server", address).stdout
    assert "Issued (the machine's decision)  [household citizen DC1]" in shown
    assert shown.count("(weakest)") == 1
    found = json.loads(mdm("how", identifier, "--server", address, "--json").stdout)
    assert [len(found["members"]), len(found["edges"]), found["part_count"]] == [3, 2, 1]
    assert found["steps"][0]["sentence"]["vi"] == "Được cấp (máy quyết định)"


def test_a_history_is_listed_and_leads_to_what_was_known(mdm: Run, address: str) -> None:
    identifier = golden_id(mdm, address, *DC1)
    shown = mdm("history", identifier, "--server", address)
    assert shown.returncode == 0
    first = shown.stdout.splitlines()[0]
    assert "Issued (the machine's decision)  [household citizen DC1 · by desk-7" in first
    cut = mdm("history", identifier, "--limit", "1", "--server", address)
    assert len(cut.stdout.splitlines()) == 1
    assert json.loads(cut.stderr)["event"] == "there is more history"
    entries = json.loads(mdm("history", identifier, "--server", address, "--json").stdout)["entries"]
    assert [each["type"] for each in entries][:2] == ["created", "linked"]
    then = json.loads(mdm("get", identifier, "--as-of", entries[0]["position"], "--server", address, "--json").stdout)
    now = json.loads(mdm("get", identifier, "--server", address, "--json").stdout)
    assert (then["members"], len(now["members"])) == (["household citizen DC1"], 3)
    assert then["as_of"] == entries[0]["position"]
    at_time = mdm("get", identifier, "--as-of", entries[0]["happened_at"], "--server", address)
    assert "household citizen DC1" in at_time.stdout


def test_a_pair_as_json_adds_up(mdm: Run, address: str) -> None:
    found = json.loads(mdm("why", *DC1, *BV1, "--server", address, "--json").stdout)
    total = found["starting_weight_bits"] + sum(each["match_weight_bits"] for each in found["comparisons"])
    assert total == pytest.approx(found["match_weight_bits"], abs=1e-9)
    assert found["left"]["key"] == {"registry": "household", "kind": "citizen", "record_id": "DC1"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("why", *DC1), 2, "give two of: a golden ID, or a registry"),
        (("why", *DC1, *DC2, "C-1"), 2, "give two of: a golden ID, or a registry"),
        (("why", *DC1, "household", "citizen", "NONE"), 1, "right: no record is stored under this key"),
        (("why", *DC1, *DC1), 1, "right: must be another record or golden record than left"),
        (("why-not", "C-1", *DC1), 1, "left.golden_id: must look like C-XXXX-XXXX-XXXX-X"),
        (("why", *DC1, *DC2, "--language", "fr"), 2, "'fr' is not one of 'en', 'vi'"),
        (("how", "C-1"), 1, "golden_id: must look like C-XXXX-XXXX-XXXX-X"),
        (("history", "C-1"), 1, "golden_id: must look like C-XXXX-XXXX-XXXX-X"),
        (("get", "C-1", "--as-of", "yesterday"), 2, "--as-of must be a time like 2026-03-31T14:00"),
        (("get", "C-1", "--as-of", "2026-03-31"), 1, "golden_id: must look like C-XXXX-XXXX-XXXX-X"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    mdm: Run, address: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = mdm(*arguments, "--server", address)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_day_before_the_golden_id_was_issued_has_no_record(mdm: Run, address: str) -> None:
    identifier = golden_id(mdm, address, *DC1)
    early = mdm("get", identifier, "--as-of", "2020-01-31", "--server", address)
    assert (early.returncode, early.stdout) == (1, "")
    assert "GOLDEN_ID_NOT_YET_ISSUED" in early.stderr
    late = mdm("get", identifier, "--as-of", "2199-01-31", "--server", address)
    assert (late.returncode, late.stdout) == (1, "")
    assert "as_of_time: must not lie in the future" in late.stderr
