"""Personal names, with every spelling trap seen in real lists."""

from __future__ import annotations

import unicodedata

import pytest

from mdm.linkage.normalise.names import PersonName, folded_name, person_name
from mdm.linkage.normalise.text import clean

HOA = "nguyen thi hoa"

ALIKE = [
    ("NGUYỄN THỊ HOÀ", "Nguyễn Thị Hòa", "tone placement"),
    ("Trần Thị Lí", "TRẦN THỊ LÝ", "i for y"),
    ("Lê Mĩ Quí", "Lê Mỹ Quý", "i for y twice"),
    (unicodedata.normalize("NFD", "Nguyễn Văn Dũng"), "Nguyễn Văn Dũng", "decomposed"),
    ("Lê Anh Ðức", "Lê Anh Đức", "Icelandic D"),
    ("Nguyeenx Vawn Hungf", "Nguyễn Văn Hùng", "telex"),
    ("Nguye64n Va8n Hu2ng", "Nguyễn Văn Hùng", "VNI typing"),
    ("Buøi Vaên Nam", "Bùi Văn Nam", "VNI font"),
    ("Vieät Anh", "Việt Anh", "VNI font"),
    ("Nguyễn Thanh Truøng", "Nguyễn Thanh Trùng", "one VNI word among clean ones"),
    ("Ñoã Döông Tuyeát", "Đỗ Dương Tuyết", "VNI font"),
    ("NguyÔn V¨n Dòng", "Nguyễn Văn Dũng", "TCVN3: Dòng is a syllable too, but its neighbours tell the font"),
    ("Buři Văn Nam", "Bùi Văn Nam", "VNI through Windows-1250"),
    ("Anh Tuấn Mã", "Anh Tuấn Mã", "clean words are not converted"),
    ("  Nguyễn   Văn  An. ", "Nguyễn Văn An", "spaces and a full stop"),
    ("Nguyễn Văn An (con)", "Nguyễn Văn An", "a note in brackets"),
    ("Nguyễn Văn An (2)", "Nguyễn Văn An", "a number in brackets"),
    ("Ng. Thị Hoa", "Nguyễn Thị Hoa", "abbreviated surname"),
    ("Ng Thị Hoa", "Nguyễn Thị Hoa", "abbreviated surname"),
    ("Bà Nguyễn Thị Hoa", "Nguyễn Thị Hoa", "title"),
    ("ThS. BS. Nguyễn Lan", "Nguyễn Lan", "two titles"),
    ("Ông Nguyễn Văn Ba", "Nguyễn Văn Ba", "title"),
    ("TRA6M2 THANH2 D9U7C1", "Trầm Thành Đức", "VNI typing needs no known surname"),
    ("NGUYỄN VĂN HOÀNG - CŨ", "Nguyễn Văn Hoàng", "a note behind a dash"),
    ("Văn V. Hoàng", "Văn V Hoàng", "an initial is no legacy font"),
    ("Huynh Khắc Huy", "Huỳnh Khắc Huy", "a mark left off a surname tells nobody apart"),
    ("Nguyễn Thi Mỷ Hãi", "Nguyễn Thị Mỹ Hải", "hook and tilde are one tone in the south"),
    ("Nguyễn Quình Như", "Nguyễn Quỳnh Như", "i for y in a closed syllable"),
]

