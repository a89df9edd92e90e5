"""Lines with words in legacy fonts: which font the line was typed in, and what it meant."""

from __future__ import annotations

import re
from functools import lru_cache

from mdm.linkage.normalise.legacy import CONVERTER_COUNT, converted
from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.syllables import Word, is_syllable, word_of

_TOKEN = re.compile(r"[^\s.,;:/()\-&]+")


def legacy_repaired(tokens: list[str], words: list[Word]) -> list[Word]:
    """Return the words of a line, those in a legacy font repaired; `words` are the forms of `tokens`.

    A whole line in one font is converted as one, its legal words too; else only words that are no syllables as they
    stand. ASCII was never written in a legacy font.
    """
    illegal = [
        index
        for index, (token, word) in enumerate(zip(tokens, words, strict=True))
        if not word.is_legal and not token.isascii()
    ]
    if not illegal:
        return words
    for converter in range(CONVERTER_COUNT):
        fixed = _converted_line(tokens, words, converter)
        if fixed is not None:
            return fixed
    repaired = list(words)
    for index in illegal:
        repaired[index] = _legacy_word(tokens[index]) or words[index]
    return repaired


def is_settled_line(text: str) -> bool:
    """Return whether `repaired_line` has nothing to do, of a whole line or of a part that ends between words."""
    return text.isascii() or all(map(_is_settled, _TOKEN.findall(text)))


@lru_cache(maxsize=REMEMBERED_MAX)
def _is_settled(token: str) -> bool:
    return token.isascii() or word_of(token).is_legal


def repaired_line(text: str) -> str:
    """Return a cleaned line with its legacy words repaired and its punctuation kept."""
    if is_settled_line(text):
        return text
    tokens = _TOKEN.findall(text)
    words = [word_of(token) for token in tokens]
    repaired = legacy_repaired(tokens, words)
    following = iter(zip(tokens, words, repaired, strict=True))

    def settled(_: re.Match[str]) -> str:
        token, word, fixed = next(following)
        return token if fixed is word else fixed.accented

    return _TOKEN.sub(settled, text)


def _converted_line(tokens: list[str], words: list[Word], converter: int) -> list[Word] | None:
    """Return the whole name read in one legacy font, when that makes every non-ASCII word of it legal."""
    # A legal word with a letter beyond Latin-1 was typed in Unicode, so its neighbours were not meant in a font.
    for token, word in zip(tokens, words, strict=True):
        if word.is_legal and any(ord(character) > 0xFF for character in token):  # noqa: PLR2004 end of Latin-1
            return None
    line = []
    for token, word in zip(tokens, words, strict=True):
        if token.isascii():
            line.append(word)
            continue
        fixed = converted(token, converter)
        if fixed is None or not is_syllable(fixed):
            return None
        line.append(word_of(fixed))
    return line


def _legacy_word(token: str) -> Word | None:
    for converter in range(CONVERTER_COUNT):
        fixed = converted(token, converter)
        if fixed is not None and not fixed.isascii() and is_syllable(fixed):
            return word_of(fixed)
    return None
