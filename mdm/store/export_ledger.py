"""Which exports were handed out, so that an erasure can say which files to look for. Holds nothing of what they hold.

A file of JSON lines beside the journal: it says what left the house, and nothing of the state depends on it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec


class ExportEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One export. Written when it begins and again when it ends; the later line counts."""

    export_id: str
    at_us: int
    """When it began; on the later line when it ended."""
    seq: int
    """Position that it was read at."""
    kind: str
    registries: tuple[str, ...] = ()
    """Empty for all."""
    entity_kinds: tuple[str, ...] = ()
    row_count: int = 0
    is_pending_included: bool = False
    actor: str = ""
    purpose: str = ""
    fields: tuple[str, ...] = ()
    """Attributes that it was limited to; empty for all, or where it holds none."""
    file_bytes: int = 0
    """Of a backup that its maker has proven and put in its place; 0 until it says so."""
    is_incremental: bool = False
    """Whether that one brought an earlier backup up to date."""


class ExportLedger:
    """The ledger of one data directory; several processes may append to it at once."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which need not exist yet."""
        self._path = path
        self._seen: tuple[int, ExportEntry | None] = (0, None)
        """Bytes that `last_backup` has looked through, and what it found in them."""

    def note(self, entry: ExportEntry) -> None:
        """Append an entry, durable when it returns. Cost: one sync."""
        # One write of less than a page to a file opened for appending is not torn apart by another process's.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(entry) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lines(self) -> bytes:
        """Return the file as it is; empty before the first export."""
        return self._path.read_bytes() if self._path.exists() else b""

    def put_lines(self, lines: bytes) -> None:
        """Make a restored ledger of the lines of a backup."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last_backup(self) -> ExportEntry | None:
        """Return the last backup that its maker confirmed. Cost: one stat; each entry is looked at once."""
        start, found = self._seen
        if not self._path.exists() or self._path.stat().st_size <= start:
            return found
        with self._path.open("rb") as file:
            file.seek(start)
            # A line that is being written is looked at the next time.
            whole, end, _ = file.read().rpartition(b"\n")
        for line in whole.splitlines():
            with suppress(msgspec.DecodeError):
                if b'"file_bytes"' in line:
                    found = msgspec.json.decode(line, type=ExportEntry)
        self._seen = start + len(whole) + len(end), found
        return found

    def entries(self) -> list[ExportEntry]:
        """Return every export, the latest first; a line that a power cut tore is left out."""
        found: dict[str, ExportEntry] = {}
        for line in self.lines().splitlines():
            try:
                entry = msgspec.json.decode(line, type=ExportEntry)
            except msgspec.DecodeError:
                continue
            found[entry.export_id] = entry
        return sorted(found.values(), key=lambda entry: entry.at_us, reverse=True)
