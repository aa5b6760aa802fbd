"""Which graphs a run needs, and the processes that build them while steps use the GPU."""

import concurrent.futures
import functools
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from fnet_core.tasks import TASKS
from on_gpu.bert import FUSED, bert_graphs
from on_gpu.graphs import FFT, FP8, HALF_NORM, INT8_ENGINE, TRANSFORMS, fnet_graphs
from on_gpu.models import CLASSIFIER, bert, fnet
from on_gpu.scale import ANY_LENGTH

PRECISIONS = ("fp32", "fp16", "int8", "bf16")
"""TF32 is no precision of a graph: it is float32's."""
BUILT, PART = "built.json", "built.json.part"
POLL_S = 0.1
WAIT_S = 30.0
"""A step waits at most so long for a graph."""


@dataclass(frozen=True, kw_only=True)
class GraphSet:
    """One model's graphs at all precisions, of base size unless `small`: `FNet` by transform, or `BERT` with or without FUSED."""

    model: str = "FNet"
    task: str = CLASSIFIER
    length: int
    transform: str | None
    small: bool = False

    @property
    def folder(self):
        """Return the name of its folder."""
        size = "small" if self.small else "base"
        return "-".join(str(part) for part in (size, self.model, self.task, self.length, self.transform))

    @property
    def precisions(self):
        """Return those that it is built at: `fft` takes part in float32 alone, and engines take eight bits as large products."""
        if self.model == "BERT":
            return ("fp32", "fp16") if self.transform == FUSED else ("fp32", "fp16", "int8")
        if self.transform == "dft":
            return (*PRECISIONS, INT8_ENGINE, FP8)
        few = {FFT: ("fp32",), HALF_NORM: ("fp16",), ANY_LENGTH: ("fp32", "fp16", "bf16")}
        return few.get(self.transform, PRECISIONS)


def any_length(scale):
    """Return the set of the graphs for texts at their own length, up to the longest that is timed."""
    return GraphSet(length=max(scale.lengths), transform=ANY_LENGTH)


def all_sets(scale):
    """List the sets in the order in which steps want them."""
    first, *others = ([*_of_length(length)] for length in scale.lengths)
    small = [GraphSet(task=task, length=scale.small["max_position_embeddings"], transform="folded", small=True) for task in TASKS]
    fft = GraphSet(length=scale.lengths[0], transform=FFT)
    norm = GraphSet(length=scale.lengths[0], transform=HALF_NORM)
    return [*first, norm, any_length(scale), *small, fft, *(wanted for sets in others for wanted in sets)]


def _of_length(length):
    yield GraphSet(length=length, transform="dft")
    yield from (GraphSet(model="BERT", length=length, transform=form) for form in (FUSED, None))
    yield from (GraphSet(length=length, transform=name) for name in TRANSFORMS if name != "dft")


def read_operators_once():
    """Let torch.onnx read its own operators once: it reads them for every export, half a second each time."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    ONNXRegistry.from_torchlib()


def _build(scale, wanted, folder):
    """Build one set. Each path is in BUILT as soon as its graph is whole, or a sentence if it could not be built."""
    torch.set_num_threads(1)
    fields, paths = scale.small if wanted.small else scale.base, {}
    folder.mkdir(parents=True, exist_ok=True)

    def write():
        (folder / PART).write_text(json.dumps({name: str(path) for name, path in paths.items()}))
        (folder / PART).rename(folder / BUILT)

    try:
        if wanted.model == "BERT":
            model, fused = bert(fields, wanted.length), wanted.transform == FUSED
            graphs = bert_graphs(model, wanted.length, wanted.precisions, folder, fused=fused)
        else:
            graphs = fnet_graphs(fnet(fields, wanted.length, wanted.task), wanted.transform, wanted.precisions, folder)
        for precision, path in graphs:
            paths[precision] = path
            write()
    except Exception as error:
        paths = dict.fromkeys(wanted.precisions, f"not built: {type(error).__name__}: {error}") | paths
        write()


class Builders:
    """Processes that build all graphs, while steps use the GPU. They answer in files, which outlive a fork."""

    def __init__(self, scale, scratch):
        """Start to build into `scratch`."""
        self._scratch = scratch
        self._pool = concurrent.futures.ProcessPoolExecutor(scale.builders, mp_context=multiprocessing.get_context("fork"))
        for wanted in all_sets(scale):
            self._pool.submit(_build, scale, wanted, scratch / wanted.folder)

    def path(self, wanted, precision):
        """Wait at most WAIT_S for a graph of a set; return its path, or a sentence if it is missing."""
        file, end = self._scratch / wanted.folder / BUILT, time.monotonic() + WAIT_S
        while precision not in (built := json.loads(file.read_text()) if file.exists() else {}):
            if time.monotonic() > end:
                return f"not built within {WAIT_S:.0f} s"
            time.sleep(POLL_S)
        return built[precision]

    def close(self):
        """End the processes, whatever they do."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)


def is_path(text):
    """Tell a path from the sentence that stands in its place."""
    return Path(text).is_file()
