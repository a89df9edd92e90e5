"""The application: every command in one place, and how errors become exit codes.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done with rejected rows · 4 stopped by a gate · 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

import typer
from typer.main import get_command_name, get_group
from typer.models import CommandInfo, TyperInfo

from mdm.cli import (
    audit,
    backup,
    configuration,
    doctor,
    erase,
    explain,
    export,
    health,
    history,
    loads,
    maintenance,
    model,
    query,
    registry,
    relations,
    relink,
    review,
    serve,
    status,
    steward,
    survivorship,
    synth,
    train,
    upgrade,
    watch,
)
from mdm.cli.connection import reach_services
from mdm.cli.output import ExitCode, complain
from mdm.cli.settings import PREFIX
from mdm.errors import ConfigurationError, MdmError, UnknownRegistryError

_HELP = """Four registries in, golden IDs out.

\b
Start a service, write a small city, load it, and look a patient up:
  mdm serve --data ./data &
  mdm synth --citizens 5000 --seed 1 ./city
  mdm load household.residents ./city/household.residents.csv
  mdm load hospital.patients ./city/hospital.patients.csv
  mdm lookup hospital citizen BV006.26.106204

\b
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done with rejected rows ·
4 stopped by a gate · 130 interrupted.
"""


def application() -> typer.Typer:
    """Return the application with all its commands."""
    # Rich tracebacks print local variables, which hold personal data.
    app = typer.Typer(
        help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False
    )
    app.command("serve", context_settings={"auto_envvar_prefix": PREFIX})(serve.serve)
    app.add_typer(configuration.app, name="config")
    app.command("health")(health.health)
    app.command("status")(status.status)
    app.command("doctor")(doctor.doctor)
    app.add_typer(loads.app, name="load")
    app.add_typer(relink.app, name="relink")
    app.add_typer(export.app, name="export")
    app.command("lookup")(query.lookup)
    app.command("translate")(query.translate)
    app.command("match")(query.match)
    app.command("watch")(watch.watch)
    app.command("household")(relations.household)
    app.command("relations")(relations.relations)
    app.command("why")(explain.why)
    app.command("why-not")(explain.why_not)
    app.command("how")(explain.how)
    app.command("history")(history.history)
    app.command("get")(history.get)
    app.command("synth")(synth.synth)
    app.command("train")(train.train)
    app.add_typer(model.app, name="model")
    app.add_typer(survivorship.app, name="survivorship")
    app.add_typer(registry.app, name="registry")
    app.add_typer(audit.app, name="audit")
    app.command("erase")(erase.erase)
    app.add_typer(review.app, name="review")
    app.command("judge")(steward.judge)
    app.add_typer(steward.judgements, name="judgements")
    for act in (steward.merge, steward.unmerge, steward.split, steward.move, steward.pin, steward.unpin):
        app.command()(act)
    app.command("backup")(backup.backup)
    app.command("restore")(backup.restore)
    app.command("verify")(maintenance.verify)
    app.command("rebuild")(maintenance.rebuild)
    app.command("upgrade")(upgrade.upgrade)
    if find_spec("mdm.cli.demo") is not None:
        app.command(
            "demo",
            help="Show all of it on a small city: load, re-link, explain, crash, recover.",
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
        )(_demo)
    return app


def run() -> None:
    """Run the command line and exit with its code."""
    try:
        app = application()
        _narrow(app, sys.argv[1:2])
        command = get_group(app)
        reach_services(command)
        command()
    except (ConfigurationError, UnknownRegistryError) as error:
        _end(f"{error}", ExitCode.USAGE)
    except MdmError as error:
        _end(f"{error}", ExitCode.FAILED)
    except KeyboardInterrupt:
        _end("interrupted", ExitCode.INTERRUPTED)
    except SystemExit as end:
        # Typer ends a command that is interrupted without a word.
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            complain("interrupted")
        raise
    except Exception as error:  # noqa: BLE001 – the last place where an error can become a line and a code
        if (place := _undecodable(sys.argv)) and _cannot_be_sent(error):
            _end(f"argument {place} is not UTF-8", ExitCode.USAGE)
        _end(_client_message(error) or _defect(error), ExitCode.FAILED)


def _narrow(app: typer.Typer, named: list[str]) -> None:
    """Leave of all commands the one that is named, if there is such a one: Typer takes 0.1 s to build them all."""
    names = {*map(_name_of, app.registered_commands), *map(_name_of, app.registered_groups)}
    if not names.isdisjoint(named):
        # `mdm config` tells of the options of serve.
        kept = {*named, "serve"}
        app.registered_commands = [info for info in app.registered_commands if _name_of(info) in kept]
        app.registered_groups = [info for info in app.registered_groups if _name_of(info) in kept]


def _name_of(info: CommandInfo | TyperInfo) -> str:
    return str(info.name) if info.name or info.callback is None else get_command_name(info.callback.__name__)


def _undecodable(arguments: list[str]) -> int:
    """Return which of the arguments behind the command's name is not UTF-8, 0 if all are."""
    # A path need not be, so that nothing is refused before it was to be sent.
    return next((place for place, each in enumerate(arguments) if not _is_encodable(each)), 0)


def _cannot_be_sent(error: Exception) -> bool:
    from mdm_client import InvalidArgumentError

    return isinstance(error, UnicodeEncodeError | InvalidArgumentError)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _client_message(error: Exception) -> str:
    """Return the text of the client's own errors, which hold no values; empty for any other error."""
    from mdm_client import MdmError as ClientError
    from mdm_client import ServiceError

    if isinstance(error, ServiceError) and error.field_violations:
        return "; ".join(f"{item.field}: {item.rule}" for item in error.field_violations)
    if isinstance(error, ClientError):
        return str(error)
    return f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.strerror else ""


def _defect(error: Exception) -> str:
    """Return the type of an unforeseen error and where it arose; its text may quote a value and is left out."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_globals.get('__name__')} line {trace.tb_lineno}" if trace else ""
    return f"unforeseen {type(error).__name__}{place}; please report it"


def _end(message: str, code: ExitCode) -> NoReturn:
    complain(message)
    sys.exit(code)


def _demo(context: typer.Context) -> None:
    from importlib import import_module

    # Its options are its own module's; importing it here would slow every other command down.
    command = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
    command.command()(import_module("mdm.cli.demo").demo)
    command(context.args, prog_name="mdm demo")
