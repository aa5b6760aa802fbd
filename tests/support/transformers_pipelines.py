"""A tiny model of transformers in its own pipeline, and the same model and tokenizer in ours: an oracle of answers."""

import functools
import itertools
import random
from pathlib import Path

import torch
import transformers
from fnet_runtime.bundle.manifest import FORMAT_VERSION, Manifest, Source, TensorInfo
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.session import ANY_BATCH
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from support import golden_tokenizer
from support.checkpoints import tiny_config
from support.trained_toys import tokenizer_for

from fnet_core.tasks import TASKS

LENGTH = 32
CLOSE = {"rel": 1e-5, "abs": 1e-5}
WORDS = [
    "the",
    "quick",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "10,000",
    "Paris.",
    "Ünïcödé",
    "😀",
    "isn't",
    "(see",
    "it)",
    "B-52",
]


def texts(count=200, longest=20, seed=0):
    """Texts of 1 to `longest` words, with digits, punctuation, accents and characters that the vocabulary lacks."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=1 + i % longest)) for i in range(count)]


def remembered(forward):
    """Return a forward function of a model that computes the outputs of the same inputs once, whatever options are asked about."""
    outputs = {}

    @functools.wraps(forward)
    def run(**inputs):
        key = tuple((name, tuple(value.shape), value.numpy().tobytes()) for name, value in sorted(inputs.items()))
        if key not in outputs:
            outputs[key] = forward(**inputs)
        return type(outputs[key])(**outputs[key])

    return run


class TorchSession:
    """Runs a model of transformers, so that both pipelines have the same outputs."""

    batch = ANY_BATCH

    def __init__(self, model):
        self.model = model

    def run(self, inputs):
        with torch.no_grad():
            outputs = self.model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def both(task, folder, *, pipeline=None, labels=("A", "B", "C"), problem_type=None, padding="none", **options):
    """Return our pipeline and the pipeline of transformers of one model. With `pipeline` None there is only ours."""
    torch.manual_seed(3)
    config = tiny_config(labels=labels, max_position_embeddings=LENGTH).to_dict() | {"problem_type": problem_type}
    model = getattr(transformers, TASKS[task].huggingface_class)(transformers.FNetConfig.from_dict(config)).eval()
    for name, value in model.named_parameters():
        torch.nn.init.normal_(value, std=0.0 if name.endswith("bias") else 0.3)  # a bias would decide the label of every token
    model.forward = remembered(model.forward)
    tokenizer = tokenizer_for(folder)
    tokenizer.model_max_length = LENGTH
    ours = Pipeline(
        manifest=_manifest(task, labels if TASKS[task].labelled else (), padding),
        tokenizer=Tokenizer(golden_tokenizer.pipeline("bpe", "fnet-fast"), TokenizerOptions(flavour="fnet-fast")),
        session=TorchSession(model),
        golden=Path("none"),
        problem_type=problem_type,
    )
    if pipeline is None:
        return ours, model, tokenizer
    return ours, transformers.pipeline(pipeline, model=model, tokenizer=tokenizer, **options)


def _manifest(task, labels, padding):
    tokens = LENGTH if padding == "max_length" else "sequence_length"
    axes = ("batch_size", tokens)
    return Manifest(
        format_version=FORMAT_VERSION,
        task=task,
        target="onnx",
        labels=labels,
        inputs=tuple(TensorInfo(name=name, dtype="int64", axes=axes) for name in ("input_ids", "token_type_ids")),
        outputs=(),
        sequence_length=LENGTH,
        padding=padding,
        pad_to_multiple_of=1,
        pad_token_id=3,
        tokenizer=TokenizerOptions(flavour="fnet-fast"),
        transform="dft",
        transform_reason="asked for",
        precision="fp32",
        quantization=None,
        source=Source(id="x", revision=None, sha256={}, random_head=False),
        tools={},
        engine=None,
        files={},
    )


def combinations(**values):
    """Return the keyword arguments of every combination; None leaves an argument out."""
    rows = itertools.product(*values.values())
    return [{name: value for name, value in zip(values, row, strict=True) if value is not None} for row in rows]
