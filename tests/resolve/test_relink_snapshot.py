from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.codec import encode_features
from mdm.resolve import describing, relink_snapshot
from mdm.resolve.matcher import describe
from mdm.resolve.relink_snapshot import Snapshot, StoredFeatures
from tests.resolve.cities import city_records
from tests.resolve.office import Office


def _told(_done: int) -> None:
    return


def test_pending_records_are_described_by_several_processes_as_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record for record in city_records(50, 3) if record.key.kind is EntityKind.CITIZEN]
    office = Office(tmp_path / "data")
    office.put_all(records[::3])
    office.put_all([record for at, record in enumerate(records) if at % 3], later=True)
    with office.writer._index.read() as view:
        Snapshot.take(view, EntityKind.CITIZEN, tmp_path / "one", _told)
        monkeypatch.setattr(relink_snapshot, "_PART_RECORDS", 11)
        monkeypatch.setattr(relink_snapshot, "_PART_PAYLOADS", 5)
        monkeypatch.setattr(describing, "_PROCESS_FRAMES_MIN", 2)
        Snapshot.take(view, EntityKind.CITIZEN, tmp_path / "several", _told)
    one, several = (Snapshot(EntityKind.CITIZEN, tmp_path / name) for name in ("one", "several"))
    assert len(one) == len(records)
    assert one.parquet.read_bytes() == several.parquet.read_bytes()
    described = {office.number(record.key): describe(record) for record in records}
    pending = 0
    for place in range(1, len(several) + 1):
        expected = described[several.number(place)]
        assert several.described(place) == one.described(place)
        assert encode_features(several.features(place)) == expected.encoded
        if (found := several.described(place)) is not None:
            assert found == (expected.encoded, expected.keys)
            pending += 1
    assert pending == sum(at % 3 > 0 for at in range(len(records)))
    office.close()


def test_features_are_read_back_here_and_in_another_process(tmp_path: Path) -> None:
    encoded = [b"", b"first", b"x" * 100_000, b"last"]
    stored = StoredFeatures.written(tmp_path / "features", encoded)
    travelled = pickle.dumps(stored)
    assert len(travelled) < 1_000, "the name of the file, not what is in it"
    for each in (stored, pickle.loads(travelled)):  # noqa: S301  (our own)
        assert list(each) == [1, 2, 3, 4]
        assert [each[place] for place in each] == encoded
    assert dict(StoredFeatures.written(tmp_path / "none", [])) == {}
