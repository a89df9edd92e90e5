"""Names typed in fonts older than Unicode come back as Vietnamese."""

from __future__ import annotations

import unicodedata

import pytest

from mdm.linkage.normalise.legacy import CONVERTER_COUNT, converted
from mdm.linkage.normalise.syllables import is_syllable

WORDS = [
    ("Buøi", "bùi", "VNI"),
    ("Vieät", "việt", "VNI"),
    ("Truøng", "trùng", "VNI"),
    ("Ñoã", "đỗ", "VNI, its single letter for đ"),
    ("Döông", "dương", "VNI, its single letters for ư and ơ"),
    ("Tuyeát", "tuyết", "VNI"),
    ("NGUYEÃN", "nguyễn", "VNI in capitals"),
    ("haúng", "hẳng", "VNI, the letter that public tables lack"),
    ("NguyÔn", "nguyễn", "TCVN3"),
    ("TrÇn", "trần", "TCVN3"),
    ("§Æng", "đặng", "TCVN3 in capitals"),
    ("Th\u00admg", None, "a soft hyphen alone is not enough"),
    ("NguyêÞn", "nguyễn", "Windows-1258 read as Windows-1252"),
    ("TrâÌn", "trần", "Windows-1258 read as Windows-1252"),
    ("Buři", "bùi", "VNI read as Windows-1250"),
]


@pytest.mark.parametrize(("word", "meant", "font"), WORDS, ids=[f"{case[2]} {case[0]}" for case in WORDS])
def test_a_legacy_word_becomes_the_syllable_it_meant(word: str, meant: str | None, font: str) -> None:
    found = [fixed for index in range(CONVERTER_COUNT) if (fixed := converted(word, index)) and is_syllable(fixed)]
    assert (found[0] if found else None) == meant, font


@pytest.mark.parametrize("table", ["vni", "tcvn3"])
def test_the_tables_agree_with_the_public_ones(table: str) -> None:
    charmap = pytest.importorskip(f"viparse.normalize.{table}", reason="viparse is not installed")
    converter = 0 if table == "vni" else 1
    pairs = charmap.VNI.pairs if table == "vni" else charmap.TCVN3.pairs
    assert len(pairs) > 60
    for legacy, letter in pairs:
        got = converted(legacy, converter)
        # A letter that is itself in both codes is no conversion.
        assert (legacy.lower() if got is None else got) == unicodedata.normalize("NFC", letter.lower())


@pytest.mark.parametrize("word", ["\ud800", "", "\0", "王", "ø" * 300])
def test_no_text_breaks_a_conversion(word: str) -> None:
    for index in range(CONVERTER_COUNT):
        result = converted(word, index)
        assert result is None or isinstance(result, str)
