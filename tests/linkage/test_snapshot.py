"""Features on disk: the snapshot's columns are typed whatever they hold, and the codec gives back what it took."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.blocking import posting_keys
from mdm.linkage.codec import decode_features, encode_features
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.linkage.snapshot import snapshot_schema, write_snapshot
from mdm.linkage.specification import specification_of

Rows = list[tuple[int, str, Features, str]]


@pytest.mark.parametrize(("kind", "empty"), [
    (EntityKind.CITIZEN, CitizenFeatures()),
    (EntityKind.BUSINESS, BusinessFeatures()),
])  # fmt: skip
def test_a_column_without_a_value_keeps_its_type(kind: EntityKind, empty: Features, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.parquet"
    assert write_snapshot(path, kind, [(7, "hospital", empty)]) == 1
    table = pq.read_table(path)
    assert table.schema == snapshot_schema(kind)
    assert not any(pa.types.is_null(field.type) for field in table.schema)
    row = table.to_pylist()[0]
    assert row["number"] == 7
    assert [name for name, value in row.items() if value not in {None, False}] == ["number", "registry"]


@pytest.mark.parametrize("kind", EntityKind)
def test_a_snapshot_holds_every_feature_and_the_posting_keys(
    kind: EntityKind, city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    rows = city[kind][:300]
    write_snapshot(tmp_path / "snapshot.parquet", kind, (row[:3] for row in rows))
    for (number, registry, features, _), written in zip(
        rows, pq.read_table(tmp_path / "snapshot.parquet").to_pylist(), strict=True
    ):
        assert (written.pop("number"), written.pop("registry")) == (number, registry)
        assert written.pop("posting_keys") == b"".join(posting_keys(features))
        traits = specification_of(kind).rules.traits
        assert written.pop("traits") == (0 if traits is None else traits(features))
        for name, value in written.items():
            expected = getattr(features, name)
            assert (tuple(value or ()) if isinstance(expected, tuple) else value) == expected


@pytest.mark.parametrize("kind", EntityKind)
def test_features_survive_the_codec(kind: EntityKind, city: dict[EntityKind, Rows]) -> None:
    for _, _, features, _ in city[kind][:300]:
        assert decode_features(kind, encode_features(features)) == features
