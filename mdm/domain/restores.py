"""Which restores from backups the data went through, and what a caller may hold that none of them has.

Each began an epoch behind the position that it restored to. What was given out behind that position in the epoch before
is lost, and its seqs are given again: so whatever a caller keeps of a seq names the epoch in which it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from mdm.errors import DataRestoredError, UnknownGoldenIdError

if TYPE_CHECKING:
    from mdm.domain.state import IdentityView

FIRST_EPOCH = 1
"""Of a journal that was never restored."""

_EPOCH_MIN = 1_000_000_000
_OFFSETS = 1_000_000_000
"""Seqs of one epoch that have a public number; the largest is below 2^63 for epochs until the year 2262."""


class Restore(msgspec.Struct, frozen=True):
    """One restore."""

    seq: int
    """Of its event, the first of its epoch: what the epoch before had from there on is lost."""
    epoch: int
    at_us: int
    restored_to_us: int
    """When the last event happened that was there; 0 if there was none."""

    def __str__(self) -> str:
        """Return what a caller is told of it."""
        return f"the data was restored at {_time(self.at_us)} to what it was at {_time(self.restored_to_us)}"


def restores_of(state: IdentityView) -> list[Restore]:
    """Return every restore, the latest last. Cost: 3 µs where there was none."""
    told = (state.setting("restores") or "").split()
    return [Restore(*map(int, each.split(":"))) for each in told]


def new_epoch(former: int, now_us: int) -> int:
    """Return the epoch that a restore begins: its second, or the next number if the clock went back.

    So restoring one backup twice gives two epochs, unless the clock lies before its former epoch both times.
    """
    return max(former + 1, now_us // 1_000_000, _EPOCH_MIN)


def public_number(restores: Sequence[Restore], seq: int) -> int:
    """Return the number under which a caller knows what was given at a seq: no other epoch gives it again."""
    for restore in reversed(restores):
        if seq >= restore.seq:
            return restore.epoch * _OFFSETS + seq - restore.seq
    return seq


def seq_of_public(restores: Sequence[Restore], number: int, field: str) -> int:
    """Return the seq that a public number stands for.

    Raises:
        DataRestoredError: It was given in an epoch that ended, behind the position that was restored to.
    """
    epoch, offset = divmod(number, _OFFSETS)
    seq = next((restore.seq + offset for restore in restores if restore.epoch == epoch), number)
    # What no epoch has, is of one that ended; without a restore, it was never given out.
    if restores and public_number(restores, seq) != number:
        raise lost(restores, field)
    return seq


def lost(restores: Sequence[Restore], field: str) -> DataRestoredError:
    """Return the error of a token or id of an epoch that ended."""
    return DataRestoredError(f"{field} was given out before {restores[-1]}: leave it out or read it again")


def never_issued(state: IdentityView) -> UnknownGoldenIdError:
    """Return the error of a golden ID that is unknown: after a restore it may have been issued and lost."""
    text = "this golden ID was never issued"
    restores = restores_of(state)
    if restores:
        text += f"; {restores[-1]}, and what was issued in between is lost: look the record up again"
    return UnknownGoldenIdError(text)


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
