"""The index: identity state and match state in LMDB, derived from the journal and free to be deleted at any time.

Committed without a sync, because the journal was synced first. A power cut may therefore tear the file: `generations`
decides after each start whether it may be used.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import lmdb
import msgspec

from mdm.errors import IndexDamagedError, IndexMismatchError, StoreError
from mdm.limits import INDEX_MAP_BYTES, INDEX_READERS_MAX, INDEX_SPARE_READS
from mdm.store import layout
from mdm.store.files import sync_directory, sync_file
from mdm.store.layout import LAYOUT_VERSION
from mdm.store.transaction import IndexTransaction
from mdm.store.view import DUPLICATED, Databases, IndexView

DATA_FILE = "data.mdb"

_LAYOUT_KEY = b"layout"
_NORMALISER_KEY = b"normaliser"
_SPECIFICATION_KEY = b"specification"
_JOURNAL_KEY = b"journal"
_RELATIONS_KEY = b"relations"

# A page that cannot be read also breaks the transaction, which is all that some calls say of it.
_DAMAGES = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError, lmdb.BadTxnError)

# Of LMDB's meta page, behind the page header of 16 bytes: magic and version, page size, last page and transaction.
_META_BYTES = 152
_META_MAGIC = struct.pack("=II", 0xBEEFC0DE, 1)
_META_FIELDS = struct.Struct("=40xI92xQQ")
_UNWRITTEN_SHARE = 8


class IndexVersions(msgspec.Struct, frozen=True):
    """What the index was computed from and with; for others it has to be computed again."""

    normaliser: str
    specification: str
    journal: str = ""
    """`JournalReader.name` of the journal that this is the fold of."""
    relations: str = ""
    """How relation keys and stays are made."""


class IndexSizes(msgspec.Struct, frozen=True):
    """How large an index is."""

    file_bytes: int
    used_bytes: int
    """Pages that hold the present state; the file's others are free, or of states that are still being read."""
    map_bytes: int
    """Most that the file can grow to."""
    entries: dict[str, int]
    """Entries by database name."""


