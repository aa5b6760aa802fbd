"""Pipelines: text in, answers out. One entry of PIPELINES per task says how it encodes a request and reads the outputs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.answers import (
    Answer,
    Choice,
    Classification,
    Embedding,
    Filler,
    LabelScore,
    NextSentence,
    Pretraining,
    TokenLabel,
)
from fnet_runtime.encoding import MASK, Encoding
from fnet_runtime.errors import BundleError, InputError, SessionError
from fnet_runtime.exponential import exponential
from fnet_runtime.golden import Check, checks_from_session, golden_from_file
from fnet_runtime.manifest import (
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
from fnet_runtime.openvino_session import OpenVinoSession
from fnet_runtime.ort_session import OrtSession
from fnet_runtime.session import Ids, Outputs, Session, run_in_batches
from fnet_runtime.strict_json import json_from_bytes
from fnet_runtime.tokenizer import Tokenizer
from fnet_runtime.trt_session import TrtSession

ONNXRUNTIME = "onnxruntime"
RUNTIMES = ("auto", ONNXRUNTIME, "openvino", "tensorrt", "tensorrt-rtx")
MASKED_LM = "masked-lm"
INPUTS = ("input_ids", "token_type_ids")
MAX_THREADS = 1024
TOKEN_TYPES = 4
"""Token types of a model whose config.json does not say: transformers' default."""
MAX_ANSWER_TOKENS = 30
WINDOW_OVERLAP = 128
"""Tokens of context that neighbouring question-answering windows share, where the length allows it."""
MULTI_LABEL, REGRESSION = "multi_label_classification", "regression"

Second = str | Sequence[str] | None
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Request:
    """One request: the texts, the model inputs made of them, and how many answers are wanted."""

    text: str
    second: Second
    encodings: tuple[Encoding, ...]
    top_k: int


