"""Personal names: one string as a clerk wrote it to the words that tell people apart.

Order is surname, middle words, given name. A newborn without a name is written as the mother's child ("CON BÀ …"):
such a name says nothing about its bearer and a lot about the mother.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import resources

import msgspec

from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.repairs import legacy_repaired
from mdm.linkage.normalise.syllables import Word, finished_typing, word_of

# Surnames of the city, most frequent first; source: public name counts (hoten.org, UIT students) and the Hoa, Khmer and
# Chăm families of the city. Used to tell a surname from a title or note, never to refuse a name.
SURNAMES = frozenset(
    """
    nguyen tran le pham huynh hoang vo vu phan truong bui dang do ngo ho duong dinh doan trinh cao mai lam ly luong dao
    luu ha thai ta phung chau vuong to tang quach van diep tu ton hua thach kieu dam lu chung nhan thi bach la mac au
    ong la luc tieu khuu co phu on giang ma doan ninh nghiem trieu quan du kha ninh tong tan sam khong chu cu thieu banh
    lai cung dong kim son danh tra che dang ka ung tham tat hong hang dai khuc vi nong be li vi mach nham si ngu uong
    truong cam lo ro thoi cong au duong
    """.split()
)
NAME_WORDS = "name_words.txt"
_FIXED_MARKS = frozenset({"thi", "van"})
"""Words of nearly every name, always written with the same marks: what a clerk leaves off there tells nobody apart."""
_HOOK = "\u0309"
_TILDE = "\u0303"
"""Southern speech has one tone for both."""
_SURNAMES_OR_SHORT = SURNAMES | {"ng"}
_COMPOUND_SURNAMES = (
    ("cong", "tang", "ton", "nu"),
    ("cong", "huyen", "ton", "nu"),
    ("huyen", "ton", "nu"),
    ("huyen", "tong", "ton", "nu"),
    ("cong", "tang", "ton"),
    ("ton", "that"),
    ("ton", "nu"),
    ("au", "duong"),
    ("tu", "ma"),
)
_COMPOUND_FIRST = frozenset(compound[0] for compound in _COMPOUND_SURNAMES)

_TITLES = frozenset("ba anh chi co chu bac em bs ths ts gs pgs ks cn mr mrs ms miss dr ds dd".split())
_TITLES_ACCENTED = frozenset("bà anh chị cô chú bác em bs ths ts gs pgs ks cn mr mrs ms miss dr ds đd".split())
_ALIAS_PREFIX = re.compile(
    r"^(?:(?:tre )?so sinh |ss )?"
    r"(?:"
    r"(?P<mother>(?:be |em |chau )?(?:(?:trai|gai) )?con(?: (?:trai|gai|so|thu))?"
    r"(?: (?P<before>\d|i{1,3}|[ab]))?(?: cua)?"
    r"(?: (?:ba|chi|me|san phu)\b)"
    r"|cb ?(?P<glued>\d)?|c b(?: (?P<spaced>\d))?|b o|con cua)"
    r"|(?P<father>(?:be |em |chau )?con(?: (?:trai|gai))?(?: cua)? (?:ong|anh|bo|cha))"
    r"|(?P<bare>con(?: (?P<numbered>\d|i{1,3}))?|b)"
    r"|(?P<be>be(?: (?:trai|gai|so))?(?: (?P<benumber>\d))?)"
    r") (?P<rest>.+)$"
)
_ALIAS_ALONE = re.compile(r"^(?:cb|c b|con|be trai|be gai|(?:tre |be )?so sinh)(?: (?P<index>\d))?$|^con (?:ba|ong)$")
_INDEX_SUFFIX = re.compile(
    r"^(?P<rest>.+?) (?:(?:song )?(?:sinh|con|be|tre|so|thu|sinh doi|thai)(?: so| thu)? ?(?P<noted>[1-9ab]|i{1,3})"
    r"|(?P<plain>[1-9]|i{1,3}|[ab]))(?: [1-9])?$"
)
_INDEX_VALUES = {"i": 1, "ii": 2, "iii": 3, "a": 1, "b": 2}
_PLACEHOLDERS = re.compile(
    r"^(?:unknown.*|khong ten|khong ro(?: ten)?|chua ro(?: ten)?|chua co ten|chua dat ten|vo danh|benh nhan|test|khong|"
    r"khong xac dinh|vo gia cu|an danh|no name|n a|x{2,}|benh nhan vo danh|nguoi benh vo danh)(?: \d+)*$"
)
_ALIAS_START = re.compile(r"(?:con|c ?[/.]? ?b|be|bé|b|trẻ|tre|sơ|so|ss|em|cháu|chau)(?![a-z])", re.IGNORECASE)
_TRAILING_NOTE = re.compile(r"\s+[-–]\s*(?:cũ|mới|trùng|cu|moi|trung|con)$", re.IGNORECASE)
_BRACKETS = re.compile(r"[\(\[\{][^\)\]\}]*[\)\]\}]?")
_TOKENS = re.compile(r"[^\s.,;:/\\|_+*\"'\-–—!?#&=<>~^()\[\]{}%$@]+")
_GLUED = re.compile(r"[^\W\d_a-z][^\WA-Z\d_]*")


class PersonName(msgspec.Struct, frozen=True):
    """A personal name in the forms of `CitizenFeatures`; all None for a newborn alias, a placeholder or no name."""

    name: str | None = None
    accented: str | None = None
    """Marks where they tell names apart: surname, Thị and Văn folded, hook and tilde as one; None if it has no mark."""
    given_accented: str | None = None
    """The given name's part of `accented`."""
    sorted: str | None = None
    short: str | None = None
    surname: str | None = None
    given: str | None = None
    phonetic: str | None = None
    regional: str | None = None
    """Folded, southern and northern forms of the surname as one. Given names in both forms are brothers' names."""
    words: tuple[str, ...] = ()
    """Sorted; none of a name of one word, or in which a word recurs."""
    rotated: tuple[str, ...] = ()
    """The name in the orders of other languages: surname last, given name first. Not every order: Tuấn Anh has a
    brother Anh Tuấn."""
    abbreviated: tuple[str, ...] = ()
    """What clerks make of the name: "n t hoa", "nguyen t hoa"."""
    is_misspelt: bool = False
    """Some word is none that Vietnamese names are made of, among others that are."""
    is_newborn_alias: bool = False
    parent_name: str | None = None
    """Folded name of the parent that a newborn alias names."""
    is_parent_mother: bool = True
    birth_index: int | None = None
    """Which of several babies of one mother the alias names."""
    is_placeholder: bool = False
    """The clerk wrote that the name is unknown."""


