"""Firms, branches and household businesses, planned before the people who will represent them are born."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from mdm.synth import identifiers
from mdm.synth.dice import Dice, Weighted
from mdm.synth.people import CITY_DATE, Person

if TYPE_CHECKING:
    from mdm.synth.addresses import Address, AddressBook
    from mdm.synth.identifiers import Serials

Form = Literal["company", "branch", "household_business"]

FIRMS_PER_CITIZEN = 0.12
HOUSEHOLD_TAX_CODE_FROM = date(2025, 7, 1)
"""Since this day the owner's personal ID is the tax code of a household business."""

_FIRST_FOUNDED = date(2001, 1, 1)
_ACTIVE, _PAUSED, _CLOSED = "đang hoạt động", "tạm ngừng", "đã giải thể"

# The city's mix is 55 % household businesses, 30 % limited (two thirds with one member), 8 % joint stock, 2 % sole and
# 5 % branches. Shops weigh more here, since owners of several firms and branches add companies afterwards.
_FORMS: Weighted[tuple[str, str]] = Weighted(
    [
        (("household_business", "Hộ kinh doanh"), 61.0),
        (("company", "Công ty TNHH Một thành viên"), 20.0),
        (("company", "Công ty TNHH"), 10.0),
        (("company", "Công ty Cổ phần"), 8.0),
        (("company", "Doanh nghiệp tư nhân"), 2.0),
    ]
)
# A tenth of the companies has one to three branches: one firm in twenty.
_PARENT_SHARE = 0.10
_SEVERAL_FIRMS_SHARE = 0.16
_SUCCESSOR_SHARE = 0.015
_SAME_SHOP_NAME_SHARE = 0.03

_BRANDS = (
    "An Bảo Bình Cát Châu Cường Dương Đại Đạt Đông Đức Gia Hà Hải Hân Hiệp Hoa Hòa Hoàn Hoàng Hồng Hùng "
    "Hưng Huy Khải Khang Khánh Kim Lâm Lan Lộc Lợi Long Mai Minh Mỹ Nam Ngân Ngọc Nguyên Nhất Nhật "
    "Phát Phong Phú Phúc Phương Quân Quang "
    "Sao Sơn Tài Tâm Tân Thái Thành Thắng Thiên Thịnh Thuận Tiến Tín Toàn Trí Trung Trường Vạn Việt "
    "Vinh Vĩnh Vũ Xuân Á Âu"
).split()
_TRADES: Weighted[str] = Weighted(
    [
        ("Thương mại Dịch vụ", 22), ("Sản xuất Thương mại", 10), ("Xây dựng", 9), ("Thương mại", 9),
        ("Xuất nhập khẩu", 6),
        ("Đầu tư Phát triển", 5), ("Thương mại Dịch vụ Xây dựng", 5), ("Vận tải", 4), ("Du lịch", 3), ("Công nghệ", 4),
        ("Thiết bị", 3), ("Bất động sản", 3), ("Vật liệu xây dựng", 3), ("Dịch vụ", 3), ("Giáo dục", 2), ("", 9),
    ]
)  # fmt: skip
_SHORT_WORDS = (
    ("Một thành viên", "MTV"), ("Vật liệu xây dựng", "VLXD"), ("Xuất nhập khẩu", "XNK"), ("Bất động sản", "BĐS"),
    ("Xây dựng", "XD"), ("Phát triển", "PT"), ("Dịch vụ", "DV"), ("Đầu tư", "ĐT"), ("Thương mại", "TM"),
    ("Sản xuất", "SX"), ("Thiết bị", "TB"), ("Du lịch", "DL"), ("Vận tải", "VT"), ("Công nghệ", "CN"),
    ("Công ty Cổ phần", "CTCP"), ("Doanh nghiệp tư nhân", "DNTN"), ("Công ty", "Cty"), ("Chi nhánh", "CN"),
    ("Hộ kinh doanh", "HKD"),
)  # fmt: skip
_ENGLISH = {
    "Thương mại Dịch vụ": "Trading Service", "Sản xuất Thương mại": "Manufacturing Trading", "Xây dựng": "Construction",
    "Thương mại": "Trading", "Xuất nhập khẩu": "Import Export", "Đầu tư Phát triển": "Investment Development",
    "Vận tải": "Transport", "Du lịch": "Travel", "Công nghệ": "Technology", "Giáo dục": "Education",
}  # fmt: skip
_SHOPS = (
    "Nhà thuốc",
    "Tạp hóa",
    "Quán ăn",
    "Cửa hàng",
    "Tiệm vàng",
    "Cà phê",
    "Tiệm tóc",
    "Quán cơm",
    "Shop",
    "Nha khoa",
)
_SHOP_NAMES = (
    "Minh Châu",
    "Hoa Mai",
    "Hồng Phúc",
    "Thanh Thảo",
    "Kim Ngân",
    "Bảo An",
    "Hương Quê",
    "Ngọc Lan",
    "Phước Lộc",
)


