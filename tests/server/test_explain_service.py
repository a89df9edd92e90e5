"""Explanations and histories over the wire: the answers, what is refused, and that no log learns a name."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from mdm.domain.keys import EntityKind
from mdm.domain.keys import golden_id as golden_id_of
from mdm.limits import PAGE_SIZE_MAX
from mdm.v1 import common_pb2 as common
from mdm.v1 import explain_service_pb2 as explain
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import model_service_pb2 as model
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.explain_service_pb2_grpc import ExplainServiceStub
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, info_of, key, status_of
from tests.serving import RunningServer

DEADLINE_S = 5
NEVER_ISSUED = golden_id_of(EntityKind.CITIZEN, 0)
NAME = "Phùng Ngọc Thiên Kim"
ID, OTHER_ID = "079187004567", "079187007654"


def upsert(channel: grpc.Channel, record: common.SourceRecord) -> registry.UpsertRecordResponse:
    return RegistryServiceStub(channel).UpsertRecord(
        registry.UpsertRecordRequest(record=record, caller=common.Caller(actor="desk-7")), timeout=DEADLINE_S
    )


def named(record_id: str = "", golden_id: str = "") -> explain.RecordOrGoldenId:
    if golden_id:
        return explain.RecordOrGoldenId(golden_id=golden_id)
    return explain.RecordOrGoldenId(key=key(record_id))


def why(channel: grpc.Channel, left: explain.RecordOrGoldenId, right: explain.RecordOrGoldenId) -> object:
    request = explain.WhyRecordsRequest(left=left, right=right)
    return ExplainServiceStub(channel).WhyRecords(request, timeout=DEADLINE_S)


def history(channel: grpc.Channel, golden_id: str, **options: object) -> golden.GetHistoryResponse:
    request = golden.GetHistoryRequest(golden_id=golden_id, **options)  # type: ignore[arg-type]
    return GoldenRecordServiceStub(channel).GetHistory(request, timeout=DEADLINE_S)


def as_of(channel: grpc.Channel, golden_id: str, **moment: object) -> golden.GetGoldenRecordResponse:
    request = golden.GetGoldenRecordRequest(golden_id=golden_id, **moment)  # type: ignore[arg-type]
    return GoldenRecordServiceStub(channel).GetGoldenRecord(request, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def written(channel: grpc.Channel) -> list[registry.UpsertRecordResponse]:
    """Two records of one citizen, an update of the second, and a stranger of the same name and day."""
    return [
        upsert(channel, citizen("X1", NAME, personal_id=ID)),
        upsert(channel, citizen("X2", NAME.upper(), personal_id=ID)),
        upsert(channel, citizen("X2", NAME, personal_id=ID, updated_at="2026-01-01")),
        upsert(channel, citizen("X3", NAME, personal_id=OTHER_ID)),
    ]


def test_a_pair_is_explained_with_its_values_and_words(
    channel: grpc.Channel, written: list[registry.UpsertRecordResponse]
) -> None:
    response = why(channel, named("X1"), named("X2"))
    assert isinstance(response, explain.WhyRecordsResponse)
    pair = response.pair
    assert pair.are_one
    assert pair.are_compared
    assert pair.starting_weight_bits + sum(each.match_weight_bits for each in pair.comparisons) == pytest.approx(
        pair.match_weight_bits, abs=1e-9
    )
    by_name = {each.comparison: each for each in pair.comparisons}
    personal_id = by_name["personal_id"]
    assert list(personal_id.left_written_values) == list(personal_id.right_values) == [ID]
    assert (personal_id.level, personal_id.agreement) == ("same", common.AGREEMENT_AGREES)
    assert personal_id.sentence.vi.startswith("Có chung một số định danh cá nhân: +")
    assert (pair.band, pair.judgement) == (model.PAIR_BAND_LINK, explain.PAIR_JUDGEMENT_UNSPECIFIED)
    assert pair.link_threshold_bits > pair.review_threshold_bits > 0
    assert pair.HasField("expected_strangers")
    assert not pair.HasField("question")
    assert {each.rule for each in pair.shared_blocks} >= {"personal_id", "name_and_year"}
    assert pair.decision.type == common.GOLDEN_ID_CHANGE_TYPE_LINKED
    assert (pair.decision.actor, pair.decision.model_digest) == ("desk-7", pair.model_digest)
    assert pair.left.golden_id == written[0].golden_id
    assert response.read_at.value


def test_obstacles_name_their_records_and_rivals(
    channel: grpc.Channel, written: list[registry.UpsertRecordResponse]
) -> None:
    request = explain.WhyNotRequest(left=named("X3"), right=named(golden_id=written[0].golden_id))
    response = ExplainServiceStub(channel).WhyNot(request, timeout=DEADLINE_S)
    assert not response.pair.are_one
    kinds = [each.kind for each in response.obstacles]
    assert kinds[0] == explain.OBSTACLE_KIND_VETO
    assert explain.OBSTACLE_KIND_MEMBER_VETO in kinds
    veto = response.obstacles[0]
    assert veto.detail == "verified_ids_differ"
    assert "two verified personal IDs differ" in veto.sentence.en
    member_veto = response.obstacles[kinds.index(explain.OBSTACLE_KIND_MEMBER_VETO)]
    assert {each.record_id for each in member_veto.keys} <= {"X1", "X2", "X3"}
    assert [each.name for each in response.enough] == ["steward"]
    request = explain.WhyNotRequest(left=named("X1"), right=named("X2"))
    one = ExplainServiceStub(channel).WhyNot(request, timeout=DEADLINE_S)
    assert (one.pair.are_one, list(one.obstacles), list(one.enough)) == (True, [], [])


def test_a_golden_record_says_how_it_grew_and_what_holds_it(
    channel: grpc.Channel, written: list[registry.UpsertRecordResponse]
) -> None:
    request = explain.HowGoldenRecordRequest(golden_id=written[0].golden_id.lower())
    response = ExplainServiceStub(channel).HowGoldenRecord(request, timeout=DEADLINE_S)
    assert (response.golden_id, response.status) == (written[0].golden_id, common.GOLDEN_ID_STATUS_ACTIVE)
    assert [each.key.record_id for each in response.members] == ["X1", "X2"]
    (edge,) = response.edges
    assert edge == response.weakest_edge
    assert (edge.left.record_id, edge.right.record_id, edge.band) == ("X1", "X2", model.PAIR_BAND_LINK)
    assert [(each.type, [one.record_id for one in each.keys]) for each in response.steps] == [
        (common.GOLDEN_ID_CHANGE_TYPE_CREATED, ["X1"]),
        (common.GOLDEN_ID_CHANGE_TYPE_LINKED, ["X2"]),
    ]
    assert (response.part_count, response.bridge_count, response.erased_member_count) == (1, 0, 0)


def test_a_history_is_paged_by_tokens_that_stay(
    channel: grpc.Channel, written: list[registry.UpsertRecordResponse]
) -> None:
    golden_id = written[0].golden_id
    whole = history(channel, golden_id)
    types = [each.type for each in whole.entries]
    assert types[:3] == [
        common.GOLDEN_ID_CHANGE_TYPE_CREATED,
        common.GOLDEN_ID_CHANGE_TYPE_LINKED,
        common.GOLDEN_ID_CHANGE_TYPE_VALUES_CHANGED,
    ]
    assert whole.entries[2].ground == golden.HISTORY_GROUND_REGISTRY
    assert whole.entries[1].partner.record_id == "X1"
    assert whole.entries[1].happened_at.ToMicroseconds() > 0
    assert whole.next_page_token == ""
    paged: list[golden.HistoryEntry] = []
    token = ""
    while True:
        page = history(channel, golden_id, page_size=1, page_token=token)
        paged += page.entries
        token = page.next_page_token
        if not token:
            break
    assert paged == list(whole.entries)


def test_a_golden_record_is_shown_as_of_a_position_and_a_time(
    channel: grpc.Channel, written: list[registry.UpsertRecordResponse]
) -> None:
    golden_id = written[0].golden_id
    alone = as_of(channel, golden_id, as_of_position=written[0].token)
    assert [each.key.record_id for each in alone.golden_record.members] == ["X1"]
    assert alone.as_of == written[0].token
    before_update = as_of(channel, golden_id, as_of_position=written[1].token).golden_record
    assert [each.updated_at for each in before_update.members] == ["2025-01-01", "2025-01-01"]
    entries = history(channel, golden_id).entries
    at_join = as_of(channel, golden_id, as_of_time=entries[1].happened_at)
    assert len(at_join.golden_record.members) == 2
    now = as_of(channel, golden_id)
    assert not now.HasField("as_of")
    assert [each.updated_at for each in now.golden_record.members] == ["2025-01-01", "2026-01-01"]


Call = Callable[[grpc.Channel, list[registry.UpsertRecordResponse]], object]
REFUSED: list[tuple[str, grpc.StatusCode, str, Call]] = [
    ("RECORD_NOT_FOUND", grpc.StatusCode.NOT_FOUND, "right: ", lambda c, _: why(c, named("X1"), named("NEVER"))),
    (
        "GOLDEN_ID_NOT_FOUND",
        grpc.StatusCode.NOT_FOUND,
        "never issued",
        lambda c, _: why(c, named(golden_id=NEVER_ISSUED), named("X1")),
    ),
    (
        "INVALID_GOLDEN_ID",
        grpc.StatusCode.INVALID_ARGUMENT,
        "right.golden_id: ",
        lambda c, _: why(c, named("X1"), named(golden_id="C-1")),
    ),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        "right: must be",
        lambda c, _: why(c, named("X1"), named("X1")),
    ),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        "left: ",
        lambda c, _: ExplainServiceStub(c).WhyNot(explain.WhyNotRequest(right=named("X1")), timeout=DEADLINE_S),
    ),
    (
        "GOLDEN_ID_NOT_FOUND",
        grpc.StatusCode.NOT_FOUND,
        "never issued",
        lambda c, _: ExplainServiceStub(c).HowGoldenRecord(
            explain.HowGoldenRecordRequest(golden_id=NEVER_ISSUED), timeout=DEADLINE_S
        ),
    ),
    ("GOLDEN_ID_NOT_FOUND", grpc.StatusCode.NOT_FOUND, "never issued", lambda c, _: history(c, NEVER_ISSUED)),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        "page_size: ",
        lambda c, w: history(c, w[0].golden_id, page_size=PAGE_SIZE_MAX + 1),
    ),
    (
        "INVALID_TOKEN",
        grpc.StatusCode.INVALID_ARGUMENT,
        "page_token: ",
        lambda c, w: history(c, w[0].golden_id, page_token="made-up"),  # noqa: S106 – no password
    ),
    (
        "GOLDEN_ID_NOT_YET_ISSUED",
        grpc.StatusCode.NOT_FOUND,
        "issued later than as_of",
        lambda c, w: as_of(c, w[3].golden_id, as_of_position=w[0].token),
    ),
    (
        "INVALID_TOKEN",
        grpc.StatusCode.INVALID_ARGUMENT,
        "as_of_position: ",
        lambda c, w: as_of(c, w[0].golden_id, as_of_position=common.JournalToken(value="made-up")),
    ),
    (
        "INVALID_FIELD",
        grpc.StatusCode.INVALID_ARGUMENT,
        "as_of_time: must not lie in the future",
        lambda c, w: as_of(c, w[0].golden_id, as_of_time={"seconds": 4_000_000_000}),
    ),
]


@pytest.mark.parametrize(
    ("reason", "code", "said", "call"), REFUSED, ids=[f"{i}-{c[0]}" for i, c in enumerate(REFUSED)]
)
def test_what_is_wrong_has_its_reason(
    channel: grpc.Channel,
    written: list[registry.UpsertRecordResponse],
    reason: str,
    code: grpc.StatusCode,
    said: str,
    call: Call,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, written)
    assert (info_of(caught.value).reason, caught.value.code()) == (reason, code)
    assert said in status_of(caught.value).message


def test_no_log_and_no_sentence_learns_a_value(
    channel: grpc.Channel, server: RunningServer, written: list[registry.UpsertRecordResponse]
) -> None:
    response = why(channel, named("X1"), named("X3"))
    assert isinstance(response, explain.WhyRecordsResponse)
    said = [each.sentence for each in response.pair.comparisons]
    said += [each.sentence for each in response.pair.rulings]
    text = server.log() + "".join(each.vi + each.en for each in said)
    assert said
    assert [value for value in (NAME, NAME.upper(), ID, OTHER_ID, "0903123456") if value in text] == []
