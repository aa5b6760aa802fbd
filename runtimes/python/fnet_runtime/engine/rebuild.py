"""Build the engine of a bundle again, for the GPU of this host, and keep it in a cache.

An entry of the cache (`cache.py`) has the hash of everything that the engine depends on as its name: GPU, driver, library, options,
shapes and graph. A process that builds an entry holds its lock, so two processes build it once.
"""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import (
    ENGINE,
    LIBRARIES,
    MODEL,
    MODEL_DATA,
    OPENVINO,
    AxisProfile,
    EngineInfo,
    Manifest,
    TensorInfo,
)
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.engine.build import OnProgress, Shapes, engine_from_file
from fnet_runtime.engine.cache import CACHE_VARIABLE, engine_cache, keep, limit_of_cache, locked, trim, used_entry
from fnet_runtime.engine.cuda import Gpu, Importer, gpu_of_host, imported
from fnet_runtime.engine.options import BuildOptions, options_from_engine
from fnet_runtime.engine.products import LEAST_COMPUTE_CAPABILITIES, RTX, capable_of, compute_capabilities_of
from fnet_runtime.errors import BuildError, LibraryError, OptionError


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """An engine for the GPU of this host: its file, what a manifest would say of it, and whether it was built just now."""

    file: Path
    info: EngineInfo
    gpu: Gpu
    built: bool


def rebuilt_engine(
    folder: Path, manifest: Manifest, *, importer: Importer = importlib.import_module, on_progress: OnProgress | None = None
) -> Rebuilt:
    """Return the engine of a bundle whose files were checked, built for the GPU of this host from the bundle's graph.

    An engine that is in the cache is not built again. Raises OptionError for a bundle without an engine of TensorRT. Raises
    LibraryError if no library of the target is installed, NoDeviceError without a GPU, and BuildError if the build fails. After a
    build, the cache is trimmed.
    """
    limit_bytes = limit_of_cache()
    if manifest.engine is None or manifest.engine.library == OPENVINO:
        raise OptionError(f"{folder}: the target {manifest.target} has no engine of TensorRT, so there is nothing to rebuild")
    library, trt = _library(manifest.target, importer)
    gpu = gpu_of_host(library, importer=importer)
    offered = compute_capabilities_of(trt)
    if offered and gpu.compute_capability not in offered:
        raise BuildError(
            f"{library} {trt.__version__} builds for the compute capabilities {', '.join(offered)}; found {gpu.name} with "
            f"{gpu.compute_capability}. Install another library of the target {manifest.target}, or open model.onnx with the "
            "runtime onnxruntime"
        )
    if not capable_of(manifest.precision, [gpu.compute_capability]):
        least = LEAST_COMPUTE_CAPABILITIES[manifest.precision]
        raise BuildError(
            f"{folder}: {manifest.precision} needs a GPU of compute capability {least} or newer; found {gpu.name} with "
            f"{gpu.compute_capability}. Export the bundle in int8, or open model.onnx with the runtime onnxruntime"
        )
    options, profiles = options_on_gpu(manifest.engine, library, gpu), profiles_from_manifest(manifest)
    depends = {
        "gpu": asdict(gpu),
        "library": [library, str(trt.__version__)],
        "options": [options.workspace_mib, options.optimization_level],
        "profiles": profiles,
        "graph": [manifest.files[name].sha256 for name in (MODEL, MODEL_DATA) if name in manifest.files],
    }
    key = hashlib.sha256(json_from_values(depends).encode()).hexdigest()
    cache = engine_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache, key):
            entry = used_entry(cache / key)
            if entry is not None:
                return Rebuilt(file=cache / key / ENGINE, info=entry.engine, gpu=gpu, built=False)
            built = engine_from_file(
                folder / MODEL, trt=trt, library=library, profiles=profiles, options=options, gpu=gpu, on_progress=on_progress
            )
            info = EngineInfo(
                file=ENGINE,
                library=library,
                version=built.version,
                compute_capabilities=built.compute_capabilities,
                profiles=manifest.engine.profiles,
                build=built.build,
            )
            entry = keep(cache, key, built.data, info, gpu)
        trim(cache, key, entry, limit_bytes)
    except OSError as error:
        raise BuildError(
            f"{cache}: cannot be written ({error.strerror or error}); expected a folder for rebuilt engines. Name another folder "
            f"in {CACHE_VARIABLE}"
        ) from error
    return Rebuilt(file=cache / key / ENGINE, info=info, gpu=gpu, built=True)


def _library(target: str, importer: Importer) -> tuple[str, Any]:
    """Import the first library of a target that is installed."""
    reasons = []
    for name in LIBRARIES[target]:
        try:
            return name, imported(importer, name, name)
        except LibraryError as error:
            reasons.append(str(error))
    raise LibraryError("; ".join(reasons))


def options_on_gpu(engine: EngineInfo, library: str, gpu: Gpu) -> BuildOptions:
    """Return the options of a bundle's engine that hold on every host. What lets other hosts open an engine is left out."""
    options = options_from_engine(engine)
    return BuildOptions(
        workspace_mib=options.workspace_mib,
        optimization_level=options.optimization_level,
        compute_capabilities=(gpu.compute_capability,) if library == RTX else (),
    )


def profiles_from_manifest(manifest: Manifest) -> list[Shapes]:
    """Return the shapes of the inputs for each optimisation profile of a bundle's engine."""
    assert manifest.engine is not None
    return [_shapes(manifest.inputs, profile) for profile in manifest.engine.profiles]


def _shapes(inputs: Sequence[TensorInfo], ranges: Mapping[str, AxisProfile]) -> Shapes:
    return {
        tensor.name: tuple(
            tuple(getattr(ranges[axis], bound) if isinstance(axis, str) else axis for axis in tensor.axes)
            for bound in ("min", "opt", "max")
        )
        for tensor in inputs
    }
