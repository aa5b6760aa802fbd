"""fnet-export verify, on the command line; docs/verify.md.

Exit codes: 0 ok; 1 bad input or bundle; 2 usage; 3 an output is off by more than its limit, or a runtime failed;
4 nothing could run.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.sessions.runtimes import RUNTIME_CHOICES
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.environment import environment_of_host
from fnet_export.base.errors import FNetExportError, OptionError
from fnet_export.base.status import FAILED, PASSED, styled
from fnet_export.bundle.verify import REFERENCE, RuntimeResult, Verification, verification_from_bundle
from fnet_export.commands.shared import console_of_result, fail, output_options, print_json
from fnet_export.parity.agreement import points_of
from fnet_export.parity.tolerance import tolerance_from_options

BAD_INPUT, USAGE, CHECK_FAILED, NOTHING_RAN = 1, 2, 3, 4


@click.command(context_settings={"show_default": True})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--runtime", type=click.Choice(RUNTIME_CHOICES), default="auto", help="auto: every runtime that the bundle has a file for."
)
@click.option("--atol", type=float, metavar="X", help="Allow X, and no more than --rtol adds, in place of the bundle's own limit.")
@click.option("--rtol", type=float, metavar="X", help="Allow X times an output's largest reference, added to --atol.")
@output_options
def verify(bundle: Path, runtime: str, atol: float | None, rtol: float | None, as_json: bool, quiet: bool) -> None:
    """Check BUNDLE again on this host: run its golden inputs and compare with the float64 references that it carries.

    Needs no torch. Exit codes: 0 passed; 1 the bundle is damaged; 2 usage; 3 failed; 4 nothing could run.
    """
    try:
        found = verification_from_bundle(bundle, runtime=runtime, tolerance=tolerance_from_options(atol, rtol))
    except OptionError as error:
        fail(str(error), USAGE, as_json=as_json)
    except (FNetExportError, FNetRuntimeError) as error:
        fail(str(error), BAD_INPUT, as_json=as_json)
    if as_json:
        values = {"bundle": str(bundle)} | found.values() | {"environment": asdict(environment_of_host())}
        print_json(values)
    else:
        console = console_of_result(as_json=as_json, quiet=quiet)
        console.print(table_from_verification(found))
        for row in found.rows:
            if row.reason is not None:
                console.print(f"{row.runtime}: {row.status}: {row.reason}", highlight=False, markup=False, soft_wrap=True)
            for line in row.attentions:
                console.print(f"{row.runtime}: {line}", highlight=False, markup=False, soft_wrap=True)
    if not found.ran:
        click.echo(f"error: {bundle}: nothing could run on this host, so nothing was checked", err=True)
        sys.exit(NOTHING_RAN)
    if not found.passed:
        failed = ", ".join(row.runtime for row in found.rows if row.status == FAILED)
        click.echo(f"error: {bundle}: failed in {failed}; do not use it here. Export it again on or for this host", err=True)
        sys.exit(CHECK_FAILED)


def table_from_verification(found: Verification) -> Table:
    """Return a table, one line per runtime and output; all columns fit a terminal of 80 characters."""
    table = Table(
        title=f"{found.manifest.precision} against {REFERENCE}, {found.samples} inputs",
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
    for row in found.rows:
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
