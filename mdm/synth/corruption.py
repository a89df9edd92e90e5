"""What clerks, keyboards and old systems do to values. The rates stand in `data/error_rates.csv`."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdm.synth.dice import Dice
    from mdm.synth.tables import ErrorRates

_VOWELS = "aăâeêioôơuưy"
_TONES = {"s": "\u0301", "f": "\u0300", "r": "\u0309", "x": "\u0303", "j": "\u0323"}
_SHAPES = {"ă": "aw", "â": "aa", "ê": "ee", "ô": "oo", "ơ": "ow", "ư": "uw", "đ": "dd"}
_VNI_SHAPES = {"ă": "a8", "â": "a6", "ê": "e6", "ô": "o6", "ơ": "o7", "ư": "u7", "đ": "d9"}
_VNI_TONE_DIGITS = {"s": "1", "f": "2", "r": "3", "x": "4", "j": "5"}

# The font encoding VNI: a mark is a second character after the vowel, read today as a Latin-1 letter.
_VNI_FONT_MARKS = {
    "": dict(zip("sfrxj", "ùøûõï", strict=True)),
    "â": dict(zip(["", *"sfrxj"], "âáàåãä", strict=True)),
    "ă": dict(zip(["", *"sfrxj"], "êéèúüë", strict=True)),
}
_VNI_FONT_WHOLE = {"í": "í", "ì": "ì", "ỉ": "æ", "ĩ": "ó", "ị": "ò", "ỵ": "î", "đ": "ñ", "ơ": "ô", "ư": "ö"}


def _composed(vowel: str, tone: str) -> str:
    return unicodedata.normalize("NFC", vowel + _TONES[tone]) if tone else vowel


def _fold_table() -> dict[int, str]:
    table = {}
    for vowel in _VOWELS:
        bare = unicodedata.normalize("NFD", vowel)[0]
        for tone in ("", *_TONES):
            letter = _composed(vowel, tone)
            table[ord(letter)], table[ord(letter.upper())] = bare, bare.upper()
    table[ord("đ")], table[ord("Đ")] = "d", "D"
    return table


def _typed_table(shapes: dict[str, str], tones: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return letter -> (keys for the shape, key for the tone), as typed with an input method switched off."""
    table = {"đ": (shapes["đ"], "")}
    for vowel in _VOWELS:
        for tone in ("", *_TONES):
            table[_composed(vowel, tone)] = (shapes.get(vowel, vowel), tones.get(tone, ""))
    return table


def _legacy_table() -> dict[int, str]:
    table = dict(_VNI_FONT_WHOLE)
    for vowel in "aeouy":
        marks = {tone: mark for tone, mark in _VNI_FONT_MARKS[""].items() if vowel + tone != "yj"}
        table |= {_composed(vowel, tone): vowel + mark for tone, mark in marks.items()}
    for vowel, base in (("â", "a"), ("ê", "e"), ("ô", "o")):
        table |= {_composed(vowel, tone): base + mark for tone, mark in _VNI_FONT_MARKS["â"].items()}
    table |= {_composed("ă", tone): "a" + mark for tone, mark in _VNI_FONT_MARKS["ă"].items()}
    for vowel, base in (("ơ", "ô"), ("ư", "ö")):
        table |= {_composed(vowel, tone): base + mark for tone, mark in _VNI_FONT_MARKS[""].items()}
    lower = {ord(letter): shown for letter, shown in table.items()}
    return lower | {ord(letter.upper()): shown.upper() for letter, shown in table.items()}


_FOLD = _fold_table()
_LEGACY = _legacy_table()
_TELEX = _typed_table(_SHAPES, {tone: tone for tone in _TONES})
_VNI_KEYS = _typed_table(_VNI_SHAPES, _VNI_TONE_DIGITS)
_HOOK_TILDE = str.maketrans(
    "".join(_composed(vowel, tone) for vowel in _VOWELS for tone in "rx"),
    "".join(_composed(vowel, tone) for vowel in _VOWELS for tone in "xr"),
)
_NO_TONE = {ord(_composed(vowel, tone)): vowel for vowel in _VOWELS for tone in _TONES}

# The same syllable, spelled the other way.
_SPELLINGS = dict(
    pair.split("/")
    for pair in (
        "Hòa/Hoà Hóa/Hoá Thúy/Thuý Thủy/Thuỷ Thùy/Thuỳ Tòa/Toà Khỏe/Khoẻ Lý/Lí Mỹ/Mĩ Quý/Quí Vy/Vi Thy/Thi Kỳ/Kì Ly/Li "
        "My/Mi Sỹ/Sĩ Quỳ/Quì Quỳnh/Quình Túy/Tuý Lũy/Luỹ Thụy/Thuỵ Ngụy/Nguỵ"
    ).split()
)
_REGIONAL = dict(
    pair.split("/")
    for pair in (
        "Huỳnh/Hoàng Hoàng/Huỳnh Võ/Vũ Vũ/Võ Phước/Phúc Phúc/Phước Chánh/Chính Chính/Chánh Nhựt/Nhật Nhật/Nhựt "
        "Sanh/Sinh Cảnh/Kiểng Hưng/Hương Thới/Thái Trường/Tràng Quới/Quý Tân/Tâng Phát/Phác Dương/Giương"
    ).split()
)
_TRAILING_NOTES = (" (con)", " (2)", ".", " - cũ")
_KEYBOARD = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnm",
        "wertyuioiosdfghjklkxcvbnmn",
        strict=True,
    )
)


def folded(text: str) -> str:
    """Return the text without any Vietnamese mark; case stays."""
    return text.translate(_FOLD)


