"""The two scales of a run: REAL on a GPU, REHEARSAL at toy size on any CPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANY_LENGTH = "any length"
"""The form of the graph for texts at their own length. It stands in place of a transform."""
FEW_BATCHES = 2
"""A case that is there for comparison alone is timed at so many of the batches."""
SMALL: Mapping[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "intermediate_size": 80,
    "max_position_embeddings": 28,
    "labels": ("A", "B", "C"),
}
"""A model for all heads; its hidden units and tokens differ, and both have two factors."""
TOY: Mapping[str, Any] = {**SMALL, "num_hidden_layers": 1}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes and limits of one scale.

    `device` is torch's and ONNX Runtime's name of the device. `small` are FNetConfig's fields of the model with every head.
    `base` are those of the model that is timed, at each of `lengths` tokens and each batch of `batches`; the first ones are those
    of the goals. A case is timed for `case_s` seconds, or `fewest` runs. `side` is the side of the square matrices, and
    `copied_bytes` the size of the copy, that measure the device's own peak. `compile_backend` is torch.compile's. `providers` are
    those of the shipped runtime that open graphs, and `targets` those that the built-in model is exported for. `builders` processes
    build graphs. `patience` multiplies the budgets of the steps: a rehearsal may run next to other tests.
    """

    device: str
    small: Mapping[str, Any]
    base: Mapping[str, Any]
    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    case_s: float
    fewest: int
    side: int
    copied_bytes: int
    compile_backend: str
    providers: tuple[str, ...]
    targets: tuple[str, ...]
    builders: int
    patience: float

    @property
    def on_gpu(self) -> bool:
        """Tell whether the device is a GPU."""
        return self.device == "cuda"

    @property
    def provider(self) -> str:
        """Name ONNX Runtime's execution provider."""
        return "CUDAExecutionProvider" if self.on_gpu else "CPUExecutionProvider"


REAL = Scale(
    device="cuda",
    small=SMALL,
    base={"labels": ("a", "b")},
    lengths=(512, 128, 2048),
    batches=(32, 1, 8, 128),
    case_s=0.4,
    fewest=5,
    side=8192,
    copied_bytes=2**31,
    compile_backend="inductor",
    providers=("cuda", "tensorrt", "nv-tensorrt-rtx"),
    targets=("onnx", "tensorrt", "tensorrt-rtx"),
    builders=6,
    patience=1.0,
)
REHEARSAL = Scale(
    device="cpu",
    small=TOY,
    base=TOY,
    lengths=(28,),
    batches=(3, 1),
    case_s=0.0,
    fewest=2,
    side=64,
    copied_bytes=2**16,
    compile_backend="eager",
    providers=("cpu", "cuda", "tensorrt", "nv-tensorrt-rtx"),
    targets=("onnx", "tensorrt-rtx"),
    builders=2,
    patience=5.0,
)
