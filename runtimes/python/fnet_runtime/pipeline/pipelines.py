"""Pipelines: text in, answers out. One entry of PIPELINES per task says how it encodes a request and reads the outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fnet_runtime.bundle.manifest import (
    ATTENTION_MASK,
    BF16,
    CONFIG,
    GOLDEN,
    INT64,
    MODEL,
    OPENVINO,
    POSITIONS,
    Manifest,
    manifest_from_folder,
)
from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import BundleError, InputError, SessionError
from fnet_runtime.pipeline.encodings import (
    PositionedEncoding,
    encode_choices,
    encode_masked,
    encode_pair,
    encode_single,
    encode_single_or_pair,
    encode_windows,
)
from fnet_runtime.pipeline.golden import Check, checks_from_session, golden_from_file
from fnet_runtime.pipeline.model import Model, Request, Second
from fnet_runtime.pipeline.outputs import (
    answer_spans,
    choice,
    classification,
    embedding,
    masked_lm,
    next_sentence,
    pretraining,
    token_labels,
)
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import Ids, Outputs, Session, run_in_batches
from fnet_runtime.sessions.trt_session import TrtSession
from fnet_runtime.tokenizer.encoding import Encoding
from fnet_runtime.tokenizer.tokenizer import MAX_TEXT_BYTES, Tokenizer, check_size

ONNXRUNTIME = "onnxruntime"
RUNTIMES = ("auto", ONNXRUNTIME, "openvino", "tensorrt", "tensorrt-rtx")
MASKED_LM = "masked-lm"
INPUTS = ("input_ids", "token_type_ids")
MAX_THREADS = 1024
TOKEN_TYPES = 4
"""Token types of a model whose config.json does not say: transformers' default."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pipeline(Model):
    """An opened bundle that answers. Made by `load`, or from parts, with any Session. Any number of threads may call it at once."""

    session: Session
    golden: Path
    max_text_bytes: int = MAX_TEXT_BYTES
    token_types: int = TOKEN_TYPES

    def __call__(self, text: str | Sequence[str], pair: Any = None, *, top_k: int = 5) -> Any:
        """Answer one text, or a list of them with a list of as many pairs (or none).

        `pair` is the second text: the text that may follow (next-sentence-prediction, pretraining), the context in which to find
        the answer to `text` (question-answering), or the list of choices (multiple-choice). `top_k` bounds the fillers and answers.
        Raises InputError for a request that the task does not take or a text that is too long, SessionError when the engine fails.
        """
        _check_top_k(top_k)
        if isinstance(text, str):
            return self._answers([self._request(text, pair, top_k)])[0]
        if not isinstance(text, Sequence) or not all(isinstance(t, str) for t in text):
            raise InputError(f"expected a text, or a list of texts; found {type(text).__name__}")
        if isinstance(pair, str) or not isinstance(pair, Sequence | None):
            raise InputError(f"expected a list of as many pairs as texts, found {type(pair).__name__}")
        pairs = [None] * len(text) if pair is None else list(pair)
        if len(pairs) != len(text):
            raise InputError(f"expected as many pairs as texts ({len(text)}), found {len(pairs)}")
        return self._answers([self._request(t, p, top_k) for t, p in zip(text, pairs, strict=True)])

    def answer_each(self, texts: Sequence[str], pair: Second = None, *, top_k: int = 5) -> list[Any]:
        """Answer texts, each with the same `pair`; an InputError stands in place of an answer that cannot be given.

        Raises InputError for `top_k`, or a pair with which no text can be answered, SessionError when the engine fails.
        """
        _check_top_k(top_k)
        requests = [self._request_or_error(text, pair, top_k) for text in texts]
        if any(isinstance(request, InputError) for request in requests):
            self._encoded("", pair)
        answers = iter(self._answers([r for r in requests if isinstance(r, Request)], keep_errors=True))
        return [next(answers) if isinstance(request, Request) else request for request in requests]

    def inputs(self, text: str, pair: Second = None) -> dict[str, Ids]:
        """Return the model's inputs for one request, with a leading batch axis. Raises InputError."""
        return self._stacked(self._encoded(text, pair))

    def self_test(self) -> list[Check]:
        """Run golden.safetensors and compare with its float64 references."""
        return checks_from_session(self.session, golden_from_file(self.golden))

    def _request(self, text: str, second: Second, top_k: int) -> Request:
        return Request(text, second, self._encoded(text, second), top_k)

    def _request_or_error(self, text: str, second: Second, top_k: int) -> Request | InputError:
        try:
            return self._request(text, second, top_k)
        except InputError as error:
            return error

    def _answers(self, requests: list[Request], *, keep_errors: bool = False) -> list[Any]:
        """Answer requests, as many rows at once as the session takes; with `keep_errors` an InputError may stand for an answer."""
        answers: list[Any] = []
        waiting: list[Request] = []
        for request in requests:
            full = sum(self._rows(r) for r in waiting) >= self.session.batch.max
            other_shape = self._task.choices and bool(waiting) and len(waiting[0].encodings) != len(request.encodings)
            if full or other_shape:
                answers += self._run(waiting, keep_errors)
                waiting = []
            waiting.append(request)
        return answers + (self._run(waiting, keep_errors) if waiting else [])

    def _encoded(self, text: str, second: Second) -> tuple[Encoding, ...]:
        seconds = second if isinstance(second, Sequence) and not isinstance(second, str) else [second]
        for one in (text, *seconds):
            check_size(one, self.max_text_bytes)
        encodings = self._task.encode(self, text, second)
        if second is not None and self.token_types < 2:
            raise InputError(
                f"{self.manifest.task}: expected one text, because the model has one token type (type_vocab_size 1) and a second "
                "text has another; found a pair"
            )
        return encodings

    @property
    def _task(self) -> "TaskPipeline":
        return PIPELINES[self.manifest.task]

    def _run(self, requests: list[Request], keep_errors: bool) -> list[Any]:
        inputs = [self._stacked(request.encodings) for request in requests]
        joined = {name: np.concatenate([i[name] for i in inputs]) for name in inputs[0]}
        outputs = run_in_batches(self.session, joined)
        self._check_outputs(requests[0], outputs)
        answers, start = [], 0
        for request in requests:
            rows = slice(start, start + self._rows(request))
            try:
                answers.append(self._task.answer(self, request, {name: array[rows] for name, array in outputs.items()}))
            except InputError as error:
                if not keep_errors:
                    raise
                answers.append(error)
            start = rows.stop
        return answers

    def _check_outputs(self, request: Request, outputs: Outputs) -> None:
        """Raise SessionError unless every output has the axes that the task reads."""
        first = request.encodings[0]
        lengths = {
            "s": len(first.input_ids),
            "p": len(first.masked_lm_positions if isinstance(first, PositionedEncoding) else first.input_ids),
            "c": len(request.encodings),
            "l": len(self.manifest.labels),
        }
        for name, axes in self._task.outputs.items():
            shape = outputs[name].shape if name in outputs else ()
            wanted = [lengths.get(axis, length) for axis, length in zip(axes, shape, strict=False)]
            if len(shape) != len(axes) or list(shape) != wanted or 0 in shape:
                raise SessionError(f"{name}: the graph's output has other axes than {self.manifest.task} has")

    def _rows(self, request: Request) -> int:
        return 1 if self._task.choices else len(request.encodings)

    def _stacked(self, encodings: tuple[Encoding, ...]) -> dict[str, Ids]:
        arrays = {t.name: np.stack([getattr(e, t.name) for e in encodings]) for t in self.manifest.inputs}
        return {name: a[None] for name, a in arrays.items()} if self._task.choices else arrays


