"""The TensorRT engine of a bundle, built again for the GPU and the library of this host."""

from pathlib import Path

from fnet_runtime.bundle.manifest import manifest_from_folder
from fnet_runtime.engine.rebuild import Rebuilt, rebuilt_engine

from fnet_export.base.arguments import StrPath
from fnet_export.base.progress import Calls, OnProgress, Progress

BUILD = "build the engine"


def rebuild(bundle: StrPath, *, on_progress: OnProgress | None = None) -> Rebuilt:
    """Build the TensorRT engine of a bundle for this host, and keep it in the user's cache. Do what `fnet-export rebuild` does.

    `fnet_runtime.load(bundle, rebuild=True)` opens the engine from the cache. `built` of the result is False if the engine was in
    the cache already.

    Raises BundleError for a folder that is not a whole, unaltered bundle, and `fnet_runtime.OptionError` for a bundle without an
    engine of TensorRT. Raises LibraryError if no library of TensorRT is installed, NoDeviceError without a GPU, and BuildError if
    the build fails.
    """
    return rebuilt_from_bundle(Path(bundle), Calls(on_progress))


def rebuilt_from_bundle(folder: Path, progress: Progress) -> Rebuilt:
    """Build the engine of a bundle, unless it is in the cache. Raises as `rebuild` does."""
    manifest = manifest_from_folder(folder)
    progress.stage(BUILD)
    return rebuilt_engine(folder, manifest, on_progress=lambda phase, done, total: progress.step(done, total, phase))
