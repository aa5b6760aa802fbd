"""The inputs and outputs of a graph, as the manifest describes them."""

from fnet_runtime.bundle.manifest import SEQUENCE as OPEN_SEQUENCE
from fnet_runtime.bundle.manifest import TensorInfo
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, Padding

from fnet_core.config import FNetConfig
from fnet_core.tasks import DYNAMIC_AXES, HIDDEN, LABELS, SEQUENCE, VOCAB, Axis, Task


def tensors_from_task(task: Task, config: FNetConfig, padding: Padding) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Return the inputs and outputs of a task, as a manifest has them. The tokens are an open axis if texts keep their length."""
    tokens = padding.length if padding.contract == MAX_LENGTH else OPEN_SEQUENCE
    lengths: dict[Axis, int | str] = {
        SEQUENCE: tokens,
        HIDDEN: config.hidden_size,
        VOCAB: config.vocab_size,
        LABELS: config.num_labels,
    }

    def info(name: str, dtype: str, axes: tuple[Axis, ...]) -> TensorInfo:
        sizes = (axis if isinstance(axis, int) or axis in DYNAMIC_AXES else lengths[axis] for axis in axes)
        return TensorInfo(name=name, dtype=dtype, axes=tuple(sizes))

    return (
        tuple(info(name, "int64", axes) for name, axes in task.inputs.items()),
        tuple(info(name, "float32", axes) for name, axes in task.outputs.items()),
    )
