"""Histories of golden IDs as wire messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from mdm.domain.keys import RecordNumber, SourceKey
from mdm.limits import HISTORY_RECORDS_SHOWN_MAX
from mdm.resolve.explain.explainer import History
from mdm.resolve.explain.history import Ground, HistoryEntry
from mdm.resolve.explain.phrases import Sentence
from mdm.server.page_tokens import page_token
from mdm.server.wire_answers import CHANGES, GOLDEN_STATES
from mdm.server.wire_records import key_message, numbers_of
from mdm.store.journal import JournalReader
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as wire

HISTORY = "history"
"""Names the list in page tokens."""

Token = Callable[[int], common.JournalToken]
"""Gives the wire form of a position."""

Keys = dict[RecordNumber, SourceKey]
"""Source keys by number; an erased record has none."""

_GROUNDS = numbers_of(dict(wire.HistoryGround.items()), "HISTORY_GROUND", Ground)


def sentence_message(sentence: Sentence) -> common.Sentence:
    """Return a sentence in both languages."""
    return common.Sentence(vi=sentence.vi, en=sentence.en)


def key_messages(numbers: Iterable[RecordNumber], keys: Keys) -> list[common.SourceKey]:
    """Return the keys of records that were not erased."""
    return [key_message(keys[number]) for number in numbers if number in keys]


def history_message(found: History, token: Token, journal: JournalReader) -> wire.GetHistoryResponse:
    """Return a page of a golden ID's history."""
    return wire.GetHistoryResponse(
        requested_golden_id=found.requested,
        golden_id=found.golden_id or "",
        status=GOLDEN_STATES[found.state],
        entries=[entry_message(each, found.keys, token) for each in found.entries],
        next_page_token=page_token(HISTORY, journal, *found.following) if found.following else "",
        read_at=token(found.read_seq),
    )


def entry_message(entry: HistoryEntry, keys: Keys, token: Token) -> wire.HistoryEntry:
    """Return one thing that happened."""
    happened_at = Timestamp()
    happened_at.FromMicroseconds(entry.at_us)
    cause = entry.cause
    return wire.HistoryEntry(
        position=token(entry.position.seq),
        happened_at=happened_at,
        type=CHANGES[entry.kind],
        other_golden_id=entry.other or "",
        keys=key_messages(entry.numbers[:HISTORY_RECORDS_SHOWN_MAX], keys),
        record_count=len(entry.numbers),
        partner=key_message(keys[entry.partner]) if entry.partner in keys else None,
        match_weight_bits=entry.match_weight_bits,
        ground=wire.HistoryGround.ValueType(_GROUNDS[entry.ground]),
        detail=entry.detail,
        run_id=entry.run_id,
        actor=cause.actor,
        purpose=cause.purpose,
        method=cause.method,
        load_id=cause.load_id,
        model_digest=cause.model,
        epoch_digest=cause.epoch,
        sentence=sentence_message(entry.sentence),
        reason=entry.reason,
        authenticated=cause.authenticated,
    )
