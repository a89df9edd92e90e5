"""What the writer executes for a load has no gap, whatever became of the messages before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing

import pytest

from mdm.domain.events import Cause
from mdm.errors import WriterUnavailableError
from mdm.resolve.commands import BeginLoad, Command, Request, Upsert
from mdm.server import frames
from mdm.server.wire_records import source_record
from mdm.server.writer_link import WriterLink, answers_of, wait_for
from tests.server.records import citizen
from tests.serving import RunningServer, running_server

ANSWER_S_MAX = 30.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("claims") / "data") as running:
        yield running


@pytest.fixture
def link(served: RunningServer) -> Iterator[WriterLink]:
    with closing(WriterLink(served.data)) as opened:
        yield opened


def claimed(link: WriterLink, name: str) -> tuple[frames.Claim, int]:
    claim, begun = link.claim_load(BeginLoad(Request(Cause()), name, "hospital.patients"))
    assert begun.load_id == name
    return claim, begun.ordinal


def group(load_id: str, first: int) -> list[Command]:
    return [
        Upsert(
            Request(Cause(load_id=load_id)),
            source_record(citizen(f"{load_id}-{ordinal}", f"Đỗ Văn {ordinal}", personal_id=f"079090{ordinal:06}")),
            ordinal=ordinal,
        )
        for ordinal in range(first, first + 4)
    ]


def count_of(sent: Future[frames.Reply]) -> int:
    return len(answers_of(wait_for(sent, ANSWER_S_MAX)))


def sent_when_listening(link: WriterLink, commands: list[Command], claim: frames.Claim) -> Future[frames.Reply]:
    until_s = time.monotonic() + ANSWER_S_MAX
    while True:
        try:
            return link.send(commands, claim)
        except WriterUnavailableError:
            assert time.monotonic() < until_s
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
        count_of(sent_when_listening(link, group("lost", 9), claim))
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
