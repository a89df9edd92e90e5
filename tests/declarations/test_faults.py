"""Every fault of a registries file is found, at its place; what is well formed has none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mdm.config import check_declaration, parse_declaration
from mdm.declarations.lines import KeyLines
from mdm.declarations.sections import Declaration
from mdm.errors import ConfigurationError
from mdm.linkage.normalise.record import knows_value
from tests.declarations.examples import LAND

HOLDERS = "registries.land.feeds.holders"
CITIZEN = f"{HOLDERS}.records[0]"
BUSINESS = f"{HOLDERS}.records[2]"
CODES = "translations ="


def found(text: str) -> list[tuple[str, str]]:

    return [fault[:2] for fault in check_declaration(text.encode(), knows_value) if not fault.is_warning]


def suspected(text: str) -> list[str]:
    return [fault.path for fault in check_declaration(text.encode(), knows_value) if fault.is_warning]


def test_a_file_in_good_order_has_neither_faults_nor_warnings() -> None:
    assert check_declaration(LAND.encode(), knows_value) == []


def test_the_file_that_ships_has_neither_faults_nor_warnings(project_root: Path) -> None:
    assert check_declaration((project_root / "mdm" / "registries.toml").read_bytes(), knows_value) == []


FAULTS = [
    # The change, where its fault is told, and a word of the rule.
    ("trust_rank = 5", "trust_rank = 0", "registries.land.trust_rank", "at least 1"),
    ("trust_rank = 5", "", "registries.land.trust_rank", "missing"),
    ("trust_rank = 5", 'trust_rank = "5"', "registries.land.trust_rank", "whole number"),
    ("trust_rank = 5", "trust_rank = 5\ntrust = 1", "registries.land.trust", "no key"),
    ('title = "Land-use right holders"', "title = 7", "registries.land.title", "text"),
    ('kind = "citizen"\nwhen', 'kind = "person"\nwhen', f"{CITIZEN}.kind", "must be one of business, citizen"),
    ("registries.land", "registries.Land", "registries.Land", "must match"),
    ("feeds.holders", "feeds.Holders", "registries.land.feeds.Holders", "must match"),
    ("{ full_name =", "{ fullname =", f"{CITIZEN}.fields.fullname", "must be one of"),
    ('full_name = "holder_name"', 'full_name = ""', f"{CITIZEN}.fields.full_name", "name a column"),
    ('full_name = "holder_name"', "full_name = []", f"{CITIZEN}.fields.full_name", "name a column"),
    ('full_name = "holder_name"', "full_name = 1", f"{CITIZEN}.fields.full_name", "text"),
    ('phones = ["phone"]', 'phones = "phone"', f"{CITIZEN}.phones", "list"),
    ('phones = ["phone"]', "phones = [1]", f"{CITIZEN}.phones[0]", "text"),
    ('"passport"', '"pasport"', f"{CITIZEN}.identifiers[1].type", "must be one of"),
    ('assurance = "sighted" },\n]', 'assurance = "seen" },\n]', f"{CITIZEN}.identifiers[1].assurance", "chip_read"),
    (', text = ["house", "street"]', "", f"{CITIZEN}.addresses[0]", "text or ward_code"),
    (', one_of = ["1"]', "", f"{CITIZEN}.when", "must say one_of"),
    ('one_of = ["1"]', 'pattern = "("', f"{CITIZEN}.when.pattern", "regular expression"),
    ('one_of = ["1"]', 'one_of = ["1", "2"]', f"{HOLDERS}.records[1].kind", "may be declared once"),
    ('nam = "M",', 'nam = "M", Nam = "M",', f"{CITIZEN}.translations.sex", "letter case"),
    ("is_same_record_id = true", "is_same_record_id = 1", f"{BUSINESS}.relations[0].is_same_record_id", "true"),
    ('name = "agent_name", is_same', "is_same", f"{BUSINESS}.relations[0]", "who the other is"),
    (CODES, f"date_patterns = {{ sex = '(?P<year>)' }}\n{CODES}", f"{CITIZEN}.date_patterns.sex", "birth_date"),
    (CODES, f"date_patterns = {{ birth_date = '..' }}\n{CODES}", f"{CITIZEN}.date_patterns.birth_date", "year"),
    ("\n[registries.land]", "\n[other]\n[registries.land]", "other", "no"),
    ("\n[registries.land]", "\n[stewardship]\ntwo_person_records_min = 1\n[registries.land]",
     "stewardship.two_person_records_min", "at least 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "path", "word"), FAULTS, ids=[f"{i}-{case[2]}" for i, case in enumerate(FAULTS)]
)
def test_a_fault_is_told_with_its_key_and_rule(old: str, new: str, path: str, word: str) -> None:
    assert old in LAND
    faults = dict(found(LAND.replace(old, new)))
    assert path in faults
    assert word in faults[path]


def test_all_faults_are_told_at_once() -> None:
    broken = LAND.replace("trust_rank = 5", "trust_rank = 0").replace('full_name = "holder', 'fullname = "holder')
    other = (
        '\n[registries.Tax]\ntitle = "Tax"\ntrust_rank = 6\n[[registries.Tax.feeds.payers.records]]\nkind = "citizen"\n'
    )
    paths = [path for path, _ in found(broken + other)]
    assert paths == ["registries.land.trust_rank", f"{CITIZEN}.fields.fullname", "registries.Tax"]
    with pytest.raises(ConfigurationError) as caught:
        parse_declaration((broken + other).encode())
    assert [caught.value.field, *(field for field, _ in caught.value.others)] == paths


def test_a_near_miss_gets_the_word_that_was_meant() -> None:
    (fault,) = check_declaration(LAND.replace("{ full_name =", "{ ful_name =").encode(), knows_value)[:1]
    assert fault.hint == "did you mean full_name?"


def test_a_file_without_faults_converts_and_one_with_faults_of_form_does_not() -> None:
    # The walk and msgspec must agree on what is well formed.
    parse_declaration(LAND.encode())
    for old, new, *_ in FAULTS[:5]:
        with pytest.raises(ConfigurationError):
            parse_declaration(LAND.replace(old, new).encode())


SUSPICIONS = [
    ('identifiers = [{ type = "personal_id", column = "agent_id", assurance = "stated" }]\n', "",
     f"{HOLDERS}.records[1].identifiers"),
    (', column = "document_no", assurance = "sighted" },', ', column = "document_no" },',
     f"{CITIZEN}.identifiers[0].assurance"),
    ('sex = { nam = "M"', 'sex = { nam = "nam giới"', f"{CITIZEN}.translations.sex.nam"),
    ('"passport_no"', '"document_no"', CITIZEN),
    ('"agent_name", birth_date = "agent_birth_date"', '"agent_name"', f"{HOLDERS}.records[1].fields.birth_date"),
    ('{ legal_name = "holder_name" }', "{}", f"{HOLDERS}.records[2].fields.legal_name"),
    (', sex = "gender"', "", f"{CITIZEN}.translations.sex"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path"), SUSPICIONS, ids=[case[2] for case in SUSPICIONS])
def test_what_is_allowed_but_suspicious_is_a_warning(old: str, new: str, path: str) -> None:
    assert old in LAND
    assert suspected(LAND.replace(old, new)) == [path]
    assert found(LAND.replace(old, new)) == []


def test_two_registries_of_one_rank_are_suspicious() -> None:
    other = LAND.replace("registries.land", "registries.plots")
    assert suspected(LAND + other) == ["registries.land.trust_rank", "registries.plots.trust_rank"]


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a = ", b"a.b" * 1000 + b" = 1", b"# " + b"x\n" * 60_000, b"a = " + b"[" * 900]
)
def test_bytes_that_are_no_file_are_one_fault(body: bytes) -> None:
    assert len(check_declaration(body, knows_value)) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (f"{CITIZEN}.identifiers[1].assurance", 'type = "passport"'),
        (f"{CITIZEN}.translations.sex.nam", "translations ="),
        (f"{HOLDERS}.records[1].required", 'required = "agent_name"'),
        (f"{HOLDERS}.records[2].fields", "legal_name"),
        ("registries.land.trust_rank", "trust_rank = 5"),
        ("registries.land.trust", "[registries.land]"),
    ],
)
def test_a_key_is_found_in_its_line(path: str, line: str) -> None:
    number = KeyLines(LAND).line_of(path)
    assert number is not None
    assert line in LAND.split("\n")[number - 1]


def test_a_key_of_a_section_that_is_not_there_has_no_line() -> None:
    assert KeyLines(LAND).line_of("stewardship.two_person_records_min") is None


def test_a_declaration_survives_its_stored_form() -> None:
    declared = parse_declaration(LAND.encode())
    assert msgspec.json.decode(msgspec.json.encode(declared), type=Declaration) == declared


@pytest.mark.parametrize("text", ["", "[registries]\n"])
def test_a_file_that_declares_nothing_is_at_fault(text: str) -> None:
    assert found(text) == [("registries", "must declare at least one registry")]
    assert found(text + "[stewardship]\ntwo_person_records_min = 3\n") == []
