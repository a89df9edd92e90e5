"""All postings of an index at once: what each record is posted under, turned round, sorted and put in order.

A posting lands anywhere in its tree, so that putting them record by record rewrites most of a large tree in each
transaction; in order each page is written once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import lmdb
import numpy as np

from mdm.limits import POSTING_KEY_BYTES, PROJECTION_CHUNK_EVENTS
from mdm.store.layout import NUMBER_BYTES

_HASH_BYTES = POSTING_KEY_BYTES - 1
_ROW_BYTES = _HASH_BYTES + NUMBER_BYTES


def post_all(
    environment: lmdb.Environment,
    names: lmdb._Database,
    holders: lmdb._Database,
    keys_of: Callable[[bytes], bytes],
    scratch: Path,
) -> None:
    """Fill `holders`, which is empty, with the record numbers under each key.

    Args:
        environment: Of both databases.
        names: Number → value that holds the record's keys.
        holders: Key → numbers, as sorted duplicates.
        keys_of: Takes the keys out of a value: `POSTING_KEY_BYTES` each, one behind the other.
        scratch: Directory for working files, 16 bytes a posting.

    Cost: about 1 µs a posting, and memory of 48 bytes for each posting of the rule or relation type that has most.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder, ExitStack() as files:
        # One file for each first byte, so that no more than one rule's postings are sorted at a time.
        parts: dict[int, IO[bytes]] = {}
        with environment.begin() as txn, txn.cursor(names) as cursor:
            for first, rows in _turned(cursor.iternext(), keys_of):
                if first not in parts:
                    parts[first] = files.enter_context(Path(folder, str(first)).open("wb"))
                parts[first].write(rows)
        files.close()
        for first in sorted(parts):
            part = np.fromfile(Path(folder, str(first)), ">u8").reshape(-1, 2)
            # Numbers rise within a part already.
            in_order = part[np.argsort(part[:, 0], kind="stable")]
            for start in range(0, len(in_order), _ROWS_PUT):
                with environment.begin(write=True) as txn, txn.cursor(holders) as cursor:
                    items = _items(bytes([first]), in_order[start : start + _ROWS_PUT].tobytes())
                    cursor.putmulti(items, dupdata=True, append=True)


_ROWS_PUT = 1 << 20
"""Postings put in one transaction: some 20 MB of new pages."""


def _turned(entries: Iterable[tuple[bytes, bytes]], keys_of: Callable[[bytes], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield rows of the keys' hashes and numbers, by the first byte of their keys, numbers rising."""
    numbers: list[bytes] = []
    packed: list[bytes] = []
    for number, value in entries:
        numbers.append(number)
        packed.append(keys_of(value))
        if len(numbers) == PROJECTION_CHUNK_EVENTS:
            yield from _by_first(numbers, packed)
            numbers, packed = [], []
    if numbers:
        yield from _by_first(numbers, packed)


def _by_first(numbers: list[bytes], packed: list[bytes]) -> Iterable[tuple[int, bytes]]:
    keys = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, POSTING_KEY_BYTES)
    counts = [len(each) // POSTING_KEY_BYTES for each in packed]
    rows = np.empty((len(keys), _ROW_BYTES), np.uint8)
    rows[:, :_HASH_BYTES] = keys[:, 1:]
    owners = np.frombuffer(b"".join(numbers), np.uint8).reshape(-1, NUMBER_BYTES)
    rows[:, _HASH_BYTES:] = np.repeat(owners, counts, axis=0)
    for first in np.unique(keys[:, 0]):
        yield int(first), rows[keys[:, 0] == first].tobytes()


def _items(first: bytes, rows: bytes) -> Iterator[tuple[bytes, bytes]]:
    for start in range(0, len(rows), _ROW_BYTES):
        middle = start + _HASH_BYTES
        yield first + rows[start:middle], rows[middle : start + _ROW_BYTES]
