"""Addresses: drawn once as facts, written in either of the two systems and in many hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mdm.synth import tables
from mdm.synth.dice import Dice, Weighted
from mdm.synth.tables import Ward

_STREETS_PER_WARD = 14
_CITY = "Thành phố Hồ Chí Minh"
_CITY_SHORT = ("TP.HCM", "TPHCM", "TP. HCM", "Tp.HCM", "HCM", "TP Hồ Chí Minh")
_ESTATES = ("Hoàng Anh", "Ehome 3", "Sunview Town", "Tân Phước", "Phú Thọ", "Bình Khánh", "Him Lam", "Mỹ Đức", "Sky 9")
_HOME_COMMUNES = (
    "Tân Thành",
    "Long Hòa",
    "Mỹ Hội",
    "Phước An",
    "Bình Thạnh",
    "Hòa Lộc",
    "Tân Hưng",
    "An Thạnh",
    "Đại Hòa",
)

# Old HCMC is denser than the two provinces that joined it.
_DENSITY = {"Thành phố Hồ Chí Minh": 2.2, "Tỉnh Bình Dương": 1.3, "Tỉnh Bà Rịa - Vũng Tàu": 0.6}
_UNIT_SHORT = {"Phường": "P", "Xã": "X", "Thị trấn": "TT", "Quận": "Q", "Huyện": "H", "Thành phố": "TP"}


@dataclass(frozen=True, slots=True)
class Address:
    """A place: house, street and ward, or a commune of another province (`elsewhere`), where the city has no code."""

    house: str
    street: str
    street_short: str
    quarter: str
    """Khu phố, ấp or tổ, or empty."""
    ward: Ward
    successor: tuple[str, str]
    """Code and name of the new unit that this house lies in."""
    elsewhere: str = ""


class Written(NamedTuple):
    """An address as one registry wrote it; the code is of the ward, old or new, or empty."""

    text: str
    ward_code: str


class AddressBook:
    """Draws places. Streets belong to wards, so that neighbours share them."""

    def __init__(self, dice: Dice) -> None:
        """Lay out the streets of the wards."""
        streets = tables.read_table("streets.csv")
        density = [
            (ward, _DENSITY[ward.province] * (0.4 + 1.6 * dice.uniform()) * (0.5 if ward.is_rural else 1.0))
            for ward in tables.wards()
        ]
        self._wards: Weighted[Ward] = Weighted(density)
        misleading = sum(weight for ward, weight in density if ward.is_false_friend)
        self.false_friend_share = misleading / sum(weight for _, weight in density)
        """Share of the city's addresses whose old ward's name belongs to another new unit today."""
        self._streets: dict[str, list[tuple[str, str]]] = {}
        for ward in tables.wards():
            named = [dice.choice(streets) for _ in range(_STREETS_PER_WARD)]
            numbered = [(f"Đường số {dice.between(1, 40)}", "") for _ in range(4 if ward.is_rural else 2)]
            self._streets[ward.code] = [(row["name"], row["short"]) for row in named] + numbered
        self._home = tables.read_table("home_districts.csv")
        self._false_friends = {ward.code for ward in tables.wards() if ward.is_false_friend}

    def address(self, dice: Dice) -> Address:
        """Draw a place in the city."""
        return self.within(dice, self._wards.pick(dice))

    def within(self, dice: Dice, ward: Ward) -> Address:
        """Draw a place in a ward."""
        street, short = dice.choice(self._streets[ward.code])
        quarter = ""
        if ward.is_rural and dice.chance(0.7):
            quarter = f"Ấp {dice.between(1, 9)}"
        elif dice.chance(0.22):
            quarter = f"Khu phố {dice.between(1, 9)}" if dice.chance(0.6) else f"Tổ {dice.between(1, 90)}"
        successor = ward.successors[0] if len(ward.successors) == 1 else dice.choice(ward.successors)
        return Address(_house_number(dice), street, short, quarter, ward, successor)

    def home_village(self, dice: Dice, near: Address) -> Address:
        """Draw a place in another province, for people registered there; it has no ward code of the city."""
        row = dice.choice(self._home)
        commune = f"Ấp {dice.between(1, 9)}, Xã {dice.choice(_HOME_COMMUNES)}"
        text = f"{commune}, Huyện {row['district']}, Tỉnh {row['province']}"
        return Address("", "", "", "", near.ward, near.successor, text)

    def has_false_friend(self, address: Address) -> bool:
        """Whether a new ward elsewhere bears the name of this address's old ward."""
        return address.ward.code in self._false_friends


def _house_number(dice: Dice) -> str:
    kind = dice.uniform()
    number = dice.between(1, 60) if dice.chance(0.3) else dice.between(1, 999)
    if kind < 0.40:  # the shares of the forms stand in this function
        return str(number)
    if kind < 0.50:
        return f"{number}{dice.choice('ABCDE')}"
    if kind < 0.72:
        return f"{number}/{dice.between(1, 120)}"
    if kind < 0.84:
        return f"{number}/{dice.between(1, 60)}/{dice.between(1, 30)}{dice.choice(('', '', 'A', 'B'))}"
    if kind < 0.87:
        return f"{number} Bis"
    if kind < 0.90:
        return f"Lô {dice.choice('ABCDEF')}{dice.between(1, 40)}"
    return f"Căn hộ {dice.choice('ABCD')}{dice.between(1, 25)}.{dice.between(1, 16):02d} CC {dice.choice(_ESTATES)},"


def write(address: Address, dice: Dice, *, old_tiers: bool, short: bool, to_ward: bool, with_code: bool) -> Written:
    """Return the address as a clerk writes it.

    Args:
        address: The place.
        dice: Draws the clerk's habits.
        old_tiers: Ward, district and province of before July 2025; otherwise the new unit.
        short: With the abbreviations of the counter.
        to_ward: Whether the text reaches the ward; otherwise it names the street and at most the city.
        with_code: Whether the ward code is filled in, too.
    """
    if address.elsewhere:
        return Written(address.elsewhere, "")
    lead = "Đường " if not short and address.street[0] not in "Đ0123456789" and dice.chance(0.25) else ""
    street = address.street_short if short and address.street_short and dice.chance(0.7) else lead + address.street
    parts = [f"{address.house} {street}"]
    if address.quarter and dice.chance(0.8):
        parts.append(address.quarter.replace("Khu phố ", "KP") if short else address.quarter)
    city = dice.choice(_CITY_SHORT) if short else _CITY
    if not to_ward:
        if dice.chance(0.6):
            parts.append(city)
        return Written(", ".join(parts), "")
    if old_tiers:
        ward = address.ward
        parts += [
            _unit(ward.name, dice) if short else ward.name,
            _unit(ward.district, dice) if short else ward.district,
        ]
        if ward.province != _CITY:
            city = ward.province
        code = ward.code
    else:
        code, name = address.successor
        parts.append(_unit(name, dice) if short else name)
    parts.append(city)
    return Written(", ".join(parts), code if with_code else "")


def write_false_friend(address: Address) -> Written:
    """Return the address with its old ward's name as if that were the new unit: no district, no code."""
    return Written(f"{address.house} {address.street}, {address.ward.name}, {_CITY}", "")


def _unit(name: str, dice: Dice) -> str:
    for long, brief in _UNIT_SHORT.items():
        if name.startswith(long + " "):
            rest = name[len(long) + 1 :]
            if rest.isdigit():
                return f"{brief}{dice.choice(('', '.', '. '))}{rest}"
            return f"{brief}{dice.choice(('. ', '.', ' '))}{rest}"
    return name
