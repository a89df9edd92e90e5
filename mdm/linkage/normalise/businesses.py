"""Business names: legal form off, abbreviations written out, trade words apart.

Two registries rarely write a firm's name alike: one writes "Cty CP ĐT & XD An Phát", the other "Công ty Cổ phần Đầu tư
và Xây dựng An Phát". The core name is what both have in common.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from mdm.linkage.normalise.repairs import repaired_line
from mdm.linkage.normalise.text import fold

# Legal forms by folded phrase, the longer before the shorter; None takes the phrase off without naming a form.
_FORMS: tuple[tuple[str, str | None], ...] = (
    (r"tong (?:cong ty|cty)(?: (?:co phan|cp))?|tct(?: cp)?", "group"),
    (r"(?:cong ty|c ?ty|cty) (?:trach nhiem huu han|tnhh) (?:mot|1) ?(?:thanh vien|tv)", "llc_single"),
    (r"(?:trach nhiem huu han|tnhh) ?(?:mtv|(?:mot|1) ?(?:thanh vien|tv))", "llc_single"),
    (r"(?:cong ty|c ?ty|cty) (?:tnhh ?)?(?:mtv|1 ?tv)(?: tnhh)?", "llc_single"),
    (r"mtv|(?:mot|1) thanh vien|1tv", "llc_single"),
    (r"(?:cong ty|c ?ty|cty) (?:trach nhiem huu han|tnhh)(?: (?:hai|2) (?:thanh vien|tv)(?: tro len)?)?", "llc"),
    (r"trach nhiem huu han|tnhh|co ltd|company limited|limited|llc|ltd", "llc"),
    (r"(?:cong ty|c ?ty|cty) (?:co phan|cp)|ctcp|joint stock company|j s c|jsc|corporation|corp", "jsc"),
    (r"doanh nghiep (?:tu nhan|tn)|dntn", "sole"),
    (r"(?:cong ty|c ?ty|cty) (?:hop danh|hd)", "partnership"),
    (r"ho (?:kinh doanh|kd)(?: ca the)?|hkd(?: ca the)?|hkdct", "household"),
    (r"tap doan|group|holdings?", "group"),
    (r"cong ty|c ?ty|cty|company", None),
)
_BRANCH = re.compile(
    r"^(?:chi nhanh|cn|vpdd|van phong dai dien|dia diem kinh doanh|ddkd|branch(?: of)?|van phong)\b(?: (?:so )?\d+)?"
    r"|\b(?:chi nhanh|vpdd|van phong dai dien|dia diem kinh doanh|ddkd|branch)\b.*$"
    r"|\bcn (?:tp ?hcm|thanh pho ho chi minh|ho chi minh|so \d+|\d+)\b.*$"
)
_HOUSEHOLD_TRADES = re.compile(
    r"^(?:co so|cua hang|tiem|quan|nha thuoc|quay thuoc|tap hoa|shop|nha hang|hieu|dai ly|sap|quay)\b"
)
_FORM_PATTERNS = tuple((re.compile(rf"\b(?:{pattern})\b"), form) for pattern, form in _FORMS)
_SINGLE_AFTER_LLC = re.compile(r"^(?:mtv|(?:mot|1) thanh vien|1tv|(?:hai|2) thanh vien(?: tro len)?)\b")

# Written out in the order of length; counts of the commonest in 4,806 public short names are beside the domain's table.
_ABBREVIATIONS = {
    "xd": "xay dung", "pt": "phat trien", "dv": "dich vu", "xnk": "xuat nhap khau", "dt": "dau tu",
    "tm": "thuong mai", "vlxd": "vat lieu xay dung", "vl": "vat lieu", "bds": "bat dong san", "sx": "san xuat",
    "kcn": "khu cong nghiep", "gt": "giao thong", "xl": "xay lap", "tb": "thiet bi", "kt": "ky thuat",
    "kd": "kinh doanh", "dl": "du lich", "ck": "chung khoan", "bh": "bao hiem", "nh": "ngan hang", "vt": "van tai",
    "cn": "cong nghiep", "tmdv": "thuong mai dich vu", "tmcp": "thuong mai co phan", "sxtm": "san xuat thuong mai",
    "xdtm": "xay dung thuong mai", "tmxd": "thuong mai xay dung", "dtxd": "dau tu xay dung",
    "dtpt": "dau tu phat trien", "xdgt": "xay dung giao thong", "ktcn": "ky thuat cong nghiep",
    "ttnt": "trang tri noi that", "tmxnk": "thuong mai xuat nhap khau", "nk": "nhap khau", "xk": "xuat khau",
    "hcm": "ho chi minh", "tphcm": "ho chi minh", "vn": "viet nam", "hn": "ha noi", "dn": "da nang", "tv": "tu van",
    "tk": "thiet ke", "cp": "co phan", "ktxd": "ky thuat xay dung", "qt": "quoc te", "cty": "cong ty",
    "mt": "moi truong", "tp": "thuc pham", "sg": "sai gon", "bv": "benh vien", "ql": "quan ly", "nn": "nong nghiep",
    "tmai": "thuong mai", "oto": "o to", "gd": "giao duc", "hp": "hai phong", "xkld": "xuat khau lao dong",
    "bdsan": "bat dong san",
}  # fmt: skip
_PHRASES = (
    (re.compile(r"\bt mai\b"), "thuong mai"),
    (re.compile(r"\bthanh pho ho chi minh\b|\btp ho chi minh\b|\btp hcm\b"), "ho chi minh"),
    (re.compile(r"\bvietnam\b"), "viet nam"),
    (re.compile(r"\bsaigon\b"), "sai gon"),
    (re.compile(r"\b(?:ngan hang|nh) (?:thuong mai co phan|tmcp)\b"), "ngan hang"),
    (re.compile(r"\btinh (?=[a-z]+ [a-z]+$)"), ""),
)
_TRAILING_NOTE = re.compile(r"\s+[-–]\s*(?:cũ|mới)$", re.IGNORECASE)
_CONNECTORS = frozenset({"va", "and", "the"})
_TRADE_WORDS = re.compile(
    r"\b(?:thuong mai|dich vu|san xuat|xuat nhap khau|xay dung|dau tu|phat trien|kinh doanh|tu van|thiet ke|ky thuat"
    r"|van tai|trang tri noi that|noi that|co khi|cong nghiep|cong nghe|du lich|thiet bi|vat lieu|quoc te|bat dong san"
    r"|giao thong|xuat khau|nhap khau|co phan|nha thuoc|quay thuoc|cua hang|tiem|quan|co so|tap hoa|nha hang|dai ly"
    r"|shop|trading|service|services|investment|construction|production|import export|development|international)\b"
)


class BusinessName(msgspec.Struct, frozen=True):
    """A business name in the forms of `BusinessFeatures`."""

    full: str | None = None
    core: str | None = None
    sorted: str | None = None
    distinct: str | None = None
    legal_form: str | None = None


@lru_cache(maxsize=16384)
def business_name(text: str) -> BusinessName:
    """Return the forms of a cleaned business name; empty text gives an empty `BusinessName`."""
    full = fold(repaired_line(_TRAILING_NOTE.sub("", text)))
    if not full:
        return BusinessName()
    stripped, legal_form = _without_form(full)
    # A name that is nothing but its form ("Công ty Cổ phần Tập đoàn") keeps it: it is all there is.
    core = _expanded(stripped) or full
    distinct = " ".join(_TRADE_WORDS.sub(" ", core).split()) or core
    return BusinessName(full, core, " ".join(sorted(core.split())), distinct, legal_form)


def _without_form(full: str) -> tuple[str, str | None]:
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
    return name, "branch" if branch is not None else found


def _expanded(name: str) -> str:
    for pattern, long in _PHRASES:
        name = pattern.sub(long, name)
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split() if word not in _CONNECTORS)
