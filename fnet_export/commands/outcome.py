"""How a command ends: with an error, or with a file that was asked for."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from fnet_export.errors import OutputError


def fail(message: str, code: int, *, as_json: bool, more: Mapping[str, Any] | None = None) -> NoReturn:
    """Say what went wrong and exit with a code; `--json` prints it, and `more`, as one object as well."""
    click.echo(f"error: {message}", err=True)
    if as_json:
        click.echo(json.dumps({"error": message, "exit_code": code, **(more or {})}, ensure_ascii=False))
    sys.exit(code)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8. Raises OutputError when that cannot be done."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error