class Index:
    """One open LMDB environment; a process opens a path once, and never forks with it open."""

    def __init__(self, environment: lmdb.Environment, databases: Databases, versions: IndexVersions) -> None:
        """Take over an open environment; see `open`."""
        self._environment = environment
        self._databases = databases
        self.versions = versions

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, versions: IndexVersions | None = None) -> Index:
        """Open the index in the directory `path`.

        Args:
            path: A directory on a local disk.
            readonly: Whether this process only reads, beside the one that writes.
            versions: For a new index, which is created when `path` holds none; ignored for an existing one.

        Raises:
            IndexMismatchError: There is none, it is damaged, or it has another layout: rebuild it.
        """
        if versions is None and not (path / DATA_FILE).is_file():
            raise IndexMismatchError(f"no index in {path.name}: rebuild it")
        if not readonly:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            environment = lmdb.open(
                str(path),
                map_size=INDEX_MAP_BYTES,
                max_readers=INDEX_READERS_MAX,
                max_dbs=len(Databases._fields),
                max_spare_txns=INDEX_SPARE_READS,
                readonly=readonly,
                create=not readonly,
                sync=False,
                metasync=False,
                mode=0o600,
            )
        except lmdb.Error as error:
            raise IndexMismatchError(f"the index in {path.name} cannot be opened: {type(error).__name__}") from error
        try:
            return cls._load(environment, path, versions)
        except BaseException:
            environment.close()
            raise

    @classmethod
    def _load(cls, environment: lmdb.Environment, path: Path, versions: IndexVersions | None) -> Index:
        try:
            if environment.stat()["entries"] == 0 and not environment.flags()["readonly"] and versions is not None:
                _create(environment, versions)
            # An older layout lacks databases: its version says so better than the first one that is missing.
            meta = environment.open_db(b"meta", create=False)
            with environment.begin(db=meta) as txn:
                layout = int.from_bytes(txn.get(_LAYOUT_KEY, b""), "big")
            if layout != LAYOUT_VERSION:
                raise IndexMismatchError(
                    f"the index in {path.name} has layout {layout}, not {LAYOUT_VERSION}: rebuild it"
                )
            databases = Databases(
                *(
                    environment.open_db(
                        name.encode(), create=False, dupsort=name in DUPLICATED, dupfixed=name in DUPLICATED
                    )
                    for name in Databases._fields
                )
            )
            with environment.begin(db=databases.meta) as txn:
                stored = _versions_in(txn)
        except lmdb.Error as error:
            raise IndexMismatchError(f"the index in {path.name} is damaged: {type(error).__name__}") from error
        return cls(environment, databases, stored)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the environment; a view still open is invalid afterwards."""
        self._environment.close()

    @contextmanager
    def read(self) -> Iterator[IndexView]:
        """Open one short read transaction.

        Raises:
            IndexDamagedError: A page that was read is damaged.
        """
        try:
            with self._environment.begin(db=self._databases.crosswalk) as txn:
                yield IndexView(txn, self._databases)
        except _DAMAGES as error:
            raise IndexDamagedError(f"the index is damaged: {type(error).__name__}") from error

    @contextmanager
    def write(self, *, is_bulk: bool = False) -> Iterator[IndexTransaction]:
        """Open the write transaction, committed unsynced at the end of the block and aborted on any exception.

        Args:
            is_bulk: Whether postings and relations are left out, for `post_all` to make at the end of a replay from
                the beginning.

        Raises:
            IndexDamagedError: A page that was read is damaged; the process must stop.
            StoreError: LMDB could not write or commit (disk full, map full); the process must stop.
        """
        try:
            with self._environment.begin(db=self._databases.crosswalk, write=True) as txn:
                transaction = IndexTransaction(txn, self._databases, is_bulk=is_bulk)
                yield transaction
                transaction.finish()
        except _DAMAGES as error:
            raise IndexDamagedError(f"the index is damaged: {type(error).__name__}") from error
        except lmdb.Error as error:
            raise StoreError(f"the index cannot be written: {type(error).__name__}") from error

    def post_all(self) -> None:
        """Make all postings and relations of an index that was written in bulk. Cost: about 1 µs each.

        Raises:
            StoreError: LMDB, or a working file beside it, could not be written.
        """
        # Here, for numpy is half of what a process loads that only opens an index.
        from mdm.store.posting import post_all  # noqa: PLC0415

        databases, scratch = self._databases, Path(self._environment.path())
        try:
            post_all(self._environment, databases.posting_keys, databases.postings, bytes, scratch)
            post_all(self._environment, databases.relation_states, databases.relations, layout.relation_keys, scratch)
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"the index cannot be written: {type(error).__name__}") from error

    def sync(self) -> None:
        """Force everything committed so far to disk."""
        try:
            self._environment.sync(True)
        except lmdb.Error as error:
            raise StoreError(f"the index cannot be synced: {type(error).__name__}") from error

    def copy(self, path: Path) -> None:
        """Write a synced copy of one consistent state into the new directory `path`, while reads and writes go on.

        Cost: 0.3 s a GiB.
        """
        path.mkdir(mode=0o700)
        try:
            self._environment.copy(str(path), compact=False)
        except lmdb.Error as error:
            raise StoreError(f"the index cannot be copied: {type(error).__name__}") from error
        (path / DATA_FILE).chmod(0o600)
        sync_file(path / DATA_FILE)
        sync_directory(path)

    def rewrite(self, path: Path) -> None:
        """Write every entry, and nothing else, into a new index in the directory `path`, synced.

        A copy of the file takes along free pages and the gaps within pages, where deleted values still stand; entries
        alone leave nothing to argue about. Cost: 1 to 2 µs an entry, of
        which a record has some 20.

        Raises:
            StoreError: The new index cannot be written.
        """
        with Index.open(path, versions=self.versions) as fresh:
            environment, databases = fresh._environment, fresh._databases  # noqa: SLF001  (of this class)
            try:
                with self._environment.begin() as source:
                    for name, old, new in zip(Databases._fields, self._databases, databases, strict=True):
                        with environment.begin(write=True) as target, source.cursor(old) as entries:
                            # In order they come and in order they go; only `meta` holds something already.
                            target.cursor(new).putmulti(entries, append=name != "meta")
                            if target.stat(new)["entries"] != source.stat(old)["entries"]:
                                raise StoreError(f"the index that was written anew lacks entries of {name}")
            except lmdb.Error as error:
                raise StoreError(f"the index cannot be written anew: {type(error).__name__}") from error
            fresh.sync()
        sync_directory(path)

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is open still exists: what replaces an index removes the one before. Cost: 2 µs."""
        return Path(self._environment.path(), DATA_FILE).exists()

    def move_to(self, path: Path) -> None:
        """Go on with the index in another directory, as if this had been opened on it; no view may be open."""
        opened = Index.open(path)
        self._environment.close()
        self.__dict__.update(opened.__dict__)

    def release_dead_readers(self) -> int:
        """Free the slots of killed readers, which pin old pages, and return how many; call it every few seconds."""
        return self._environment.reader_check()

    def sizes(self) -> IndexSizes:
        """Return the size of the file and the entries of each database. Cost: microseconds."""
        with self._environment.begin() as txn:
            stats = {name: txn.stat(each) for name, each in zip(Databases._fields, self._databases, strict=True)}
        used = sum(
            stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])
            for stat in stats.values()
        )
        # Not asked of the file, which somebody may have deleted under its readers.
        info, page_bytes = self._environment.info(), stats["meta"]["psize"]
        entries = {name: stat["entries"] for name, stat in stats.items()}
        return IndexSizes((info["last_pgno"] + 1) * page_bytes, used, info["map_size"], entries)


