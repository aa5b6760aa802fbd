"""Headroom: the largest numbers that a model holds while it reads real text, against where half precision ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from fnet_core.model import Block
from fnet_export.engine.sessions.torch_session import ROWS_AT_ONCE, TorchSession
from fnet_export.graph.lower import LoweredFNet
from fnet_export.precision.half import HALVES
from fnet_export.texts.samples import Samples

EMBEDDINGS, HEAD = "embeddings", "head"
TENSORS = ("residual", "mixing sum", "mixing norm", "intermediate", "activation", "feed-forward", "output sum", "output norm")
"""Classes of tensors of a layer, in the order that they are computed in."""

Note = Callable[[str, str, Tensor], None]
Place = tuple[nn.Module, str, str]
"""A module, and the layer and the class of the tensor that goes into it or comes out."""


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """The largest magnitude of every tensor over all samples: by layer, then by class of tensor.

    `limit` is the largest number of fp16. `layers` begins with the embeddings, then has a layer of blocks a number from 0, with the
    classes of TENSORS, and ends with the head.

    What lies inside a scaled mixing of X is not watched. Its matrices lengthen no vector, and folding at most doubles a vector. So
    it stays below `2 sqrt(2 sequence hidden)` root mean squares of X, 1774 for 512 tokens of 768 units.
    """

    limit: float
    layers: Mapping[str, Mapping[str, float]]

    @property
    def largest(self) -> float:
        """Return the largest magnitude of all."""
        return self.place[2]

    @property
    def place(self) -> tuple[str, str, float]:
        """Return the layer and the class of tensor that hold the largest magnitude, and that."""
        places = ((layer, name, value) for layer, tensors in self.layers.items() for name, value in tensors.items())
        return max(places, key=lambda place: place[2])


def headroom_from_model(model: LoweredFNet, samples: Samples) -> Headroom:
    """Run a model in evaluation mode, as it is to be traced but in float32 or float64, and keep what its tensors reach."""
    layers: dict[str, dict[str, float]] = {}

    def note(layer: str, tensor: str, value: Tensor) -> None:
        tensors = layers.setdefault(layer, {})
        tensors[tensor] = max(tensors.get(tensor, 0.0), float(value.abs().max()))

    session = TorchSession(model)
    with _watched(model, note):
        for batch in samples.batches(range(len(samples.names)), ROWS_AT_ONCE):
            session.run(samples.batch(batch))
    return Headroom(limit=float(HALVES["fp16"].max), layers=layers)


@contextmanager
def _watched(model: LoweredFNet, note: Note) -> Iterator[None]:
    """Report every tensor while the context lasts: the inputs and outputs of modules.

    The last block of a pooled head never runs its `forward`, nor its mixing's, but the modules around them.
    """
    embeddings, pooler, head = model.model.encoder.embeddings, model.model.pooler, model.model.head
    into: list[Place] = [(embeddings.norm, EMBEDDINGS, "sum")]
    out: list[Place] = [(embeddings.norm, EMBEDDINGS, "norm"), (embeddings.projection, EMBEDDINGS, "projection")]
    for index, block in enumerate(model.model.encoder.blocks):
        assert isinstance(block, Block)
        layer = str(index)
        into += [
            (block.mixing_norm, layer, "mixing sum"),
            (block.output, layer, "activation"),
            (block.output_norm, layer, "output sum"),
        ]
        out += [(block.residual, layer, "residual"), (block.mixing_norm, layer, "mixing norm")]
        out += [(block.intermediate, layer, "intermediate"), (block.output, layer, "feed-forward")]
        out += [(block.output_norm, layer, "output norm")]
    if pooler is not None:
        out.append((pooler.dense, HEAD, "pooler"))
    out += [(part, HEAD, name) for name, part in head.named_modules() if isinstance(part, nn.Linear | nn.LayerNorm)]
    hooks = [part.register_forward_pre_hook(_before(note, layer, tensor)) for part, layer, tensor in into]
    hooks += [part.register_forward_hook(_after(note, layer, tensor)) for part, layer, tensor in out]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _before(note: Note, layer: str, tensor: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    return lambda _, values: note(layer, tensor, values[0])


def _after(note: Note, layer: str, tensor: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    return lambda _, __, value: note(layer, tensor, value)
