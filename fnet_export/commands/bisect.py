"""fnet-export bisect, on the command line; docs/bisect.md."""

import math
import sys
from pathlib import Path
from typing import Any

import click
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN, MANIFEST, Manifest, manifest_from_folder
from fnet_runtime.command.exit_codes import CHECK_FAILED, list_of_exit_codes
from fnet_runtime.sessions.runtimes import ONNXRUNTIME, RUNTIMES, runtime_from_name, runtimes_from_manifest
from fnet_runtime.tokenizer.encoding import MAX_LENGTH
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.errors import OptionError
from fnet_export.base.status import FAILED, PASSED, styled
from fnet_export.bundle.checkpoint import checkpoint_from_bundle
from fnet_export.bundle.folder import FAILED_MANIFEST, check_output
from fnet_export.commands.options import FILE, bundle_argument, checkpoint_of_bundle_option, output_options, samples_option
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown
from fnet_export.engine.library import library_from_name
from fnet_export.engine.part import engine_of_parts
from fnet_export.parity.bisect.bisection import Bisection, Engine, Place, Subject, bisection_from_subject, subject_from_bundle
from fnet_export.parity.bisect.keep_float32 import Proposal, proposal_from_graph
from fnet_export.parity.bisect.node_errors import Departure
from fnet_export.parity.bisect.rebuilt import kept_in_float32
from fnet_export.parity.tolerance import MULTIPLE
from fnet_export.plan.from_manifest import options_from_manifest
from fnet_export.plan.pipeline import Export, bundle_from_plan
from fnet_export.plan.plan import READ, plan_from_options
from fnet_export.precision.half import HALVES
from fnet_export.texts.samples import Samples, samples_from_texts, spread
from fnet_export.texts.text_files import Texts, texts_from_file

