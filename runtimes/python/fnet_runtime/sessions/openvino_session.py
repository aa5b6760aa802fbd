"""OpenVINO on the CPU, at the precision of the bundle."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from fnet_runtime.bundle.manifest import INT8, TensorInfo
from fnet_runtime.errors import LibraryError, SessionError
from fnet_runtime.install import install_line
from fnet_runtime.sessions.pool import Pool
from fnet_runtime.sessions.processor import saturates_int8
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, check_graph_inputs, checked_inputs

DEVICE = "CPU"
FLOATS = {"fp32": "f32", "int8": "f32", "fp16": "f16", "bf16": "bf16"}
"""OpenVINO's name of the floats of each precision. Without a name, a CPU that has bf16 would use it for fp32."""
CAPABILITIES = {"f16": "FP16", "bf16": "BF16"}
"""The names of optional floats in the list of a CPU's capabilities."""
NO_VNNI = "this CPU has no VNNI, so the int8 products of OpenVINO overflow and its outputs would be wrong"
OPEN = "?"
"""An open axis, for which OpenVINO has no name."""
Importer = Callable[[str], ModuleType]

# openvino sends usage data when it is imported, unless this package is missing (CONTRIBUTING.md).
# A program that has imported the package before keeps it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One node of the graph as it runs: name, kind (`FullyConnected`, `Eltwise`), precision (`f32`) and output shape.

    `layers` names the nodes of the graph that OpenVINO fused into this node. `weight` names the node that makes its second input.
    `reader` names the first node that reads its output. `order` is the number of the node in the order of execution.
    """

    name: str
    kind: str
    precision: str
    shape: tuple[int | str, ...]
    weight: str = ""
    layers: tuple[str, ...] = ()
    reader: str = ""
    order: int = 0


class OpenVinoSession:
    """A model.xml, with model.bin next to it, opened by OpenVINO. Any number of threads may run it at once.

    An infer request serves one caller at a time, so the session lends as many requests as OpenVINO runs at once. Further callers
    wait. `precision` is the precision that runs here: that of the bundle, or `fp32` on a CPU without the floats of the bundle.
    """

    batch = ANY_BATCH

    def __init__(
        self,
        model: Path,
        inputs: Sequence[TensorInfo],
        *,
        precision: str = "fp32",
        threads: int | None = None,
        profiled: bool = False,
        importer: Importer = importlib.import_module,
    ) -> None:
        """Open a graph in the precision of its manifest. `threads` limits the cores that it uses.

        `profiled` counts the time of each node, for `node_averages`.
        Raises LibraryError when OpenVINO is missing. Raises SessionError when it cannot open the files or finds other inputs, and
        for int8 on a CPU whose products overflow.
        """
        try:
            ov: Any = importer("openvino")
        except (ImportError, OSError) as error:
            raise LibraryError(f"openvino cannot be imported ({error}); {install_line('openvino')}") from error
        if precision == INT8 and saturates_int8():
            raise SessionError(f"{model}: {NO_VNNI}. Open the bundle with ONNX Runtime, or on a CPU with VNNI")
        self._inputs = tuple(inputs)
        try:
            core = ov.Core()
            floats = _floats(core, precision)
            options: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": floats}
            if threads is not None:
                options["INFERENCE_NUM_THREADS"] = threads
            if profiled:
                options |= {"PERF_COUNT": True, "NUM_STREAMS": 1}  # each stream has counters of its own
            self._compiled = core.compile_model(core.read_model(model), DEVICE, options)
            requests = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            self._requests = Pool(partial(_infer_request, self._compiled), size=requests)
            runs_in = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        except RuntimeError as error:
            raise SessionError(f"{model}: OpenVINO {ov.__version__} cannot open it ({_line(error)})") from error
        if runs_in != floats:
            raise SessionError(
                f"{model}: expected OpenVINO {ov.__version__} to compute in {floats}, found {runs_in}; install another version"
            )
        self.precision = precision if floats == FLOATS[precision] else "fp32"
        self._outputs = [output.any_name for output in self._compiled.outputs]
        graph_inputs = [TensorInfo(name=i.any_name, dtype=_dtype(i), axes=_axes(i)) for i in self._compiled.inputs]
        check_graph_inputs(model, graph_inputs, [_unnamed(tensor) for tensor in inputs])

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the graph; see `Session.run`. OpenVINO does not notice an id that has no embedding."""
        with self._requests.borrowed() as request:
            outputs = self._inferred(request, inputs)  # the outputs are copies, because the next run overwrites the originals
        return {name: outputs[name] for name in self._outputs}

    def node_averages(self, inputs: Mapping[str, Ids]) -> list[tuple[str, float]]:
        """Run the graph, and return the nodes, each with the milliseconds of an average run since the session was opened.

        OpenVINO cuts averages to whole microseconds, and reports 0 for a node that is fused into another. The session must be
        `profiled`.
        """
        with self._requests.borrowed() as request:
            self._inferred(request, inputs)
            return [(node.node_name, 1e3 * node.real_time.total_seconds()) for node in request.profiling_info]

    def _inferred(self, request: Any, inputs: Mapping[str, Ids]) -> Any:
        fed = checked_inputs(inputs, self._inputs)
        try:
            return request.infer(fed, share_inputs=True)
        except RuntimeError as error:
            raise SessionError(f"OpenVINO failed: {_line(error)}") from error

    def operations(self) -> tuple[Operation, ...]:
        """Return every node of the graph as OpenVINO runs it, in order, with fused nodes and their precisions."""
        nodes = []
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            kind, precision = (info[key].astype(str) for key in ("layerType", "runtimePrecision"))
            shape = _axes(node.output(0)) if node.get_output_size() else ()
            nodes.append(
                Operation(
                    name=node.get_friendly_name(),
                    kind=kind,
                    precision=precision,
                    shape=shape,
                    weight=_second_input(node),
                    layers=tuple(info["originalLayersNames"].astype(str).split(",")) if "originalLayersNames" in info else (),
                    reader=_first_reader(node),
                    order=int(info["execOrder"].astype(str)) if "execOrder" in info else 0,
                )
            )
        return tuple(nodes)


