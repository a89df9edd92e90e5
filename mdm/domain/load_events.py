"""What happens to loads as a whole, as the journal keeps it; part of `events`, whose rules hold here too."""

from __future__ import annotations

import msgspec

Counts = tuple[tuple[str, int], ...]
"""What was counted, by name; names without a count are left out."""


class LoadStarted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadStarted"):
    """A feed began to come in. Every event of the load names it in its cause."""

    load_id: str
    """Unique: a name that is loaded again after its end gets another id."""
    name: str
    """What the caller calls the load, the same on every attempt."""
    feed: str
    is_full: bool = False
    """Whether records that the file lacks are deleted at the end."""
    is_deferred: bool = False
    allow_older: bool = False
    content_digest: str = ""
    """Of the file, as the caller states it; empty if it did not."""
    registry_digest: str = ""
    """Of the declaration by which the caller reads the rows; empty if it states none, and in earlier releases."""


class LoadProgressed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadProgressed"):
    """Rows up to `ordinal` (1-based) of a load are durable: a killed load resumes behind it."""

    load_id: str
    ordinal: int
    outcomes: Counts = ()
    """Operations by outcome since the progress before."""


class LoadFinished(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadFinished"):
    """The load's last row is durable; the same name starts from the beginning next time."""

    load_id: str
    outcomes: Counts = ()
    """Operations by outcome since the last progress."""
    row_count: int = 0
    """Rows of the file, as the caller states it; so are the two that follow."""
    unchanged_count: int = 0
    """Records that were stored as they are and did not travel."""
    rejected_count: int = 0
    refused_delete_count: int = 0
    """Records that the file lacked and a gate of the caller's kept."""
    registry_digest: str = ""
    """Of the declaration in force at the end; empty in earlier releases."""


class LoadRevertStarted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadRevertStarted"):
    """A load is being taken back, from its last event to its first; the same name starts from the beginning again."""

    load_id: str
    payload_id: int
    """The next one free: what has it or a higher one was written since, by this revert or beside it. Nobody asks."""
    reason: str
    """Why, in the operator's words; no personal data."""


class LoadRevertProgressed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadRevertProgressed"):
    """What the load did from `seq` on is taken back, as far as it can be: a killed revert goes on before it."""

    load_id: str
    seq: int
    outcomes: Counts = ()
    """What became of records and golden IDs since the progress before, by kind of effect."""


class LoadRevertFinished(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadRevertFinished"):
    """The load is taken back, as far as it can be."""

    load_id: str


LoadFact = LoadStarted | LoadProgressed | LoadFinished | LoadRevertStarted | LoadRevertProgressed | LoadRevertFinished
