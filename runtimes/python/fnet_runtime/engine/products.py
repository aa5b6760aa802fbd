"""What differs between TensorRT 10.12 and newer, TensorRT 11 and TensorRT-RTX: one table.

The code asks a library for a part by name, never by version. A row says which part, and what to do where it is missing or useless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fnet_runtime.bundle.manifest import FP8
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.errors import OptionError

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
RTX_COMPUTE_CAPABILITIES = ("8.0", "8.6", "8.9", "12.0", "12.1")
"""What TensorRT-RTX builds for by default: Ampere and later. It is set by name, so that a manifest need not assume it."""
LEAST_COMPUTE_CAPABILITIES: Mapping[str, str] = {FP8: "8.9"}
"""The oldest GPUs that multiply in a precision, where not all do that a library builds for: Ada for fp8.

https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/work-quantized-types.html says so.
"""
WHEELS = "Python bindings 10.12.0.36, 10.16.1.11, 11.4.0.106"
TRIED_RTX = "tensorrt_rtx 1.7.1.116, tried"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row: an option of a build or another subject, what each library does, and the versions that this was read from.

    `option` is a field of BuildOptions, None for a subject that no option is about. `part` is the attribute of a library that has
    the option. `instead` says, by library, what to do where the library lacks it.
    """

    subject: str
    tensorrt_10: str
    tensorrt_11: str
    tensorrt_rtx: str
    read_from: tuple[str, ...]
    option: str | None = None
    part: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)


DIFFERENCES = (
    Difference(
        subject="--workspace-mib",
        option="workspace_mib",
        part="MemoryPoolType.WORKSPACE",
        tensorrt_10="limits the memory pool WORKSPACE; by default all memory of the GPU",
        tensorrt_11="the same",
        tensorrt_rtx="takes the limit",
        read_from=(WHEELS, "NvInfer.h 11.1.0", TRIED_RTX),
    ),
    Difference(
        subject="--optimization-level",
        option="optimization_level",
        part="IBuilderConfig.builder_optimization_level",
        tensorrt_10="0 to 5, by default 3",
        tensorrt_11="the same",
        tensorrt_rtx="takes the level",
        read_from=(WHEELS, "NvInfer.h 11.1.0", TRIED_RTX),
    ),
    Difference(
        subject="--timing-cache",
        option="timing_cache",
        part="IBuilderConfig.create_timing_cache",
        tensorrt_10="reads and completes it; level 0 ignores it",
        tensorrt_11="the same",
        tensorrt_rtx="has no effect, deprecated since 1.2, and asks for a GPU",
        read_from=(WHEELS, "NvInfer.h 11.1.0", "TensorRT-RTX documentation, page Timing Cache Migration"),
        instead={RTX: "TensorRT-RTX measures no times in a build. Leave the option out"},
    ),
    Difference(
        subject="--version-compatible",
        option="version_compatible",
        part="BuilderFlag.VERSION_COMPATIBLE",
        tensorrt_10="the engine runs with newer versions up to TensorRT 11, if the runtime allows its host code",
        tensorrt_11="the engine runs with newer versions of 11",
        tensorrt_rtx="has the flag, but an engine belongs to one release",
        read_from=(WHEELS, "TensorRT 11.4.1 support matrix", "TensorRT-RTX documentation, page Engine Compatibility"),
        instead={
            RTX: "an engine of TensorRT-RTX opens with its own release only. Leave the option out, and rebuild it after updates"
        },
    ),
    Difference(
        subject="--hardware-compatibility",
        option="hardware_compatibility",
        part="HardwareCompatibilityLevel",
        tensorrt_10="ampere-plus or same-compute-capability",
        tensorrt_11="the same",
        tensorrt_rtx="has the setting, and ignores it",
        read_from=(WHEELS, "NvInfer.h 11.1.0", TRIED_RTX),
        instead={RTX: "TensorRT-RTX builds one engine for several GPUs by itself. Name the GPUs with --compute-capability"},
    ),
    Difference(
        subject="--compute-capability",
        option="compute_capabilities",
        part="ComputeCapability",
        tensorrt_10="builds for the GPU that is present only",
        tensorrt_11="the same",
        tensorrt_rtx="7.5, 8.0, 8.6, 8.9, 12.0 and 12.1",
        read_from=(WHEELS, TRIED_RTX),
        instead={
            TENSORRT: "TensorRT builds for the GPU that is present. Leave the option out, or name more GPUs with "
            "--hardware-compatibility"
        },
    ),
    Difference(
        subject="--weight-stripped",
        option="weight_stripped",
        part="BuilderFlag.STRIP_PLAN",
        tensorrt_10="STRIP_PLAN with REFIT_IDENTICAL; OnnxParserRefitter fills the weights in",
        tensorrt_11="the same",
        tensorrt_rtx="the same, but it builds such an engine on a host with a GPU only",
        read_from=(WHEELS, "NvInfer.h 11.1.0", TRIED_RTX),
    ),
    Difference(
        subject="strongly typed networks",
        part="NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        tensorrt_10="only with the flag",
        tensorrt_11="always; the flag is harmless",
        tensorrt_rtx="always; the flag is harmless",
        read_from=(WHEELS, "migration guide 11.4.0", TRIED_RTX),
    ),
    Difference(
        subject="precisions as builder flags",
        part="BuilderFlag.FP16",
        tensorrt_10="FP16, BF16, INT8 and others; a strongly typed network takes none of them",
        tensorrt_11="none",
        tensorrt_rtx="none",
        read_from=("tensorrt-stubs 10.13.0.35", "NvInfer.h 11.1.0", TRIED_RTX),
    ),
    Difference(
        subject="the operator DFT",
        tensorrt_10="not parsed",
        tensorrt_11="parsed since 11.2, by a plugin of cuFFT",
        tensorrt_rtx="not parsed",
        read_from=("release notes 11.2", TRIED_RTX),
    ),
    Difference(
        subject="CUDA graphs",
        part="CudaGraphStrategy",
        tensorrt_10="the runtime captures a run of each shape; each graph needs a context that nothing changes",
        tensorrt_11="the same",
        tensorrt_rtx="makes them itself, by a setting of a context; it alone knows when its kernels are final",
        read_from=("TensorRT documentation, Optimizing Performance", "TensorRT-RTX documentation, Working with RTX CUDA Graphs"),
    ),
    Difference(
        subject="whether an engine fits, before it is opened",
        part="Runtime.get_engine_validity",
        tensorrt_10="no call; the runtime compares the manifest",
        tensorrt_11="the same",
        tensorrt_rtx="get_engine_validity; without a GPU it knows only a damaged header",
        read_from=(WHEELS, "TensorRT 11.4.1 support matrix", TRIED_RTX),
    ),
    Difference(
        subject="versions that open an engine",
        tensorrt_10="the same version, all four numbers",
        tensorrt_11="the same",
        tensorrt_rtx="the same release",
        read_from=(
            "TensorRT documentation 10.16.1 and 11.1.0, Version Compatibility",
            "TensorRT-RTX documentation, Engine Compatibility",
        ),
    ),
)