_NO_NAME = PersonName()


@lru_cache(maxsize=REMEMBERED_MAX)
def person_name(text: str) -> PersonName:
    """Return the forms of a cleaned name (`text.clean`); empty text gives an empty `PersonName`."""
    read = read_name(text)
    if isinstance(read, PersonName):
        return read
    return _from_words(read) if read else _NO_NAME


@lru_cache(maxsize=REMEMBERED_MAX)
def read_name(text: str) -> PersonName | tuple[Word, ...]:
    """Return the words of a cleaned name, or what is said instead of one: half of the cost of its forms."""
    read = _read(text)
    return read if isinstance(read, PersonName) else tuple(read)


@lru_cache(maxsize=REMEMBERED_MAX)
def folded_name(text: str) -> str | None:
    """Return what `person_name` gives as `name`, which is all that is asked of a relative's; half of its cost."""
    read = _read(text)
    if isinstance(read, PersonName) or not read:
        return None
    return " ".join([word.folded for word in read])


def _read(text: str) -> PersonName | list[Word]:
    if not text:
        return []
    if _ALIAS_START.match(text):
        alias = _newborn_alias([token for token in _TOKENS.findall(text) if word_of(token).folded])
        if alias is not None:
            return alias
    words = _words(_without_notes(text)) or _words(text)
    if _PLACEHOLDERS.match(" ".join([word.folded for word in words])):
        return PersonName(is_placeholder=True)
    return _without_titles(words)


