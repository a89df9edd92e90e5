"""The epoch's population follows a city that grows between re-linkages."""

from __future__ import annotations

from pathlib import Path

from mdm.domain.keys import EntityKind
from mdm.resolve.engines import engine
from tests.resolve.office import Office, citizen

NAMES = ("Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải", "Tạ Bích Loan", "Phan Gia Huy", "Bùi Tấn Lộc")


def test_a_kind_that_outgrows_its_epoch_gets_the_real_population_by_event(office: Office, tmp_path: Path) -> None:
    present = office.writer._engines[EntityKind.CITIZEN]
    small = engine(EntityKind.CITIZEN, present.model, present.epoch.with_population(2))
    office.writer._engines[EntityKind.CITIZEN] = small
    populations = []
    for place, name in enumerate(NAMES):
        office.put(citizen(f"P{place}", name, f"19{60 + place}-02-03", phone="", address=""))
        populations.append(office.writer._engines[EntityKind.CITIZEN].epoch.population)
    assert populations == [2, 2, 2, 2, 2, 5], "five are more than twice two, and count before the sixth is decided"
    with office.writer._index.read() as view:
        assert view.setting("epoch:citizen") == office.writer._engines[EntityKind.CITIZEN].epoch_digest
    assert office.differences(tmp_path / "replay") == []


def test_a_relinkage_tells_the_population_that_the_epoch_is_measured_against(office: Office) -> None:
    for place, name in enumerate(NAMES):
        office.put(citizen(f"P{place}", name, f"19{60 + place}-02-03", phone="", address=""))
    office.writer._population._live[EntityKind.CITIZEN] = 1_000_000
    office.relink_here()
    present = office.writer._engines[EntityKind.CITIZEN]
    assert office.writer._population._live[EntityKind.CITIZEN] == present.epoch.population == len(NAMES)


def test_a_start_takes_ids_of_the_gone_for_the_living_only_until_it_matters(office: Office) -> None:
    records = [
        citizen(f"P{place}", name, f"19{60 + place}-02-03", phone="", address="") for place, name in enumerate(NAMES)
    ]
    for record in records[:4]:
        office.put(record)
    for record in records[1:4]:
        office.drop(record.key)
    office.close()
    office.reopen()
    present = office.writer._engines[EntityKind.CITIZEN]
    office.writer._engines[EntityKind.CITIZEN] = engine(
        EntityKind.CITIZEN, present.model, present.epoch.with_population(2)
    )
    assert office.writer._population._live[EntityKind.CITIZEN] == 4, "three of them retired"
    for record in records[4:]:
        office.put(record)
    office.put(records[1])
    assert office.writer._engines[EntityKind.CITIZEN].epoch.population == 2, "four live at most, six were issued"
    assert office.writer._population._live[EntityKind.CITIZEN] == 4
