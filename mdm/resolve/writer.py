"""The one writer: commands become one journal batch and one index commit, and are answered when both are done.

Order of a group: fold into an open index transaction, commit and sync the journal, commit the index unsynced, answer.
A failure between leaves the index behind the journal, never ahead: it catches up from its `applied_seq`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import msgspec
import structlog

from mdm import stages
from mdm.config import Configuration
from mdm.domain import events as ev
from mdm.domain.keys import EntityKind
from mdm.errors import IndexMismatchError, MdmError, RequestIdReusedError, StoreError
from mdm.resolve import upsert as use_case
from mdm.resolve.checkpoints import CheckpointKeeper, CheckpointOutcome
from mdm.resolve.commands import (
    Answer,
    BeginLoad,
    CancelRelink,
    Command,
    CommitRelink,
    Delete,
    Erase,
    EraseAnswer,
    FinishLoad,
    LoadAnswer,
    Refusal,
    Request,
    RevertLoad,
    RunAnswer,
    StartRelink,
    StewardAnswer,
    StewardCommand,
    SwitchAnswer,
    SwitchConfiguration,
    SwitchModel,
    SwitchRules,
    Upsert,
    WriteAnswer,
)
from mdm.resolve.configuring import activate_configuration, configuration_in_force, start_configuration
from mdm.resolve.desk import Desk
from mdm.resolve.engines import Engine, active_engines, default_engine, usable_model
from mdm.resolve.erasure import Eraser, erase
from mdm.resolve.group import Group
from mdm.resolve.load_control import LoadControl
from mdm.resolve.models import activate
from mdm.resolve.population import PopulationWatch
from mdm.resolve.projection import Progress, leave_clean, open_index
from mdm.resolve.relink_control import RelinkControl
from mdm.resolve.survivorship import activate_rules, activate_shipped_rules
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.journal import Journal, StoredAnswer

SYSTEM = ev.Cause(actor="service", method="start")
Write = Upsert | Delete | BeginLoad | FinishLoad | RevertLoad | Erase
"""Commands that share a transaction."""

_log = structlog.get_logger()
_answers = msgspec.msgpack.Decoder(WriteAnswer)
_run_ids = msgspec.msgpack.Decoder(str)
_erase_answers = msgspec.msgpack.Decoder(EraseAnswer)
_load_answers = msgspec.msgpack.Decoder(LoadAnswer)
_switch_answers = msgspec.msgpack.Decoder(SwitchAnswer)
_steward_answers = msgspec.msgpack.Decoder(StewardAnswer)


def _nobody_waits() -> bool:
    return False


class Writer:
    """Owns journal and index for writing. One thread calls `execute` and `background_step`.

    Invariant: an answer that left `execute` is on disk.
    """

    def __init__(self, directory: DataDirectory, journal: Journal, index: Index, named: Configuration | None) -> None:
        """Take over open stores; see `open`."""
        self._directory = directory
        self._journal = journal
        self._index = index
        self._checkpoints = CheckpointKeeper(directory.generations, index, journal.last_seq)
        with index.write() as txn:
            group = Group(journal.begin(_now_us()), txn, {})
            self._activate_defaults(group, named)
            self._commit(group)
        with index.read() as view:
            self._configuration = configuration_in_force(view, journal)
            self._engines = active_engines(view, journal.artefact)
            self._population = PopulationWatch(view)
        self._relink = RelinkControl(directory, journal, index)
        self._loads = LoadControl(journal, index)
        self._eraser = Eraser(directory, journal, index, self._relink)
        self._desk = Desk(journal, index, self._configuration)

    @contextmanager
    def _transaction(self, engines: dict[EntityKind, Engine]) -> Iterator[Group]:
        """Commit what the block drafts into the group: journal first, then index."""
        is_journalled = False
        begun_s = time.perf_counter()
        try:
            with self._index.write() as txn:
                group = Group(self._journal.begin(_now_us()), txn, engines)
                yield group
                decided_s = time.perf_counter()
                self._commit(group)
                is_journalled = True
                journalled_s = time.perf_counter()
            stages.note(stages.DECIDE, decided_s - begun_s)
            stages.note(stages.JOURNAL, journalled_s - decided_s)
            stages.note(stages.INDEX, time.perf_counter() - journalled_s)
        except Exception as error:
            if is_journalled:
                raise IndexMismatchError("the index commit failed behind a journal commit") from error
            raise

    @contextmanager
    def _deciding(self) -> Iterator[Group]:
        """As `_transaction`, with the engines in force, which follow the city's growth."""
        with self._transaction(dict(self._engines)) as group:
            self._population.follow(group, SYSTEM)
            yield group
        self._engines = group.engines
        self._population.note(group)

    @property
    def loads(self) -> LoadControl:
        """For whoever serves the streams, to say which loads are running."""
        return self._loads

    @classmethod
    def open(
        cls, directory: DataDirectory, named: Configuration | None = None, progress: Progress | None = None
    ) -> Self:
        """Open journal and index of a data directory whose lock is held, and bring the index up to the journal.

        Args:
            directory: Of the service.
            named: The registries file that the start names; see `start_configuration`. Without one, what is in force
                stays, and a new directory gets the one that ships.
            progress: Told how far the index is, where it has to be built.

        Raises:
            ConfigurationError: Rules in force name a registry that `named` lacks.
            RegistryInUseError: Records are stored of a registry that `named` lacks.
            DataDirectoryError: The directory is of another version or damaged, or takes no write.
            JournalFailedError: The journal cannot be read.
        """
        journal = Journal.open(directory.journal)
        index = open_index(directory, journal, progress)
        _log.info("index_ready", seq=journal.last_seq)
        return cls(directory, journal, index, named)

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Carry out one group of commands in order and return their answers, durable.

        A command that breaks alone is refused alone; the others of its group are carried out.

        Raises:
            StoreError: Journal or index failed: nothing of the group may be acknowledged, the process must end.
        """
        answers: list[Answer] = []
        waiting: list[Write] = []
        for command in commands:
            if isinstance(command, StartRelink | CommitRelink | CancelRelink):
                answers += [*self._execute_or_split(waiting), self._steer_run(command)]
                waiting = []
            elif isinstance(command, SwitchModel | SwitchRules | SwitchConfiguration):
                answers += [*self._execute_or_split(waiting), self._activate(command)]
                waiting = []
            elif isinstance(command, StewardCommand):
                answers += [*self._execute_or_split(waiting), self._steward(command)]
                waiting = []
            elif isinstance(command, BeginLoad | RevertLoad):
                # The end of a group says how far its loads have come, and both go by that.
                answers += self._execute_or_split(waiting)
                waiting = [command]
            else:
                waiting.append(command)
        return answers + self._execute_or_split(waiting)

    @property
    def checkpoint(self) -> CheckpointOutcome:
        """How the last checkpoint went."""
        return self._checkpoints.outcome

    def map_share(self) -> float:
        """Return the share of the index's map that its file has grown into and does not hold free. Cost: 30 us."""
        sizes = self._index.sizes()
        return sizes.used_bytes / sizes.map_bytes

    def background_step(self, is_wanted: Callable[[], bool] = _nobody_waits) -> bool:
        """Do at most 100 ms of what waits behind the commands; returns whether more is waiting.

        Args:
            is_wanted: Whether commands wait, to which a commit gives way the sooner.
        """
        if not self._checkpoints.is_writing:
            # It takes the index away, and with it what the copy reads.
            self._eraser.step()
        more = self._relink.step(self._engines, is_wanted)
        self._follow_engines()
        if not more:
            more = self._loads.step(self._deciding, is_wanted)
        if self._checkpoints.is_writing or not more:
            self._checkpoints.step(self._journal.last_seq)
        return more

    def close(self) -> None:
        """Leave a synced index with the clean-shutdown mark."""
        self._eraser.close()
        self._relink.close()
        # First, because a copy may take longer than a shutdown waits, or fail.
        leave_clean(self._directory, self._index)
        try:
            self._checkpoints.close()
        finally:
            self._index.close()
            self._journal.close()

    def _execute_or_split(self, commands: Sequence[Write]) -> list[Answer]:
        """Carry out writes together, or one by one when one of them breaks: it must not take the others along."""
        if not commands:
            return []
        try:
            return self._execute_group(commands)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, it belongs to one command alone)
            if len(commands) == 1:
                return [_refusal(commands[0], error)]
        return [answer for command in commands for answer in self._execute_or_split([command])]

    def _steer_run(self, command: StartRelink | CommitRelink | CancelRelink) -> Answer:
        """Start, commit or cancel a re-linkage: outside of a group, because it writes transactions of its own."""
        request, method = command.request, type(command).__name__
        guard = (request.cause.actor, method, request.request_id)
        try:
            known = self._first_answer(guard, request)
            if known is not None:
                return RunAnswer(_run_ids.decode(known.response), known.seq)
            match command:
                case StartRelink():
                    run_id = self._relink.start(command)
                case CommitRelink():
                    run_id = command.run_id
                    self._relink.commit(command)
                case _:
                    run_id = command.run_id
                    self._relink.cancel(run_id, request.cause)
            if request.request_id:
                batch = self._journal.begin(_now_us())
                batch.answer(*guard, self._journal.fingerprint(request.content_hash), msgspec.msgpack.encode(run_id))
                self._journal.commit(batch)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (no plan that breaks may end the writer)
            return _refusal(command, error)
        self._follow_engines()
        return RunAnswer(run_id, self._journal.last_seq)

    def _activate(self, command: SwitchModel | SwitchRules | SwitchConfiguration) -> Answer:
        """Put a model or registries in force, for the commands behind it, or rules of survivorship."""
        request = command.request
        guard = (request.cause.actor, type(command).__name__, request.request_id)
        try:
            known = self._first_answer(guard, request)
            if known is not None:
                return msgspec.structs.replace(_switch_answers.decode(known.response), is_repeated=True)
            if isinstance(command, SwitchModel):
                self._relink.require_no_commit()
            with self._transaction({}) as group:
                answer = SwitchAnswer(self._switched(group, command), group.last_seq)
                if request.request_id:
                    content = self._journal.fingerprint(request.content_hash)
                    group.batch.answer(*guard, content, msgspec.msgpack.encode(answer))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (no model that breaks may end the writer)
            return _refusal(command, error)
        self._take_engines()
        if isinstance(command, SwitchConfiguration):
            with self._index.read() as view:
                self._configuration = configuration_in_force(view, self._journal)
            self._desk = Desk(self._journal, self._index, self._configuration)
        return answer

    def _switched(self, group: Group, command: SwitchModel | SwitchRules | SwitchConfiguration) -> str:
        if isinstance(command, SwitchModel):
            return activate(group, self._journal, command)
        if isinstance(command, SwitchConfiguration):
            return activate_configuration(group, self._journal, self._configuration, command)
        return activate_rules(group, command.request.cause, command.body, self._configuration, command.reason)

    def _steward(self, command: StewardCommand) -> Answer:
        """Carry out a steward's command: in a transaction of its own, because a dry run takes it back."""
        request = command.request
        guard = (request.cause.actor, type(command).__name__, request.request_id)

        try:
            known = self._first_answer(guard, request)
            if known is not None:
                return msgspec.structs.replace(_steward_answers.decode(known.response), is_repeated=True)
            return self._desk.execute(command, self._deciding)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (no act that breaks may end the writer)
            return _refusal(command, error)

    def _follow_engines(self) -> None:
        if self._relink.has_new_engines:
            before = self._engines
            self._take_engines()
            for kind, engine in self._engines.items():
                if engine.epoch_digest != before[kind].epoch_digest:
                    self._population.expect(kind, engine.epoch.population)
            self._relink.has_new_engines = False

    def _take_engines(self) -> None:
        with self._index.read() as view:
            self._engines = active_engines(view, self._journal.artefact)

    def _execute_group(self, commands: Sequence[Write]) -> list[Answer]:
        with self._transaction(dict(self._engines)) as group:
            answers = [self._answer_one(group, command) for command in commands]
            uncounted = self._loads.note_progress(group, commands, answers)
        self._loads.uncounted = uncounted
        self._engines = group.engines
        self._population.note(group)
        return answers

    def _answer_one(self, group: Group, command: Write) -> Answer:
        self._population.follow(group, SYSTEM)
        drafted = len(group.drafts)
        try:
            return self._execute_one(group, command)
        except StoreError:
            raise
        except MdmError as error:
            if len(group.drafts) > drafted:
                # Half a write stands in the group: only taking the whole group back gets rid of it.
                raise
            return Refusal.of(error)

    def _erase_once(self, group: Group, command: Erase) -> EraseAnswer:
        request = command.request
        guard = (request.cause.actor, type(command).__name__, request.request_id)
        known = self._first_answer(guard, request, group)
        if known is not None:
            return msgspec.structs.replace(_erase_answers.decode(known.response), is_repeated=True)
        answer = erase(group, command)
        if request.request_id:
            content = self._journal.fingerprint(request.content_hash)
            group.batch.answer(*guard, content, msgspec.msgpack.encode(answer))
        return answer

    def _revert_once(self, group: Group, command: RevertLoad) -> LoadAnswer:
        request = command.request
        guard = (request.cause.actor, type(command).__name__, request.request_id)
        known = self._first_answer(guard, request, group)
        if known is not None:
            return _load_answers.decode(known.response)
        answer = self._loads.revert(group, command, self._configuration)
        if request.request_id:
            content = self._journal.fingerprint(request.content_hash)
            group.batch.answer(*guard, content, msgspec.msgpack.encode(answer))
        return answer

    def _execute_one(self, group: Group, command: Write) -> Answer:
        match command:
            case Upsert() | Delete():
                return self._write_once(group, command)
            case Erase():
                return self._erase_once(group, command)
            case BeginLoad():
                return self._loads.begin(group, command)
            case FinishLoad():
                return self._loads.finish(group, command, self._configuration)
            case RevertLoad():
                return self._revert_once(group, command)

    def _write_once(self, group: Group, command: Upsert | Delete) -> WriteAnswer:
        key = command.record.key if isinstance(command, Upsert) else command.key
        self._configuration.check(key.registry, key.kind)
        key.checked()
        request, method = command.request, type(command).__name__
        guard = (request.cause.actor, method, request.request_id)
        known = self._first_answer(guard, request, group)
        if known is not None:
            answer = _answers.decode(known.response)
            return msgspec.structs.replace(answer, is_repeated=True, ordinal=command.ordinal)
        answer = use_case.upsert(group, command) if isinstance(command, Upsert) else use_case.delete(group, command)
        answer = msgspec.structs.replace(answer, seq=group.last_seq, ordinal=command.ordinal)
        if request.request_id:
            response = msgspec.msgpack.encode(answer)
            group.batch.answer(*guard, self._journal.fingerprint(request.content_hash), response)
        return answer

    def _first_answer(
        self, guard: tuple[str, str, str], request: Request, group: Group | None = None
    ) -> StoredAnswer | None:
        """Return the answer that this request id got before.

        Raises:
            RequestIdReusedError: It came with other content.
        """
        if not request.request_id:
            return None
        known = (group.batch.answers.get(guard) if group else None) or self._journal.answer(*guard)
        if known is not None and known.content_hash != self._journal.fingerprint(request.content_hash):
            raise RequestIdReusedError("request_id came before with other content")
        return known

    def _activate_defaults(self, group: Group, named: Configuration | None) -> None:
        """Journal the configuration when a start brings another, and shipped rules and models where there are none."""
        start_configuration(group, self._journal, SYSTEM, named)
        activate_shipped_rules(group, SYSTEM)
        for kind in EntityKind:
            if usable_model(group.index, kind, self._journal.artefact) is None:
                engine = default_engine(kind)
                model = group.batch.put_artefact("model", engine.model.to_bytes())
                group.add(SYSTEM, ev.ModelActivated(kind, model))
                epoch = group.batch.put_artefact("epoch", engine.epoch.to_bytes())
                group.add(SYSTEM, ev.EpochActivated(kind, epoch))

    def _commit(self, group: Group) -> None:
        if group.drafts or group.batch.answers:
            self._journal.commit(group.batch)


def _refusal(command: Command, error: Exception) -> Refusal:
    if isinstance(error, MdmError):
        return Refusal.of(error)
    # The text of a foreign error may quote values; its class does not.
    _log.error("command_failed", command=type(command).__name__, error=type(error).__name__)
    return Refusal("MdmError", ())


def _now_us() -> int:
    return time.time_ns() // 1000
