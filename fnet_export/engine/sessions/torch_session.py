"""A model in torch, as a session."""

from collections.abc import Mapping

import torch
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs

from fnet_core.fnet import FNet
from fnet_export.graph.lower import AtPositions, LoweredFNet

ROWS_AT_ONCE = 4
"""Bounds the memory: one row of vocabulary logits of fnet-base is 131 MB in float64."""
TorchModel = FNet | LoweredFNet | AtPositions


class TorchSession:
    """A model in torch, as a session."""

    batch = ANY_BATCH

    def __init__(self, model: TorchModel) -> None:
        """Take a model in evaluation mode."""
        self._model = model

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the model; outputs have its dtype."""
        with torch.inference_mode():
            outputs = self._model(**{name: torch.from_numpy(inputs[name]) for name in self._model.task.inputs})
        return {name: output.numpy() for name, output in zip(self._model.task.outputs, outputs, strict=True)}
