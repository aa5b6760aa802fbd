"""The tasks: how each makes model inputs of texts, and an answer of the model's outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fnet_runtime.bundle.manifest import ATTENTION_MASK, POSITIONS, Manifest
from fnet_runtime.errors import BundleError, OptionError
from fnet_runtime.pipeline.answer_spans import answer_spans
from fnet_runtime.pipeline.answers import (
    Answer,
    AnyAnswer,
    Choice,
    Classification,
    Embedding,
    Entities,
    Fillers,
    NextSentence,
    Pretraining,
    TokenLabels,
)
from fnet_runtime.pipeline.encodings import (
    encode_choices,
    encode_masked,
    encode_pair,
    encode_single_or_pair,
    encode_token_windows,
    encode_windows,
)
from fnet_runtime.pipeline.masks import ids_of_targets, masked_lm
from fnet_runtime.pipeline.model import Model, Request, Rows, Second
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.outputs import (
    choice,
    classification,
    next_sentence,
    pretraining,
    token_labels,
)
from fnet_runtime.pipeline.pooling import embedding
from fnet_runtime.tokenizer.encoding import CLS, Encoding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

INPUTS = ("input_ids", "token_type_ids")
A = TypeVar("A", covariant=True)


class Encode(Protocol):
    """Makes model inputs of the texts of a request. Raises InputError."""

    def __call__(self, model: Model, text: str, second: Second, options: AnswerOptions = ..., /) -> tuple[Encoding, ...]:
        """Return a row for each window, choice or few masks."""


@dataclass(frozen=True)
class Task(Generic[A]):
    """One task: its Hugging Face name, the function of Pipeline that answers it, and how it encodes and answers a request.

    `outputs` has a letter for each axis: b rows, s tokens, p tokens or the positions to predict, c choices, l labels, n any length.
    `options` names the options of answers that not every task takes (AnswerOptions).
    `labelled` says that the manifest names the last axis of the logits. `choices` says that the inputs have an axis of choices.
    Each choice is a row of its own, because two choices may have different lengths.
    """

    name: str
    function: str
    encode: Encode
    answer: Callable[[Model, Request, Rows], A]
    outputs: Mapping[str, str]
    options: tuple[str, ...] = ()
    labelled: bool = False
    choices: bool = False


FEATURE_EXTRACTION: Task[Embedding] = Task(
    "feature-extraction",
    "embed",
    encode_single_or_pair,
    embedding,
    {"last_hidden_state": "bsn", "pooler_output": "bn"},
    options=("pooling", "normalize"),
)
PRETRAINING: Task[Pretraining] = Task(
    "pretraining",
    "pretraining",
    encode_pair,
    pretraining,
    {"prediction_logits": "bsn", "seq_relationship_logits": "bn"},
    options=("targets",),
)
MASKED_LM: Task[Fillers] = Task("masked-lm", "fill_mask", encode_masked, masked_lm, {"logits": "bpn"}, options=("targets",))
NEXT_SENTENCE: Task[NextSentence] = Task("next-sentence-prediction", "next_sentence", encode_pair, next_sentence, {"logits": "bn"})
SEQUENCE_CLASSIFICATION: Task[Classification] = Task(
    "sequence-classification",
    "classify",
    encode_single_or_pair,
    classification,
    {"logits": "bl"},
    options=("function_to_apply", "threshold"),
    labelled=True,
)
MULTIPLE_CHOICE: Task[Choice] = Task("multiple-choice", "choose", encode_choices, choice, {"logits": "bc"}, choices=True)
TOKEN_CLASSIFICATION: Task[TokenLabels | Entities] = Task(
    "token-classification",
    "classify_tokens",
    encode_token_windows,
    token_labels,
    {"logits": "bsl"},
    options=("aggregation_strategy", "stride"),
    labelled=True,
)
QUESTION_ANSWERING: Task[tuple[Answer, ...]] = Task(
    "question-answering",
    "answer",
    encode_windows,
    answer_spans,
    {"start_logits": "bs", "end_logits": "bs"},
    options=("stride", "max_answer_len", "handle_impossible_answer", "null_threshold", "align_to_words"),
)
_ALL: tuple[Task[AnyAnswer], ...] = (
    FEATURE_EXTRACTION,
    PRETRAINING,
    MASKED_LM,
    NEXT_SENTENCE,
    SEQUENCE_CLASSIFICATION,
    MULTIPLE_CHOICE,
    TOKEN_CLASSIFICATION,
    QUESTION_ANSWERING,
)
TASKS: Mapping[str, Task[AnyAnswer]] = {task.name: task for task in _ALL}


def check_options(task: Task[object], options: AnswerOptions) -> None:
    """Raise OptionError for an option of other tasks."""
    for name in options.given():
        if name not in task.options:
            owners = ", ".join(owner.name for owner in _ALL if name in owner.options)
            raise OptionError(f"{name}: expected a bundle of {owners}, found {task.name}")


def check_tokenizer(tokenizer: Tokenizer, options: AnswerOptions) -> None:
    """Raise OptionError for an option that the tokenizer of a bundle does not allow: targets, or an answer that is [CLS]."""
    ids_of_targets(tokenizer, options.targets)
    if options.with_empty and not tokenizer.added(pair=False):
        raise OptionError(
            f"handle_impossible_answer, null_threshold: expected a tokenizer that adds {CLS}, whose score an empty answer "
            f"has; found {tokenizer.options.flavour}"
        )


def task_of_manifest(manifest: Manifest, name: str) -> Task[AnyAnswer]:
    """Return the task of a manifest; `name` is what errors call the bundle.

    Raises BundleError unless the tensors and labels of the manifest fit its task.
    """
    task = TASKS.get(manifest.task)
    if task is None:
        raise BundleError(f"{name}: unknown task {manifest.task!r}; expected one of {', '.join(TASKS)}")
    outputs = [tensor.name for tensor in manifest.outputs]
    if sorted(outputs) != sorted(task.outputs):
        raise BundleError(f"{name}: {task.name} has the outputs {', '.join(task.outputs)}; found {', '.join(outputs)}")
    inputs = [tensor for tensor in manifest.inputs if tensor.name != POSITIONS]
    last_axes = {tensor.name: tensor.axes[-1:] for tensor in inputs}
    names = (*INPUTS, ATTENTION_MASK) if ATTENTION_MASK in last_axes else INPUTS
    if last_axes != dict.fromkeys(names, (manifest.sequence_axis,)) or len(inputs) != len(names):
        shown_axes = ", ".join(f"{tensor.name!r}: {tensor.axes[-1:]}" for tensor in inputs)
        raise BundleError(
            f"{name}: expected the inputs {', '.join(names)}, each of {manifest.sequence_axis} tokens; found {{{shown_axes}}}"
        )
    positions = [tensor.axes[-1:] for tensor in manifest.inputs if tensor.name == POSITIONS]
    if positions and task is not MASKED_LM:
        raise BundleError(f"{name}: only masked-lm has the input {POSITIONS}; found it in {task.name}")
    if any(not axes or isinstance(axes[0], str) or axes[0] < 1 for axes in positions):
        raise BundleError(f"{name}: {POSITIONS}: expected a number of positions as its last axis")
    labels = next((tensor.axes[-1] if tensor.axes else "no" for tensor in manifest.outputs if task.labelled), 0)
    if labels != len(manifest.labels) or (task.labelled and not manifest.labels):
        raise BundleError(f"{name}: expected {labels} labels for {task.name}; found {len(manifest.labels)}")
    return task
