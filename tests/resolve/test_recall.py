from __future__ import annotations

from mdm.resolve.matcher import features_of
from mdm.resolve.recall import Recall
from tests.resolve.office import CITIZEN, Office, citizen


def test_a_recall_answers_as_its_state_does(office: Office) -> None:
    records = [citizen("A"), citizen("B", "Trần Văn Nam"), citizen("C", "Lê Thị Lan", "1990-01-02")]
    answers = office.put_all(records)
    office.put(citizen("pending"), later=True)
    numbers = [office.number(record.key) for record in (*records, citizen("pending"))]
    with office.writer._index.read() as view:
        seen = Recall(view, CITIZEN)
        for _ in range(2):
            assert [seen.described(number) for number in numbers] == [
                features_of(view, CITIZEN, number) for number in numbers
            ]
            assert [seen.record(number) for number in numbers] == [view.record(number) for number in numbers]
            for answer in answers:
                assert answer.golden_id is not None
                assert seen.golden(answer.golden_id) == view.golden(answer.golden_id)
    assert seen.described(numbers[-1]) is None


def test_equal_features_are_one_object_and_are_scored_once(office: Office) -> None:
    office.put_all([citizen("A"), citizen("B"), citizen("C", phone="0909888777")])
    numbers = [office.number(citizen(name).key) for name in "ABC"]
    with office.writer._index.read() as view:
        seen = Recall(view, CITIZEN)
        same, again, other = (seen.described(number) for number in numbers)
    assert same is again
    assert same != other


def test_a_recall_sees_nothing_that_changes_after_it_looked(office: Office) -> None:
    office.put(citizen("A"))
    number = office.number(citizen("A").key)
    with office.writer._index.read() as view:
        seen = Recall(view, CITIZEN)
        before = seen.described(number)
        office.put(citizen("A", "Trần Văn Nam"))
        assert seen.described(number) is before
    with office.writer._index.read() as view:
        assert Recall(view, CITIZEN).described(number) != before
