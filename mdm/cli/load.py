"""`mdm load`: a feed file, row by row, into the service; resumable, and a second run changes nothing."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from mdm.cli.absent import AbsentRecords, absent_records, check_is_whole, deletes, say_away
from mdm.cli.load_comparison import Compared, Comparison, Rows, ahead, live_count, withdraws_too_many
from mdm.cli.load_words import profile_in_words
from mdm.cli.output import ExitCode, Progress, connected, fail, note, progress, reached, show
from mdm.cli.registry import configuration_for

if TYPE_CHECKING:
    from mdm.domain.records import SourceRecord

_ROWS_COMPARED = 1024
"""Rows that the service is asked about together: 5 ms of its time, and 20 ms in which no acknowledgement is read."""

_INDEX = re.compile(r"\[\d+\]")
_ROWS_REMEMBERED = 8192
"""Rows whose outcome may still come: more than the service lets be under way."""

_FEED_CHARACTERS_NAMED = 47
_DIGEST_CHARACTERS_NAMED = 16
"""Of a load's name, which has at most 64 characters; 64 bits tell all files apart that a feed will ever have."""

_WRITTEN = frozenset({"created", "linked", "review", "updated", "pending", "deleted", "confirmed"})
"""Outcomes that a revert would take back."""

_OUTCOMES = {
    "already_loaded": "stored by an earlier run of this load",
    "confirmed": "confirmed (stored; the answer that said more went to a connection that broke, or to another run)",
    "created": "created (a golden ID of their own)",
    "linked": "linked (to somebody known)",
    "review": "review (a golden ID of their own until a steward says)",
    "updated": "updated (values changed, the golden ID did not)",
    "stale": "stale (older than what is stored; nothing written)",
    "pending": "pending (stored; the next relink gives the golden ID)",
    "absent": "absent (to be withdrawn, or not stated by the row, and not stored)",
}
"""Outcomes whose name alone does not say it."""


