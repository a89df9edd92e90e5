"""Unicode repair and the ASCII fold that every comparison stands on.

Nothing here knows names, addresses or firms; all functions accept any `str`, lone surrogates included.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from anyascii import anyascii

from mdm.linkage.normalise.memory import REMEMBERED_MAX

_CUT_MARGIN = 4
"""Canonical composition shortens Vietnamese text to no less than a third, so four times the limit loses nothing."""

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u0060\u00b4\uff07\u2032", "'"))
_NEEDS_REPAIR = re.compile(
    "[\u0080-\u009f\u2018\u2019\u201b\u02bc\u02b9\u0060\u00b4\uff07\u2032\x00-\x1f\x7f]"
    "|[ÂÃÄÅÆá][\u0080-\u00bf\u0152-\u02dc\u2013-\u2122]|" + _INVISIBLE.pattern
)
# Most values need none of the repairs: of text that can be printed, only this might, and one class is quickly sought.
_PRINTS_AND_MAY_NEED_REPAIR = re.compile("[ÂÃÄÅÆá\u2018\u2019\u201b\u02bc\u02b9\u0060\u00b4\uff07\u2032]")
_WORDS = re.compile(r"[a-z0-9]+")
_SPREADSHEET = re.compile(r"\s*(?:(\d{6,})[.,]0{1,2}|\d[.,]\d+[eE]\+?\d+)\s*")
"""A number as a decimal, without or with lost digits."""

# Every Latin-1 position that CP1252 shows as another character, so that text which was UTF-8 read as CP1252
# can be turned back into its bytes, the five undefined positions included.
_CP1252_TO_LATIN1 = {
    ord(bytes([byte]).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}


def _fold_table() -> dict[int, str]:
    table = {code: chr(code).lower() for code in range(128)}
    for code in [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]:
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii() and base.isalpha():
            table[code] = base.lower()
    # Icelandic eth and African d stand in for the Vietnamese D with stroke in many old lists.
    table |= dict.fromkeys(map(ord, "ĐđÐðƉɖ"), "d")
    table |= dict.fromkeys(range(0x300, 0x370), "")
    table[0xAD] = ""
    return table


FOLD = _fold_table()
"""Translates to lower-case ASCII whatever Latin letter has one, and removes marks that stand alone."""


def clean(text: str, characters_max: int) -> tuple[str, bool]:
    """Return `text` in NFC without invisible characters, spaces collapsed, and whether it had to be cut.

    Undoes UTF-8 that was read as CP1252. Soft hyphens stay, because one old font writes a letter with them.
    """
    if text.isprintable() and (
        text.isascii() or (len(text) <= characters_max * _CUT_MARGIN and not _PRINTS_AND_MAY_NEED_REPAIR.search(text))
    ):
        text = unicodedata.normalize("NFC", text)
        # What prints holds no other white space.
        if "  " in text or text[:1] == " " or text[-1:] == " ":
            text = " ".join(text.split())
        return (text, False) if len(text) <= characters_max else (text[:characters_max].rstrip(), True)
    is_cut = len(text) > characters_max * _CUT_MARGIN
    text = text[: characters_max * _CUT_MARGIN]
    if _NEEDS_REPAIR.search(text):
        text = _CONTROLS.sub(" ", _INVISIBLE.sub("", _utf8_read_as_cp1252(text).translate(_APOSTROPHES)))
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return text[:characters_max].rstrip(), is_cut or len(text) > characters_max


def _utf8_read_as_cp1252(text: str) -> str:
    try:
        repaired = text.translate(_CP1252_TO_LATIN1).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
    return repaired


def fold(text: str) -> str:
    """Return `text` as words of a-z and 0-9 separated by one space: no marks, no case, no punctuation."""
    return " ".join(fold_words(text))


def fold_words(text: str) -> list[str]:
    """Return the words of `fold(text)`."""
    return _WORDS.findall(fold_punctuated(text))


def fold_punctuated(text: str) -> str:
    """Return `text` in lower-case ASCII with its punctuation and spaces kept, for texts whose commas mean something."""
    folded = text.translate(FOLD)
    if folded.isascii():
        return folded
    return _transliterate(folded)


@lru_cache(maxsize=REMEMBERED_MAX)
def _transliterate(text: str) -> str:
    return anyascii(text).lower()


def digits(text: str) -> str:
    """Return the decimal digits of `text` as ASCII, full-width and other scripts' digits included."""
    if text.isascii():
        return text if text.isdigit() else "".join(character for character in text if character.isdigit())
    return "".join(str(unicodedata.decimal(character)) for character in text if character.isdecimal())


def whole_number(text: str) -> str:
    """Return the number that a spreadsheet wrote as a decimal, other text as it is.

    The 0 of `22345678.0` is no digit of it; `2.2345678E+7` has lost its digits, and is nothing.
    """
    decimal = _SPREADSHEET.fullmatch(text) if "." in text or "," in text else None
    return text if decimal is None else decimal[1] or ""
