"""`mdm relink`, `mdm relink plan`, `mdm relink commit`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, progress, show

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.results import RelinkReport, RelinkRun

_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the impact report as JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_STEPS = 100
"""Progress is a share; it is shown in hundredths."""

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def relink(
    context: typer.Context,
    max_churn: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Stop when more than this percentage of the golden IDs would change."),
    ] = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Link all records anew and change only what must change; plan and commit in one.

    \b
    Examples:
      mdm relink                      pending records get their golden IDs, fragments close
      mdm relink plan                 says what would change and prints the plan's name
      mdm relink commit RUN           commits that plan exactly as reviewed

    A plan that --max-churn stops stays and can be committed by name; the exit code is then 4.
    """
    if context.invoked_subcommand is not None:
        return
    with connected(server) as client:
        planned = _watched(client, client.relink.plan())
        planned_report = client.relink.report(planned.run_id)
        if max_churn is not None and _churn_percent(planned_report) > max_churn:
            show(_report(planned_report), as_json=as_json)
            command = f"mdm relink commit {planned.run_id} --server {server}"
            fail(
                f"more than --max-churn {max_churn:g} % would change; commit it with: {command}",
                ExitCode.STOPPED_BY_GATE,
            )
        committed = _watched(client, client.relink.commit(planned.run_id, planned.plan_digest))
        show(_report(client.relink.report(committed.run_id)), as_json=as_json)


@app.command()
def plan(server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Compute what a re-linkage would change, and change nothing."""
    with connected(server) as client:
        planned = _watched(client, client.relink.plan())
        show(_report(client.relink.report(planned.run_id)), as_json=as_json)


@app.command()
def commit(
    run: Annotated[str, typer.Argument(help="The plan's name, as `relink plan` printed it.")],
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Commit a plan exactly as reviewed, or resume a commit that was cut off."""
    with connected(server) as client:
        committed = _watched(client, client.relink.commit(run))
        show(_report(client.relink.report(committed.run_id)), as_json=as_json)


def _watched(client: Client, run: RelinkRun) -> RelinkRun:
    """Show a run's progress until it waits or ends; end the command if it failed."""
    with progress() as say:
        for seen in client.relink.watch(run.run_id):
            run = seen
            say(run.stage or str(run.state), round(run.progress_fraction * _STEPS), _STEPS)
    if run.state.value in {"failed", "cancelled"}:
        fail(f"re-linkage {run.run_id} {run.state}{': ' if run.error_reason else ''}{run.error_reason}")
    return run


def _churn_percent(report: RelinkReport) -> float:
    """Return how many of the golden IDs before would be merged or lose members, in per cent."""
    before = sum(impact.golden_record_count_before for impact in report.impacts)
    changed = sum(impact.merged_golden_id_count + impact.split_golden_id_count for impact in report.impacts)
    return 100 * changed / before if before else 0.0


def _report(report: RelinkReport) -> dict[str, Any]:
    from mdm_client import EntityKind

    run = report.run
    answer: dict[str, Any] = {
        "run": run.run_id,
        "state": str(run.state),
        "plan_digest": run.plan_digest,
        "components": run.component_count,
        "components_committed": run.committed_component_count,
        "components_dropped": run.dropped_component_count,
        "token": run.token,
    }
    for impact in report.impacts:
        facts = dataclasses.asdict(impact)
        facts.pop("kind")
        name = "all kinds" if impact.kind is EntityKind.UNSPECIFIED else str(impact.kind)
        answer[name] = {fact: value for fact, value in facts.items() if value != ""}
    return answer
