"""`mdm why`, `mdm why-not` and `mdm how`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, cell, connected, fail, note, show, tell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from mdm_client import SourceKey
    from mdm_client.explanation_results import (
        EvidenceEdge,
        ExplainedRecord,
        HistoryEntry,
        PairExplanation,
        Sentence,
        Subject,
    )


class Language(enum.StrEnum):
    """Of sentences."""

    ENGLISH = "en"
    VIETNAMESE = "vi"


_Pair = Annotated[
    list[str], typer.Argument(metavar="A B", help="Each a golden ID, or REGISTRY KIND ID.", show_default=False)
]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Language = Annotated[Language, typer.Option(help="Of the sentences.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
CITY_TIME = dt.timezone(dt.timedelta(hours=7))
"""Of the city, all year round."""
_KINDS = frozenset({"citizen", "business"})
_KEY_PARTS = 3
_WIDTH_WITHOUT_TERMINAL = 160
_ROWS_SHOWN_MAX = 20


def why(
    pair: _Pair, language: _Language = Language.ENGLISH, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False
) -> None:
    """Compare two records: each value, what it adds, and what rules and people say.

    \b
    Examples:
      mdm why hospital citizen BV006.26.106204 household citizen DC0293135277
      mdm why C-7K3M-9XQ2-4TAB-1 C-18ZN-3GPM-WTVS-5
      mdm why C-7K3M-9XQ2-4TAB-1 company business DN83490564 --language vi

    A golden ID stands for the member that speaks loudest for the pair. Start and comparisons add up to the weight;
    0 bits are even odds. Exit code 1 when there is no such record or golden ID.
    """
    left, right = _subjects(pair)
    with connected(server) as client:
        found = client.explain.why(left, right)
    if as_json:
        show(plain(found), as_json=True)
        return
    _print_pair(found, language)
    if not found.are_one:
        note("they are two golden records; mdm why-not says what keeps them apart")


def why_not(
    pair: _Pair, language: _Language = Language.ENGLISH, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False
) -> None:
    """Say what keeps two records or golden IDs from being one, the firmest first, and what would be enough.

    \b
    Examples:
      mdm why-not hospital citizen BV006.26.106204 household citizen DC0293135277
      mdm why-not C-7K3M-9XQ2-4TAB-1 C-18ZN-3GPM-WTVS-5 --language vi

    Nothing is printed but a note when they are one. Exit code 1 when there is no such record or golden ID.
    """
    left, right = _subjects(pair)
    with connected(server) as client:
        found = client.explain.why_not(left, right)
    if as_json:
        show(plain(found), as_json=True)
        return
    if found.pair.are_one:
        note("they are one golden record; mdm why says why", golden_id=found.pair.left.golden_id)
        return
    _print_heads(found.pair)
    if found.pair.are_compared:
        tell(in_words(found.pair.summary, language))
    for obstacle in found.obstacles:
        named = [*map(key_in_words, obstacle.keys), *obstacle.rival_golden_ids]
        tell(f"- {in_words(obstacle.sentence, language)}{_listed(named)}")
    _print_judged(found.pair)
    for enough in found.enough:
        tell(f"+ {in_words(enough.sentence, language)}")


def how(
    golden_id: Annotated[str, typer.Argument(metavar="GOLDEN_ID", show_default=False)],
    language: _Language = Language.ENGLISH,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say how a golden record grew and what holds it together: its strongest evidence, its weakest link, its bridges.

    \b
    Examples:
      mdm how C-7K3M-9XQ2-4TAB-1
      mdm how C-7K3M-9XQ2-4TAB-1 --language vi --json

    A bridge is a record without which the others would fall apart: look at it first when a golden record seems to hold
    two people. Exit code 1 when there is no such golden ID.
    """
    with connected(server) as client:
        found = client.explain.how(golden_id)
    if as_json:
        show(plain(found), as_json=True)
        return
    head = {
        "golden_id": found.golden_id,
        "status": str(found.status),
        "members": len(found.members),
        "parts": found.part_count if found.part_count > 1 else "",
        "erased members": found.erased_member_count or "",
    }
    show(head, as_json=False)
    for step in found.steps:
        records = _part([key_in_words(key) for key in step.keys], step.record_count)
        partner = f", with {key_in_words(step.partner)}" if step.partner else ""
        said = in_words(step.sentence, language) + reason_in_words(step)
        tell(f"{_day(step)}  {said}  [{records}{partner}]")
    if found.edges:
        _print_edges(found.edges, language)
    for bridge in found.bridges:
        parts = " | ".join(_part([key_in_words(key) for key in part.keys], part.record_count) for part in bridge.parts)
        tell(f"bridge {key_in_words(bridge.key)} holds together: {parts}")
    if found.bridge_count > len(found.bridges):
        note("there are more bridges", shown=len(found.bridges), bridge_count=found.bridge_count)


