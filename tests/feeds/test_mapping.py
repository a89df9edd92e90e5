from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from mdm.config import Configuration, parse_declaration
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
)
from mdm.errors import ConfigurationError, FeedFileError, UnknownRegistryError
from mdm.feeds.mapping import DeleteOperation, Operation, RowMapper, UpsertOperation, read_column_names
from mdm.feeds.reading import Row
from mdm.feeds.rejects import Reject
from mdm.limits import FEED_CELL_CHARACTERS_MAX, RECORD_VALUES_MAX
from mdm.linkage.normalise.record import normalise


def operations(feed: str, **cells: str) -> tuple[Operation, ...] | Reject:
    mapper = RowMapper(Configuration.load(), feed, tuple(cells))
    return mapper.operations(Row(2, tuple(cells.values())))


def attributes(feed: str, kind: EntityKind, **cells: str) -> Any:
    found = operations(feed, **cells)
    assert isinstance(found, tuple)
    (record,) = (item.record for item in found if isinstance(item, UpsertOperation) and item.record.key.kind is kind)
    return record.attributes


def test_a_patient_row_becomes_a_citizen_record() -> None:
    found = operations(
        "hospital.patients",
        record_id="P1", facility_id="BV1", full_name="CON BÀ LAN", birth_date="20260102", sex="2",
        personal_id="079190000001", health_card="TE1;TE2", phone="0903", address="1 Lê Lợi", ward_code="26740",
        guardian_name="Hồ Lan", guardian_relation="mẹ", guardian_personal_id="079190000001", guardian_phone="0903",
        birth_order="1/2", updated_at="2026-01-03",
    )  # fmt: skip
    assert isinstance(found, tuple)
    (operation,) = found
    assert isinstance(operation, UpsertOperation)
    assert operation.record.key == SourceKey("hospital", EntityKind.CITIZEN, "P1")
    assert operation.record.updated_at == "2026-01-03"
    assert operation.record.attributes == CitizenAttributes(
        full_name="CON BÀ LAN",
        birth_date="20260102",
        sex="F",
        birth_order="1/2",
        facility_id="BV1",
        identifiers=(
            Identifier(IdentifierType.PERSONAL_ID, "079190000001", Assurance.STATED),
            Identifier(IdentifierType.HEALTH_CARD, "TE1", Assurance.STATED),
            Identifier(IdentifierType.HEALTH_CARD, "TE2", Assurance.STATED),
        ),
        phones=("0903",),
        addresses=(Address(AddressKind.CONTACT, "1 Lê Lợi", "26740"),),
        relations=(
            Relation(
                RelationType.GUARDIAN,
                name="Hồ Lan",
                role="mẹ",
                phone="0903",
                identifiers=(Identifier(IdentifierType.PERSONAL_ID, "079190000001", Assurance.GUARDIAN),),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("form", "tax_code", "relations"),
    [
        ("company", "0312345678", {(RelationType.LEGAL_REPRESENTATIVE, "D1", ())}),
        ("branch", "0312345678-001", {
            (RelationType.LEGAL_REPRESENTATIVE, "D1", ()),
            (RelationType.BRANCH_OF, "", ("0312345678",)),
        }),
        ("branch", "0312345678001", {
            (RelationType.LEGAL_REPRESENTATIVE, "D1", ()),
            (RelationType.BRANCH_OF, "", ("0312345678",)),
        }),
        ("branch", "unreadable", {(RelationType.LEGAL_REPRESENTATIVE, "D1", ())}),
        ("household_business", "079080001234", {(RelationType.OWNER, "D1", ("079080001234",))}),
        ("household_business", "8312345678", {(RelationType.OWNER, "D1", ())}),
        ("", "0312345678", {(RelationType.LEGAL_REPRESENTATIVE, "D1", ())}),
    ],
)  # fmt: skip
def test_a_company_row_is_related_by_its_form(form: str, tax_code: str, relations: set[Any]) -> None:
    found = attributes(
        "company.businesses",
        EntityKind.BUSINESS,
        record_id="D1",
        form=form,
        tax_code=tax_code,
        legal_name="X",
        representative_name="Hồ Lan",
    )
    assert isinstance(found, BusinessAttributes)
    assert {
        (item.type, item.record_id, tuple(one.value for one in item.identifiers)) for item in found.relations
    } == relations


@pytest.mark.parametrize("name", ["", "  "])
def test_a_company_without_a_representative_withdraws_the_citizen(name: str) -> None:
    found = operations("company.businesses", record_id="D1", legal_name="X", representative_name=name)
    assert isinstance(found, tuple)
    upsert, delete = found
    assert isinstance(upsert, UpsertOperation)
    assert upsert.record.attributes.relations == ()
    assert delete == DeleteOperation(SourceKey("company", EntityKind.CITIZEN, "D1"), is_implied=True)


def test_a_delete_row_withdraws_every_record_of_the_row() -> None:
    found = operations("company.businesses", record_id="D1", operation="DELETE", legal_name="")
    assert isinstance(found, tuple)
    assert {type(item) for item in found} == {DeleteOperation}
    assert len(found) == 2


@pytest.mark.parametrize(
    ("column", "assurance"), [("personal_id", Assurance.CHIP_READ), ("old_personal_id", Assurance.SIGHTED)]
)
def test_a_registry_says_how_far_its_identifiers_are_believed(column: str, assurance: Assurance) -> None:
    found = attributes("household.residents", EntityKind.CITIZEN, **{"record_id": "1", column: "079080001234"})
    assert [item.assurance for item in found.identifiers] == [assurance]


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"record_id": ""}, "record_id"),
        ({"record_id": "  "}, "record_id"),
        ({"record_id": "x" * 129}, "record_id"),
        ({"record_id": "1", "operation": "remove"}, "operation"),
        ({"record_id": "1", "entity_kind": "business"}, "entity_kind"),
        ({"record_id": "1", "entity_kind": "ship"}, "entity_kind"),
    ],
)
def test_a_row_that_cannot_be_a_record_is_set_aside(cells: dict[str, str], field: str) -> None:
    found = operations("hospital.patients", **cells)
    assert isinstance(found, Reject)
    assert (found.line, found.field) == (2, field)
    assert found.row == tuple(cells.values())


