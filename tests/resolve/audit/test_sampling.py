from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind
from mdm.errors import DataDirectoryError, InvalidInputError, MdmError
from mdm.resolve.audit.design import Way
from mdm.resolve.audit.sampling import Audit, sample
from tests.resolve.audit.conftest import City, pair_count, silent
from tests.resolve.office import Office, citizen


def drawn(
    data: Path, *, kind: EntityKind = EntityKind.CITIZEN, size: int = 200, seed: int = 1, searched: int = 20
) -> Audit:
    return sample(data, kind, size=size, seed=seed, searched=searched, memory_limit="1GB", progress=silent)


def pairs_of(audit: Audit) -> set[tuple[int, int]]:
    return {(item.left, item.right) for item in audit.key.items}


def test_the_same_state_size_and_seed_give_the_same_audit(city: City) -> None:
    before = {path: path.read_bytes() for path in city.data.rglob("*") if path.name in {"data.mdb", "journal.sqlite"}}
    once, again, other = drawn(city.data), drawn(city.data), drawn(city.data, seed=2)
    assert once == again
    assert other.key.audit != once.key.audit
    assert pairs_of(other) != pairs_of(once)
    # Nothing of the service changed, and no copy of it is left.
    assert {
        path: path.read_bytes() for path in city.data.rglob("*") if path.name in {"data.mdb", "journal.sqlite"}
    } == before


def test_items_are_drawn_from_the_whole_city_half_linked_half_apart(city: City) -> None:
    key = drawn(city.data).key
    together = sum(stratum.population for stratum in key.strata if stratum.way.is_linked)
    assert together == pair_count(city.population.goldens.tolist())
    assert key.record_count == len(city.population.numbers)
    assert Counter(key.strata[item.stratum].way.is_linked for item in key.items) == {True: 100, False: 100}
    counted = Counter(item.stratum for item in key.items)
    assert [counted[place] for place in range(len(key.strata))] == [stratum.items for stratum in key.strata]
    goldens = dict(zip(city.population.numbers.tolist(), city.population.goldens.tolist(), strict=True))
    for item in key.items:
        assert (goldens[item.left] == goldens[item.right]) is key.strata[item.stratum].way.is_linked
        assert item.registries in key.strata[item.stratum].populations
    assert [item.id for item in key.items] == [f"{key.audit}-{place:05d}" for place in range(1, 201)]


def test_the_order_of_the_items_tells_nothing_of_their_strata(city: City) -> None:
    key = drawn(city.data).key
    ways = [key.strata[item.stratum].way.is_linked for item in key.items]
    changes = sum(one is not other for one, other in pairwise(ways))
    # Half of 199 neighbours differ by chance, with a deviation of 7; two blocks would differ once.
    assert 71 < changes < 128


def test_more_items_than_pairs_are_all_pairs(city: City) -> None:
    audit = drawn(city.data, kind=EntityKind.BUSINESS, size=5000)
    assert all(stratum.items == stratum.population for stratum in audit.key.strata)
    assert len(audit.key.items) == sum(stratum.population for stratum in audit.key.strata)


@pytest.mark.parametrize("size", [3, 50_001])
def test_a_size_that_makes_no_audit_is_refused(city: City, size: int) -> None:
    with pytest.raises(InvalidInputError, match="size: must be"):
        drawn(city.data, size=size)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """Four records of one person, of whom a steward judged one apart, one pending, and a stranger."""
    office = Office(tmp_path / "data")
    records = [
        citizen(name, registry=registry, personal_id="079187000123")
        for name, registry in (("A", "hospital"), ("B", "social_security"), ("C", "household"), ("D", "hospital"))
    ]
    office.put_all(records)
    office.judge(records[0].key, records[1].key, Verdict.SAME)
    office.put(citizen("E", registry="household", personal_id="079187000123"), later=True)
    office.put(citizen("Z", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0911222333", address=""))
    office.close()
    return tmp_path / "data"


def test_what_stewards_judged_and_what_is_pending_is_outside(family: Path) -> None:
    key = drawn(family, size=10).key
    assert (key.record_count, key.pending_record_count, key.judged_pair_count) == (5, 1, 1)
    # Six pairs of four records, one of them judged.
    assert sum(stratum.population for stratum in key.strata if stratum.way.is_linked) == 5
    assert sum(stratum.population for stratum in key.strata if not stratum.way.is_linked) == 0
    (unblocked,) = [stratum for stratum in key.strata if stratum.way is Way.UNBLOCKED]
    assert (unblocked.items, unblocked.caught_share, key.searched_record_count) == (0, 1.0, 5)


def test_the_records_of_the_items_are_those_of_the_registries(family: Path) -> None:
    audit = drawn(family, size=10)
    assert {record.key.record_id for record in audit.records.values()} == {"A", "B", "C", "D"}
    assert set(audit.records) == {number for item in audit.key.items for number in (item.left, item.right)}


def test_a_directory_without_records_says_so(tmp_path: Path) -> None:
    Office(tmp_path / "data").close()
    with pytest.raises(InvalidInputError, match="kind: the data directory holds no two resolved citizen records"):
        drawn(tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (shutil.rmtree, DataDirectoryError, "does not exist"),
        (lambda data: (data / "VERSION").write_text("other 1\n"), DataDirectoryError, "another version"),
        (
            lambda data: next(data.glob("index/gen-*/MARK")).write_text("a boot ago\n"),
            DataDirectoryError,
            "may be torn",
        ),
        (lambda data: (data / "index" / "CURRENT").unlink(), DataDirectoryError, "is missing or may be torn"),
        (
            lambda data: next(data.glob("index/gen-*/data.mdb")).write_bytes(b"x" * 9000),
            DataDirectoryError,
            "may be torn",
        ),
    ],
    ids=["no directory", "version", "power cut", "no index", "damaged"],
)
def test_an_index_that_cannot_be_trusted_is_not_read(
    family: Path, change: Callable[[Path], object], error: type[MdmError], said: str
) -> None:
    change(family)
    with pytest.raises(error, match=said):
        drawn(family)
