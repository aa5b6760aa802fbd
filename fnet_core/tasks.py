"""List the tasks that an FNet is exported for, with their names, heads and tensors."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from fnet_core import heads
from fnet_core.config import FNetConfig
from fnet_core.errors import TaskError

BATCH = "batch_size"
CHOICES = "num_choices"
SEQUENCE = "sequence_length"
HIDDEN = "hidden_size"
VOCAB = "vocab_size"
LABELS = "num_labels"
DYNAMIC_AXES = (BATCH, CHOICES)
"""The axes whose length an exported graph leaves open. The model fixes every other axis."""

Axis = str | int
INPUT_NAMES = ("input_ids", "token_type_ids")
ATTENTION_MASK = "attention_mask"
"""The further input of models with attention. It is 0 for a token that does not count."""
POSITIONS = "masked_lm_positions"
"""The further input of masked-lm with `predict_positions`: the positions of the tokens to predict."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Describe one task: its names, its head and its tensors.

    `outputs` maps each output's name to its axes, in the order of the head. `pooled` is true if the head reads the pooler, `paired`
    if an input is two texts, and `labelled` if the outputs are the configuration's labels. `attends` is true if the model has
    attention, and so a mask. `predict_positions` is how many tokens masked-lm predicts at given positions. None means every token.
    """

    name: str
    huggingface_class: str
    head: Callable[[FNetConfig], nn.Module]
    outputs: Mapping[str, tuple[Axis, ...]]
    aliases: tuple[str, ...] = ()
    input_axes: tuple[Axis, ...] = (BATCH, SEQUENCE)
    pooled: bool = False
    paired: bool = False
    labelled: bool = False
    attends: bool = False
    predict_positions: int | None = None

    @property
    def inputs(self) -> dict[str, tuple[Axis, ...]]:
        """Return the axes of every input by name, in the order in which a model takes them."""
        positions = {} if self.predict_positions is None else {POSITIONS: (BATCH, self.predict_positions)}
        names = (*INPUT_NAMES, ATTENTION_MASK) if self.attends else INPUT_NAMES
        return dict.fromkeys(names, self.input_axes) | positions


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="feature-extraction",
            huggingface_class="FNetModel",
            head=heads.FeatureExtractionHead,
            outputs={"last_hidden_state": (BATCH, SEQUENCE, HIDDEN), "pooler_output": (BATCH, HIDDEN)},
            aliases=("embeddings", "embedding", "feature_extraction"),
            pooled=True,
        ),
        Task(
            name="pretraining",
            huggingface_class="FNetForPreTraining",
            head=heads.PretrainingHead,
            outputs={"prediction_logits": (BATCH, SEQUENCE, VOCAB), "seq_relationship_logits": (BATCH, 2)},
            aliases=("pre-training",),
            pooled=True,
            paired=True,
        ),
        Task(
            name="masked-lm",
            huggingface_class="FNetForMaskedLM",
            head=heads.MaskedLMHead,
            outputs={"logits": (BATCH, SEQUENCE, VOCAB)},
            aliases=("fill-mask", "mlm", "masked-language-modeling"),
        ),
        Task(
            name="next-sentence-prediction",
            huggingface_class="FNetForNextSentencePrediction",
            head=heads.NextSentenceHead,
            outputs={"logits": (BATCH, 2)},
            aliases=("nsp", "next-sentence"),
            pooled=True,
            paired=True,
        ),
        Task(
            name="sequence-classification",
            huggingface_class="FNetForSequenceClassification",
            head=heads.SequenceClassificationHead,
            outputs={"logits": (BATCH, LABELS)},
            aliases=("text-classification", "sentiment-analysis"),
            pooled=True,
            labelled=True,
        ),
        Task(
            name="multiple-choice",
            huggingface_class="FNetForMultipleChoice",
            head=heads.MultipleChoiceHead,
            outputs={"logits": (BATCH, CHOICES)},
            input_axes=(BATCH, CHOICES, SEQUENCE),
            pooled=True,
            paired=True,
        ),
        Task(
            name="token-classification",
            huggingface_class="FNetForTokenClassification",
            head=heads.TokenClassificationHead,
            outputs={"logits": (BATCH, SEQUENCE, LABELS)},
            aliases=("ner",),
            labelled=True,
        ),
        Task(
            name="question-answering",
            huggingface_class="FNetForQuestionAnswering",
            head=heads.QuestionAnsweringHead,
            outputs={"start_logits": (BATCH, SEQUENCE), "end_logits": (BATCH, SEQUENCE)},
            aliases=("qa",),
            paired=True,
        ),
    )
}


def task_named(name: str) -> Task:
    """Return the task of a name or alias. Raises TaskError, which lists the tasks and the nearest name."""
    by_name = {known: task for task in TASKS.values() for known in (task.name, *task.aliases)}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f" (did you mean {by_name[near[0]].name}?)" if near else ""
    raise TaskError(f"unknown task {name!r}{hint}; expected one of: {', '.join(TASKS)}")


def task_at_positions(task: Task, count: int) -> Task:
    """Return a masked-lm task that predicts only `count` tokens, at given positions. Raises TaskError for another task."""
    if task.name != "masked-lm" or count < 1:
        raise TaskError(f"predict positions: expected 1 or more, for masked-lm; found {count} for {task.name}")
    return replace(task, outputs={"logits": (BATCH, count, VOCAB)}, predict_positions=count)


def task_of_config(task: Task, config: FNetConfig) -> Task:
    """Return the task for a model of this configuration, with a mask if the model has attention."""
    return replace(task, attends=config.attends)
