"""Putting a model in force: who may, what stops it, how it is taken back, and what a re-linkage makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from mdm.domain import events as ev
from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.errors import ConfigurationError, MdmError, ModelRefusedError, UnknownModelError
from mdm.linkage.gates import failures_of_model
from mdm.linkage.model import Model
from mdm.resolve.commands import ClerkChoice, CommitRelink, Request, StartRelink, SwitchAnswer, SwitchModel
from mdm.resolve.engines import engine
from mdm.resolve.model_comparison import ModelComparison, compare_models
from mdm.resolve.models import (
    Activation,
    ModelVersion,
    body_before,
    checked_model,
    model_before,
    model_body,
    model_versions,
)
from mdm.resolve.relink_runs import Phase, PlanReader
from tests.resolve.cities import city_records
from tests.resolve.office import CITIZEN, Office, business, citizen

SHIPPED = Model.default(CITIZEN)


def changed(model: Model = SHIPPED, **thresholds: float) -> Model:
    """The model with other thresholds: another digest, the same weights."""
    return msgspec.structs.replace(model, thresholds=msgspec.structs.replace(model.thresholds, **thresholds))


def with_m(comparison: str, label: str, m: float) -> Model:
    """The shipped model with one m changed."""
    model = Model.from_bytes(SHIPPED.to_bytes())
    for each in model.splink["comparisons"]:
        for level in each["comparison_levels"]:
            if (each["output_column_name"], level["label_for_charts"]) == (comparison, label):
                level["m_probability"] = m
    return model


STRICT, LAX = changed(link_bits=9.0), changed(link_bits=6.0)


def command(model: Model, compared_with: Model, *, reason: str = "", request_id: str = "") -> SwitchModel:
    cause = ev.Cause(actor="operator", purpose="tuning", method="ActivateModel")
    request = Request(cause, request_id, reason.encode())
    return SwitchModel(request, CITIZEN, model.to_bytes(), compared_with.digest, reason)


def activate(office: Office, model: Model, compared_with: Model, **more: str) -> SwitchAnswer:
    (answer,) = office.execute(command(model, compared_with, **more))
    assert isinstance(answer, SwitchAnswer), answer
    return answer


def versions(office: Office) -> list[ModelVersion]:
    with office.writer._index.read() as view:
        return model_versions(view, office.writer._journal, CITIZEN)


def compared(
    office: Office, candidate: Model, base: Model = SHIPPED, *, sample_count: int = 5_000, seed: int = 1
) -> ModelComparison:
    epoch = office.writer._engines[CITIZEN].epoch
    held, other = engine(CITIZEN, base, epoch), engine(CITIZEN, candidate, epoch)
    return compare_models(office.writer._index, held, other, sample_count=sample_count, seed=seed)


def test_what_decides_names_the_model_in_force(office: Office) -> None:
    office.put(citizen("A"))
    answer = activate(office, STRICT, SHIPPED, reason="too many false merges")
    office.put(citizen("B"))
    assert answer.digest == STRICT.digest
    first, last = versions(office)
    assert (first.activation.digest, first.activation.is_pinned, first.activation.cause.actor) == (
        SHIPPED.digest,
        False,
        "service",
    )
    activation = last.activation
    assert (activation.digest, activation.is_pinned, activation.reason) == (
        STRICT.digest,
        True,
        "too many false merges",
    )
    assert (activation.cause.actor, activation.cause.purpose, activation.seq) == ("operator", "tuning", answer.seq)
    assert last.outline.thresholds.link_bits == 9.0
    models = {event.cause.model for event in office.events() if isinstance(event.fact, ev.RecordResolved)}
    assert models == {SHIPPED.digest, STRICT.digest}


def test_a_restart_keeps_the_model(office: Office) -> None:
    activate(office, STRICT, SHIPPED)
    office.kill()
    office.reopen()
    assert office.writer._engines[CITIZEN].model == STRICT


def test_a_repeated_request_activates_once(office: Office) -> None:
    first = activate(office, STRICT, SHIPPED, request_id="one")
    seq = office.seq
    again = activate(office, STRICT, SHIPPED, request_id="one")
    assert (again.digest, again.seq, again.is_repeated, office.seq) == (first.digest, first.seq, True, seq)
    assert office.refused(command(LAX, STRICT, request_id="one", reason="another")) == "RequestIdReusedError"


def test_the_model_in_force_is_activated_only_to_pin_it(office: Office) -> None:
    before = office.seq
    activate(office, SHIPPED, SHIPPED)
    assert office.seq == before + 1, "pinned"
    activate(office, SHIPPED, SHIPPED)
    assert office.seq == before + 1


def test_a_comparison_with_another_model_than_the_one_in_force_is_void(office: Office) -> None:
    activate(office, STRICT, SHIPPED)
    assert office.refused(command(LAX, SHIPPED)) == "ModelOutdatedError"
    assert office.writer._engines[CITIZEN].model == STRICT


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (msgspec.structs.replace(SHIPPED, specification_version=99), ConfigurationError),
        (msgspec.structs.replace(SHIPPED, kind="song"), ConfigurationError),
        (with_m("name", "same", 0.3), ModelRefusedError),
        (with_m("sex", "different", 0.9), ModelRefusedError),
        (with_m("phone", "same", 0.0), ConfigurationError),
    ],
)
def test_a_model_that_cannot_be_right_is_refused(model: Model, error: type[MdmError]) -> None:
    with pytest.raises(error):
        checked_model(model.to_bytes())


def test_the_writer_itself_refuses_a_model_of_another_specification(office: Office) -> None:
    foreign = msgspec.structs.replace(SHIPPED, specification_version=99)
    assert office.refused(command(foreign, SHIPPED)) == "ConfigurationError"


@pytest.mark.parametrize("kind", EntityKind)
def test_the_shipped_models_pass_their_own_gates(kind: EntityKind) -> None:
    assert failures_of_model(Model.default(kind), Model.default(kind)) == {}
    assert checked_model(Model.default(kind).to_bytes())[0] is kind


def history(*steps: str) -> list[Activation]:
    """`A` activates A; `<A` takes the last activation back to A."""
    return [
        Activation(seq, seq, step.removeprefix("<"), ev.Cause(), True, step.startswith("<"), "")
        for seq, step in enumerate(steps, 1)
    ]


@pytest.mark.parametrize(
    ("steps", "unusable", "before"),
    [
        (("A",), "", None),
        (("A", "B"), "", "A"),
        (("A", "B", "C", "<B"), "", "A"),  # A second roll-back goes one step further, not back to C.
        (("A", "B", "C", "<B", "<A"), "", None),
        (("A", "B", "<A", "C"), "", "A"),
        (("A", "B", "A"), "", "B"),
        (("A", "B", "C"), "B", "A"),  # An upgrade in between: B is of another specification.
        (("A", "A"), "", None),  # Pinned, not changed.
        ((), "", None),
    ],
)
def test_each_roll_back_takes_one_activation_more_back(
    steps: tuple[str, ...], unusable: str, before: str | None
) -> None:
    assert model_before(history(*steps), lambda digest: digest not in unusable) == before


def test_a_roll_back_finds_what_was_in_force_before(office: Office) -> None:
    journal = office.writer._journal
    with office.writer._index.read() as view, pytest.raises(UnknownModelError):
        body_before(view, journal, CITIZEN)
    activate(office, STRICT, SHIPPED)
    with office.writer._index.read() as view:
        assert Model.from_bytes(body_before(view, journal, CITIZEN)) == SHIPPED
        with pytest.raises(UnknownModelError):
            model_body(view, journal, "0" * 32)


def start(office: Office, *, is_learning: bool = False) -> str:
    (answer,) = office.execute(StartRelink(Request(office.cause), is_learning=is_learning))
    run_id = str(getattr(answer, "run_id", ""))
    assert office.follow(run_id).phase is Phase.PLANNED
    return run_id


def model_of_plan(office: Office, run_id: str) -> Model:
    plan = PlanReader(office.directory.relinks / run_id / "plan.bin")
    plan.close()
    return Model.from_bytes(plan.header.models["citizen"])


def test_a_relinkage_uses_an_operator_s_model_as_it_is_until_it_is_asked_to_learn(office: Office) -> None:
    office.put(citizen("A"))
    activate(office, STRICT, SHIPPED)
    run_id = start(office)
    assert model_of_plan(office, run_id) == STRICT
    office.execute(CommitRelink(Request(office.cause), run_id))
    assert office.follow(run_id).phase is Phase.COMMITTED
    assert office.writer._engines[CITIZEN].model == STRICT
    assert model_of_plan(office, start(office)) == STRICT, "the pin stands for the next run too"

    run_id = start(office, is_learning=True)
    assert model_of_plan(office, run_id) == SHIPPED, "of one record nothing is learned"
    office.execute(CommitRelink(Request(office.cause), run_id))
    assert office.follow(run_id).phase is Phase.COMMITTED
    assert office.writer._engines[CITIZEN].model == SHIPPED
    activate(office, SHIPPED, SHIPPED)
    run_id = start(office, is_learning=True)
    office.execute(CommitRelink(Request(office.cause), run_id))
    office.follow(run_id)
    with office.writer._index.read() as view:
        assert view.setting("pin:citizen") == "", "asked to learn, a run takes the pin away even if nothing changes"


def test_a_plan_from_before_an_operator_s_choice_is_outdated(office: Office) -> None:
    office.put(citizen("A"))
    run_id = start(office)
    activate(office, STRICT, SHIPPED)
    assert office.refused(CommitRelink(Request(office.cause), run_id)) == "PlanOutdatedError"
    assert office.writer._engines[CITIZEN].model == STRICT


def test_no_model_changes_in_the_midst_of_a_commit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải"]
    office.put_all([citizen(f"P{n}", name, f"19{60 + n}-02-03") for n, name in enumerate(names)], later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.phase is Phase.COMMITTING)
    assert office.refused(command(STRICT, office.writer._engines[CITIZEN].model)) == "RelinkRunningError"
    assert office.follow(state.run_id).phase is Phase.COMMITTED


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("city") / "data")
    office.put_all(list(city_records(300, 5)))
    yield office
    office.close()


def test_a_model_compared_with_itself_changes_nothing(city: Office) -> None:
    found = compared(city, SHIPPED)
    assert found.sampled_count == found.golden_record_count > 200
    assert found.near_pair_count > 100
    assert found.band_change_share == 0.0
    assert (found.merged_count, found.split_count) == (0, 0)
    assert set(found.shift_bits) == {0.0}


def test_a_higher_threshold_turns_links_into_questions_and_splits(city: Office) -> None:
    found = compared(city, changed(link_bits=20.0))
    moved = {(each.before, each.after): each.pair_count for each in found.changes}
    assert moved[Band.LINK, Band.REVIEW] > 0
    assert moved.keys() <= {(Band.LINK, Band.LINK), (Band.LINK, Band.REVIEW), (Band.REVIEW, Band.REVIEW)}
    assert found.band_change_share == moved[Band.LINK, Band.REVIEW] / sum(moved.values())
    assert found.split_count > 0
    assert found.merged_count == 0
    assert set(found.shift_bits) == {0.0}, "weights are the same, only what follows from them is not"


def test_a_lower_threshold_merges(city: Office) -> None:
    strict = changed(link_bits=20.0)
    found = compared(city, SHIPPED, strict)
    assert {(each.before, each.after) for each in found.changes if each.before is not each.after} == {
        (Band.REVIEW, Band.LINK)
    }
    assert found.split_count == 0


def test_changed_weights_show_by_pattern_and_without_values(city: Office) -> None:
    found = compared(city, with_m("sex", "same", 0.9))
    largest = found.patterns[0]
    assert "sex=same" in largest.levels
    assert largest.shift_bits == pytest.approx(-0.1425, abs=0.002)
    assert found.shift_bits[0] == pytest.approx(-0.1425, abs=0.002)
    levels = {f"{each.name}={level.label}" for each in SHIPPED.specification.comparisons for level in each.levels}
    assert all(set(pattern.levels) <= levels for pattern in found.patterns)


def test_a_sample_predicts_the_whole_and_is_the_same_for_the_same_seed(city: Office) -> None:
    strict = changed(link_bits=20.0)
    whole, part = compared(city, strict), compared(city, strict, sample_count=120)
    assert part == compared(city, strict, sample_count=120)
    assert part != compared(city, strict, sample_count=120, seed=2)
    assert part.sampled_count == 120
    assert part.golden_record_count == pytest.approx(whole.golden_record_count, rel=0.25)
    assert part.band_change_share == pytest.approx(whole.band_change_share, rel=0.5)


def test_what_a_steward_judged_is_left_out(office: Office) -> None:
    pair = [citizen("A"), citizen("B")]
    office.put_all(pair)
    assert compared(office, STRICT).pair_count == 1
    office.judge(pair[0].key, pair[1].key, ev.Verdict.SAME)
    assert compared(office, STRICT).pair_count == 0


def test_an_empty_service_is_no_error(office: Office) -> None:
    found = compared(office, STRICT)
    assert (found.golden_record_count, found.pair_count, found.band_change_share) == (0, 0, 0.0)


def test_the_writer_takes_an_activation_back(office: Office) -> None:
    activate(office, STRICT, SHIPPED)
    cause = ev.Cause(actor="operator", method="RollbackModel")
    (answer,) = office.execute(SwitchModel(Request(cause), CITIZEN, b"", STRICT.digest, "worse", is_rollback=True))
    assert isinstance(answer, SwitchAnswer)
    assert answer.digest == SHIPPED.digest
    last = versions(office)[-1].activation
    assert (last.is_rollback, last.is_pinned, last.reason) == (True, True, "worse")
    again = SwitchModel(Request(cause), CITIZEN, b"", SHIPPED.digest, "once more", is_rollback=True)
    assert office.refused(again) == "UnknownModelError"


DECISIONS = (ev.RecordResolved, ev.RecordsRegrouped, ev.PotentialMatchOpened, ev.PotentialMatchClosed, ev.ClerkChose)


def test_every_decision_names_model_and_statistics_that_the_journal_keeps(office: Office) -> None:
    """Each way to a decision: upsert, fragments, a clerk's choice, a delete, a changed bearer, and a re-linkage."""
    doubtful = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all(doubtful)
    shown = office.id_of(doubtful[0])
    assert shown is not None
    office.put(citizen("C", "Nguyễn Thị Thúy", phone="", address=""), choice=ClerkChoice(shown, (shown,)))
    office.put_all([citizen("D", "Lý Quốc Cường", phone=""), citizen("E", "Lý Quốc Cường", address="")])
    office.put(citizen("F", "Lý Quốc Cường"))
    office.put(business("G", "Công ty TNHH Hoa Mai", tax_code="0301234567"))
    office.put(citizen("F", "Vũ Đình Khải", "1961-07-08", sex="M"))
    office.judge(doubtful[0].key, doubtful[1].key, ev.Verdict.SAME)
    office.drop(citizen("D").key)
    activate(office, STRICT, SHIPPED)
    office.put(citizen("H", "Tạ Bích Loan", "1970-01-02"), later=True)
    assert office.relink().phase is Phase.COMMITTED

    decided = [event for event in office.events() if isinstance(event.fact, DECISIONS)]
    seen = {type(event.fact) for event in decided}
    assert seen >= set(DECISIONS) - {ev.PotentialMatchClosed}
    assert "CommitRelink" in {event.cause.method for event in decided}
    journal = office.writer._journal
    for event in decided:
        for digest in (event.cause.model, event.cause.epoch):
            assert digest, event
            assert journal.artefact(digest) is not None, event
    assert {event.cause.model for event in decided if event.cause.method == "CommitRelink"} == {STRICT.digest}
