"""Registries over the command line: check, add, show, list, and a load that needs no file of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from mdm.declarations.sections import IdentifierTypeName
from mdm_client import Client, FailedPreconditionError
from tests.cli.conftest import Run
from tests.declarations.examples import LAND
from tests.serving import RunningServer

IDENTIFIER = "registries.land.feeds.holders.records[0].identifiers[1]"


@pytest.fixture
def land(tmp_path: Path) -> Path:
    path = tmp_path / "land.toml"
    path.write_text(LAND, encoding="utf-8")
    return path


def at(server: RunningServer) -> tuple[str, str]:
    return "--server", server.address


def test_a_file_in_good_order_passes(mdm: Run, land: Path) -> None:
    checked = mdm("registry", "check", land)
    assert (checked.returncode, checked.stdout) == (0, "land.toml: in good order\n")


def test_faults_are_told_with_line_rule_and_hint(mdm: Run, land: Path) -> None:
    land.write_text(LAND.replace("trust_rank", "trust_rnk").replace('"passport"', '"pasport"'), encoding="utf-8")
    checked = mdm("registry", "check", land)
    assert checked.returncode == 1
    types = get_args(IdentifierTypeName)
    assert checked.stdout.splitlines() == [
        "land.toml:4: fault: registries.land.trust_rnk: is no key of this section (did you mean trust_rank?)",
        f"land.toml:12: fault: {IDENTIFIER}.type: must be one of {', '.join(sorted(types))} (did you mean passport?)",
        "land.toml:2: fault: registries.land.trust_rank: is missing",
    ]


def test_warnings_alone_pass_and_both_come_as_json(mdm: Run, land: Path) -> None:
    land.write_text(LAND.replace('nam = "M"', 'nam = "anh"'), encoding="utf-8")
    checked = mdm("registry", "check", land, "--json")
    assert checked.returncode == 0
    found = json.loads(checked.stdout)
    assert found["faults"] == []
    (warning,) = found["warnings"]
    assert (warning["line"], warning["path"].rpartition(".")[2]) == (16, "nam")


@pytest.mark.parametrize("text", ["", "[registries", "registries = 1"])
def test_a_file_that_is_none_is_told_in_a_line(mdm: Run, land: Path, text: str) -> None:
    land.write_text(text, encoding="utf-8")
    checked = mdm("registry", "check", land)
    assert checked.returncode == 1
    assert len(checked.stdout.splitlines()) == 1


def test_a_missing_file_is_wrong_usage(mdm: Run) -> None:
    assert mdm("registry", "check", "nowhere.toml").returncode == 2


def test_a_registry_is_added_loaded_and_shown_without_a_file_on_the_client(
    mdm: Run, server: RunningServer, land: Path, tmp_path: Path
) -> None:
    dry = mdm("registry", "add", land, "--dry-run", *at(server))
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.splitlines() == ["land: added", "nothing was changed: this was a dry run"]
    unknown = mdm("load", "land.holders", land, *at(server))
    assert unknown.returncode == 2
    assert "hospital.patients" in unknown.stderr

    added = mdm("registry", "add", land, "--reason", "decree 12", "--json", *at(server))
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["token"]
    feed = tmp_path / "holders.csv"
    feed.write_text("record_id,holder_type,holder_name\n1,1,Hồ Lan\n2,2,Công ty An Phú\n3,9,Tàu\n", encoding="utf-8")
    loaded = mdm("load", "land.holders", feed, "--json", *at(server))
    assert loaded.returncode == 3, loaded.stderr
    summary = json.loads(loaded.stdout)
    assert summary["records"]["created"] == 2
    assert summary["rejected_by_rule"] == {"when: fulfils the condition of no record of this feed": 1}
    dry_load = mdm("load", "land.holders", feed, "--dry-run", "--json", *at(server))
    assert json.loads(dry_load.stdout)["upserts" if "upserts" in dry_load.stdout else "upsert_count"] == 2

    listed = mdm("registry", "list", *at(server))
    assert "  5  land  Land-use right holders\n       land.holders: business, citizen\n" in listed.stdout
    shown = mdm("registry", "show", "land", *at(server))
    (tmp_path / "again.toml").write_text(shown.stdout, encoding="utf-8")
    again = mdm("registry", "add", "again.toml", "--dry-run", *at(server))
    assert again.stdout.splitlines() == ["nothing would change"]
    assert "decree 12" in shown.stderr
    assert mdm("registry", "show", "lands", *at(server)).returncode == 2


def test_a_change_that_leaves_records_under_their_ids_is_warned_of(
    mdm: Run, server: RunningServer, land: Path, tmp_path: Path
) -> None:
    mdm("registry", "add", land, *at(server))
    feed = tmp_path / "holders.csv"
    feed.write_text("record_id,holder_type,holder_name\nSTAYS,1,Hồ Lan\n", encoding="utf-8")
    mdm("load", "land.holders", feed, *at(server))
    warned = "records of a feed that goes, or whose record_id changes, stay under their ids until they are deleted"
    feed_header = "[registries.land.feeds.holders]\n"
    for change, is_warned in [
        ((feed_header, f'{feed_header}record_id = "plot"\n'), True),
        (("feeds.holders", "feeds.owners"), True),
        (("trust_rank = 5", "trust_rank = 6"), False),
    ]:
        text = (
            LAND
            if feed_header in LAND
            else LAND.replace("[[registries.land.feeds", f"{feed_header}[[registries.land.feeds", 1)
        )
        land.write_text(text.replace(*change), encoding="utf-8")
        dry = mdm("registry", "add", land, "--dry-run", *at(server))
        assert dry.returncode == 0, dry.stderr
        assert (warned in dry.stdout) is is_warned, dry.stdout


def test_the_later_of_two_operators_does_not_win_unseen(mdm: Run, server: RunningServer, land: Path) -> None:
    mine, theirs = land.with_name("mine.toml"), LAND.replace("trust_rank = 5", "trust_rank = 7").encode()
    with Client(server.address) as client:
        client.configuration.activate(LAND.encode())
        mine.write_text(mdm("registry", "show", *at(server)).stdout, encoding="utf-8")
        made_from, _, rest = mine.read_text(encoding="utf-8").partition("\n")
        digest = client.configuration.activate(theirs).digest
        refused = mdm("registry", "add", mine, "--full", *at(server))
        assert (refused.returncode, "DECISION_STALE" in refused.stderr) == (1, True), refused.stderr
        old = made_from.removeprefix("# made from ")
        with pytest.raises(FailedPreconditionError, match="DECISION_STALE"):
            client.configuration.activate(rest.encode(), is_whole=True, is_dry_run=True, etag=old)
    mine.write_text(f"# made from {digest}\n{rest}", encoding="utf-8")
    done = mdm("registry", "add", mine, "--full", *at(server))
    assert (done.returncode, "trust_rank: 7 → 5" in done.stdout, done.stderr) == (0, True, "")


def test_taking_away_what_has_records_is_refused_in_a_line(mdm: Run, server: RunningServer, land: Path) -> None:
    mdm("registry", "add", land, *at(server))
    only = land.with_name("only.toml")
    only.write_text(LAND.replace("registries.land", "registries.plots"), encoding="utf-8")
    refused = mdm("registry", "add", only, "--full", *at(server))
    assert refused.returncode == 1
    assert "does not say what it was made from" in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("mdm: ")
