"""How events change settings, and what the state keeps for erasures and reverts: part of the fold in `state`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber

if TYPE_CHECKING:
    from mdm.domain.state import GoldenEntry, IdentityState, RecordEntry


def note_seq(state: IdentityState, name: str, seq: int) -> None:
    """Append a position to a setting that lists some."""
    state.put_setting(name, f"{state.setting(name) or ''} {seq}".strip())


def fold_configuration(state: IdentityState, seq: int, fact: ev.ConfigurationChanged) -> None:
    """Put another configuration, or part of one, in force."""
    state.put_setting(fact.part, fact.digest)
    # Journals from before there were other parts than the registries give the state that they always gave.
    if fact.part != "configuration":
        note_seq(state, f"{fact.part}s", seq)


def fold_model(state: IdentityState, seq: int, fact: ev.ModelActivated) -> None:
    """Put a model in force."""
    state.put_setting(f"model:{fact.kind}", fact.digest)
    note_seq(state, f"models:{fact.kind}", seq)
    state.put_setting(f"pin:{fact.kind}", fact.digest if fact.is_pinned else "")


def fold_relink(
    state: IdentityState, seq: int, fact: ev.RelinkCommitStarted | ev.RelinkProgressed | ev.RelinkCommitFinished
) -> None:
    """Note how far the commit of a re-linkage came, and where it begins and ends."""
    progress, seqs = f"relink:{fact.run_id}", f"relink_seq:{fact.run_id}"
    match fact:
        case ev.RelinkCommitStarted():
            state.put_setting(progress, f"0 done, 0 dropped, of {fact.item_count}")
            state.put_setting(seqs, str(seq))
        case ev.RelinkProgressed():
            total = (state.setting(progress) or "").rpartition(" ")[2]
            state.put_setting(progress, f"{fact.done_count} done, {fact.dropped_count} dropped, of {total}")
        case ev.RelinkCommitFinished():
            started = state.setting(seqs)
            state.put_setting(progress, "finished")
            state.put_setting(seqs, f"{started} {seq}")


def fold_epoch(state: IdentityState, seq: int, fact: ev.EpochActivated) -> None:
    """Put a statistics epoch in force."""
    state.put_setting(f"epoch:{fact.kind}", fact.digest)
    state.put_setting(f"epoch_seq:{fact.kind}", str(seq))


def note_withdrawn(state: IdentityState, number: RecordNumber, entry: RecordEntry) -> None:
    """Remember with its golden record a record that is being deleted."""
    golden = state.golden(entry.golden_id) if entry.golden_id is not None else None
    if entry.golden_id is not None and golden is not None:
        withdrawn = tuple(sorted((*golden.withdrawn, number)))
        state.put_golden(entry.golden_id, msgspec.structs.replace(golden, withdrawn=withdrawn))


def note_returned(state: IdentityState, fact: ev.RecordUpserted, old: RecordEntry) -> None:
    """Note with the golden record what it loses: a withdrawn record that returns, or the key of another bearer.

    The golden record is not changed by it: whatever it lost, it lost before or loses with the event that follows.
    """
    golden_id = old.golden_id or old.withdrawn_from
    golden = state.golden(golden_id) if golden_id is not None else None
    if golden_id is None or golden is None or not (fact.is_new_bearer or old.is_deleted):
        return
    withdrawn = tuple(number for number in golden.withdrawn if number != fact.number)
    passed_on = golden.passed_on
    if fact.is_new_bearer:
        # Up to the new bearer's first payload: what stewards fixed and said came behind the former one's last version.
        passed_on = (*(each for each in passed_on if each[0] != fact.number), (fact.number, fact.payload_id - 1))
    state.put_golden(golden_id, msgspec.structs.replace(golden, withdrawn=withdrawn, passed_on=passed_on))


def note_retired(state: IdentityState, seq: int, golden_id: GoldenId, entry: GoldenEntry) -> tuple[GoldenId, ...]:
    """Take an ID that is being retired from its survivor, which remembers it; returns what it is retired with."""
    if entry.survivor is None:
        return entry.retired_with
    survivor = state.golden(entry.survivor)
    if survivor is not None:
        rest = tuple(other for other in survivor.absorbed if other != golden_id)
        together = (*survivor.retired_with, golden_id)
        survivor = msgspec.structs.replace(survivor, absorbed=rest, changed_seq=seq, retired_with=together)
        state.put_golden(entry.survivor, survivor)
    return (entry.survivor,)


def revive(state: IdentityState, seq: int, fact: ev.GoldenIdRevived) -> None:
    """Let a retired ID answer again, for the record that it was retired with: as its golden ID, or as a redirect."""
    record = state.record(fact.number)
    if record is None:
        message = f"event revives a golden ID for record {fact.number}, which was never upserted"
        raise AssertionError(message)
    alive = {"anchor": fact.number, "is_retired": False, "retired_with": (), "changed_seq": seq}
    if not fact.is_redirect:
        left = state.golden(record.golden_id) if record.golden_id is not None else None
        if record.golden_id is not None and left is not None:
            rest = tuple(number for number in left.members if number != fact.number)
            _change(state, record.golden_id, members=rest, changed_seq=seq)
        _change(state, fact.golden_id, members=(fact.number,), **alive)
        state.put_record(fact.number, msgspec.structs.replace(record, golden_id=fact.golden_id, changed_seq=seq))
    elif record.golden_id is not None:
        _change(state, fact.golden_id, survivor=record.golden_id, **alive)
        survivor = state.golden(record.golden_id)
        absorbed = survivor.absorbed if survivor is not None else ()
        _change(state, record.golden_id, absorbed=tuple(sorted((*absorbed, fact.golden_id))), changed_seq=seq)


def fold_erasure(state: IdentityState, seq: int, fact: ev.SubjectErased) -> None:
    """Mark what was erased; its records are deleted and its golden IDs retired already."""
    note_seq(state, "erasures", seq)
    note_seq(state, "erasing", seq)
    for number in fact.numbers:
        _erase_record(state, seq, number)
    for golden_id in fact.golden_ids:
        _change(state, golden_id, changed_seq=seq, is_erased=True, withdrawn=(), passed_on=())


def finish_erasures(state: IdentityState, fact: ev.ErasureFinished) -> None:
    """Note that no copy is left."""
    unfinished = [each for each in (state.setting("erasing") or "").split() if int(each) not in fact.seqs]
    state.put_setting("erasing", " ".join(unfinished))


def fold_restore(state: IdentityState, event: ev.Event, fact: ev.JournalRestored) -> None:
    """Note where a restore ended an epoch, and what a reader has to be told of it."""
    told = ":".join(map(str, (event.seq, fact.epoch, event.at_us, fact.restored_to_us)))
    state.put_setting("restores", f"{state.setting('restores') or ''} {told}".strip())


def _erase_record(state: IdentityState, seq: int, number: RecordNumber) -> None:
    entry = state.record(number)
    if entry is None:
        message = f"event erases record {number}, which was never upserted"
        raise AssertionError(message)
    golden = state.golden(entry.withdrawn_from) if entry.withdrawn_from is not None else None
    if entry.withdrawn_from is not None and golden is not None:
        _change(state, entry.withdrawn_from, withdrawn=tuple(each for each in golden.withdrawn if each != number))
    state.put_record(number, msgspec.structs.replace(entry, is_erased=True, withdrawn_from=None, changed_seq=seq))


def _change(state: IdentityState, golden_id: GoldenId, **changes: object) -> None:
    golden = state.golden(golden_id)
    if golden is None:
        message = f"event erases golden ID {golden_id}, which was never minted"
        raise AssertionError(message)
    state.put_golden(golden_id, msgspec.structs.replace(golden, **changes))
