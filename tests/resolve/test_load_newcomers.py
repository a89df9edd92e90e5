"""Who came while a load hid a record: asked about when the load is taken back, joined by nobody."""

from __future__ import annotations

from mdm.domain import events as ev
from mdm.domain.events import Verdict
from mdm.resolve.commands import WriteOutcome
from tests.resolve.loads import changed, load, revert
from tests.resolve.office import Office, citizen


def test_who_came_while_a_load_hid_the_record_is_asked_about_and_nobody_else(office: Office) -> None:
    one = citizen("A", personal_id="079187000123")
    bystander = citizen("S", "Đặng Hoàng Long", "1969-10-20", sex="M", personal_id="079069001234", phone="")
    office.put_all([one, bystander])
    stranger = changed(citizen("A", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050000777", phone=""))
    same = citizen("R", registry="household", personal_id="079187000123")
    for hidden in (one.key, stranger):
        before = office.crosswalk()
        load_id = load(office, "night", [hidden])
        came = office.put(same)
        assert came.outcome is WriteOutcome.CREATED
        effects = revert(office, load_id)
        assert effects["asked"] == 1
        assert (office.id_of(one), office.id_of(same)) == (before[one.key], came.golden_id)
        assert office.questions() == {("A", "R"): ev.MatchReason.LOAD_REVERT}
        # As when its registry writes it again: the evidence joins what the revert only asked about.
        office.put(citizen("R", registry="household", personal_id="079187000123", phone="0909000111"))
        assert (office.id_of(same), office.questions()) == (before[one.key], {})
        office.drop(same.key)


def test_somebody_whom_a_steward_calls_another_is_not_asked_about(office: Office) -> None:
    one, same = citizen("A", personal_id="079187000123"), citizen("R", registry="household", personal_id="079187000123")
    office.put(one)
    load_id = load(office, "night", [one.key])
    office.put(same)
    office.judge(one.key, same.key, Verdict.DIFFERENT)
    assert "asked" not in revert(office, load_id)
    assert office.questions() == {}
