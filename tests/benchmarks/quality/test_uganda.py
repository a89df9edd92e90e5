"""Uganda's patients as features."""

from __future__ import annotations

from benchmarks.quality.people import Row
from benchmarks.quality.uganda import SPECIFICATION, UgandaFeatures, features_of
from mdm.linkage.blocking import blocking_keys

ROW: Row = {
    "sex": "f",
    "date_of_birth": "190302 02",
    "given_name": "ever lyn",
    "surname": "kengazi",
    "phone_number": "712 521621",
}


def test_a_row_becomes_features() -> None:
    assert features_of(ROW) == UgandaFeatures(
        given="everlyn",
        given_sound="e164",
        surname="kengazi",
        surname_sound="k522",
        sex="f",
        birth_date="19030202",
        birth_year="1903",
        birth_day="0202",
        phone="712521621",
    )
    nothing = features_of(dict.fromkeys(ROW))
    assert nothing == UgandaFeatures()
    assert not blocking_keys(nothing), "silence joins nobody"
    assert features_of(ROW | {"sex": "k"}).sex is None, "a slip is no third sex"


def test_slips_in_a_phone_and_in_both_names_still_meet() -> None:
    slipped = features_of(
        ROW | {"given_name": "everlin", "surname": "kengasi", "phone_number": None, "date_of_birth": None}
    )
    shared = set(blocking_keys(features_of(ROW))) & set(blocking_keys(slipped))
    assert {SPECIFICATION.blocking_rules[index][0] for index, _ in shared} == {"sounds"}
    dialled = features_of(ROW | {"surname": None, "date_of_birth": None, "phone_number": "712 521l21"})
    shared = set(blocking_keys(features_of(ROW))) & set(blocking_keys(dialled))
    assert {SPECIFICATION.blocking_rules[index][0] for index, _ in shared} == {"given_and_exchange"}