def test_a_stated_kind_yields_that_record_alone() -> None:
    found = operations("company.businesses", record_id="1", entity_kind="business", representative_name="Hồ Lan")
    assert isinstance(found, tuple)
    assert [type(item) for item in found] == [UpsertOperation]


def test_the_later_of_two_rows_with_one_record_id_is_set_aside() -> None:
    mapper = RowMapper(Configuration.load(), "hospital.patients", ("record_id",))
    composed, decomposed = (unicodedata.normalize(form, "Bệnh") for form in ("NFC", "NFD"))
    assert isinstance(mapper.operations(Row(2, (composed,))), tuple)
    assert isinstance(mapper.operations(Row(3, ("other",))), tuple)
    again = mapper.operations(Row(4, (decomposed,)))
    assert isinstance(again, Reject)
    assert (again.line, again.field) == (4, "record_id")


def test_spaces_around_a_record_id_are_no_part_of_it() -> None:
    mapper = RowMapper(Configuration.load(), "social_security.insured", ("record_id", "employer_id", "operation"))
    (upsert,) = found if isinstance(found := mapper.operations(Row(2, (" X033\u00a0", " E1 ", ""))), tuple) else ()
    assert isinstance(upsert, UpsertOperation)
    assert upsert.record.key.record_id == "X033"
    assert [relation.record_id for relation in upsert.record.attributes.relations] == ["E1"]
    (delete,) = found if isinstance(found := mapper.operations(Row(3, ("X034 ", "", "delete"))), tuple) else ()
    assert isinstance(delete, DeleteOperation)
    assert delete.key.record_id == "X034"
    assert mapper.has_seen("citizen", "X033")
    assert not mapper.has_seen("citizen", " X033\u00a0"), "one stored so before is absent from the file"
    assert isinstance(mapper.operations(Row(4, ("X033", "", ""))), Reject)


@pytest.mark.parametrize("size", [2, 5, 9])
def test_rows_that_are_mapped_together_are_mapped_as_each_alone(size: int) -> None:
    columns = ("record_id", "legal_name", "representative_name", "form", "operation", "entity_kind", "updated_at")
    cells = [
        ("1", "Cty A", "Hồ Lan", "company", "", "", "2026-01-01"),
        ("2", "Cty B", "", "branch", "", "", "2026-01-02"),  # withdraws its representative
        ("3", "Cty C", "Lê An", "", "", "citizen", "2026-01-03"),
        ("4", "Cty D", "Lê Ba", "", "", "business", "2026-01-04"),
        ("5", "Cty E", "Lê Tư", "", "delete", "", "2026-01-05"),
        ("", "Cty F", "Lê Năm", "", "", "", ""),
        ("1", "Cty A2", "Hồ Lan", "", "", "", ""),
        ("8", "Cty H", "Lê Tám", "", "remove", "", ""),
        ("9", "Cty I", "Lê Chín", "household_business", " Upsert ", "", "2026-01-09"),
    ]
    rows = [Row(number, row) for number, row in enumerate(cells, start=2)]
    alone, together = (RowMapper(Configuration.load(), "company.businesses", columns) for _ in range(2))
    expected = [alone.operations(row) for row in rows]
    assert [found if isinstance(found, Reject) else len(found) for found in expected[:5]] == [2, 2, 1, 1, 2]
    assert [type(found) for found in expected[5:]] == [Reject, Reject, Reject, tuple]
    batches = [together.batch(rows[start : start + size]) for start in range(0, len(rows), size)]
    assert [found for batch in batches for found in batch] == expected