def _check_top_k(top_k: int) -> None:
    if type(top_k) is not int or top_k < 1:
        raise InputError(f"top_k: expected an integer from 1, found {top_k!r}")


def load(
    bundle: Path | str, *, runtime: str = "auto", threads: int | None = None, max_text_bytes: int = MAX_TEXT_BYTES
) -> Pipeline:
    """Open a bundle, every file of it checked first.

    `runtime` is one of RUNTIMES; `auto` is the bundle's own: its engine where it has one, else ONNX Runtime. An engine that cannot
    run here is an error, never silently replaced. `threads` limits the cores of ONNX Runtime and OpenVINO, `max_text_bytes` a text.
    Raises BundleError for a folder that is not a whole, unaltered bundle, SessionError when the engine cannot be opened or the
    tokenizer's library is missing.
    """
    if type(max_text_bytes) is not int or max_text_bytes < 1:
        raise InputError(f"max_text_bytes: expected an integer from 1, found {max_text_bytes!r}")
    folder = Path(bundle)
    manifest = manifest_from_folder(folder)
    config = _config(folder / CONFIG)
    _check_task(manifest, folder)
    vocabulary = folder / manifest.tokenizer.file
    tokenizer = Tokenizer.from_file(vocabulary, manifest.tokenizer)
    if tokenizer.vocab_size > config["vocab_size"] or tokenizer.pad_id != manifest.pad_token_id:
        raise BundleError(
            f"{vocabulary}: {tokenizer.vocab_size} pieces with <pad> at {tokenizer.pad_id}; the model has "
            f"{config['vocab_size']} embeddings and pads with {manifest.pad_token_id}"
        )
    return Pipeline(
        manifest=manifest,
        tokenizer=tokenizer,
        session=session_from_bundle(folder, manifest, runtime=runtime, threads=threads),
        golden=folder / GOLDEN,
        problem_type=config.get("problem_type"),
        max_text_bytes=max_text_bytes,
        token_types=config.get("type_vocab_size", TOKEN_TYPES),
    )


