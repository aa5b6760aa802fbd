"""golden.safetensors: a few inputs with their float64 reference outputs, which the self-test of every runtime runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from fnet_runtime.bundle.golden import INPUT, LIMIT, REFERENCE
from fnet_runtime.sessions.session import Ids, Outputs

from fnet_core.tasks import SEQUENCE, Task

GOLDEN_POSITIONS = 16
"""How many tokens golden.safetensors keeps of outputs per token. Mixing makes each token depend on all tokens."""


def write_golden(path: Path, inputs: Mapping[str, Ids], references: Outputs, limits: Mapping[str, float], task: Task) -> None:
    """Write golden.safetensors from `float64` references; outputs per token keep their first 16 tokens. Raises OSError.

    Where the answer is a token, all of them are kept: a part would decide otherwise. `limits` are the largest absolute errors, by
    output.
    """
    kept = {
        name: reference[:, :GOLDEN_POSITIONS] if SEQUENCE in task.outputs[name][:-1] else reference
        for name, reference in references.items()
    }
    tensors = {INPUT + name: array for name, array in inputs.items()} | {REFERENCE + name: array for name, array in kept.items()}
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    path.write_bytes(safetensors.numpy.save(contiguous, metadata={LIMIT + name: repr(limit) for name, limit in limits.items()}))
