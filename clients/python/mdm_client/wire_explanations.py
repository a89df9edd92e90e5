"""Calls and messages of explanations and histories."""

from __future__ import annotations

from datetime import UTC, datetime

from mdm.v1 import common_pb2, explain_service_pb2, golden_record_service_pb2
from mdm_client import explanation_results as results
from mdm_client import wire
from mdm_client.calls import Call
from mdm_client.records import SourceKey
from mdm_client.wire_models import PAIR_BAND

_JUDGEMENT = wire.EnumWire(results.PairJudgement, explain_service_pb2.PairJudgement, "PAIR_JUDGEMENT")
_GROUND = wire.EnumWire(results.HistoryGround, golden_record_service_pb2.HistoryGround, "HISTORY_GROUND")
_OBSTACLE = wire.EnumWire(results.ObstacleKind, explain_service_pb2.ObstacleKind, "OBSTACLE_KIND")


def why(left: results.Subject, right: results.Subject, fresh: str) -> Call[results.PairExplanation]:
    """Compare two records."""
    request = explain_service_pb2.WhyRecordsRequest(
        left=_subject(left), right=_subject(right), at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: explain_service_pb2.WhyRecordsResponse) -> results.PairExplanation:
        return _pair(answer.pair, answer.read_at.value)

    return Call("ExplainService", "WhyRecords", request, decode)


def why_not(left: results.Subject, right: results.Subject, fresh: str) -> Call[results.WhyNot]:
    """Ask what keeps two records apart."""
    request = explain_service_pb2.WhyNotRequest(
        left=_subject(left), right=_subject(right), at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: explain_service_pb2.WhyNotResponse) -> results.WhyNot:
        obstacles = tuple(
            results.Obstacle(
                _OBSTACLE.from_wire(item.kind),
                item.detail,
                item.missing_bits,
                tuple(wire.key_from_wire(key) for key in item.keys),
                tuple(item.rival_golden_ids),
                _sentence(item.sentence),
            )
            for item in answer.obstacles
        )
        enough = tuple(results.EnoughEvidence(item.name, _sentence(item.sentence)) for item in answer.enough)
        return results.WhyNot(_pair(answer.pair, answer.read_at.value), obstacles, enough, answer.read_at.value)

    return Call("ExplainService", "WhyNot", request, decode)


def how(golden_id: str, fresh: str) -> Call[results.HowGoldenRecord]:
    """Ask what holds a golden record together."""
    request = explain_service_pb2.HowGoldenRecordRequest(
        golden_id=golden_id, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: explain_service_pb2.HowGoldenRecordResponse) -> results.HowGoldenRecord:
        return results.HowGoldenRecord(
            requested_golden_id=answer.requested_golden_id,
            golden_id=answer.golden_id,
            status=wire.GOLDEN_ID_STATUS.from_wire(answer.status),
            members=tuple(_record(item) for item in answer.members),
            erased_member_count=answer.erased_member_count,
            edges=tuple(_edge(item) for item in answer.edges),
            weakest_edge=_edge(answer.weakest_edge) if answer.HasField("weakest_edge") else None,
            part_count=answer.part_count,
            bridges=tuple(
                results.BridgeRecord(
                    wire.key_from_wire(item.key),
                    tuple(
                        results.RecordPart(tuple(wire.key_from_wire(key) for key in part.keys), part.record_count)
                        for part in item.parts
                    ),
                )
                for item in answer.bridges
            ),
            bridge_count=answer.bridge_count,
            model_digest=answer.model_digest,
            epoch_digest=answer.epoch_digest,
            steps=tuple(_entry(item) for item in answer.steps),
            read_at=answer.read_at.value,
        )

    return Call("ExplainService", "HowGoldenRecord", request, decode)


def history(golden_id: str, page_size: int, page_token: str, fresh: str) -> Call[results.HistoryPage]:
    """Ask what happened to a golden ID."""
    request = golden_record_service_pb2.GetHistoryRequest(
        golden_id=golden_id,
        page_size=page_size,
        page_token=page_token,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: golden_record_service_pb2.GetHistoryResponse) -> results.HistoryPage:
        return results.HistoryPage(
            answer.requested_golden_id,
            answer.golden_id,
            wire.GOLDEN_ID_STATUS.from_wire(answer.status),
            tuple(_entry(item) for item in answer.entries),
            answer.next_page_token,
            answer.read_at.value,
        )

    return Call("GoldenRecordService", "GetHistory", request, decode)


def golden_record_at(golden_id: str, moment: str | datetime, fresh: str) -> Call[results.PastGoldenRecord]:
    """Read a golden record as it was.

    Raises:
        ValueError: A time without a zone could mean any hour.
    """
    request = golden_record_service_pb2.GetGoldenRecordRequest(
        golden_id=golden_id, at_least_as_fresh=wire.token_to_wire(fresh)
    )
    if isinstance(moment, str):
        request.as_of_position.value = moment
    elif moment.tzinfo is None:
        raise ValueError("the time must have a time zone")
    else:
        request.as_of_time.FromDatetime(moment.astimezone(UTC))

    def decode(answer: golden_record_service_pb2.GetGoldenRecordResponse) -> results.PastGoldenRecord:
        record = wire.golden_record_from_wire(answer.golden_record, answer.read_at.value)
        return results.PastGoldenRecord(record, answer.as_of.value, answer.erased_member_count)

    return Call("GoldenRecordService", "GetGoldenRecord", request, decode)


