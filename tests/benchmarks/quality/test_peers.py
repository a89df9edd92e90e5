"""Peers on the same rows: what they are given, and what they answer where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.ceilings.started import told_by
from benchmarks.quality.cities import CityKind
from benchmarks.quality.datasets import Linkage, Workshop
from benchmarks.quality.metrics import Agreement, pair_quality
from benchmarks.quality.peers.rows import business_row, citizen_row, plain_rows
from benchmarks.quality.peers.runs import PEERS, link_with_peers
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import BusinessAttributes, CitizenAttributes, Identifier, IdentifierType, SourceRecord
from tests.benchmarks.quality.conftest import options

CITIZEN, BUSINESS = EntityKind.CITIZEN, EntityKind.BUSINESS


@pytest.mark.parametrize(
    ("written", "plain", "year"),
    [
        ("1987-03-05", "1987-03-05", "1987"),
        ("05/03/1987", "1987-03-05", "1987"),
        ("198703050830", "1987-03-05", "1987"),
        ("1987", None, "1987"),
        ("19870000", None, "1987"),
        ("03/1987", None, "1987"),
        ("31/02/1987", None, "1987"),
        ("", None, None),
    ],
)
def test_birth_dates_of_every_registry_become_one_format(written: str, plain: str | None, year: str | None) -> None:
    source = SourceRecord(SourceKey("hospital", CITIZEN, "1"), CitizenAttributes(birth_date=written))
    assert (citizen_row(source)["birth_date"], citizen_row(source)["birth_year"]) == (plain, year)


def test_a_citizen_is_cleaned_plainly_and_nothing_more() -> None:
    attributes = CitizenAttributes(
        full_name=" NGUYỄN  Văn AN ",
        sex="M",
        identifiers=(
            Identifier(IdentifierType.PERSONAL_ID, "079 187 000123"),
            Identifier(IdentifierType.HEALTH_CARD, "DN4797912345678"),
        ),
        phones=("+84 903 123 456",),
    )
    row = citizen_row(SourceRecord(SourceKey("hospital", CITIZEN, "1"), attributes))
    assert row == {
        "full_name": "nguyễn văn an",
        "surname": "nguyễn",
        "given_name": "an",
        "birth_date": None,
        "birth_year": None,
        "sex": "m",
        "personal_id": "079187000123",
        "insurance_number": "7912345678",
        "phone": "0903123456",
        "address": None,
        "ward_code": None,
    }


def test_a_firm_is_cleaned_plainly() -> None:
    attributes = BusinessAttributes(
        legal_name="CTY TNHH  An Phát", identifiers=(Identifier(IdentifierType.TAX_CODE, "0301234567-001"),)
    )
    row = business_row(SourceRecord(SourceKey("company", BUSINESS, "1"), attributes))
    assert (row["legal_name"], row["tax_code"], row["phone"]) == ("cty tnhh an phát", "0301234567-001", None)


def linked(city: CityKind, kind: EntityKind, scratch: Path, said: list[str], *peers: str) -> Iterator[Linkage]:
    workshop = Workshop(scratch, None, options("--peers", *peers), said.append)
    return link_with_peers(kind, plain_rows(kind, city.sources), city.truth, workshop)


def test_plain_splink_links_most_of_a_small_city(small_city: dict[EntityKind, CityKind], tmp_path: Path) -> None:
    city = small_city[BUSINESS]
    linkages = list(linked(city, BUSINESS, tmp_path, [], "splink_stock"))
    first = linkages[0]
    assert (first.way, first.facts["threshold"]) == ("splink_stock", "0.95")
    assert first.seconds["predict_and_cluster"] > 0
    qualities = [pair_quality(Agreement(city.truth, each.clusters).all(), 1).f1.value for each in linkages]
    assert qualities[0] > 0.6
    assert qualities[-1] == max(qualities)


def test_a_peer_that_is_not_installed_is_named_and_left_out(
    small_city: dict[EntityKind, CityKind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "record_linkage", "a_library_that_nobody_has")
    said: list[str] = []
    assert list(linked(small_city[BUSINESS], BUSINESS, tmp_path, said, "record_linkage")) == []
    assert "a_library_that_nobody_has is not installed" in said[-1]


@pytest.mark.parametrize(
    ("peer", "seconds_max", "reason"),
    [("no_such_module", 60.0, "ended with 1: "), ("splink_stock", 0.01, "took more than 0.01 s")],
)
def test_a_peer_that_fails_or_takes_too_long_is_named_and_left_out(
    peer: str,
    seconds_max: float,
    reason: str,
    small_city: dict[EntityKind, CityKind],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PEERS, "no_such_module", "sys")
    city, said, asked = small_city[BUSINESS], list[str](), options("--peer-seconds-max", str(seconds_max))
    asked.peers = [peer]
    rows, workshop = plain_rows(BUSINESS, city.sources), Workshop(tmp_path, None, asked, said.append)
    assert list(link_with_peers(BUSINESS, rows, city.truth, workshop)) == []
    assert f"{peer} left out: {reason}" in said[-1]


@pytest.mark.parametrize("peer", ["record_linkage", "golden_match"])
def test_other_peers_put_every_row_into_a_cluster(
    peer: str, small_city: dict[EntityKind, CityKind], tmp_path: Path
) -> None:
    if find_spec(PEERS[peer]) is None:
        pytest.skip(f"{PEERS[peer]} is not installed; it comes with the extra `peers`")
    city = small_city[CITIZEN]
    (found,) = linked(city, CITIZEN, tmp_path, [], peer)
    assert pair_quality(Agreement(city.truth, found.clusters).all(), 1).f1.value > 0.5


def test_goldenmatchs_server_is_asked_record_by_record(small_city: dict[EntityKind, CityKind], tmp_path: Path) -> None:
    if find_spec(PEERS["golden_match"]) is None:
        pytest.skip("goldenmatch is not installed; it comes with the extra `peers`")
    rows = tmp_path / "rows.parquet"
    pq.write_table(plain_rows(CITIZEN, small_city[CITIZEN].sources[:200]), rows)
    told = told_by("quality.peers.golden_match_server", rows, 3)
    assert told["rows"] == 200
    assert len(told["match_ms"]) == 3
    assert all(each > 0 for each in told["match_ms"])