def _without_notes(text: str) -> str:
    # Few names hold any of these signs, and to look for them costs a tenth of the searches.
    if "(" in text or "[" in text or "{" in text:
        text = _BRACKETS.sub(" ", text)
    return _TRAILING_NOTE.sub("", text) if "-" in text or "–" in text else text


def _from_words(words: tuple[Word, ...]) -> PersonName:
    folded = [word.folded for word in words]
    name = " ".join(folded)
    in_order = sorted(folded)
    surname_words = _surname_words(folded)
    surname = " ".join(folded[:surname_words]) if surname_words else None
    given = folded[-1]
    marks = None
    if not all(word.accented.isascii() for word in words):
        marks = folded[:surname_words] + [_telling_marks(word) for word in words[surname_words:]]
    return PersonName(
        name=name,
        accented=" ".join(marks) if marks else None,
        given_accented=marks[-1] if marks else None,
        sorted=" ".join(in_order),
        short=f"{surname} {given}" if surname else given,
        surname=surname,
        given=given,
        phonetic=" ".join([word.phonetic for word in words]),
        regional=" ".join([word.regional for word in words[:surname_words]] + folded[surname_words:]),
        words=tuple(in_order) if 1 < len(folded) == len(set(folded)) else (),
        rotated=_rotated(name, folded),
        abbreviated=_abbreviated(name, folded, surname_words),
        is_misspelt=_is_misspelt(folded),
    )


@lru_cache(maxsize=REMEMBERED_MAX)
def _telling_marks(word: Word) -> str:
    if word.folded in _FIXED_MARKS:
        return word.folded
    hooks_as_tildes = unicodedata.normalize("NFD", word.accented).replace(_HOOK, _TILDE)
    return unicodedata.normalize("NFC", hooks_as_tildes)


def _abbreviated(name: str, folded: list[str], surname_words: int) -> tuple[str, ...]:
    if len(folded) < 2:  # noqa: PLR2004  (there is nothing before the given name)
        return ()
    shorter_end = " ".join([*[word[0] for word in folded[surname_words:-1]], folded[-1]])
    short = " ".join([*[word[0] for word in folded[:surname_words]], shorter_end])
    shorter = " ".join([*folded[:surname_words], shorter_end])
    return tuple(sorted({short, shorter} - {name}))


def _rotated(name: str, folded: list[str]) -> tuple[str, ...]:
    if len(folded) < 2:  # noqa: PLR2004  (one word has one order)
        return ()
    first, last = folded[0], folded[-1]
    without_first, without_last = name[len(first) + 1 :], name[: -len(last) - 1]
    between = without_last[len(first) :]
    return tuple(sorted({f"{without_first} {first}", f"{last} {without_last}", f"{last}{between} {first}"} - {name}))


def _is_misspelt(folded: list[str]) -> bool:
    known = name_words()
    if known.issuperset(folded):
        return False
    whole = [word for word in folded if len(word) > 1]
    unknown = sum(word not in known for word in whole)
    # More strange words than familiar ones make a foreign name, not a slip.
    return 0 < unknown <= len(whole) - unknown


@lru_cache(maxsize=1)
def name_words() -> frozenset[str]:
    """Return the folded words that names in public counts are made of, surnames included."""
    text = (resources.files("mdm.data") / NAME_WORDS).read_text(encoding="utf-8")
    return SURNAMES.union(text.split())


def _surname_words(folded: list[str]) -> int:
    if len(folded) == 1:
        return 0
    if folded[0] in _COMPOUND_FIRST:
        for compound in _COMPOUND_SURNAMES:
            if len(folded) > len(compound) and tuple(folded[: len(compound)]) == compound:
                return len(compound)
    return 1


def _words(text: str) -> list[Word]:
    tokens: list[str] = _TOKENS.findall(text)
    if len(tokens) == 1:
        tokens = _unglued(tokens[0])
    words = [word_of(token) for token in tokens]
    if not all(word.is_legal for word in words):
        words = _repaired(tokens, words)
    # "Ng." and "Ng" before a name is always Nguyễn: no surname or middle word is spelled so.
    if len(words) > 1 and words[0].folded == "ng":
        words[0] = word_of("nguyễn")
    # Bare numbers are notes of the clerk ("(2)"), and a token of signs alone folds to nothing.
    return [word for word in words if word.folded and not word.folded.isdigit()]


