"""Address lines to wards, street and house number, in the system of the time that they were written.

Since 2025-07-01 there are no districts, and many new wards bear the name of an old one that went elsewhere ("Phường Tân
Phú" of old District 7 is not the new Tân Phú). A line that names a district or a numbered ward is read in the old
system, any other in the new one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.repairs import is_settled_line, repaired_line
from mdm.linkage.normalise.text import FOLD, fold_punctuated
from mdm.linkage.normalise.wards import NO_WARDS, Codes, ward_table

# "Phường Sài Gòn" is a ward of today, Sài Gòn alone the city.
_CITY = re.compile(
    r"\b(?:(?:t\.? ?p\.?|thanh pho|tinh) ?\.?(?:ho chi minh|hcm[a-z]*)|tp ?hcm|hcmc?|ho chi minh(?: city)?"
    r"|(?<!phuong )(?<!p )(?<!p\.)(?<!p\. )(?<!f\.)sai ?gon|s\.?g|viet ?nam|vn)\b\.?"
)
_PROVINCE = re.compile(r"(?:\btinh +)?\b(ba ria *-? *vung tau|brvt)\b|\btinh +(?!lo\b)([a-z][a-z ]+)")
_CITY_PROVINCES = frozenset({"binh duong", "ho chi minh"})
_OTHER_PROVINCES = frozenset(
    (
        "ha noi|ha giang|cao bang|bac kan|tuyen quang|lao cai|dien bien|lai chau|son la|yen bai|thai nguyen|lang son|"
        "quang ninh|bac giang|vinh phuc|bac ninh|hai duong|hai phong|hung yen|thai binh|ha nam|nam dinh|ninh binh|"
        "thanh hoa|nghe an|ha tinh|quang binh|quang tri|hue|thua thien hue|da nang|quang nam|quang ngai|binh dinh|"
        "phu yen|khanh hoa|ninh thuan|binh thuan|kon tum|gia lai|dak lak|dac lac|dak nong|lam dong|binh phuoc|tay ninh|"
        "dong nai|long an|tien giang|ben tre|tra vinh|vinh long|dong thap|an giang|kien giang|can tho|hau giang|"
        "soc trang|bac lieu|ca mau"
    ).split("|")
)
# Districts that became Thủ Đức in 2020: old lines still name them.
_DISTRICT_ALIASES = {
    "2": "thu duc",
    "9": "thu duc",
    "long dien": "long dat",
    "dat do": "long dat",
    "tan thanh": "phu my",
}

_NAME_END = r"(?= +(?:p|f|ph|phuong|q|quan|h|huyen|tp|thanh pho|tx|thi xa|tt|tinh|kp|khu pho|to)\b[. ]|$)"
_WARD_NUMBER = re.compile(r"\b(?:phuong|ph|p|f)[. ]*0*(\d{1,2})\b(?!/)")
_WARD_NAME = re.compile(
    rf"\b(?:phuong|xa|thi tran|dac khu)\b[. ]*([a-z][a-z ]*?){_NAME_END}"
    rf"|\b(?:ph|p|f|x|tt)(?:\. *| +)([a-z][a-z ]+?){_NAME_END}"
)
_DISTRICT_NUMBER = re.compile(r"\b(?:quan|q)[. ]*0*(\d{1,2})\b(?!/)")
_DISTRICT_NAME = re.compile(
    rf"\b(?:quan|(?<!ba )huyen|thi xa|thanh pho)\b[. ]*([a-z][a-z ]*?){_NAME_END}"
    rf"|\b(?:q|h|tx|tp|t\.p)(?:\. *| +)([a-z][a-z ]+?){_NAME_END}"
)
_NOISE = re.compile(
    r"\b(?:to dan pho|tdp|to|khu pho|kp|khu vuc|khom|thon|khu)[. ]*\d+[a-z]?\b|\bap +(?:\d+[a-z]?|[a-z ]+)$|"
    r"\b(?:can ho|phong|lau|tang|block|toa nha|toa)[. ]*[a-z]?\d+(?:[.\-]\d+)*\b"
)
_OLD_NUMBER = re.compile(r"\(\s*(?:so )?cu[^)]*\)")

_HOUSE = re.compile(
    r"^(?!(?:kp|tdp|to|ap|p|q|f|ph|ql|tl|hl|dt|ward|kv)[. ]*\d)(?!d\d+[a-z]?$)"
    r"(?:(?:so nha|so|sn|nha so|nha)\b[. ]*)?(?:(?:hem|ngo|ngach|kiet)[. ]+)?"
    r"(?P<number>(?:lo +)?[a-z]{0,2}\d+[a-z]{0,2}(?: ?bis| ?ter)?"
    r"(?:(?: *[/.\-] *| +xet +|(?<=\d)x(?=\d))[a-z]?\d+[a-z]{0,2}(?: ?bis)?)*)(?![\w/])"
)
_PLAIN_NUMBER = re.compile(r"[0-9a-wyz/]+")
_OF_ALLEY = re.compile(r" *(?:xet|x(?=\d)) *")
_SPACED_SIGN = re.compile(r" *([/.\-]) *")
_FLAT = re.compile(
    r"^(?:(?:can ho|ch|phong|so)\b[. ]*)?(?P<flat>[a-z]?\d+(?:[.\-]\d+)*[a-z]?)[ ,]+"
    r"(?:cc|chung cu|toa nha|cao oc)\b[. ]*(?P<building>.+)$"
)
_ALLEY_AFTER = re.compile(r"^ *,? *(?:hem|ngo|ngach|kiet)[. ]*(\d+[a-z]?(?:/\d+[a-z]?)*) *")
_STREET_MARK = re.compile(
    r"^(?:duong|d|pho|dg)(?:[. ]+)(?!so\b|\d)|^(?:duong)[. ]+(?=(?:3/2|30/4|2/9|19/5|26/3|1/5|cmt))"
)
_STREET_NUMBER = re.compile(r"^(?:duong[. ]*(?:so[. ]*)?|d[. ]+(?:so[. ]*)?|d[. ]*so[. ]*|so[. ]+)0*(\d+[a-z]?)$")
_SIGNS = re.compile(r"[^a-z0-9]+")

# Streets named after a day are written as dates, streets of long names by their initials.
_DATE_STREETS = {
    f"{day}{sign}{month}": f"{day} thang {month}"
    for day, month in [(3, 2), (30, 4), (2, 9), (19, 5), (26, 3), (1, 5), (8, 3), (20, 11), (23, 9), (27, 4)]
    for sign in "/-"
}
_STREET_NAMES = {
    "ba thang hai": "3 thang 2",
    "ba thang 2": "3 thang 2",
    "3 thang hai": "3 thang 2",
    "ba muoi thang tu": "30 thang 4",
    "30 thang tu": "30 thang 4",
    "cmt8": "cach mang thang 8",
    "cmt 8": "cach mang thang 8",
    "cm thang 8": "cach mang thang 8",
    "cm thang tam": "cach mang thang 8",
    "cach mang thang tam": "cach mang thang 8",
    "dbp": "dien bien phu",
    "xvnt": "xo viet nghe tinh",
    "ntmk": "nguyen thi minh khai",
    "nkkn": "nam ky khoi nghia",
    "lvs": "le van sy",
    "le van si": "le van sy",
}
_ROADS = {"ql": "quoc lo", "tl": "tinh lo", "hl": "huong lo", "dt": "duong tinh", "cc": "chung cu"}
_ROAD = re.compile(r"(ql|tl|hl|dt|cc) ?(\d.*|(?<= )[a-z].*)$")
_MARKERS = frozenset({"phuong", "xa", "quan", "huyen", "duong", "tp", "p", "q", "h", "x"})


class Place(NamedTuple):
    """What one address says."""

    wards: Codes = NO_WARDS
    """New ward codes that it may lie in; empty when it names none, or one outside the city."""
    street: str | None = None
    house: str | None = None
    """`123/45/6b`: the order of the numbers is kept, for 12/3 is another house than 3/12."""


class _Part(NamedTuple):
    """What one comma-separated part, or a run of them without commas, names."""

    ward: str = ""
    is_ward_marked: bool = False
    district: str = ""
    rest: str = ""
    """What is left: a street, a bare name, or nothing."""
    is_outside: bool = False


@lru_cache(maxsize=REMEMBERED_MAX)
def parse_address(text: str, ward_code: str) -> Place:
    """Return what a cleaned address line and the official code beside it say.

    Args:
        text: The line, cleaned; may be empty.
        ward_code: An official code, old or new; any other text is ignored in favour of the line.
    """
    coded = ward_table().new_of_code.get(ward_code.strip(), NO_WARDS) if ward_code else NO_WARDS
    if not text:
        return Place(coded)
    pieces = _pieces(text)
    if not pieces:
        return Place(coded)
    # Storeys and neighbourhood groups may stand before the house number; they begin with a word.
    while len(pieces) > 1 and not pieces[0][0].isdigit() and not _NOISE.sub("", pieces[0]).strip(" .-"):
        pieces = pieces[1:]
    house, building, first = _house(pieces[0])
    parts = [_part(piece) for piece in [first, *pieces[1:]]]
    street = _street_of(parts, is_first_street=house is not None and not building)
    if building:
        house, street = (f"{house} {building}", street) if street else (house, f"chung cu {building}")
    if house in _DATE_STREETS and street is None:
        street, house = _DATE_STREETS[house], None
    return Place(coded or _wards_of(parts), street, house)


def _pieces(text: str) -> list[str]:
    """Return the parts of a line that commas or brackets set apart, folded."""
    if "(" not in text and ";" not in text:
        plain = [_plain_piece(piece) for piece in text.split(",")]
        if None not in plain:
            return [piece for piece in plain if piece]
    line = fold_punctuated(repaired_line(text)).replace("'", "")
    if "(" in line:
        line = _OLD_NUMBER.sub(" ", line).replace("(", ",").replace(")", ",")
    pieces = [piece.strip(" .") for piece in line.replace(";", ",").replace("\n", ",").split(",")]
    return [piece for piece in pieces if piece]


@lru_cache(maxsize=REMEMBERED_MAX)
def _plain_piece(piece: str) -> str | None:
    """Return a part of a line folded; None if only the whole line tells how it is to be read.

    Wards and districts recur, and so does the street of a door that several registries write.
    """
    folded = piece.translate(FOLD)
    # What `repaired_line` would leave as it is, and what holds no sign that parts a line once it is transliterated.
    is_plain = folded.isascii() and ")" not in folded and "\n" not in folded and is_settled_line(piece)
    return folded.replace("'", "").strip(" .") if is_plain else None


def _house(piece: str) -> tuple[str | None, str, str]:
    """Return the house or flat number, the building that a flat lies in, and what is left of the line's first piece."""
    match = _FLAT.match(piece)
    if match is not None:
        building = _part(match["building"])
        name = " ".join(_SIGNS.split(building.rest)).strip()
        return match["flat"], name, piece[match.start("building") :] if building.ward or building.district else ""
    match = _HOUSE.match(piece)
    if match is None:
        return None, "", piece
    number = match["number"]
    if not _PLAIN_NUMBER.fullmatch(number):
        number = _OF_ALLEY.sub("/", number).replace("lo ", "")
        number = _SPACED_SIGN.sub(r"\1", number).replace(" ", "").replace("-", "/")
    rest = piece[match.end() :]
    alley = _ALLEY_AFTER.match(rest)
    if alley:
        number, rest = f"{alley[1]}/{number}", rest[alley.end() :]
    return number, "", rest.strip(" .-")