FORMS = [
    ("NGUYEN THI HOA", HOA, None, "nguyen", "hoa", "no marks written: none claimed"),
    ("Nguyễn Thị Hòa", HOA, "nguyen thi hòa", "nguyen", "hoa", "marks written"),
    ("NguyenVanA", "nguyen van a", None, "nguyen", "a", "glued"),
    ("N.T.Hoa", "n t hoa", None, "n", "hoa", "initials"),
    ("Tôn Nữ Thị Ninh", "ton nu thi ninh", "ton nu thi ninh", "ton nu", "ninh", "compound surname"),
    ("Âu Dương Hải", "au duong hai", "au duong hãi", "au duong", "hai", "compound surname"),
    ("Ông Cao Thắng", "ong cao thang", "ong cao thắng", "ong", "thang", "Ông is a surname too"),
    ("Bế Văn Đàn", "be van dan", "be van đàn", "be", "dan", "Bế is a surname, not Bé"),
    ("Côn Văn An", "con van an", "con van an", "con", "an", "Côn is not Con"),
    ("H' Hen Niê", "h hen nie", "h hen niê", "h", "nie", "highland name"),
    ("Y Bhin Niê", "y bhin nie", "y bhin niê", "y", "nie", "highland name"),
    ("Luis Max", "luis max", None, "luis", "max", "a foreign name is not unfinished typing"),
    ("José Müller", "jose muller", "jose müller", "jose", "muller", "nor legacy text"),
    ("Madonna", "madonna", None, None, "madonna", "one word"),
]

NEWBORNS = [
    ("CON BÀ NGUYỄN THỊ HOA", HOA, None, "as claims are written"),
    ("CON BA NGUYEN THI HOA", HOA, None, "without marks"),
    ("CB NGUYỄN THỊ HOA", HOA, None, "abbreviated"),
    ("CB1 NGUYỄN THỊ HOA", HOA, 1, "with a number"),
    ("C/B Nguyễn Thị Hoa 2", HOA, 2, "number behind"),
    ("BÉ NGUYỄN THỊ HOA", HOA, None, "baby"),
    ("BÉ GÁI CON BÀ NGUYỄN THỊ HOA", HOA, None, "baby girl"),
    ("CON 1 BÀ NGUYỄN THỊ HOA", HOA, 1, "twin"),
    ("CON 2 NGUYỄN THỊ HOA", HOA, 2, "twin"),
    ("CON BÀ NGUYỄN THỊ HOA (CON 2)", HOA, 2, "twin in brackets"),
    ("CON BÀ NGUYỄN THỊ HOA B", HOA, 2, "twins by letter"),
    ("CON BÀ NGUYỄN THỊ HOA II", HOA, 2, "twins by Roman number"),
    ("Con bà Nguyễn Thị Hoa - song sinh 1", HOA, 1, "twin in words"),
    ("CON BÀ NGUYỄN THỊ A", "nguyen thi a", None, "a mother whose given name is one letter"),
    ("CB NG THỊ HOA", HOA, None, "the mother's surname abbreviated"),
    ("CON BÀ", None, None, "no mother named"),
    ("BÉ TRAI 1", None, 1, "a boy, the first of two"),
    ("BÉ GÁI 2", None, 2, "a girl, the second"),
    ("SƠ SINH", None, None, "neither"),
    ("CON BÀ NGUYEÃN THÒ HOA", HOA, None, "the mother in a VNI font"),
    ("cb Nguyeenx Thij Hoa", HOA, None, "the mother in unfinished typing"),
    ("BÉ CON BÀ Nguyễn Thị Hoa", HOA, None, "two prefixes"),
]


def parse(text: str) -> PersonName:
    return person_name(clean(text, 256)[0])


@pytest.mark.parametrize(("left", "right", "reason"), ALIKE, ids=[f"{case[2]}: {case[0]}" for case in ALIKE])
def test_one_name_in_two_spellings_is_one_name(left: str, right: str, reason: str) -> None:
    assert parse(left).accented == parse(right).accented, reason


@pytest.mark.parametrize(("text", "name", "accented", "surname", "given", "reason"), FORMS, ids=[c[0] for c in FORMS])
def test_a_name_has_its_forms(
    text: str, name: str, accented: str | None, surname: str | None, given: str, reason: str
) -> None:
    parsed = parse(text)
    assert (parsed.name, parsed.accented, parsed.surname, parsed.given) == (name, accented, surname, given), reason
    assert parsed.sorted == " ".join(sorted(name.split()))
    assert parsed.short == (f"{surname} {given}" if surname else given)
    assert not parsed.is_newborn_alias


