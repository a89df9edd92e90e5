"""How the journal writes an event: what is damaged is told as such, whatever byte it is."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from mdm.domain.events import SCHEMA_VERSION, Cause, Event
from mdm.domain.load_events import LoadFinished
from mdm.store.event_codec import decode_event, encode_body

EVENT = Event(7, 8, SCHEMA_VERSION, Cause(actor="Nguyễn"), LoadFinished("a load"))


def test_an_event_survives_its_bytes() -> None:
    assert decode_event(7, 8, encode_body(EVENT)) == EVENT


@pytest.mark.parametrize("at", range(len(encode_body(EVENT))))
def test_a_damaged_body_is_another_event_or_an_error_of_decoding(at: int) -> None:
    body = bytearray(encode_body(EVENT))
    for bit in range(8):
        body[at] ^= 1 << bit
        with contextlib.suppress(msgspec.MsgspecError):
            assert decode_event(7, 8, bytes(body)) != EVENT
        body[at] ^= 1 << bit
