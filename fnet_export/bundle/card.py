"""README.md of a bundle: the card that says what the bundle is, how to run it and how to make it again."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import ATTENTION_MASK, INT8, POSITIONS, Manifest
from fnet_runtime.command.answer_text import escaped
from fnet_runtime.tokenizer.encoding import MAX_LENGTH
from fnet_runtime.tokenizer.tokenizer import TOKENIZER_JSON
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fnet_export.bundle.description import padding_from_manifest, tensor_shown
from fnet_export.parity.report.page import verdict_from_values
from fnet_export.parity.report.wording import note_of_random_head

TEMPLATE = "card.md.j2"
CUSTOM = "ORTModelForCustomTasks"
"""The class of optimum for tasks that have no class of their own. It takes any inputs and returns all outputs by name."""
TEXT, MASKED, SECOND = '"The meeting is on Friday."', '"The [MASK] is on Friday."', '"See you there."'
QUESTION, CHOICES = '"When is the meeting?"', ('"On Friday."', '"In the kitchen."')


@dataclass(frozen=True, kw_only=True)
class Example:
    """How a task is asked: the function of the runtimes, its texts, and what others call the task.

    `optimum` is a class of optimum. `pipeline` is the name that the hub gives the task, None for a task without a name there.
    """

    function: str
    texts: tuple[str, ...]
    optimum: str = CUSTOM
    pipeline: str | None = None


EXAMPLES: Mapping[str, Example] = {
    "sequence-classification": Example(
        function="classify", texts=(TEXT,), optimum="ORTModelForSequenceClassification", pipeline="text-classification"
    ),
    "token-classification": Example(
        function="classify_tokens", texts=(TEXT,), optimum="ORTModelForTokenClassification", pipeline="token-classification"
    ),
    "question-answering": Example(
        function="answer", texts=(QUESTION, TEXT), optimum="ORTModelForQuestionAnswering", pipeline="question-answering"
    ),
    "multiple-choice": Example(function="choose", texts=(QUESTION,), optimum="ORTModelForMultipleChoice"),
    "next-sentence-prediction": Example(function="next_sentence", texts=(TEXT, SECOND)),
    "masked-lm": Example(function="fill_mask", texts=(MASKED,), optimum="ORTModelForMaskedLM", pipeline="fill-mask"),
    "pretraining": Example(function="pretraining", texts=(MASKED, SECOND)),
    "feature-extraction": Example(
        function="embed", texts=(TEXT,), optimum="ORTModelForFeatureExtraction", pipeline="feature-extraction"
    ),
}
"""By task."""


def card_from_manifest(
    manifest: Manifest, evidence: Mapping[str, Any], command: Sequence[str], *, pooling: str | None = None
) -> str:
    """Return the text of README.md, from the manifest, the values of parity.json, and the words that export the bundle again.

    `pooling` says in words what makes one vector of a text, None for other tasks than feature-extraction.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # it is Markdown: `code` escapes what a checkpoint says
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(code=code, json=json.dumps)
    example, inputs = EXAMPLES[manifest.task], {tensor.name for tensor in manifest.inputs}
    chooses = manifest.task == "multiple-choice"
    card = environment.get_template(TEMPLATE).render(
        manifest=manifest,
        example=example,
        chooses=chooses,
        choices=CHOICES,
        arguments=", ".join([*example.texts, *(["choice"] if chooses else [])]),
        rows=list(_rows(manifest, pooling)),
        verdict=verdict_from_values(evidence),
        command=shlex.join(command),
        in_optimum=POSITIONS not in inputs,
        in_transformers=manifest.tokenizer.file == TOKENIZER_JSON,
        padding=_padding_arguments(manifest),
        attends=ATTENTION_MASK in inputs,
        int8=manifest.precision == INT8,
        custom=example.optimum == CUSTOM,
    )
    return re.sub(r"\n{3,}", "\n\n", card)


def code(text: str) -> str:
    """Return a text as code in a cell of a table; characters that do not print, bars and back quotes are escaped."""
    shown = escaped(text).replace("|", "\\|")
    quotes = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{quotes} {shown} {quotes}" if "`" in shown else f"{quotes}{shown}{quotes}"


def _rows(manifest: Manifest, pooling: str | None) -> list[tuple[str, str]]:
    """Return what the bundle is and what it was made of, as names and texts in Markdown."""
    source, engine = manifest.source, manifest.engine
    rows = [("task", code(manifest.task))]
    if manifest.labels:
        rows.append(("labels", ", ".join(map(code, manifest.labels))))
    revision = f", revision {code(source.revision)}" if source.revision else ""
    rows.append(("made from", f"{code(source.id)}{revision}"))
    rows += [(f"weights {code(name)}", f"sha256 {code(digest)}") for name, digest in source.sha256.items()]
    if source.random_head:
        rows.append(("head", note_of_random_head(manifest.task)))
    rows.append(("target", code(manifest.target)))
    if engine is not None:
        capabilities = f", compute capabilities {', '.join(engine.compute_capabilities)}" if engine.compute_capabilities else ""
        rows.append(("engine", f"{code(engine.file)}, {engine.library} {engine.version}{capabilities}"))
    rows.append(("precision", code(manifest.precision)))
    quantization = manifest.quantization
    if quantization is not None:
        rows.append(
            (f"{manifest.precision} ranges", f"{quantization.method}, from {quantization.texts} texts of {code(quantization.data)}")
        )
    rows += [("input", code(tensor_shown(tensor))) for tensor in manifest.inputs]
    rows += [("output", code(tensor_shown(tensor))) for tensor in manifest.outputs]
    rows.append(("padding", padding_from_manifest(manifest)))
    if pooling is not None:
        rows.append(("pooling", pooling))
    rows.append(("tokenizer", f"{code(manifest.tokenizer.flavour)}, from {code(manifest.tokenizer.file)}"))
    rows.append(("transform", f"{code(manifest.transform)}: {manifest.transform_reason}"))
    rows.append(("made by", ", ".join(f"{name} {version}" for name, version in manifest.tools.items())))
    return rows


def _padding_arguments(manifest: Manifest) -> str:
    """Return the arguments with which a tokenizer of transformers pads as the bundle does."""
    if manifest.padding == MAX_LENGTH:
        return ', padding="max_length"'
    multiple = manifest.pad_to_multiple_of
    return "" if multiple == 1 else f", padding=True, pad_to_multiple_of={multiple}"