@pytest.mark.parametrize(("text", "mother", "index", "reason"), NEWBORNS, ids=[case[0] for case in NEWBORNS])
def test_a_newborn_alias_names_the_mother_and_not_the_child(
    text: str, mother: str | None, index: int | None, reason: str
) -> None:
    parsed = parse(text)
    assert parsed == PersonName(is_newborn_alias=True, parent_name=mother, birth_index=index), reason


def test_a_father_is_told_from_a_mother() -> None:
    parsed = parse("CON ÔNG LÊ VĂN TÁM")
    assert (parsed.is_newborn_alias, parsed.parent_name, parsed.is_parent_mother) == (True, "le van tam", False)


@pytest.mark.parametrize("text", ["Unknown_20240101_1", "VÔ DANH", "Không rõ tên", "chưa đặt tên"])
def test_a_placeholder_is_no_name(text: str) -> None:
    assert parse(text) == PersonName(is_placeholder=True)


@pytest.mark.parametrize("text", ["", "...", "123", "(2)"])
def test_what_holds_no_letters_is_no_name(text: str) -> None:
    assert parse(text) == PersonName()


def test_father_and_son_or_twins_stay_apart() -> None:
    assert parse("Nguyễn Minh Anh").accented != parse("Nguyễn Minh Ánh").accented
    assert parse("Mai Hòa").accented != parse("Mai Hoa Thị").accented


@pytest.mark.parametrize(
    ("text", "regional", "reason"),
    [
        ("Hoàng Văn Nam", "huynh van nam", "a northern surname"),
        ("Huỳnh Văn Nam", "huynh van nam", "the same in the south"),
        ("Vũ Minh Hoàng", "vo minh hoang", "a given name is another name: brothers bear both forms"),
    ],
)
def test_surnames_of_north_and_south_are_one(text: str, regional: str, reason: str) -> None:
    assert parse(text).regional == regional, reason


def test_a_name_knows_how_clerks_abbreviate_and_turn_it() -> None:
    name = parse("Mai Ngô Thanh Thảo")
    assert name.abbreviated == ("m n t thao", "mai n t thao")
    assert name.rotated == ("ngo thanh thao mai", "thao mai ngo thanh", "thao ngo thanh mai")
    assert name.words == ("mai", "ngo", "thanh", "thao")
    assert parse("M.N.T. Thảo").name in name.abbreviated
    assert parse("Tuấn Anh Nguyễn").name in parse("Nguyễn Tuấn Anh").rotated
    assert parse("Nguyễn Anh Tuấn").name not in parse("Nguyễn Tuấn Anh").rotated
    one_word = parse("Madonna")
    assert (one_word.abbreviated, one_word.rotated, one_word.words) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "is_misspelt", "reason"),
    [
        ("Nguyễn Thị Hằng", False, "every word is a name's"),
        ("nguyn thi hang", True, "no syllable"),
        ("Huỳnh Việt Hiu", True, "a syllable, but nobody's name"),
        ("N. B. Trân", False, "initials are no slip"),
        ("Hye Jin Jung", False, "a foreign name has more strange words than familiar ones"),
    ],
)
def test_a_slip_is_told_from_another_name(text: str, is_misspelt: bool, reason: str) -> None:  # noqa: FBT001
    assert parse(text).is_misspelt is is_misspelt, reason


@pytest.mark.parametrize(
    "text",
    [
        *(each for left, right, _ in ALIKE for each in (left, right)),
        "CON BÀ NGUYỄN THỊ HOA",
        "Không rõ",
        "?!",
        "",
    ],
)
def test_a_relatives_folded_name_is_that_of_all_forms(text: str) -> None:
    cleaned = clean(text, 256)[0]
    assert folded_name(cleaned) == person_name(cleaned).name
