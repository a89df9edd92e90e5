"""`mdm review` driven by keys from its input, and the acts beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.cli.review import _Loop
from mdm_client import Client, ReviewAnswer, ReviewFilter, ReviewState
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]
HEAD = "record_id,facility_id,full_name,birth_date,sex,personal_id,phone,updated_at\n"


def load(mdm: Run, server: RunningServer, tmp_path: Path, *rows: str) -> None:
    file = tmp_path / "hospital.patients.csv"
    file.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    loaded = mdm("load", "hospital.patients", file, "--server", server.address)
    assert loaded.returncode == 0, loaded.stderr


def namesakes(day: int) -> list[str]:
    return [f"N{day}{side},BV1,Nguyễn Thị Thúy,1987-03-{day:02},F,,,2025-01-01" for side in "ab"]


def keys(server: RunningServer, tmp_path: Path, typed: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mdm", "review", "--server", server.address, "--actor", "hoa", *options]
    return subprocess.run(command, cwd=tmp_path, input=typed, capture_output=True, text=True, timeout=60, check=False)


def waiting(mdm: Run, server: RunningServer, *options: str) -> list[dict[str, object]]:
    listed = mdm("review", "list", "--json", "--limit", 100, "--server", server.address, *options)
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, object]] = json.loads(listed.stdout)
    return found


@pytest.fixture
def empty_queue(server: RunningServer, tmp_path: Path) -> None:
    """Answer what earlier tests have left."""
    keys(server, tmp_path, "d" * 50)


@pytest.mark.usefixtures("empty_queue")
def test_a_sitting_shows_both_sides_marks_differences_and_answers_with_one_key(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    one, other = namesakes(3)
    load(mdm, server, tmp_path, *namesakes(1), *namesakes(2), one, other.replace("1987-03-03", "03/03/1987"))
    assert len(waiting(mdm, server)) == 3
    sat = keys(server, tmp_path, "sdu")
    assert sat.returncode == 0, sat.stderr
    assert "= full_name" in sat.stdout
    assert sat.stdout.count("= birth_date") == 2
    assert "~ birth_date" in sat.stdout, "the same day, written in another way"
    assert "Nguyễn Thị Thúy" in sat.stdout
    assert "same would give  after" in sat.stdout
    assert "name: same" in sat.stdout
    assert "nothing waits" in sat.stdout
    assert sat.stdout.rstrip().endswith("2 answered")
    assert waiting(mdm, server) == []
    assert len(waiting(mdm, server, "--state", "parked")) == 1


@pytest.mark.usefixtures("empty_queue")
def test_undo_takes_the_last_answer_back_and_skip_leaves_the_item(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    load(mdm, server, tmp_path, *namesakes(4), *namesakes(5))
    before = {str(each["left"]) + str(each["right"]) for each in waiting(mdm, server)}
    assert len(before) == 2
    sat = keys(server, tmp_path, "szdznuzq")
    assert sat.returncode == 0, sat.stderr
    assert sat.stdout.count("withdrawn") == 2
    assert sat.stdout.rstrip().endswith("0 answered")
    assert {str(each["left"]) + str(each["right"]) for each in waiting(mdm, server)} == before
    assert all(each["state"] == "open" for each in waiting(mdm, server))
    sat = keys(server, tmp_path, "nnq")
    assert "nothing waits" in sat.stdout
    sat = keys(server, tmp_path, "x?eq", "--min-priority", "1")
    assert sat.returncode == 0, sat.stderr
    assert len(waiting(mdm, server, "--state", "escalated")) == 1


@pytest.mark.usefixtures("empty_queue")
def test_a_sitting_goes_on_when_somebody_else_was_quicker(
    mdm: Run, server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(mdm, server, tmp_path, *namesakes(6), *namesakes(7))
    with Client(server.address, actor="hoa") as hoa, Client(server.address, actor="lan") as lan:

        def taken_over() -> str:
            """Answer the claimed one, but the claim ran out and somebody else has it."""
            (claimed,) = lan.stewardship.reviews(ReviewState.CLAIMED)
            hoa.stewardship.release_review(claimed.review_id)
            lan.stewardship.claim_review(claimed.review_id)
            return "s"

        def closed() -> str:
            """Leave while somebody answers the claimed one."""
            (claimed,) = (each for each in lan.stewardship.reviews(ReviewState.CLAIMED) if each.claimed_by == "hoa")
            hoa.stewardship.resolve_review(claimed.review_id, ReviewAnswer.DIFFERENT, "seen")
            return "q"

        moves = (key() for key in (taken_over, closed))
        _Loop(hoa, ReviewFilter(), "side by side").run(moves.__next__)
        assert "refused: REVIEW_CLAIMED" in capsys.readouterr().out
        for each in list(lan.stewardship.reviews(ReviewState.CLAIMED)):
            lan.stewardship.release_review(each.review_id)
    assert len(waiting(mdm, server)) == 1


@pytest.mark.usefixtures("empty_queue")
def test_an_answer_that_leaves_all_as_it_is_says_what_becomes_of_the_review(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    load(mdm, server, tmp_path, *namesakes(8))
    (asked,) = (str(each["review_id"]) for each in waiting(mdm, server))

    def is_parked() -> bool:
        return asked in {each["review_id"] for each in waiting(mdm, server, "--state", "parked")}

    why = ("--reason", "no card seen", "--server", server.address, "--actor", "hoa")
    assert f"{asked} would be at rest" in mdm("review", "answer", asked, "unsure", *why, "--dry-run").stdout
    assert not is_parked()
    assert f"{asked} is at rest for 30 days" in mdm("review", "answer", asked, "unsure", *why).stdout
    assert is_parked()
    assert mdm("review", "answer", asked, "different", *why).returncode == 0


def test_judge_shows_its_effect_first_and_is_withdrawn_by_its_id(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    load(
        mdm,
        server,
        tmp_path,
        "J1,BV1,Trần Văn Tâm,1961-01-02,M,,0903111222,2025-01-01",
        "J2,BV1,Lê Quốc Vinh,1972-03-04,M,,0904111222,2025-01-01",
    )
    address = ("--server", server.address, "--actor", "hoa")
    pair = ("hospital/citizen/J1", "hospital/citizen/J2")
    dry = mdm("judge", *pair, "same", "--reason", "cards seen", "--dry-run", *address)
    assert dry.returncode == 0, dry.stderr
    assert "value" in dry.stdout
    assert "phones: + 0904111222" in dry.stdout
    etag = dry.stdout.split("etag")[1].split()[0]
    done = mdm("judge", *pair, "same", "--reason", "cards seen", "--etag", etag, "--json", *address)
    assert done.returncode == 0, done.stderr
    effect = json.loads(done.stdout)
    golden_id = effect["after"][0]["golden_id"]
    listed = mdm("judgements", "list", golden_id, "--server", server.address)
    assert f"{effect['judgement_id']}  hospital/citizen/J1 same hospital/citizen/J2  (hoa, " in listed.stdout
    assert "cards seen" in listed.stdout
    refused = mdm("judge", *pair, "different", "--reason", "no", "--dry-run", *address)
    assert refused.returncode == 1
    assert effect["judgement_id"] in refused.stdout
    stale = mdm("judge", *pair, "different", "--reason", "no", *address)
    assert (stale.returncode, effect["judgement_id"] in stale.stderr) == (1, True)
    back = mdm("judgements", "withdraw", effect["judgement_id"], "--reason", "mixed up", *address)
    assert back.returncode == 0, back.stderr
    assert back.stdout.count("after ") == 2


def test_merge_unmerge_split_move_and_pin_say_what_they_did(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    load(
        mdm,
        server,
        tmp_path,
        "M1,BV1,Phạm Quang Vinh,1961-01-02,M,,0905111222,2025-01-01",
        "M2,BV1,Đỗ Mỹ Duyên,1972-03-04,F,,0906111222,2025-01-01",
    )
    address = ("--server", server.address, "--actor", "hoa")
    ids = json.loads(mdm("lookup", "hospital", "citizen", "M1", "M2", "--server", server.address, "--json").stdout)
    first, second = ids["records"]["M1"], ids["records"]["M2"]
    why = ("--reason", "cards seen", *address)
    assert "2 records" in mdm("merge", first, second, *why).stdout
    split = mdm("split", first, "hospital/citizen/M2", *why)
    assert (split.returncode, "withdraw one of them first" in split.stderr) == (1, True)
    unmerged = mdm("unmerge", second, *why)
    assert f"after   {second}  1 records: hospital/citizen/M2" in unmerged.stdout
    moved = mdm("move", "hospital/citizen/M2", first, *why)
    assert f"after   {first}  2 records" in moved.stdout
    preview = mdm("pin", first, "full_name", "Phạm Quang Vĩnh", *why, "--dry-run").stdout
    assert "+ Phạm Quang Vĩnh" in preview
    etag = preview.partition("etag")[2].strip()
    assert mdm("pin", first, "full_name", "Phạm Quang Vĩnh", *why, "--etag", etag).returncode == 0
    assert "DECISION_STALE" in mdm("unpin", first, "full_name", *why, "--etag", etag).stderr
    shown = mdm("lookup", first, "--server", server.address).stdout
    assert "Phạm Quang Vĩnh" in shown
    assert mdm("unpin", first, "full_name", *why).returncode == 0
    assert mdm("unpin", first, "full_name", *why).returncode == 1
    assert mdm("move", "M2", first, *why).returncode == 2
    assert mdm("pin", first, "birth_date", "31/02/1987", *why).returncode == 1


def test_help_teaches(mdm: Run) -> None:
    for command in ("review", "judge", "merge", "unmerge", "split", "move", "pin", "unpin"):
        helped = mdm(command, "--help")
        assert helped.returncode == 0
        assert f"mdm {command}" in helped.stdout
        assert "default: ()" not in helped.stdout


def test_wrong_usage_is_named(mdm: Run, server: RunningServer) -> None:
    wrong = mdm("review", "list", "--state", "waiting", "--server", server.address)
    assert (wrong.returncode, "parked" in wrong.stderr) == (2, True)
    wrong = mdm("review", "answer", "R-1", "maybe", "--server", server.address)
    assert (wrong.returncode, "unsure" in wrong.stderr) == (2, True)
    gone = mdm("review", "show", "R-999999", "--server", server.address)
    assert (gone.returncode, "its cause is gone" in gone.stderr) == (1, True)
