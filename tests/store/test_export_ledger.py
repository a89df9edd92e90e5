"""The ledger of exports, as two processes and a power cut leave it."""

from __future__ import annotations

from pathlib import Path

from mdm.store.export_ledger import ExportEntry, ExportLedger


def test_the_last_backup_is_the_last_one_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "exports.jsonl"
    ledger, writing = ExportLedger(path), ExportLedger(path)
    assert ledger.last_backup() is None
    kept = ExportEntry("b1", 3, 30, "backup", file_bytes=7)
    writing.note(ExportEntry("b1", 1, 30, "backup", row_count=30))
    assert ledger.last_backup() is None, "handed out only"
    for entry in (kept, ExportEntry("e1", 4, 40, "crosswalk"), ExportEntry("b2", 5, 50, "backup")):
        writing.note(entry)
    assert ledger.last_backup() == kept
    with path.open("ab") as file:
        file.write(b'{"export_id":"torn","file_bytes":')
    assert ledger.last_backup() == kept
    writing.note(ExportEntry("lost", 6, 60, "backup", file_bytes=8))
    assert ledger.last_backup() == kept, "it stands in the torn line"
    last = ExportEntry("b3", 7, 70, "backup", file_bytes=9, is_incremental=True)
    writing.note(last)
    assert ledger.last_backup() == last == ExportLedger(path).last_backup()
