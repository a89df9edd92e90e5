"""`mdm audit sample`, `mdm audit label`, `mdm audit report`: how right the links are, judged by people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdm.cli.output import ExitCode, fail, note, progress, show

if TYPE_CHECKING:
    from mdm.resolve.audit.estimates import Total
    from mdm.resolve.audit.report import Counts, RegistryPair, Report, Share

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_KEY_FILE = "audit.key.json"


@app.callback()
def _group() -> None:
    """Find out how right the links are where no truth is known: two people judge a sample of pairs.

    \b
    Examples:
      mdm audit sample --data ./data ./audit              writes audit.A.csv, audit.B.csv and audit.key.json
      mdm audit label ./audit/audit.A.csv                 one reviewer; the other takes audit.B.csv
      mdm audit report ./audit/audit.key.json ./audit/audit.A.csv ./audit/audit.B.csv
    """


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if it is not there.")],
    data: Annotated[Path, typer.Option(help="The service's directory; the service may be running.")],
    kind: Annotated[Literal["citizen", "business"], typer.Option(help="Whose links are judged.")] = "citizen",
    size: Annotated[int, typer.Option(help="Pairs to judge: half of them linked, half apart.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed draws another sample.")] = 1,
    search: Annotated[
        int,
        typer.Option(min=0, help="Records compared with every other one, to find what blocking misses; 0 for none."),
    ] = 200,
    memory_limit: Annotated[str, typer.Option(help="Of DuckDB's buffers.")] = "2GB",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was drawn as JSON.")] = False,
) -> None:
    """Draw a stratified sample of links and near misses for two reviewers who don't know which is which.

    \b
    Examples:
      mdm audit sample --data ./data ./audit
      mdm audit sample --data ./data --kind business --size 400 --seed 7 ./audit-of-firms

    Each reviewer gets the same pairs, in another order and with sides swapped. The files hold personal data and are
    readable by their owner alone; the key holds none, and must stay away from reviewers. The search takes 5 to 10 µs
    a pair: 200 records among 300,000 take 5 to 10 minutes.
    """
    from mdm.domain.keys import EntityKind
    from mdm.resolve.audit.sampling import sample as draw
    from mdm.resolve.audit.sheets import REVIEWERS, save_key, sheets_of

    sheets = {reviewer: out / f"audit.{reviewer}.csv" for reviewer in REVIEWERS}
    for path in (*sheets.values(), out / _KEY_FILE):
        if path.exists():
            fail(f"{path} is there already, and may hold labels: name another directory", ExitCode.USAGE)
    with progress() as say:
        audit = draw(
            data,
            EntityKind(kind),
            size=size,
            seed=seed,
            searched=search,
            memory_limit=memory_limit,
            progress=say,
        )
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for reviewer, sheet in sheets_of(audit).items():
        sheet.save(sheets[reviewer])
    save_key(audit.key, out / _KEY_FILE)
    drawn = {stratum.title: f"{stratum.items:,} of {stratum.population:,}" for stratum in audit.key.strata}
    show(
        {
            "audit": audit.key.audit,
            "items": len(audit.key.items),
            "read_seq": audit.key.read_seq,
            "files": [str(path) for path in (*sheets.values(), out / _KEY_FILE)],
            "strata": drawn,
        },
        as_json=as_json,
    )
    note("audit.A.csv and audit.B.csv hold personal data: hand each to its reviewer alone, and delete them afterwards")


@app.command()
def label(
    file: Annotated[Path, typer.Argument(help="A reviewer's sheet.")],
) -> None:
    """Show one pair after another and write down what you say: same, different or unsure.

    \b
    Example:
      mdm audit label ./audit/audit.A.csv

    Each answer is saved at once, so stop when you like; the same command goes on where you stopped. The label column
    can be filled in a spreadsheet as well.
    """
    from mdm.cli.audit_label import label as work

    work(file)


@app.command()
def report(
    key: Annotated[Path, typer.Argument(help="audit.key.json of the draw.")],
    first: Annotated[Path, typer.Argument(metavar="A.csv", help="One reviewer's labelled sheet.")],
    second: Annotated[Path, typer.Argument(metavar="B.csv", help="The other's.")],
    adjudicated: Annotated[
        Path | None, typer.Option(help="A third person's sheet of the disagreements, labelled.")
    ] = None,
    disagreements: Annotated[
        Path | None, typer.Option(help="Write a sheet of the pairs that need a third opinion here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say how right the links are: precision and recall with 95 % bounds, and how far the reviewers agree.

    \b
    Examples:
      mdm audit report audit.key.json audit.A.csv audit.B.csv --disagreements audit.C.csv
      mdm audit label audit.C.csv
      mdm audit report audit.key.json audit.A.csv audit.B.csv --adjudicated audit.C.csv --json

    Pairs that stay unsettled are counted against the links and for them; the bounds hold both.
    """
    import msgspec

    from mdm.resolve.audit.agreement import disagreements as disagreeing
    from mdm.resolve.audit.report import evaluate
    from mdm.resolve.audit.sheets import Sheet, labels_of, read_key, read_sheet

    if disagreements is not None and disagreements.exists():
        fail(f"{disagreements} is there already, and may hold labels: name another file", ExitCode.USAGE)
    drawn = read_key(key)
    one, other = labels_of(first, drawn), labels_of(second, drawn)
    asked = dict.fromkeys(disagreeing(one, other))
    third = labels_of(adjudicated, drawn, asked) if adjudicated is not None else {}
    found = evaluate(drawn, one, other, third)
    if disagreements is not None and asked:
        handed_out = read_sheet(first)
        rows = [msgspec.structs.replace(row, label="", comment="") for row in handed_out.rows if row.item in asked]
        Sheet(handed_out.fields, rows).save(disagreements)
        note(f"{disagreements} holds personal data: hand it to a third reviewer alone, and delete it afterwards")
    if as_json:
        show(msgspec.to_builtins(found), as_json=True)
    else:
        _show(found)


