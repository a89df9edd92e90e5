"""`mdm lookup`, `mdm translate` and `mdm match`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, show

if TYPE_CHECKING:
    from mdm_client import BusinessAttributes, CitizenAttributes
    from mdm_client.results import GoldenRecord, GoldenValue, MatchCandidate, MatchResult

_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_KEY_PARTS_MIN = 3
"""Registry, kind and at least one record id."""


def lookup(
    what: Annotated[list[str], typer.Argument(metavar="REGISTRY KIND ID… | GOLDEN_ID", show_default=False)],
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="Of a golden record: what the records say besides, and why it lost.")
    ] = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say which golden ID records have, or what is known under a golden ID.

    \b
    Examples:
      mdm lookup hospital citizen BV006.26.106204
      mdm lookup company business DN83490564 DN83490565
      mdm lookup C-7K3M-9XQ2-4TAB-1
      mdm lookup C-7K3M-9XQ2-4TAB-1 --alternatives

    Exit code 1 when nothing was ever stored under any of the keys; pending and deleted records are found.
    """
    from mdm_client import EntityKind

    if len(what) == 1:
        with connected(server) as client:
            found_record = client.golden_record(what[0], include_alternatives=alternatives)
            show(shown_golden_record(found_record, with_alternatives=alternatives), as_json=as_json)
        return
    if len(what) < _KEY_PARTS_MIN or what[1] not in {"citizen", "business"}:
        fail("give a golden ID, or a registry, citizen or business, and record ids", ExitCode.USAGE)
    registry, kind, *record_ids = what
    with connected(server) as client:
        found = client.batch_lookup(registry, EntityKind(kind), record_ids)
    answers = {
        record_id: golden_id or str(status)
        for record_id, golden_id, status in zip(record_ids, found.golden_ids, found.statuses, strict=True)
    }
    show({"records": answers, "read_at": found.read_at} if as_json else answers, as_json=as_json)
    if all(status.value == "not_found" for status in found.statuses):
        raise typer.Exit(ExitCode.FAILED)


