"""Two records explained: numbers that are the decision's own, and what stands beside them."""

from __future__ import annotations

import random

import pytest

from mdm.domain import events as ev
from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.errors import InvalidInputError, LimitExceededError, UnknownGoldenIdError, UnknownRecordError
from mdm.linkage.evidence import assess
from mdm.resolve.explain import pairs
from mdm.resolve.explain.pairs import best_pair, explain_pair
from mdm.resolve.matcher import features_of
from mdm.resolve.reading import Reading
from mdm.resolve.views import RecordState
from tests.resolve.cities import city_records
from tests.resolve.explain.explaining import explaining, reading
from tests.resolve.office import Office, business, citizen

ID, OTHER_ID = "079187000123", "079187000456"


def near_and_random_pairs(state: Reading, kind: EntityKind, seed: int) -> list[tuple[RecordNumber, RecordNumber]]:
    """Return pairs of one golden record, pairs that wait for a steward, and random ones."""
    numbers = [number for number, entry in state.view.iter_records() if entry.kind is kind and entry.golden_id]
    chosen = random.Random(seed)
    found = [tuple(chosen.sample(numbers, 2)) for _ in range(300)]
    for _, golden in state.view.iter_goldens():
        if len(golden.members) > 1 and golden.members[0] in numbers:
            found.append(golden.members[:2])
    found += [pair for pair, _ in state.view.iter_potential_matches() if pair[0] in numbers]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("kind", EntityKind)
def test_the_parts_add_up_to_the_weight_that_decides(office: Office, kind: EntityKind) -> None:
    office.put_all(city_records(150, 11))
    with reading(office) as (_, state):
        engine = state.engines[kind]
        bands: set[Band] = set()
        for left, right in near_and_random_pairs(state, kind, 5):
            found = explain_pair(state, left, right).comparison
            one, other = (features_of(state.view, kind, number) for number in (left, right))
            assert found is not None
            assert one is not None
            assert other is not None
            levels, bits = engine.scorer.score(one, [other])[0]
            assert found.match_weight_bits == bits
            assert found.prior_bits + sum(part.bits for part in found.parts) == pytest.approx(bits, abs=1e-9)
            assert [part.bits for part in found.parts] == [
                part.level_bits + part.term_frequency_bits for part in found.parts
            ]
            assert found.band is assess(kind, levels, one, other, bits, engine.model, engine.epoch).band
            assert len(found.parts) == len(engine.scorer.specification.comparisons)
            bands.add(found.band)
    assert bands >= {Band.LINK, Band.NONE}


def test_values_stand_as_used_and_as_written(office: Office) -> None:
    left = citizen("P1", "NGUYỄN THỊ HOA", "05/03/1987", personal_id=ID)
    right = citizen("D1", "Nguyễn Thị Hoa", "1987-03-05", registry="household", personal_id=ID)
    office.put_all([left, right])
    with explaining(office) as explainer:
        found = explainer.why(left.key, right.key)
    assert found.are_one
    assert found.comparison is not None
    birth = next(part for part in found.comparison.parts if part.comparison == "birth")
    assert (birth.left_written, birth.right_written) == (("05/03/1987",), ("1987-03-05",))
    assert birth.left_used == birth.right_used == ("1987-03-05", "1987")
    assert birth.sentence.vi.startswith("Cùng ngày sinh: +")
    assert "personal_id" in {each.rule for each in found.shared_blocks}
    assert (found.rulings, found.judgement, found.judged, found.question) == ((), None, None, None)
    assert found.engine.model_digest == office.engines()["model:citizen"]


def test_a_question_a_lack_and_the_strangers_expected_are_said(office: Office) -> None:
    left = citizen("P1", "Nguyễn Thị Hoa", phone="", address="")
    right = citizen("P2", "Nguyễn Thị Hoa", phone="", address="")
    office.put_all([left, right])
    with explaining(office) as explainer:
        found = explainer.why(left.key, right.key)
    assert found.comparison is not None
    assert (found.comparison.band, found.comparison.lack) == (Band.REVIEW, "name_and_birth_date_only")
    assert found.question is not None
    assert found.question.reason is ev.MatchReason.THIN_EVIDENCE
    assert found.comparison.expected_strangers is not None
    assert found.comparison.expected_strangers > found.engine.model.thresholds.coincidence_max
    assert [(each.rule, each.name) for each in found.rulings] == [("lack", "name_and_birth_date_only")]


