"""Text is repaired and folded alike however it was encoded."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.text import clean, digits, fold

CLEANED = [
    ("Nguyễn  Văn\u00a0An ", "Nguyễn Văn An", "spaces collapse, no-break spaces too"),
    (unicodedata.normalize("NFD", "Nguyễn Thị Hòa"), "Nguyễn Thị Hòa", "five of 8,757 public names are decomposed"),
    ("Nguy\u200bễn\u200e An\ufeff", "Nguyễn An", "zero-width characters and direction marks"),
    ("O\u2019Brien", "O'Brien", "typographic apostrophes"),
    ("a\x00b\tc", "a b c", "control characters separate"),
    ("An\ud800", "An", "a lone surrogate cannot be stored"),
    ("Nguyá»…n VÄƒn Ã\x81nh", "Nguyễn Văn Ánh", "UTF-8 read as CP1252"),
    ("Lê Hà", "Lê Hà", "Latin-1 text that is no UTF-8 stays"),
]

FOLDED = [
    ("Đặng Thị Hòa", "dang thi hoa", "the Vietnamese D"),
    ("Anh Ðức", "anh duc", "U+00D0, the Icelandic letter typed for Đ"),
    ("ðức ɖức", "duc duc", "its lower case, and the African one"),
    ("O’Brien-Smith", "o brien smith", "punctuation separates"),
    (unicodedata.normalize("NFD", "Huỳnh"), "huynh", "decomposed text folds alike"),
    ("ＡＢ１", "ab1", "full-width letters"),
    ("王", "wang", "other scripts are transliterated"),
    ("!?", "", "nothing is left of signs"),
]


@pytest.mark.parametrize(("raw", "cleaned", "reason"), CLEANED, ids=[case[2] for case in CLEANED])
def test_text_is_cleaned(raw: str, cleaned: str, reason: str) -> None:
    assert clean(raw, 256) == (cleaned, False), reason


@pytest.mark.parametrize(("raw", "folded", "reason"), FOLDED, ids=[case[2] for case in FOLDED])
def test_text_is_folded(raw: str, folded: str, reason: str) -> None:
    assert fold(raw) == folded, reason


def test_text_is_cut_at_its_limit_and_says_so() -> None:
    assert clean("ê" * 256, 256) == ("ê" * 256, False)
    assert clean("ê" * 257, 256) == ("ê" * 256, True)
    assert clean("e" * 256, 256) == ("e" * 256, False)
    assert clean("e" * 257, 256) == ("e" * 256, True)
    decomposed = unicodedata.normalize("NFD", "ễ") * 256
    assert clean(decomposed, 256) == ("ễ" * 256, False), "length counts after composition"


def test_digits_of_other_scripts_are_digits() -> None:
    assert digits("０７９-185") == "079185"
    assert digits("²3") == "3", "a superscript is no digit"


@given(st.text(alphabet=st.characters(), max_size=200))
def test_folding_gives_words_of_a_to_z_and_digits_for_any_text(text: str) -> None:
    folded = fold(text)
    assert all(character == " " or (character.isascii() and character.isalnum()) for character in folded)
    assert folded == folded.lower() == " ".join(folded.split())
    assert fold(folded) == folded
