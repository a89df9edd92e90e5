"""`mdm relink` with `plan`, `commit`, `cancel` and `revert`."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, progress, show
from mdm.cli.relink_report import details_of, examples_in_words, reversal_in_words

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.relink_results import RelinkImpact, RelinkReport, RelinkRun

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
    "unchanged_golden_id_count": "golden IDs that keep exactly their records",
    "potential_match_count": "questions opened for a steward",
    "closed_potential_match_count": "questions closed",
    "scored_pair_count": "pairs of records weighed",
    "refused_link_count": "links refused, because a veto forbids them",
    "largest_member_count": "records in the largest golden record",
    "model_origin": "weights",
    "model_digest": "model",
    "epoch_digest": "statistics",
}

_CHANGES = (
    *("pending_record_count", "created_golden_id_count", "merged_golden_id_count", "split_golden_id_count"),
    *("restored_golden_id_count", "moved_record_count", "potential_match_count", "closed_potential_match_count"),
)

app = typer.Typer(rich_markup_mode=None)


def _bytes(text: str) -> int:
    """Return how many bytes a size such as `8GiB` or `512 MiB` means."""
    found = re.fullmatch(r"(\d+)\s*(?:([KMGT])i?B?|B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise typer.BadParameter("is no size: write for example 8GiB")
    return int(found[1]) << (10 * (" KMGT".index(found[2].upper()) if found[2] else 0))


_MaxChurn = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Commit nothing if more than this percentage of the golden IDs would change."),
]
_Cores = Annotated[
    int,
    typer.Option(min=0, help="Processor cores that the plan may keep busy; all unless told otherwise, below all else."),
]
_MemoryLimit = Annotated[
    int | None,
    typer.Option(
        parser=_bytes,
        metavar="SIZE",
        help="Memory that the plan may take, such as 8GiB; by default 4GiB, or what the records need.",
    ),
]


@app.callback(invoke_without_command=True)
def relink(
    context: typer.Context,
    max_churn: _MaxChurn = None,
    memory_limit: _MemoryLimit = None,
    cores: _Cores = 0,
    learn: _Learn = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Link all records anew and change only what must change; plan and commit in one.

    \b
    Examples:
      mdm relink                      pending records get their golden IDs, fragments close
      mdm relink plan                 says what would change, with examples, and prints the plan's name
      mdm relink commit RUN           commits that plan exactly as reviewed
      mdm relink cancel RUN           drops a plan, made or in the making, or stops a commit
      mdm relink revert RUN           gives every golden ID back as it was before that run

    What is shown by kind is as planned: what changed since the plan is left as it is, and counted as dropped.
    A run that is under way already, or that a killed service takes up again, is watched instead of a new one started.
    A plan that --max-churn stops stays and can be committed by name; the exit code is then 4.
    """
    if context.invoked_subcommand is not None:
        return
    with connected(server) as client:
        run = _planned(client, memory_limit, cores, is_learning=learn)
        if run.state.value == "planned":
            run = _committed(client, run, max_churn, server, as_json=as_json)
        _show(client.relink.report(run.run_id), as_json=as_json)


