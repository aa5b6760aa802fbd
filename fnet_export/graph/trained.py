"""The model of a checkpoint as it was trained, for one task and one length: what the stages start from."""

from dataclasses import dataclass

import torch
from fnet_runtime.tokenizer.encoding import NONE, Padding

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import Checkpoint
from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import Task
from fnet_export.graph.lower import AtPositions, LoweredFNet, lowered_for_target

AnyFNet = FNet | AtPositions


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A checkpoint, the task that its model answers, and how texts are cut and padded.

    No weights are in memory: each of the functions below reads them again. `random_head` draws a head that the checkpoint lacks.
    """

    checkpoint: Checkpoint
    task: Task
    padding: Padding
    random_head: bool = False

    @property
    def sequence_length(self) -> int:
        """Return the length that every text is padded to, or the longest where texts keep their own."""
        return self.padding.length

    @property
    def config(self) -> FNetConfig:
        """Return the configuration of the model."""
        return self.checkpoint.config


def fnet_from_trained(trained: TrainedModel, dtype: torch.dtype = torch.float32, *, transform: str = "fft") -> FNet:
    """Read the model in a float dtype, with a transform of TRANSFORMS in the checkpoint's order. Raises CheckpointError."""
    return model_from_checkpoint(
        trained.checkpoint,
        trained.task,
        transform=transform,
        sequence_length=trained.sequence_length,
        dtype=dtype,
        random_head=trained.random_head,
    )


def model_from_trained(trained: TrainedModel, dtype: torch.dtype = torch.float32, *, transform: str = "fft") -> AnyFNet:
    """Read the model as `fnet_from_trained` does; one that predicts positions keeps the logits of those positions."""
    model = fnet_from_trained(trained, dtype, transform=transform)
    return model if trained.task.predict_positions is None else AtPositions(model, trained.task)


def lowered_from_trained(trained: TrainedModel, transform: str, *, target: str, precision: str) -> LoweredFNet:
    """Read the model in float32 and lower it for a target, a precision and the padding."""
    any_length = trained.padding.contract == NONE
    model = fnet_from_trained(trained)
    return lowered_for_target(model, trained.task, transform, any_length=any_length, target=target, precision=precision)
