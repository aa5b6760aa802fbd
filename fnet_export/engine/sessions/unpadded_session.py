"""A model in torch that runs each text at its own length, as a pipeline of transformers runs one text."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from fnet_runtime.bundle.manifest import ATTENTION_MASK, AxisProfile
from fnet_runtime.sessions.session import Ids, Outputs

from fnet_core.fnet import FNet
from fnet_core.tasks import SEQUENCE
from fnet_export.engine.sessions.torch_session import TorchSession

ONE_ROW = AxisProfile(min=1, opt=1, max=1)
"""Rows of unequal lengths cannot be run at once."""


class UnpaddedSession:
    """A model in torch, as a session: the padding of a row is cut off before the run, and zeros stand in its place after it.

    The inputs hold an `attention_mask`, whether or not the model reads it. Choices of one question share the longest one's length.
    """

    batch = ONE_ROW

    def __init__(self, model: FNet) -> None:
        """Take a model in evaluation mode whose mixing takes any length."""
        self._session, self._outputs = TorchSession(model), model.task.outputs

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run one row; see `Session.run`."""
        mask = inputs[ATTENTION_MASK]
        length = max(1, int(mask.sum(axis=-1).max()))
        outputs = self._session.run({name: array[..., :length] for name, array in inputs.items()})
        return {name: _filled(array, self._outputs[name], mask.shape[-1]) for name, array in outputs.items()}


def _filled(array: npt.NDArray[np.floating], axes: tuple[object, ...], length: int) -> npt.NDArray[np.floating]:
    """Put zeros after the tokens of an output per token."""
    widths = [(0, length - size if axis == SEQUENCE else 0) for axis, size in zip(axes, array.shape, strict=True)]
    return np.pad(array, widths)
