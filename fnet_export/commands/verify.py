"""fnet-export verify, on the command line; docs/verify.md."""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from fnet_runtime.command.exit_codes import CHECK_FAILED, ENGINE_FAILED, list_of_exit_codes
from fnet_runtime.sessions.runtimes import RUNTIME_CHOICES
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.environment import environment_of_host
from fnet_export.base.status import FAILED, PASSED, styled
from fnet_export.bundle.verify import REFERENCE, RuntimeResult, Verification, verification_from_bundle
from fnet_export.commands.options import (
    allow_partial_option,
    atol_option,
    bundle_argument,
    output_options,
    provider_option,
    rtol_option,
)
from fnet_export.commands.shared import console_of_result, print_json, print_lines
from fnet_export.parity.agreement import points_of
from fnet_export.parity.tolerance import tolerance_from_options

EXIT_CODES = {CHECK_FAILED: "a runtime failed", ENGINE_FAILED: "no runtime can run here, or memory ran out"}


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@bundle_argument
@click.option(
    "--runtime", type=click.Choice(RUNTIME_CHOICES), default="auto", help="auto runs every runtime that the bundle has a file for."
)
@provider_option
@allow_partial_option
@atol_option
@rtol_option
@output_options
def verify(
    bundle: Path,
    runtime: str,
    provider: str,
    allow_partial: bool,
    atol: float | None,
    rtol: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check BUNDLE again on this host: run its golden inputs and compare with the float64 references that it carries.

    Needs no torch.
    """
    verification = verification_from_bundle(
        bundle,
        runtime=runtime,
        provider=provider,
        allow_partial=allow_partial,
        tolerance=tolerance_from_options(atol, rtol),
    )
    if as_json:
        values = {"bundle": str(bundle)} | verification.values() | {"environment": asdict(environment_of_host())}
        print_json(values)
    else:
        console = console_of_result(as_json=as_json, quiet=quiet)
        console.print(table_from_verification(verification))
        for row in verification.rows:
            reasons = [] if row.reason is None else [f"{row.status}: {row.reason}"]
            print_lines(console, (f"{row.runtime}: {line}" for line in (*reasons, *row.notes, *row.attentions)))
    if not verification.ran:
        click.echo(f"error: {bundle}: nothing could run on this host, so nothing was checked", err=True)
        sys.exit(ENGINE_FAILED)
    if not verification.passed:
        failed = ", ".join(row.runtime for row in verification.rows if row.status == FAILED)
        click.echo(f"error: {bundle}: failed in {failed}; do not use it here. Export it again on or for this host", err=True)
        sys.exit(CHECK_FAILED)


def table_from_verification(verification: Verification) -> Table:
    """Return a table, one line per runtime and output; all columns fit a terminal of 80 characters."""
    table = Table(
        title=f"{verification.manifest.precision} against {REFERENCE}, {verification.samples} inputs",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    for name in ("runtime", "output"):
        table.add_column(name, overflow="fold", min_width=12)
    for name in ("max abs", "limit", "max rel", "1 - cos", "agree", "ties"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in verification.rows:
        for line in _lines(row):
            table.add_row(*line)
    return table


def _lines(row: RuntimeResult) -> list[tuple[str, ...]]:
    name = escape(f"{row.runtime} {row.version}" if row.version else row.runtime)
    if not row.outputs:
        return [(name, "", "", "", "", "", "", "", styled(row.status))]
    lines: list[tuple[str, ...]] = []
    for output, result in row.outputs.items():
        check = result.check
        numbers = (check.max_abs, result.limit_max_abs, check.max_rel, max(0.0, 1 - check.cosine))
        figures = (f"{number:.1e}" for number in numbers)
        agreement = result.agreement
        decided = ("", "") if agreement is None else (points_of(agreement.share).replace(" ", ""), str(agreement.ties))
        lines.append((name, escape(output), *figures, *decided, styled(PASSED if result.passed else FAILED)))
        name = ""
    return lines