def stored_versions(path: Path) -> tuple[int, IndexVersions]:
    """Return the layout and versions of the index in a directory, whatever they are.

    Raises:
        IndexMismatchError: It is none, or damaged.
    """
    try:
        with lmdb.open(str(path), max_dbs=1, readonly=True, create=False) as environment:
            meta = environment.open_db(b"meta", create=False)
            with environment.begin(db=meta) as txn:
                layout_version = int.from_bytes(txn.get(_LAYOUT_KEY, b""), "big")
                return layout_version, _versions_in(txn)
    except lmdb.Error as error:
        raise IndexMismatchError(f"the index in {path.name} cannot be read: {type(error).__name__}") from error


def _versions_in(txn: lmdb.Transaction[bytes]) -> IndexVersions:
    return IndexVersions(
        *(txn.get(key, b"").decode() for key in (_NORMALISER_KEY, _SPECIFICATION_KEY, _JOURNAL_KEY, _RELATIONS_KEY))
    )


def is_whole(path: Path) -> bool:
    """Return whether the file of the index in a directory is about as long as its newest state needs.

    A mapped page that a file does not have is a signal that ends the process, so this reads without mapping.
    """
    try:
        with (path / DATA_FILE).open("rb") as file:
            first = file.read(_META_BYTES)
            page_bytes = _META_FIELDS.unpack(first)[0]
            file.seek(page_bytes)
            metas = [first, file.read(_META_BYTES)]
            file_bytes = file.seek(0, os.SEEK_END)
    except (OSError, struct.error):
        return False
    if any(len(meta) < _META_BYTES or meta[16:24] != _META_MAGIC for meta in metas):
        return False
    _, last_page, _ = max((_META_FIELDS.unpack(meta) for meta in metas), key=lambda fields: fields[2])
    # Pages that were taken and given back within one transaction are never written: a whole file may lack some.
    return bool(file_bytes >= (last_page + 1 - last_page // _UNWRITTEN_SHARE) * page_bytes)


def _create(environment: lmdb.Environment, versions: IndexVersions) -> None:
    # One transaction: a crash leaves an empty environment or a whole index.
    with environment.begin(write=True) as txn:
        for name in Databases._fields:
            is_duplicated = name in DUPLICATED
            database = environment.open_db(name.encode(), txn=txn, dupsort=is_duplicated, dupfixed=is_duplicated)
            if name == "meta":
                txn.put(_LAYOUT_KEY, LAYOUT_VERSION.to_bytes(4, "big"), db=database)
                txn.put(_NORMALISER_KEY, versions.normaliser.encode(), db=database)
                txn.put(_SPECIFICATION_KEY, versions.specification.encode(), db=database)
                txn.put(_JOURNAL_KEY, versions.journal.encode(), db=database)
                txn.put(_RELATIONS_KEY, versions.relations.encode(), db=database)
