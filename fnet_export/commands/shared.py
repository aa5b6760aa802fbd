"""How a command shows what it does and how it ends: progress, a result, an error."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import click
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.command.exit_codes import BAD_INPUT, ENGINE_FAILED
from fnet_runtime.errors import SessionError
from rich.console import Console

from fnet_export.base.progress import Bars, Lines, Progress, Quiet


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Progress]:
    """Show progress on standard error: bars on a terminal, lines elsewhere, nothing where `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield Quiet() if quiet else Lines()
        return
    with Bars() as bars:
        yield bars


def console_of_result(*, as_json: bool, quiet: bool) -> Console:
    """Return the console that shows a result; it prints nothing where the result is not for people."""
    return Console(quiet=as_json or quiet)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: no markup, no colours, no wrapping."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that are not finite are null, because JSON cannot hold them."""
    click.echo(json_from_values(values))


def exit_code_of(error: Exception) -> int:
    """Return the exit code of an error: its class's own, 4 for an engine that cannot be opened or run, 1 for other input."""
    if isinstance(error, SessionError):
        return ENGINE_FAILED
    code: int = getattr(error, "exit_code", BAD_INPUT)
    return code


def fail(message: str, code: int, *, as_json: bool, more: Mapping[str, Any] | None = None) -> NoReturn:
    """Print an error and exit with a code; `--json` prints the error, and `more`, as one object as well."""
    click.echo(f"error: {message}", err=True)
    if as_json:
        print_json({"error": message, "exit_code": code, **(more or {})})
    sys.exit(code)
