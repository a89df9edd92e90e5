"""`mdm model`: which linkage model decides, what another would change, putting it in force and taking that back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdm.cli.output import ExitCode, connected, fail, show, tell, tell_document, tell_json

if TYPE_CHECKING:
    from mdm_client.model_results import ModelActivation, ModelComparison
    from mdm_client.wire_models import Model

_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_Kind = Annotated[Literal["citizen", "business"], typer.Option(help="What the model compares.")]
_Sample = Annotated[int, typer.Option(min=1, max=5000, help="Golden records to look at.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_DIGEST_CHARACTERS = 32
_SAMPLE = 1000

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def model() -> None:
    """See and steer which linkage model decides.

    \b
    From training to force, and back:
      mdm train --data ./copy new.json        learn a model
      mdm model compare new.json              what it would change, on a sample of the running city
      mdm model activate new.json --reason "trained on 2026 data"
      mdm model rollback --reason "reviews doubled"

    A model is named by its digest, or its first digits, as `mdm model list` shows it, or by a file.
    Activating a model changes no golden record by itself: later writes and the next `mdm relink` decide with it.
    Re-linkages use it as it is, until `mdm relink --learn` asks them to learn from the shipped model again.
    """


@app.command("list")
def list_models(
    kind: Annotated[Literal["citizen", "business"] | None, typer.Option(help="Only this kind.")] = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Show every model that was in force, the latest first."""
    from mdm_client import EntityKind

    with connected(server) as client:
        found = client.models.list(EntityKind(kind) if kind else None)
    if as_json:
        _print_json([_facts(each) for each in found.activations])
        return
    for each in found.activations:
        marks = [
            word
            for word, holds in (
                ("in force", each.is_in_force),
                ("pinned", each.is_pinned),
                ("roll-back", each.is_rollback),
                ("of another release", not each.is_usable),
            )
            if holds
        ]
        who = f"by {each.actor}" if each.actor else f"by {each.method}"
        said = [f"link {each.link_bits:g} bits", f"review {each.review_bits:g} bits", *marks]
        tell(f"{each.digest[:12]}  {each.kind:<8}  {each.activated_at:%Y-%m-%d %H:%M} UTC  {who}: {', '.join(said)}")
        for line in (each.source, each.reason):
            if line:
                tell(f"              {line}")
    for statistics in found.statistics:
        population = f"{statistics.population_count:,} golden records"
        tell(f"statistics    {statistics.kind:<8}  {statistics.digest[:12]}, {population}")


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Digest or file; without one, the model in force.")] = "",
    kind: _Kind = "citizen",
    out: Annotated[Path | None, typer.Option(help="Write the model file here.")] = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Show a model's thresholds and what each comparison level weighs; a file needs no service."""
    from mdm_client import EntityKind

    if name and Path(name).is_file():
        content = Path(name).read_bytes()
    else:
        with connected(server) as client:
            content = client.models.get(_digest(client, name), EntityKind(kind)).content
    if out is not None:
        out.write_bytes(content)
    if as_json:
        tell_document(content.decode())
        return
    _show_weights(content)


