"""A load as a reader sends it to the writer: claimed, then in groups."""

from __future__ import annotations

from concurrent.futures import Future

from mdm.domain.events import Cause
from mdm.resolve.commands import BeginLoad, Command, Request, Upsert
from mdm.server import frames
from mdm.server.wire_records import source_record
from mdm.server.writer_link import WriterLink, answers_of, wait_for
from tests.server.records import citizen

ANSWER_S_MAX = 30.0


def claimed(link: WriterLink, name: str) -> tuple[frames.Claim, int]:
    """Claim a load; return the claim and the load's last durable ordinal."""
    claim, begun = link.claim_load(BeginLoad(Request(Cause()), name, "hospital.patients"))
    assert begun.load_id == name
    return claim, begun.ordinal


def group(load_id: str, first: int) -> list[Command]:
    """Return four patients of a load."""
    return [
        Upsert(
            Request(Cause(load_id=load_id)),
            source_record(citizen(f"{load_id}-{ordinal}", f"Đỗ Văn {ordinal}", personal_id=f"079090{ordinal:06}")),
            ordinal=ordinal,
        )
        for ordinal in range(first, first + 4)
    ]


def count_of(sent: Future[frames.Reply]) -> int:
    """Return how many answers came."""
    return len(answers_of(wait_for(sent, ANSWER_S_MAX)))
