"""Export a trained FNet from Python, check the bundle, score it on labelled data, and time it.

    python examples/export_model.py my-model bundle [--data labelled.jsonl] [--rounds 100]

The script does with `fnet_export` what the commands `fnet-export`, `fnet-export verify`, `eval` and `bench` do.
"""

import argparse
import statistics
import sys
from pathlib import Path

from fnet_runtime.errors import FNetRuntimeError

import fnet_export


def show(event: fnet_export.ProgressEvent) -> None:
    """Print stages and notes to standard error; the steps of a stage are left out."""
    if event.note is not None:
        print(f"note: {event.note}", file=sys.stderr)
    elif not event.total:
        print(event.stage, file=sys.stderr)


def main() -> None:
    """Export, verify, score and time what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="the folder that trainer.save_model wrote, or a hub id")
    parser.add_argument("output", type=Path, help="the folder of the bundle")
    parser.add_argument("--data", type=Path, help="labelled data (docs/evaluate.md)")
    parser.add_argument("--rounds", type=int, default=100, help="how often the bundle is timed")
    try:
        report(parser.parse_args())
    except (fnet_export.FNetError, fnet_export.FNetExportError, FNetRuntimeError) as error:
        sys.exit(f"error: {error}")


def report(given: argparse.Namespace) -> None:
    """Print a line for the bundle, and one for each figure."""
    exported = fnet_export.export(model=given.model, target="onnx", output=given.output, quick=True, on_progress=show)
    verification = fnet_export.verify(exported.folder, runtime="onnxruntime")
    print(f"{exported.folder}: {exported.manifest.task}, parity {'passed' if verification.passed else 'failed'}")
    if given.data is not None:
        scores = fnet_export.evaluate(exported.folder, data=given.data, on_progress=show)
        for name, figure in scores.evaluation.figures().items():
            print(f"{name}: {figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})")
    for case in fnet_export.bench(exported.folder, rounds=given.rounds, on_progress=show).cases:
        for result in case.results:
            shown = result if isinstance(result, str) else f"{statistics.median(result.text_ms):.2f} milliseconds for one text"
            print(f"{case.case.name}: {shown}")


if __name__ == "__main__":
    main()
