"""Graphs made on the machine itself, of random weights: FNets by transform and precision, and BERT."""

import concurrent.futures
import functools
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fnet_runtime.bundle.manifest import MODEL
from fnet_runtime.tokenizer.encoding import Padding

from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import CHOICES, TASKS

CLASSIFIER = "sequence-classification"
TRANSFORMS = ("dft", "folded", "factored", "fft")
ANY_LENGTH = "any length"
"""The form of the graph for texts at their own length. It stands in place of a transform."""
PRECISIONS = ("fp32", "fp16", "int8", "bf16")
"""TF32 is no precision of a graph: it is float32's."""
STD = 0.05
CALIBRATION_ROWS = 2
NUM_CHOICES = 3
BUILT, PART = "built.json", "built.json.part"
STEPS = "steps.json"
"""Beside an int8 graph: what calibration says that its activations are rounded by, which the expected error is measured with."""
POLL_S = 0.1
WAIT_S = 100.0
"""A step waits at most so long for a graph."""


@dataclass(frozen=True, kw_only=True)
class GraphSet:
    """One model's graphs at all precisions: `FNet` (by transform) or `BERT` (None), of base size unless `small`."""

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
        """Return those that it is built at: `fft` takes part in float32 alone, and nothing checks BERT."""
        if self.transform == ANY_LENGTH:
            return ("fp32", "fp16", "bf16")
        return ("fp32",) if self.transform == "fft" else PRECISIONS[:3] if self.model == "BERT" else PRECISIONS


def all_sets(scale):
    """List the sets in the order in which steps want them."""
    small = [GraphSet(task=task, length=scale.small["max_position_embeddings"], transform="folded", small=True) for task in TASKS]
    base = [
        GraphSet(model=model, length=length, transform=transform)
        for length in scale.lengths
        for model, transform in (*(("FNet", transform) for transform in TRANSFORMS), ("BERT", None))
    ]
    base.insert(2, GraphSet(length=scale.lengths[0], transform=ANY_LENGTH))  # the providers open it, and the first two
    return small + base


def read_operators_once():
    """Let torch.onnx read its own operators once: it reads them for every export, half a second each time."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    ONNXRegistry.from_torchlib()


def fnet(config_fields, length, task=CLASSIFIER):
    """Make a trained-like FNet in natural order, float32, with random weights."""
    config = FNetConfig(**{**config_fields, "max_position_embeddings": length})
    torch.manual_seed(0)
    model = FNet(config, TASKS[task], sequence_length=length).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" not in name:
                torch.nn.init.normal_(value, std=STD)
    return model


def bert(config_fields, length):
    """Make a BERT classifier of the same sizes, as a module from ids and types to logits."""
    import transformers

    torch.manual_seed(0)
    sizes = FNetConfig(**config_fields)
    config = transformers.BertConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        num_hidden_layers=sizes.num_hidden_layers,
        num_attention_heads=12,
        intermediate_size=sizes.intermediate_size,
        max_position_embeddings=length,
    )
    return Logits(transformers.BertForSequenceClassification(config).eval())


class Logits(torch.nn.Module):
    """A model of transformers, from ids and types to logits alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, token_type_ids):
        return self.model(input_ids=input_ids, token_type_ids=token_type_ids).logits