def test_many_record_ids_are_told_apart() -> None:
    mapper = RowMapper(Configuration.load(), "hospital.patients", ("record_id",))
    rows = [mapper.operations(Row(number, (f"P{number % 5000}",))) for number in range(10_000)]
    assert [isinstance(row, Reject) for row in rows] == [False] * 5000 + [True] * 5000


def test_a_record_id_is_brought_to_normal_form() -> None:
    found = operations("hospital.patients", record_id=unicodedata.normalize("NFD", "Bệnh-1"))
    assert isinstance(found, tuple)
    assert isinstance(found[0], UpsertOperation)
    assert found[0].record.key.record_id == "Bệnh-1"


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        ({"birth_date": "31/02/1990"}, {"birth_date": "31/02/1990"}),
        ({"full_name": " hồ  lan "}, {"full_name": " hồ  lan "}),
        ({"sex": "5"}, {"sex": "5"}),
        ({"full_name": "x" * 9000}, {"full_name": "x" * FEED_CELL_CHARACTERS_MAX}),
    ],
)
def test_a_bad_value_never_costs_the_record(cells: dict[str, str], seen: dict[str, str]) -> None:
    found = attributes("hospital.patients", EntityKind.CITIZEN, record_id="1", **cells)
    assert {name: getattr(found, name) for name in seen} == seen


def test_more_values_than_a_record_may_carry_stay_within_its_bound() -> None:
    cards = ";".join(f"TE{number}" for number in range(50))
    found = attributes("hospital.patients", EntityKind.CITIZEN, record_id="1", personal_id="1", health_card=cards)
    assert len(found.identifiers) <= RECORD_VALUES_MAX
    assert ";".join(item.value for item in found.identifiers[1:]) == cards


def test_more_columns_of_values_than_a_record_may_carry_stay_within_its_bound() -> None:
    cards = ", ".join(f'{{ type = "health_card", column = "card_{number}", separator = ";" }}' for number in range(4))
    phones = ", ".join(f'"phone_{number}"' for number in range(4))
    configuration = Configuration.of(
        parse_declaration(
            f"""
            [registries.cards]
            title = "Cards"
            trust_rank = 7

            [[registries.cards.feeds.holders.records]]
            kind = "citizen"
            fields = {{ full_name = "name" }}
            identifiers = [{cards}]
            phones = [{phones}]
            phone_separator = ";"
            relations = [{{ type = "guardian", name = "guardian", identifiers = [{cards}] }}]
            """.encode()
        )
    )
    stated = {name: ";".join(f"{name} {place}" for place in range(9)) for name in ("card_0", "card_1", "card_2")}
    stated |= {name.replace("card", "phone"): text for name, text in stated.items()}
    cells = {"record_id": "1", "name": "Lan", "guardian": "Hồ Lan", **stated}
    operations = RowMapper(configuration, "cards.holders", tuple(cells)).operations(Row(2, tuple(cells.values())))
    assert isinstance(operations, tuple)
    (operation,) = operations
    assert isinstance(operation, UpsertOperation)
    found: Any = operation.record.attributes
    (relation,) = found.relations
    for values in ([item.value for item in found.identifiers], [item.value for item in relation.identifiers]):
        assert len(values) == RECORD_VALUES_MAX
        assert ";".join(values) == ";".join(text for name, text in stated.items() if name.startswith("card"))
    assert len(found.phones) == RECORD_VALUES_MAX
    assert ";".join(found.phones) == ";".join(text for name, text in stated.items() if name.startswith("phone"))
    issues = {(issue.field, issue.rule) for issue in normalise(operation.record).issues}
    assert ("health_card", "holds something that is no health card") in issues


FIRMS = """
[registries.tax]
title = "Tax office"
trust_rank = 5
[[registries.tax.feeds.firms.records]]
kind = "business"
fields = { legal_name = "name" }
former_names = ["old_name", "older_names"]
former_name_separator = ";"
"""


def test_former_names_of_a_firm_are_read_from_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "registries.toml"
    path.write_text(FIRMS, encoding="utf-8")
    mapper = RowMapper(Configuration.load(path), "tax.firms", ("record_id", "name", "old_name", "older_names"))
    found = mapper.operations(Row(2, ("1", "An Phát", "", "An Bình; ;An Hòa")))
    assert isinstance(found, tuple)
    assert isinstance(found[0], UpsertOperation)
    assert found[0].record.attributes == BusinessAttributes(legal_name="An Phát", former_names=("An Bình", "An Hòa"))


