"""ONNX Runtime on the CPU, which runs every bundle on every host."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from fnet_runtime.bundle.manifest import TensorInfo
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, check_graph_inputs, checked_inputs


class OrtSession:
    """A model.onnx, opened by ONNX Runtime. Any number of threads may run it at once; each thread runs the graph itself."""

    batch = ANY_BATCH

    def __init__(self, model: Path, inputs: Sequence[TensorInfo], *, threads: int | None = None, optimize: bool = True) -> None:
        """Open a graph. `threads` limits the cores that it uses. Without `optimize`, ONNX Runtime runs the graph as it is.

        Raises SessionError.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal errors only: every failure is raised, and need not be printed
        # the kernel that fuses a residual with LayerNormalization takes several times as long as the two alone (1.32, measured)
        options.add_session_config_entry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
        # without VNNI, the fast int8 products of x86-64 overflow 16 bits; ONNX Runtime then takes slower, exact products
        options.add_session_config_entry("session.x64quantprecision", "1")
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if threads is not None:
            options.intra_op_num_threads = threads
        self._inputs = tuple(inputs)
        try:
            self._session = _session(model, options)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise SessionError(f"{model}: ONNX Runtime {onnxruntime.__version__} cannot open it ({error})") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        graph_inputs = [
            TensorInfo(name=i.name, dtype=i.type.removeprefix("tensor(").removesuffix(")"), axes=tuple(i.shape))
            for i in self._session.get_inputs()
        ]
        check_graph_inputs(model, graph_inputs, inputs)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the graph; see `Session.run`."""
        fed = checked_inputs(inputs, self._inputs)
        try:
            outputs = self._session.run(self._outputs, fed)
        except Exception as error:
            raise SessionError(f"ONNX Runtime failed: {error}") from error
        return dict(zip(self._outputs, outputs, strict=True))


def _session(model: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a graph. Where that fails, open it with int8 products computed in float32, which is slower and exact too.

    Without VNNI, ONNX Runtime 1.32 cannot make exact int8 products of a weight that two nodes read.
    """
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
