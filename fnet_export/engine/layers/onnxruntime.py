"""The layers that ONNX Runtime runs, from the JSON of its profiler."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fnet_runtime.bundle.manifest import INT8

from fnet_export.engine.layers.layer import EngineLayer, medians_from_runs, modules_of_names
from fnet_export.engine.words import INTEGER_PRODUCTS, OF_ONNXRUNTIME

KERNEL, RUN = "_kernel_time", "model_run"
"""The end of the name of an event that is about a node, and the name of the event that ends a run."""


def layers_from_onnxruntime(
    profile: str, outputs: Mapping[str, Sequence[str]], places: Mapping[str, str]
) -> tuple[EngineLayer, ...]:
    """Return the layers of a profile of several runs, in the order of execution. The first run warms up and is left out.

    `places` has the checkpoint's name of each node and value of the exported graph. ONNX Runtime may name a fused node itself, but
    its outputs keep their names. `outputs` has these names for each node of the graph that runs.
    """
    runs: list[list[tuple[str, float]]] = [[]]
    arguments: dict[str, Mapping[str, Any]] = {}
    for event in json.loads(profile):
        if event.get("name") == RUN:
            runs.append([])
        elif event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            name = event["name"].removesuffix(KERNEL)
            runs[-1].append((name, event["dur"] / 1e3))
            arguments[name] = event.get("args", {})
    return tuple(
        EngineLayer(
            name=name,
            modules=modules_of_names([name, *outputs.get(name, ())], places),
            kind=arguments[name].get("op_name"),
            precision=_precision(arguments[name]),
            median_ms=ms,
        )
        for name, ms in medians_from_runs(runs[1:-1]).items()
    )


def _precision(arguments: Mapping[str, Any]) -> str | None:
    """Return the precision of a node: `int8` for a product of whole numbers, whose output may be float, else that of its output."""
    if arguments.get("op_name") in INTEGER_PRODUCTS:
        return INT8
    types = [kind for tensor in arguments.get("output_type_shape", ()) for kind in tensor]
    return OF_ONNXRUNTIME.get(types[0], types[0]) if types else None