def _check_task(manifest: Manifest, folder: Path) -> None:
    """Raise BundleError unless the manifest's tensors and labels are those of its task."""
    task = PIPELINES.get(manifest.task)
    if task is None:
        raise BundleError(f"{folder}: task {manifest.task!r} is not known; expected one of {', '.join(PIPELINES)}")
    outputs = [tensor.name for tensor in manifest.outputs]
    if sorted(outputs) != sorted(task.outputs):
        raise BundleError(f"{folder}: {manifest.task} has the outputs {', '.join(task.outputs)}; found {', '.join(outputs)}")
    inputs = [tensor for tensor in manifest.inputs if tensor.name != POSITIONS]
    last_axes = {tensor.name: tensor.axes[-1:] for tensor in inputs}
    names = (*INPUTS, ATTENTION_MASK) if ATTENTION_MASK in last_axes else INPUTS
    if last_axes != dict.fromkeys(names, (manifest.sequence_length,)) or len(inputs) != len(names):
        found = ", ".join(f"{tensor.name!r}: {tensor.axes[-1:]}" for tensor in inputs)
        raise BundleError(
            f"{folder}: expected the inputs {', '.join(names)}, each of {manifest.sequence_length} tokens; found {{{found}}}"
        )
    positions = [tensor.axes[-1:] for tensor in manifest.inputs if tensor.name == POSITIONS]
    if positions and manifest.task != MASKED_LM:
        raise BundleError(f"{folder}: {POSITIONS} is an input of masked-lm; found it in {manifest.task}")
    if any(not axes or isinstance(axes[0], str) or axes[0] < 1 for axes in positions):
        raise BundleError(f"{folder}: {POSITIONS}: expected a number of positions as its last axis")
    labels = next((tensor.axes[-1] if tensor.axes else "no" for tensor in manifest.outputs if task.labelled), 0)
    if labels != len(manifest.labels) or (task.labelled and not manifest.labels):
        raise BundleError(f"{folder}: expected {labels} labels for {manifest.task}; found {len(manifest.labels)}")


