"""Words typed in fonts older than Unicode: VNI, TCVN3, and Windows-1258 read with the wrong code page.

A repair is only a proposal: the caller takes it when it makes a legal Vietnamese syllable of a word that was none.
Source of the tables: viparse 0.1.31 (MIT), `viparse.normalize.vni` and `.tcvn3`; VNI's rule is written out here, which
also gives the one letter that was not observed there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from mdm.linkage.normalise.memory import REMEMBERED_MAX

_ACUTE, _GRAVE, _HOOK, _TILDE, _DOT = "\u0301", "\u0300", "\u0309", "\u0303", "\u0323"
_CIRCUMFLEX, _BREVE = "\u0302", "\u0306"

# VNI writes a vowel and then a mark; lower case only, for the caller compares without case.
_VNI_TONES = {"ù": _ACUTE, "ø": _GRAVE, "û": _HOOK, "õ": _TILDE, "ï": _DOT}
_VNI_CIRCUMFLEX = {"â": "", "á": _ACUTE, "à": _GRAVE, "å": _HOOK, "ã": _TILDE, "ä": _DOT}
_VNI_BREVE = {"ê": "", "é": _ACUTE, "è": _GRAVE, "ú": _HOOK, "ü": _TILDE, "ë": _DOT}
_VNI_SINGLE = {"ñ": "đ", "ô": "ơ", "ö": "ư", "ò": "ị", "æ": "ỉ", "ó": "ĩ"}

_TCVN3_LEGACY = "¡¢£¤¥¦§¨©ª«¬\u00ad®µ¸¶·¹»¾¼½ÆÇÊÈÉËÌÐÎÏÑÒÕÓÔÖ×ÝØÜÞßãáâäåèæçéêíëìîïóñòôõøö÷ùúýûüþ"
_TCVN3_UNICODE = "ăâêôơưđăâêôơưđàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ"
_TCVN3 = dict(zip(map(ord, _TCVN3_LEGACY), _TCVN3_UNICODE, strict=True))


def _vni_pairs() -> Iterator[tuple[str, str]]:
    for base, letter in [
        ("a", "a"),
        ("e", "e"),
        ("o", "o"),
        ("u", "u"),
        ("y", "y"),
        ("i", "i"),
        ("ô", "ơ"),
        ("ö", "ư"),
    ]:
        yield from ((base + mark, letter + tone) for mark, tone in _VNI_TONES.items())
    for base in "aeo":
        yield from ((base + mark, base + _CIRCUMFLEX + tone) for mark, tone in _VNI_CIRCUMFLEX.items())
    yield from (("a" + mark, "a" + _BREVE + tone) for mark, tone in _VNI_BREVE.items())


_VNI_PAIRS = {legacy: unicodedata.normalize("NFC", letter) for legacy, letter in _vni_pairs()}


def _from_vni(word: str) -> str:
    word = word.lower()
    converted = []
    position = 0
    while position < len(word):
        pair = _VNI_PAIRS.get(word[position : position + 2])
        converted.append(pair or _VNI_SINGLE.get(word[position], word[position]))
        position += 2 if pair else 1
    return "".join(converted)


def _from_tcvn3(word: str) -> str:
    return word.translate(_TCVN3).lower()


def _from_cp1258(word: str) -> str:
    return unicodedata.normalize("NFC", word.encode("cp1252").decode("cp1258")).lower()


def _from_vni_read_as_cp1250(word: str) -> str:
    return _from_vni(word.encode("cp1250").decode("cp1252"))


def _from_vni_read_as_cp1258(word: str) -> str:
    return _from_vni(word.encode("cp1258").decode("cp1252"))


_CONVERTERS: tuple[Callable[[str], str], ...] = (
    _from_vni,
    _from_tcvn3,
    _from_cp1258,
    _from_vni_read_as_cp1250,
    _from_vni_read_as_cp1258,
)
CONVERTER_COUNT = len(_CONVERTERS)


@lru_cache(maxsize=REMEMBERED_MAX)
def converted(word: str, converter: int) -> str | None:
    """Return `word` in lower-case NFC as legacy font number `converter` would have meant it, None if it could not."""
    try:
        result = unicodedata.normalize("NFC", _CONVERTERS[converter](word))
    except UnicodeError:
        return None
    return None if result == word.lower() else result
