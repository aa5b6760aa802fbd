"""fnet-export bisect, on the command line; docs/bisect.md.

Exit codes: 0 nothing wrong; 1 bad input or bundle; 2 usage; 3 a place was found.
"""

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import click
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.manifest import Manifest, manifest_from_folder
from fnet_runtime.tokenizer import Tokenizer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fnet_core.errors import FNetError
from fnet_export.bisect import Bisection, Place, Subject, bisection_from_subject, subject_from_bundle
from fnet_export.calibrate import CalibrationData, data_from_file
from fnet_export.commands.outcome import fail
from fnet_export.departures import MULTIPLE, Departure
from fnet_export.errors import FNetExportError
from fnet_export.inputs import Samples, samples_from_texts, spread
from fnet_export.plan import READ
from fnet_export.progress import Bars, Lines, Progress
from fnet_export.source import checkpoint_from_bundle
from fnet_export.status import FAILED, PASSED, styled

BAD_INPUT, FOUND = 1, 3
TEXTS, CHOICES = 7, 2


@click.command(context_settings={"show_default": True})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--model", metavar="FOLDER|ID", help="Where the checkpoint of the bundle is now.  [default: where it was]")
@click.option("--runtime", type=click.Choice(("onnxruntime",)), default="onnxruntime", help="What runs the parts of the graph.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Texts in .jsonl or one a line, {TEXTS} of which are run.  [default: the built-in e-mails]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bisect(bundle: Path, model: str | None, runtime: str, samples: Path | None, as_json: bool) -> None:
    """Find the place where the graph of BUNDLE departs from the model it was made of: the module, and the node.

    Exit codes: 0 nothing wrong; 1 the bundle or its checkpoint cannot be opened; 2 usage; 3 a place was found.
    """
    del runtime  # there is one
    try:
        with contextlib.ExitStack() as stack:
            progress: Progress = stack.enter_context(Bars()) if sys.stderr.isatty() else Lines()
            progress.stage(READ)
            manifest = manifest_from_folder(bundle)
            data = data_from_file(samples)
            subject = subject_from_bundle(bundle, manifest, checkpoint_from_bundle(bundle, manifest, model))
            rows = _samples(bundle, manifest, subject, data)
            progress.stage("walk the graph")
            found = bisection_from_subject(subject, rows, progress.step)
    except (FNetError, FNetExportError, FNetRuntimeError) as error:
        fail(str(error), BAD_INPUT, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"bundle": str(bundle)} | values_from_bisection(found), ensure_ascii=False))
    else:
        console = Console()
        console.print(table_from_bisection(found, manifest))
        for line in lines_from_place(found.place):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    sys.exit(0 if found.place is None else FOUND)


def _samples(bundle: Path, manifest: Manifest, subject: Subject, data: CalibrationData) -> Samples:
    """Some of the texts, and an empty one, which is padding nearly throughout."""
    tokenizer = Tokenizer.from_file(bundle / manifest.tokenizer.file, manifest.tokenizer)
    texts = [*spread(data.texts, min(TEXTS, len(data.texts))), ""]
    return samples_from_texts(subject.task, tokenizer, texts, sequence_length=manifest.sequence_length, choices=CHOICES)


def table_from_bisection(found: Bisection, manifest: Manifest) -> Table:
    """Return a table, one line per step of the graph."""
    table = Table(
        title=f"{manifest.precision} against float64, each block fed what it should be, {found.samples} inputs",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("module", overflow="fold")
    for name in ("max rel", "noise", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for step in found.steps:
        departure = step.departure
        figures = (f"{number:.1e}" for number in (departure.error, departure.noise, departure.limit))
        table.add_row(escape(step.module), *figures, styled(FAILED if departure.departs else PASSED))
    return table


def lines_from_place(place: Place | None) -> list[str]:
    """Say where the place is and what is wrong there."""
    if place is None:
        return [f"nothing departs by more than {MULTIPLE:g} times the rounding there"]
    node = "" if place.node is None else f", node {place.node} ({place.operator})"
    departure = place.departure
    figures = f"off by {departure.error:.1e}, where rounding explains {departure.limit:.1e}"
    return [f"first place: {place.module}{node}: {figures}", *(f"  {said}" for said in place.differs)]


def values_from_bisection(found: Bisection) -> dict[str, Any]:
    """Return a bisection as JSON's own types; an infinite figure is null."""
    place = found.place
    return {
        "passed": place is None,
        "samples": found.samples,
        "multiple": MULTIPLE,
        "steps": [{"module": step.module} | _figures(step.departure) for step in found.steps],
        "place": None
        if place is None
        else {"module": place.module, "node": place.node, "operator": place.operator}
        | _figures(place.departure)
        | {"differs": list(place.differs)},
    }


def _figures(departure: Departure) -> dict[str, Any]:
    finite = {"max_rel": departure.error, "noise": departure.noise, "limit": departure.limit}
    return {key: value if math.isfinite(value) else None for key, value in finite.items()} | {"departs": departure.departs}