def runtimes_from_manifest(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of RUNTIMES that a bundle has a file for, its own first."""
    engine = (manifest.engine.library.replace("_", "-"),) if manifest.engine else ()
    return (*engine, ONNXRUNTIME)


def runtime_from_name(runtime: str, manifest: Manifest, folder: Path) -> str:
    """Return the runtime that one of RUNTIMES means for a bundle. Raises InputError for one that it has no file for."""
    if runtime not in RUNTIMES:
        raise InputError(f"unknown runtime {runtime!r}; expected one of {', '.join(RUNTIMES)}")
    names = runtimes_from_manifest(manifest)
    chosen = names[0] if runtime == "auto" else runtime
    if chosen not in names:
        raise InputError(f"{folder}: has no engine for {runtime}; it opens with {' and '.join(names)}")
    return chosen


def session_from_bundle(folder: Path, manifest: Manifest, *, runtime: str = "auto", threads: int | None = None) -> Session:
    """Open the session of a bundle whose files were checked. Raises InputError for a runtime it has no file for, SessionError."""
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise InputError(f"threads: expected 1 to {MAX_THREADS}, found {threads!r}")
    chosen = runtime_from_name(runtime, manifest, folder)
    engine = manifest.engine
    if engine is None or chosen == ONNXRUNTIME:
        if manifest.precision == BF16:
            raise SessionError(f"{folder}: is in bf16, in which ONNX Runtime has no products on CPUs; open it with its own engine")
        return OrtSession(folder / MODEL, manifest.inputs, threads=threads)
    if engine.library == OPENVINO:
        return OpenVinoSession(folder / engine.file, manifest.inputs, precision=manifest.precision, threads=threads)
    return TrtSession(folder / engine.file, engine, manifest.inputs)


def _config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json_from_bytes(path.read_bytes())
        for name, value in (("vocab_size", config["vocab_size"]), ("type_vocab_size", config.get("type_vocab_size", TOKEN_TYPES))):
            if type(value) is not int or value not in INT64:
                raise TypeError(f"{name} is no integer")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: not an FNet's config.json ({error})") from error
    return config


@dataclass(frozen=True)
class TaskPipeline:
    """How one task makes model inputs of texts, and an answer of its outputs; with `choices`, a request is one row of them.

    `outputs` has a letter for each axis: b rows, s tokens, p tokens or the positions to predict, c choices, l labels, n any.
    `labelled` tells that the manifest names the last axis of the logits.
    """

    encode: Callable[[Model, str, Second], tuple[Encoding, ...]]
    answer: Callable[[Model, Request, Outputs], Any]
    outputs: Mapping[str, str]
    labelled: bool = False
    choices: bool = False


PIPELINES: Mapping[str, TaskPipeline] = {
    "feature-extraction": TaskPipeline(encode_single_or_pair, embedding, {"last_hidden_state": "bsn", "pooler_output": "bn"}),
    "pretraining": TaskPipeline(encode_pair, pretraining, {"prediction_logits": "bsn", "seq_relationship_logits": "bn"}),
    MASKED_LM: TaskPipeline(encode_masked, masked_lm, {"logits": "bpn"}),
    "next-sentence-prediction": TaskPipeline(encode_pair, next_sentence, {"logits": "bn"}),
    "sequence-classification": TaskPipeline(encode_single_or_pair, classification, {"logits": "bl"}, labelled=True),
    "multiple-choice": TaskPipeline(encode_choices, choice, {"logits": "bc"}, choices=True),
    "token-classification": TaskPipeline(encode_single, token_labels, {"logits": "bsl"}, labelled=True),
    "question-answering": TaskPipeline(encode_windows, answer_spans, {"start_logits": "bs", "end_logits": "bs"}),
}
