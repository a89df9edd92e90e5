"""`mdm backup` and `mdm restore`."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, progress, show

if TYPE_CHECKING:
    from mdm.cli.output import Progress
    from mdm.store.backup_file import BackupWriter, Contents
    from mdm.store.journal_rows import Base
    from mdm_client import Client
    from mdm_client.backups import JournalBase, JournalTrailer

_AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
_RETRY_S = 1.0


class Verified(enum.StrEnum):
    """Which values a backup opens before it takes the earlier one's place."""

    NEW = "new"
    WHOLE = "whole"


def backup(
    file: Annotated[Path, typer.Argument(help="The backup; an earlier one of the same service is brought up to date.")],
    verify: Annotated[
        Verified, typer.Option(help="Open only values that came since the earlier backup, or each one again.")
    ] = Verified.NEW,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: _AsJson = False,
) -> None:
    """Back up the service while it runs: everything that a restore needs, at one position, proven before it says done.

    \b
    Examples:
      mdm backup /backup/mdm.backup               # the first one takes everything
      mdm backup /backup/mdm.backup               # the next one only what came since, and what was erased since goes
      mdm restore --check /backup/mdm.backup      # is it still whole?

    The earlier backup is replaced in one step, once the new one is proven and on disk; until then FILE is what it was,
    and the disk holds both. A FILE of another journal, or of before a restore, is refused: name another one.

    Of what the earlier backup has, every byte is compared with the seal that it got once it was proven, and no value
    opened again, which takes half of the time; --verify whole opens each.

    The file holds personal data with the keys to them, and only its owner may read it: encrypt it before it leaves the
    machine. docs/backup.md has a drill for all of it.
    """
    if not file.absolute().parent.is_dir():
        fail(f"{file.absolute().parent} is no directory", ExitCode.USAGE)
    if file.exists() and not file.is_file():
        fail(f"{file} is no file", ExitCode.USAGE)
    from mdm.store.backup_check import check_rows
    from mdm.store.backup_file import BackupWriter
    from mdm_client import ServiceError

    started_s = time.monotonic()
    with BackupWriter(file) as writer, connected(server) as client, progress() as say:
        earlier = writer.copy_earlier(say) if file.exists() else None
        reading = _Reading(client, writer, say)
        contents, ledger = reading.run(earlier)
        writer.finish(contents, ledger)
        # What is proven is what stands in the file, not what was sent.
        check_rows(writer.partial, say, writer.proven if verify is Verified.NEW else None)
        digest = writer.publish()
        try:
            client.backups.confirm(reading.backup_id, file.stat().st_size, is_incremental=earlier is not None)
        except ServiceError as error:
            # The backup is kept all the same; an alert that it is too old comes rather than one that is missing.
            note("the service could not be told of the backup", reason=error.reason or error.code.name)
    report: dict[str, Any] = {
        "file": str(file),
        "is_incremental": earlier is not None,
        "seq": contents.token.seq,
        "new_events": contents.token.seq - (earlier.token.seq if earlier else 0),
        "token": str(contents.token),
        "bytes": file.stat().st_size,
        "seconds": round(time.monotonic() - started_s, 1),
        "sha256": digest,
    }
    show(report, as_json=as_json)


