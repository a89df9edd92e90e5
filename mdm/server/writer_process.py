"""The writer's process: takes commands from the readers over the private socket and commits them in groups.

Threads: one for each connection reads questions into a queue; the main thread executes what has gathered and answers.
So one sync covers all that arrived during the one before.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from mdm import stages
from mdm.config import Configuration
from mdm.errors import (
    ConfigurationError,
    DataDirectoryError,
    FencedError,
    IndexDamagedError,
    MdmError,
    RegistryInUseError,
    StoreError,
)
from mdm.limits import GROUP_COMMIT_RECORDS_MAX, LOADS_CLAIMED_MAX
from mdm.processes import spare_the_collector
from mdm.resolve.commands import Answer, CancelRelink, Command, LoadAnswer
from mdm.resolve.writer import Writer
from mdm.server import disk_space, frames, metrics
from mdm.server.children import (
    BEAT_S,
    EXIT_DISK_FULL,
    EXIT_HOPELESS,
    EXIT_INDEX_DAMAGED,
    beat,
    live_as_child,
    tell_progress,
    tell_ready,
)
from mdm.server.logs import configure_logs, log_failure, logger, new_error_id, places
from mdm.server.options import ChildOptions, decode_child_options
from mdm.server.service_state import Progress, write_failure, write_progress
from mdm.store.data_directory import DataDirectory

_IDLE_S = 0.1
_BACKGROUND_EVERY_S = 0.1
_SEND_TIMEOUT_S = 5
_LOCK_WAIT_S = 30.0
_CONNECTIONS_MAX = 128
_LOG_PROGRESS_S = 5.0


class _Connection:
    """One reader's end. A reader that does not take its answers is dropped; it asks again under its request ids."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.is_open = True
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT_S, 0))

    def send(self, reply: frames.Reply) -> None:
        try:
            self.stream.sendall(frames.encode(reply))
        except OSError:
            self.close()

    def close(self) -> None:
        self.is_open = False
        with contextlib.suppress(OSError):
            self.stream.shutdown(socket.SHUT_RDWR)
        self.stream.close()


_Asked = tuple[_Connection, frames.Task, float]
"""Who asks, what, and since when by `time.perf_counter`."""


