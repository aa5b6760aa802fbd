"""Calibration: the ranges that activations have on real text, by which int8 is scaled."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from fnet_runtime.bundle.manifest import TensorInfo
from fnet_runtime.sessions.ort_session import OrtSession
from onnxruntime.quantization.calibrate import HistogramCollector

from fnet_export.base.cache import cache_folder
from fnet_export.graph.check import quiet
from fnet_export.texts.samples import Samples

MINMAX, PERCENTILE, ENTROPY = "minmax", "percentile", "entropy"
METHODS = (MINMAX, PERCENTILE, ENTROPY)
PERCENT = 99.999
"""The share of the magnitudes that `percentile` keeps inside the range."""
BINS, QUANTIZED_BINS = 2048, 128


def bounds_from_graph(
    graph: Path,
    tensors: Sequence[str],
    inputs: Sequence[TensorInfo],
    samples: Samples,
    method: str,
    *,
    cache: Path | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """Run a float32 graph on samples and bound the magnitude of some of its tensors, by a method of METHODS.

    `percentile` and `entropy` (least Kullback-Leibler divergence) are ONNX Runtime's. Bounds are kept in `cache`, by the hash of
    graph, samples and method; `on_note` hears of a cache that cannot be written. Raises SessionError when the graph cannot be run.
    """
    folder = cache or calibration_cache()
    kept = folder / f"{_key(graph, tensors, samples, method)}.json"
    try:
        return {name: float(bound) for name, bound in json.loads(kept.read_text("utf-8")).items()}
    except (OSError, ValueError):  # none there, or not whole: computed again
        bounds = _computed(graph, tensors, inputs, samples, method)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
            json.dump(bounds, file)
        Path(file.name).replace(kept)
    except OSError as error:
        on_note(
            f"{folder}: cannot be written ({error.strerror or error}), so the ranges are not kept and the next export measures "
            "them again; FNET_EXPORT_CACHE names another folder"
        )
    return bounds


def calibration_cache() -> Path:
    """Return the folder that bounds are kept in."""
    return cache_folder() / "calibration"


def _computed(graph: Path, tensors: Sequence[str], inputs: Sequence[TensorInfo], samples: Samples, method: str) -> dict[str, float]:
    model = onnx.load(graph, load_external_data=False)
    outputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    bounds = dict.fromkeys(tensors, 0.0)
    collector = None
    if method != MINMAX:
        collector = HistogramCollector(method, True, BINS, QUANTIZED_BINS, PERCENT, "same")
    with tempfile.TemporaryDirectory(dir=graph.parent, prefix=".calibrate-") as scratch:
        path = Path(scratch) / graph.name
        for data in graph.parent.glob(f"{graph.name}.data"):
            os.link(data, path.with_name(data.name))
        onnx.save(model, path)
        session = OrtSession(path, inputs)
        for given in samples.inputs:  # one at a time: all activations of a batch are large
            activations = session.run(given)
            if collector is None:
                bounds = {name: max(bound, float(np.abs(activations[name]).max())) for name, bound in bounds.items()}
            else:
                with quiet():
                    collector.collect({name: activations[name] for name in tensors})
    if collector is not None:
        with quiet():
            ranges = collector.compute_collection_result()
        bounds = {name: float(max(abs(low), abs(high))) for name, (low, high, *_) in ranges.items()}
    return bounds


def _key(graph: Path, tensors: Sequence[str], samples: Samples, method: str) -> str:
    digest = hashlib.sha256(f"{method} {onnxruntime.__version__} {sorted(tensors)}".encode())
    for path in sorted(graph.parent.glob(f"{graph.name}*")):
        if path.is_file():
            digest.update(_sha256(path.read_bytes()).encode())
    for name, array in (item for given in samples.inputs for item in given.items()):
        digest.update(name.encode() + str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
