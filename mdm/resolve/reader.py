"""What a reading process answers straight from the index, with one short transaction for each call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self

from mdm.config import Configuration
from mdm.declarations.sections import Feed
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey, kind_of, parse_golden_id
from mdm.domain.records import Assurance, IdentifierType
from mdm.domain.state import pair_of
from mdm.errors import (
    FeedResetError,
    InvalidInputError,
    NotFreshEnoughError,
    UnknownRecordError,
    UnknownRegistryError,
)
from mdm.limits import CANDIDATES_MAX, FRESHNESS_POLL_S
from mdm.linkage.codec import decode_features
from mdm.linkage.identification import WantedIdentifier
from mdm.linkage.model import Model
from mdm.resolve.configuring import ConfigurationActivation, RegistryChange, changes_between, check_change
from mdm.resolve.configuring import last_activation as last_configuration
from mdm.resolve.engines import Engine, engine
from mdm.resolve.erasure import ErasureEntry, SubjectOutline, erasures, outline_of, subject_named
from mdm.resolve.exporting import Exporter
from mdm.resolve.feed import FeedFilter, FeedPage, read_page
from mdm.resolve.households import HouseholdAnswer, households_of
from mdm.resolve.model_comparison import ModelComparison, compare_models
from mdm.resolve.models import ModelVersion, body_before, model_body, model_versions
from mdm.resolve.opened import open_current, settings_of
from mdm.resolve.opened import opened as compiled
from mdm.resolve.past import PastGoldenRecord, past_golden_record, seq_of_time, seq_of_token
from mdm.resolve.payloads import decode_payload
from mdm.resolve.reading import Reading, issued
from mdm.resolve.relations import Position, RelationFilter, RelationList, RelationPage
from mdm.resolve.searching import Searches
from mdm.resolve.status import StoreStatus, store_status
from mdm.resolve.survivorship import (
    RulesActivation,
    RulesComparison,
    RulesInForce,
    compare_rules,
    last_activation,
    members_of,
    values_of,
)
from mdm.resolve.views import (
    GoldenMember,
    GoldenRecord,
    GoldenState,
    IdentifierHolder,
    RecordState,
    StoredRecord,
    golden_state,
)
from mdm.store.data_directory import DataDirectory
from mdm.store.journal import JournalReader
from mdm.store.layout import CrosswalkColumn
from mdm.store.token import parse_token

_SHORT_COLUMN_KEYS = 400
"""Too few to be worth a turn."""


class Reader:
    """Answers lookups and matches. Safe to share between threads.

    Invariant: every answer rests on one index transaction and so on one seq.
    """

    def __init__(self, directory: DataDirectory) -> None:
        """Open the current generation; see `open`."""
        self.directory = directory
        self.exporter = Exporter(directory, lambda: self._opened)
        self._lock = threading.Lock()
        self.searches = Searches(lambda: self._opened)
        # Long columns of keys take turns like searches.
        self._column = threading.Lock()
        self._opened = open_current(self.directory)
        self._token: tuple[JournalReader | None, int, str] = (None, -1, "")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Open a data directory that a writer keeps.

        Raises:
            DataDirectoryError: Not ours, or of another version.
            WriterUnavailableError: The writer has not made an index yet.
        """
        return cls(DataDirectory.open(data, create=False, exclusive=False))

    def close(self) -> None:
        """Close the index."""
        self._opened.index.close()

    def refresh(self) -> None:
        """Follow a new index generation, model, epoch or configuration. Cost: microseconds when nothing changed."""
        # Several calls may ask at once, and LMDB allows one environment for a file in a process.
        with self._lock:
            opened = self._opened
            opened.index.release_dead_readers()
            with opened.index.read() as view:
                settings = settings_of(view)
            current = self.directory.generations.current()
            if current is not None and current.name != opened.generation:
                # Calls in flight keep the old environment; it closes with the last of them.
                self._opened = open_current(self.directory)
            elif settings != opened.settings:
                # The same environment, with new engines.
                self._opened = compiled(opened.generation, opened.index, opened.journal)

    @property
    def configuration(self) -> Configuration:
        """The journalled configuration in force."""
        return self._opened.configuration

    def check(self, registry: str, kind: str) -> None:
        """Pass if a registry that holds records of this kind is declared, be it since a moment ago.

        Raises:
            UnknownRegistryError: It is not, or does not.
        """
        try:
            self._opened.configuration.check(registry, kind)
        except UnknownRegistryError:
            self.refresh()
            self._opened.configuration.check(registry, kind)

    def feed(self, name: str) -> Feed:
        """Return the feed `registry.feed`, be it declared since a moment ago; raises UnknownRegistryError."""
        try:
            return self._opened.configuration.feed(name)
        except UnknownRegistryError:
            self.refresh()
            return self._opened.configuration.feed(name)

    def configuration_activation(self) -> ConfigurationActivation:
        """Return the configuration in force with who put it there, when and why."""
        with self._opened.index.read() as view:
            return last_configuration(view, self._opened.journal)

    def compare_configuration(self, after: Configuration) -> list[RegistryChange]:
        """Return what another configuration would change; see `changes_between` and, for its errors, `check_change`."""
        opened = self._opened
        with opened.index.read() as view:
            check_change(view, opened.journal, opened.configuration, after)
            return changes_between(view, opened.configuration, after)

    def applied_seq(self) -> int:
        """Return the seq that reads see now."""
        with self._opened.index.read() as view:
            return view.applied_seq

    def token(self, seq: int) -> str:
        """Return the wire form of a position."""
        journal, known = self._opened.journal, self._token
        if known[:2] != (journal, seq):
            # Thousands of answers lie between two writes, and making a token costs as much as a lookup.
            known = self._token = journal, seq, str(journal.token(seq))
        return known[2]

    def wait_until(self, token: str, timeout_s: float) -> None:
        """Return once reads see the token's position.

        Raises:
            InvalidTokenError: Of another journal or epoch, or no token.
            NotFreshEnoughError: Not within `timeout_s`.
        """
        journal, field = self._opened.journal, "at_least_as_fresh"
        wanted = parse_token(token, field).require(journal.journal_id, journal.epoch, field).seq
        until = time.monotonic() + timeout_s
        while self.applied_seq() < wanted:
            if time.monotonic() >= until:
                raise NotFreshEnoughError("the position that at_least_as_fresh names is not applied here yet")
            time.sleep(FRESHNESS_POLL_S)

    def feed_position(self, token: str) -> int:
        """Return the position behind which a change feed goes on.

        Raises:
            InvalidTokenError: No token.
            FeedResetError: Of another journal, an epoch before a restore, or beyond this journal's end.
        """
        journal, parsed = self._opened.journal, parse_token(token, "after")
        is_ours = (parsed.journal_id, parsed.epoch) == (journal.journal_id, journal.epoch)
        if not is_ours or parsed.seq > journal.last_seq:
            raise FeedResetError(
                "the token is of another journal or of an epoch before a restore: export the crosswalk, replace your "
                "copy with it, and watch from the token of the export"
            )
        return parsed.seq

    def feed_page(self, after_seq: int, wanted: FeedFilter) -> FeedPage:
        """Return what the change feed tells next, read in one short transaction; see `read_page`."""
        with self._opened.index.read() as view:
            return read_page(view, after_seq, wanted)

    def lookup_many(
        self, registry: str, kind: EntityKind, record_ids: Sequence[str], *, may_wait: bool = True
    ) -> tuple[CrosswalkColumn, int]:
        """Return what the crosswalk says of many keys of one registry, and the seq. Cost: see `IndexView`.

        Long columns take turns, on a thread that may wait.
        """
        turn = self._column if may_wait and len(record_ids) > _SHORT_COLUMN_KEYS else nullcontext()
        with turn, self._opened.index.read() as view:
            return view.lookup_many(registry, kind, record_ids), view.applied_seq

    def stored_record(self, key: SourceKey) -> StoredRecord:
        """Return a record as stored.

        Raises:
            UnknownRecordError: Nothing was ever stored under this key.
        """
        with self._opened.index.read() as view:
            number = view.number_of(key)
            entry = view.record(number) if number is not None else None
            if number is None or entry is None:
                raise UnknownRecordError("no record is stored under this key")
            payload = view.raw(number)
            state = RecordState.FOUND if entry.golden_id else RecordState.PENDING
            return StoredRecord(
                decode_payload(payload) if payload is not None else None,
                RecordState.DELETED if entry.is_deleted else state,
                entry.golden_id,
                entry.changed_seq,
            )

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Yield one consistent state; keep it no longer than one call."""
        opened = self._opened
        with opened.index.read() as view:
            yield Reading(view, opened.engines, opened.configuration, opened.journal, opened.rules)

    def golden(self, golden_id: str) -> GoldenRecord:
        """Return what a golden ID answers: itself, its survivor, or that it is retired.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
        """
        opened = self._opened
        with opened.index.read() as view:
            requested, entry = issued(view, golden_id)
            surviving = entry.survivor or requested
            golden = view.golden(surviving) or entry
            members = members_of(view, opened.configuration, golden.members)
            asked = {
                pair_of(number, other)
                for number in golden.members
                if (record := view.record(number)) is not None
                for other in record.potential_matches
            }
            return GoldenRecord(
                requested,
                None if entry.is_retired else surviving,
                golden_state(entry),
                kind_of(requested),
                values_of(view, opened.journal, members, opened.rules),
                tuple(
                    GoldenMember(each.record.key, each.record.updated_at, is_anchor=each.number == golden.anchor)
                    for each in members
                ),
                golden.absorbed,
                len(asked),
                view.applied_seq,
                entry.is_erased,
            )

    def past_golden(self, golden_id: str, moment: int | str) -> PastGoldenRecord:
        """Return what was known of a golden ID; costs 5 us an event of its history until then and 30 us a member.

        Args:
            golden_id: In any form.
            moment: The token of a position, or a time in microseconds since 1970.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
            GoldenIdNotYetIssuedError: It was issued later.
            InvalidTokenError: The token is not one of this journal.
            InvalidInputError: The moment lies in the future.
        """
        with self.reading() as reading:
            requested, _ = issued(reading.view, golden_id)
            if isinstance(moment, str):
                seq = seq_of_token(reading, moment)
            else:
                seq = seq_of_time(reading, moment, time.time_ns() // 1000)
            return past_golden_record(reading, requested, seq)

    def households(self, golden_id: str) -> HouseholdAnswer:
        """Return the households of a citizen, now and before; of a retired ID none. Cost: about 0.2 ms for a family.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
            InvalidInputError: A business's.
        """
        with self._opened.index.read() as view:
            requested, entry = issued(view, golden_id)
            if kind_of(requested) is not EntityKind.CITIZEN:
                raise InvalidInputError("golden_id", "must be a citizen's: a business has no household")
            surviving = entry.survivor or requested
            now, former = households_of(view, view.golden(surviving) or entry)
            current = None if entry.is_retired else surviving
            return HouseholdAnswer(current, golden_state(entry), now, former, view.applied_seq)

    def relations(self, golden_id: str, wanted: RelationFilter, size: int, after: Position | None) -> RelationPage:
        """Return a page of a golden record's relations; of a retired ID none. Cost: about 50 us a row.

        Raises:
            InvalidGoldenIdError: Not a golden ID.
            UnknownGoldenIdError: Never issued here.
        """
        with self._opened.index.read() as view:
            requested, entry = issued(view, golden_id)
            surviving = entry.survivor or requested
            relations = RelationList(view, surviving, view.golden(surviving) or entry, wanted)
            rows, following = relations.page(size, after)
            current = None if entry.is_retired else surviving
            return RelationPage(current, golden_state(entry), tuple(rows), following, view.applied_seq)

    def current_golden_ids(self, golden_ids: Sequence[str]) -> tuple[list[str], list[GoldenState], int]:
        """Return the surviving ID ("" for retired and never issued ones) and the state of each golden ID.

        Raises:
            InvalidGoldenIdError: One of them is not a golden ID; names its index.
        """
        surviving: list[str] = []
        states: list[GoldenState] = []
        with self._opened.index.read() as view:
            for golden_id in golden_ids:
                requested = parse_golden_id(golden_id)
                entry = view.golden(requested)
                states.append(GoldenState.NEVER_ISSUED if entry is None else golden_state(entry))
                surviving.append("" if entry is None or entry.is_retired else entry.survivor or requested)
            return surviving, states, view.applied_seq

    def holders(
        self, type_: IdentifierType, value: str, kind: EntityKind, read_max: int | None = None
    ) -> tuple[list[IdentifierHolder], bool, int] | None:
        """Return the golden records with a member that states this identifier, by ID; None if it takes too many reads.

        Besides, whether some may be missing, and the seq: of records that share a key of the identifier, only the
        latest `CANDIDATES_MAX` are read, and none of more than `read_max`. Cost: about 30 us a record.
        """
        found: dict[GoldenId, list[Assurance]] = {}
        wanted = WantedIdentifier(kind, type_, value)
        with self._opened.index.read() as view:
            numbers: dict[RecordNumber, None] = {}
            is_truncated = False
            for key in wanted.keys:
                stating, total = view.postings(key, CANDIDATES_MAX)
                is_truncated = is_truncated or len(stating) < total
                numbers.update(dict.fromkeys(stating))
            if read_max is not None and len(numbers) > read_max:
                return None
            for number in numbers:
                entry, features = view.record(number), view.features(number)
                if entry is None or entry.golden_id is None or features is None:
                    continue
                payload = view.raw(number) if wanted.is_borne(decode_features(kind, features)) else None
                if payload is not None and (stated := wanted.assurances(decode_payload(payload))):
                    found.setdefault(entry.golden_id, []).extend(stated)
            order, read_seq = list(Assurance), view.applied_seq
        holders = [
            IdentifierHolder(golden_id, type_, min(stated, key=order.index), len(stated))
            for golden_id, stated in sorted(found.items())
        ]
        return holders, is_truncated, read_seq

    def translate(
        self, registry: str, kind: EntityKind, record_ids: Sequence[str], target_registry: str
    ) -> tuple[bytes, list[list[str]], int]:
        """Return for each record of one registry its `RecordState` and the record ids of the same bearer in another."""
        translated: list[list[str]] = []
        with self._opened.index.read() as view:
            column = view.lookup_many(registry, kind, record_ids)
            for golden_id in column.golden_ids():
                golden = view.golden(GoldenId(golden_id)) if golden_id else None
                keys = [view.key_of(number) for number in golden.members] if golden else []
                translated.append(sorted(key.record_id for key in keys if key and key.registry == target_registry))
            return column.statuses, translated, view.applied_seq

    def models(self, kind: EntityKind) -> list[ModelVersion]:
        """Return every activation of a model of this kind, oldest first; the last one is in force."""
        with self._opened.index.read() as view:
            return model_versions(view, self._opened.journal, kind)

    def model_body(self, digest: str) -> bytes:
        """Return a model file that is or was in force; raises UnknownModelError."""
        with self._opened.index.read() as view:
            return model_body(view, self._opened.journal, digest)

    def model_before(self, kind: EntityKind) -> bytes:
        """Return the model file that a roll-back puts in force; raises UnknownModelError."""
        with self._opened.index.read() as view:
            return body_before(view, self._opened.journal, kind)

    def engine(self, kind: EntityKind) -> Engine:
        """Return the model and statistics in force."""
        return self._opened.engines[kind]

    def compare_models(self, candidate: Model, base: Model | None, sample_count: int, seed: int) -> ModelComparison:
        """Return what a model would change against another, by default the one in force; see `compare_models`."""
        opened = self._opened
        kind = EntityKind(candidate.kind)
        in_force = opened.engines[kind]
        held = in_force if base is None else engine(kind, base, in_force.epoch)
        return compare_models(
            opened.index, held, engine(kind, candidate, in_force.epoch), sample_count=sample_count, seed=seed
        )

    def rules_activation(self) -> RulesActivation:
        """Return the rules of survivorship in force with who put them in force, when and why."""
        with self._opened.index.read() as view:
            return last_activation(view, self._opened.journal)

    def checked_rules(self, body: bytes) -> RulesInForce:
        """Return a file's rules beside the registries in force; raises ConfigurationError where it breaks a rule."""
        return self._opened.rules.with_rules(body)

    def compare_rules(self, other: RulesInForce, sample_count: int) -> list[RulesComparison]:
        """Return what other rules of survivorship would change; see `compare_rules`."""
        return compare_rules(
            self._opened.index, self._opened.journal, self._opened.rules, other, sample_count=sample_count
        )

    def erasure_outline(self, golden_id: str | None, key: SourceKey | None) -> SubjectOutline:
        """Return what erasing a subject would take; see `subject_named` for its errors."""
        with self._opened.index.read() as view:
            return outline_of(view, subject_named(view, golden_id, key), self.directory.exports.entries())

    def erasures(self, skip_count: int, count: int) -> tuple[list[ErasureEntry], bool]:
        """Return a page of erasures, the latest first, and whether there are more."""
        with self._opened.index.read() as view:
            return erasures(view, self._opened.journal, skip_count, count)

    def source_keys(self, numbers: Iterable[RecordNumber]) -> dict[RecordNumber, SourceKey]:
        """Return the source keys of records by number; an erased record has none. Cost: 1 us each."""
        with self._opened.index.read() as view:
            return {number: key for number in numbers if (key := view.key_of(number)) is not None}

    def status(self) -> StoreStatus:
        """Return the state for an operator; see `store_status`."""
        opened = self._opened
        with self.reading() as reading:
            last_backup = self.exporter.ledger.last_backup()
            return store_status(reading, self.directory, opened.index.sizes(), opened.generation, last_backup)
