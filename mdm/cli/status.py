"""`mdm status`: how a running service stands."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, tell, tell_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdm_client.admin_results import ServiceStatus

_DEFAULT_SERVER = "127.0.0.1:50051"
_MIB = 1 << 20
_DIGEST_CHARACTERS = 12


def status(
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = _DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object for each look.")] = False,
    watch: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Look again every so many seconds.")] = 0.0,
) -> None:
    """Show how the service stands: positions, sizes, counts, what decides, processes.

    \b
    Examples:
      mdm status
      mdm status --json | jq .mode
      mdm status --watch 5

    Exit code 0 if reads and writes are served, 1 if only reads are, if it is still starting, or if none answers: so it
    may stand in a script. What needs attention although all is served is printed as `attention` and changes no exit
    code. Counts come from the index, so the answer takes a millisecond whatever the size of the city.
    """
    with connected(server, heeds_health=False) as client:
        while True:
            found = client.admin.status()
            if as_json:
                tell_json(asdict(found), default=_plain)
            else:
                for line in _lines(found):
                    tell(line)
            if not watch:
                break
            sys.stdout.flush()
            time.sleep(watch)
            if not as_json:
                tell()
    if found.mode != "serving":
        raise typer.Exit(ExitCode.FAILED)


def _lines(found: ServiceStatus) -> Iterator[str]:
    """Yield what an operator reads, the most urgent first."""
    yield f"service    {found.mode.value.replace('_', ' ')}{': ' if found.mode_reason else ''}{found.mode_reason}"
    for warning in found.warnings:
        yield f"attention  {warning}"
    progress = found.progress
    if progress is not None and progress.total_count:
        yield f"progress   {progress.stage}: {progress.done_count:,} of {progress.total_count:,}"
    yield from _store_lines(found)
    disk, writer = found.disk, found.writer
    yield f"disk       {_size(disk.free_bytes)} of {_size(disk.total_bytes)} free"
    waiting = f"{writer.queue_count} waiting" if writer.is_alive else "does not answer"
    checkpoint = f", last checkpoint {_ago(writer.checkpoint_at)}" if writer.checkpoint_at else ""
    yield f"writer     {waiting}{checkpoint}"
    yield from _count_lines(found)
    for engine in found.engines:
        yield (
            f"model      {engine.kind.value}: {engine.model_digest[:_DIGEST_CHARACTERS]} "
            f"since {_day(engine.model_since)}, statistics {engine.epoch_digest[:_DIGEST_CHARACTERS]} "
            f"of {engine.population_count:,} since {_day(engine.epoch_since)}"
        )
    relink = found.last_relink
    if relink is not None:
        spent = "".join(f", {stage} {_seconds(each)}" for stage, each in relink.stages.items())
        yield f"re-linkage {relink.run_id} {relink.phase}, started {_ago(relink.started_at)}{spent}"
    for load in found.last_loads:
        end = load.status.value if load.is_finished else f"cut off behind row {load.durable_ordinal:,}"
        end += f" without its {load.refused_delete_count:,} deletes" if load.refused_delete_count else ""
        yield f"load       {load.feed or load.load_id[:_DIGEST_CHARACTERS]} {end}"
    yield from _backup_lines(found)
    for process in found.processes:
        state = f"pid {process.pid}, {_size(process.memory_bytes)}" if process.pid else "not running"
        serving = "" if process.is_serving else ", not serving"
        since = f"since {_ago(process.since)}, {process.restart_count} restarts"
        yield f"process    {process.name}: {state}, {since}{serving}"
    made = found.versions
    yield (
        f"version    {made.release}, normaliser {made.normaliser}, specification {made.specification}, "
        f"index layout {made.index_layout}, journal layout {made.journal_layout}"
    )


def _store_lines(found: ServiceStatus) -> Iterator[str]:
    journal, index = found.journal, found.index
    if journal is not None:
        yield (
            f"journal    seq {journal.seq:,}, epoch {journal.epoch}, last event {_ago(journal.last_event_at)}, "
            f"{_size(journal.file_bytes)} and {_size(journal.wal_bytes)} of log"
        )
    if index is not None:
        yield (
            f"index      {index.lag_events_count:,} events behind, {_size(index.used_bytes)} used of a file of "
            f"{_size(index.file_bytes)}, which may grow to {_size(index.map_bytes)}"
        )


def _backup_lines(found: ServiceStatus) -> Iterator[str]:
    backup = found.last_backup
    if backup is not None:
        sort = "incremental" if backup.is_incremental else "whole"
        is_former = bool(found.restores) and backup.confirmed_at < found.restores[-1].restored_at
        epoch = " of before the restore" if is_former else ""
        yield f"backup     {sort}, {_ago(backup.confirmed_at)}, seq {backup.seq:,}{epoch}, {_size(backup.file_bytes)}"
    elif found.journal is not None:
        yield "backup     none was ever confirmed"
    for restore in found.restores:
        kept = f" of {_day(restore.last_event_at)}" if restore.last_event_at else ""
        yield f"restored   {_day(restore.restored_at)}, to seq {restore.to_seq:,}{kept}, epoch {restore.epoch} since"


def _count_lines(found: ServiceStatus) -> Iterator[str]:
    by_feed: dict[tuple[str, str], dict[str, int]] = {}
    for each in found.records:
        by_feed.setdefault((each.registry, each.kind.value), {})[each.state] = each.count
    for (registry, kind), states in sorted(by_feed.items()):
        counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items(), reverse=True))
        yield f"records    {registry} {kind}: {counts}"
    for golden in found.golden_ids:
        yield (
            f"golden IDs {golden.kind.value}: {golden.issued_count:,} issued, {golden.active_count:,} active, "
            f"{golden.redirected_count:,} redirected, {golden.retired_count:,} retired"
        )
    queues: dict[str, int] = {}
    for review in found.reviews:
        queues[review.queue] = queues.get(review.queue, 0) + review.count
    counts = ", ".join(f"{count:,} {queue}" for queue, count in sorted(queues.items())) or "none"
    oldest = f", the oldest from {_ago(found.oldest_review_opened_at)}" if found.oldest_review_opened_at else ""
    yield f"reviews    {counts}{oldest}; {found.judgement_count:,} judgements stand"


def _size(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB" if count < 10_000 * _MIB else f"{count / _MIB / 1024:,.0f} GiB"


def _ago(at: datetime | None) -> str:
    if at is None:
        return "never"
    return f"{timedelta(seconds=max(0, round((datetime.now(UTC) - at).total_seconds())))!s} ago"


def _seconds(spent: timedelta) -> str:
    return f"{spent.total_seconds():,.1f} s"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "a release that did not say"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)