@lru_cache(maxsize=REMEMBERED_MAX)
def _part(piece: str) -> _Part:
    province = _PROVINCE.search(piece)
    if province:
        is_outside = bool(province[2]) and province[2].strip() not in _CITY_PROVINCES
        piece = piece[: province.start()] + piece[province.end() :]
        if is_outside:
            return _Part(is_outside=True, rest=piece.strip(" .-"))
    piece = _NOISE.sub(" ", _CITY.sub(" ", piece))
    piece = " ".join(piece.split())
    ward, piece, is_ward_marked = _taken(piece, _WARD_NUMBER, _WARD_NAME)
    district, piece, _ = _taken(piece, _DISTRICT_NUMBER, _DISTRICT_NAME)
    rest = piece.strip(" .-")
    if district in _OTHER_PROVINCES:
        return _Part(is_outside=True)
    return _Part(ward, is_ward_marked, _DISTRICT_ALIASES.get(district, district), rest)


def _taken(piece: str, number: re.Pattern[str], name: re.Pattern[str]) -> tuple[str, str, bool]:
    match = number.search(piece) or name.search(piece)
    if match is None:
        return "", piece, False
    taken = next(group for group in match.groups() if group)
    return " ".join(taken.split()), f"{piece[: match.start()]} {piece[match.end() :]}".strip(), True


