"""A writer at work in one process: real journal, real index, real normaliser and the shipped models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mdm.config import Configuration
from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.domain.reviews import QueueState, Review
from mdm.domain.state import GoldenEntry, Pair, RecordEntry, pair_of
from mdm.limits import RELINK_MEMORY_BYTES
from mdm.resolve import relink_process
from mdm.resolve.commands import (
    Act,
    Answer,
    ClerkChoice,
    Command,
    CommitRelink,
    Delete,
    Refusal,
    Request,
    ResolveReview,
    RunAnswer,
    StartRelink,
    Steward,
    StewardAnswer,
    Upsert,
    WriteAnswer,
)
from mdm.resolve.group import Group
from mdm.resolve.payloads import decode_payload
from mdm.resolve.projection import index_versions, project
from mdm.resolve.relink_runs import WORK_DIRECTORY, Phase, RunState, new_run, read_state
from mdm.resolve.writer import Writer
from mdm.store.comparison import Difference, differences
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index

CITIZEN, BUSINESS = EntityKind.CITIZEN, EntityKind.BUSINESS
CONFIGURATION = Configuration.load(None)
RELINK_S_MAX = 110.0


class Office:
    """Owns one data directory; `kill` leaves it as a killed process would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = DataDirectory.open(path, create=True, exclusive=True)
        self.writer = Writer.open(self.directory, CONFIGURATION)
        self.cause = ev.Cause(actor="clerk", method="Test")

    def close(self) -> None:
        self.writer.close()
        self.directory.close()

    def kill(self) -> None:
        """Let go of all files without a word, as the kernel does for a killed process."""
        self.writer._eraser.close()
        run = self.writer._relink
        run._stop_process()
        if run._commit is not None:
            run._commit.plan.close()
        self.writer._index.close()
        self.writer._journal.close()
        self.directory.close()

    def reopen(self) -> None:
        self.directory = DataDirectory.open(self.path, exclusive=True)
        self.writer = Writer.open(self.directory, CONFIGURATION)

    def execute(self, *commands: Command) -> list[Answer]:
        return self.writer.execute(commands)

    def put(
        self,
        record: SourceRecord,
        *,
        later: bool = False,
        allow_older: bool = False,
        choice: ClerkChoice | None = None,
        request_id: str = "",
        content: bytes = b"",
    ) -> WriteAnswer:
        request = Request(self.cause, request_id, content)
        (answer,) = self.execute(Upsert(request, record, is_deferred=later, allow_older=allow_older, choice=choice))
        assert isinstance(answer, WriteAnswer), answer
        return answer

    def put_all(self, records: Sequence[SourceRecord], *, later: bool = False, group: int = 64) -> list[WriteAnswer]:
        answers: list[WriteAnswer] = []
        for at in range(0, len(records), group):
            for answer in self.execute(
                *(Upsert(Request(self.cause), record, is_deferred=later) for record in records[at : at + group])
            ):
                assert isinstance(answer, WriteAnswer), answer
                answers.append(answer)
        return answers

    def drop(self, key: SourceKey) -> WriteAnswer:
        (answer,) = self.execute(Delete(Request(self.cause), key))
        assert isinstance(answer, WriteAnswer), answer
        return answer

    def refused(self, command: Command) -> str:
        (answer,) = self.execute(command)
        assert isinstance(answer, Refusal), answer
        return answer.error

    def judge(self, left: SourceKey, right: SourceKey, verdict: ev.Verdict | None) -> None:
        """Let a steward judge two records, or take the judgement back."""
        pair = pair_of(self.number(left), self.number(right))
        fact = ev.JudgementMade(*pair, verdict) if verdict else ev.JudgementWithdrawn(*pair)
        with self.writer._index.write() as txn:
            group = Group(self.writer._journal.begin(0), txn, {})
            group.add(ev.Cause(actor="steward"), fact)
            self.writer._journal.commit(group.batch)

    def steward(self, act: Act, *, actor: str = "steward", dry_run: bool = False, etag: str = "") -> StewardAnswer:
        request = Request(ev.Cause(actor=actor, method="Test"))
        (answer,) = self.execute(Steward(request, act, "seen the files", etag, dry_run))
        assert isinstance(answer, StewardAnswer), answer
        return answer

    def answer_review(
        self, review: int, answer: ev.ReviewAnswer, *, actor: str = "steward", etag: str = ""
    ) -> StewardAnswer:
        request = Request(ev.Cause(actor=actor, method="Test"))
        (done,) = self.execute(ResolveReview(request, review, answer, "seen the files", etag))
        assert isinstance(done, StewardAnswer), done
        return done

    def same(self, left: SourceRecord, right: SourceRecord) -> StewardAnswer:
        return self.steward(ev.Judge(*self.pair(left, right), ev.Verdict.SAME))

    def different(self, left: SourceRecord, right: SourceRecord) -> StewardAnswer:
        return self.steward(ev.Judge(*self.pair(left, right), ev.Verdict.DIFFERENT))

    def pair(self, left: SourceRecord, right: SourceRecord) -> Pair:
        return pair_of(self.number(left.key), self.number(right.key))

    def reviews(self) -> dict[int, Review]:
        """Every review that is not closed, by id."""
        with self.writer._index.read() as view:
            found = {review: view.review(review) for queue in QueueState for _, review in view.iter_review_queue(queue)}
        assert all(found.values())
        return {review: entry for review, entry in found.items() if entry is not None}

    def number(self, key: SourceKey) -> RecordNumber:
        with self.writer._index.read() as view:
            number = view.number_of(key)
        assert number is not None
        return number

    def stored(self, key: SourceKey) -> SourceRecord:
        with self.writer._index.read() as view:
            payload = view.raw(self.number(key))
        assert payload is not None
        return decode_payload(payload)

    def entry(self, key: SourceKey) -> RecordEntry:
        with self.writer._index.read() as view:
            entry = view.record(self.number(key))
        assert entry is not None
        return entry

    def id_of(self, record: SourceRecord) -> GoldenId | None:
        return self.entry(record.key).golden_id

    def answer(self, identifier: GoldenId | None) -> GoldenId | None:
        """What an ID answers: the surviving ID, or None when it is retired."""
        assert identifier is not None
        with self.writer._index.read() as view:
            golden = view.golden(identifier)
        assert golden is not None
        return None if golden.is_retired else golden.survivor or identifier

    def questions(self) -> dict[tuple[str, str], ev.MatchReason]:
        """Open questions by the record ids of both sides."""
        with self.writer._index.read() as view:
            found = {}
            for (left, right), match in view.iter_potential_matches():
                keys = [view.key_of(left), view.key_of(right)]
                found[tuple(sorted(key.record_id for key in keys if key))] = match.reason
        return found  # type: ignore[return-value]

    def events(self) -> list[ev.Event]:
        return list(self.writer._journal.events())

    def partition(self) -> set[frozenset[SourceKey]]:
        groups: dict[GoldenId, set[SourceKey]] = {}
        with self.writer._index.read() as view:
            for key, row in view.iter_crosswalk():
                if row.golden_id is not None:
                    groups.setdefault(row.golden_id, set()).add(key)
        return {frozenset(group) for group in groups.values()}

    def crosswalk(self) -> dict[SourceKey, GoldenId]:
        with self.writer._index.read() as view:
            return {key: row.golden_id for key, row in view.iter_crosswalk() if row.golden_id is not None}

    @property
    def seq(self) -> int:
        return self.writer._journal.last_seq

    def golden(self, identifier: GoldenId) -> GoldenEntry:
        with self.writer._index.read() as view:
            golden = view.golden(identifier)
        assert golden is not None
        return golden

    def goldens(self) -> dict[GoldenId, tuple[object, ...]]:
        """Every golden ID ever issued with all that it is, apart from positions."""
        with self.writer._index.read() as view:
            return {
                identifier: (entry.anchor, entry.survivor, entry.members, entry.absorbed, entry.is_retired)
                for identifier, entry in view.iter_goldens()
            }

    def members(self) -> dict[RecordNumber, tuple[RecordNumber, ...]]:
        """Of each resolved record all members of its golden record, ascending."""
        with self.writer._index.read() as view:
            groups = [entry.members for _, entry in view.iter_goldens() if entry.members]
        return {number: members for members in groups for number in members}

    def engines(self) -> dict[str, str | None]:
        """The digests of the models and epochs in force."""
        with self.writer._index.read() as view:
            return {name: view.setting(name) for kind in EntityKind for name in (f"model:{kind}", f"epoch:{kind}")}

    def relink(
        self, *, commit: bool = True, until: Callable[[RunState], bool] | None = None, reverts: str = ""
    ) -> RunState:
        (started,) = self.execute(StartRelink(Request(self.cause), reverts=reverts))
        assert isinstance(started, RunAnswer), started
        state = self.follow(started.run_id, until)
        if not commit or state.phase is not Phase.PLANNED or (until is not None and until(state)):
            return state
        (committed,) = self.execute(CommitRelink(Request(self.cause), started.run_id))
        assert isinstance(committed, RunAnswer), committed
        return self.follow(started.run_id, until)

    def relink_here(self, *, reverts: str = "") -> RunState:
        """Plan a run here and commit it: to start an interpreter takes longer than to link a small city."""
        state = self.plan_here(reverts=reverts)
        (committed,) = self.execute(CommitRelink(Request(self.cause), state.run_id))
        assert isinstance(committed, RunAnswer), committed
        return self.follow(state.run_id)

    def plan_here(self, *, reverts: str = "") -> RunState:
        relinks = self.directory.relinks
        run_id = new_run(relinks, memory_limit_bytes=RELINK_MEMORY_BYTES, reverts=reverts).run_id
        work = relinks / run_id / WORK_DIRECTORY
        # The first stage is done here: a process opens an index once, and the writer has it open.
        relink_process._prepare(work)
        self.writer._index.copy(work / "index")
        relink_process.main(self.path, run_id)
        state = read_state(relinks, run_id)
        assert state.phase is Phase.PLANNED
        return state

    def revert(self, run_id: str, *, commit: bool = True) -> RunState:
        return self.relink(commit=commit, reverts=run_id)

    def follow(self, run_id: str, until: Callable[[RunState], bool] | None = None) -> RunState:
        """Do the writer's background work until the run is over, or as far as `until` says."""
        give_up = time.monotonic() + RELINK_S_MAX
        while time.monotonic() < give_up:
            more = self.writer.background_step()
            state = read_state(self.directory.relinks, run_id)
            if until is not None and until(state):
                return state
            if state.phase.is_final and not more:
                return state
            if not more:
                time.sleep(0.02)
        raise TimeoutError(state.phase)

    def differences(self, scratch: Path) -> list[Difference]:
        """Replay the whole journal into an index beside, and compare."""
        scratch.mkdir(parents=True)
        with Index.open(scratch / "replayed", versions=index_versions(self.writer._journal)) as replayed:
            project(replayed, self.writer._journal)
            return differences(self.writer._index, replayed)