@dataclass(slots=True, eq=False)
class Firm:
    """One business. A branch names its parent. Household businesses get their name and code from their owner."""

    number: int
    form: Form
    legal_form: str
    trade: str
    brand: str
    tax_code: str
    address: Address
    phone: str
    established_on: date
    status: str
    employer_ids: list[str] = field(default_factory=list)
    parent: Firm | None = None
    branch_number: int = 0
    own_name: str = ""
    """The proper name of a household business, once its owner is known."""

    @property
    def entity_id(self) -> str:
        """The name of this firm in `truth.csv`."""
        return f"b{self.number:06d}"

    @property
    def name(self) -> str:
        """The full legal name, in proper case."""
        if self.parent is not None:
            number = f"{self.branch_number} - " if self.branch_number > 1 else ""
            return f"Chi nhánh {number}{self.parent.name}"
        if self.form == "household_business":
            return f"{self.legal_form} {self.own_name}"
        return " ".join(part for part in (self.legal_form, self.trade, self.brand) if part)

    @property
    def foreign_name(self) -> str:
        """The English trade name of a company, or empty."""
        if self.form != "company":
            return ""
        kind = "Joint Stock Company" if "Cổ phần" in self.legal_form else "Company Limited"
        return " ".join(part for part in (self.brand, _ENGLISH.get(self.trade, ""), kind) if part)

    def entity(self, representative: Person) -> list[str]:
        """Return the row of this firm in `entities.csv`."""
        what = [self.entity_id, "business", self.form, self.name, self.established_on.isoformat()]
        return [*what, *[""] * 7, representative.entity_id, self.parent.entity_id if self.parent else ""]

    def owned_by(self, owner: Person, dice: Dice) -> None:
        """Give a household business the name and tax code that its owner brings."""
        if self.form != "household_business":
            return
        if owner.personal_id and not self.tax_code:
            self.tax_code = owner.personal_id
        if self.own_name:
            return
        draw = dice.uniform()
        if draw < 0.35:  # the shares of how shops are named
            self.own_name = owner.name.called
        elif draw < 0.75:
            proper = owner.name.called if dice.chance(0.4) else f"{dice.choice(_BRANDS)} {dice.choice(_BRANDS)}"
            self.own_name = f"{dice.choice(_SHOPS)} {proper}"
        elif draw < 0.85:
            self.own_name = f"{dice.choice(_SHOPS)} {self.address.street}"
        else:
            self.own_name = f"{dice.choice(_BRANDS)} {dice.choice(_BRANDS)} {dice.between(1, 99)}"


def shortened(name: str) -> str:
    """Return a firm's name with the abbreviations that clerks and firms use."""
    for long, brief in _SHORT_WORDS:
        name = name.replace(long, brief)
    return name


@dataclass(slots=True)
class FirmPlan:
    """All firms of the city: `seats` lists the firms that share a representative, in the order they are filled."""

    seats: list[list[Firm]]
    employers: Weighted[str] | None
    firms_count: int
    branches: int
    successors: int
    same_shop_names: int
    several_firms: int