def random_inputs(task, config, length, rows, *, seed=1):
    """Draw `int64[row, (choice,) token]` ids and types; the last third of every second row is padding."""
    draw = np.random.default_rng(seed)
    shape = (rows, NUM_CHOICES, length) if CHOICES in task.input_axes else (rows, length)
    ids, types = draw.integers(4, config.vocab_size, shape), draw.integers(0, 2, shape)
    ids[1::2, ..., -(length // 3) :], types[1::2, ..., -(length // 3) :] = config.pad_token_id, 0
    return {"input_ids": ids, "token_type_ids": types}


def fnet_graphs(model, transform, precisions, folder, *, target="onnx"):
    """Write a model's graph at some precisions, below `folder`; return their paths, or why there is none, by precision."""
    import onnx_ir

    from fnet_export.base.errors import FNetExportError
    from fnet_export.graph.file import write_graph
    from fnet_export.graph.lower import any_length_from_model, lowered_from_model
    from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
    from fnet_export.graph.tensors import tensors_from_task
    from fnet_export.graph.trace import graph_from_model
    from fnet_export.precision.calibrate import MINMAX, bounds_from_graph
    from fnet_export.precision.half import half_from_graph
    from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph, steps_from_bounds
    from fnet_export.texts.samples import Samples

    def write(graph, precision):
        place = folder / precision
        place.mkdir(parents=True)
        write_graph(graph, place / MODEL)
        return place / MODEL

    def traced(*, scaled):
        if transform == ANY_LENGTH:
            return optimized_from_graph(graph_from_model(any_length_from_model(model, scaled=scaled)))
        graph = graph_from_model(lowered_from_model(model, transform, scaled=scaled))
        return optimized_from_graph(graph, QUANTISABLE)

    plain = traced(scaled=False)
    paths = {"fp32": write(plain, "fp32")}
    for precision in precisions:
        if precision == "fp32":
            continue
        try:
            if precision == "int8":
                ids = random_inputs(model.task, model.config, model.sequence_length, CALIBRATION_ROWS, seed=2)
                samples = Samples.from_batch([str(i) for i in range(CALIBRATION_ROWS)], ids)
                layers = layers_from_model(model)
                names = list(dict.fromkeys(str(product.activation.name) for product in products_from_graph(plain, layers)))
                inputs = tensors_from_task(model.task, model.config, Padding(model.sequence_length))[0]
                bounds = bounds_from_graph(paths["fp32"], names, inputs, samples, MINMAX, cache=folder)
                float32 = onnx_ir.load(paths["fp32"])
                paths[precision] = write(quantised_from_graph(float32, "int8", bounds, layers, target=target), precision)
                (folder / precision / STEPS).write_text(json.dumps(steps_from_bounds(float32, "int8", bounds, layers)))
            else:
                paths[precision] = write(
                    half_from_graph(traced(scaled=True) if precision == "fp16" else plain, precision), precision
                )
        except FNetExportError as error:
            paths[precision] = str(error)
    return paths


def bert_graphs(model, length, precisions, folder):
    """The same for BERT: traced by torch.onnx, in half precision by our rules, in int8 by ONNX Runtime's own quantiser."""
    import onnx_ir
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    from fnet_export.graph.check import quiet
    from fnet_export.graph.file import write_graph
    from fnet_export.precision.half import half_from_graph

    class Rows(CalibrationDataReader):
        def __init__(self):
            ids = np.random.default_rng(2).integers(4, 400, (1, length))
            self.rows = iter([{"input_ids": ids, "token_type_ids": np.zeros_like(ids)}])

        def get_next(self):
            return next(self.rows, None)

    paths = {}
    for precision in precisions:
        place = folder / precision
        place.mkdir(parents=True)
        path = paths[precision] = place / MODEL
        if precision == "fp32":
            batch = torch.export.Dim("batch_size")
            example = tuple(torch.zeros(2, length, dtype=torch.int64) for _ in range(2))
            with quiet():
                program = torch.onnx.export(
                    model,
                    example,
                    dynamo=True,
                    input_names=["input_ids", "token_type_ids"],
                    output_names=["logits"],
                    dynamic_shapes=({0: batch}, {0: batch}),
                    opset_version=20,
                    verbose=False,
                )
            write_graph(program.model, path)
        elif precision == "int8":
            with quiet():
                quantize_static(
                    folder / "fp32" / MODEL,
                    path,
                    Rows(),
                    op_types_to_quantize=["MatMul"],
                    per_channel=True,
                    activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8,
                    use_external_data_format=True,
                )
        else:
            write_graph(half_from_graph(onnx_ir.load(folder / "fp32" / MODEL), precision), path)
    return paths


def _build(scale, wanted, folder):
    """Build one set; leave its paths in BUILT, or a sentence for what could not be built."""
    torch.set_num_threads(1)
    fields = scale.small if wanted.small else scale.base
    try:
        if wanted.model == "BERT":
            paths = bert_graphs(bert(fields, wanted.length), wanted.length, wanted.precisions, folder)
        else:
            paths = fnet_graphs(fnet(fields, wanted.length, wanted.task), wanted.transform, wanted.precisions, folder)
    except Exception as error:
        paths = dict.fromkeys(wanted.precisions, f"not built: {type(error).__name__}: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PART).write_text(json.dumps({name: str(path) for name, path in paths.items()}))
    (folder / PART).rename(folder / BUILT)


class Builders:
    """Processes that build all graphs, while steps use the GPU. They answer in files, which outlive a fork."""

    def __init__(self, scale, scratch):
        """Start to build into `scratch`."""
        self._scratch = scratch
        self._pool = concurrent.futures.ProcessPoolExecutor(scale.builders, mp_context=multiprocessing.get_context("fork"))
        for wanted in all_sets(scale):
            self._pool.submit(_build, scale, wanted, scratch / wanted.folder)

    def paths(self, wanted):
        """Wait at most WAIT_S for a set; return its paths by precision. A sentence stands for a graph that is missing."""
        file, end = self._scratch / wanted.folder / BUILT, time.monotonic() + WAIT_S
        while not file.exists():
            if time.monotonic() > end:
                return dict.fromkeys(wanted.precisions, f"not built within {WAIT_S:.0f} s")
            time.sleep(POLL_S)
        return json.loads(file.read_text())

    def close(self):
        """End the processes, whatever they do."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)


def is_path(text):
    """Tell a path from the sentence that stands in its place."""
    return Path(text).is_file()