def _infer_request(compiled: Any) -> Any:
    """Make an infer request. A method would tie the session to its pool in a cycle, whose memory Python frees late."""
    try:
        return compiled.create_infer_request()
    except RuntimeError as error:
        raise SessionError(f"OpenVINO cannot make an infer request: {_line(error)}") from error


def precision_on_cpu(precision: str, *, importer: Importer = importlib.import_module) -> str:
    """Return the precision in which this CPU runs a bundle: its own, or `fp32` on a CPU without the floats for it."""
    return precision if _floats(importer("openvino").Core(), precision) == FLOATS[precision] else "fp32"


def _floats(core: Any, precision: str) -> str:
    """Choose the floats that a CPU computes a bundle in. Asked for f16, a CPU with bf16 only would use bf16, which is coarser."""
    floats = FLOATS[precision]
    missing = floats in CAPABILITIES and CAPABILITIES[floats] not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    return "f32" if missing else floats


def _second_input(node: Any) -> str:
    return "".join(port.get_source_output().get_node().get_friendly_name() for port in node.inputs()[1:2])


def _first_reader(node: Any) -> str:
    readers = (port.get_node() for output in node.outputs() for port in output.get_target_inputs())
    return next((str(reader.get_friendly_name()) for reader in readers), "")


def _dtype(port: Any) -> str:
    return str(port.element_type.to_dtype().name)


def _axes(port: Any) -> tuple[int | str, ...]:
    return tuple(axis.get_length() if axis.is_static else OPEN for axis in port.partial_shape)


def _unnamed(tensor: TensorInfo) -> TensorInfo:
    axes = tuple(OPEN if isinstance(axis, str) else axis for axis in tensor.axes)
    return TensorInfo(name=tensor.name, dtype=tensor.dtype, axes=axes)


def _line(error: RuntimeError) -> str:
    """Join the lines of OpenVINO's message."""
    return " ".join(str(error).split())
