"""Measure the error by layer: compare a model after each block with the float64 reference."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fnet_core.fnet import FNet
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.graph.lower import AtPositions
from fnet_export.texts.samples import Samples

ROWS = 2
"""Inputs that layers are compared on."""
EMBEDDINGS = "embeddings"
AnyFNet = FNet | AtPositions


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """Errors after one layer, in parts of the reference's largest magnitude there."""

    name: str
    max_rel: float
    mean_rel: float


def layers_from_models(reference: AnyFNet, model: AnyFNet, samples: Samples) -> tuple[LayerError, ...]:
    """Compare two models in the checkpoint's order, after the embeddings and each block, on a few of the samples."""
    worst: dict[str, float] = {}
    total: dict[str, list[float]] = {}
    scale: dict[str, float] = {}
    for inputs in samples.inputs[:ROWS]:
        with _kept(reference) as expected:
            TorchSession(reference).run(inputs)
        with _kept(model) as actual:
            TorchSession(model).run(inputs)
        for name, want in expected.items():
            error = (actual[name].double() - want).abs()
            scale[name] = max(scale.get(name, 0.0), float(want.abs().max()))
            worst[name] = max(worst.get(name, 0.0), float(error.max()))
            total.setdefault(name, []).append(float(error.mean()))
    return tuple(
        LayerError(
            name=name,
            max_rel=worst[name] / (scale[name] or 1.0),
            mean_rel=float(np.mean(total[name])) / (scale[name] or 1.0),
        )
        for name in worst
    )


@contextmanager
def _kept(model: AnyFNet) -> Iterator[dict[str, Tensor]]:
    """Give what the layers of a model put out in its next run, by name."""
    encoder = (model.model if isinstance(model, AtPositions) else model).encoder
    kept: dict[str, Tensor] = {}
    layers: dict[str, nn.Module] = {EMBEDDINGS: encoder.embeddings}
    layers |= {f"block {i}": block for i, block in enumerate(encoder.blocks)}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        return layers[name].register_forward_hook(lambda _, __, value: kept.__setitem__(name, value))

    hooks = [keep(name) for name in layers]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
