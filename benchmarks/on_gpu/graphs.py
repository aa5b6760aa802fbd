"""Graphs of FNets made on the machine itself, by transform, in all precisions."""

import functools
import json

from fnet_runtime.bundle.manifest import FP8, MODEL
from fnet_runtime.tokenizer.encoding import Padding

from on_gpu.models import random_inputs
from on_gpu.scale import ANY_LENGTH

TRANSFORMS = ("dft", "folded", "factored")
"""Those without complex numbers, which a GPU runs whole."""
FFT = "fft"
"""The form that exporters write. ONNX Runtime has no kernel for it on a GPU."""
INT8_ENGINE = "int8-engine"
"""The graph of int8 as TensorRT takes it; ONNX Runtime's is `int8`."""
HALF_NORM = "dft with LayerNorm in fp16"
"""The form `dft` in fp16 without casts around LayerNormalization. It stands in place of a transform."""
EIGHT_BITS = {"int8": ("int8", "onnx"), INT8_ENGINE: ("int8", "tensorrt"), FP8: (FP8, "tensorrt")}
"""The precision and the target of graphs of eight bits."""
CALIBRATION_ROWS = 2
STEPS = "steps.json"
"""Next to a graph of eight bits: the steps of its activations by calibration, which the expected error is measured with."""


def fnet_graphs(model, transform, precisions, folder):
    """Write a model's graph at some precisions, below `folder`; yield each precision with its path, or why there is no graph.

    Eight bits come after fp32, whose graph calibrates them.
    """
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
    from on_gpu.half import half_from_graph_except

    paths = {}

    def write(graph, precision):
        place = folder / precision
        place.mkdir(parents=True)
        write_graph(graph, place / MODEL)
        return place / MODEL

    @functools.cache
    def traced(*, scaled):
        if transform == ANY_LENGTH:
            return optimized_from_graph(graph_from_model(any_length_from_model(model, scaled=scaled)))
        graph = graph_from_model(lowered_from_model(model, "dft" if transform == HALF_NORM else transform, scaled=scaled))
        return optimized_from_graph(graph, QUANTISABLE)

    @functools.cache
    def calibrated():
        ids = random_inputs(model.task, model.config, model.sequence_length, CALIBRATION_ROWS, seed=2)
        samples = Samples.from_batch([str(i) for i in range(CALIBRATION_ROWS)], ids)
        layers = layers_from_model(model)
        names = list(dict.fromkeys(str(product.activation.name) for product in products_from_graph(traced(scaled=False), layers)))
        inputs = tensors_from_task(model.task, model.config, Padding(model.sequence_length))[0]
        bounds = bounds_from_graph(paths["fp32"], names, inputs, samples, MINMAX, cache=folder)
        return onnx_ir.load(paths["fp32"]), layers, bounds

    def eight_bits(precision):
        name, target = EIGHT_BITS[precision]
        float32, layers, bounds = calibrated()
        path = write(quantised_from_graph(float32, name, bounds, layers, target=target), precision)
        path.with_name(STEPS).write_text(json.dumps(steps_from_bounds(float32, name, bounds, layers)))
        return path

    def half(precision):
        graph = traced(scaled=precision == "fp16")
        if transform == HALF_NORM:
            return half_from_graph_except(graph, precision, ("Softmax",))
        return half_from_graph(graph, precision)

    for precision in precisions:
        try:
            if precision in EIGHT_BITS:
                paths[precision] = eight_bits(precision)
            else:
                paths[precision] = write(traced(scaled=False) if precision == "fp32" else half(precision), precision)
        except FNetExportError as error:
            paths[precision] = str(error)
        yield precision, paths[precision]
