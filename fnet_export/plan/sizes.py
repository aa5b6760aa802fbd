"""The sizes that a bundle's files are expected to have."""

import torch
from fnet_runtime.bundle.manifest import (
    CARD,
    CONFIG,
    ENGINE,
    GOLDEN,
    IR,
    IR_DATA,
    MANIFEST,
    MODEL,
    MODEL_DATA,
    OPENVINO,
    PARITY,
    PARITY_JUNIT,
    PARITY_PAGE,
    TOKENIZER_CONFIG,
)
from fnet_runtime.tokenizer.encoding import MAX_LENGTH

from fnet_core.fnet import FNet
from fnet_core.tasks import CHOICES, LABELS, SEQUENCE, VOCAB
from fnet_core.transform import TRANSFORMS, AnyLengthMixing
from fnet_export.bundle.golden import GOLDEN_POSITIONS
from fnet_export.graph.file import EXTERNAL_DATA_ABOVE_BYTES
from fnet_export.graph.trained import TrainedModel
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.half import HALVES
from fnet_export.precision.quantised import is_quantised, layers_from_model
from fnet_export.texts.samples import CHOICES_COUNT, GOLDEN_ROWS
from fnet_export.texts.tokenizer.choice import TokenizerChoice


def bytes_from_trained(
    trained: TrainedModel, tokenizer: TokenizerChoice, transform: str, *, target: str, precision: str
) -> dict[str, int]:
    """Return the sizes to expect, in bytes, by file: weights and matrices count by their precision, the rest is small."""
    files = {tokenizer.file: len(tokenizer.data), CONFIG: len(trained.config.to_json().encode()), GOLDEN: _golden_bytes(trained)}
    graph = _graph_bytes(trained, transform, precision)
    model = {MODEL: 100_000, MODEL_DATA: graph} if graph > EXTERNAL_DATA_ABOVE_BYTES else {MODEL: graph}
    engine = {"onnx": {}, OPENVINO: {IR: 100_000, IR_DATA: graph}}.get(target, {ENGINE: graph})
    layers = 8_000 * trained.config.num_hidden_layers  # those of the engine
    evidence = {PARITY: 15_000 + layers, PARITY_PAGE: 60_000 + layers, PARITY_JUNIT: 2_000, CARD: 5_000}
    return model | files | {TOKENIZER_CONFIG: 500} | engine | evidence | {MANIFEST: 3_000}


def _graph_bytes(trained: TrainedModel, transform: str, precision: str) -> int:
    """Add up the weights and the matrices of the transform."""
    size, length, config = 2 if precision in HALVES else 4, trained.sequence_length, trained.config
    with torch.device("meta"):
        model = FNet(config, trained.task, transform="fft", sequence_length=length)
    layers = layers_from_model(model)
    matrices = 0
    if transform in TRANSFORMS:
        make = TRANSFORMS[transform] if trained.padding.contract == MAX_LENGTH else AnyLengthMixing
        matrices = sum(matrix.numel() for matrix in make(length, config.hidden_size, torch.float32).buffers())
    weights = sum(
        weight.numel() * (1 if precision in EIGHT_BITS and is_quantised(name, layers) else size)
        for name, weight in model.named_parameters()
    )
    return weights + size * matrices


def _golden_bytes(trained: TrainedModel) -> int:
    """Add up the golden inputs, int64, and their references, float64."""
    task, config, length = trained.task, trained.config, trained.sequence_length
    count = len(GOLDEN_ROWS)
    size = count * 8 * len(task.inputs) * length * (CHOICES_COUNT if CHOICES in task.input_axes else 1)
    lengths = {SEQUENCE: GOLDEN_POSITIONS, VOCAB: config.vocab_size, LABELS: config.num_labels, CHOICES: CHOICES_COUNT}
    for output in task.outputs.values():
        known = lengths | ({SEQUENCE: length} if output[-1] == SEQUENCE else {})
        numbers = count
        for axis in output[1:]:
            numbers *= axis if isinstance(axis, int) else known.get(axis, config.hidden_size)
        size += 8 * numbers
    return size