def translate(
    source: Annotated[list[str], typer.Argument(metavar="REGISTRY KIND ID…", show_default=False)],
    to: Annotated[str, typer.Option(help="Registry whose keys are wanted; the same one finds duplicates in it.")],
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say under which keys another registry knows the bearers of records.

    \b
    Examples:
      mdm translate hospital citizen BV006.26.106204 --to social_security
      mdm translate household citizen DC0293135277 DC0293135278 --to hospital --json

    A bearer whom the other registry knows twice has several keys. A record that is pending, deleted or unknown says so.
    Exit code 1 when none of the records has a key there.
    """
    from mdm_client import EntityKind, RecordStatus

    if len(source) < _KEY_PARTS_MIN or source[1] not in {"citizen", "business"}:
        fail("give a registry, citizen or business, and record ids", ExitCode.USAGE)
    registry, kind, *record_ids = source
    with connected(server) as client:
        found = client.translate_keys(registry, EntityKind(kind), record_ids, to)
    rows = list(zip(record_ids, found.statuses, found.target_record_ids, strict=True))
    if as_json:
        records = {record_id: {"status": str(status), "keys": list(keys)} for record_id, status, keys in rows}
        show({"records": records, "read_at": found.read_at}, as_json=True)
    else:
        no_key = f"no record of {to}"
        words = {
            record_id: list(keys) or (no_key if status is RecordStatus.FOUND else str(status))
            for record_id, status, keys in rows
        }
        show(words, as_json=False)
    if not any(found.target_record_ids):
        raise typer.Exit(ExitCode.FAILED)


def match(
    full_name: Annotated[str, typer.Option(help="Of a citizen.")] = "",
    birth_date: Annotated[str, typer.Option(help="In any of the feeds' forms.")] = "",
    sex: Annotated[str, typer.Option(help="M, F or U.")] = "",
    personal_id: Annotated[str, typer.Option(help="CCCD, or a CMND in its place.")] = "",
    social_insurance_no: Annotated[str, typer.Option(help="BHXH number.")] = "",
    health_card: Annotated[str, typer.Option(help="BHYT code.")] = "",
    legal_name: Annotated[str, typer.Option(help="Of a business; searches businesses.")] = "",
    tax_code: Annotated[str, typer.Option(help="Of a business; searches businesses.")] = "",
    phone: Annotated[str, typer.Option(help="Of either.")] = "",
    address: Annotated[str, typer.Option(help="Of either.")] = "",
    ward_code: Annotated[str, typer.Option(help="Official unit code, old or new.")] = "",
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Search for whom a description may be of; nothing is written.

    \b
    Examples:
      mdm match --full-name "Nguyễn Thị Thu Hà" --birth-date 1987-03-02 --sex F
      mdm match --legal-name "Công ty TNHH Minh Anh" --tax-code 0312345678
    """
    from mdm_client import (
        Address,
        AddressKind,
        BusinessAttributes,
        CitizenAttributes,
        Identifier,
        IdentifierType,
    )

    stated = {
        IdentifierType.PERSONAL_ID: personal_id,
        IdentifierType.SOCIAL_INSURANCE_NUMBER: social_insurance_no,
        IdentifierType.HEALTH_CARD: health_card,
        IdentifierType.TAX_CODE: tax_code,
    }
    if not any((full_name, birth_date, sex, *stated.values(), legal_name, phone, address, ward_code)):
        fail(
            "say whom to search for: --full-name, --birth-date, --sex, --personal-id, --social-insurance-no or "
            "--health-card of a citizen, --legal-name or --tax-code of a business, --phone, --address or --ward-code "
            "of either",
            ExitCode.USAGE,
        )
    is_business = bool(legal_name or tax_code)
    kind = AddressKind.HEAD_OFFICE if is_business else AddressKind.CONTACT
    lists: dict[str, Any] = {
        "identifiers": tuple(Identifier(type_, value) for type_, value in stated.items() if value),
        "phones": (phone,) if phone else (),
        "addresses": (Address(kind, address, ward_code),) if address or ward_code else (),
    }
    attributes: CitizenAttributes | BusinessAttributes
    if is_business:
        if full_name or birth_date or sex:
            fail("describe either a citizen or a business, not both", ExitCode.USAGE)
        attributes = BusinessAttributes(legal_name=legal_name, **lists)
    else:
        attributes = CitizenAttributes(full_name=full_name, birth_date=birth_date, sex=sex, **lists)
    with connected(server) as client:
        found = client.match(attributes)
    result: dict[str, Any] = {
        "candidates": [_candidate(item) for item in found.candidates],
        "scored_count": found.scored_count,
        "truncated_blocks": [block.rule for block in found.truncated_blocks],
        "values_not_used": {issue.field: issue.rule for issue in found.value_issues},
    }
    if not as_json:
        result["candidates"] = {item.golden_id: _in_words(item) for item in found.candidates} or _nobody(found)
    show(result, as_json=as_json)


def _nobody(found: MatchResult) -> str:
    """Say that nobody was found, and where nobody was even compared what it would take."""
    if found.scored_count:
        return "nobody comes near"
    return "nobody shares enough to be compared: a name counts beside a birth date, a number, a phone or an address"


def shown_golden_record(record: GoldenRecord, *, with_alternatives: bool = False) -> dict[str, Any]:
    """Return what a command shows of a golden record."""
    shown: dict[str, Any] = {
        "golden_id": record.golden_id,
        "status": "erased" if record.is_erased else str(record.status),
        "kind": str(record.kind),
        "values": _values(record),
        "members": [f"{item.key.registry} {item.key.kind} {item.key.record_id}" for item in record.members],
        "absorbed_golden_ids": list(record.absorbed_golden_ids),
        "potential_match_count": record.potential_match_count,
        "read_at": record.read_at,
    }
    if with_alternatives:
        shown["alternatives"] = {
            f"{value.field} {place}": f"{each.value}  ({each.source.registry}, lost by {each.lost_by})"
            for value in record.values
            for place, each in enumerate(value.alternatives, start=1)
        }
    return shown


def _values(record: GoldenRecord) -> dict[str, str]:
    """Return each value by its path; further ones of a repeated field are numbered."""
    shown: dict[str, str] = {}
    places: Counter[str] = Counter()
    for value in record.values:
        places[value.field] += 1
        place = places[value.field]
        shown[value.field if place == 1 else f"{value.field} {place}"] = f"{value.value}  ({_origin(value)})"
    return shown


def _origin(value: GoldenValue) -> str:
    if value.is_pinned:
        return "pinned by a steward"
    if value.decided_by is value.decided_by.UNSPECIFIED:
        return value.source.registry
    return f"{value.source.registry}, by {value.decided_by}"


def _candidate(candidate: MatchCandidate) -> dict[str, Any]:
    return {
        "golden_id": candidate.golden_id,
        "grade": str(candidate.grade),
        "match_weight_bits": round(candidate.match_weight_bits, 2),
        "match_probability": candidate.match_probability,
        "veto": candidate.veto,
        "comparisons": {item.field: round(item.match_weight_bits, 2) for item in candidate.comparisons},
    }


def _in_words(candidate: MatchCandidate) -> str:
    differing = [item.field for item in candidate.comparisons if item.agreement.value == "differs"]
    parts = [str(candidate.grade), f"{candidate.match_weight_bits:+.1f} bits"]
    parts += [f"differs in {', '.join(differing)}"] if differing else []
    parts += [candidate.veto] if candidate.veto else []
    return " · ".join(parts)