@dataclass(frozen=True, eq=False)
class Pipeline:
    """An opened bundle that answers. Made by `load`, or from parts, with any Session. Any number of threads may call it at once."""

    manifest: Manifest
    tokenizer: Tokenizer
    session: Session
    golden: Path
    problem_type: str | None = None
    token_types: int = TOKEN_TYPES

    def __call__(self, text: str | Sequence[str], pair: Any = None, *, top_k: int = 5) -> Any:
        """Answer one text, or a list of them with a list of as many pairs (or none).

        `pair` is the second text: the text that may follow (next-sentence-prediction, pretraining), the context in which to find
        the answer to `text` (question-answering), or the list of choices (multiple-choice). `top_k` bounds the fillers and answers.
        Raises InputError for a request that the task does not take, SessionError when the engine fails.
        """
        if type(top_k) is not int or top_k < 1:
            raise InputError(f"top_k: expected an integer from 1, found {top_k!r}")
        if isinstance(text, str):
            return self._answers([(text, pair)], top_k)[0]
        if not isinstance(text, Sequence) or not all(isinstance(t, str) for t in text):
            raise InputError(f"expected a text, or a list of texts; found {type(text).__name__}")
        if isinstance(pair, str) or not isinstance(pair, Sequence | None):
            raise InputError(f"expected a list of as many pairs as texts, found {type(pair).__name__}")
        pairs = [None] * len(text) if pair is None else list(pair)
        if len(pairs) != len(text):
            raise InputError(f"expected as many pairs as texts ({len(text)}), found {len(pairs)}")
        return self._answers(list(zip(text, pairs, strict=True)), top_k)

    def inputs(self, text: str, pair: Second = None) -> dict[str, Ids]:
        """Return the model's inputs for one request, with a leading batch axis. Raises InputError."""
        return self._stacked(self._encoded(text, pair))

    def self_test(self) -> list[Check]:
        """Run golden.safetensors and compare with its float64 references."""
        return checks_from_session(self.session, golden_from_file(self.golden))

    def _answers(self, texts: list[tuple[str, Second]], top_k: int) -> list[Any]:
        if not texts:
            return []
        requests = [Request(text, second, self._encoded(text, second), top_k) for text, second in texts]
        answers: list[Any] = []
        waiting: list[Request] = []
        for request in requests:
            full = sum(self._rows(r) for r in waiting) >= self.session.batch.max
            other_shape = self._task.choices and bool(waiting) and len(waiting[0].encodings) != len(request.encodings)
            if full or other_shape:
                answers += self._run(waiting)
                waiting = []
            waiting.append(request)
        return answers + self._run(waiting)

    def _encoded(self, text: str, second: Second) -> tuple[Encoding, ...]:
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

    def _run(self, requests: list[Request]) -> list[Any]:
        inputs = [self._stacked(request.encodings) for request in requests]
        joined = {name: np.concatenate([i[name] for i in inputs]) for name in inputs[0]}
        outputs = run_in_batches(self.session, joined)
        self._check_outputs(requests[0], outputs)
        answers, start = [], 0
        for request in requests:
            rows = slice(start, start + self._rows(request))
            answers.append(self._task.answer(self, request, {name: array[rows] for name, array in outputs.items()}))
            start = rows.stop
        return answers

    def _check_outputs(self, request: Request, outputs: Outputs) -> None:
        """Raise SessionError unless every output has the axes that the task reads."""
        first = request.encodings[0]
        lengths = {
            "s": len(first.input_ids),
            "p": len(first.masked_lm_positions if isinstance(first, _Positioned) else first.input_ids),
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


def load(bundle: Path | str, *, runtime: str = "auto", threads: int | None = None) -> Pipeline:
    """Open a bundle, every file of it checked first.

    `runtime` is one of RUNTIMES; `auto` is the bundle's own: its engine where it has one, else ONNX Runtime. An engine that cannot
    run here is an error, never silently replaced. `threads` limits the cores of ONNX Runtime and OpenVINO.
    Raises BundleError for a folder that is not a whole, unaltered bundle, SessionError when the engine cannot be opened or the
    tokenizer's library is missing.
    """
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


# ---- how requests are encoded


def _single(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    if second is not None:
        raise InputError(f"{pipeline.manifest.task}: takes one text; found a pair as well")
    return (pipeline.tokenizer.encode(text, length=pipeline.manifest.sequence_length),)


def _single_or_pair(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    if second is not None and not isinstance(second, str):
        raise InputError(f"{pipeline.manifest.task}: expected the second text as a str, found {type(second).__name__}")
    return (pipeline.tokenizer.encode(text, second, length=pipeline.manifest.sequence_length),)


@dataclass(frozen=True, eq=False)
class _Positioned(Encoding):
    """An encoding, and the tokens of it to predict: int64[count], filled up with 0."""

    masked_lm_positions: Ids


def _masked(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    """One text; where the graph predicts a few tokens only, a row for as many masks as it takes at once."""
    (encoding,) = _single(pipeline, text, second)
    counts = [int(tensor.axes[-1]) for tensor in pipeline.manifest.inputs if tensor.name == POSITIONS]
    if not counts:
        return (encoding,)
    count, masks = counts[0], _masks(pipeline, encoding)
    rows = []
    for start in range(0, max(1, len(masks)), count):
        positions = np.zeros(count, np.int64)
        few = masks[start : start + count]
        positions[: len(few)] = few
        rows.append(_Positioned(**vars(encoding), masked_lm_positions=positions))
    return tuple(rows)


def _pair(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    if not isinstance(second, str):
        raise InputError(f"{pipeline.manifest.task}: expected a second text (pair), found {type(second).__name__}")
    return _single_or_pair(pipeline, text, second)


def _choices(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    if not isinstance(second, Sequence) or isinstance(second, str) or not second or not all(isinstance(c, str) for c in second):
        raise InputError("multiple-choice: expected a list of choices (pair), each a text")
    length = pipeline.manifest.sequence_length
    return tuple(pipeline.tokenizer.encode(text, choice, length=length) for choice in second)


def _windows(pipeline: Pipeline, text: str, second: Second) -> tuple[Encoding, ...]:
    """Question and context; a context that does not fit is cut into overlapping windows, so that no part of it goes unread."""
    if not isinstance(second, str):
        raise InputError(f"question-answering: expected the context (pair) as a text, found {type(second).__name__}")
    length = pipeline.manifest.sequence_length
    question, context = pipeline.tokenizer.tokens(text), pipeline.tokenizer.tokens(second)
    room = length - pipeline.tokenizer.added(pair=True) - len(question)
    if room < min(max(length // 4, 1), len(context)):
        raise InputError(
            f"question-answering: the question takes {len(question)} of {length} tokens; too few are left for the context"
        )
    if len(context) <= room:
        return (pipeline.tokenizer.assembled(question, context, length=length),)
    step = room - min(WINDOW_OVERLAP, room // 2)
    starts = range(0, len(context) - room + step, step)
    return tuple(pipeline.tokenizer.assembled(question, context[s : s + room], length=length) for s in starts)


# ---- how outputs are read


def _softmax(logits: npt.NDArray[Any]) -> Floats:
    """Probabilities along the last axis, in float64."""
    wide = np.asarray(logits, np.float64)
    powers = exponential(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _probabilities(pipeline: Pipeline, logits: npt.NDArray[Any]) -> Floats:
    """Scores of labels, as the checkpoint's problem_type has them."""
    if pipeline.problem_type == REGRESSION:
        return np.asarray(logits, np.float64)
    if pipeline.problem_type == MULTI_LABEL:
        return np.asarray(1 / (1 + exponential(-np.asarray(logits, np.float64))))
    return _softmax(logits)


def _classification(pipeline: Pipeline, request: Request, outputs: Outputs) -> Classification:
    scores = _probabilities(pipeline, outputs["logits"][0])
    ranked = [LabelScore(pipeline.manifest.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
    return Classification(ranked[0].label, ranked[0].score, tuple(ranked))


def _token_labels(pipeline: Pipeline, request: Request, outputs: Outputs) -> tuple[TokenLabel, ...]:
    scores = _softmax(outputs["logits"][0])
    (encoding,) = request.encodings
    labels = []
    for (start, end), segment, row in zip(encoding.spans, encoding.segments, scores, strict=True):
        if segment == 0:
            best = int(row.argmax())
            start, end = _trimmed(request.text, start, end)
            labels.append(TokenLabel(pipeline.manifest.labels[best], float(row[best]), request.text[start:end], start, end))
    return tuple(labels)


def _answer_spans(pipeline: Pipeline, request: Request, outputs: Outputs) -> tuple[Answer, ...]:
    """Best spans of the context over all windows, best first, none twice; scores are a softmax over every allowed span."""
    assert isinstance(request.second, str)
    found: dict[tuple[int, int], float] = {}
    for encoding, starts, ends in zip(request.encodings, outputs["start_logits"], outputs["end_logits"], strict=True):
        positions = [i for i, segment in enumerate(encoding.segments) if segment == 1]
        for i in positions:
            for j in range(i, min(i + MAX_ANSWER_TOKENS, positions[-1] + 1)):
                span = _trimmed(request.second, encoding.spans[i][0], encoding.spans[j][1])
                if span[0] == span[1]:  # a piece of nothing but white space
                    continue
                found[span] = max(found.get(span, -math.inf), float(starts[i]) + float(ends[j]))
    if not found:
        return ()
    scores = _softmax(np.array(list(found.values())))
    ranked = sorted(zip(found, scores.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return tuple(Answer(request.second[s:e], score, s, e) for (s, e), score in ranked[: request.top_k])


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the white space at its ends: a word's piece covers the space before it."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _masks(pipeline: Pipeline, encoding: Encoding) -> list[int]:
    """Positions of the masks in the first text."""
    tokens = enumerate(zip(encoding.input_ids, encoding.segments, strict=True))
    return [i for i, (token, segment) in tokens if token == pipeline.tokenizer.mask_id and segment == 0]


def _fillers(pipeline: Pipeline, request: Request, logits: npt.NDArray[Any]) -> tuple[tuple[Filler, ...], ...]:
    """Fillers of every mask; `logits`, `float[row, token, vocab]`, has a row of every token or rows of the masks in order."""
    encoding = request.encodings[0]
    masks = _masks(pipeline, encoding)
    flat = logits.reshape(-1, logits.shape[-1])
    found = []
    for index, position in enumerate(masks):
        scores = _softmax(flat[index if isinstance(encoding, _Positioned) else position][: pipeline.tokenizer.vocab_size])
        start, end = _trimmed(request.text, *encoding.spans[position])  # a [MASK] may cover the space before it
        fillers = []
        for token in np.argsort(-scores, kind="stable")[: request.top_k].tolist():
            piece = pipeline.tokenizer.piece(token)
            spaced = piece.startswith("▁") and start > 0 and not request.text[start - 1].isspace()
            filled = request.text[:start] + " " * spaced + piece.replace("▁", " ").strip() + request.text[end:]
            fillers.append(Filler(piece, token, float(scores[token]), filled))
        found.append(tuple(fillers))
    return tuple(found)


def _masked_lm(pipeline: Pipeline, request: Request, outputs: Outputs) -> tuple[tuple[Filler, ...], ...]:
    found = _fillers(pipeline, request, outputs["logits"])
    if not found:
        raise InputError(
            f"masked-lm: expected a {MASK} in the first {pipeline.manifest.sequence_length} tokens of the text; found none"
        )
    return found


def _next_sentence(pipeline: Pipeline, request: Request, outputs: Outputs) -> NextSentence:
    return _follows(outputs["logits"][0])


def _follows(logits: npt.NDArray[Any]) -> NextSentence:
    score = float(_softmax(logits)[0])
    return NextSentence(score > 0.5, score)


def _choice(pipeline: Pipeline, request: Request, outputs: Outputs) -> Choice:
    assert request.second is not None
    scores = _softmax(outputs["logits"][0])
    best = int(scores.argmax())
    return Choice(best, request.second[best], float(scores[best]), tuple(scores.tolist()))


def _embedding(pipeline: Pipeline, request: Request, outputs: Outputs) -> Embedding:
    (encoding,) = request.encodings
    used = int(encoding.attention_mask.sum())  # not by the id of padding, which may stand in the text
    return Embedding(outputs["last_hidden_state"][0, :used], outputs["pooler_output"][0])


def _pretraining(pipeline: Pipeline, request: Request, outputs: Outputs) -> Pretraining:
    fillers = _fillers(pipeline, request, outputs["prediction_logits"])
    return Pretraining(fillers, _follows(outputs["seq_relationship_logits"][0]))


@dataclass(frozen=True)
class TaskPipeline:
    """How one task makes model inputs of texts, and an answer of its outputs; with `choices`, a request is one row of them.

    `outputs` has a letter for each axis: b rows, s tokens, p tokens or the positions to predict, c choices, l labels, n any.
    `labelled` tells that the manifest names the last axis of the logits.
    """

    encode: Callable[[Pipeline, str, Second], tuple[Encoding, ...]]
    answer: Callable[[Pipeline, Request, Outputs], Any]
    outputs: Mapping[str, str]
    labelled: bool = False
    choices: bool = False


PIPELINES: Mapping[str, TaskPipeline] = {
    "feature-extraction": TaskPipeline(_single_or_pair, _embedding, {"last_hidden_state": "bsn", "pooler_output": "bn"}),
    "pretraining": TaskPipeline(_pair, _pretraining, {"prediction_logits": "bsn", "seq_relationship_logits": "bn"}),
    MASKED_LM: TaskPipeline(_masked, _masked_lm, {"logits": "bpn"}),
    "next-sentence-prediction": TaskPipeline(_pair, _next_sentence, {"logits": "bn"}),
    "sequence-classification": TaskPipeline(_single_or_pair, _classification, {"logits": "bl"}, labelled=True),
    "multiple-choice": TaskPipeline(_choices, _choice, {"logits": "bc"}, choices=True),
    "token-classification": TaskPipeline(_single, _token_labels, {"logits": "bsl"}, labelled=True),
    "question-answering": TaskPipeline(_windows, _answer_spans, {"start_logits": "bs", "end_logits": "bs"}),
}
