from __future__ import annotations

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.domain.rules import regroup
from mdm.domain.state import MemoryState, apply
from mdm.resolve.changes import golden_id_changes
from mdm.resolve.commands import ChangeKind

IDS = [golden_id(EntityKind.CITIZEN, place) for place in range(4)]


def test_a_merge_names_the_ids_that_it_redirects_and_not_those_redirected_before() -> None:
    state = MemoryState()
    seq = 0

    def tell(fact: ev.Fact) -> None:
        nonlocal seq
        seq += 1
        apply(state, ev.Event(seq, seq, 1, ev.Cause(), fact))

    for place in (1, 2, 3):
        number = RecordNumber(place)
        tell(ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, place, b""))
        tell(ev.RecordResolved(number, IDS[place], True, ev.Outcome.CREATED))

    def merge(*numbers: int) -> list[tuple[str, ChangeKind, str | None]]:
        cluster = [RecordNumber(number) for number in numbers]
        facts = regroup(state, [cluster], lambda _: IDS[0], reason=ev.RegroupReason.FRAGMENTS)
        for fact in facts:
            tell(fact)
        return [(each.golden_id, each.kind, each.successor) for each in golden_id_changes(facts, state)]

    assert merge(2, 3) == [(IDS[2], ChangeKind.ABSORBED, None), (IDS[3], ChangeKind.MERGED, IDS[2])]
    assert merge(1, 2, 3)[:1] == [(IDS[1], ChangeKind.ABSORBED, None)]
    assert {state.goldens[IDS[2]].survivor, state.goldens[IDS[3]].survivor} == {IDS[1]}
    tell(ev.RecordUpserted(RecordNumber(4), "hospital", EntityKind.CITIZEN, 4, b""))
    tell(ev.RecordResolved(RecordNumber(4), IDS[0], True, ev.Outcome.CREATED))
    assert merge(1, 2, 3, 4) == [(IDS[1], ChangeKind.ABSORBED, None), (IDS[0], ChangeKind.MERGED, IDS[1])]