def _street_of(parts: list[_Part], *, is_first_street: bool) -> str | None:
    table = ward_table()
    for index, part in enumerate(parts):
        if part.is_outside or not part.rest:
            continue
        is_unit = (
            part.rest in table.new_of_district
            or part.rest in table.new_of_old_name
            or part.rest in table.new_of_name
            or part.rest in _OTHER_PROVINCES
        )
        # Streets are named like wards too; only the part beside the house number is surely a street.
        if (index == 0 and is_first_street) or not is_unit:
            return street_name(part.rest)
    return None


@lru_cache(maxsize=REMEMBERED_MAX)
def street_name(text: str) -> str | None:
    """Return the settled folded name of a street, None when nothing is left of it."""
    if text in _DATE_STREETS:
        return _DATE_STREETS[text]
    numbered = _STREET_NUMBER.match(text)
    if numbered:
        return f"duong so {numbered[1]}"
    # Twice: the Dương of "Đường Dương Bá Trạc" folds to the marker, so both spellings lose it.
    text = _STREET_MARK.sub("", _STREET_MARK.sub("", text))
    if text in _DATE_STREETS:
        return _DATE_STREETS[text]
    name = " ".join(_SIGNS.split(text)).strip()
    road = _ROAD.match(name)
    if road:
        name = f"{_ROADS[road[1]]} {road[2]}"
    name = _STREET_NAMES.get(name, name)
    return name if name and name not in _MARKERS else None