def _show(found: Report) -> None:
    """Print what a reader asks first, in that order."""
    agreed = found.agreement
    kappa = "not defined: one label throughout"
    if agreed.kappa is not None:
        kappa = f"{agreed.kappa:.3f} (95 %: {agreed.kappa_lower:.3f} to {agreed.kappa_upper:.3f})"
    facts: dict[str, Any] = {
        "audit": f"{found.audit}, {found.item_count:,} pairs of {found.kind} records, drawn at seq {found.read_seq:,}",
        "agreement": f"{100 * agreed.agreed_count / agreed.item_count:.1f} %, kappa {kappa}",
        "disagreements": len(found.disagreements) or "none",
        "unsettled": f"{found.unsettled_count:,}; --disagreements FILE, a third opinion, then --adjudicated FILE"
        if found.unsettled_count
        else "none",
        "precision": _share(found.precision),
        "recall": _share(found.recall),
        "recall with reviews": _share(found.recall_with_reviews),
        "missed by blocking": _missed(found.missed_by_blocking),
        "strata": {counts.stratum: _counts(counts) for counts in found.strata},
        "registries": {name: _registry_pair(pair) for name, pair in found.registries.items()},
        "items for a third opinion": list(found.disagreements) if found.unsettled_count else (),
        "outside": _outside(found),
    }
    show(facts, as_json=False)


def _share(share: Share | None) -> str:
    if share is None:
        return "nothing to count"
    low, high = f"{share.estimate_min:.4f}", f"{share.estimate_max:.4f}"
    estimate = low if low == high else f"{low} to {high}"
    return f"{estimate} (95 %: {share.lower:.4f} to {share.upper:.4f})"


def _missed(missed: Total | None) -> str:
    if missed is None:
        return "not searched for: recall counts only pairs that blocking makes"
    return f"{missed.estimate:,.0f} pairs (95 %: {missed.lower:,.0f} to {missed.upper:,.0f})"


def _counts(counts: Counts) -> str:
    unsure = f", {counts.unsure:,} unsettled" if counts.unsure else ""
    return f"{counts.items:,} of {counts.population:,}: {counts.same:,} same, {counts.different:,} different{unsure}"


def _registry_pair(pair: RegistryPair) -> str:
    if pair.precision is None:
        return f"{pair.items:,} items: too few"
    recall = "too few items" if pair.recall is None else _share(pair.recall)
    return f"{pair.items:,} items: precision {_share(pair.precision)}, recall {recall}"


def _outside(found: Report) -> dict[str, str]:
    below = f"below {found.match_weight_bits_min:g} bits"
    return {
        "pairs apart": f"{below}, taken as different; blocking made {found.below_pair_count:,} of them",
        "pending records": f"{found.pending_record_count:,}",
        "pairs that a steward judged": f"{found.judged_pair_count:,}",
    }
