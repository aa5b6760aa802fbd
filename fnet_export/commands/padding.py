"""fnet-export padding, on the command line; docs/padding.md."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from fnet_runtime.bundle.manifest import Manifest, manifest_from_folder
from fnet_runtime.command.exit_codes import list_of_exit_codes
from fnet_runtime.tokenizer.encoding import NONE, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from rich import box
from rich.table import Table

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.tasks import task_named
from fnet_export.base.counted import counted
from fnet_export.base.progress import Progress
from fnet_export.base.svg import write_svg
from fnet_export.bundle.checkpoint import checkpoint_from_bundle
from fnet_export.commands.options import FILE, bundle_argument, checkpoint_of_bundle_option, output_options, samples_option
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown
from fnet_export.evaluation.padding import LENGTHS, TIMED, Drift, LengthDrift, OutputDrift, drift_from_model, paddings_of_config
from fnet_export.evaluation.padding_chart import svg_from_drift
from fnet_export.parity.report.wording import note_of_random_head
from fnet_export.plan.plan import READ
from fnet_export.texts.samples import CHOICES_COUNT
from fnet_export.texts.text_files import Texts, texts_from_file
from fnet_export.texts.tokenizer.trained_length import TrainedLength, trained_length_from_checkpoint


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes({}))
@bundle_argument
@checkpoint_of_bundle_option
@click.option(
    "--length",
    "asked",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help=f"A padded length to compare; may be given several times.  [default: {', '.join(map(str, LENGTHS))} and the bundle's]",
)
@samples_option("64 at most")
@click.option("--chart", type=FILE, metavar="FILE.svg", help="Write a chart as well.")
@output_options
def padding(
    bundle: Path, model: str | None, asked: tuple[int, ...], samples: Path | None, chart: Path | None, as_json: bool, quiet: bool
) -> None:
    """Measure what becomes of outputs and decisions when the model of BUNDLE pads texts differently from its training.

    A model whose training padded texts also runs each text at its own length.
    """
    with progress_shown(quiet=quiet) as progress:
        manifest = manifest_from_folder(bundle)
        data = texts_from_file(samples)
        drift = _drift(bundle, manifest, data, progress, model=model, asked=asked)
    if chart is not None:
        write_svg(chart, svg_from_drift(drift))
    if as_json:
        print_json({"bundle": str(bundle)} | _values(manifest, data, drift))
        return
    console = console_of_result(as_json=as_json, quiet=quiet)
    console.print(table_from_drift(drift))
    print_lines(console, notes_from_drift(manifest, data, drift))


def _drift(bundle: Path, manifest: Manifest, data: Texts, progress: Progress, *, model: str | None, asked: Sequence[int]) -> Drift:
    progress.stage(READ)
    checkpoint = checkpoint_from_bundle(bundle, manifest, model, on_note=progress.note)
    trained_length = trained_length_from_checkpoint(checkpoint, manifest.sequence_length)
    baseline = baseline_from_manifest(manifest, trained_length)
    paddings = paddings_of_config(checkpoint.config, baseline, trained_length, asked, manifest.sequence_length)
    tokenizer = Tokenizer.from_file(bundle / manifest.tokenizer.file, manifest.tokenizer)
    model_as_trained = model_from_checkpoint(checkpoint, task_named(manifest.task), random_head=manifest.source.random_head)
    progress.stage(f"run {counted(len(data.texts), 'text')} with {len(paddings) + 1} paddings")
    return drift_from_model(
        model_as_trained,
        tokenizer,
        data.texts,
        paddings,
        baseline=baseline,
        trained=trained_length,
        choices=CHOICES_COUNT,
        on_progress=progress.step,
    )


def baseline_from_manifest(manifest: Manifest, trained: TrainedLength) -> Padding:
    """Return the padding that others are compared with: what files state of the training, else what the bundle assumes."""
    return trained.padding if trained.contract is not None or manifest.padding != NONE else Padding(trained.length, NONE)


def table_from_drift(drift: Drift) -> Table:
    """Return a table of a drift, one line per padding and output: median and, in brackets, the worst text; means of the rest.

    Cells are so short that all columns fit a terminal of 80 characters, whatever the figures are.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("cut", justify="right", no_wrap=True)
    table.add_column("output", overflow="fold", min_width=6)
    for name in ("cosine", "max rel", "KL", "agree", "of cut", "speed"):
        table.add_column(name, justify="right", no_wrap=True)
    for length in drift.lengths:
        first = ("own" if length.padding == NONE else str(length.sequence_length), str(length.cut))
        faster = drift.faster(length)
        speed = f"{faster:.1f}x" if faster < 100 else f"{faster:.0f}x"
        names = list(dict.fromkeys([*length.outputs, *length.cut_agreement]))
        for name in names or [""]:
            table.add_row(*first, name, *_cells(length.outputs.get(name)), _share(length.cut_agreement.get(name)), speed)
            first, speed = ("", ""), ""
    return table


