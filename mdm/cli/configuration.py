"""`mdm config`: what counts for `mdm serve`, and all settings with their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mdm.cli.connection import SERVER_VARIABLE, options
from mdm.cli.output import show as print_result
from mdm.cli.output import tell, tell_document
from mdm.cli.settings import CONFIG, PREFIX, settings_of

app = typer.Typer(no_args_is_help=True, help="Settings of the service and of the commands that speak to it.")

_SOURCES = {"COMMANDLINE": "option", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file", "DEFAULT": "default"}

_INTRODUCTION = f"""# Configuration

Every setting of the service has three names: an option of `mdm serve`, an environment variable, and a key in a TOML
file. The option counts before the variable, the variable before the file, the file before the default. A key that is no
setting stops the start and is told the nearest name, and so does a variable that begins with `{PREFIX}_`.
`mdm config show` takes the options of `mdm serve` and says what would count, and where it comes from. What is changed
counts from the next start on; certificates alone are renewed in place.

This document is what `mdm config reference` prints.

```toml
# /etc/mdm/serve.toml, for: mdm serve --config /etc/mdm/serve.toml
data = "/var/lib/mdm"
listen = "0.0.0.0:50051"
tls_certificate = "tls/service.crt"   # a relative path begins at the file's directory
tls_key = "tls/service.key"
tls_client_ca = "tls/callers.crt"
```

## The service: `mdm serve`

| option | key in the file | environment variable | default | meaning |
|---|---|---|---|---|
"""

_CONNECTION = """
## Commands that speak to it

Every command that has `--server` has these too, and no file. Naming an authority or a certificate encrypts. `--actor`
and `--purpose` are recorded with what the command writes, as asserted.

| option | environment variable | default | meaning |
|---|---|---|---|
"""


@app.command("show", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def show(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Say what would count for mdm serve, given the same options, and where each value comes from.

    \b
    Examples:
      mdm config show --data ./data
      mdm config show --config /etc/mdm/serve.toml --workers 2 --json
    """
    command = _serve(context)
    with command.make_context("mdm serve", list(context.args)) as effective:
        found = {}
        for setting in settings_of(command):
            name = setting.key or CONFIG
            source = _SOURCES[effective.get_parameter_source(name).name]
            value = effective.params[name]
            found[name] = {
                "value": str(value) if isinstance(value, Path) else value,
                "source": f"environment {setting.variable}" if source == "environment" else source,
            }
    if as_json:
        print_result(found, as_json=True)
        return
    width = max(map(len, found))
    for name, each in found.items():
        tell(f"{name:<{width}}  {_in_words(each['value'])}  ({each['source']})")


@app.command("reference")
def reference(context: typer.Context) -> None:
    """Print every setting with its option, its key in a file and its environment variable, as Markdown.

    \b
    Example:
      mdm config reference > configuration.md
    """
    tell_document("".join(_reference(_serve(context))))


def _reference(command: Any) -> Iterator[str]:
    yield _INTRODUCTION
    for setting in settings_of(command):
        names = f"`{setting.option}` | {f'`{setting.key}`' if setting.key else '–'} | `{setting.variable}`"
        yield f"| {names} | {_default(setting.default)} | {setting.meaning} |\n"
    yield _CONNECTION
    yield f"| `--server` | `{SERVER_VARIABLE}` | `127.0.0.1:50051` | HOST:PORT of the service. |\n"
    for option in options():
        yield f"| `{option.opts[0]}` | `{option.envvar}` | {_default(option.default)} | {option.help} |\n"


def _serve(context: typer.Context) -> Any:
    root: Any = context.find_root().command
    return root.commands["serve"]


def _default(value: Any) -> str:
    return "–" if value in {None, ""} else f"`{_in_words(value)}`"


def _in_words(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