@app.command()
def plan(
    memory_limit: _MemoryLimit = None,
    cores: _Cores = 0,
    learn: _Learn = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Compute what a re-linkage would change, and change nothing.

    Prints the plan's name, what changes by kind and registry, how large golden records are before and after, and a few
    examples of each kind of change, those first that the least weight holds together: source keys, golden IDs and the
    levels that decided. What it prints is therefore personal data.

    \b
    Examples:
      mdm relink plan
      mdm relink plan --memory-limit 8GiB --cores 1
      mdm relink plan --json | jq .examples
    """
    with connected(server) as client:
        _show(
            client.relink.report(_planned(client, memory_limit, cores, is_learning=learn).run_id),
            as_json=as_json,
            has_details=True,
        )


@app.command()
def commit(
    run: Annotated[str, typer.Argument(help="The plan's name, as `relink plan` or `relink revert` printed it.")],
    max_churn: _MaxChurn = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Commit a plan exactly as reviewed, or resume a commit that was cut off. Done already, it is left as it is.

    \b
    Examples:
      mdm relink commit 20261125T101500-a1b2c3
      mdm relink commit 20261125T101500-a1b2c3 --max-churn 0.5
    """
    with connected(server) as client:
        found = client.relink.get(run)
        if found.state.value == "committed":
            # Whoever lost the first answer asks again: the plan stands as asked for, so this is no error.
            note(f"{run} was committed already")
        else:
            _committed(client, found, max_churn, server, as_json=as_json)
        _show(client.relink.report(run), as_json=as_json)


@app.command()
def cancel(
    run: Annotated[str, typer.Argument(help="The run's name, as it was printed; mdm status names the last one.")],
    server: _Server = _DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
) -> None:
    """Stop a run: a plan in the making, a plan that waits for its commit, or a commit that is under way.

    What was committed stays, each component whole; mdm relink revert takes that back. Working files and plan go at
    once. Exit code 1 if the run came to its end before; one that was cancelled already is left as it is.

    \b
    Examples:
      mdm relink cancel 20261125T101500-a1b2c3
      mdm relink cancel "$(mdm status --json | jq -r .last_relink.run_id)"
    """
    with connected(server) as client:
        found = client.relink.cancel(run)
    if found.state.value != "cancelled":
        advice = f"; take it back with: mdm relink revert {run} --server {server}"
        fail(f"{run} is {found.state} already{advice if found.state.value == 'committed' else ''}")
    show(_facts(found), as_json=as_json)


@app.command()
def revert(
    run: Annotated[str, typer.Argument(help="The committed run.")],
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come back, and change nothing.")
    ] = False,
    max_churn: _MaxChurn = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take a re-linkage back: every golden ID is again what it was before it.

    A component in which a record or golden ID changed since, or a steward judged, stays as it is and is counted. IDs
    that the run issued are retired, except where records that were pending before hold them: an answer once given
    stays. Model and statistics are again those of before, unless others were activated since. It is a run of its own,
    watched, resumed and committed like any other.

    \b
    Examples:
      mdm relink revert 20261125T101500-a1b2c3 --dry-run
      mdm relink revert 20261125T101500-a1b2c3
    """
    with connected(server) as client:
        reversal = _watched(client, client.relink.revert(run))
        if not is_dry_run:
            _committed(client, reversal, max_churn, server, as_json=as_json)
        _show(client.relink.report(reversal.run_id), as_json=as_json)


def _planned(client: Client, memory_limit: int | None, cores: int, *, is_learning: bool) -> RelinkRun:
    """Start a run, or find the one that is under way, and watch it until it is planned or committed."""
    from mdm_client import FailedPreconditionError

    try:
        run = client.relink.plan(is_learning=is_learning, memory_limit_bytes=memory_limit or 0, core_count_max=cores)
    except FailedPreconditionError as error:
        if error.reason != "RELINK_RUNNING":
            raise
        run = client.relink.get()
        if run.reverts_run_id:
            fail(f"{run.run_id}, which takes {run.reverts_run_id} back, is under way; wait for it")
        note(f"re-linkage {run.run_id} is under way already; watching it")
    return _watched(client, run)


def _committed(client: Client, run: RelinkRun, max_churn: float | None, server: str, *, as_json: bool) -> RelinkRun:
    from mdm_client import FailedPreconditionError

    try:
        begun = client.relink.commit(run.run_id, run.plan_digest, max_churn_percent=max_churn)
    except FailedPreconditionError as error:
        if error.reason != "RELINK_CHURN_EXCEEDED":
            raise
        _show(client.relink.report(run.run_id), as_json=as_json, has_details=True)
        command = f"mdm relink commit {run.run_id} --server {server}"
        fail(f"more than --max-churn {max_churn:g} % would change; commit it with: {command}", ExitCode.STOPPED_BY_GATE)
    return _watched(client, begun)


def _watched(client: Client, run: RelinkRun) -> RelinkRun:
    """Show a run's progress until it waits or ends; end the command if it failed."""
    stage = ""
    try:
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
    except KeyboardInterrupt:
        rest = "run the same command again to watch it, or mdm relink cancel to end it"
        fail(f"interrupted; re-linkage {run.run_id} goes on in the service: {rest}", ExitCode.INTERRUPTED)
    if run.state.value in {"failed", "cancelled"}:
        reason = f": {run.error_reason}" if run.error_reason else ""
        if run.error_reason == "LIMIT_EXCEEDED" and not run.reverts_run_id:
            reason += "; its memory, or the disk that it spills to, was too little: --memory-limit gives it more memory"
        fail(f"re-linkage {run.run_id} {run.state}{reason}")
    return run


def _facts(run: RelinkRun) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "state": str(run.state),
        "takes_back": run.reverts_run_id,
        "plan_digest": run.plan_digest,
        "components": run.component_count,
        "components_committed": run.committed_component_count,
        "components_dropped": run.dropped_component_count,
        "token": run.token,
    }


def _show(report: RelinkReport, *, as_json: bool, has_details: bool = False) -> None:
    facts = _facts(report.run) | {"churn_percent": round(report.churn_percent, 3)}
    if as_json:
        details = dataclasses.asdict(dataclasses.replace(report, impacts=()))
        whole = {name: details[name] for name in ("examples", "dropped", "reversal") if details[name]}
        show(facts | {_kind(impact): _counts(impact) for impact in report.impacts} | whole, as_json=True)
        return
    shown = {name: value for name, value in facts.items() if value != 0 and name != "token"}
    for impact in report.impacts:
        shown[f"{_kind(impact)}, as planned"] = _in_words(impact)
        if has_details:
            shown |= details_of(impact)
    if report.reversal is not None:
        shown["taken back"] = reversal_in_words(report.reversal)
    if has_details:
        shown |= examples_in_words(report.examples)
    for number, keys in enumerate(report.dropped, start=1):
        shown[f"dropped component {number}"] = [f"{key.registry} {key.record_id}" for key in keys]
    show(shown, as_json=False)


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