def has_part(trt: Any, part: str) -> bool:
    """Return whether a library has an attribute, such as BuilderFlag.STRIP_PLAN."""
    thing = trt
    for name in part.split("."):
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def check_options(options: BuildOptions, trt: Any, library: str, *, gpu: bool) -> None:
    """Raise OptionError for an option that the library does not have or cannot use here. `gpu` says that this host has one."""
    given, name = options.given(), f"{library} {trt.__version__}"
    for row in DIFFERENCES:
        if row.option not in given:
            continue
        if library in row.instead:
            raise OptionError(f"{row.subject}: {row.instead[library]}")
        if not has_part(trt, row.part):
            raise OptionError(
                f"{row.subject}: {library} {trt.__version__} has no {row.part}. Leave the option out, or update {library}"
            )
    if options.compute_capabilities and has_part(trt, "ComputeCapability"):
        offered = compute_capabilities_of(trt)
        for capability in options.compute_capabilities:
            if capability not in offered:
                raise OptionError(
                    f"--compute-capability: {name} cannot build for compute capability {capability}; it "
                    f"builds for {', '.join(offered)}"
                )
    if options.weight_stripped and library == RTX and not gpu:
        raise OptionError(
            "--weight-stripped: TensorRT-RTX builds an engine without weights only where it finds an NVIDIA GPU, and it finds no "
            "GPU here. Leave the option out, or export on the GPU"
        )


def compute_capabilities_of(trt: Any) -> tuple[str, ...]:
    """Return what a library can build for by name, such as 8.6, in order; nothing if it builds for the present GPU only."""
    members = getattr(getattr(trt, "ComputeCapability", None), "__members__", {})
    numbers = sorted(int(name.removeprefix("SM")) for name in members if name.startswith("SM"))
    return tuple(f"{number // 10}.{number % 10}" for number in numbers)


def capable_of(precision: str, capabilities: Sequence[str]) -> tuple[str, ...]:
    """Return the compute capabilities, such as 8.9, of the GPUs that multiply in a precision, in the given order."""
    least = _numbers(LEAST_COMPUTE_CAPABILITIES.get(precision, "0.0"))
    return tuple(capability for capability in capabilities if _numbers(capability) >= least)


def _numbers(capability: str) -> tuple[int, ...]:
    return tuple(int(number) for number in capability.split("."))
