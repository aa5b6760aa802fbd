"""From an open checkpoint to the model of a task."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fnet_core.checkpoint.huggingface import tensor_of_parameter
from fnet_core.checkpoint.open import Checkpoint, check_shape, head_is_drawn
from fnet_core.fnet import FNet
from fnet_core.tasks import Task


def model_from_checkpoint(
    checkpoint: Checkpoint,
    task: Task,
    *,
    transform: str = "fft",
    sequence_length: int | None = None,
    dtype: torch.dtype = torch.float32,
    random_head: bool = False,
) -> FNet:
    """Build the model of a task with the checkpoint's weights, converted to `dtype`, in evaluation mode.

    `random_head` draws a missing head from config.initializer_range with a fixed seed. Raises TaskError if the checkpoint has no
    such head, and lists the heads that it has. Raises CheckpointError for a tensor that is missing, misshapen, not finite, or
    different from its tied tensor.
    """
    drawn = head_is_drawn(checkpoint, task, random_head=random_head)
    config = checkpoint.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with _NoInitialWeights():
            model = FNet(config, task, transform=transform, sequence_length=sequence_length, dtype=dtype).eval()
        torch.manual_seed(0)
        keys = tensor_of_parameter(checkpoint.tensors, config, task)
        with torch.no_grad():
            for parameter, value in model.named_parameters():
                key = keys[parameter]
                missing = key not in checkpoint.tensors or parameter.startswith("head.classifier.")  # else it is another task's
                if drawn and missing and parameter.startswith(("head.", "pooler.")):
                    _draw(value, parameter, config.initializer_range)
                else:
                    check_shape(checkpoint.tensors[key], [tuple(value.shape)], config, checkpoint.origin)
                    value.copy_(checkpoint.tensor(key))
    return model


class _NoInitialWeights(TorchFunctionMode):
    """Leaves parameters as they are where modules draw initial weights, which take most of the time to build a model."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, unless it fills a parameter."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _draw(value: Tensor, parameter: str, std: float) -> None:
    """Initialise one parameter as transformers initialises a new head."""
    if parameter.endswith(".bias"):
        value.zero_()
    elif "norm" in parameter:
        value.fill_(1.0)
    else:
        value.copy_(torch.empty(value.shape).normal_(0.0, std))  # in float32, so that every dtype gets the same head