def _wards_of(parts: list[_Part]) -> Codes:
    table = ward_table()
    # A street may bear a province's name, so only the last part says that the line lies outside.
    named = [part for part in parts if part.ward or part.district or part.rest]
    if any(part.is_outside for part in parts) or (len(named) > 1 and named[-1].rest in _OTHER_PROVINCES):
        return NO_WARDS
    ward = next((part.ward for part in parts if part.ward), "")
    district = next((part.district for part in parts if part.district), "")
    # Names without a marker stand in the last parts, the street's part left out.
    bare = [part.rest for part in parts[1:] if part.rest]
    if not district:
        district = next((name for name in reversed(bare) if name in table.new_of_district), "")
        bare = [name for name in bare if name != district]
    if not ward:
        ward = next((name for name in bare if name in table.new_of_old_name or name in table.new_of_name), "")
    return _resolved(ward, district) if ward else NO_WARDS


def _resolved(ward: str, district: str) -> Codes:
    table = ward_table()
    if district:
        legacy = table.new_of_old.get((district, ward))
        if legacy is not None:
            return legacy
        # A new ward written with the old district it lies in.
        return table.new_of_name.get(ward, NO_WARDS) & table.new_of_district.get(district, NO_WARDS)
    return table.new_of_name.get(ward) or table.new_of_old_name.get(ward, NO_WARDS)
