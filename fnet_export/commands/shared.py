"""How a command shows what it does and how it ends: --quiet and --json, progress, a result, an error."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from fnet_runtime.bundle.strict_json import json_from_values
from rich.console import Console

from fnet_export.base.errors import OutputError
from fnet_export.base.progress import Bars, Lines, Progress, Quiet

Command = TypeVar("Command", bound=Callable[..., None])


def output_options(command: Command) -> Command:
    """Give a command --json and --quiet, as `as_json` and `quiet`."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the result, or the error, as one JSON object.")
    quiet = click.option("--quiet", is_flag=True, help="Print nothing but errors (and the JSON object with --json).")
    return as_json(quiet(command))


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Progress]:
    """Show progress on standard error: bars on a terminal, lines elsewhere, nothing where `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield Quiet() if quiet else Lines()
        return
    with Bars() as bars:
        yield bars


def console_of_result(*, as_json: bool, quiet: bool) -> Console:
    """Return what a result is shown on, which prints nothing where it is not for people."""
    return Console(quiet=as_json or quiet)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that are not finite, which JSON lacks, are null."""
    click.echo(json_from_values(values))


def fail(message: str, code: int, *, as_json: bool, more: Mapping[str, Any] | None = None) -> NoReturn:
    """Say what went wrong and exit with a code; `--json` prints it, and `more`, as one object as well."""
    click.echo(f"error: {message}", err=True)
    if as_json:
        print_json({"error": message, "exit_code": code, **(more or {})})
    sys.exit(code)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8. Raises OutputError when that cannot be done."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error
