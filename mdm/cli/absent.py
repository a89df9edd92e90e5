"""Records that a full feed file lacks: listed by the service after the last row, withdrawn in the same load."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdm.cli.output import ExitCode, fail, note

if TYPE_CHECKING:
    from mdm.config import Configuration
    from mdm.feeds.mapping import RowMapper
    from mdm_client import Client, SourceKey
    from mdm_client.ingest import Delete


@dataclass(frozen=True, slots=True)
class AbsentRecords:
    """The live records of a feed that its file lacks: about 150 bytes each."""

    keys: list[SourceKey]
    live_count: int
    """Records of the feed's kinds, pending ones included."""

    def is_over(self, share_max: float) -> bool:
        """Return whether more would go than this share of the live records, 0 to 1."""
        return len(self.keys) > share_max * self.live_count

    @property
    def percent(self) -> float:
        """The smallest limit, to a tenth of a per cent, that lets all of them go."""
        return math.ceil(1000 * len(self.keys) / max(self.live_count, 1)) / 10


def check_is_whole(configuration: Configuration, feed: str) -> None:
    """End the command if the file of this feed cannot stand for all the records of its kinds."""
    registry, _, name = feed.partition(".")
    feeds = configuration.registries[registry].feeds
    for other, declared in feeds.items():
        shared = sorted(declared.kinds & feeds[name].kinds)
        if other != name and shared:
            fail(
                f"{feed} cannot be loaded with --full: {registry}.{other} yields {shared[0]} records too, and which "
                f"feed a record came from is not known",
                ExitCode.USAGE,
            )


def absent_records(client: Client, mapper: RowMapper, fresh: str) -> AbsentRecords:
    """Return what the service has and the file, which was read to its end, has not; waits while the service is away.

    Raises:
        UnavailableError: The service stayed away for longer than a load waits for it.
    """
    from mdm_client import ServiceError
    from mdm_client.ingest import GIVE_UP_S, Retry

    retry = Retry(GIVE_UP_S, on_away=say_away)
    while True:
        try:
            return _listed(client, mapper, fresh)
        except ServiceError as error:
            time.sleep(retry.delay_s(error))


def deletes(keys: list[SourceKey], ordinal: int, durable_ordinal: Callable[[], int]) -> Iterator[Delete]:
    """Yield the withdrawals, numbered on from the file's last row, and from those that an earlier run got done."""
    from mdm_client import Delete

    # Evaluated with the first operation: by then the service has said what is durable.
    ordinal = max(ordinal, durable_ordinal())
    for number, key in enumerate(keys, start=1):
        yield Delete(key, ordinal + number)


def say_away(seconds: float) -> None:
    """Say that the service does not answer and how long it is still waited for."""
    note(f"service away, retrying for up to {seconds:.0f} s")


def _listed(client: Client, mapper: RowMapper, fresh: str) -> AbsentRecords:
    from mdm_client import EntityKind, SourceKey

    keys: list[SourceKey] = []
    live_count = 0
    for kind in map(EntityKind, sorted(mapper.kinds)):
        for chunk in client.export_crosswalk([mapper.registry], kind, include_pending=True, fresh=fresh):
            live_count += len(chunk.record_ids)
            keys += (
                SourceKey(mapper.registry, kind, record_id)
                for record_id in chunk.record_ids
                if not mapper.has_seen(kind, record_id)
            )
    return AbsentRecords(keys, live_count)