def test_a_judgement_and_a_veto_are_said_whatever_the_weight(office: Office) -> None:
    left = citizen("P1", personal_id=ID)
    right = citizen("P2", personal_id=OTHER_ID)
    office.put_all([left, right])
    office.judge(left.key, right.key, ev.Verdict.DIFFERENT)
    with explaining(office) as explainer:
        found = explainer.why(right.key, left.key)
    assert [(each.rule, each.name) for each in found.rulings] == [
        ("judgement", "different"),
        ("veto", "verified_ids_differ"),
    ]
    assert found.judgement is ev.Verdict.DIFFERENT
    assert found.judged is not None
    assert (found.judged.cause.actor, found.judged.numbers) == (
        "steward",
        (office.number(left.key), office.number(right.key)),
    )
    assert not found.are_one


def test_a_pending_record_is_compared_and_a_deleted_one_is_not(office: Office) -> None:
    kept, gone, waiting = citizen("P1", personal_id=ID), citizen("P2"), citizen("P3", personal_id=ID)
    office.put_all([kept, gone])
    office.put(waiting, later=True)
    office.drop(gone.key)
    with explaining(office) as explainer:
        pending = explainer.why(kept.key, waiting.key)
        deleted = explainer.why(kept.key, gone.key)
    assert pending.right.state is RecordState.PENDING
    assert pending.comparison is not None
    assert pending.comparison.band is Band.LINK
    assert pending.shared_blocks == (), "a pending record stands under no key yet"
    assert (deleted.right.state, deleted.right.record, deleted.comparison) == (RecordState.DELETED, None, None)


def test_a_citizen_and_a_business_are_not_compared(office: Office) -> None:
    person, firm = citizen("P1"), business("B1", "Công ty TNHH Minh Anh")
    office.put_all([person, firm])
    with explaining(office) as explainer:
        found = explainer.why(person.key, firm.key)
    assert (found.comparison, [each.name for each in found.rulings]) == (None, ["entity_kind"])


def test_a_golden_id_stands_for_the_member_that_speaks_loudest(office: Office) -> None:
    near = citizen("P1", personal_id=ID, insurance="7912345678")
    far = citizen("P2", phone="", address="", insurance="7912345678")
    other = citizen("D1", "Trần Văn Tâm", "1987-03-05", registry="household", personal_id=ID, sex="M")
    office.put_all([near, far, other])
    golden, alone = office.id_of(near), office.id_of(other)
    assert golden is not None
    assert office.id_of(far) == golden != alone
    with explaining(office) as explainer:
        found = explainer.why(other.key, golden.lower().replace("-", ""))
        within = explainer.why(near.key, golden)
        both = explainer.why(golden, alone or "")
    assert {found.left.key, found.right.key} == {other.key, near.key}
    assert (within.left.key, within.right.key) == (near.key, far.key), "the others of its golden record are meant"
    assert (both.left.key, both.right.key) == (near.key, other.key)


def test_what_cannot_be_compared_is_refused_with_the_side(office: Office) -> None:
    one, gone = citizen("P1"), citizen("P2", "Tạ Quốc Bảo", "2001-11-09", phone="", address="")
    office.put_all([one, gone])
    golden, retired = office.id_of(one), office.id_of(gone)
    assert golden is not None
    assert retired is not None
    office.drop(gone.key)
    absent = citizen("NONE").key
    with explaining(office) as explainer:
        with pytest.raises(UnknownRecordError, match="right: no record is stored"):
            explainer.why(one.key, absent)
        with pytest.raises(UnknownGoldenIdError):
            explainer.why(one.key, golden_id(EntityKind.CITIZEN, 0))
        with pytest.raises(InvalidInputError, match=r"left\.golden_id: is retired"):
            explainer.why(retired, one.key)
        for right in (one.key, golden):
            with pytest.raises(InvalidInputError, match="right: must be another record"):
                explainer.why(one.key, right)


def test_two_golden_records_with_too_many_pairs_of_members_are_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [citizen(f"P{place}", personal_id=ID) for place in range(2)]
    office.put_all([*twice, citizen("Q", "Trần Văn Tâm", personal_id=OTHER_ID)])
    numbers = [office.number(record.key) for record in twice]
    with reading(office) as (_, state):
        monkeypatch.setattr(pairs, "MEMBER_PAIRS_COMPARED_MAX", 2)
        assert best_pair(state, numbers, [RecordNumber(3)]) == (numbers[0], 3)
        monkeypatch.setattr(pairs, "MEMBER_PAIRS_COMPARED_MAX", 1)
        with pytest.raises(LimitExceededError, match="2 pairs of members, at most 1 are compared"):
            best_pair(state, numbers, [RecordNumber(3)])
