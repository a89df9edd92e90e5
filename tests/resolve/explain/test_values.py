"""What a comparison used and what the registry wrote stand side by side, for every comparison of both kinds."""

from __future__ import annotations

import msgspec
import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import Assurance, CitizenAttributes, Identifier, IdentifierType, SourceRecord
from mdm.linkage.normalise.record import normalise
from mdm.linkage.predicates import columns
from mdm.linkage.specification import specification_of
from mdm.resolve.explain.values import COLUMNS, used_values, written_values
from tests.resolve.cities import city_records
from tests.resolve.office import citizen

DERIVED = {
    # Flags, and columns that the normaliser derives from those that are shown.
    *("is_misspelt", "is_newborn_alias", "is_filler_birth_date", "nationality", "given", "given_accented"),
    *("name_rotated", "name_sorted", "name_regional", "name_short", "name_words", "name_abbreviated"),
    *("birth_date_swapped", "birth_date_exact", "personal_id", "phone", "tax_code", "tax_group", "seat"),
    *("name_initials", "name_distinct_words", "name_cover", "name_numbers", "name_distinct"),
}


@pytest.mark.parametrize("kind", EntityKind)
def test_every_comparison_shows_the_columns_that_its_levels_read(kind: EntityKind) -> None:
    specification = specification_of(kind)
    assert {name for of_kind, name in COLUMNS if of_kind is kind} == {
        comparison.name for comparison in specification.comparisons
    }
    fields = {field.name for field in msgspec.structs.fields(specification.features_type)}
    for comparison in specification.comparisons:
        read = {
            column for level in comparison.levels if level.predicate is not None for column in columns(level.predicate)
        }
        shown = set(COLUMNS[kind, comparison.name])
        assert shown <= fields
        assert read - shown <= DERIVED | {"birth_date", "name"}, comparison.name


def test_both_sides_of_a_value_are_shown() -> None:
    record = citizen("P1", "NGUYỄN THỊ HOA", "05/03/1987", personal_id="079187000123", insurance="7912345678")
    features = normalise(record).features
    found = written_values(record)
    assert found["name"] == ("NGUYỄN THỊ HOA",)
    assert used_values(EntityKind.CITIZEN, "name", features) == ("nguyen thi hoa",)
    assert (found["birth"], used_values(EntityKind.CITIZEN, "birth", features)) == (
        ("05/03/1987",),
        ("1987-03-05", "1987"),
    )
    assert found["personal_id"] == used_values(EntityKind.CITIZEN, "personal_id", features) == ("079187000123",)
    assert found["insurance_number"] == ("7912345678",)
    assert used_values(EntityKind.CITIZEN, "employer", features) == found["employer"] == ()


def written(*identifiers: Identifier) -> dict[str, tuple[str, ...]]:
    attributes = CitizenAttributes(identifiers=identifiers)
    return written_values(SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "P"), attributes))


def test_a_guardians_number_is_shown_with_the_family() -> None:
    found = written(Identifier(IdentifierType.PERSONAL_ID, "079187000123", Assurance.GUARDIAN))
    assert (found["personal_id"], found["family"]) == ((), ("079187000123",))


def test_a_personal_id_in_the_insurance_field_is_shown_with_both() -> None:
    found = written(Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, "079187000123"))
    assert found["personal_id"] == found["insurance_number"] == ("079187000123",)
    found = written(Identifier(IdentifierType.HEALTH_CARD, "DN4797912345678"))
    assert (found["personal_id"], found["insurance_number"]) == ((), ("DN4797912345678",))


def test_a_value_that_was_used_was_written() -> None:
    # Employers are written as record ids, households and addresses in parts: the others stand or fall together.
    compared = {"name", "birth", "sex", "personal_id", "insurance_number", "tax_code"}
    seen = 0
    for record in city_records(60, 7):
        features = normalise(record).features
        found = written_values(record)
        for kind, comparison in COLUMNS:
            if kind is record.key.kind and comparison in compared and used_values(kind, comparison, features):
                assert found[comparison], (record.key.registry, comparison)
                seen += 1
    assert seen > 500
