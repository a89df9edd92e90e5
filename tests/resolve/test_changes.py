from __future__ import annotations

from mdm.domain.changes import ChangeKind, Changes, GoldenChange
from mdm.domain.keys import EntityKind, golden_id
from mdm.resolve.changes import golden_id_changes
from mdm.resolve.commands import GoldenIdChange

A, B, C = (golden_id(EntityKind.CITIZEN, place) for place in (1, 2, 3))


def test_of_several_things_that_a_write_did_to_an_id_the_one_is_told_that_says_what_it_answers_now() -> None:
    changes = [
        Changes(1, (GoldenChange(A, ChangeKind.VALUES_CHANGED),), ()),
        Changes(1, (GoldenChange(A, ChangeKind.RETIRED),), ()),
        Changes(1, (GoldenChange(A, ChangeKind.LEFT, B), GoldenChange(B, ChangeKind.JOINED)), ()),
        Changes(1, (GoldenChange(B, ChangeKind.MERGED, C), GoldenChange(C, ChangeKind.ABSORBED, B)), ()),
        Changes(1, (GoldenChange(C, ChangeKind.POTENTIAL_MATCH_OPENED, B),), ()),
    ]

    assert golden_id_changes(changes) == (
        GoldenIdChange(A, ChangeKind.RETIRED),
        GoldenIdChange(B, ChangeKind.MERGED, C),
        GoldenIdChange(C, ChangeKind.ABSORBED),
    )


def test_a_redirect_that_moved_twice_names_the_last_survivor() -> None:
    changes = [Changes(1, (GoldenChange(A, ChangeKind.MERGED, each),), ()) for each in (B, C)]

    assert golden_id_changes(changes) == (GoldenIdChange(A, ChangeKind.MERGED, C),)


def test_a_write_that_only_changed_values_affected_no_id() -> None:
    assert golden_id_changes([Changes(1, (GoldenChange(A, ChangeKind.VALUES_CHANGED),), ())]) == ()
