"""Explanations as wire messages."""

from __future__ import annotations

from mdm.domain.decision import Band
from mdm.domain.events import Verdict
from mdm.limits import PART_RECORDS_SHOWN_MAX
from mdm.resolve.explain.explainer import Subject
from mdm.resolve.explain.growth import BridgeRecord, EvidenceEdge, HowGolden
from mdm.resolve.explain.obstacles import Obstacle, ObstacleKind, WhyNot
from mdm.resolve.explain.pairs import Comparison, PairExplanation, Part, Side, question_sentence
from mdm.server.wire_answers import AGREEMENTS, GOLDEN_STATES
from mdm.server.wire_history import Keys, Token, entry_message, key_messages, sentence_message
from mdm.server.wire_records import key_message, numbers_of, source_key
from mdm.v1 import common_pb2 as common
from mdm.v1 import explain_service_pb2 as wire
from mdm.v1 import model_service_pb2 as model

_BANDS = numbers_of(dict(model.PairBand.items()), "PAIR_BAND", Band)
_JUDGEMENTS = numbers_of(dict(wire.PairJudgement.items()), "PAIR_JUDGEMENT", Verdict)
_OBSTACLES = numbers_of(dict(wire.ObstacleKind.items()), "OBSTACLE_KIND", ObstacleKind)


def subject(message: wire.RecordOrGoldenId) -> Subject:
    """Return whom a request names.

    Raises:
        InvalidSourceKeyError: The key is not well formed.
    """
    return source_key(message.key) if message.WhichOneof("subject") == "key" else message.golden_id


def pair_message(pair: PairExplanation, token: Token) -> wire.PairExplanation:
    """Return an explained pair."""
    thresholds, engine = pair.engine.model.thresholds, pair.engine
    message = wire.PairExplanation(
        left=_record(pair.left),
        right=_record(pair.right),
        are_one=pair.are_one,
        are_compared=pair.comparison is not None,
        link_threshold_bits=thresholds.link_bits,
        review_threshold_bits=thresholds.review_bits,
        lead_bits=thresholds.lead_bits,
        expected_strangers_max=thresholds.coincidence_max,
        rulings=[
            wire.Ruling(rule=each.rule, name=each.name, sentence=sentence_message(each.sentence))
            for each in pair.rulings
        ],
        judgement=_judgement(pair.judgement),
        shared_blocks=[
            wire.SharedBlock(
                rule=each.rule,
                holder_count=each.holder_count,
                is_truncated=each.is_truncated,
                sentence=sentence_message(each.sentence),
            )
            for each in pair.shared_blocks
        ],
        model_digest=engine.model_digest,
        epoch_digest=engine.epoch_digest,
        decision=entry_message(pair.decision, pair.keys, token) if pair.decision else None,
        was_decided_otherwise=pair.was_decided_otherwise,
        judged=entry_message(pair.judged, pair.keys, token) if pair.judged else None,
    )
    if pair.comparison is not None:
        _add_comparison(message, pair.comparison)
    question = pair.question
    if question is not None:
        message.question.CopyFrom(
            wire.OpenQuestion(
                reason=question.reason,
                detail=question.detail,
                match_weight_bits=question.match_weight_bits,
                opened_at=token(question.opened_seq),
                sentence=sentence_message(question_sentence(question.reason, question.detail)),
            )
        )
    return message


def why_not_message(found: WhyNot, keys: Keys, token: Token) -> wire.WhyNotResponse:
    """Return what keeps a pair apart; `keys` hold those of the obstacles' records."""
    return wire.WhyNotResponse(
        pair=pair_message(found.pair, token),
        obstacles=[_obstacle(each, keys) for each in found.obstacles],
        enough=[wire.EnoughEvidence(name=each.name, sentence=sentence_message(each.sentence)) for each in found.enough],
        read_at=token(found.pair.read_seq),
    )


def how_message(found: HowGolden, token: Token) -> wire.HowGoldenRecordResponse:
    """Return what holds a golden record together."""
    keys = {each.number: each.key for each in found.members if each.key is not None}
    edges = [_edge(each, keys) for each in found.edges]
    return wire.HowGoldenRecordResponse(
        requested_golden_id=found.requested,
        golden_id=found.golden_id or "",
        status=GOLDEN_STATES[found.state],
        members=[_record(each) for each in found.members],
        erased_member_count=found.erased_count,
        edges=edges,
        weakest_edge=edges[-1] if edges else None,
        part_count=found.part_count,
        bridges=[_bridge(each, keys) for each in found.bridges],
        bridge_count=found.bridge_count,
        model_digest=found.engine.model_digest,
        epoch_digest=found.engine.epoch_digest,
        read_at=token(found.read_seq),
        steps=[entry_message(each, found.keys, token) for each in found.steps],
    )


def _add_comparison(message: wire.PairExplanation, found: Comparison) -> None:
    message.starting_weight_bits = found.prior_bits
    message.comparisons.extend(_part(each) for each in found.parts)
    message.match_weight_bits = found.match_weight_bits
    message.match_probability = found.match_probability
    message.band = model.PairBand.ValueType(_BANDS[found.band])
    if found.expected_strangers is not None:
        message.expected_strangers = found.expected_strangers
    message.starting_sentence.CopyFrom(sentence_message(found.prior_sentence))
    message.summary.CopyFrom(sentence_message(found.summary))


def _part(part: Part) -> wire.ExplainedComparison:
    return wire.ExplainedComparison(
        comparison=part.comparison,
        level=part.level,
        agreement=AGREEMENTS[part.meaning],
        match_weight_bits=part.bits,
        level_bits=part.level_bits,
        term_frequency_bits=part.term_frequency_bits,
        left_values=part.left_used,
        right_values=part.right_used,
        left_written_values=part.left_written,
        right_written_values=part.right_written,
        sentence=sentence_message(part.sentence),
    )


def _record(side: Side) -> wire.ExplainedRecord:
    return wire.ExplainedRecord(
        key=key_message(side.key) if side.key else None,
        status=common.RecordStatus.ValueType(side.state),
        golden_id=side.golden_id or "",
        updated_at=side.updated_at,
    )


def _judgement(verdict: Verdict | None) -> wire.PairJudgement.ValueType:
    return wire.PairJudgement.ValueType(_JUDGEMENTS[verdict]) if verdict else wire.PAIR_JUDGEMENT_UNSPECIFIED


def _obstacle(obstacle: Obstacle, keys: Keys) -> wire.Obstacle:
    return wire.Obstacle(
        kind=wire.ObstacleKind.ValueType(_OBSTACLES[obstacle.kind]),
        detail=obstacle.detail,
        missing_bits=obstacle.missing_bits,
        keys=key_messages(obstacle.records, keys),
        rival_golden_ids=obstacle.rivals,
        sentence=sentence_message(obstacle.sentence),
    )


def _edge(edge: EvidenceEdge, keys: Keys) -> wire.EvidenceEdge:
    return wire.EvidenceEdge(
        left=key_message(keys[edge.left]),
        right=key_message(keys[edge.right]),
        match_weight_bits=edge.match_weight_bits,
        band=model.PairBand.ValueType(_BANDS[edge.band]),
        judgement=_judgement(edge.judgement),
        detail=edge.detail,
        sentence=sentence_message(edge.sentence),
    )


def _bridge(bridge: BridgeRecord, keys: Keys) -> wire.BridgeRecord:
    return wire.BridgeRecord(
        key=key_message(keys[bridge.number]),
        parts=[
            wire.RecordPart(keys=key_messages(part[:PART_RECORDS_SHOWN_MAX], keys), record_count=len(part))
            for part in bridge.parts
        ],
    )