def test_a_related_id_that_no_record_can_have_is_left_out() -> None:
    found = attributes("social_security.insured", EntityKind.CITIZEN, record_id="1", employer_id="x" * 200)
    assert [item.record_id for item in found.relations] == [""]


def test_a_file_without_record_ids_says_what_it_found_and_how_to_name_it() -> None:
    with pytest.raises(FeedFileError, match=r"no column record_id; found MA_BN, HO_TEN.*--mapping"):
        RowMapper(Configuration.load(), "hospital.patients", ("MA_BN", "HO_TEN"))


def test_a_row_that_stands_in_a_header_s_place_is_not_shown() -> None:
    with pytest.raises(FeedFileError) as caught:
        RowMapper(Configuration.load(), "hospital.patients", ("BV001", "Lê Văn Ba", "1980-01-02"))
    assert "found 3 columns of other names, or a file without a header" in str(caught.value)
    assert not any(value in str(caught.value) for value in ("BV001", "Ba", "1980"))


def test_unknown_columns_are_named_and_ignored() -> None:
    mapper = RowMapper(Configuration.load(), "hospital.patients", ("record_id", "colour", "operation"))
    assert mapper.unknown_columns == ("colour",)


RESIDENTS = ("record_id", "personal_id", "full_name", "birth_date", "ethnicity", "household_id", "father_name")


def test_a_file_of_another_feed_is_refused_by_its_columns() -> None:
    with pytest.raises(
        FeedFileError, match=r"^hospital\.patients: .*household\.residents: of 7 it has 7, and this feed 4\..*--mapping"
    ):
        RowMapper(Configuration.load(), "hospital.patients", RESIDENTS)
    with pytest.raises(FeedFileError, match=r"household\.residents: of 7 it has 7"):
        RowMapper(Configuration.load(), "social_security.employers", RESIDENTS)
    with pytest.raises(FeedFileError, match=r"household\.residents: of 7 it has 7"):
        RowMapper(Configuration.load(), "hospital.patients", (*RESIDENTS, "clerk", "office", "remark"))


@pytest.mark.parametrize(
    ("feed", "columns"),
    [
        ("household.residents", RESIDENTS),
        ("hospital.patients", ("record_id", "full_name", "ethnicity")),
        (
            "hospital.patients",
            (
                "record_id",
                "full_name",
                "birth_date",
                "sex",
                "phone",
                "nationality",
                "personal_id",
                "ethnicity",
                "household_id",
            ),
        ),
        ("hospital.patients", ("record_id", "bed", "ward", "diagnosis", "admitted_at")),
    ],
    ids=["its own", "one column more", "two columns more", "nobody's"],
)
def test_a_file_with_columns_that_its_feed_lacks_is_taken(feed: str, columns: tuple[str, ...]) -> None:
    assert RowMapper(Configuration.load(), feed, columns).registry == feed.partition(".")[0]


def test_a_mapping_says_whose_a_file_is(tmp_path: Path) -> None:
    names = mapping(tmp_path, 'record_id = "record_id"\n')
    assert "ethnicity" in RowMapper(Configuration.load(), "hospital.patients", RESIDENTS, names).unknown_columns


def test_an_unknown_feed_is_refused() -> None:
    with pytest.raises(UnknownRegistryError):
        RowMapper(Configuration.load(), "hospital.visits", ("record_id",))


def mapping(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "his.toml"
    path.write_text(text, encoding="utf-8")
    return read_column_names(path, Configuration.load().feed("hospital.patients"))


def test_a_file_with_other_column_names_is_read_through_a_mapping(tmp_path: Path) -> None:
    names = mapping(tmp_path, 'record_id = "MA_BN"\nfull_name = "HO_TEN"\n')
    mapper = RowMapper(Configuration.load(), "hospital.patients", ("HO_TEN", "MA_BN"), names)
    found = mapper.operations(Row(2, ("Hồ Lan", "P1")))
    assert isinstance(found, tuple)
    assert isinstance(found[0], UpsertOperation)
    assert isinstance(found[0].record.attributes, CitizenAttributes)
    assert (found[0].record.key.record_id, found[0].record.attributes.full_name) == ("P1", "Hồ Lan")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('ma_bn = "MA_BN"', "ma_bn"),
        ("record_id = 7", "record_id"),
        ('record_id = "A"\nfull_name = "A"', "two columns"),
        ("record_id =", "TOML"),
    ],
)
def test_a_mistake_in_a_mapping_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        mapping(tmp_path, text)


def test_a_mapping_to_a_column_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedFileError, match="MA_BN"):
        RowMapper(Configuration.load(), "hospital.patients", ("record_id",), mapping(tmp_path, 'record_id = "MA_BN"'))