@app.command()
def compare(
    candidate: Annotated[str, typer.Argument(help="The model to judge: digest or file.")],
    base: Annotated[str, typer.Argument(help="What to compare it with; without one, the model in force.")] = "",
    sample: _Sample = _SAMPLE,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 1,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say what a model would change: pairs that change their band, by how much weights move, and what comes of it.

    \b
    Example:
      mdm model compare new.json
      mdm model compare new.json 4e1c --sample 5000

    Shows comparison levels such as birth=same and never a value. What stewards judged is left out: it stands under
    every model. How golden records would change exactly, `mdm relink plan` says once the model is in force.
    """
    with connected(server) as client:
        found = client.models.compare(
            _named(client, candidate), _named(client, base), sample_golden_record_count=sample, sample_ordinal=seed
        )
    _show_comparison(found, as_json=as_json)


@app.command()
def activate(
    name: Annotated[str, typer.Argument(help="Digest or file.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")] = "",
    max_band_changes: Annotated[
        float, typer.Option(min=0, max=100, help="Stop when more than this percentage of near pairs change their band.")
    ] = 2.0,
    force: Annotated[
        bool, typer.Option("--force", help="Activate in spite of --max-band-changes; needs --reason.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only.")] = False,
    sample: _Sample = _SAMPLE,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Put a model in force, unless a sanity gate stops it or it changes too much. Exit code 4 if it changes too much.

    \b
    Examples:
      mdm model activate new.json --dry-run
      mdm model activate new.json --reason "trained on 2026 data"
      mdm model activate new.json --force --reason "reviewed by sampling 500 pairs"
    """
    if force and not reason:
        fail("--force needs --reason", ExitCode.USAGE)
    with connected(server) as client:
        model = _named(client, name)
        checked = client.models.activate(model, sample_golden_record_count=sample, is_dry_run=True)
        comparison = checked.comparison
        changed = 100 * comparison.band_change_fraction if comparison else 0.0
        if dry_run or (changed > max_band_changes and not force):
            if comparison:
                _show_comparison(comparison, as_json=as_json)
            if changed > max_band_changes:
                fail(
                    f"{changed:.2f} % of the near pairs would change their band, more than --max-band-changes "
                    f"{max_band_changes:g} %; if that is meant: --force --reason …",
                    ExitCode.STOPPED_BY_GATE,
                )
            return
        done = client.models.activate(
            model,
            reason=reason,
            band_change_fraction_max=max_band_changes / 100,
            is_forced=force,
            sample_golden_record_count=sample,
        )
    _show_in_force(done.digest, done.comparison, done.token, as_json=as_json)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")],
    kind: _Kind = "citizen",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only.")] = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take the last activation back; run again, it takes the one before back.

    \b
    Example:
      mdm model rollback --kind citizen --reason "reviews doubled"
    """
    from mdm_client import EntityKind

    with connected(server) as client:
        done = client.models.rollback(EntityKind(kind), reason, is_dry_run=dry_run)
    _show_in_force(done.digest, done.comparison, done.token, as_json=as_json)


def _named(client: Any, name: str) -> Model:
    """Return what a user means: the content of a file, or a digest from its first digits."""
    return Path(name).read_bytes() if name and Path(name).is_file() else _digest(client, name)


def _digest(client: Any, name: str) -> str:
    if not name or len(name) == _DIGEST_CHARACTERS:
        return name
    found = sorted({each.digest for each in client.models.list().activations if each.digest.startswith(name)})
    if len(found) != 1:
        said = "is no file, and no model that was ever in force begins with it" if not found else "fits several models"
        fail(f"{name} {said}; see: mdm model list", ExitCode.USAGE)
    return str(found[0])


def _facts(each: ModelActivation) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(each) | {"activated_at": each.activated_at.isoformat()}


def _print_json(value: Any) -> None:
    tell_json(value)


def _show_weights(content: bytes) -> None:
    from math import log2

    document = json.loads(content)
    show({**document["thresholds"], **document["provenance"]}, as_json=False)
    for comparison in document["splink"]["comparisons"]:
        tell(comparison["output_column_name"])
        for level in comparison["comparison_levels"]:
            if level.get("is_null_level"):
                continue
            m, u = level["m_probability"], level["u_probability"]
            rarity = "  and how rare the value is" if level.get("tf_adjustment_column") else ""
            tell(f"  {level['label_for_charts']:<18} {log2(m / u):>+7.2f} bits   m {m:<9.3g} u {u:.3g}{rarity}")


def _show_in_force(digest: str, comparison: ModelComparison | None, token: str, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        _print_json({"digest": digest, "token": token, "comparison": asdict(comparison) if comparison else None})
        return
    if comparison:
        _show_comparison(comparison, as_json=False)
    show({"in force" if token else "would be in force": digest}, as_json=False)


def _show_comparison(found: ModelComparison, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        _print_json(asdict(found) | {"kind": str(found.kind)})
        return
    moved = {
        f"{each.before} → {each.after}": f"{each.pair_count:,} pairs"
        for each in found.changes
        if each.before is not each.after
    }
    show(
        {
            "base": found.base_digest,
            "candidate": found.candidate_digest,
            "golden records": f"{found.sampled_golden_record_count:,} of {found.golden_record_count:,} looked at",
            "pairs": f"{found.pair_count:,} weighed, {found.near_pair_count:,} near",
            "change their band": f"{found.band_change_fraction:.2%} of the near pairs",
            "by band": moved,
            "weight moves by": f"{found.shift_min_bits:+.2f} to {found.shift_max_bits:+.2f} bits, "
            f"most {found.shift_low_bits:+.2f} to {found.shift_high_bits:+.2f}, median {found.shift_median_bits:+.2f}",
            "golden records merged": f"about {found.merged_golden_record_count:,}",
            "golden records split": f"about {found.split_golden_record_count:,}",
            "largest moves": {
                f"{each.shift_bits:+.2f} bits, {each.before} → {each.after}, {each.pair_count} pairs": " ".join(
                    each.levels
                )
                for each in found.patterns
            },
        },
        as_json=False,
    )