def _subject(subject: results.Subject) -> explain_service_pb2.RecordOrGoldenId:
    if isinstance(subject, SourceKey):
        return explain_service_pb2.RecordOrGoldenId(key=wire.key_to_wire(subject))
    return explain_service_pb2.RecordOrGoldenId(golden_id=subject)


def _pair(message: explain_service_pb2.PairExplanation, read_at: str) -> results.PairExplanation:
    return results.PairExplanation(
        left=_record(message.left),
        right=_record(message.right),
        are_one=message.are_one,
        are_compared=message.are_compared,
        starting_weight_bits=message.starting_weight_bits,
        comparisons=tuple(_comparison(item) for item in message.comparisons),
        match_weight_bits=message.match_weight_bits,
        match_probability=message.match_probability,
        band=PAIR_BAND.from_wire(message.band),
        link_threshold_bits=message.link_threshold_bits,
        review_threshold_bits=message.review_threshold_bits,
        lead_bits=message.lead_bits,
        expected_strangers=message.expected_strangers if message.HasField("expected_strangers") else None,
        expected_strangers_max=message.expected_strangers_max,
        starting_sentence=_sentence(message.starting_sentence),
        summary=_sentence(message.summary),
        rulings=tuple(results.Ruling(item.rule, item.name, _sentence(item.sentence)) for item in message.rulings),
        judgement=_JUDGEMENT.from_wire(message.judgement),
        judged=_entry(message.judged) if message.HasField("judged") else None,
        question=_question(message.question) if message.HasField("question") else None,
        shared_blocks=tuple(
            results.SharedBlock(item.rule, item.holder_count, item.is_truncated, _sentence(item.sentence))
            for item in message.shared_blocks
        ),
        model_digest=message.model_digest,
        epoch_digest=message.epoch_digest,
        decision=_entry(message.decision) if message.HasField("decision") else None,
        was_decided_otherwise=message.was_decided_otherwise,
        read_at=read_at,
    )


def _comparison(message: explain_service_pb2.ExplainedComparison) -> results.ExplainedComparison:
    return results.ExplainedComparison(
        comparison=message.comparison,
        level=message.level,
        agreement=wire.AGREEMENT.from_wire(message.agreement),
        match_weight_bits=message.match_weight_bits,
        level_bits=message.level_bits,
        term_frequency_bits=message.term_frequency_bits,
        left_values=tuple(message.left_values),
        right_values=tuple(message.right_values),
        left_written_values=tuple(message.left_written_values),
        right_written_values=tuple(message.right_written_values),
        sentence=_sentence(message.sentence),
    )


def _question(message: explain_service_pb2.OpenQuestion) -> results.OpenQuestion:
    return results.OpenQuestion(
        message.reason,
        message.detail,
        message.match_weight_bits,
        message.opened_at.value,
        _sentence(message.sentence),
    )


def _record(message: explain_service_pb2.ExplainedRecord) -> results.ExplainedRecord:
    return results.ExplainedRecord(
        wire.key_from_wire(message.key) if message.HasField("key") else None,
        wire.RECORD_STATUS.from_wire(message.status),
        message.golden_id,
        message.updated_at,
    )


def _entry(message: golden_record_service_pb2.HistoryEntry) -> results.HistoryEntry:
    return results.HistoryEntry(
        position=message.position.value,
        happened_at=message.happened_at.ToDatetime(UTC),
        type=wire.CHANGE_TYPE.from_wire(message.type),
        other_golden_id=message.other_golden_id,
        keys=tuple(wire.key_from_wire(key) for key in message.keys),
        record_count=message.record_count,
        partner=wire.key_from_wire(message.partner) if message.HasField("partner") else None,
        match_weight_bits=message.match_weight_bits if message.HasField("match_weight_bits") else None,
        ground=_GROUND.from_wire(message.ground),
        detail=message.detail,
        run_id=message.run_id,
        actor=message.actor,
        purpose=message.purpose,
        method=message.method,
        load_id=message.load_id,
        model_digest=message.model_digest,
        epoch_digest=message.epoch_digest,
        sentence=_sentence(message.sentence),
        reason=message.reason,
        authenticated=message.authenticated,
    )


def _edge(message: explain_service_pb2.EvidenceEdge) -> results.EvidenceEdge:
    return results.EvidenceEdge(
        wire.key_from_wire(message.left),
        wire.key_from_wire(message.right),
        message.match_weight_bits,
        PAIR_BAND.from_wire(message.band),
        _JUDGEMENT.from_wire(message.judgement),
        message.detail,
        _sentence(message.sentence),
    )


def _sentence(message: common_pb2.Sentence) -> results.Sentence:
    return results.Sentence(message.vi, message.en)
