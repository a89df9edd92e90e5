"""`mdm history` and `mdm get`: what happened to a golden ID, and what was known of it."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.explain import CITY_TIME, Language, in_words, key_in_words, plain, reason_in_words
from mdm.cli.output import ExitCode, connected, fail, note, show, tell
from mdm.cli.query import shown_golden_record

if TYPE_CHECKING:
    from mdm_client.explanation_results import HistoryEntry

_GoldenId = Annotated[str, typer.Argument(metavar="GOLDEN_ID", show_default=False)]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_TOKEN_CHARACTERS = 44
_DIGEST_CHARACTERS_SHOWN = 8
_OF_VALUES = frozenset({"value_pinned", "value_unpinned"})
"""Types whose detail is the field that was fixed or let go."""


def history(
    golden_id: _GoldenId,
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many; 0 lists all.")] = 100,
    language: Annotated[Language, typer.Option(help="Of the sentences.")] = Language.ENGLISH,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """List everything that happened to a golden ID, the oldest first: who came and went, by whom, on what evidence.

    \b
    Examples:
      mdm history C-7K3M-9XQ2-4TAB-1
      mdm history C-7K3M-9XQ2-4TAB-1 --limit 0 --language vi
      mdm history C-7K3M-9XQ2-4TAB-1 --json

    A merged golden ID keeps its own history. With --json each entry has the position that mdm get --as-of takes.
    Exit code 1 when there is no such golden ID.
    """
    with connected(server) as client:
        listed = client.history.entries(golden_id)
        shown = list(itertools.islice(listed, limit or None))
        has_more = bool(limit) and next(listed, None) is not None
    if as_json:
        show({"golden_id": golden_id, "entries": [plain(each) for each in shown]}, as_json=True)
    else:
        for each in shown:
            tell(_line(each, language))
    if has_more:
        note("there is more history", shown=limit, option="--limit 0")


def get(
    golden_id: _GoldenId,
    as_of: Annotated[
        str,
        typer.Option(
            metavar="TIME|DATE|POSITION",
            help="What was known then: a time, the end of a day, or a position of mdm history --json.",
            show_default=False,
        ),
    ] = "",
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Show a golden record, as it is or as it was.

    \b
    Examples:
      mdm get C-7K3M-9XQ2-4TAB-1
      mdm get C-7K3M-9XQ2-4TAB-1 --as-of 2026-03-31
      mdm get C-7K3M-9XQ2-4TAB-1 --as-of 2026-03-31T14:00

    Times without a zone are the city's. What was erased since stays erased. Exit code 1 when there is no such golden
    ID, or it was issued later.
    """
    with connected(server) as client:
        if not as_of:
            show(shown_golden_record(client.golden_record(golden_id)), as_json=as_json)
            return
        found = client.history.golden_record(golden_id, _moment(as_of))
    result = shown_golden_record(found.record) | {"as_of": found.as_of}
    if found.erased_member_count or as_json:
        result["erased_member_count"] = found.erased_member_count
    show(result, as_json=as_json)


def _moment(text: str) -> str | dt.datetime:
    """Return the token or the time that a text names; a day alone means its end."""
    if len(text) == _TOKEN_CHARACTERS and " " not in text:
        return text
    try:
        if len(text) == len("yyyy-mm-dd"):
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time.max, CITY_TIME)
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        fail("--as-of must be a time like 2026-03-31T14:00, a day like 2026-03-31, or a position", ExitCode.USAGE)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=CITY_TIME)


def _line(entry: HistoryEntry, language: Language) -> str:
    at = entry.happened_at.astimezone(CITY_TIME).isoformat(" ", "seconds")
    more = entry.record_count - len(entry.keys)
    keys = ", ".join(map(key_in_words, entry.keys))
    # An erased record has no key any more, and a large event names its first records alone.
    records = f"{keys} and {more} more" if keys and more else keys or (f"{more} erased" if more else "")
    facts = (
        records,
        f"with {key_in_words(entry.partner)}" if entry.partner else "",
        entry.other_golden_id,
        entry.detail if entry.type in _OF_VALUES else "",
        f"run {entry.run_id}" if entry.run_id else "",
        f"load {entry.load_id}" if entry.load_id else "",
        f"by {entry.actor}" if entry.actor else "",
        f"for {entry.purpose}" if entry.purpose else "",
        f"certificate {entry.authenticated}" if entry.authenticated else "",
        f"model {entry.model_digest[:_DIGEST_CHARACTERS_SHOWN]}" if entry.model_digest else "",
    )
    said = in_words(entry.sentence, language) + reason_in_words(entry)
    return f"{at}  {said}  [{' · '.join(filter(None, facts))}]"
