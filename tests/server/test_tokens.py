"""Tokens that say where to go on: one that is damaged, forged or of another call is told so, whatever the call."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest

from mdm.server.page_tokens import page_token
from mdm.store.journal import Journal
from mdm.v1 import backup_service_pb2 as backup
from mdm.v1 import change_service_pb2 as change
from mdm.v1 import common_pb2 as common
from mdm.v1 import erasure_service_pb2 as erasure
from mdm.v1 import export_service_pb2 as export
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import load_service_pb2 as load
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import stewardship_service_pb2 as steward
from mdm.v1.backup_service_pb2_grpc import BackupServiceStub
from mdm.v1.change_service_pb2_grpc import ChangeServiceStub
from mdm.v1.erasure_service_pb2_grpc import ErasureServiceStub
from mdm.v1.export_service_pb2_grpc import ExportServiceStub
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.load_service_pb2_grpc import LoadServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.stewardship_service_pb2_grpc import StewardshipServiceStub
from tests.protos.interface import FILES
from tests.server.records import citizen, info_of
from tests.serving import RunningServer

DEADLINE_S = 10
EVENTS_SHA256 = bytes(32)


class Going(NamedTuple):
    """One call that goes on from a token."""

    field: str
    true: str
    """A token that it takes."""
    call: Callable[[str], object]


def position(token: str) -> common.JournalToken:
    return common.JournalToken(value=token)


@pytest.fixture(scope="module")
def goings(server: RunningServer, channel: grpc.Channel) -> dict[str, Going]:
    """Every call that takes such a token, by the name of its request."""
    request = registry.UpsertRecordRequest(record=citizen("TOKENS"))
    written = RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S)
    golden_id, token = written.golden_id, written.token.value
    goldens, stewards = GoldenRecordServiceStub(channel), StewardshipServiceStub(channel)
    erasures, loads = ErasureServiceStub(channel), LoadServiceStub(channel)
    exports, changes, backups = ExportServiceStub(channel), ChangeServiceStub(channel), BackupServiceStub(channel)
    with Journal.open_read_only(server.data / "journal.sqlite") as journal:
        lists: list[tuple[Any, Any, str]] = [
            (goldens.ListMembers, golden.ListMembersRequest(golden_id=golden_id), page_token("members", journal, 0)),
            (
                goldens.ListRelations,
                golden.ListRelationsRequest(golden_id=golden_id),
                page_token("relations", journal, 0, 0, 0, 0),
            ),
            (goldens.GetHistory, golden.GetHistoryRequest(golden_id=golden_id), page_token("history", journal, 0, 0)),
            (
                stewards.ListJudgements,
                steward.ListJudgementsRequest(golden_id=golden_id),
                page_token("judgements", journal, 0, 0),
            ),
            (stewards.ListReviews, steward.ListReviewsRequest(), page_token("reviews0", journal, 0, 0)),
            (erasures.ListErasures, erasure.ListErasuresRequest(), page_token("erasures", journal, 0)),
            (loads.ListLoads, load.ListLoadsRequest(), page_token("loads", journal, 1)),
        ]
    found = {type(asked).__name__: Going("page_token", true, _paged(call, asked)) for call, asked, true in lists}
    tables: list[tuple[Any, Any]] = [
        (exports.ExportCrosswalk, export.ExportCrosswalkRequest),
        (exports.ExportGoldenRecords, export.ExportGoldenRecordsRequest),
        (exports.ExportLineage, export.ExportLineageRequest),
    ]
    for stream, kind in tables:
        # To its end: one that is broken off keeps its place until the service has noticed, and there are two.
        true, *_ = (each.resume_token for each in stream(kind(), timeout=DEADLINE_S))
        found[kind.__name__] = Going("resume_token", true, _resumed(stream, kind))
    found["ChangeServiceWatchRequest"] = Going(
        "after",
        token,
        lambda given: _first(
            changes.Watch(change.ChangeServiceWatchRequest(after=position(given)), timeout=DEADLINE_S)
        ),
    )
    found["GetGoldenRecordRequest"] = Going(
        "as_of_position",
        token,
        lambda given: goldens.GetGoldenRecord(
            golden.GetGoldenRecordRequest(golden_id=golden_id, as_of_position=position(given)), timeout=DEADLINE_S
        ),
    )
    found["BackupBase"] = Going(
        "base.token",
        token,
        lambda given: _first(
            backups.ReadJournal(
                backup.ReadJournalRequest(base=backup.BackupBase(token=position(given), events_sha256=EVENTS_SHA256)),
                timeout=DEADLINE_S,
            )
        ),
    )
    return found


def _paged(call: Any, asked: Any) -> Callable[[str], object]:
    def going(token: str) -> object:
        asked.page_token = token
        return call(asked, timeout=DEADLINE_S)

    return going


def _resumed(stream: Any, kind: Any) -> Callable[[str], object]:
    def going(token: str) -> object:
        # The place of a stream that this client has left is free once the server knows.
        until_s = time.monotonic() + DEADLINE_S
        while True:
            try:
                return _first(stream(kind(resume_token=token), timeout=DEADLINE_S))
            except grpc.RpcError as error:
                if info_of(error).reason != "STREAMS_EXHAUSTED" or time.monotonic() > until_s:
                    raise
            time.sleep(0.01)

    return going


def _first(stream: Any) -> Any:
    try:
        return next(stream)
    finally:
        stream.cancel()


def damaged(true: str) -> Iterator[str]:
    """Yield what a token may become on its way, or by a forger's hand."""
    dice = random.Random(true)
    raw = base64.urlsafe_b64decode(true)
    for _ in range(8):
        flipped = bytearray(raw)
        flipped[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        yield base64.urlsafe_b64encode(flipped).decode()
        yield base64.urlsafe_b64encode(raw[: dice.randrange(1, len(raw))]).decode()
        yield base64.urlsafe_b64encode(dice.randbytes(dice.randrange(1, 60))).decode()
        yield true[: dice.randrange(1, len(true))]
        yield dice.randbytes(20).decode("latin-1")
    yield from (true + "A", true * 2, "?", "=", "é", "\0", "٤", " ", base64.urlsafe_b64encode(b"\x9a" * 40).decode())


def test_every_request_that_names_a_place_is_tried(goings: dict[str, Going]) -> None:
    tokens = {
        message.name
        for file in FILES
        for message in file.message_types_by_name.values()
        for field in message.fields
        if (field.name in {"page_token", "resume_token"} and message.name.endswith("Request"))
        or (
            field.name != "at_least_as_fresh"
            and message.name.endswith(("Request", "Base"))
            and field.message_type is common.JournalToken.DESCRIPTOR
        )
    }
    assert goings.keys() == tokens


def test_a_token_that_was_given_is_taken(goings: dict[str, Going]) -> None:
    for name, going in goings.items():
        try:
            going.call(going.true)
        except grpc.RpcError as error:
            assert (name, info_of(error).reason) == ("BackupBase", "BACKUP_MISMATCH")  # noqa: PT017


def test_any_other_is_an_invalid_argument_that_names_its_field(goings: dict[str, Going]) -> None:
    trues = {going.true for going in goings.values()}
    for name, going in goings.items():
        foreign = trues - {going.true}
        texts = [*foreign, *damaged(going.true)]
        # A process is started for each look at the base of a backup.
        for text in random.Random(1).sample(texts, 5) if name == "BackupBase" else texts:
            if _bytes(text) == _bytes(going.true) or len(text) > 256:
                continue
            with pytest.raises(grpc.RpcError) as caught:
                going.call(text)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (name, text)
            info = info_of(caught.value)
            # One of more characters than a token has breaks the rule of its proto.
            assert (info.reason, info.metadata["field"]) in (
                ("INVALID_TOKEN", going.field),
                ("INVALID_FIELD", f"{going.field}.value"),
            ), (name, text)


def _bytes(text: str) -> bytes | None:
    """Return what a text stands for: the last bits of its last character may say nothing."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        return None
