"""What a Vietnamese word may look like, and the one spelling of it that comparisons use.

A word is legal when it is one Vietnamese syllable, with or without its marks. Repairs of legacy fonts and of
unfinished typing are taken only when they turn an illegal word into a legal one.
Source of the rhyme table: the closed set of Vietnamese rhymes as taught in school spelling books.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.text import fold

_ONSETS = ("ngh", "ng", "nh", "gh", "gi", "kh", "ph", "qu", "th", "tr", "ch", *"bcdđghklmnprstvx", "")
_RHYMES = frozenset(
    """
    a ac ach ai am an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt âc âm ân âng âp ât âu ây
    e ec em en eng eo ep et ê êch êm ên ênh êp êt êu i ia ich iêc iêm iên iêng iêp iêt iêu im in inh ip it iu
    o oa oac oach oai oam oan oang oanh oao oap oat oay oăc oăm oăn oăng oăt oc oe oen oeo oet oi om on ong oong op ot
    ô ôc ôi ôm ôn ông ôp ôt ơ ơi ơm ơn ơp ơt u ua uân uâng uât uây uc uê uêch uênh uêu ui um un ung uôc uôi uôm uôn uông
    uôt up ut uơ uy uya uych uyên uyêt uyn uynh uyp uyt uyu ư ưa ưc ưi ưng ươc ươi ươm ươn ương ươp ươt ươu ưt ưu
    y yêm yên yêng yêt yêu ynh yt
    """.split()
)
_RHYMES_FOLDED = frozenset(fold(rhyme) for rhyme in _RHYMES)
_TONES = {"\u0300", "\u0301", "\u0303", "\u0309", "\u0323"}
_STOPS = ("c", "ch", "p", "t")
_STOP_TONES = {"", "\u0301", "\u0323"}
_QUALITY_VOWELS = "ăâêôơư"
_VOWELS = frozenset("aeiouy" + _QUALITY_VOWELS)
_D_VARIANTS = str.maketrans({"ð": "đ", "ɖ": "đ", "\u00ad": ""})

_TELEX_TONES = {"s": "\u0301", "f": "\u0300", "r": "\u0309", "x": "\u0303", "j": "\u0323"}
_VNI_TONES = {"1": "\u0301", "2": "\u0300", "3": "\u0309", "4": "\u0303", "5": "\u0323"}
_VNI_MARKS = {"6": {"a": "â", "e": "ê", "o": "ô"}, "7": {"o": "ơ", "u": "ư"}, "8": {"a": "ă"}, "9": {"d": "đ"}}
_TYPED_MARKS = re.compile(r"[a-z]+[1-9][a-z1-9]*")


class Word(NamedTuple):
    """One word of a name in the forms that comparisons use."""

    accented: str
    """Lower-case NFC, tone mark placed by rule, open-syllable y written i."""
    folded: str
    phonetic: str
    """Southern speech: sounds that a southern clerk cannot tell apart fall together. For blocking only."""
    regional: str
    """Folded, southern and northern forms of one character ("huynh", "hoang") as one."""
    is_legal: bool
    """Whether it is a Vietnamese syllable, with or without its marks."""


def split_tone(word: str) -> tuple[str, str] | None:
    """Return a lower-case word without its tone mark and the mark ("" for none); None if it carries several."""
    decomposed = unicodedata.normalize("NFD", word)
    marks = [character for character in decomposed if character in _TONES]
    if not marks:
        return word, ""
    if len(marks) > 1:
        return None
    return unicodedata.normalize("NFC", decomposed.replace(marks[0], "")), marks[0]


def _has_rhyme(base: str, rhymes: frozenset[str]) -> bool:
    return any(base.startswith(onset) and base[len(onset) :] in rhymes for onset in _ONSETS) or base == "gi"


@lru_cache(maxsize=REMEMBERED_MAX)
def is_syllable(word: str) -> bool:
    """Whether a lower-case NFC word is one Vietnamese syllable; a word without any mark may have lost its marks."""
    if word.isascii():
        return word.isalpha() and _has_rhyme(word, _RHYMES_FOLDED)
    parts = split_tone(word)
    if parts is None:
        return False
    base, tone = parts
    # Only two tones exist before a stop; "no tone" there is a lost mark.
    if base.endswith(_STOPS) and tone not in _STOP_TONES:
        return False
    return _has_rhyme(base, _RHYMES)


def place_tone(base: str, tone: str) -> str:
    """Return a lower-case toneless syllable with its tone mark where the first-vowel rule puts it: "hòa", "quý".

    A vowel with a quality mark carries the tone; else the last vowel of a closed syllable, the first of two or the
    second of three vowels of an open one.
    """
    if not tone:
        return base
    start = 2 if base.startswith("qu") and len(base) > 2 else 0  # noqa: PLR2004 the u of qu is no vowel
    if base.startswith("gi") and len(base) > 2 and base[2] in _VOWELS:  # noqa: PLR2004 nor is the i of gi before one
        start = 2
    positions = [index for index in range(start, len(base)) if base[index] in _VOWELS]
    if not positions:
        return base
    marked = [index for index in positions if base[index] in _QUALITY_VOWELS]
    if marked:
        place = marked[-1]
    elif positions[-1] < len(base) - 1:
        place = positions[-1]
    else:
        place = positions[0] if len(positions) <= 2 else positions[1]  # noqa: PLR2004 two vowels, three vowels
    return unicodedata.normalize("NFC", base[: place + 1] + tone + base[place + 1 :])


# "Quình" is "Quỳnh" as "Mĩ" is "Mỹ": after a glide the two letters are one vowel.
_CLOSED_QUI = re.compile(r"^qui(?=nh?$|t$)")
_OPEN_Y = re.compile(r"^(?:[bcdđghklmnprstvx]|th|ph|kh|tr|ch|nh|qu)y$")


def _settled(word: str) -> str:
    parts = split_tone(word)
    if parts is None:
        return word
    base, tone = parts
    if _OPEN_Y.match(base):
        base = base[:-1] + "i"
    return place_tone(_CLOSED_QUI.sub("quy", base), tone)


# Southern speech, source: the spelling slips seen in public name lists of the city (d/gi/v, s/x, ch/tr, n/ng, t/c).
_INITIAL_SOUNDS = (
    ("kh", "kh"),
    ("ngh", "ng"),
    ("gh", "g"),
    ("qu", "w"),
    ("tr", "c"),
    ("ch", "c"),
    ("ph", "f"),
    ("v", "d"),
    ("x", "s"),
    ("k", "c"),
)
_FINAL_SOUNDS = (("ng", "n"), ("nh", "n"), ("ch", "t"), ("c", "t"))
_GLIDE = re.compile(r"^(?:hu|ho)(?=[aeiy])")
_GI = re.compile(r"^gi(?=[aeouy])|^gi?(?=i)")

# One character in southern and northern spelling: a person keeps one form, clerks swap them now and then.
_REGIONAL = {
    "hoang": "huynh",
    "vu": "vo",
    "phuoc": "phuc",
    "chanh": "chinh",
    "nhut": "nhat",
    "quoi": "quy",
    "sanh": "sinh",
    "kieng": "canh",
    "thoi": "thai",
}


def _phonetic(folded: str) -> str:
    sound = _REGIONAL.get(folded, folded)
    sound = _GI.sub("d", sound) if sound.startswith("gi") else _GLIDE.sub("w", sound)
    for old, new in _INITIAL_SOUNDS:
        if sound.startswith(old):
            sound = new + sound[len(old) :]
            break
    for old, new in _FINAL_SOUNDS:
        if sound.endswith(old) and len(sound) > len(old):
            sound = sound[: -len(old)] + new
            break
    return sound.replace("y", "i")


def _folded(lowered: str) -> str:
    return _CLOSED_QUI.sub("quy", fold(lowered).replace(" ", ""))


@lru_cache(maxsize=REMEMBERED_MAX)
def word_of(token: str) -> Word:
    """Return the forms of one token of cleaned text; any string is accepted."""
    lowered = token.lower().translate(_D_VARIANTS)
    folded = _folded(lowered)
    regional = _REGIONAL.get(folded, folded)
    if lowered.isascii():
        is_legal = is_syllable(lowered)
        return Word(_settled(lowered) if is_legal else lowered, folded, _phonetic(folded), regional, is_legal)
    lowered = unicodedata.normalize("NFC", lowered)
    parts = split_tone(lowered)
    # A mark on the wrong vowel ("hòan") is legal once it is moved.
    is_legal = is_syllable(lowered) if parts is None else is_syllable(place_tone(*parts))
    return Word(_settled(lowered) if is_legal else lowered, folded, _phonetic(folded), regional, is_legal)


@lru_cache(maxsize=REMEMBERED_MAX)
def finished_typing(token: str) -> str | None:
    """Return the syllable that unfinished telex ("nguyeenx") or VNI typing ("nguye64n") meant, None if it is none."""
    lowered = token.lower()
    if not lowered.isascii() or not lowered.isalnum() or is_syllable(lowered):
        return None
    typed = _typed_vni(lowered) if _TYPED_MARKS.fullmatch(lowered) else _typed_telex(lowered)
    return typed if typed and not typed.isascii() and is_syllable(typed) else None


def _typed_vni(word: str) -> str | None:
    letters: list[str] = []
    tone = ""
    for character in word:
        if character in _VNI_TONES:
            tone = _VNI_TONES[character]
            continue
        marks = _VNI_MARKS.get(character)
        if marks is None:
            letters.append(character)
            continue
        places = [index for index, letter in enumerate(letters) if letter in marks]
        if not places:
            return None
        # One 7 marks both vowels of "uo".
        for place in places if character == "7" else places[-1:]:
            letters[place] = marks[letters[place]]
    return place_tone("".join(letters), tone)


def _typed_telex(word: str) -> str:
    letters: list[str] = []
    tone = ""
    has_vowel = False
    for character in word:
        if character in _TELEX_TONES and has_vowel:
            tone = _TELEX_TONES[character]
        elif character == "w":
            _mark_horn(letters)
            has_vowel = True
        elif character in "aeo" and character in letters:
            place = len(letters) - 1 - letters[::-1].index(character)
            letters[place] = {"a": "â", "e": "ê", "o": "ô"}[character]
        elif character == "d" and letters[:1] == ["d"]:
            letters[0] = "đ"
        else:
            letters.append(character)
            has_vowel = has_vowel or character in _VOWELS
    return place_tone("".join(letters), tone)


def _mark_horn(letters: list[str]) -> None:
    if letters[-2:] == ["u", "o"]:
        letters[-2:] = ["ư", "ơ"]
        return
    for place in range(len(letters) - 1, -1, -1):
        if letters[place] in "aou":
            if letters[place] == "o" and place and letters[place - 1] == "u":
                letters[place - 1] = "ư"
            letters[place] = {"a": "ă", "o": "ơ", "u": "ư"}[letters[place]]
            return
    letters.append("ư")