class _WriterServer:
    """Serves one open `Writer`. `run` is the only thread that touches it."""

    def __init__(self, writer: Writer, listener: socket.socket, options: ChildOptions) -> None:
        self._writer = writer
        self._options = options
        self._data = options.data
        self._listener = listener
        self._guard = disk_space.WriteGuard(options.data, writer.map_share)
        self._refusal = ""
        self._turned_s = time.monotonic()
        self._beaten_s = 0.0
        # Bounded by the readers' pools: each of their threads waits for what it asked.
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._error_id = ""
        self._held: collections.deque[_Asked] = collections.deque()
        self._claims: collections.OrderedDict[str, tuple[_Connection, int]] = collections.OrderedDict()
        """By a load's name: who may write for it."""
        writer.loads.is_loading = self._is_loading
        self._is_stopping = False

    def stop(self, _signal: int, _frame: object) -> None:
        self._is_stopping = True

    def run(self) -> None:
        """Execute until stopped, then what still waits."""
        threading.Thread(target=self._accept, daemon=True).start()
        background_due_s = 0.0
        is_more_waiting = False
        while True:
            self._turn()
            gathered = self._gather(0.0 if is_more_waiting else _IDLE_S)
            if gathered:
                self._answer(gathered)
            elif self._is_stopping:
                return
            metrics.writer_queue.set(self._asked.qsize())
            is_due = not gathered or time.monotonic() >= background_due_s
            # What goes on in the background needs room too.
            if not self._is_stopping and not self._refusal and is_due:
                is_more_waiting = self._step()
                background_due_s = time.monotonic() + _BACKGROUND_EVERY_S

    def _turn(self) -> None:
        """Note that this thread turns round, and whether there is room to write to."""
        self._turned_s = time.monotonic()
        if self._turned_s - self._beaten_s >= BEAT_S:
            self._beaten_s = self._turned_s
            beat(self._options)
            metrics.publish()
            metrics.checkpoint_failed.set(int(bool(self._writer.checkpoint.failure)))
        refusal = self._guard.refusal()
        if bool(refusal) != bool(self._refusal):
            (logger().critical if refusal else logger().warning)(
                "writes_refused" if refusal else "writes_taken", why=refusal
            )
        self._refusal = refusal
        metrics.writes_refused.set(int(bool(refusal)))

    def _state(self, call_id: int) -> frames.WriterState:
        checkpoint = self._writer.checkpoint
        return frames.WriterState(
            call_id,
            self._asked.qsize(),
            time.monotonic() - self._turned_s,
            self._refusal,
            checkpoint.written_us,
            checkpoint.failure,
        )

    def _step(self) -> bool:
        try:
            return self._writer.background_step(self._is_wanted)
        except Exception as error:  # noqa: BLE001 – whatever it is, a new writer takes up what is on disk
            end_without_answer(error, self._data)

    def _is_wanted(self) -> bool:
        return bool(self._held) or not self._asked.empty()

    def _gather(self, wait_s: float) -> list[_Asked]:
        gathered: list[_Asked] = []
        count = 0
        while True:
            try:
                asked = self._held.popleft() if self._held else self._asked.get(timeout=0 if gathered else wait_s)
            except queue.Empty:
                return gathered
            size = len(asked[1].commands) if isinstance(asked[1], frames.Write) else 0
            if gathered and count + size > GROUP_COMMIT_RECORDS_MAX:
                self._held.append(asked)
                return gathered
            gathered.append(asked)
            count += size

    def _answer(self, gathered: list[_Asked]) -> None:
        commands: list[Command] = []
        held: list[tuple[_Connection, frames.Write | frames.ClaimLoad]] = []
        now_s = time.perf_counter()
        for connection, question, asked_s in gathered:
            stages.note(stages.WRITER_QUEUE, now_s - asked_s)
            if isinstance(question, frames.ReleaseLoad):
                self._release(connection, question.claim)
                continue
            if self._refusal and not _frees_room(question):
                connection.send(frames.Refused(question.call_id, self._refusal))
                if isinstance(question, frames.Write) and question.claim is not None:
                    # What the load has sent behind this must not be executed when there is room again.
                    self._release(connection, question.claim)
                continue
            if isinstance(question, frames.ClaimLoad):
                self._claim(question.begin.name, connection, question.call_id)
                commands.append(question.begin)
            elif not self._may_write(connection, question.claim):
                connection.send(frames.Superseded(question.call_id))
                continue
            else:
                commands.extend(question.commands)
            held.append((connection, question))
        answers = self._execute(commands)
        if answers is None:
            # The streams may have sent more behind what failed; only a new one knows where to go on.
            self._claims.clear()
        position = 0
        for connection, question in held:
            size = len(question.commands) if isinstance(question, frames.Write) else 1
            own = answers[position : position + size] if answers is not None else []
            position += size
            if not own and size:
                connection.send(frames.Failed(question.call_id, self._error_id))
            elif isinstance(question, frames.ClaimLoad) and isinstance(own[0], LoadAnswer):
                connection.send(frames.LoadClaimed(question.call_id, own[0].load_id, own[0].ordinal))
            else:
                connection.send(frames.Written(question.call_id, tuple(own)))

    def _is_loading(self, name: str) -> bool:
        connection, _ = self._claims.get(name, (None, 0))
        return connection is not None and connection.is_open

    def _claim(self, name: str, connection: _Connection, call_id: int) -> None:
        self._claims[name] = (connection, call_id)
        self._claims.move_to_end(name)
        if len(self._claims) > LOADS_CLAIMED_MAX:
            self._claims.popitem(last=False)

    def _release(self, connection: _Connection, claim: frames.Claim) -> None:
        if self._may_write(connection, claim):
            self._claims.pop(claim.name, None)

    def _may_write(self, connection: _Connection, claim: frames.Claim | None) -> bool:
        """Return whether all that was sent under the claim before has been executed.

        A load's progress is its last ordinal: a group executed behind a lost one would pass the lost one off as
        durable, and one that comes late would undo what a newer stream of the load has written.
        """
        return claim is None or self._claims.get(claim.name) == (connection, claim.call_id)

    def _execute(self, commands: list[Command]) -> list[Answer] | None:
        if not commands:
            return []
        started_s = time.perf_counter()
        try:
            answers = self._writer.execute(commands)
        except StoreError as error:
            # Nothing of this group is acknowledged, and nothing after a failed sync may be: end at once, without the
            # clean mark. The supervisor starts a new writer on what is on disk.
            end_without_answer(error, self._data)
        except Exception as error:  # noqa: BLE001 – a defect fails these callers, not the writer of all others
            self._error_id = log_failure("group_failed", error, commands=len(commands))
            return None
        metrics.group_seconds.observe(time.perf_counter() - started_s)
        metrics.group_size.observe(len(commands))
        return answers

    def _accept(self) -> None:
        while True:
            stream, _ = self._listener.accept()
            threading.Thread(target=self._read, args=(_Connection(stream),), daemon=True).start()

    def _read(self, connection: _Connection) -> None:
        try:
            for body in frames.frames(connection.stream):
                question = frames.decode_question(body)
                if isinstance(question, frames.StateQuery):
                    # By this thread, so that it is known what the main one is at.
                    connection.send(self._state(question.call_id))
                else:
                    self._asked.put((connection, question, time.perf_counter()))
            connection.is_open = False
        except OSError:
            connection.close()
        except Exception as error:  # noqa: BLE001 – a frame that cannot be read ends its connection alone
            log_failure("frame_unreadable", error)
            connection.close()


