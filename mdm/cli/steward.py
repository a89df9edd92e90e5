"""`mdm judge`, `judgements`, `merge`, `unmerge`, `split`, `move`, `pin`, `unpin`: what a steward does, one act each."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mdm.cli.output import ExitCode, connected, fail, show, tell, tell_json

if TYPE_CHECKING:
    from mdm_client import SourceKey
    from mdm_client.stewardship_results import ActEffect, GoldenRecordState, JudgedPair, Judgement

DEFAULT_SERVER = "127.0.0.1:50051"
Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
Actor = Annotated[
    str,
    typer.Option(envvar="MDM_ACTOR", help="Official name of who acts; by default the login name.", show_default=False),
]
_Reason = Annotated[str, typer.Option(help="Why, at most 256 characters; sealed, because it may name a person.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the effect, change nothing.")]
_Etag = Annotated[str, typer.Option(help="Of a dry run: act only if nothing has changed since.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Subject = Annotated[str, typer.Argument(metavar="RECORD", help="REGISTRY/KIND/ID, or a golden ID.")]
_KEY_PARTS = 3
_MEMBERS_SHOWN = 5

judgements = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


def judge(
    left: _Subject,
    right: _Subject,
    verdict: Annotated[Literal["same", "different"], typer.Argument(help="Of one bearer, or of two.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say that two records are of the same bearer or of two; binds the machine until it is withdrawn.

    \b
    Examples:
      mdm judge hospital/citizen/BV1 household/citizen/DC7 same --reason "both cards seen" --dry-run
      mdm judge hospital/citizen/BV1 household/citizen/DC7 different --reason "father and son"
      mdm judgements withdraw J-4711 --reason "mixed up two files"

    "same" makes their golden records one, all records of both; "different" parts one that holds both, and keeps quiet
    about later members until evidence of a new kind arrives. What contradicts standing judgements is refused; a dry run
    shows the chain. Exit code 4 when it waits for a second person.
    """
    from mdm_client import Verdict

    with connected(server, acting(actor)) as client:
        effect = client.stewardship.judge(
            _subject(left), _subject(right), Verdict(verdict), reason, is_dry_run=dry_run, etag=etag
        )
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


@judgements.callback()
def judgements_() -> None:
    """See standing judgements, and take them back."""


