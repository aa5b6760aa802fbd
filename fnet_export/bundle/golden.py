"""golden.safetensors: a few inputs with their float64 reference outputs, which the self-test of every runtime runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from fnet_runtime.bundle.golden import INPUT, LIMIT, REFERENCE, Case

from fnet_core.tasks import SEQUENCE, Task

GOLDEN_POSITIONS = 16
"""How many tokens golden.safetensors keeps of outputs per token. Mixing makes each token depend on all tokens."""


def write_golden(path: Path, cases: Sequence[Case], limits: Mapping[str, float], task: Task) -> None:
    """Write golden.safetensors; outputs per token keep their first 16 tokens. Raises OSError.

    Where the answer is a token, all of them are kept: a part would decide otherwise. `limits` are the largest absolute errors, by
    output.
    """
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for number, case in enumerate(cases):
        tensors |= {f"{number}.{INPUT}.{name}": array for name, array in case.inputs.items()}
        for name, reference in case.references.items():
            kept = reference[:, :GOLDEN_POSITIONS] if SEQUENCE in task.outputs[name][:-1] else reference
            tensors[f"{number}.{REFERENCE}.{name}"] = kept
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    path.write_bytes(safetensors.numpy.save(contiguous, metadata={LIMIT + name: repr(limit) for name, limit in limits.items()}))
