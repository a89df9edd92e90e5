"""Business names: legal form off, abbreviations written out, trade words apart.

Two registries rarely write a firm's name alike: one writes "Cty CP ĐT & XD An Phát", the other "Công ty Cổ phần Đầu tư
và Xây dựng An Phát". The core name is what both have in common.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

import msgspec

from mdm.linkage.features import NO_NUMBERS
from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.repairs import repaired_line
from mdm.linkage.normalise.syllables import finished_typing, is_syllable
from mdm.linkage.normalise.text import fold
from mdm.linkage.normalise.trade_words import (
    ABBREVIATIONS,
    ENGLISH,
    LEADING_TRADES,
    PLACES,
    PROVINCES,
    ROMAN_NUMERALS,
    TRADE_PHRASE,
)

# Legal forms by folded phrase, the longer before the shorter; None takes the phrase off without naming a form.
_FORMS: tuple[tuple[str, str | None], ...] = (
    (r"tong (?:cong ty|cty)(?: (?:co phan|cp))?|tct(?: cp)?", "group"),
    (r"(?:cong ty|c ?ty|cty) (?:trach nhiem huu han|tnhh) (?:mot|1) ?(?:thanh vien|tv)", "llc_single"),
    (r"(?:trach nhiem huu han|tnhh) ?(?:mtv|(?:mot|1) ?(?:thanh vien|tv))", "llc_single"),
    (r"(?:cong ty|c ?ty|cty) (?:tnhh ?)?(?:mtv|1 ?tv)(?: tnhh)?", "llc_single"),
    (r"mtv|(?:mot|1) thanh vien|1 ?tv", "llc_single"),
    (r"(?:cong ty|c ?ty|cty) (?:trach nhiem huu han|tnhh)(?: (?:hai|2) (?:thanh vien|tv)(?: tro len)?)?", "llc"),
    (r"trach nhiem huu han|tnhh|co ltd|company limited|limited|llc|ltd", "llc"),
    (r"(?:cong ty|c ?ty|cty) (?:co phan|cp)|ctcp|joint stock company|j s c|jsc|corporation|corp", "jsc"),
    (r"doanh nghiep (?:tu nhan|tn)|dntn", "sole"),
    (r"(?:cong ty|c ?ty|cty) (?:hop danh|hd)", "partnership"),
    (r"ho (?:kinh doanh|kd)(?: ca the)?|hkd(?: ca the)?|hkdct", "household"),
    (r"tap doan", "group"),
    (r"cong ty|c ?ty|cty|company", None),
)
# "CN" is a branch before a legal form or a number; elsewhere it is an industry or a technology.
_BRANCH = re.compile(
    r"^(?:chi nhanh|vpdd|van phong dai dien|dia diem kinh doanh|ddkd|branch(?: of)?|van phong)\b(?: (?:so )?\d+)?"
    r"|^cn (?:(?:so )?\d+\b|(?=(?:tong )?(?:cong ty|c ?ty|cty|tct|ctcp|tnhh|doanh nghiep|dntn|ho kinh doanh|hkd)\b))"
    r"|\b(?:chi nhanh|vpdd|van phong dai dien|dia diem kinh doanh|ddkd|branch)\b.*$"
    r"|\bcn (?:tp ?hcm|thanh pho ho chi minh|ho chi minh|so \d+|\d+)\b.*$"
)
_HOUSEHOLD_TRADES = re.compile(
    r"^(?:co so|cua hang|tiem|quan|nha thuoc|quay thuoc|tap hoa|shop|nha hang|hieu|dai ly|sap|quay)\b"
)
# A part of the proper name: "An Phát Group" succeeds "An Phát" at the same door.
_GROUP = re.compile(r"\b(?:group|holdings?)\b")
_FORM_PATTERNS = tuple((re.compile(rf"\b(?:{pattern})\b"), form) for pattern, form in _FORMS)
_PHRASES = (
    (re.compile(r"\bt mai\b"), "thuong mai"),
    (re.compile(r"\bn(?:o|um(?:ber)?) ?(?=\d)"), "so "),
    (re.compile(rf"\b(?:tai )?(?:tinh|thanh pho|tp) (?=(?:{'|'.join(PROVINCES)})\b)"), ""),
    (re.compile(r"\bbrvt\b|\bbr vt\b"), "ba ria vung tau"),
    (re.compile(r"\b(?:ngan hang|nh) (?:thuong mai co phan|tmcp)\b"), "ngan hang"),
    (re.compile(r"\btinh (?=[a-z]+ [a-z]+$)"), ""),
)
_ENGLISH = re.compile(rf"\b(?:{'|'.join(sorted(ENGLISH, key=len, reverse=True))})\b")
_DIGIT_EDGE = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")
# "I.D.I" is one word, "V Power" begins with a letter.
_SPELT = re.compile(r"\b[a-z](?: [a-z])+\b")
_TRAILING_NOTE = re.compile(r"\s+[-–]\s*(?:cũ|mới)$", re.IGNORECASE)
_BRACKETS = re.compile(r"\(([^()]*)\)")
# Every Vietnamese syllable has a vowel, so these are abbreviations, known or not.
_WITHOUT_VOWEL = re.compile(r"[^aeiouy]+")
_CONNECTORS = frozenset({"va", "and", "the"})
BY_NAME_CHARACTERS_MIN = 3
"""Shorter notes in brackets are numbers and letters of branches."""
TYPED_WORDS_MIN = 2
"""One word that could be telex may as well be a brand."""

INITIALS_MIN, INITIALS_MAX = 2, 5
"""Words that one abbreviation stands for: VN to TMDVXD … five cover all but a handful of those in use."""


class BusinessName(msgspec.Struct, frozen=True):
    """A business name in the forms of `BusinessFeatures`."""

    full: str | None = None
    core: str | None = None
    sorted: str | None = None
    distinct: str | None = None
    legal_form: str | None = None
    numbers: str | None = None
    initials: str | None = None
    words: frozenset[str] = frozenset()
    """As written, legal form and connectors off, nothing written out."""
    cover: frozenset[str] = frozenset()
    """Every word that may stand for a part of this name: its words, written out or not, and initials."""


def variants(text: str) -> list[str]:
    """Return a cleaned name, and beside it what stands without its brackets and within them if it names anything.

    "Thủy Lợi II (HEC II)" has two names. A place or a branch in brackets is a part of the only one.
    """
    found = [text]
    for inside in _BRACKETS.findall(text):
        folded = fold(inside)
        if len(folded) >= BY_NAME_CHARACTERS_MIN and not _BRANCH.search(folded) and folded not in PLACES:
            found += [" ".join(_BRACKETS.sub(" ", text).split()), inside]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=REMEMBERED_MAX)
def business_name(text: str) -> BusinessName:
    """Return the forms of a cleaned business name; empty text gives an empty `BusinessName`."""
    full = fold(_typed_out(repaired_line(_TRAILING_NOTE.sub("", text))))
    if not full:
        return BusinessName()
    stripped, legal_form, branch = _without_form(full)
    # A name that is nothing but its form ("Công ty Cổ phần Tập đoàn") keeps it: it is all there is.
    written = _settled(stripped).split() or full.split()
    words = [long for word in written for long in ABBREVIATIONS.get(word, word).split()]
    core = " ".join(words)
    distinct, trades = _parted(core)
    return BusinessName(
        full,
        core,
        " ".join([*sorted(trades), distinct] if trades else [core]),
        distinct,
        legal_form,
        _numbers([*words, *_DIGIT_EDGE.sub(" ", branch).split()]),
        "".join(word if _WITHOUT_VOWEL.fullmatch(word) else word[0] for word in words),
        frozenset(written),
        # Neighbours may be written as one: "Vi Na" is "Vina".
        frozenset([*written, *words, *_initials(words), *_initials(written), *map("".join, pairwise(written))]),
    )


def _typed_out(line: str) -> str:
    """Return a line of unfinished telex ("Coong ty Vinhx Vieetj") as it was meant, any other as it is.

    "Boss" would become a syllable too: every word must be a syllable, typed or meant, or an abbreviation.
    """
    if not line.isascii():
        return line
    words = line.split()
    meant = [finished_typing(word) for word in words]
    are_settled = all(
        better or is_syllable(word.lower()) or word.lower() in ABBREVIATIONS or _WITHOUT_VOWEL.fullmatch(word.lower())
        for word, better in zip(words, meant, strict=True)
    )
    if not are_settled or sum(better is not None for better in meant) < TYPED_WORDS_MIN:
        return line
    # "Coong" is a syllable as it stands; among typed words it is not meant as one.
    return " ".join(better or word.replace("oo", "ô") for word, better in zip(words, meant, strict=True))


def _without_form(full: str) -> tuple[str, str | None, str]:
    """Return the name without its legal form, the form, and what named the branch."""
    branch = _BRANCH.search(full)
    name = full
    if branch is not None:
        kept = " ".join((full[: branch.start()] + full[branch.end() :]).split())
        name = kept or full
    found: str | None = None
    for pattern, form in _FORM_PATTERNS:
        match = pattern.search(name)
        if match is None:
            continue
        name = " ".join((name[: match.start()] + " " + name[match.end() :]).split())
        found = found or form
    if found is None and _HOUSEHOLD_TRADES.match(full):
        found = "household"
    if found is None and _GROUP.search(full):
        found = "group"
    return (name, "branch", branch[0]) if branch is not None else (name, found, "")


def _settled(name: str) -> str:
    """Return a name without connectors, in one spelling of numbers, places and English trades."""
    name = _DIGIT_EDGE.sub(" ", name)
    name = _SPELT.sub(lambda match: match[0].replace(" ", ""), name)
    for pattern, long in _PHRASES:
        name = pattern.sub(long, name)
    name = _ENGLISH.sub(lambda match: ENGLISH[match[0]], name)
    return " ".join(ROMAN_NUMERALS.get(word, word) for word in name.split() if word not in _CONNECTORS)


def _parted(core: str) -> tuple[str, list[str]]:
    """Return what tells a core name apart and its trade words; a name of trades alone is its own."""
    trades = [word for phrase in TRADE_PHRASE.findall(core) for word in phrase.split()]
    rest = TRADE_PHRASE.sub(" ", core).split()
    while len(rest) > 1 and rest[0] in LEADING_TRADES:
        trades.append(rest.pop(0))
    return (" ".join(rest), trades) if rest else (core, [])


def _numbers(words: list[str]) -> str:
    return " ".join(sorted({word for word in words if word.isdigit()})) or NO_NUMBERS


def _initials(words: list[str]) -> set[str]:
    """Return the initials of every run of words."""
    return {
        "".join(word[0] for word in words[start : start + length])
        for length in range(INITIALS_MIN, INITIALS_MAX + 1)
        for start in range(len(words) - length + 1)
    }
