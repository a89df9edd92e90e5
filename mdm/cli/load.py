"""`mdm load`: a feed file, row by row, into the service; resumable, and a second run changes nothing."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mdm.cli.output import ExitCode, Progress, connected, fail, note, progress, show

_INDEX = re.compile(r"\[\d+\]")
_ROWS_REMEMBERED = 8192
"""Rows whose outcome may still come: more than the service lets be under way."""


def load(
    feed: Annotated[str, typer.Argument(help="Feed, as REGISTRY.FEED, for example hospital.patients.")],
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header, or Parquet.")],
    mapping: Annotated[Path | None, typer.Option(help='TOML of our columns to theirs: record_id = "MA_BN".')] = None,
    resolve: Annotated[
        Literal["now", "later"], typer.Option(help="later stores records as pending for the next relink.")
    ] = "now",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the file holds; send nothing.")] = False,
    max_rejects: Annotated[
        float, typer.Option(min=0, max=100, help="Stop when more than this percentage of the rows is set aside.")
    ] = 1.0,
    rejects: Annotated[
        Path | None, typer.Option(help="Where set-aside rows go; by default FEED.rejects.csv in the current directory.")
    ] = None,
    allow_older: Annotated[bool, typer.Option("--allow-older", help="Let older rows replace newer records.")] = False,
    registries: Annotated[Path | None, typer.Option(help="Registries file; without it, the one that ships.")] = None,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load a feed. A row that cannot be a record is set aside; a bad value never costs a person their record.

    \b
    Examples:
      mdm load household.residents household.residents.csv
      mdm load hospital.patients export.parquet --mapping his.toml --dry-run
      mdm load social_security.insured insured.csv --resolve later && mdm relink

    Interrupted, it goes on where it stopped when run again with the same file. Exit code 3 when rows were set aside, 4
    when too many were.
    """
    from mdm.config import Configuration
    from mdm.feeds.mapping import RowMapper, read_column_names
    from mdm.feeds.reading import open_feed, survey
    from mdm.feeds.rejects import RejectsFile

    configuration = Configuration.load(registries)
    names = read_column_names(mapping, configuration.feed(feed)) if mapping else {}
    configuration.feed(feed)
    opened = open_feed(file)
    mapper = RowMapper(configuration, feed, opened.columns, names)
    if mapper.unknown_columns:
        note("unknown columns are ignored", columns=", ".join(mapper.unknown_columns))
    with RejectsFile(rejects or Path(f"{feed}.rejects.csv")) as rejects_file:
        job = _Load(feed, mapper, opened, rejects_file, max_rejects / 100)
        if dry_run:
            result = job.profile()
        else:
            digest, line_count = survey(file)
            identity = "\0".join((feed, digest, repr(sorted(names.items())), configuration.digest))
            load_id = hashlib.sha256(identity.encode()).hexdigest()[:40]
            whole = opened.row_count if opened.row_count is not None else line_count - 1
            with connected(server) as client, progress() as say:
                result = job.send(client, load_id, say, whole, is_later=resolve == "later", allow_older=allow_older)
    show({"feed": feed, "file": file.name, **result}, as_json=as_json)
    raise typer.Exit(job.exit_code())


class _GateClosedError(Exception):
    """Too many rows were set aside."""