TEXTS, CHOICES = 7, 2
EXIT_CODES = {CHECK_FAILED: "a place was found, or half precision exceeds the limits of the bundle"}


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@bundle_argument
@checkpoint_of_bundle_option
@click.option(
    "--runtime",
    type=click.Choice(tuple(RUNTIMES)),
    default=ONNXRUNTIME,
    help="What runs the steps of the graph: ONNX Runtime, or an engine of each step by the library of BUNDLE's engine.",
)
@samples_option(f"{TEXTS} at most")
@click.option("--fix", is_flag=True, help="fp16, bf16: export again to --output, with the nodes in float32 that it needs.")
@click.option("--output", type=FILE, metavar="FOLDER", help="Where --fix writes the new bundle.")
@output_options
def bisect(
    bundle: Path,
    model: str | None,
    runtime: str,
    samples: Path | None,
    fix: bool,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the module and the node where the graph of BUNDLE departs from the model that it was made from.

    In half precision, also find what to keep in float32.
    """
    if fix != (output is not None):
        raise click.UsageError("--fix and --output: expected both, or neither")
    exported: Export | None = None
    proposal: Proposal | None = None
    with progress_shown(quiet=quiet) as progress:
        progress.stage(READ)
        manifest = manifest_from_folder(bundle, _index(bundle))
        if output is not None:
            _check_fix(manifest, output)
        engine = _engine(bundle, manifest, runtime)
        data = texts_from_file(samples)
        checkpoint = checkpoint_from_bundle(bundle, manifest, model, on_note=progress.note)
        subject = subject_from_bundle(bundle, manifest, checkpoint)
        inputs = _samples(bundle, manifest, subject, data)
        progress.stage("walk the graph")
        bisection = bisection_from_subject(subject, inputs, progress.step, engine=engine)
        if manifest.precision in HALVES:
            progress.stage(f"find what {manifest.precision} needs in float32")
            golden, keep = golden_from_file(bundle / GOLDEN), kept_in_float32(subject.shipped)
            args = subject.float32, manifest.precision, golden, checkpoint.config
            proposal = proposal_from_graph(*args, keep=keep, on_progress=lambda what: progress.step(0, 1, what))
            wrong = bisection.place is not None or proposal.kept != keep
            if output is not None and proposal.holds and wrong:
                options = options_from_manifest(manifest, subject.shipped, output=output, model=model, keep=proposal.kept)
                exported = bundle_from_plan(plan_from_options(options), progress)
    if as_json:
        values = {"bundle": str(bundle), "runtime": runtime} | values_from_bisection(bisection)
        values["proposal"] = None if proposal is None else _values_of_proposal(proposal)
        values["fixed"] = None if exported is None else str(exported.folder)
        print_json(values)
    else:
        console = console_of_result(as_json=as_json, quiet=quiet)
        console.print(table_from_bisection(bisection, manifest, runtime))
        lines = lines_from_place(bisection.place)
        if bisection.place is not None and not any(step.departure.departs for step in bisection.steps):
            lines.append(
                "no step departs as a whole; its nodes were run one by one, because rounding hides errors of this size in a step"
            )
        others = [name for name in runtimes_from_manifest(manifest) if name != ONNXRUNTIME]
        if bisection.place is None and engine is None and others:
            lines.append(f"these steps ran in ONNX Runtime; --runtime {others[0]} runs them in the engine of the bundle")
        if proposal is not None:
            lines += lines_from_proposal(proposal, manifest.precision)
        if output is not None:
            lines.append(
                f"{output}: written" if exported is not None else f"{output}: not written, there is nothing that it would fix"
            )
        print_lines(console, lines)
    right = bisection.place is None and (proposal is None or proposal.before <= 1.0)
    sys.exit(0 if right or exported is not None else CHECK_FAILED)


def _index(folder: Path) -> str:
    """Name the manifest of a bundle, or of what an export left that failed."""
    failed = (folder / FAILED_MANIFEST).exists() and not (folder / MANIFEST).exists()
    return FAILED_MANIFEST if failed else MANIFEST


def _engine(bundle: Path, manifest: Manifest, runtime: str) -> Engine | None:
    """Return what builds engines of parts of the graph; None for ONNX Runtime, which needs no engine.

    Raises OptionError for a runtime that the bundle has no engine of, EngineError without its library, NoDeviceError without a GPU.
    """
    name = runtime_from_name(runtime, manifest, bundle)
    if name == ONNXRUNTIME or manifest.engine is None:
        return None
    return engine_of_parts(library_from_name(RUNTIMES[name].library), manifest.engine, manifest.precision)


def _check_fix(manifest: Manifest, output: Path) -> None:
    """Raise OptionError for a bundle that --fix is not for, OutputError for a folder that cannot be written."""
    if manifest.precision not in HALVES:
        raise OptionError(f"--fix: is for fp16 and bf16; the bundle is in {manifest.precision}. Export it again")
    check_output(output, force=False)


def _samples(bundle: Path, manifest: Manifest, subject: Subject, data: Texts) -> Samples:
    """Return some of the texts, and an empty one, which is padding nearly throughout, if that has a token."""
    tokenizer = Tokenizer.from_file(bundle / manifest.tokenizer.file, manifest.tokenizer)
    empty = [""] if manifest.padding == MAX_LENGTH or tokenizer.added(pair=False) else []
    texts = [*spread(data.texts, min(TEXTS, len(data.texts))), *empty]
    return samples_from_texts(subject.task, tokenizer, texts, padding=manifest.text_padding, choices=CHOICES)


def table_from_bisection(bisection: Bisection, manifest: Manifest, runtime: str) -> Table:
    """Return a table, one line per step of the graph."""
    table = Table(
        title=f"{manifest.precision} in {runtime} against float64, each block fed what it should be, {bisection.samples} inputs",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("module", overflow="fold")
    for name in ("max rel", "noise", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for step in bisection.steps:
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
    return [f"first place: {place.module}{node}: {figures}", *(f"  {difference}" for difference in place.differs)]


def lines_from_proposal(proposal: Proposal, precision: str) -> list[str]:
    """Say how half precision holds the limits of the bundle, and what it needs for that."""
    summary = f"a fresh {precision} graph {_off(proposal.before)}"
    if proposal.before <= 1.0:
        return [f"{summary}: no more nodes need float32"]
    if not proposal.holds:
        return [f"{summary}; with every node in float32 it {_off(proposal.after)}: export in fp32"]
    kept = [f"  --keep-float32 {name}" for name in proposal.kept]
    return [f"{summary}; with these {len(kept)} nodes in float32 it {_off(proposal.after)} (--fix exports it so):", *kept]


def _off(share: float) -> str:
    return f"comes to {share:.2g} of the bundle's limit" if math.isfinite(share) else "gives infinite numbers, or none"


def values_from_bisection(bisection: Bisection) -> dict[str, Any]:
    """Return a bisection as JSON's own types."""
    place = bisection.place
    return {
        "passed": place is None,
        "samples": bisection.samples,
        "multiple": MULTIPLE,
        "steps": [{"module": step.module} | _figures(step.departure) for step in bisection.steps],
        "place": None
        if place is None
        else {"module": place.module, "node": place.node, "operator": place.operator}
        | _figures(place.departure)
        | {"differs": list(place.differs)},
    }


def _values_of_proposal(proposal: Proposal) -> dict[str, Any]:
    shares = {"before": proposal.before, "after": proposal.after}
    return {"keep_float32": list(proposal.kept), "holds": proposal.holds} | {f"share_of_limit_{k}": v for k, v in shares.items()}


def _figures(departure: Departure) -> dict[str, Any]:
    figures = {"max_rel": departure.error, "noise": departure.noise, "limit": departure.limit}
    return figures | {"departs": departure.departs}