class Founder:
    """Plans the firms of a city."""

    def __init__(self, dice: Dice, book: AddressBook, serials: Serials, employer_codes: Serials) -> None:
        """Start with no firm."""
        self._dice = dice
        self._book = book
        self._serials = serials
        self._employer_codes = employer_codes
        self._count = 0
        self._sizes: list[tuple[str, float]] = []
        self._plan = FirmPlan([], None, 0, 0, 0, 0, 0)

    def plan(self, count: int) -> FirmPlan:
        """Found `count` firms."""
        plan, dice = self._plan, self._dice
        while self._count < count:
            seat = [self._firm()]
            firm = seat[0]
            plan.seats.append(seat)
            if firm.form == "household_business":
                if dice.chance(_SAME_SHOP_NAME_SHARE) and self._count < count:
                    self._same_shop_name(firm)
                continue
            if dice.chance(_SEVERAL_FIRMS_SHARE):
                plan.several_firms += 1
                seat += [self._firm("company") for _ in range(min(dice.between(1, 3), count - self._count))]
            if dice.chance(_SUCCESSOR_SHARE) and self._count < count:
                self._successor(firm, seat)
            if dice.chance(_PARENT_SHARE):
                self._branches(firm, seat, count)
        dice.shuffle(plan.seats)
        plan.firms_count = self._count
        plan.employers = Weighted(self._sizes) if self._sizes else None
        return plan

    def _firm(self, form: Form | None = None) -> Firm:
        dice = self._dice
        drawn, legal_form = _FORMS.pick(dice)
        while form is not None and drawn != form:
            drawn, legal_form = _FORMS.pick(dice)
        is_shop = drawn == "household_business"
        self._count += 1
        address = self._book.address(dice)
        region = {"Tỉnh Bình Dương": "37", "Tỉnh Bà Rịa - Vũng Tàu": "35"}.get(address.ward.province, "03")
        # One household business in five still goes under the code of before July 2025, which starts with 8.
        region = ("8" + region[1] if dice.chance(0.2) else "") if is_shop else region
        firm = Firm(
            number=self._count,
            form="household_business" if is_shop else "company",
            legal_form=legal_form,
            trade=_TRADES.pick(dice),
            brand=self._brand(),
            tax_code=identifiers.tax_code(self._serials, region) if region else "",
            address=address,
            phone=identifiers.landline(dice) if not is_shop and dice.chance(0.4) else identifiers.mobile_phone(dice),
            established_on=_FIRST_FOUNDED + timedelta(days=self._dice.below((CITY_DATE - _FIRST_FOUNDED).days)),
            status=_ACTIVE if dice.chance(0.86) else _PAUSED if dice.chance(0.4) else _CLOSED,
        )
        if dice.chance(0.08 if is_shop else 0.93):
            self._employ(firm)
        return firm

    def _brand(self) -> str:
        words = [self._dice.choice(_BRANDS) for _ in range(2 if self._dice.chance(0.7) else 3)]
        return " ".join(words)

    def _employ(self, firm: Firm) -> None:
        """Give the firm its employer unit, now and then two, and a size."""
        for _ in range(2 if self._dice.chance(0.02) else 1):
            code = self._employer_codes.take("TZ", 6)
            firm.employer_ids.append(code)
            # Few firms employ most people: the inverse of a uniform has such a tail.
            self._sizes.append((code, 1.0 / (0.002 + self._dice.uniform())))

    def _same_shop_name(self, firm: Firm) -> None:
        twin = self._firm("household_business")
        firm.own_name = twin.own_name = f"{self._dice.choice(_SHOPS)} {self._dice.choice(_SHOP_NAMES)}"
        self._plan.same_shop_names += 1
        self._plan.seats.append([twin])

    def _successor(self, firm: Firm, seat: list[Firm]) -> None:
        """Close the firm; another of nearly its name opens at its address, half the time under the same person."""
        follower = self._firm("company")
        follower.address, follower.phone, follower.trade = firm.address, firm.phone, firm.trade
        follower.brand = f"{firm.brand} {self._dice.choice(('Mới', 'Việt Nam', 'Sài Gòn', 'Group'))}"
        follower.established_on = min(CITY_DATE, max(firm.established_on, date(2015, 1, 1)) + timedelta(days=900))
        firm.status, follower.status = _CLOSED, _ACTIVE
        self._plan.successors += 1
        if self._dice.chance(0.5):
            seat.append(follower)
        else:
            self._plan.seats.append([follower])

    def _branches(self, parent: Firm, seat: list[Firm], count: int) -> None:
        for number in range(1, min(self._dice.between(1, 3), count - self._count) + 1):
            branch = self._firm("company")
            branch.form, branch.parent, branch.branch_number = "branch", parent, number
            branch.tax_code = f"{parent.tax_code}-{number:03d}"
            branch.established_on = min(CITY_DATE, parent.established_on + timedelta(days=self._dice.below(2000)))
            self._plan.branches += 1
            if self._dice.chance(0.4):
                seat.append(branch)
            else:
                self._plan.seats.append([branch])
