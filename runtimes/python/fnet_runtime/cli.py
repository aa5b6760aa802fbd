"""fnet-run: answers from a bundle on the command line.

Exit codes: 0 ok; 1 bad input or bundle; 2 usage; 3 the self-test failed; 4 the engine cannot be opened or run, or memory ran out;
130 interrupted.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from fnet_runtime.ending import ended_in_words
from fnet_runtime.errors import FNetRuntimeError, InputError, NoDeviceError, SessionError
from fnet_runtime.pipelines import MAX_THREADS, RUNTIMES, Pipeline, load

BAD_INPUT, SELF_TEST_FAILED, NO_ENGINE = 1, 3, 4


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("source", required=False, type=click.Choice(["-"]))
@click.option("--text", "texts", multiple=True, help="A text to answer; may be given several times.")
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="A UTF-8 file that holds one text.")
@click.option("--pair", "pairs", multiple=True, help="The second text, context, or (several times) the choices, for every text.")
@click.option("--lines", is_flag=True, help="Take each line of the file or of - as one text.")
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True, help="Fillers or answers to return.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value a line.")
@click.option("--self-test", is_flag=True, help="Run golden.safetensors and compare with its float64 references.")
@click.option("--runtime", type=click.Choice(RUNTIMES), default="auto", show_default=True, help="auto is the bundle's own engine.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Cores that ONNX Runtime or OpenVINO may use.  [default: all]")
@click.version_option(package_name="fnet-runtime")
@ended_in_words()
def main(
    bundle: Path,
    source: str | None,
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    pairs: tuple[str, ...],
    lines: bool,
    top_k: int,
    as_json: bool,
    self_test: bool,
    runtime: str,
    threads: int | None,
) -> None:
    """Answer texts with BUNDLE, the folder that fnet-export wrote; - reads standard input as one text."""
    if not (texts or files or source or self_test):
        raise click.UsageError("nothing to do: expected --text, --file, - or --self-test")
    if self_test and (texts or files or source or pairs or lines):
        raise click.UsageError("--self-test runs alone")
    try:
        pipeline = load(bundle, runtime=runtime, threads=threads)
        if self_test:
            sys.exit(0 if _self_test(pipeline, as_json) else SELF_TEST_FAILED)
        asked = [*texts, *(text for file in files for text in _split(_read(file), lines))]
        asked += _split(_decoded(_standard_input(), "-"), lines) if source else []
        pair = None if not pairs else list(pairs) if pipeline.manifest.task == "multiple-choice" else _only(pairs)
        for answer in pipeline(asked, None if pair is None else [pair] * len(asked), top_k=top_k):
            click.echo(json.dumps(_plain(answer), ensure_ascii=False) if as_json else _shown(answer))
    except FNetRuntimeError as error:
        hint = ". --runtime onnxruntime runs model.onnx on the CPU" if isinstance(error, NoDeviceError) else ""
        click.echo(f"error: {error}{hint}", err=True)
        sys.exit(NO_ENGINE if isinstance(error, SessionError) else BAD_INPUT)


def _self_test(pipeline: Pipeline, as_json: bool) -> bool:
    checks = pipeline.self_test()
    if as_json:
        click.echo(json.dumps({"passed": all(c.passed for c in checks), "outputs": [_plain(c) for c in checks]}))
    else:
        for c in checks:
            word = "passed" if c.passed else "FAILED"
            click.echo(f"{word}  {c.output}: largest error {c.max_abs:.2e}, limit {c.limit:.2e}")
    return all(c.passed for c in checks)


def _read(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _standard_input() -> bytes:
    if sys.stdin is None:  # a service may close it
        raise InputError("-: standard input is closed; expected a text on it")
    return sys.stdin.buffer.read()


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 (byte {error.start}); convert it first, with iconv for example") from error


def _split(text: str, lines: bool) -> list[str]:
    """Whole, or at line feeds alone, so that answers keep the numbers of the lines."""
    if not lines:
        return [text]
    found = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in found]


def _only(pairs: tuple[str, ...]) -> str:
    if len(pairs) > 1:
        raise InputError("--pair: expected once; several are choices, of multiple-choice only")
    return pairs[0]


def _plain(value: Any) -> Any:
    """Return an answer as JSON's own types; NaN and infinity, which JSON lacks, as null."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _shown(answer: Any) -> str:
    """Return an answer as a line or a few for people: tab-separated columns, the score first after the name."""
    if isinstance(answer, tuple):
        return "\n".join(_shown(item) for item in answer) or "(nothing)"
    parts = []
    for field in dataclasses.fields(answer):
        value = getattr(answer, field.name)
        if isinstance(value, np.ndarray):
            parts.append(f"{field.name} float32{list(value.shape)}")
        elif dataclasses.is_dataclass(value):
            parts.append(_shown(value))
        elif not isinstance(value, tuple):
            parts.append(f"{value:.4f}" if isinstance(value, float) else repr(value) if field.name == "text" else str(value))
        elif field.name == "fillers":
            parts.append(_shown(value))
    return "\t".join(parts)


if __name__ == "__main__":
    main()