def citizen(
    record_id: str,
    full_name: str = "Huỳnh Ngọc Bảo Trâm",
    birth_date: str = "1987-03-05",
    *,
    registry: str = "hospital",
    sex: str = "F",
    personal_id: str = "",
    assurance: Assurance = Assurance.SIGHTED,
    insurance: str = "",
    phone: str = "0903123456",
    address: str = "12 Lê Lợi, Phường Bến Thành, Quận 1, TP Hồ Chí Minh",
    mother: str = "",
    birth_order: str = "",
    updated_at: str = "",
) -> SourceRecord:
    identifiers = []
    if personal_id:
        identifiers.append(Identifier(IdentifierType.PERSONAL_ID, personal_id, assurance))
    if insurance:
        identifiers.append(Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, insurance, Assurance.SIGHTED))
    attributes = CitizenAttributes(
        full_name=full_name,
        birth_date=birth_date,
        sex=sex,
        birth_order=birth_order,
        identifiers=tuple(identifiers),
        phones=(phone,) if phone else (),
        addresses=(Address(AddressKind.CONTACT, address),) if address else (),
        relations=(Relation(RelationType.MOTHER, mother),) if mother else (),
    )
    return SourceRecord(SourceKey(registry, CITIZEN, record_id), attributes, updated_at)


def business(
    record_id: str,
    legal_name: str,
    *,
    registry: str = "company",
    form: str = "company",
    tax_code: str = "",
    address: str = "12 Lê Lợi, Phường Bến Thành, Quận 1, TP Hồ Chí Minh",
    phone: str = "02838291234",
) -> SourceRecord:
    identifiers = (Identifier(IdentifierType.TAX_CODE, tax_code, Assurance.SIGHTED),) if tax_code else ()
    attributes = BusinessAttributes(
        legal_name=legal_name,
        form=form,
        identifiers=identifiers,
        phones=(phone,) if phone else (),
        addresses=(Address(AddressKind.HEAD_OFFICE, address),) if address else (),
    )
    return SourceRecord(SourceKey(registry, BUSINESS, record_id), attributes)
