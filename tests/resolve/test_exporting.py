"""The state that an export reads: an erasure ends what is under way, before it hands out what was erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.errors import ExportExpiredError
from mdm.resolve.export_rows import ExportFilter, crosswalk_chunks
from mdm.resolve.exporting import Exporter
from mdm.resolve.opened import opened
from tests.resolve.erasing import PERSON, erased, id_of, loaded, purge


def test_an_export_under_way_ends_with_an_erasure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdm.resolve.export_rows.CROSSWALK_CHUNK_ROWS", 1)
    office = loaded(tmp_path / "data")
    generation = office.directory.generations.current()
    assert generation is not None
    of_now = opened(generation.name, office.writer._index, office.writer._journal)
    exporter = Exporter(office.directory, lambda: of_now)
    with exporter.reading() as exported:
        chunks = exported.while_kept(crosswalk_chunks(exported.view, ExportFilter()))
        sent = [next(chunks), next(chunks)]
        erased(office, id_of(office))
        purge(office)
        with pytest.raises(ExportExpiredError):
            next(chunks)
    given = {each for chunk in sent for each in chunk.record_ids}
    assert not given >= {record.key.record_id for record in PERSON}, "some of the person was yet to come"
    with pytest.raises(ExportExpiredError), exporter.reading(exported.copy_name):
        pass
    with exporter.reading() as again:
        rows = [each for chunk in crosswalk_chunks(again.view, ExportFilter()) for each in chunk.record_ids]
    assert rows
    assert not any(each.startswith("ERASE") for each in rows)
    office.close()
