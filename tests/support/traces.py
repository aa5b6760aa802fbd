"""Remember what torch.onnx makes of a model, for all tests and for the next run. A trace takes most of the time of an export.

Models that differ in their weights only have one trace, because a graph's weights are views of the model's own.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import pickle
import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import TorchTensor
from support.paths import ROOT

LARGEST = 2**20
"""Weights of a model, in numbers, above which its trace is not remembered."""
SOURCES = ("fnet_core/*.py", "fnet_export/graph/*.py", "tests/support/traces.py")
LIBRARIES = ("onnx", "onnx_ir", "onnxscript", "torch")
KEPT = 4
"""Folders of traces that are kept, each of one state of the sources and libraries."""


def trace_folder(root=None):
    """Return the folder of the traces of these sources and libraries. It is outside the checkout, so the next run finds them."""
    root = root or Path.home() / ".cache" / "fnet-export-tests"
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in LIBRARIES).encode())
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = root / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    with contextlib.suppress(FileNotFoundError):  # another worker may remove the same folders
        for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def remembered(export, folder):
    """Return a `program_from_model` as `export` is, but models of the same classes, options and shapes are traced once."""

    def traced(model, **options):
        if sum(value.numel() for value in model.parameters()) > LARGEST:
            return export(model, **options)
        path = folder / f"{_key(model, options)}.onnx"
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of two workers one traces
            if path.exists():
                return SimpleNamespace(model=_read(path, model))
            program = export(model, **options)
            views = _views(program.model, model)
            if views is not None:
                _write(path, program.model, views)
            return program

    return traced


class _Pickler(pickle.Pickler):
    """Pickles of a tensor what a trace may depend on: its form, and whether it is of nothing but zeros."""

    def reducer_override(self, value):
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        return str, (repr((value.dtype, tuple(value.shape), value.stride(), value.requires_grad, bool(value.detach().any()))),)


def _key(model, options):
    """Hash all that a trace depends on."""
    data = io.BytesIO()
    _Pickler(data, protocol=5).dump(model)
    data.write(repr(options).encode())
    return hashlib.sha256(data.getvalue()).hexdigest()


def _tensors(model):
    return {
        name: value.detach()
        for name, value in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    }


def _views(graph, model):
    """Say which initializers are views of which tensors of the model, or nothing if a weight is none."""
    views = {}
    for name, value in graph.graph.initializers.items():
        raw = value.const_value.raw
        view = torch.from_numpy(raw) if isinstance(raw, np.ndarray) and raw.flags.writeable else raw
        found = _view(name, view, _tensors(model)) if isinstance(view, torch.Tensor) and view.numel() else {}
        if not found and value.const_value.dtype.is_floating_point() and value.const_value.size > 1:
            return None
        views |= found
    return views


def _write(path, graph, views):
    """Write a graph, and which initializers are views of which tensors of the model."""
    path.with_suffix(".json").write_text(json.dumps(views))
    onnx.save(ir.to_proto(graph), path.with_suffix(".part"), format="protobuf")
    path.with_suffix(".part").rename(path)


def _view(name, view, tensors):
    start = view.untyped_storage().data_ptr() + view.storage_offset() * view.element_size()
    for source, tensor in tensors.items():
        offset = start - tensor.data_ptr()
        if tensor.numel() and tensor.dtype == view.dtype and 0 <= offset < tensor.untyped_storage().nbytes():
            place = tensor.storage_offset() + offset // tensor.element_size()
            return {name: [source, list(view.shape), list(view.stride()), place]}
    return {}


def _read(path, model):
    graph, tensors = ir.from_proto(onnx.load(path, format="protobuf")), _tensors(model)
    for name, (source, *place) in json.loads(path.with_suffix(".json").read_text()).items():
        view = torch.as_strided(tensors[source], *place)
        graph.graph.initializers[name].const_value = TorchTensor(view, name=name)
    return graph
