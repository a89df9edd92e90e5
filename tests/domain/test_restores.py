"""What a caller keeps of a seq names its epoch: nothing that was lost is ever taken for what was given out later."""

from __future__ import annotations

import pytest

from mdm.domain import events as ev
from mdm.domain.restores import Restore, never_issued, new_epoch, public_number, restores_of, seq_of_public
from mdm.domain.state import MemoryState, apply
from mdm.errors import DataRestoredError

FIRST = Restore(101, 1_800_000_000, 1_800_000_000_000_000, 1_700_000_000_000_000)
SECOND = Restore(151, 1_900_000_000, 1_900_000_000_000_000, 0)


@pytest.mark.parametrize("restores", [[], [FIRST], [FIRST, SECOND]])
def test_every_seq_has_a_number_of_its_own_and_is_found_by_it(restores: list[Restore]) -> None:
    numbers = [public_number(restores, seq) for seq in range(1, 300)]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 1 << 63
    assert [seq_of_public(restores, number, "review_id") for number in numbers] == list(range(1, 300))


def test_what_was_lost_is_refused_and_never_means_another() -> None:
    lost = [public_number([], seq) for seq in range(101, 300)]
    lost += [public_number([FIRST], seq) for seq in range(151, 300)]
    # The same backup restored a second time: the first restore is lost, too.
    again = [Restore(101, 1_900_000_000, 0, 0)]
    for restores in ([FIRST, SECOND], again):
        given = {public_number(restores, seq) for seq in range(1, 300)}
        assert not given & set(lost)
    for number in lost:
        with pytest.raises(DataRestoredError, match="review_id was given out before the data was restored at 2030"):
            seq_of_public([FIRST, SECOND], number, "review_id")
    kept = [public_number([FIRST], seq) for seq in range(1, 151)]
    assert [seq_of_public([FIRST, SECOND], number, "review_id") for number in kept] == list(range(1, 151))


def test_a_restore_is_kept_and_told_with_an_unknown_golden_id() -> None:
    state = MemoryState()
    assert restores_of(state) == []
    assert str(never_issued(state)) == "this golden ID was never issued"
    fact = ev.JournalRestored(FIRST.epoch, 1, FIRST.restored_to_us, 5, 100)
    apply(state, ev.Event(FIRST.seq, FIRST.at_us, ev.SCHEMA_VERSION, ev.Cause(), fact))
    fact = ev.JournalRestored(SECOND.epoch, FIRST.epoch, 0, 6, 150)
    apply(state, ev.Event(SECOND.seq, SECOND.at_us, ev.SCHEMA_VERSION, ev.Cause(), fact))
    assert restores_of(state) == [FIRST, SECOND]
    assert "restored at 2030-03-17T17:46:40Z to what it was at 1970-01-01T00:00:00Z" in str(never_issued(state))


def test_an_epoch_is_a_new_one_whatever_the_clock_says() -> None:
    assert new_epoch(1, 1_800_000_000_500_000) == 1_800_000_000
    assert new_epoch(1_800_000_000, 1_800_000_000_500_000) == 1_800_000_001
    assert new_epoch(1, 5) == 1_000_000_000