@judgements.command("list")
def list_judgements(
    golden_id: Annotated[str, typer.Argument(help="Golden ID whose members are meant.")],
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """List what stewards said of the members of a golden record: id, verdict, records, who, when, why.

    \b
    Example:
      mdm judgements list C-7K3M-9XQ2-4TAB-1
    """
    with connected(server) as client:
        found = list(client.stewardship.judgements(golden_id))
    if as_json:
        tell_json([_facts(each) for each in found])
        return
    for each in found:
        tell(judgement_line(each))
    if not found:
        tell("nothing was judged")


@judgements.command()
def withdraw(
    judgement_id: Annotated[str, typer.Argument(help="Such as J-4711.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take a judgement back, with all of the same act: the evidence decides again.

    \b
    Example:
      mdm judgements withdraw J-4711 --reason "mixed up two files"
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.withdraw_judgement(judgement_id, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def merge(
    left: Annotated[str, typer.Argument(metavar="GOLDEN_ID")],
    right: Annotated[str, typer.Argument(metavar="GOLDEN_ID")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Make two golden records one, under the older golden ID; the other one redirects.

    \b
    Examples:
      mdm merge C-7K3M-9XQ2-4TAB-1 C-18ZN-3GPM-WTVS-5 --reason "both cards seen" --dry-run
      mdm merge C-7K3M-9XQ2-4TAB-1 C-18ZN-3GPM-WTVS-5 --reason "both cards seen" --etag 812.640

    `mdm unmerge` gives the other ID back with its records. Exit code 4 when it waits for a second person, who agrees
    with `mdm review answer R-… approve`.
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.merge(left, right, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def unmerge(
    golden_id: Annotated[str, typer.Argument(help="The golden ID that redirects.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Give a merged golden ID back with the records that it had; who joined since goes with the evidence.

    \b
    Example:
      mdm unmerge C-18ZN-3GPM-WTVS-5 --reason "two sisters"
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.unmerge(golden_id, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def split(
    golden_id: Annotated[str, typer.Argument()],
    records: Annotated[list[str], typer.Argument(metavar="REGISTRY/KIND/ID…")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take records out of a golden record and make them one of their own, for good.

    \b
    Example:
      mdm split C-7K3M-9XQ2-4TAB-1 hospital/citizen/BV1 hospital/citizen/BV2 --reason "two patients"
    """
    with connected(server, acting(actor)) as client:
        keys = [_key(each) for each in records]
        effect = client.stewardship.split(golden_id, keys, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def move(
    record: Annotated[str, typer.Argument(metavar="REGISTRY/KIND/ID")],
    golden_id: Annotated[str, typer.Argument(help="Where it belongs.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take a record out of its golden record and put it into another one, for good.

    \b
    Example:
      mdm move hospital/citizen/BV1 C-18ZN-3GPM-WTVS-5 --reason "was booked under her sister"
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.move_record(_key(record), golden_id, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def pin(
    golden_id: Annotated[str, typer.Argument()],
    field: Annotated[str, typer.Argument(help="Such as full_name or birth_date.")],
    value: Annotated[str, typer.Argument(help="As a registry would write it.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Fix the value that a golden record shows for a field, whatever its registries say.

    \b
    Example:
      mdm pin C-7K3M-9XQ2-4TAB-1 full_name "Nguyễn Thị Thu Hà" --reason "passport seen"
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.override_value(golden_id, field, value, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def unpin(
    golden_id: Annotated[str, typer.Argument()],
    field: Annotated[str, typer.Argument(help="Such as full_name or birth_date.")],
    reason: _Reason,
    dry_run: _DryRun = False,
    etag: _Etag = "",
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Let a fixed value go, so that the registries' values show again.

    \b
    Example:
      mdm unpin C-7K3M-9XQ2-4TAB-1 full_name --reason "register corrected"
    """
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.withdraw_override(golden_id, field, reason, is_dry_run=dry_run, etag=etag)
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


def acting(actor: str) -> str:
    """Return who acts."""
    return actor or getpass.getuser()


def show_effect(effect: ActEffect, *, as_json: bool, is_dry_run: bool) -> None:
    """Print what an act did or would do; ends with code 1 if it would be refused, 4 if it waits for a second person."""
    if as_json:
        from dataclasses import asdict

        facts = asdict(effect)
        facts["contradicted"] = [_facts(each) for each in effect.contradicted]
        show(facts, as_json=True)
    else:
        _print_effect(effect, is_dry_run=is_dry_run)
    if effect.contradicted:
        raise typer.Exit(ExitCode.FAILED)
    if effect.is_proposed and not is_dry_run:
        raise typer.Exit(ExitCode.STOPPED_BY_GATE)


def _print_effect(effect: ActEffect, *, is_dry_run: bool) -> None:
    if effect.contradicted:
        tell("refused: standing judgements say otherwise")
        for each in effect.contradicted:
            tell(f"  {judgement_line(each)}")
        return
    if effect.is_proposed and not is_dry_run:
        tell(f"waits for a second person: mdm review answer {effect.review_id} approve")
        return
    for line in effect_lines(effect):
        tell(line)
    if effect.is_proposed:
        tell("would wait for a second person")
    result = {"etag": effect.etag} if is_dry_run else {"judgement": effect.judgement_id}
    show(
        {("would be" if is_dry_run else "done"): "nothing changes" if not effect.after else "", **result}, as_json=False
    )


def effect_lines(effect: ActEffect) -> list[str]:
    """Return the golden records before and after, and what changes in those that are there after, a line each."""
    lines = [f"before  {_state(each)}" for each in effect.before]
    lines += [f"after   {_state(each)}" for each in effect.after]
    standing = {each.golden_id for each in effect.after}
    for change in effect.value_changes:
        gone = [value for value in dict.fromkeys(change.before) if value not in change.after]
        new = [value for value in dict.fromkeys(change.after) if value not in change.before]
        if change.golden_id in standing and (gone or new):
            signed = [*(f"- {value}" for value in gone), *(f"+ {value}" for value in new)]
            lines.append(f"value   {change.golden_id}  {change.field}: {'  '.join(signed)}")
    return lines


def judgement_line(judgement: Judgement) -> str:
    """Return a judgement on one line."""
    who = f"{judgement.actor or 'somebody'}, {judgement.judged_at:%Y-%m-%d %H:%M} UTC"
    return f"{judgement.judgement_id}  {_pair(judgement.pair)}  ({who}: {judgement.reason or 'words erased'})"


def key_text(key: SourceKey | None) -> str:
    """Return a source key as the commands read it."""
    return f"{key.registry}/{key.kind}/{key.record_id}" if key is not None else "an erased record"


def _pair(pair: JudgedPair) -> str:
    return f"{key_text(pair.left)} {pair.verdict} {key_text(pair.right)}"


def _state(state: GoldenRecordState) -> str:
    shown = [key_text(key) for key in state.members[:_MEMBERS_SHOWN]]
    more = state.member_count - len(shown)
    name = f"{state.golden_id}{' (new)' if state.is_new else ''}"
    return f"{name}  {state.member_count} records: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"


def _facts(judgement: Judgement) -> dict[str, object]:
    return {
        "judgement_id": judgement.judgement_id,
        "left": key_text(judgement.pair.left),
        "right": key_text(judgement.pair.right),
        "verdict": str(judgement.pair.verdict),
        "actor": judgement.actor,
        "reason": judgement.reason,
        "judged_at": judgement.judged_at.isoformat(),
        "act_judgement_id": judgement.act_judgement_id,
    }


def _subject(text: str) -> SourceKey | str:
    return _key(text) if "/" in text else text


def _key(text: str) -> SourceKey:
    from mdm_client import EntityKind, SourceKey

    parts = text.split("/", _KEY_PARTS - 1)
    if len(parts) < _KEY_PARTS or parts[1] not in {"citizen", "business"}:
        fail(f"{text}: a record is named as REGISTRY/KIND/ID, such as hospital/citizen/BV1", ExitCode.USAGE)
    return SourceKey(parts[0], EntityKind(parts[1]), parts[2])