def load(
    feed: Annotated[str, typer.Argument(help="Feed, as REGISTRY.FEED, for example hospital.patients.")],
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header, or Parquet.")],
    mapping: Annotated[Path | None, typer.Option(help='TOML of our columns to theirs: record_id = "MA_BN".')] = None,
    resolve: Annotated[
        Literal["now", "later"], typer.Option(help="later stores records as pending for the next relink.")
    ] = "now",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the file holds and what loading it would do; send nothing.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="With --dry-run: ask about every new or changed record, not a sample.")
    ] = False,
    max_rejects: Annotated[
        float, typer.Option(min=0, max=100, help="Stop when more than this percentage of the rows is set aside.")
    ] = 1.0,
    rejects: Annotated[
        Path | None, typer.Option(help="Where set-aside rows go; by default FEED.rejects.csv in the current directory.")
    ] = None,
    allow_older: Annotated[bool, typer.Option("--allow-older", help="Let older rows replace newer records.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The file is the whole feed: records that it lacks are deleted at the end.")
    ] = False,
    max_deletes: Annotated[
        float, typer.Option(min=0, max=100, help="Delete nothing if it is more than this percentage of the records.")
    ] = 0.5,
    registries: Annotated[
        Path | None, typer.Option(help="Registries file; without it, what the service has in force.")
    ] = None,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load a feed. A row that cannot be a record is set aside; a bad value never costs a person their record.

    \b
    Examples:
      mdm load household.residents household.residents.csv
      mdm load household.residents household.residents.csv --full --dry-run
      mdm load hospital.patients export.parquet --mapping his.toml --dry-run
      mdm load social_security.insured insured.csv --resolve later && mdm relink

    Interrupted, it goes on where it stopped when run again with the same file. Without --full, records that the file
    lacks are left alone; with it, let nothing else write for that registry meanwhile. Exit code 3 when rows were set
    aside, 4 when too many were or when --full could delete nothing.

    Every load has an id: see mdm load list --help, mdm load show --help and mdm load revert --help.
    """
    from mdm.feeds.mapping import RowMapper, read_column_names
    from mdm.feeds.reading import open_feed
    from mdm.feeds.rejects import RejectsFile

    opened, rejects = open_feed(file), _apart(rejects or Path(f"{feed}.rejects.csv"), file, mapping, registries)
    configuration = configuration_for(registries, server, is_service_needed=not dry_run or full)
    names = read_column_names(mapping, configuration.feed(feed)) if mapping else {}
    configuration.feed(feed)
    if full:
        check_is_whole(configuration, feed)
    mapper = RowMapper(configuration, feed, opened.columns, names)
    if mapper.unknown_columns:
        note("unknown columns are ignored", columns=", ".join(mapper.unknown_columns))
    with RejectsFile(rejects) as rejects_file:
        gates = _Gates(max_rejects / 100, max_deletes / 100, full)
        job = _Load(feed, mapper, opened, rejects_file, gates, configuration.registry_digest(mapper.registry))
        if dry_run:
            result = job.profile(server, is_later=resolve == "later", is_exact=exact, allow_older=allow_older)
        else:
            identity = repr((sorted(names.items()), configuration.digest))
            result = job.send(server, file, identity, is_later=resolve == "later", allow_older=allow_older)
    show({"feed": feed, "file": file.name, **(result if as_json else _in_words(result))}, as_json=as_json)
    job.end()


class _GateClosedError(Exception):
    """Too many rows were set aside."""


def _apart(rejects: Path, *read: Path | None) -> Path:
    """Return where set-aside rows go, unless that is a file that is read: the first of them would end it."""
    if rejects.exists() and any(file is not None and rejects.samefile(file) for file in read):
        raise typer.BadParameter("is a file that the load reads: name another one", param_hint="--rejects")
    if rejects.is_dir() or not rejects.parent.is_dir():
        raise typer.BadParameter(
            "is no place for a file: name one in a directory that is there", param_hint="--rejects"
        )
    return rejects


@dataclass(frozen=True, slots=True)
class _Gates:
    """What stops a load, as shares from 0 to 1."""

    rejects_share_max: float
    deletes_share_max: float
    """Of what a full file lacks, and of what rows of any file withdraw by the way."""
    is_full: bool


class _Load:
    """One run over one file. `stopped` says which gate stopped it, if one did."""

    def __init__(self, feed: str, mapper: Any, file: Any, rejects: Any, gates: _Gates, registry_digest: str) -> None:
        self.stopped = ""
        self._feed = feed
        self._mapper = mapper
        self._file = file
        self._rejects = rejects
        self._gates = gates
        self._registry_digest = registry_digest
        self._row_count = 0
        self._unchanged_count = 0
        self._refused_delete_count = 0
        self._withdrawn_count = 0
        self._is_registry_changed = False
        self._under_way_count = 0
        self._whole = 0
        self._sent: deque[tuple[int, Any]] = deque(maxlen=_ROWS_REMEMBERED)
        self._rules: Counter[str] = Counter()
        self._issues: dict[str, Counter[str]] = {}

    def end(self) -> NoReturn:
        """End the command with the exit code that says how the run went."""
        if self._rejects.holds_earlier():
            # It stays: a load that goes on behind its durable rows does not hear again which of these were rejected.
            note(
                "no row was set aside: the rejects file that is there is an earlier load's",
                file=str(self._rejects.path),
            )
        if self.stopped:
            fail(self.stopped, ExitCode.STOPPED_BY_GATE)
        raise typer.Exit(ExitCode.DONE_WITH_REJECTS if self._rejects.count else ExitCode.DONE)

    def profile(self, server: str, *, is_later: bool, is_exact: bool, allow_older: bool) -> dict[str, Any]:
        """Return what the file holds and, where a service answers, what loading it would do."""
        import msgspec

        from mdm.cli.load_preview import LoadPreview
        from mdm.feeds.profile import Profiler
        from mdm.linkage.normalise.record import value_issues

        def issues(record: SourceRecord) -> list[tuple[str, str]]:
            return [(_INDEX.sub("", issue.field), issue.rule) for issue in value_issues(record)]

        profiler = Profiler(self._file, self._mapper, self._rejects, issues)
        is_needed = is_exact or self._gates.is_full
        with connected(server) if is_needed else reached(server) as client:
            preview = None
            if client is not None:
                preview = LoadPreview(client, is_later=is_later, is_exact=is_exact, allows_older=allow_older)
            found = profiler.run(preview.look_at if preview is not None else None)
            self._row_count = found.row_count
            self._judge()
            facts: dict[str, Any] = msgspec.to_builtins(found)
            if preview is None:
                note("no service answers: what loading it would do is not known", server=server)
            else:
                facts |= preview.facts()
            if client is not None and preview is not None and preview.withdrawn_count:
                self._judge_withdrawn(
                    preview.withdrawn_count, live_count(client, self._mapper.registry, self._mapper.kinds)
                )
            if client is not None and self._gates.is_full:
                absent = absent_records(client, self._mapper, "")
                self._judge_deletes(absent)
                facts |= {"would_delete": len(absent.keys), "live_records": absent.live_count}
        return facts | self._ending()

    def send(self, server: str, path: Path, identity: str, *, is_later: bool, allow_older: bool) -> dict[str, Any]:
        """Stream the file to the service and return the summary."""
        from mdm.feeds.reading import survey
        from mdm.processes import spare_the_collector
        from mdm_client import Load, LoadCounts

        digest, line_count = survey(path)
        named = hashlib.sha256(f"{self._feed}\0{digest}\0{identity}".encode()).hexdigest()
        name = f"{self._feed[:_FEED_CHARACTERS_NAMED]}-{named[:_DIGEST_CHARACTERS_NAMED]}"
        self._whole = self._file.row_count if self._file.row_count is not None else line_count - 1
        is_full = self._gates.is_full
        load = Load(
            name,
            self._feed,
            is_later,
            allow_older,
            is_continued=is_full,
            on_away=say_away,
            is_full=is_full,
            content_digest=digest,
            counts=lambda: LoadCounts(
                self._row_count, self._unchanged_count, self._rejects.count, self._refused_delete_count
            ),
            registry_digest=self._registry_digest,
        )
        spare_the_collector()
        started_s = time.monotonic()
        deleted: Counter[str] = Counter()
        with connected(server) as client, progress() as say:
            compared = Comparison(
                client, self._mapper.kinds, is_later=is_later, durable_ordinal=lambda: ingest.durable_ordinal
            )
            ingest = client.ingest(self._operations(compared, lambda: ingest.durable_ordinal, say), load)
            try:
                self._take(ingest, say)
                self._judge()
                if is_full:
                    deleted = self._delete_absent(client, replace(load, is_continued=False), ingest.token, say)
            except _GateClosedError:
                self._judge()
                self._say_written(ingest)
            except KeyboardInterrupt:
                fail("interrupted; run the same command again to go on from here", ExitCode.INTERRUPTED)
        is_registry_changed = ingest.is_registry_changed or self._is_registry_changed
        if ingest.skipped_count and self._issues:
            note("invalid values are counted of the rows that were sent now; --dry-run counts those of all")
        if is_registry_changed:
            note("the registry was declared anew meanwhile; all rows were read by the former declaration: load again")
        seconds = time.monotonic() - started_s
        found = Counter({str(outcome): count for outcome, count in ingest.counts.items()})
        found["unchanged"] += self._unchanged_count
        counts = {outcome: count for outcome, count in sorted(found.items()) if count and outcome != "rejected"}
        return {
            "load_id": ingest.load_id,
            "rows": self._row_count,
            "records": {"already_loaded": ingest.skipped_count} | counts if ingest.skipped_count else counts,
            "deleted": deleted["deleted"] + deleted["confirmed"],
            "rejected": self._rejects.count,
            "rejected_by_rule": dict(sorted(self._rules.items())),
            "invalid_values": {field: dict(sorted(rules.items())) for field, rules in sorted(self._issues.items())},
            "seconds": round(seconds, 2),
            "records_per_s": round((sum(counts.values()) + deleted.total()) / seconds, 1) if seconds else 0.0,
            "is_registry_changed": is_registry_changed,
            "token": ingest.token,
            "unknown_columns": list(self._mapper.unknown_columns),
        } | self._ending()

    def _take(self, ingest: Any, say: Progress) -> None:
        for outcome in ingest:
            self._under_way_count -= 1
            if outcome.outcome.value == "rejected":
                self._set_aside(outcome)
            else:
                for issue in outcome.value_issues:
                    self._issues.setdefault(_INDEX.sub("", issue.field), Counter())[issue.rule] += 1
            # The row of an ordinal: what is shown as done is durable.
            say(
                self._feed,
                (outcome.ordinal - 1) // self._mapper.record_count_max + 1,
                max(self._whole, self._row_count),
            )
        say(self._feed, self._row_count, self._row_count)

    def _delete_absent(self, client: Any, load: Any, fresh: str, say: Progress) -> Counter[str]:
        """Withdraw what the file lacks, unless something speaks against it; ends the load either way."""
        absent = absent_records(client, self._mapper, fresh)
        self._judge_deletes(absent)
        keys = [] if self.stopped else absent.keys
        self._refused_delete_count = len(absent.keys) - len(keys)
        last = self._row_count * self._mapper.record_count_max
        found: Counter[str] = Counter()
        ingest = client.ingest(deletes(keys, last, lambda: ingest.durable_ordinal), load)
        for outcome in ingest:
            found[outcome.outcome.value] += 1
            say("deletes", found.total(), len(keys))
        self._is_registry_changed = ingest.is_registry_changed
        return found

    def _operations(
        self, compared: Callable[[Rows], Compared], durable_ordinal: Callable[[], int], say: Progress
    ) -> Iterator[Any]:
        """Yield what has to travel: operations of rows that the service has not stored as they are."""
        from mdm.cli.attributes import client_key
        from mdm.feeds.mapping import UpsertOperation
        from mdm.feeds.rejects import Reject
        from mdm.server.wire_records import record_message
        from mdm_client import Delete, EntityKind, Upsert

        for rows, found in ahead(compared, self._mapped()):
            self._row_count += len(rows)
            for _, _, outcome in rows:
                if isinstance(outcome, Reject):
                    self._add(outcome)
            self._withdrawn_count += found.withdrawn_count
            if found.withdrawn_count:
                self._judge_withdrawn(self._withdrawn_count, found.live_count)
            if self.stopped or self._is_over():
                # Before any of these rows is sent: a small file that is poisoned writes nothing.
                raise _GateClosedError
            for row, ordinal, outcome in rows:
                if isinstance(outcome, Reject):
                    continue
                for number, operation in enumerate(outcome, start=ordinal):
                    if number in found.unchanged:
                        self._unchanged_count += 1
                        continue
                    self._sent.append((number, row))
                    if number > durable_ordinal():
                        # What is durable already ends without an outcome.
                        self._under_way_count += 1
                    if isinstance(operation, UpsertOperation):
                        others = (EntityKind(each.key.kind) for each in outcome if each is not operation)
                        yield Upsert(record_message(operation.record), number, next(others, None))
                    else:
                        yield Delete(client_key(operation.key), number, operation.updated_at)
            if self._under_way_count == 0:
                say(self._feed, self._row_count, max(self._whole, self._row_count))

    def _mapped(self) -> Iterator[Rows]:
        """Yield the file's rows, some at a time, with what is to be done for each."""
        from mdm.feeds.rejects import Reject

        rows = self._file.rows()
        # Ordinals follow from the row alone, so that another run counts alike and can resume.
        ordinals = itertools.count(1, self._mapper.record_count_max)
        while batch := list(itertools.islice(rows, _ROWS_COMPARED)):
            mapped = iter(self._mapper.batch([row for row in batch if not isinstance(row, Reject)]))
            yield [(row, next(ordinals), row if isinstance(row, Reject) else next(mapped)) for row in batch]

    def _set_aside(self, outcome: Any) -> None:
        """Put a row that the service rejected among the rejects."""
        from mdm.feeds.rejects import Reject

        while self._sent and self._sent[0][0] < outcome.ordinal:
            self._sent.popleft()
        line, cells = (self._sent[0][1].line, self._sent[0][1].cells) if self._sent else (0, ())
        issue = outcome.value_issues[0] if outcome.value_issues else None
        field, rule = (issue.field, issue.rule) if issue else ("record", "refused")
        self._add(Reject(line, field, rule, cells, is_record_known=True))
        if self._is_over():
            raise _GateClosedError

    def _add(self, reject: Any) -> None:
        self._rejects.add(reject)
        self._rules[f"{reject.field}: {reject.reason}"] += 1

    def _is_over(self) -> bool:
        from mdm.feeds.rejects import is_gate_closed

        return is_gate_closed(self._row_count, self._rejects.count, self._gates.rejects_share_max)

    def _judge(self) -> None:
        if self._is_over():
            self.stopped = (
                f"{self._rejects.count:,} of {self._row_count:,} rows were set aside, more than --max-rejects "
                f"{100 * self._gates.rejects_share_max:g} %; {self._rejects.path} lists them"
            )

    def _say_written(self, ingest: Any) -> None:
        """Add to why the load was stopped what it had written by then, and how to take that back."""
        written = sum(count for outcome, count in ingest.counts.items() if outcome.value in _WRITTEN)
        if written or ingest.skipped_count:
            self.stopped += (
                f"; {written + ingest.skipped_count:,} records or more were written before: mend the file and load it "
                f"again, or take them back with: mdm load revert {ingest.load_id}"
            )

    def _judge_withdrawn(self, count: int, whole: int) -> None:
        """Stop where rows that ask for no delete withdraw too many records by what they no longer state."""
        share_max = self._gates.deletes_share_max
        if withdraws_too_many(count, whole, share_max):
            self.stopped = (
                f"{count:,} of {whole:,} records or more would be withdrawn by rows that are about no such record any "
                f"more, more than --max-deletes {100 * share_max:g} %; if they are to go, run again with a higher one"
            )

    def _judge_deletes(self, absent: AbsentRecords) -> None:
        share_max = self._gates.deletes_share_max
        if self.stopped:
            reason = self.stopped
        elif not self._row_count:
            reason = "the file has no rows"
        elif self._rejects.unknown_record_count:
            reason = (
                f"which record {self._rejects.unknown_record_count:,} set-aside rows are about is not known; mend "
                f"the rows that {self._rejects.path} lists, and load the file again"
            )
        elif absent.is_over(share_max):
            reason = (
                f"the file lacks {len(absent.keys):,} of {absent.live_count:,} records, more than --max-deletes "
                f"{100 * share_max:g} %; if they are to go, run again with --max-deletes {absent.percent:g}"
            )
        else:
            return
        self.stopped = f"nothing is deleted: {reason}"

    def _ending(self) -> dict[str, Any]:
        return {
            "rejects_file": str(self._rejects.path) if self._rejects.count else "",
            "is_stopped": bool(self.stopped),
            "stopped": self.stopped,
        }


def _in_words(result: dict[str, Any]) -> dict[str, Any]:
    """Return a summary for a reader: without what only programs use."""
    shown = {name: value for name, value in result.items() if name not in {"is_stopped", "stopped", "token"}}
    if not shown.get("is_registry_changed"):
        shown.pop("is_registry_changed", None)
    if "records" in shown:
        shown["records"] = {_OUTCOMES.get(name, name): count for name, count in shown["records"].items()}
    if "invalid_values" in shown:
        issues = shown["invalid_values"].items()
        shown["invalid_values"] = {f"{field} {rule}": count for field, rules in issues for rule, count in rules.items()}
    if not shown.get("deleted"):
        shown.pop("deleted", None)
    return profile_in_words(shown) if "columns" in shown else shown
