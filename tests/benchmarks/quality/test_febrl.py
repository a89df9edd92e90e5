"""FEBRL's invented Australians as features, and the one thing that is known of them beforehand."""

from __future__ import annotations

from benchmarks.quality.febrl import SPECIFICATION, FebrlFeatures, features_of
from benchmarks.quality.people import Row
from mdm.linkage.blocking import blocking_keys
from mdm.linkage.evidence import veto

ROW: Row = {
    "file": "febrl4a",
    "given_name": "jack",
    "surname": "de bono",
    "street_number": "22",
    "address_1": "musson close",
    "address_2": "glen ayre",
    "suburb": "coledale",
    "postcode": "3977",
    "state": "wa",
    "date_of_birth": "19650917",
}
NOTHING: Row = dict.fromkeys(ROW) | {"file": "febrl4a"}


def test_a_row_becomes_features() -> None:
    assert features_of(ROW) == FebrlFeatures(
        file="febrl4a",
        given="jack",
        surname="debono",
        surname_sound="d150",
        birth_date="19650917",
        birth_year="1965",
        birth_day="0917",
        street_number="22",
        street="mussonclose",
        premises="glenayre",
        suburb="coledale",
        postcode="3977",
        state="wa",
    )
    assert features_of(NOTHING) == FebrlFeatures(file="febrl4a")
    assert not blocking_keys(features_of(NOTHING)), "silence joins nobody"


def test_exchanged_names_and_address_lines_still_meet() -> None:
    exchanged = ROW | {
        "given_name": ROW["surname"],
        "surname": ROW["given_name"],
        "address_1": ROW["address_2"],
        "address_2": ROW["address_1"],
    }
    shared = set(blocking_keys(features_of(ROW))) & set(blocking_keys(features_of(exchanged)))
    rules = {SPECIFICATION.blocking_rules[index][0] for index, _ in shared}
    assert {"names", "street_and_suburb", "street_and_postcode"} <= rules


def test_two_rows_of_one_file_are_two_people() -> None:
    one, other = features_of(ROW), features_of(ROW | {"file": "febrl4b"})
    assert veto(one, one) == "same_file"
    assert veto(one, other) is None