class _Reading:
    """Takes the journal in, over as many calls as that needs: one that breaks off is gone on with behind its rows."""

    def __init__(self, client: Client, writer: BackupWriter, say: Progress) -> None:
        self._client = client
        self._writer = writer
        self._say = say
        self._ledger = b""
        self.backup_id = ""
        self._progressed_s = time.monotonic()

    def run(self, earlier: Contents | None) -> tuple[Contents, bytes]:
        """Return what the backup holds now, and the ledger of exports."""
        from mdm.limits import BACKUP_AWAY_S_MAX
        from mdm_client import ResourceExhaustedError, UnavailableError

        base = self._writer.base(earlier)
        while True:
            try:
                return self._read(base), self._ledger
            except (UnavailableError, ResourceExhaustedError) as error:
                if time.monotonic() - self._progressed_s > BACKUP_AWAY_S_MAX:
                    raise
                note("waiting", reason=error.reason or "UNAVAILABLE")
                time.sleep(max(_RETRY_S, error.retry_after_s or 0.0))
            base = self._writer.base()

    def _read(self, base: Base | None) -> Contents:
        from mdm.store.backup_file import Identity
        from mdm.store.journal_rows import RowsDigest, Table
        from mdm.store.token import parse_token
        from mdm_client import backups
        from mdm_client.errors import unreachable

        received, self._ledger, contents = RowsDigest(), b"", None
        last_ids = {Table.EVENTS: 0, Table.PAYLOADS: 0, Table.RECORD_KEYS: 0}
        for part in self._client.backups.read_journal(_base_message(base)):
            self._progressed_s = time.monotonic()
            match part:
                case backups.JournalHeader():
                    token = parse_token(part.token)
                    last_ids = {
                        Table.EVENTS: token.seq,
                        Table.PAYLOADS: part.last_payload_number,
                        Table.RECORD_KEYS: part.last_record_number,
                    }
                    self._writer.begin(Identity(token, part.created_at_us, part.fingerprint_key))
                case backups.JournalRows():
                    table = Table(part.table)
                    received.update(part.rows)
                    self._writer.take(table, part.rows)
                    if table in last_ids:
                        reached = part.rows[-1][0]
                        self._say(table.value.replace("_", " "), reached, max(reached, last_ids[table]))
                case backups.ExportLedgerPart():
                    self._ledger += part.lines
                case backups.JournalTrailer():
                    if part.rows_sha256 != received.digest():
                        fail("rows arrived otherwise than they were sent; back up again")
                    self.backup_id, contents = part.backup_id, _contents(part)
        if contents is None:
            raise unreachable(self._client.target)
        return contents


def _base_message(base: Base | None) -> JournalBase | None:
    from mdm_client.backups import JournalBase

    if base is None:
        return None
    extent = base.extent
    return JournalBase(
        token=str(base.token),
        events_sha256=base.events_sha256,
        last_payload_number=extent.payload_id,
        last_record_number=extent.number,
        last_artefact_number=extent.artefact,
        answered_seq=extent.answered_seq,
    )


def _contents(trailer: JournalTrailer) -> Contents:
    from mdm.store.backup_file import Contents
    from mdm.store.journal_rows import Counts
    from mdm.store.token import parse_token

    counts = Counts(trailer.record_key_count, trailer.payload_count, trailer.answer_count, trailer.artefact_count)
    return Contents(parse_token(trailer.token), time.time_ns() // 1000, trailer.events_sha256, counts)


def restore(
    file: Annotated[Path, typer.Argument(help="The backup.", exists=True, dir_okay=False)],
    data: Annotated[
        Path | None, typer.Option(help="Directory to restore into; missing or empty. Needed unless --check.")
    ] = None,
    to_seq: Annotated[
        int | None,
        typer.Option(min=0, help="Restore up to this event of the backup, or to the end of the transaction before it."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Prove that the backup is whole, restore nothing.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Make a data directory of a backup, ready for mdm serve; or check a backup.

    \b
    Examples:
      mdm restore --check /backup/mdm.backup
      mdm restore /backup/mdm.backup --data /srv/mdm-restored
      mdm restore /backup/mdm.backup --data /srv/mdm-before --to-seq 123456

    Every byte and row is proven first; then the index is built, which takes the most time. Cut off, it begins anew when
    it is run again. A directory that holds anything else is never touched.

    A restore begins a new epoch: what came after the backup is lost, so tokens that callers kept are refused, copies of
    the crosswalk are made anew, and a repeated request_id is carried out if its first answer is lost. Then erase again
    what was erased after the backup, and load again what was loaded: docs/backup.md says how.
    """
    import msgspec

    if check == (data is not None):
        fail("give either --data DIR or --check", ExitCode.USAGE)
    if check and to_seq is not None:
        fail("--to-seq is for a restore; --check proves the whole backup", ExitCode.USAGE)
    if data is None:
        from mdm.store.backup_check import check_backup

        with progress() as say:
            contents = check_backup(file, say)
        show(_check_report(file, contents), as_json=as_json)
        return
    from mdm.resolve import restoring

    with progress() as say:
        report = restoring.restore(file, data, to_seq, say)
    if to_seq is not None and report.restored_to_seq < to_seq:
        note(f"event {to_seq} stands inside a transaction", restored_to_seq=report.restored_to_seq)
    told = msgspec.to_builtins(report)
    told["restored_to"] = _time(told.pop("restored_to_us"))
    show({"data": str(data), **told}, as_json=as_json)


def _check_report(file: Path, contents: Contents) -> dict[str, Any]:
    return {
        "file": str(file),
        "is_whole": True,
        "seq": contents.token.seq,
        "token": str(contents.token),
        "made_at": _time(contents.made_at_us),
        "bytes": file.stat().st_size,
    }


def _time(at_us: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
