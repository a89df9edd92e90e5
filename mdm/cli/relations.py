"""`mdm household` and `mdm relations`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, show, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdm_client import Client, SourceKey
    from mdm_client.relations import FormerHousehold, GoldenRelation, Household, HouseholdMember

_What = Annotated[list[str], typer.Argument(metavar="GOLDEN_ID | REGISTRY KIND ID", show_default=False)]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_KEY_PARTS = 3
_OUTGOING = {
    "household": "in the household of",
    "guardian": "guardian",
    "mother": "mother",
    "father": "father",
    "spouse": "spouse",
    "employer": "employer",
    "legal_representative": "legal representative",
    "owner": "owner",
    "branch_of": "branch of",
}
_INCOMING = {
    "household": "head of household of",
    "guardian": "guardian of",
    "mother": "mother of",
    "father": "father of",
    "spouse": "spouse of",
    "employer": "employer of",
    "legal_representative": "legal representative of",
    "owner": "owner of",
    "branch_of": "has the branch",
}
_GROUNDS = {
    "record_key": "named by its record key",
    "identifier": "named by its number",
    "household": "named as head of the household",
    "household_and_name": "named by name within the household",
}
_OBSTACLES = {
    "oneself": "is the bearer",
    "ambiguous": "not named: several fit",
    "contradicted": "not named: name, sex or age contradicts the number",
    "pending": "not named: its record is pending",
    "not_found": "not named: nobody is found",
    "name_only": "not named: only a name is stated",
}
_WORDS_WIDTH = 25
_ID_WIDTH = 20


def household(what: _What, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Show who lives in a citizen's household, and which households the citizen left.

    \b
    Examples:
      mdm household C-7K3M-9XQ2-4TAB-1
      mdm household household citizen DC0293135277

    Members are golden IDs, each once, the head first. A citizen may be in several households when registries disagree.
    Exit code 1 when there is no such golden ID, or the record has none.
    """
    with connected(server) as client:
        golden_id, fresh = _golden_id(client, what)
        found = client.households(golden_id, fresh=fresh)
    result: dict[str, Any] = {"golden_id": found.golden_id, "status": str(found.status)}
    if as_json:
        result["households"] = [_household(each) for each in found.households]
        result["former_households"] = [_former(each) for each in found.former_households]
        result["read_at"] = found.read_at
        show(result, as_json=True)
        return
    for each in found.households:
        result[f"{each.registry} {each.household_id}, {each.record_count} records"] = {
            member.golden_id: _member_in_words(member) for member in each.members
        }
    result["left"] = {
        f"{place}. {each.key.registry} {each.household_id}": f"{each.role or 'no role'}, "
        f"{each.since or 'undated'} to {each.until or 'undated'}"
        for place, each in enumerate(found.former_households, start=1)
    }
    if not found.households:
        result["households"] = "none is stated"
    show(result, as_json=False)