def _frees_room(question: frames.Task) -> bool:
    """Return whether a question is carried out where there is no room: giving up a re-linkage gives its files back."""
    return isinstance(question, frames.Write) and all(isinstance(each, CancelRelink) for each in question.commands)


def end_without_answer(error: Exception, data: Path) -> NoReturn:
    """End this process now, as a crash would, because the state on disk can no longer be trusted to this one."""
    is_full = disk_space.is_cause_of(error, data)
    match error:
        case FencedError():
            event = "fenced"
        case StoreError():
            event = "store_failed"
        case _:
            event = "store_failed" if is_full else "background_failed"
    cause = "disk full" if is_full else disk_space.cause_of(error)
    write_failure(data, f"{event}, {cause}")
    logger().critical(
        event,
        cause=cause,
        error_type=type(error).__name__,
        places=places(error),
        error_id=new_error_id(),
    )
    sys.stderr.flush()
    status = EXIT_INDEX_DAMAGED if isinstance(error, IndexDamagedError) else 1
    os._exit(EXIT_DISK_FULL if is_full else status)


def main(text: str) -> None:
    """Serve as the writer until SIGTERM; then leave the clean mark."""
    options = decode_child_options(text)
    live_as_child(options)
    configure_logs(options.name)
    with contextlib.closing(_listen(options)) as listener:
        writer = _open(options)
        server = _WriterServer(writer, listener, options)
        signal.signal(signal.SIGTERM, server.stop)
        spare_the_collector()
        tell_ready(options)
        server.run()
        writer.close()
        logger().info("writer_closed")


def _open(options: ChildOptions) -> Writer:
    try:
        disk_space.require(options.data)
        named = Configuration.load(options.registries) if options.registries else None
        return Writer.open(DataDirectory.open(options.data), named, _Progress(options))
    except (MdmError, OSError) as error:
        is_full = disk_space.is_cause_of(error, options.data)
        cause = "disk full" if is_full else disk_space.cause_of(error)
        write_failure(options.data, f"start_failed, {cause}")
        logger().critical(
            "start_failed",
            cause=cause,
            # Our own texts name files, versions and rules, never a value.
            text=str(error) if isinstance(error, MdmError) else "",
        )
        sys.stderr.flush()
        status = EXIT_HOPELESS if isinstance(error, DataDirectoryError | ConfigurationError | RegistryInUseError) else 1
        status = EXIT_INDEX_DAMAGED if isinstance(error, IndexDamagedError) else status
        sys.exit(EXIT_DISK_FULL if is_full else status)
    finally:
        write_progress(options.data, None)


class _Progress:
    """Says how far a start has come, in the log and to whoever asks the readers."""

    def __init__(self, options: ChildOptions) -> None:
        self._options = options
        self._said_s = self._logged_s = 0.0

    def __call__(self, stage: str, done: int, whole: int) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= BEAT_S:
            self._said_s = now_s
            write_progress(self._options.data, Progress(stage, done, whole))
            tell_progress(self._options)
        if now_s - self._logged_s >= _LOG_PROGRESS_S:
            self._logged_s = now_s
            logger().info("index_building", stage=stage, done=done, whole=whole)


def _listen(options: ChildOptions) -> socket.socket:
    run = options.data / frames.RUN_DIRECTORY
    _take_writer_lock(run / "writer.lock")
    (run / frames.SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with frames.socket_path(options.data) as path:
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
    listener.listen(_CONNECTIONS_MAX)
    return listener


def _take_writer_lock(path: Path) -> int:
    # A supervisor that was killed lets go of the directory a moment before its writer is gone.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)
        else:
            return descriptor
