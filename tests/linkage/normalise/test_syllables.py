"""Which words are Vietnamese syllables, and how each is spelled for comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.syllables import finished_typing, is_syllable, word_of

SETTLED = [
    ("hoà", "hòa", "tone on the first vowel of an open syllable"),
    ("hòa", "hòa", "already there"),
    ("thuý", "thúy", "uy"),
    ("quý", "quí", "the u of qu is no vowel; i for y"),
    ("quí", "quí", "i for y"),
    ("Lý", "lí", "i for y"),
    ("Mỹ", "mĩ", "i for y"),
    ("Vy", "vi", "i for y"),
    ("Thy", "thi", "i for y"),
    ("Thúy", "thúy", "y after another vowel stays"),
    ("hòan", "hoàn", "closed syllables carry it on the last vowel"),
    ("Nguỹên", "nguyễn", "a vowel with a mark of its own carries the tone"),
    ("khuỷu", "khuỷu", "three vowels"),
    ("giàu", "giàu", "the i of gi is no vowel here"),
    ("Gìn", "gìn", "and is one here"),
    ("Huỳnh", "huỳnh", "closed uy"),
    ("Ðức", "đức", "the Icelandic D"),
    ("José", "josé", "a foreign word stays as it is"),
]
TYPED = [
    ("Nguyeenx", "nguyễn", "telex"),
    ("Vawn", "văn", "telex"),
    ("Hungf", "hùng", "telex"),
    ("DDuwcs", "đức", "telex"),
    ("Dduwowngf", "đường", "telex, the horn typed twice"),
    ("Nguye64n", "nguyễn", "VNI typing"),
    ("Va8n", "văn", "VNI typing"),
    ("Hu2ng", "hùng", "VNI typing"),
    ("D9u71c", "đức", "VNI typing with three marks"),
    ("Loan", None, "a syllable already"),
    ("Hoa", None, "a syllable already"),
    ("Smith", None, "becomes no syllable"),
    ("", None, "nothing"),
]
SAME_SOUND = [
    ("duong", "giuong", "d and gi"),
    ("vinh", "dinh", "v and d"),
    ("tan", "tang", "final n and ng"),
    ("phat", "phac", "final t and c"),
    ("son", "xon", "s and x"),
    ("trinh", "chinh", "tr and ch"),
    ("ly", "li", "y and i"),
    ("hoang", "huynh", "one character in north and south"),
    ("vu", "vo", "one character in north and south"),
    ("phuoc", "phuc", "one character in north and south"),
    ("quang", "hoang", None),
]
LEGAL = ["nguyễn", "quỳnh", "thuở", "quốc", "giếng", "gì", "uyên", "y", "anh", "khuya", "nguyen", "hoang", "quýt"]
ILLEGAL = ["vieät", "buøi", "josé", "müller", "nguyeenx", "hu2ng", "phát̀", "càc", "", "smith", "niê"]


@pytest.mark.parametrize(("word", "settled", "reason"), SETTLED, ids=[case[0] for case in SETTLED])
def test_a_word_has_one_spelling(word: str, settled: str, reason: str) -> None:
    assert word_of(word).accented == settled, reason


@pytest.mark.parametrize(("token", "meant", "reason"), TYPED, ids=[case[0] or "empty" for case in TYPED])
def test_unfinished_typing_is_finished(token: str, meant: str | None, reason: str) -> None:
    assert finished_typing(token) == meant, reason


@pytest.mark.parametrize("word", LEGAL)
def test_a_syllable_is_legal(word: str) -> None:
    assert is_syllable(word)


@pytest.mark.parametrize("word", ILLEGAL)
def test_anything_else_is_not(word: str) -> None:
    assert not is_syllable(word)


@pytest.mark.parametrize(("left", "right", "reason"), SAME_SOUND, ids=[f"{case[0]} {case[1]}" for case in SAME_SOUND])
def test_southern_sounds_fall_together(left: str, right: str, reason: str | None) -> None:
    assert (word_of(left).phonetic == word_of(right).phonetic) == (reason is not None)


@given(st.text(max_size=30))
def test_settling_a_word_twice_changes_nothing_and_never_fails(text: str) -> None:
    once = word_of(text)
    if once.is_legal:
        assert word_of(once.accented).accented == once.accented
    assert finished_typing(text) is None or is_syllable(finished_typing(text) or "")
