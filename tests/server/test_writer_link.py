"""What the writer executes for a load has no gap, whatever became of the messages before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from mdm.domain.events import Cause
from mdm.errors import WriterUnavailableError
from mdm.resolve.commands import Command, Request, Upsert
from mdm.server import frames
from mdm.server.writer_link import WriterLink
from tests.server.claims import ANSWER_S_MAX, claimed, count_of, group
from tests.serving import RunningServer, running_server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("claims") / "data") as running:
        yield running


@pytest.fixture
def link(served: RunningServer) -> Iterator[WriterLink]:
    with closing(WriterLink(served.data)) as opened:
        yield opened


def count_when_listening(link: WriterLink, commands: list[Command], claim: frames.Claim) -> int:
    until_s = time.monotonic() + ANSWER_S_MAX
    while True:
        try:
            return count_of(link.send(commands, claim))
        except WriterUnavailableError as error:
            # One that is being killed may still take a connection.
            if "gone" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(0.05)


@pytest.mark.crash
def test_a_message_behind_one_that_was_lost_with_the_writer_is_not_executed(
    served: RunningServer, link: WriterLink
) -> None:
    claim, ordinal = claimed(link, "lost")
    assert ordinal == 0
    assert count_of(link.send(group("lost", 1), claim)) == 4
    # A writer that stands still has taken nothing of what is sent to it when it is killed.
    os.kill(served.child_pids("writer_process")[0], signal.SIGSTOP)
    lost = link.send(group("lost", 5), claim)
    served.kill("writer_process")
    with pytest.raises(WriterUnavailableError):
        count_of(lost)
    with pytest.raises(WriterUnavailableError, match="resume"):
        count_when_listening(link, group("lost", 9), claim)
    claim, ordinal = claimed(link, "lost")
    assert ordinal == 4
    assert count_of(link.send(group("lost", 5), claim)) == 4
    assert claimed(link, "lost")[1] == 8


def test_a_message_behind_one_that_was_lost_with_its_connection_is_not_executed(link: WriterLink) -> None:
    claim, _ = claimed(link, "cut")
    other = claimed(link, "beside")[0]
    unreadable = Upsert(Request(Cause()), record=None)  # type: ignore[arg-type]
    with pytest.raises(WriterUnavailableError, match="gone"):
        count_of(link.send([unreadable], claim))
    for each in (claim, other):
        with pytest.raises(WriterUnavailableError, match="resume"):
            count_of(link.send(group(each.name, 5), each))
    assert claimed(link, "cut")[1] == 0


def test_a_stream_that_was_replaced_can_no_longer_write_for_its_load(served: RunningServer, link: WriterLink) -> None:
    earlier, _ = claimed(link, "replaced")
    assert count_of(link.send(group("replaced", 1), earlier)) == 4
    with closing(WriterLink(served.data)) as elsewhere:
        later, ordinal = claimed(elsewhere, "replaced")
        assert ordinal == 4
        with pytest.raises(WriterUnavailableError, match="replaced"):
            count_of(link.send(group("replaced", 1), earlier))
        assert count_of(elsewhere.send(group("replaced", 5), later)) == 4


def test_loads_beside_each_other_do_not_disturb_one_another(link: WriterLink) -> None:
    claims = [claimed(link, load_id)[0] for load_id in ("left", "right")]
    sent = [link.send(group(claim.name, first), claim) for first in (1, 5) for claim in claims]
    assert [count_of(each) for each in sent] == [4] * 4
    assert [claimed(link, claim.name)[1] for claim in claims] == [8, 8]


@pytest.mark.crash
def test_whoever_sends_to_a_writer_that_takes_nothing_in_is_told_so_and_holds_up_nobody(
    served: RunningServer, link: WriterLink
) -> None:
    claim, _ = claimed(link, "hung")
    (writer,) = served.child_pids("writer_process")
    os.kill(writer, signal.SIGSTOP)
    begun_s = time.monotonic()
    try:
        first = link.send(group("hung", 1), claim)
        ordinals = iter(range(5, 4_000, 4))
        while not first.done():
            # Until there is more than the socket holds.
            link.send(group("hung", next(ordinals)), claim)
        with pytest.raises(WriterUnavailableError):
            count_of(first)
        assert time.monotonic() - begun_s < ANSWER_S_MAX
    finally:
        os.kill(writer, signal.SIGCONT)
    assert claimed(link, "hung")[1] % 4 == 0
