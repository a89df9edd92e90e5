"""`mdm relink`, `mdm relink plan`, `mdm relink commit`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, progress, show

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.results import RelinkImpact, RelinkReport, RelinkRun

_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the impact report as JSON.")]
_Learn = Annotated[
    bool, typer.Option("--learn", help="Learn weights anew even if an operator put a model in force (mdm model).")
]
_DEFAULT_SERVER = "127.0.0.1:50051"
_STEPS = 100
"""Progress is a share; it is shown in hundredths."""

_IMPACT_WORDS = {
    "record_count": "records looked at",
    "pending_record_count": "pending records that get a golden ID",
    "golden_record_count_before": "golden records before",
    "golden_record_count_after": "golden records after",
    "created_golden_id_count": "golden IDs issued",
    "merged_golden_id_count": "golden IDs merged into another",
    "split_golden_id_count": "golden IDs that lose records",
    "restored_golden_id_count": "golden IDs that answer for themselves again",
    "moved_record_count": "records that move to another golden ID",
    "potential_match_count": "questions opened for a steward",
    "scored_pair_count": "pairs of records weighed",
    "refused_link_count": "links refused, because a veto forbids them",
    "largest_member_count": "records in the largest golden record",
    "model_origin": "weights",
    "model_digest": "model",
    "epoch_digest": "statistics",
}

_CHANGES = (
    *("pending_record_count", "created_golden_id_count", "merged_golden_id_count", "split_golden_id_count"),
    *("restored_golden_id_count", "moved_record_count", "potential_match_count"),
)

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def relink(
    context: typer.Context,
    max_churn: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Stop when more than this percentage of the golden IDs would change."),
    ] = None,
    learn: _Learn = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Link all records anew and change only what must change; plan and commit in one.

    \b
    Examples:
      mdm relink                      pending records get their golden IDs, fragments close
      mdm relink plan                 says what would change and prints the plan's name
      mdm relink commit RUN           commits that plan exactly as reviewed

    What is shown by kind is as planned: what changed since the plan is left as it is, and counted as dropped.
    A plan that --max-churn stops stays and can be committed by name; the exit code is then 4.
    """
    if context.invoked_subcommand is not None:
        return
    with connected(server) as client:
        planned = _watched(client, client.relink.plan(is_learning=learn))
        planned_report = client.relink.report(planned.run_id)
        if max_churn is not None and _churn_percent(planned_report) > max_churn:
            _show(planned_report, as_json=as_json)
            command = f"mdm relink commit {planned.run_id} --server {server}"
            fail(
                f"more than --max-churn {max_churn:g} % would change; commit it with: {command}",
                ExitCode.STOPPED_BY_GATE,
            )
        committed = _watched(client, client.relink.commit(planned.run_id, planned.plan_digest))
        _show(client.relink.report(committed.run_id), as_json=as_json)


@app.command()
def plan(learn: _Learn = False, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Compute what a re-linkage would change, and change nothing."""
    with connected(server) as client:
        planned = _watched(client, client.relink.plan(is_learning=learn))
        _show(client.relink.report(planned.run_id), as_json=as_json)


@app.command()
def commit(
    run: Annotated[str, typer.Argument(help="The plan's name, as `relink plan` printed it.")],
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Commit a plan exactly as reviewed, or resume a commit that was cut off. Done already, it is left as it is."""
    with connected(server) as client:
        if client.relink.get(run).state.value == "committed":
            # Whoever lost the first answer asks again: the plan stands as asked for, so this is no error.
            note(f"{run} was committed already")
        else:
            _watched(client, client.relink.commit(run))
        _show(client.relink.report(run), as_json=as_json)


def _watched(client: Client, run: RelinkRun) -> RelinkRun:
    """Show a run's progress until it waits or ends; end the command if it failed."""
    stage = ""
    with progress() as say:
        for seen in client.relink.watch(run.run_id):
            run = seen
            if run.state.value in {"failed", "cancelled"}:
                break
            if stage and (not run.is_under_way or run.stage != stage):
                # A stage that another one follows is done, though nobody was told of its last step.
                say(stage, _STEPS, _STEPS)
            if run.is_under_way:
                stage = run.stage or str(run.state)
                say(stage, round(run.progress_fraction * _STEPS), _STEPS)
    if run.state.value in {"failed", "cancelled"}:
        fail(f"re-linkage {run.run_id} {run.state}{': ' if run.error_reason else ''}{run.error_reason}")
    return run


def _churn_percent(report: RelinkReport) -> float:
    """Return how many of the golden IDs before would be merged or lose members, in per cent."""
    before = sum(impact.golden_record_count_before for impact in report.impacts)
    changed = sum(impact.merged_golden_id_count + impact.split_golden_id_count for impact in report.impacts)
    return 100 * changed / before if before else 0.0


def _show(report: RelinkReport, *, as_json: bool) -> None:
    run = report.run
    facts: dict[str, Any] = {
        "run": run.run_id,
        "state": str(run.state),
        "plan_digest": run.plan_digest,
        "components": run.component_count,
        "components_committed": run.committed_component_count,
        "components_dropped": run.dropped_component_count,
        "token": run.token,
    }
    if as_json:
        show(facts | {_kind(impact): _counts(impact) for impact in report.impacts}, as_json=True)
        return
    shown = {name: value for name, value in facts.items() if value != 0 and name != "token"}
    show(shown | {f"{_kind(impact)}, as planned": _in_words(impact) for impact in report.impacts}, as_json=False)


def _kind(impact: RelinkImpact) -> str:
    return "all kinds" if impact.kind.value == "unspecified" else str(impact.kind)


def _counts(impact: RelinkImpact) -> dict[str, Any]:
    facts = dataclasses.asdict(impact)
    facts.pop("kind")
    return {fact: value for fact, value in facts.items() if value != ""}


def _in_words(impact: RelinkImpact) -> dict[str, Any]:
    """Return what a reader asks first, in that order; a count of nothing says nothing."""
    facts = _counts(impact)
    shown = {words: facts[name] for name, words in _IMPACT_WORDS.items() if facts.get(name)}
    for session in impact.sessions:
        settled = "settled" if session.is_converged else "not settled"
        said = f"{settled} after {session.iteration_count} iterations, last change {session.last_change:.1g}"
        shown[f"training on equal {'+'.join(session.columns)}"] = said if session.iteration_count else "no such pairs"
    for kept in impact.comparisons:
        if not kept.is_learned:
            shown[f"weights of {kept.comparison} kept"] = f"{kept.gate}: {kept.detail}"
    changes = {} if any(facts[name] for name in _CHANGES) else {"changes": "none"}
    return changes | {words: "yes" if value is True else value for words, value in shown.items()}
