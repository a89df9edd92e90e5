"""The readers' end of the private socket: many calls at once on one connection, opened anew when the writer returns."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

from mdm.errors import MdmError, ReadOnlyError, StorageNearlyFullError, UnavailableError, WriterUnavailableError
from mdm.limits import WRITER_ANSWER_S_MAX
from mdm.resolve.commands import Accepted, Answer, BeginLoad, Command, LoadAnswer, Refusal
from mdm.server import frames

# A writer that hangs takes nothing in: whoever sends must not wait for its end, and keep all others waiting behind.
_SEND_TIMEOUT_S = 5
_GONE = "the writer is starting or gone; retry with the same request_id"


class DefectError(MdmError):
    """The writer failed on a command in a way that nobody foresaw; its log has the error id."""

    def __init__(self, error_id: str) -> None:
        """Remember under which id the writer logged it."""
        super().__init__("the writer failed")
        self.error_id = error_id


class WriterLink:
    """A connection to the writer. Safe to share between threads.

    A call that fails with WriterUnavailableError after it was sent may still have been committed: only a repetition
    under the same request_id tells.
    """

    def __init__(self, data: Path) -> None:
        """Remember where the writer listens; connects at the first call."""
        self._data = data
        self._lock = threading.Lock()
        self._call_ids = itertools.count(1)
        self._stream: socket.socket | None = None
        self._waiting: dict[int, Future[frames.Reply]] = {}
        self._is_closed = False
        self._absence = ""

    def send(self, commands: Sequence[Command], claim: frames.Claim | None = None) -> Future[frames.Reply]:
        """Send commands without waiting; `answers_of` takes the future's result apart.

        Under a claim, nothing is executed behind a message of the same claim that was lost.

        Raises:
            WriterUnavailableError: No writer listens.
            ReadOnlyError: None will for some time.
        """
        return self._ask(frames.Write(next(self._call_ids), tuple(commands), claim))

    def write(self, command: Command, timeout_s: float = WRITER_ANSWER_S_MAX) -> Accepted:
        """Have one command executed and return its durable answer.

        Raises:
            WriterUnavailableError: No answer came; see the class.
            MdmError: The writer refused the command.
        """
        return accepted(answers_of(wait_for(self.send([command]), timeout_s))[0])

    def claim_load(self, begin: BeginLoad) -> tuple[frames.Claim, LoadAnswer]:
        """Claim a load for one stream and begin it, or go on with it; returns the claim and where it stands.

        Raises:
            WriterUnavailableError: No answer came.
            MdmError: The writer refused it.
        """
        call_id = next(self._call_ids)
        reply = wait_for(self._ask(frames.ClaimLoad(call_id, begin)), WRITER_ANSWER_S_MAX)
        if isinstance(reply, frames.LoadClaimed):
            return frames.Claim(begin.name, call_id), LoadAnswer(reply.load_id, reply.ordinal, 0)
        accepted(answers_of(reply)[0])
        raise DefectError("")

    def release_load(self, claim: frames.Claim) -> None:
        """Let a claim go, so that the load no longer counts as running; a writer that is gone holds none."""
        with contextlib.suppress(WriterUnavailableError):
            self._tell(frames.ReleaseLoad(next(self._call_ids), claim))

    def close(self) -> None:
        """End the connection; later calls fail."""
        with self._lock:
            self._is_closed = True
            stream, self._stream = self._stream, None
        if stream is not None:
            _shut(stream)

    def _ask(self, question: frames.Question) -> Future[frames.Reply]:
        answer: Future[frames.Reply] = Future()
        self._tell(question, answer)
        return answer

    def _tell(self, question: frames.Question, answer: Future[frames.Reply] | None = None) -> None:
        body = frames.encode(question)
        with self._lock:
            stream = self._connected()
            if answer is not None:
                self._waiting[question.call_id] = answer
            try:
                stream.sendall(body)
            except OSError:
                # The receiving thread sees the end too and fails whoever waits.
                _shut(stream)

    def _connected(self) -> socket.socket:
        if self._is_closed:
            raise WriterUnavailableError(_GONE)
        if self._stream is None:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT_S, 0))
            try:
                with frames.socket_path(self._data) as path:
                    stream.connect(path)
            except OSError as error:
                stream.close()
                if self._absence:
                    raise ReadOnlyError(f"only reads are served now; {self._absence}") from error
                raise WriterUnavailableError(_GONE) from error
            self._stream, self._waiting = stream, {}
            threading.Thread(target=_receive, args=(self, stream, self._waiting), daemon=True).start()
        return self._stream

    def state(self, timeout_s: float) -> frames.WriterState | None:
        """Return how the writer stands, None if it does not say so within `timeout_s`."""
        try:
            reply = wait_for(self._ask(frames.StateQuery(next(self._call_ids))), timeout_s)
        except UnavailableError:
            return None
        return reply if isinstance(reply, frames.WriterState) else None

    def note_absence(self, reason: str) -> None:
        """Remember why no writer listens, for those who ask for one; empty for a restart, which takes a moment."""
        self._absence = reason

    def forget(self, stream: socket.socket) -> None:
        """Let the next call connect anew."""
        with self._lock:
            if self._stream is stream:
                self._stream = None


def wait_for(answer: Future[frames.Reply], timeout_s: float) -> frames.Reply:
    """Return the writer's reply.

    Raises:
        WriterUnavailableError: The connection ended, or no reply came within `timeout_s`.
    """
    try:
        return answer.result(timeout_s)
    except FutureTimeoutError as error:
        raise WriterUnavailableError("the writer did not answer in time; retry with the same request_id") from error


def answers_of(reply: frames.Reply) -> tuple[Answer, ...]:
    """Return the answers of a reply to commands.

    Raises:
        DefectError: The whole group failed.
        WriterUnavailableError: Nothing was executed, because the load was claimed anew or its connection ended.
        StorageNearlyFullError: Nothing was executed for want of room.
    """
    match reply:
        case frames.Written(answers=answers):
            return answers
        case frames.Failed(error_id=error_id):
            raise DefectError(error_id)
        case frames.Refused(reason=reason):
            raise StorageNearlyFullError(f"{reason}; writes are taken again when there is room")
        case frames.Superseded():
            raise WriterUnavailableError("the load's stream was interrupted or replaced by another; resume the load")
        case _:
            raise DefectError("")


def accepted(answer: Answer) -> Accepted:
    """Return the answer, or raise the error that it stands for."""
    if isinstance(answer, Refusal):
        raise refused(answer)
    return answer


def refused(refusal: Refusal) -> MdmError:
    """Return the error that the writer raised; one that is not ours is a defect, logged there."""
    return DefectError("") if refusal.error == MdmError.__name__ else refusal.as_error()


def _receive(link: WriterLink, stream: socket.socket, waiting: dict[int, Future[frames.Reply]]) -> None:
    try:
        with contextlib.suppress(OSError):
            for body in frames.frames(stream):
                reply = frames.decode_reply(body)
                answer = waiting.pop(reply.call_id, None)
                if answer is not None:
                    answer.set_result(reply)
    finally:
        # Whoever asks from here on connects anew; whoever asked before gets no answer any more.
        link.forget(stream)
        _shut(stream)
        for answer in list(waiting.values()):
            answer.set_exception(WriterUnavailableError(_GONE))
        waiting.clear()


def _shut(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()
