from __future__ import annotations

import random

import pytest

from mdm.domain.keys import (
    GOLDEN_ID_LENGTH,
    GOLDEN_ID_PATTERN,
    GOLDEN_ID_RANDOM_BITS,
    EntityKind,
    SourceKey,
    golden_id,
    kind_of,
    parse_golden_id,
)
from mdm.errors import InvalidGoldenIdError, InvalidSourceKeyError
from mdm.limits import RECORD_ID_BYTES_MAX

SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
EXAMPLES = [golden_id(kind, bits) for kind in EntityKind for bits in (0, 1, 2**60 - 1, 0x123456789ABCDEF)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_golden_id_has_the_published_form(example: str) -> None:
    assert GOLDEN_ID_PATTERN.fullmatch(example)
    assert len(example) == GOLDEN_ID_LENGTH
    assert parse_golden_id(example) == example


def test_different_bits_give_different_golden_ids_of_their_kind() -> None:
    rng = random.Random(5)
    bits = {rng.getrandbits(GOLDEN_ID_RANDOM_BITS) for _ in range(2000)}
    ids = {golden_id(kind, each) for kind in EntityKind for each in bits}

    assert len(ids) == 2 * len(bits)
    assert kind_of(golden_id(EntityKind.CITIZEN, 7)) is EntityKind.CITIZEN
    assert kind_of(golden_id(EntityKind.BUSINESS, 7)) is EntityKind.BUSINESS


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_single_wrong_character_is_caught(example: str) -> None:
    for place, right in enumerate(example):
        for wrong in SYMBOLS if right != "-" else "":
            if wrong != right:
                with pytest.raises(InvalidGoldenIdError):
                    parse_golden_id(example[:place] + wrong + example[place + 1 :])


def test_case_hyphens_and_spaces_around_do_not_matter() -> None:
    example = golden_id(EntityKind.CITIZEN, 0xABCDEF123456789)
    for written in (example.lower(), example.replace("-", ""), f"  {example}\n", example.replace("-", "--")):
        assert parse_golden_id(written) == example


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("C", "a letter alone"),
        (EXAMPLES[0][:-1], "one character short"),
        (EXAMPLES[0] + "0", "one character long"),
        ("X" + EXAMPLES[0][1:], "no such kind"),
        ("C-OOOO-0000-0000-0", "O is no Crockford symbol"),
        ("C 0000 0000 0000 0", "spaces inside"),
        ("C-٠٠٠٠-0000-0000-0", "digits of another script"),
        ("C-\u00df000-0000-0000", "upper-casing makes two characters of one"),
    ],
)
def test_what_is_no_golden_id_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidGoldenIdError) as caught:
        parse_golden_id(text)
    assert caught.value.field == "golden_id"


def test_a_foreign_letter_that_upper_case_turns_into_a_latin_one_is_refused() -> None:
    example = next(each for bits in range(10_000) if "S" in (each := golden_id(EntityKind.CITIZEN, bits))[2:-1])
    with pytest.raises(InvalidGoldenIdError):
        parse_golden_id(example.replace("S", "\u017f"))


def test_a_well_formed_source_key_is_returned_as_it_is() -> None:
    for record_id in ("BN-1", " 1 ", "Đ" * (RECORD_ID_BYTES_MAX // 2), "a\u0300".replace("a\u0300", "à")):
        key = SourceKey("hospital", EntityKind.CITIZEN, record_id)
        assert key.checked() is key


@pytest.mark.parametrize(
    ("registry", "record_id", "field"),
    [
        ("Hospital", "1", "registry"),
        ("h", "1", "registry"),
        ("1hospital", "1", "registry"),
        ("hospital\n", "1", "registry"),
        ("h" * 33, "1", "registry"),
        ("hospital", "", "record_id"),
        ("hospital", "a\0b", "record_id"),
        ("hospital", "a\u0300", "record_id"),
        ("hospital", "\ud800", "record_id"),
        ("hospital", "x" * (RECORD_ID_BYTES_MAX + 1), "record_id"),
        ("hospital", "Đ" * (RECORD_ID_BYTES_MAX // 2) + "x", "record_id"),
    ],
)
def test_a_malformed_source_key_names_its_field(registry: str, record_id: str, field: str) -> None:
    with pytest.raises(InvalidSourceKeyError) as caught:
        SourceKey(registry, EntityKind.CITIZEN, record_id).checked()
    assert caught.value.field == field
