"""Which transform a graph is exported with: looked up in a table of measurements, or measured here and now."""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fnet_runtime.bundle.manifest import MODEL, OPENVINO
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import NONE, Padding

from fnet_core.config import FOURIER, FNetConfig
from fnet_core.dft import factors
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_core.transform import TRANSFORMS
from fnet_export.base.errors import OptionError
from fnet_export.engine.sessions.timing import times_ms
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trace import graph_from_model

AUTO, MEASURE = "auto", "measure"
TRANSFORM_NAMES = (AUTO, MEASURE, *TRANSFORMS)
FACTORED_FROM = 2048
"""Tokens from which `factored` is faster than `folded`. Measured on three layers of base size, on two cores:

In ONNX Runtime with AVX-512, `folded` and `factored` took 213 and 222 ms at 1,024 tokens, 443 and 425 ms at 2,048, and 940 and 877
ms at 4,096. With AVX2 the two cross at 2,048 as well. In OpenVINO (AVX-512, the best of seven passes on a busy host), `dft`,
`folded` and `factored` took 230, 183 and 174 ms at 512 tokens. They took 1,329, 726 and 720 ms at 2,048 tokens."""
FACTORED_AT_MOST = 1 / 8
"""The largest share of the length for the sum of its two factors. `folded` multiplies each token by an eighth of the length."""
NO_FOURIER = "none"
"""What the manifest records of a model without Fourier layers."""
ON_CPU = {"onnx": "ONNX Runtime", OPENVINO: "OpenVINO"}
"""What a bundle for a CPU runs in, by target: they agree on the fastest transform."""
FOLDED = "folded"
ONE_FOR_ANY_LENGTH = "the only transform that takes texts of any length"
"""No measurement: there is no second form to compare with, on any target."""
CANDIDATES = ("dft", FOLDED, "factored")
ROUNDS, LAYERS = 9, 3


@dataclass(frozen=True, kw_only=True)
class TransformChoice:
    """A name in TRANSFORMS and why it was chosen, as the manifest records them."""

    name: str
    reason: str


def choice_from_name(name: str, *, target: str, padding: Padding, config: FNetConfig) -> TransformChoice:
    """Resolve a name of TRANSFORM_NAMES; `measure` stays, until `choice_from_times` has the times.

    Raises OptionError for another name, and for `measure` with a target that cannot be timed here. Where texts keep their own
    length, only FOLDED can be asked for.
    """
    if FOURIER not in config.mixings and name in TRANSFORM_NAMES:
        return TransformChoice(name=NO_FOURIER, reason="no layer has a Fourier transform")
    if padding.contract == NONE:
        if name not in (AUTO, FOLDED):
            raise OptionError(
                f"--transform: expected {AUTO} or {FOLDED}, the transform of texts at their own length; found {name!r}"
            )
        return TransformChoice(name=FOLDED, reason=ONE_FOR_ANY_LENGTH)
    if name in TRANSFORMS:
        return TransformChoice(name=name, reason="asked for")
    if name == AUTO:
        return _from_table(target, padding.length)
    if name != MEASURE:
        raise OptionError(f"--transform: expected one of {', '.join(TRANSFORM_NAMES)}; found {name!r}")
    if target != "onnx":
        raise OptionError(
            f"--transform measure: times ONNX Runtime only; for the target {target} choose auto or one of {', '.join(TRANSFORMS)}"
        )
    return TransformChoice(name=MEASURE, reason=f"the fastest of {', '.join(CANDIDATES)} in ONNX Runtime on the exporting host")


def choice_from_times(times_ms: dict[str, float]) -> TransformChoice:
    """Choose the fastest."""
    medians = ", ".join(f"{name} {ms:.1f} ms" for name, ms in times_ms.items())
    return TransformChoice(
        name=min(times_ms, key=times_ms.__getitem__),
        reason=f"measured in ONNX Runtime on the exporting host, {LAYERS} layers, batch 1, median of {ROUNDS}: {medians}",
    )


def transform_times_ms(config: FNetConfig, sequence_length: int) -> dict[str, float]:
    """Time random models of these sizes, three layers each, in ONNX Runtime on all cores, interleaved; medians by transform.

    Weights do not matter to the time. Batch 1.
    """
    small = dataclasses.replace(
        config,
        num_hidden_layers=LAYERS,
        mixing=FOURIER,
        attention_layers=(),
        vocab_size=config.pad_token_id + 8,
        bos_token_id=None,
        eos_token_id=None,
    )
    task = TASKS["feature-extraction"]
    inputs, _ = tensors_from_task(task, small, Padding(sequence_length))
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng():
        model = FNet(small, task, sequence_length=sequence_length).eval()
        sessions = {}
        for name in CANDIDATES:
            path = Path(scratch) / f"{name}-{MODEL}"
            write_graph(optimized_from_graph(graph_from_model(lowered_from_model(model, name, widen=True))), path)
            sessions[name] = OrtSession(path, inputs)
        fed = {tensor.name: np.zeros((1, sequence_length), np.int64) for tensor in inputs}
        return times_ms(sessions, fed, rounds=ROUNDS)


def _from_table(target: str, sequence_length: int) -> TransformChoice:
    factor_pair, engine = factors(sequence_length), ON_CPU.get(target)
    if sequence_length >= FACTORED_FROM and sum(factor_pair) <= FACTORED_AT_MOST * sequence_length:
        measured = f"measured in {engine}" if engine else f"not measured in {target} for want of a GPU"
        reason = f"table: {FACTORED_FROM} tokens or more that are {factor_pair[0]} x {factor_pair[1]}, {measured}"
        return TransformChoice(name="factored", reason=reason)
    if engine is None:
        reason = f"table: {target}, two large products against many slices by the count of layers, not measured for want of a GPU"
        return TransformChoice(name="dft", reason=reason)
    reason = f"table: fewer than {FACTORED_FROM} tokens, or not of two small factors, measured in {engine}"
    return TransformChoice(name="folded", reason=reason)