def _cells(output: OutputDrift | None) -> tuple[str, str, str, str]:
    if output is None:
        return "", "", "", ""
    kl, agreement, cosine, error = output.kl, output.decision_agreement, output.cosine, output.max_rel
    return (
        f"{cosine.median:.2f} [dim]({cosine.worst:.2f})[/]",
        f"{_percent(error.median)} [dim]({_percent(error.worst)})[/]",
        "" if kl is None else f"{kl.mean:.0e}",
        _share(None if agreement is None else agreement.mean),
    )


def _percent(share: float) -> str:
    """Write an error in six characters at most."""
    return f"{share:.1%}" if share < 1 else f"{share:.0%}" if share < 100 else f"{100 * share:.0e}%"


def _share(share: float | None) -> str:
    return "" if share is None else "100%" if share == 1 else f"{min(share, 0.999):.1%}"


def notes_from_drift(manifest: Manifest, data: Texts, drift: Drift) -> list[str]:
    """Say what the table is of."""
    trained = drift.trained
    notes = [
        f"{counted(len(data.texts), 'text')} of {data.name}, against {_baseline(drift)}; the bundle "
        + (f"pads to {manifest.sequence_length}" if manifest.padding != NONE else "runs each text at its own length"),
        "cosine, max rel: the median of the texts that fit (and the worst); KL, agree: their mean; cut: how many lose words",
        f"speed: {_timed()}; {drift.baseline_ms:.1f} ms with the trained padding",
    ]
    if any(length.padding == NONE for length in drift.lengths):
        notes.append("own: each text at its own length")
    cautions = (trained.contradiction, trained.caution(manifest.text_padding))
    notes += [f"note: {caution}" for caution in cautions if caution is not None]
    if manifest.source.random_head:
        notes.append(note_of_random_head(manifest.task))
    return notes


def _baseline(drift: Drift) -> str:
    """Say what the paddings are compared with."""
    trained, length = drift.trained, drift.baseline.length
    if drift.baseline.contract == NONE:
        stated = f"stated by {trained.contract_source}" if trained.contract == NONE else "assumed, as the bundle does"
        return f"each text at its own length of at most {length} tokens, the trained padding ({stated})"
    return f"{length} tokens, " + (
        f"the trained length ({trained.source})" if trained.stated else f"the trained length as {trained.source}"
    )


def _timed() -> str:
    return f"{TIMED}, {torch.get_num_threads()} threads, median over the texts in turns"


def _values(manifest: Manifest, data: Texts, drift: Drift) -> dict[str, Any]:
    """Return a drift as JSON's own types."""
    return {
        "task": manifest.task,
        "model": manifest.source.id,
        "sequence_length": manifest.sequence_length,
        "samples": {"name": data.name, "sha256": data.sha256, "texts": len(data.texts)},
        "trained": {
            "sequence_length": drift.baseline.length,
            "padding": drift.baseline.contract,
            "stated": drift.trained.stated,
            "source": drift.trained.source,
            "caution": drift.trained.caution(manifest.text_padding),
            "median_ms": drift.baseline_ms,
        },
        "timed": _timed(),
        "lengths": [_values_of_length(drift, length) for length in drift.lengths],
    }


def _values_of_length(drift: Drift, length: LengthDrift) -> dict[str, Any]:
    return asdict(length) | {"times_as_fast": drift.faster(length)}