def legacy_font(text: str) -> str:
    """Return the text as a document in the VNI font encoding shows today."""
    return text.translate(_LEGACY)


def typed(text: str, dice: Dice) -> str:
    """Return the text as typed in Telex or VNI while the input method was off."""
    table = _TELEX if dice.chance(0.7) else _VNI_KEYS
    words = []
    for word in text.split(" "):
        keys, tones = [], ""
        for letter in word:
            shape, tone = table.get(letter.lower(), (letter, ""))
            keys.append(shape.capitalize() if letter.isupper() else shape)
            tones += tone
        words.append("".join(keys) + tones)
    return " ".join(words)


def typo(text: str, dice: Dice) -> str:
    """Return the text with one letter slip in one word: neighbour key, doubled, missing or two letters swapped."""
    places = [place for place in range(1, len(text)) if text[place].isalpha() and text[place - 1] != " "]
    if not places:
        return text
    place = dice.choice(places)
    letter = text[place]
    match dice.below(4):
        case 0:
            return text[:place] + _KEYBOARD.get(folded(letter).lower(), "n") + text[place + 1 :]
        case 1:
            return text[:place] + letter + text[place:]
        case 2:
            return text[:place] + text[place + 1 :]
        case _:
            return text[: place - 1] + letter + text[place - 1] + text[place + 1 :] if place > 1 else text + letter


def wrong_tone(text: str, dice: Dice) -> str:
    """Return the text with hook and tilde swapped, or the tones of one word gone."""
    swapped = text.translate(_HOOK_TILDE)
    if swapped != text and dice.chance(0.7):
        return swapped
    words = text.split(" ")
    marked = [place for place, word in enumerate(words) if word.translate(_NO_TONE) != word]
    if marked:
        place = dice.choice(marked)
        words[place] = words[place].translate(_NO_TONE)
    return " ".join(words)


def respelled(text: str, table: dict[str, str]) -> str:
    """Return the text with the words that the table knows replaced."""
    return " ".join(table.get(word, word) for word in text.split(" "))


def shorter_middle(text: str, dice: Dice) -> str:
    """Return the name with a middle word dropped, or surname and middle abbreviated."""
    words = text.split(" ")
    if len(words) < 3:  # no middle to lose
        return text
    if dice.chance(0.7):
        del words[dice.between(1, len(words) - 2)]
        return " ".join(words)
    if dice.chance(0.5):
        return ".".join(word[0] for word in words[:-1]) + "." + words[-1]
    return " ".join([words[0], *(word[0] + "." for word in words[1:-1]), words[-1]])


def name_as_written(text: str, rates: ErrorRates, dice: Dice, *, foreign: bool = False) -> str:
    """Return a name as the registry with these rates has it."""
    draw = dice.uniform
    if foreign:
        if draw() < rates.foreign_order_swapped:
            first, _, rest = text.partition(" ")
            text = f"{rest} {first}"
        return text.upper()[:30] if draw() < rates.all_caps else text
    if draw() < rates.north_south_variant:
        text = respelled(text, _REGIONAL)
    if draw() < rates.middle_dropped:
        text = shorter_middle(text, dice)
    if draw() < rates.tone_place_or_iy:
        text = respelled(text, _SPELLINGS)
    if draw() < rates.tone_wrong:
        text = wrong_tone(text, dice)
    if draw() < rates.name_order_swapped:
        first, _, rest = text.partition(" ")
        text = f"{rest} {first}"
    if draw() < rates.name_typo:
        text = typo(text, dice)
    if draw() < rates.diacritics_lost:
        text = folded(text)
    elif draw() < rates.legacy_font:
        text = legacy_font(text)
    elif draw() < rates.typing_residue:
        text = typed(text, dice)
    elif draw() < rates.decomposed:
        text = unicodedata.normalize("NFD", text)
    elif draw() < rates.eth_for_d_stroke:
        text = text.replace("Đ", "\u00d0").replace("đ", "\u00f0")
    if draw() < rates.name_noise:
        text = text.replace(" ", "  ", 1) if draw() < 0.6 else text + dice.choice(_TRAILING_NOTES)
    return text.upper() if draw() < rates.all_caps else text


def birth_as_known(born_on: date, rates: ErrorRates, dice: Dice) -> date:
    """Return the birth date as the registry knows it, right or wrong but always a date."""
    draw = dice.uniform
    if draw() < rates.birth_first_of_january:
        return date(born_on.year, 1, 1)
    if born_on.day <= 12 and draw() < rates.birth_day_month_swapped:
        return date(born_on.year, born_on.day, born_on.month)
    if draw() < rates.birth_digit_wrong:
        return _digit_slip(born_on, dice)
    if born_on.year < 1965 and draw() < rates.birth_lunar:  # lunar dates were in use until then
        return born_on + timedelta(days=dice.choice((29, 30, -365, 365)))
    return born_on


def _digit_slip(born_on: date, dice: Dice) -> date:
    match dice.below(3):
        case 0:
            day = born_on.day + 10 if born_on.day <= 18 else born_on.day - 10
            return born_on.replace(day=day)
        case 1:
            return born_on.replace(day=min(born_on.day, 28), month=born_on.month % 12 + 1)
        case _:
            return born_on.replace(day=min(born_on.day, 28), year=born_on.year - dice.choice((1, 2, 10)))


def one_digit_wrong(number: str, dice: Dice) -> str:
    """Return the number with one digit changed to another."""
    place = dice.below(len(number))
    if not number[place].isdigit():
        return number
    wrong = (int(number[place]) + dice.between(1, 9)) % 10
    return f"{number[:place]}{wrong}{number[place + 1 :]}"
