from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]

RESIDENTS = """record_id,full_name,birth_date,sex,household_id,relation_to_head,father_name,updated_at
DC1,Đặng Quốc Vinh,1980-04-12,M,HK1,chủ hộ,,2024-01-01
DC2,Đặng Hải Yến,2012-06-01,F,HK1,con đẻ,Đặng Quốc Vinh,2024-01-02
DC3,Đặng Minh Khôi,2014-06-01,M,HK1,con đẻ,Đặng Quốc Vinh,2024-01-03
"""
MOVED = """record_id,full_name,birth_date,sex,household_id,relation_to_head,father_name,updated_at
DC3,Đặng Minh Khôi,2014-06-01,M,HK2,ở nhờ,Đặng Quốc Vinh,2025-05-05
"""


@pytest.fixture
def address(mdm: Run, server: RunningServer, tmp_path: Path) -> str:
    """A service that holds a family."""
    file = tmp_path / "household.residents.csv"
    for text in (RESIDENTS, MOVED, RESIDENTS):
        # The last load changes nothing: its rows are older or the same.
        file.write_text(text, encoding="utf-8")
        assert mdm("load", "household.residents", file, "--server", server.address).returncode == 0
    return server.address


def test_a_household_is_shown_by_key_and_by_golden_id(mdm: Run, address: str) -> None:
    shown = mdm("household", "household", "citizen", "DC2", "--server", address)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert "household HK1, 2 records" in lines
    head = next(line for line in lines if "chủ hộ" in line)
    assert head.endswith("Đặng Quốc Vinh, chủ hộ, since 2024-01-01")
    golden_id = head.split(":")[0].strip()
    found = json.loads(mdm("household", golden_id, "--server", address, "--json").stdout)
    assert found["golden_id"] == golden_id
    assert [member["is_head"] for member in found["households"][0]["members"]] == [True, False]
    assert found["households"][0]["members"][1]["statements"][0]["record"] == "household citizen DC2"


def test_a_household_left_is_shown_with_its_time(mdm: Run, address: str) -> None:
    shown = mdm("household", "household", "citizen", "DC3", "--server", address).stdout
    assert "  1. household HK1: con đẻ, 2024-01-03 to 2025-05-05\n" in shown
    found = json.loads(mdm("household", "household", "citizen", "DC3", "--server", address, "--json").stdout)
    assert [former["household_id"] for former in found["former_households"]] == ["HK1"]


def test_relations_are_listed_in_words_and_as_json(mdm: Run, address: str) -> None:
    lines = mdm("relations", "household", "citizen", "DC1", "--server", address).stdout.splitlines()
    assert any(line.startswith("father of ") and "Đặng Hải Yến" in line for line in lines)
    assert any(line.startswith("in the household of ") and line.endswith("is the bearer") for line in lines)
    found = json.loads(
        mdm("relations", "household", "citizen", "DC2", "--type", "father", "--server", address, "--json").stdout
    )
    (relation,) = found["relations"]
    assert (relation["direction"], relation["ground"], relation["obstacle"]) == ("outgoing", "household_and_name", "")
    assert relation["statements"][0]["name"] == "Đặng Quốc Vinh"


def test_more_relations_than_wanted_are_said_to_be_there(mdm: Run, address: str) -> None:
    cut = mdm("relations", "household", "citizen", "DC1", "--limit", "1", "--server", address)
    assert len(cut.stdout.splitlines()) == 1
    assert json.loads(cut.stderr)["event"] == "there are more relations"
    whole = mdm("relations", "household", "citizen", "DC1", "--limit", "0", "--server", address)
    assert (len(whole.stdout.splitlines()) > 1, whole.stderr) == (True, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("household", "household", "citizen", "NONE"), 1, "nothing was ever stored under this key"),
        (("household", "C-1"), 1, "golden_id: must look like C-XXXX-XXXX-XXXX-X"),
        (("household", "household", "citizen"), 2, "give a golden ID, or a registry"),
        (("relations", "household", "person", "DC1"), 2, "give a golden ID, or a registry"),
        (("relations", "household", "citizen", "NONE"), 1, "nothing was ever stored under this key"),
        (("relations", "household", "citizen", "DC1", "--type", "aunt"), 2, "--type must be one of household"),
        (("relations", "household", "citizen", "DC1", "--direction", "up"), 2, "--direction must be outgoing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    mdm: Run, address: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = mdm(*arguments, "--server", address)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_pending_and_a_withdrawn_record_say_so(mdm: Run, address: str, tmp_path: Path) -> None:
    file = tmp_path / "pending.csv"
    file.write_text("record_id,full_name,operation\nDC8,Tạ Quốc Bảo,upsert\n", encoding="utf-8")
    mdm("load", "household.residents", file, "--resolve", "later", "--server", address)
    assert "the record is pending" in mdm("relations", "household", "citizen", "DC8", "--server", address).stderr
    file.write_text("record_id,full_name,operation\nDC8,,delete\n", encoding="utf-8")
    mdm("load", "household.residents", file, "--server", address)
    assert "withdrew the record" in mdm("household", "household", "citizen", "DC8", "--server", address).stderr