def _subjects(words: list[str]) -> tuple[Subject, Subject]:
    """Return the two sides of a pair: a registry, a kind and a record id, or a golden ID, twice."""
    from mdm_client import EntityKind, SourceKey

    sides: list[Subject] = []
    rest = list(words)
    while rest:
        if len(rest) >= _KEY_PARTS and rest[1] in _KINDS:
            registry, kind, record_id, *rest = rest
            sides.append(SourceKey(registry, EntityKind(kind), record_id))
        else:
            golden_id, *rest = rest
            sides.append(golden_id)
    if len(sides) != 2:  # noqa: PLR2004 – a pair
        fail("give two of: a golden ID, or a registry, citizen or business, and a record id", ExitCode.USAGE)
    return sides[0], sides[1]


def _console() -> Console:
    from rich.console import Console

    # Values are data: markup in them must not be obeyed.
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(width=width, markup=False, emoji=False, highlight=False)


def _print_pair(pair: PairExplanation, language: Language) -> None:
    from rich.table import Table

    _print_heads(pair)
    if pair.are_compared:
        table = Table(box=None, pad_edge=False)
        for title in ("comparison", "left", "right"):
            table.add_column(title, overflow="fold")
        table.add_column("bits", justify="right")
        table.add_column("what it says", overflow="fold")
        start = cell(in_words(pair.starting_sentence, language))
        table.add_row("start", "", "", f"{pair.starting_weight_bits:+.1f}", start)
        for each in pair.comparisons:
            written = [cell(*side) for side in (each.left_written_values, each.right_written_values)]
            words = cell(in_words(each.sentence, language))
            table.add_row(each.comparison, *written, f"{each.match_weight_bits:+.1f}", words)
        _console().print(table)
        tell(in_words(pair.summary, language))
    for ruling in pair.rulings:
        tell(f"{ruling.rule}: {in_words(ruling.sentence, language)}")
    _print_judged(pair)
    if pair.question is not None:
        tell(f"question: {in_words(pair.question.sentence, language)}")
    found_by = " · ".join(in_words(each.sentence, language) for each in pair.shared_blocks)
    if found_by:
        tell(f"found by: {found_by}")
    if pair.decision is not None:
        said = in_words(pair.decision.sentence, language)
        what = "decided" if pair.are_one else "apart; the later of the two came to its golden ID"
        tell(f"{what} {_day(pair.decision)}: {said}{reason_in_words(pair.decision)}")
    if pair.was_decided_otherwise:
        tell("they were decided under another model or epoch than the numbers above are of")
    tell(f"model {pair.model_digest}, epoch {pair.epoch_digest}")


def _print_judged(pair: PairExplanation) -> None:
    if pair.judged is not None:
        tell(f"judged {_day(pair.judged)} by {pair.judged.actor or 'nobody named'}{reason_in_words(pair.judged)}")


def _print_heads(pair: PairExplanation) -> None:
    for name, side in (("left", pair.left), ("right", pair.right)):
        tell(f"{name:<6} {_record(side)}")
    if pair.are_one:
        tell(f"one    {pair.left.golden_id}")


def _print_edges(edges: Iterable[EvidenceEdge], language: Language) -> None:
    from rich.table import Table

    rows = list(edges)
    table = Table(box=None, pad_edge=False)
    for title in ("record", "with"):
        table.add_column(title, overflow="fold")
    table.add_column("bits", justify="right")
    table.add_column("what it says", overflow="fold")
    shown = rows if len(rows) <= _ROWS_SHOWN_MAX else rows[-_ROWS_SHOWN_MAX:]
    for edge in shown:
        words = in_words(edge.sentence, language) + (" (weakest)" if edge is rows[-1] and len(rows) > 1 else "")
        keys = (cell(key_in_words(each)) for each in (edge.right, edge.left))
        table.add_row(*keys, f"{edge.match_weight_bits:+.1f}", cell(words))
    _console().print(table)
    if len(shown) < len(rows):
        note("the weakest links are shown", shown=len(shown), link_count=len(rows), option="--json")


def _record(record: ExplainedRecord) -> str:
    facts = [key_in_words(record.key) if record.key else "erased record", record.golden_id, record.updated_at]
    if record.status.value != "found":
        facts.insert(1, str(record.status))
    return " · ".join(filter(None, facts))


def _day(entry: HistoryEntry) -> str:
    return entry.happened_at.astimezone(CITY_TIME).date().isoformat()


def reason_in_words(entry: HistoryEntry) -> str:
    """Return what to print behind an entry: the steward's words in quotes, nothing where there are none."""
    return f" “{entry.reason}”" if entry.reason else ""


def key_in_words(key: SourceKey) -> str:
    """Return a source key as commands take it."""
    return f"{key.registry} {key.kind} {key.record_id}"


def _part(keys: list[str], count: int) -> str:
    return ", ".join(keys) + (f" and {count - len(keys)} more" if count > len(keys) else "")


def _listed(names: list[str]) -> str:
    return f" [{', '.join(names)}]" if names else ""


def in_words(sentence: Sentence, language: Language) -> str:
    """Return a sentence in one language."""
    return sentence.vi if language is Language.VIETNAMESE else sentence.en


def plain(value: Any) -> dict[str, Any]:
    """Return a result as JSON prints it: times in ISO form."""
    return dataclasses.asdict(value, dict_factory=_timed)


def _timed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in pairs}
