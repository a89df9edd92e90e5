"""A citizen's numbers are read alike in every field that may hold them."""

from __future__ import annotations

import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import Assurance, CitizenAttributes, Identifier, IdentifierType, SourceRecord
from mdm.linkage.features import CitizenFeatures, FieldIssue
from mdm.linkage.normalise.record import normalise

HOA_ID = "079185001234"


def stating(type_: IdentifierType, written: str) -> tuple[CitizenFeatures, tuple[FieldIssue, ...]]:
    attributes = CitizenAttributes(identifiers=(Identifier(type_, written, Assurance.STATED),))
    result = normalise(SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "r1"), attributes))
    assert isinstance(result.features, CitizenFeatures)
    return result.features, result.issues


SPREADSHEET_NUMBERS = [HOA_ID, f"{HOA_ID}.0", f"{HOA_ID},00", HOA_ID[1:], f"{HOA_ID[1:]}.0"]


@pytest.mark.parametrize("type_", sorted(set(IdentifierType) - {IdentifierType.PASSPORT}))
def test_a_personal_id_is_read_as_a_spreadsheet_writes_it_in_every_field(type_: IdentifierType) -> None:
    for written in SPREADSHEET_NUMBERS:
        features, issues = stating(type_, written)
        assert (features.personal_ids, features.insurance_numbers, issues) == ((HOA_ID,), (), ()), written


@pytest.mark.parametrize("type_", IdentifierType)
@pytest.mark.parametrize("written", ["7.9e+10", "7,9E+10", "8E+10", "7.918500123E+10", "7.912345678e+9"])
def test_a_number_whose_digits_are_lost_is_nobody_s(type_: IdentifierType, written: str) -> None:
    features, issues = stating(type_, written)
    assert features == CitizenFeatures()
    assert [issue.field for issue in issues] == [type_.value]


def test_an_old_tax_code_of_a_person_is_neither_evidence_nor_a_fault() -> None:
    features, issues = stating(IdentifierType.TAX_CODE, "0312687878")
    assert (features, issues) == (CitizenFeatures(), ())