def relations(
    what: _What,
    relation_type: Annotated[
        str, typer.Option("--type", help=f"Only one type: {', '.join(_OUTGOING)}.", show_default=False)
    ] = "",
    direction: Annotated[
        str, typer.Option(help="Only outgoing (what its own records state) or incoming.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many; 0 lists all.")] = 100,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """List the relations of a citizen or firm, in both directions, each with the records that state it.

    \b
    Examples:
      mdm relations C-7K3M-9XQ2-4TAB-1
      mdm relations company business DN83490564
      mdm relations B-28T5-CY4T-QKFF-B --type employer --limit 0 --json

    A dash in place of a golden ID: the other could not be named with certainty; the last words say why.
    Exit code 1 when there is no such golden ID, or the record has none.
    """
    from mdm_client import RelationDirection, RelationType

    if relation_type and relation_type not in _OUTGOING:
        fail(f"--type must be one of {', '.join(_OUTGOING)}", ExitCode.USAGE)
    if direction not in {"", "outgoing", "incoming"}:
        fail("--direction must be outgoing or incoming", ExitCode.USAGE)
    with connected(server) as client:
        golden_id, fresh = _golden_id(client, what)
        listed: Iterator[GoldenRelation] = client.list_relations(
            golden_id,
            type=RelationType(relation_type) if relation_type else None,
            direction=RelationDirection(direction) if direction else None,
            fresh=fresh,
        )
        shown = list(itertools.islice(listed, limit or None))
        has_more = bool(limit) and next(listed, None) is not None
    if as_json:
        show({"golden_id": golden_id, "relations": [_relation(each) for each in shown]}, as_json=True)
    else:
        for each in shown:
            tell(_in_words(each))
    if not shown:
        note("no relation is stated")
    if has_more:
        note("there are more relations", shown=limit, option="--limit 0")


def _golden_id(client: Client, what: list[str]) -> tuple[str, str]:
    """Return the golden ID that the arguments name, and the position at which it did."""
    from mdm_client import EntityKind, RecordStatus

    if len(what) == 1:
        return what[0], ""
    if len(what) != _KEY_PARTS or what[1] not in {"citizen", "business"}:
        fail("give a golden ID, or a registry, citizen or business, and a record id", ExitCode.USAGE)
    registry, kind, record_id = what
    found = client.lookup(registry, EntityKind(kind), record_id)
    if found.status is RecordStatus.PENDING:
        fail("the record is pending: it has no golden ID, and so no relations, before the next relink")
    if found.status is RecordStatus.DELETED:
        fail("the registry withdrew the record: it has no golden ID any more")
    if found.status is not RecordStatus.FOUND:
        fail("nothing was ever stored under this key")
    return found.golden_id, found.read_at


def _member_in_words(member: HouseholdMember) -> str:
    return " · ".join(
        f"{each.name}, {each.role or 'no role'}, since {each.since or each.since_recorded_at.date().isoformat()}"
        for each in member.statements
    )


def _in_words(relation: GoldenRelation) -> str:
    words = _OUTGOING if relation.direction.value == "outgoing" else _INCOMING
    first = relation.statements[0]
    more = relation.statement_count - 1
    reason = _GROUNDS.get(relation.ground.value, "") or _OBSTACLES.get(relation.obstacle.value, "")
    facts = (
        first.name,
        first.role,
        f"household {first.household_id}" if first.household_id else "",
        f"by {_key(first.key)}" + (f" and {more} more" if more else ""),
        reason,
    )
    head = f"{words.get(relation.type.value, relation.type.value):<{_WORDS_WIDTH}}"
    return f"{head}{relation.golden_id or '-':<{_ID_WIDTH}}{' · '.join(filter(None, facts))}"


def _household(found: Household) -> dict[str, Any]:
    return {
        "registry": found.registry,
        "household_id": found.household_id,
        "record_count": found.record_count,
        "members": [
            {
                "golden_id": member.golden_id,
                "is_head": member.is_head,
                "statements": [
                    {
                        "record": _key(each.key),
                        "name": each.name,
                        "role": each.role,
                        "since": each.since,
                        "since_recorded_at": each.since_recorded_at.isoformat(),
                    }
                    for each in member.statements
                ],
            }
            for member in found.members
        ],
    }


def _former(former: FormerHousehold) -> dict[str, Any]:
    return {
        "record": _key(former.key),
        "household_id": former.household_id,
        "role": former.role,
        "since": former.since,
        "since_recorded_at": former.since_recorded_at.isoformat(),
        "until": former.until,
        "until_recorded_at": former.until_recorded_at.isoformat(),
    }


def _relation(relation: GoldenRelation) -> dict[str, Any]:
    return {
        "type": relation.type.value,
        "direction": relation.direction.value,
        "golden_id": relation.golden_id,
        "ground": relation.ground.value if relation.golden_id else "",
        "obstacle": "" if relation.golden_id else relation.obstacle.value,
        "statement_count": relation.statement_count,
        "statements": [
            {
                "record": _key(each.key),
                "updated_at": each.updated_at,
                "name": each.name,
                "role": each.role,
                "household_id": each.household_id,
            }
            for each in relation.statements
        ],
    }


def _key(key: SourceKey) -> str:
    return f"{key.registry} {key.kind} {key.record_id}"