class _Load:
    """One run over one file."""

    def __init__(self, feed: str, mapper: Any, file: Any, rejects: Any, share_max: float) -> None:
        self._feed = feed
        self._mapper = mapper
        self._file = file
        self._rejects = rejects
        self._share_max = share_max
        self._row_count = 0
        self._sent: deque[tuple[int, Any]] = deque(maxlen=_ROWS_REMEMBERED)
        self._is_stopped = False
        self._rules: Counter[str] = Counter()

    def profile(self) -> dict[str, Any]:
        """Return what the file holds."""
        import msgspec

        from mdm.feeds.profile import profile_feed

        found = profile_feed(self._file, self._mapper, self._rejects)
        self._row_count = found.row_count
        self._is_stopped = self._is_over(is_end=True)
        facts: dict[str, Any] = msgspec.to_builtins(found)
        return facts | self._rejects_note()

    def send(
        self, client: Any, load_id: str, say: Progress, whole: int, *, is_later: bool, allow_older: bool
    ) -> dict[str, Any]:
        """Stream the file to the service and return the summary."""
        from mdm_client import Load

        started_s = time.monotonic()
        issues: dict[str, Counter[str]] = {}
        ingest = client.ingest(
            self._operations(), Load(load_id, self._feed, is_resolved_later=is_later, allow_older=allow_older)
        )
        try:
            for outcome in ingest:
                if outcome.outcome.value == "rejected":
                    self._set_aside(outcome)
                else:
                    for issue in outcome.value_issues:
                        issues.setdefault(_INDEX.sub("", issue.field), Counter())[issue.rule] += 1
                # The row of an ordinal: what is shown as done is durable.
                say(self._feed, (outcome.ordinal - 1) // self._mapper.record_count_max + 1, max(whole, self._row_count))
            say(self._feed, self._row_count, self._row_count)
            self._is_stopped = self._is_over(is_end=True)
        except _GateClosedError:
            self._is_stopped = True
        except KeyboardInterrupt:
            fail("interrupted; run the same command again to go on from here", ExitCode.INTERRUPTED)
        seconds = time.monotonic() - started_s
        counts = {str(outcome): count for outcome, count in sorted(ingest.counts.items())}
        counts.pop("rejected", None)
        return {
            "load_id": load_id,
            "rows": self._row_count,
            "records": {"already_loaded": ingest.skipped_count} | counts if ingest.skipped_count else counts,
            "rejected": self._rejects.count,
            "rejected_by_rule": dict(sorted(self._rules.items())),
            "invalid_values": {field: dict(sorted(rules.items())) for field, rules in sorted(issues.items())},
            "seconds": round(seconds, 2),
            "records_per_s": round(sum(counts.values()) / seconds, 1) if seconds else 0.0,
            "token": ingest.token,
            "unknown_columns": list(self._mapper.unknown_columns),
        } | self._rejects_note()

    def exit_code(self) -> ExitCode:
        """Return how the run ended."""
        if self._is_stopped:
            return ExitCode.STOPPED_BY_GATE
        return ExitCode.DONE_WITH_REJECTS if self._rejects.count else ExitCode.DONE

    def _operations(self) -> Iterator[Any]:
        from mdm.cli.attributes import client_key, client_record
        from mdm.feeds.mapping import UpsertOperation
        from mdm.feeds.rejects import Reject
        from mdm_client import Delete, Upsert

        width = self._mapper.record_count_max
        for row in self._file.rows():
            self._row_count += 1
            outcome = row if isinstance(row, Reject) else self._mapper.operations(row)
            if isinstance(outcome, Reject):
                self._add(outcome)
                continue
            # Ordinals follow from the row alone, so that another run counts alike and can resume.
            ordinal = (self._row_count - 1) * width
            for operation in outcome:
                ordinal += 1
                self._sent.append((ordinal, row))
                if isinstance(operation, UpsertOperation):
                    yield Upsert(client_record(operation.record), ordinal)
                else:
                    yield Delete(client_key(operation.key), ordinal)

    def _set_aside(self, outcome: Any) -> None:
        """Put a row that the service rejected among the rejects."""
        from mdm.feeds.rejects import Reject

        while self._sent and self._sent[0][0] < outcome.ordinal:
            self._sent.popleft()
        line, cells = (self._sent[0][1].line, self._sent[0][1].cells) if self._sent else (0, ())
        issue = outcome.value_issues[0] if outcome.value_issues else None
        self._add(Reject(line, issue.field if issue else "record", issue.rule if issue else "refused", cells))

    def _add(self, reject: Any) -> None:
        self._rejects.add(reject)
        self._rules[f"{reject.field}: {reject.reason}"] += 1
        if self._is_over(is_end=False):
            raise _GateClosedError

    def _is_over(self, *, is_end: bool) -> bool:
        from mdm.feeds.rejects import is_gate_closed

        return is_gate_closed(self._row_count, self._rejects.count, self._share_max, is_end=is_end)

    def _rejects_note(self) -> dict[str, Any]:
        return {"rejects_file": str(self._rejects.path) if self._rejects.count else "", "is_stopped": self._is_stopped}
