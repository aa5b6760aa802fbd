"""The options of a TensorRT build."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from fnet_runtime.bundle.manifest import HARDWARE_COMPATIBILITIES, NO_COMPATIBILITY, EngineInfo
from fnet_runtime.errors import OptionError

MAX_OPTIMIZATION_LEVEL = 5
MAX_WORKSPACE_MIB = 1 << 24
"""16 TiB: more than any GPU has."""
COMPUTE_CAPABILITY = re.compile(r"\d+\.\d")


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How TensorRT builds an engine. `products.py` says what each library takes. Raises OptionError for an invalid value.

    `workspace_mib` limits the memory that one operation may use for intermediate values. `optimization_level` is 0 to 5. A higher
    level takes longer to build. `timing_cache` is a file of measured times, which a build reads and completes. A
    `version_compatible` engine runs with newer versions of the library, `hardware_compatibility` lets other GPUs run it, and
    `compute_capabilities`, such as "8.6", are the GPUs that TensorRT-RTX builds for. A `weight_stripped` engine gets its
    weights from model.onnx when it is opened. None and an empty value leave the choice to the library.
    """

    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatibility: str = NO_COMPATIBILITY
    compute_capabilities: tuple[str, ...] = ()
    weight_stripped: bool = False

    def __post_init__(self) -> None:
        _check_integer("--workspace-mib", self.workspace_mib, 1, MAX_WORKSPACE_MIB)
        _check_integer("--optimization-level", self.optimization_level, 0, MAX_OPTIMIZATION_LEVEL)
        if self.hardware_compatibility not in HARDWARE_COMPATIBILITIES:
            raise OptionError(
                f"--hardware-compatibility: expected one of {', '.join(HARDWARE_COMPATIBILITIES)}; "
                f"found {self.hardware_compatibility!r}"
            )
        for capability in self.compute_capabilities:
            if not isinstance(capability, str) or not COMPUTE_CAPABILITY.fullmatch(capability):
                raise OptionError(f"--compute-capability: expected a number such as 8.6, found {capability!r}")
        if len(set(self.compute_capabilities)) != len(self.compute_capabilities):
            raise OptionError(f"--compute-capability: expected each once, found {', '.join(self.compute_capabilities)}")
        if self.version_compatible and self.weight_stripped:
            raise OptionError(
                "--weight-stripped: an engine for newer versions cannot take its weights later; leave out --version-compatible "
                "or --weight-stripped"
            )

    def given(self) -> tuple[str, ...]:
        """Return the names of the options that differ from the defaults."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) != field.default)


def _check_integer(option: str, value: int | None, least: int, most: int) -> None:
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise OptionError(f"{option}: expected {least} to {most}, found {value!r}")


def options_from_engine(engine: EngineInfo | None) -> BuildOptions:
    """Return the options that built an engine, without its timing cache, which is a file of the host that built it."""
    if engine is None or engine.build is None:
        return BuildOptions()
    build = engine.build
    return BuildOptions(
        workspace_mib=build.workspace_mib,
        optimization_level=build.optimization_level,
        version_compatible=build.version_compatible,
        hardware_compatibility=build.hardware_compatibility,
        compute_capabilities=engine.compute_capabilities if build.gpu is None else (),
        weight_stripped=build.weight_stripped,
    )
