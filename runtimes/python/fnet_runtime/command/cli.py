"""fnet-run: answer texts with a bundle on the command line."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from fnet_runtime.bundle.config import POOLINGS
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.command.answer_text import escaped
from fnet_runtime.command.ending import ended_in_words
from fnet_runtime.command.exit_codes import BAD_INPUT, CHECK_FAILED, ENGINE_FAILED, list_of_exit_codes
from fnet_runtime.command.printer import Printer
from fnet_runtime.command.progress import Progress
from fnet_runtime.command.questions import LINE_FORMATS, PLAIN
from fnet_runtime.command.standard_output import guarded_standard_output, prepare_standard_output, write_line
from fnet_runtime.command.texts import (
    PlacedText,
    batches_of_lines,
    opened,
    text_from_argument,
    texts_from_arguments,
    whole_text,
)
from fnet_runtime.errors import FNetRuntimeError, InputError, NoDeviceError, SessionError
from fnet_runtime.pipeline.model import Second
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.options import (
    AGGREGATION_STRATEGIES,
    CUT,
    FUNCTIONS_TO_APPLY,
    NO_AGGREGATION,
    TRUNCATIONS,
    AnswerOptions,
)
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.devices import devices_of_host
from fnet_runtime.sessions.providers import CPU, PROVIDERS
from fnet_runtime.sessions.runtimes import AUTO, MAX_THREADS, RUNTIME_CHOICES
from fnet_runtime.sessions.session import notes_from_session
from fnet_runtime.sessions.trt_session import CONTEXTS, MAX_CONTEXTS
from fnet_runtime.tokenizer.tokenizer import MAX_TEXT_BYTES

EXIT_CODES = {BAD_INPUT: "bad input, or a line without an answer", CHECK_FAILED: "the self-test failed"}


class Program(click.Command):
    """A command whose help also ends with a sentence when standard output cannot be written."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program."""
        with guarded_standard_output():
            return super().main(*args, **options)


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=list_of_exit_codes(EXIT_CODES))
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.argument("source", required=False, type=click.Choice(["-"]))
@click.option("--text", "texts", multiple=True, help="Answer this text. May be given several times.")
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="Answer the text in this UTF-8 file.")
@click.option("--pair", "pairs", multiple=True, help="Second text, context, or (several times) choices, for every text.")
@click.option("--lines", is_flag=True, help="Take each line of --file or - as one text; answer lines as they come.")
@click.option("--line-format", type=click.Choice(LINE_FORMATS), default=PLAIN, show_default=True, help="What each line holds.")
@click.option("--top-k", type=click.IntRange(min=1), help="Fillers, answers or labels.  [default: 5, and every label]")
@click.option("--truncation", type=click.Choice(TRUNCATIONS), default=CUT, show_default=True, help="What to do to longer texts.")
@click.option("--function-to-apply", type=click.Choice(FUNCTIONS_TO_APPLY), help="Makes scores of labels.  [default: as trained]")
@click.option("--threshold", type=float, help="Print only labels whose score is above this.")
@click.option(
    "--aggregation-strategy",
    type=click.Choice(AGGREGATION_STRATEGIES),
    default=NO_AGGREGATION,
    show_default=True,
    help="Print entities instead of tokens.",
)
@click.option("--stride", type=click.IntRange(min=0), help="Read long texts in windows that share so many tokens.")
@click.option("--targets", multiple=True, metavar="WORD", help="Fill a [MASK] only with this word. May be given several times.")
@click.option("--max-answer-len", type=click.IntRange(min=1), help="The most tokens of an answer to a question.  [default: 15]")
@click.option("--handle-impossible-answer", is_flag=True, help="Print an empty answer to a question too.")
@click.option("--null-threshold", type=float, help="Print the empty answer first only if its logits are higher by this.")
@click.option("--no-align-to-words", is_flag=True, help="Print answers that need not be whole words.")
@click.option("--pooling", type=click.Choice(POOLINGS), help="Makes one vector of a text.  [default: as trained, else pooler]")
@click.option("--normalize/--no-normalize", default=None, help="Give that vector length 1.  [default: as trained, else not]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value a line.")
@click.option("--self-test", is_flag=True, help="Run golden.safetensors and compare with its float64 references.")
@click.option("--runtime", type=click.Choice(RUNTIME_CHOICES), default=AUTO, show_default=True, help="auto: the bundle's own.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Cores that ONNX Runtime or OpenVINO may use.  [default: all]")
@click.option(
    "--max-text-bytes",
    type=click.IntRange(min=1),
    default=MAX_TEXT_BYTES,
    show_default=True,
    help="Refuse longer texts; in bytes of UTF-8.",
)
@click.option(
    "--provider",
    type=click.Choice(list(PROVIDERS)),
    default=CPU,
    show_default=True,
    help="Run model.onnx on a GPU, by this provider of ONNX Runtime.",
)
@click.option("--allow-partial", is_flag=True, help="Let the CPU run the nodes that the provider does not take.")
@click.option("--device", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the GPU to use.")
@click.option(
    "--contexts",
    type=click.IntRange(1, MAX_CONTEXTS),
    default=CONTEXTS,
    show_default=True,
    help="Batches that TensorRT runs at once.",
)
@click.option("--cuda-graph", is_flag=True, help="Let TensorRT launch each batch size and length as one CUDA graph.")
@click.option("--devices", is_flag=True, help="List the providers, GPUs and engines of this host, and what the others lack.")
@click.option("--rebuild", is_flag=True, help="Build the TensorRT engine for this GPU, and keep it in the user's cache.")
@click.option("--quiet", is_flag=True, help="Show no progress, and do not say which texts were cut.")
@click.version_option(package_name="fnet-runtime")
@ended_in_words()
def main(
    bundle: Path | None,
    source: str | None,
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    pairs: tuple[str, ...],
    lines: bool,
    line_format: str,
    top_k: int | None,
    truncation: str,
    function_to_apply: str | None,
    threshold: float | None,
    aggregation_strategy: str,
    stride: int | None,
    targets: tuple[str, ...],
    max_answer_len: int | None,
    handle_impossible_answer: bool,
    null_threshold: float | None,
    no_align_to_words: bool,
    pooling: str | None,
    normalize: bool | None,
    as_json: bool,
    self_test: bool,
    runtime: str,
    threads: int | None,
    max_text_bytes: int,
    provider: str,
    allow_partial: bool,
    device: int,
    contexts: int,
    cuda_graph: bool,
    devices: bool,
    rebuild: bool,
    quiet: bool,
) -> None:
    """Answer texts with BUNDLE, the folder that fnet-export wrote. With - the text comes from standard input."""
    if devices:
        if bundle or texts or files or self_test:
            raise click.UsageError("--devices runs alone, or with --json")
        prepare_standard_output(utf8=as_json)
        _list_devices(as_json)
        return
    if bundle is None:
        raise click.UsageError("Missing argument 'BUNDLE'.")
    if not (texts or files or source or self_test):
        raise click.UsageError("nothing to do: expected --text, --file, - or --self-test")
    if self_test and (texts or files or source or pairs or lines):
        raise click.UsageError("--self-test runs alone")
    if line_format != PLAIN and (pairs or not lines):
        raise click.UsageError("--line-format: expected --lines, and no --pair, because each line has its own second text")
    prepare_standard_output(utf8=as_json)
    try:
        pipeline = load(
            bundle,
            runtime=runtime,
            threads=threads,
            max_text_bytes=max_text_bytes,
            rebuild=rebuild,
            provider=provider,
            allow_partial=allow_partial,
            device=device,
            contexts=contexts,
            cuda_graph=cuda_graph,
        )
        if not quiet:
            for note in notes_from_session(pipeline.session):
                click.echo(f"note: {note}", err=True)
        if self_test:
            sys.exit(0 if _self_test(pipeline, as_json) else CHECK_FAILED)
        second = _second(pairs, pipeline.manifest.task)
        options = AnswerOptions(
            top_k=top_k,
            truncation=truncation,
            function_to_apply=function_to_apply,
            threshold=threshold,
            aggregation_strategy=aggregation_strategy,
            stride=stride,
            targets=tuple(map(text_from_argument, targets)),
            max_answer_len=max_answer_len,
            handle_impossible_answer=handle_impossible_answer,
            null_threshold=null_threshold,
            align_to_words=not no_align_to_words,
            pooling=pooling,
            normalize=normalize,
        )
        printer = Printer(pipeline, second, options, as_json=as_json, lines=lines, line_format=line_format)
        with contextlib.ExitStack() as stack:
            sources = [(stack.enter_context(opened(file)), str(file)) for file in files]
            if source:
                sources.append((_standard_input(), source))
            progress = Progress([file for file, _ in sources], wanted=lines and not quiet)
            stack.callback(progress.end)
            for batch in _batches(texts_from_arguments(texts), sources, pipeline, lines=lines):
                printer.answer(batch)
                progress.show(batch)
        for note in (*(() if quiet else printer.cut_texts()), *printer.failed_texts()):
            click.echo(note, err=True)
        sys.exit(BAD_INPUT if printer.errors else 0)
    except FNetRuntimeError as error:
        on_cpu = "--runtime onnxruntime" if provider == CPU else "--runtime onnxruntime without --provider"
        hint = f". {on_cpu} runs model.onnx on the CPU" if isinstance(error, NoDeviceError) else ""
        click.echo(f"error: {error}{hint}", err=True)
        sys.exit(ENGINE_FAILED if isinstance(error, SessionError) else BAD_INPUT)


def _list_devices(as_json: bool) -> None:
    for device in devices_of_host():
        if as_json:
            write_line(json_from_values(device))
        else:
            write_line("\t".join((device.kind, escaped(device.name), "yes" if device.usable else "no", escaped(device.detail))))


def _self_test(pipeline: Pipeline, as_json: bool) -> bool:
    checks = pipeline.self_test()
    passed = all(check.passed for check in checks)
    if as_json:
        write_line(json_from_values({"passed": passed, "outputs": checks}))
    for c in [] if as_json else checks:
        word = "passed" if c.passed else "FAILED"
        write_line(f"{word}  {c.output}: largest error {c.max_abs:.2e}, limit {c.limit:.2e}")
    return passed


def _second(pairs: tuple[str, ...], task: str) -> Second:
    texts = [text_from_argument(pair) for pair in pairs]
    if task == "multiple-choice" and texts:
        return texts
    if len(texts) > 1:
        raise InputError("--pair: expected once; only multiple-choice takes several")
    return texts[0] if texts else None


def _batches(
    texts: list[PlacedText], sources: list[tuple[BinaryIO, str]], pipeline: Pipeline, *, lines: bool
) -> Iterator[list[PlacedText]]:
    """Give the texts in their order: with `lines` some at a time, as they arrive, else all at once."""
    size, bound = pipeline.rows_at_once, pipeline.max_text_bytes
    if not lines:
        yield texts + [whole_text(file, name, bound) for file, name in sources]
        return
    yield from (texts[start : start + size] for start in range(0, len(texts), size))
    for file, name in sources:
        yield from batches_of_lines(file, name, size, bound)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # a service may close it
        raise InputError("-: standard input is closed; expected a text")
    return sys.stdin.buffer


if __name__ == "__main__":
    main()