def _unglued(token: str) -> list[str]:
    pieces = _GLUED.findall(token)
    if len(pieces) > 1 and "".join(pieces) == token and word_of(pieces[0]).folded in SURNAMES:
        return pieces
    return [token]


def _repaired(tokens: list[str], words: list[Word]) -> list[Word]:
    illegal = [index for index, word in enumerate(words) if not word.is_legal]
    repaired = legacy_repaired(tokens, words)
    illegal = [index for index in illegal if not repaired[index].is_legal]
    typed = [finished_typing(tokens[index]) for index in illegal]
    if any(typed):
        finished = list(repaired)
        for index, word in zip(illegal, typed, strict=True):
            if word is not None:
                finished[index] = word_of(word)
        # "Luis" would become a syllable too: only a name that is Vietnamese throughout is taken for unfinished telex.
        # Digits within words have no other reading.
        is_vietnamese = all(word.is_legal for word in finished)
        has_digits = any(character.isdigit() for index in illegal for character in tokens[index])
        if is_vietnamese and (has_digits or finished[0].folded in SURNAMES):
            return finished
    return repaired


def _without_titles(words: list[Word]) -> list[Word]:
    start = 0
    while start < len(words) - 2 and _is_title(words[start]):
        start += 1
    if start and words[start].folded in SURNAMES:
        return words[start:]
    # Ông is also a surname: a title only before a surname with two more words.
    if words and words[0].folded == "ong" and len(words) > 3 and words[1].folded in SURNAMES:  # noqa: PLR2004
        return words[1:]
    return words


def _is_title(word: Word) -> bool:
    return word.accented in _TITLES_ACCENTED or (word.accented.isascii() and word.folded in _TITLES)


def _newborn_alias(tokens: list[str]) -> PersonName | None:
    line = " ".join(word_of(token).folded for token in tokens)
    alone = _ALIAS_ALONE.match(line)
    if alone is not None:
        return PersonName(is_newborn_alias=True, birth_index=_index_value(alone["index"]) if alone["index"] else None)
    match = _ALIAS_PREFIX.match(line)
    if match is None:
        return None
    rest = match["rest"]
    numbered = match["before"] or match["glued"] or match["spaced"] or match["numbered"] or match["benumber"]
    is_certain = match["mother"] is not None or match["father"] is not None
    if not is_certain and not _is_parent_after(match, rest.split(), word_of(tokens[0]).accented):
        return None
    suffix = _INDEX_SUFFIX.match(rest)
    if suffix is not None and _leaves_a_name(suffix["rest"]):
        rest = suffix["rest"]
        numbered = numbered or suffix["noted"] or suffix["plain"]
    # Read apart from the prefix, which was typed in no legacy font and is no surname.
    start = len(tokens) - len(match["rest"].split())
    parent = [word.folded for word in _words(" ".join(tokens[start : start + len(rest.split())]))]
    return PersonName(
        is_newborn_alias=True,
        parent_name=" ".join(parent) or None,
        is_parent_mother=match["father"] is None,
        birth_index=_index_value(numbered) if numbered else None,
    )


def _is_parent_after(match: re.Match[str], rest: list[str], first: str) -> bool:
    # Only a full name is surely a parent; its surname may be abbreviated, or its marks unfinished.
    surname = finished_typing(rest[0]) or rest[0] if rest else ""
    if len(rest) < 2 or word_of(surname).folded not in _SURNAMES_OR_SHORT:  # noqa: PLR2004 surname and given name
        return False
    if match["be"] is not None:
        # Bế is a surname of the north, Bé a given name; only BÉ before a full name is a baby.
        return first in {"bé", "be"} and len(rest) > 2  # noqa: PLR2004
    # Côn and Còn are other words.
    return match["bare"] is None or first in {"con", "b"}


def _leaves_a_name(rest: str) -> bool:
    words = rest.split()
    return len(words) >= 2 and words[-1] not in {"thi", "van"}  # noqa: PLR2004


def _index_value(text: str) -> int | None:
    return int(text) if text.isdigit() else _INDEX_VALUES.get(text)
