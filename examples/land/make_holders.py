"""Make the land register of a synthetic city: `land.holders.csv`, and `land.truth.csv` that says who each holder is.

    mdm synth --citizens 600 --seed 11 ./city
    python examples/land/make_holders.py ./city ./land

The same city gives the same bytes. Holders are people and firms of the city as another office writes them: names in
capitals or without marks, a birth year alone, numbers with dots, an old number or none, addresses in four columns.
"""

from __future__ import annotations

import csv
import random
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

COLUMNS = (
    *("holder_id", "holder_type", "holder_name", "born_day", "born_month", "born_year", "gender"),
    *("document_type", "document_no", "phone", "house_no", "street", "ward", "district"),
    *("agent_name", "agent_born", "agent_document_no", "changed_on"),
)
PERSON, FIRM = "1", "2"
PERSON_SHARE = 0.6
TWO_PARCELS_SHARE = 0.15
ADULT_SINCE = "2006"

Row = dict[str, str]


def main(city: Path, target: Path) -> None:
    """Write both files."""
    dice = random.Random(2026)
    entity_of = {
        (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in rows(city, "truth")
    }
    holders = [*people(city, entity_of, dice), *firms(city, entity_of, dice)]
    dice.shuffle(holders)
    target.mkdir(parents=True, exist_ok=True)
    truth = []
    for number, (holder, entities) in enumerate(holders, start=1):
        holder["holder_id"] = f"QSDD-{7900000 + 37 * number}"
        truth += [("land", kind, holder["holder_id"], entity) for kind, entity in entities]
    write(target / "land.holders.csv", COLUMNS, ([holder.get(name, "") for name in COLUMNS] for holder, _ in holders))
    write(target / "land.truth.csv", ("registry", "entity_kind", "record_id", "entity_id"), iter(truth))


def people(
    city: Path, entity_of: dict[tuple[str, str, str], str], dice: random.Random
) -> Iterator[tuple[Row, list[tuple[str, str]]]]:
    """Yield grown-up residents as holders, some of them twice."""
    for row in rows(city, "household.residents"):
        entity = entity_of["household", "citizen", row["record_id"]]
        if row["birth_date"][:4] > ADULT_SINCE or row["died_on"] or dice.random() > PERSON_SHARE:
            continue
        for _ in range(2 if dice.random() < TWO_PARCELS_SHARE else 1):
            year, month, day = (row["birth_date"] + "--").split("-")[:3]
            is_old = bool(row["old_personal_id"]) and dice.random() < 0.3  # noqa: PLR2004 – some still show the old card
            number = row["old_personal_id"] if is_old else row["personal_id"]
            is_year_alone = dice.random() < 0.25  # noqa: PLR2004 – forms of the nineties asked for no more
            yield (
                {
                    "holder_type": PERSON,
                    "holder_name": written(row["full_name"], dice),
                    "born_day": "" if is_year_alone else day.lstrip("0"),
                    "born_month": "" if is_year_alone else month.lstrip("0"),
                    "born_year": year,
                    "gender": {"M": "Nam", "F": "Nữ"}.get(row["sex"], ""),
                    "document_type": "CMND" if is_old else "CCCD",
                    "document_no": document(number, dice),
                    "phone": international(row["phone"]),
                    "changed_on": changed(dice),
                    **address(row["current_address"] or row["permanent_address"]),
                },
                [("citizen", entity)],
            )


def firms(
    city: Path, entity_of: dict[tuple[str, str, str], str], dice: random.Random
) -> Iterator[tuple[Row, list[tuple[str, str]]]]:
    """Yield firms as holders, each with the person who signs for it."""
    for row in rows(city, "company.businesses"):
        entities = [("business", entity_of["company", "business", row["record_id"]])]
        agent = entity_of.get(("company", "citizen", row["record_id"]))
        if agent:
            entities.append(("citizen", agent))
        yield (
            {
                "holder_type": FIRM,
                "holder_name": row["legal_name"].upper(),
                "document_type": "MST",
                "document_no": row["tax_code"],
                "phone": international(row["phone"]),
                "agent_name": written(row["representative_name"], dice),
                "agent_born": row["representative_birth_date"],
                "agent_document_no": document(row["representative_personal_id"], dice),
                "changed_on": changed(dice),
                **address(row["address"]),
            },
            entities,
        )


def written(name: str, dice: random.Random) -> str:
    """Return a name as one clerk or another writes it."""
    if dice.random() < 0.2:  # noqa: PLR2004 – keyed in without marks
        decomposed = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
        name = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return name.upper() if dice.random() < 0.5 else name  # noqa: PLR2004 – one office in two


def document(number: str, dice: random.Random) -> str:
    """Return an identity number as it stands on the form: with dots at times, now and then not at all."""
    if dice.random() < 0.08:  # noqa: PLR2004 – forms without a copy of the card
        return ""
    dotted = ".".join(number[start : start + 3] for start in range(0, len(number), 3))
    return dotted if dice.random() < 0.4 else number  # noqa: PLR2004 – as the card prints it or as it is read out


def international(phone: str) -> str:
    """Return a phone number with the country's code."""
    return f"+84 {phone[1:]}" if phone.startswith("0") else phone


def address(text: str) -> Row:
    """Return an address in the register's four columns; the city is not written."""
    # From behind: city, district, ward; what is left in front is number and street.
    parts = [part.strip() for part in text.split(",")][:-1]
    district = parts.pop() if len(parts) > 1 else ""
    ward = parts.pop() if len(parts) > 1 else ""
    number, _, street = parts[0].partition(" ") if parts and parts[0][:1].isdigit() else ("", "", (parts or [""])[0])
    return {"house_no": number, "street": ", ".join([street, *parts[1:]]), "ward": ward, "district": district}


def changed(dice: random.Random) -> str:
    """Return when the register last changed the row."""
    return f"{dice.randint(1, 28):02}/{dice.randint(1, 12):02}/{dice.randint(2015, 2025)}"


def rows(city: Path, name: str) -> list[Row]:
    """Return the rows of a file of the city."""
    with (city / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, header: tuple[str, ...], lines: Iterator[object]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
