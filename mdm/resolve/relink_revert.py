"""The plan that takes a run back: read from the journal's events of the run, never from the run's own files."""

from __future__ import annotations

from collections.abc import Callable

from mdm.domain import events as ev
from mdm.domain.keys import RecordNumber
from mdm.domain.rules import reversal
from mdm.domain.state import Pair
from mdm.errors import ConfigurationError, UnknownRunError
from mdm.limits import QUESTIONS_PER_ITEM_MAX
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.resolve.relink_runs import PlanHeader, PlanItem, Question, QuestionChanges, Restored, Reversal
from mdm.store.journal import JournalReader
from mdm.store.view import IndexView

_TELL_EVENTS = 10_000


class _Done:
    """What a run did, in the order of its events."""

    def __init__(self) -> None:
        self.header: ev.RelinkCommitStarted | None = None
        self.activated: dict[str, str] = {}
        """Setting → digest."""
        self.regrouped: list[tuple[int, ev.RecordsRegrouped]] = []
        self.opened: dict[Pair, int] = {}
        """Questions that it asked, with the position."""
        self.closed: dict[Pair, ev.PotentialMatchOpened] = {}
        """Questions that it closed or answered, as they were asked."""


def commit_span(view_setting: str | None) -> tuple[int, int]:
    """Return the positions of a run's header and trailer from the setting `relink_seq:<run id>`.

    Raises:
        UnknownRunError: The journal holds no commit of the run, or one that has not ended.
    """
    first, _, last = (view_setting or "").partition(" ")
    if not last:
        raise UnknownRunError("the journal holds no finished commit of a re-linkage run with this id")
    return int(first), int(last)


def plan_reversal(
    view: IndexView, journal: JournalReader, run_id: str, tell: Callable[[int, int], None]
) -> tuple[PlanHeader, list[PlanItem], Reversal]:
    """Return what gives every golden ID back as it was before a run, where nothing happened since.

    Args:
        view: The present state.
        journal: Holds the run's events; only the stretch of its commit is read.
        run_id: The run.
        tell: Called now and then with the events read and all of them.

    Raises:
        UnknownRunError: The journal holds no finished commit of the run.
    """
    first, last = commit_span(view.setting(f"relink_seq:{run_id}"))
    done = _done(journal, run_id, first, last, tell)
    items: list[PlanItem] = []
    kept: set[RecordNumber] = set()
    judged_count = restored_golden = retired_golden = pending_count = 0
    for seq, left_as in done.regrouped:
        facts = reversal(view, left_as, seq=seq, run_id=run_id)
        numbers = [number for group in left_as.groups for number in group.numbers]
        if facts is None:
            kept.update(numbers)
            judged_count += any(_was_judged_since(view, number, seq) for number in numbers)
            continue
        items.append(Restored(seq, left_as))
        held = {number for each in left_as.former for number in each.numbers}
        pending_count += sum(number not in held for number in numbers)
        restored_golden += sum(bool(each.numbers) for each in left_as.former)
        retired_golden += sum(isinstance(fact, ev.GoldenIdRetired) for fact in facts)
    restored_count = len(items)
    items += _questions(view, done, kept)
    models, epochs, only_over = _former_engines(view, journal, done)
    restored = tuple(sorted([f"model:{kind}" for kind in models] + [f"epoch:{kind}" for kind in epochs]))
    before = dict(done.header.active_before) if done.header else {}
    pinned = tuple(kind for kind in models if f"pin:{kind}" in before)
    header = PlanHeader(view.applied_seq, len(items), models, epochs, only_over, run_id, pinned)
    kept_count = len(done.regrouped) - restored_count
    found = Reversal(
        restored_count,
        judged_count,
        kept_count - judged_count,
        restored_golden,
        retired_golden,
        pending_count,
        restored,
    )
    return header, items, found


def _done(journal: JournalReader, run_id: str, first: int, last: int, tell: Callable[[int, int], None]) -> _Done:
    done = _Done()
    for event in journal.events(first - 1, last):
        match event.fact:
            case ev.RelinkCommitStarted() as fact if fact.run_id == run_id:
                done.header = fact
            case ev.ModelActivated() as fact if not done.regrouped and event.cause.method == "CommitRelink":
                done.activated[f"model:{fact.kind}"] = fact.digest
            case ev.EpochActivated() as fact if not done.regrouped and event.cause.method == "CommitRelink":
                done.activated[f"epoch:{fact.kind}"] = fact.digest
            case ev.RecordsRegrouped() as fact if fact.run_id == run_id:
                done.regrouped.append((event.seq, fact))
                done.closed.update(((asked.left, asked.right), asked) for asked in fact.answered)
            case ev.PotentialMatchOpened() as fact if fact.run_id == run_id:
                done.opened[fact.left, fact.right] = event.seq
            case ev.PotentialMatchClosed() as fact if fact.run_id == run_id and fact.reason is not None:
                done.closed[fact.left, fact.right] = ev.PotentialMatchOpened(
                    fact.left, fact.right, fact.reason, fact.match_weight_bits, fact.detail
                )
            case _:
                pass
        if (event.seq - first) % _TELL_EVENTS == 0:
            tell(event.seq - first, last - first)
    return done


def _was_judged_since(view: IndexView, number: RecordNumber, seq: int) -> bool:
    entry = view.record(number)
    return entry is not None and bool(entry.judged) and entry.changed_seq > seq


def _questions(view: IndexView, done: _Done, kept: set[RecordNumber]) -> list[PlanItem]:
    """Return the questions as they stood: asked by the run and untouched are closed, closed by it are asked again."""
    closed = []
    for pair, seq in sorted(done.opened.items()):
        standing = view.potential_match(pair)
        if standing is not None and standing.opened_seq == seq and kept.isdisjoint(pair):
            closed.append(pair)
    opened = [
        Question(asked.left, asked.right, asked.reason, asked.match_weight_bits, asked.detail)
        for pair, asked in sorted(done.closed.items())
        if kept.isdisjoint(pair)
    ]
    size = QUESTIONS_PER_ITEM_MAX
    items: list[PlanItem] = [QuestionChanges(tuple(closed[at : at + size])) for at in range(0, len(closed), size)]
    items += [QuestionChanges((), tuple(opened[at : at + size])) for at in range(0, len(opened), size)]
    return items


def _former_engines(
    view: IndexView, journal: JournalReader, done: _Done
) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, str]]:
    """Return models and epochs to activate again, and in whose place alone; none where another one came after."""
    former: dict[str, dict[str, bytes]] = {"model": {}, "epoch": {}}
    only_over: dict[str, str] = {}
    for setting, digest in done.header.active_before if done.header else ():
        what, _, kind = setting.partition(":")
        if what not in former:
            continue
        body = journal.artefact(digest)
        activated = done.activated.get(setting)
        if body is None or activated is None or view.setting(setting) != activated:
            continue
        if _is_usable(what, body):
            former[what][kind] = body
            only_over[setting] = activated
    return former["model"], former["epoch"], only_over


def _is_usable(what: str, body: bytes) -> bool:
    """Return whether this release can read a model or epoch: one of another specification decides nothing."""
    try:
        if what == "model":
            Model.from_bytes(body)
        else:
            StatisticsEpoch.from_bytes(body)
    except ConfigurationError:
        return False
    return True
