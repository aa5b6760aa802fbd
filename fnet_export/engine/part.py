"""A part of a graph as an engine of its own, as `OrtPart` is one for ONNX Runtime."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from fnet_runtime.bundle.manifest import ENGINE, MODEL, OPENVINO, AxisProfile, EngineInfo, TensorInfo
from fnet_runtime.engine.cuda import gpu_of_host
from fnet_runtime.engine.rebuild import options_on_gpu
from fnet_runtime.sessions.runtimes import SessionOptions, session_from_options

from fnet_export.engine.library import Library
from fnet_export.engine.openvino import ir_from_graph
from fnet_export.engine.tensorrt import engine_from_graph
from fnet_export.graph.file import write_graph
from fnet_export.graph.parts import FLOATS, Values

FLOAT32 = ir.DataType.FLOAT
Arrays = Mapping[str, npt.NDArray[np.generic]]


def engine_of_parts(library: Library, engine: EngineInfo, precision: str) -> Callable[[ir.Model, Sequence[Arrays]], "EnginePart"]:
    """Return what builds engines of parts of a bundle's graph; see EnginePart. Files are removed once an engine is open.

    Raises NoDeviceError on a host without a GPU if the library needs it.
    """
    if library.name != OPENVINO:
        gpu_of_host(library.name)

    def made(part: ir.Model, fed: Sequence[Arrays]) -> EnginePart:
        with tempfile.TemporaryDirectory(prefix="fnet-part-", ignore_cleanup_errors=True) as folder:
            return EnginePart(part, fed, library=library, engine=engine, precision=precision, folder=Path(folder))

    return made


class EnginePart:
    """A part of a graph as an engine of its own. The exporter builds it and the runtime opens it, as they do for a whole graph.

    The engine takes and gives float32. Inside, it rounds to the types of the graph.
    """

    def __init__(
        self,
        part: ir.Model,
        fed: Sequence[Arrays],
        *,
        library: Library,
        engine: EngineInfo,
        precision: str,
        folder: Path,
    ) -> None:
        """Build an engine of a part, into an empty folder, for the shapes of everything that it will be fed.

        `engine` is what the manifest says of the bundle's engine; its build options are used again. Raises EngineError and
        SessionError, and NoDeviceError on a host without a GPU if the engine needs it.
        """
        part = with_float32_edges(part)
        self._inputs, ranges = inputs_from_shapes(part, fed)
        graph = folder / MODEL
        write_graph(part, graph)
        if library.name == OPENVINO:
            made = ir_from_graph(graph, folder, library=library)
        else:
            build = options_on_gpu(engine, library.name, gpu_of_host(library.name))
            built = engine_from_graph(graph, library=library, ranges=ranges, build=build)
            (folder / ENGINE).write_bytes(built.data)
            made = built.info
        options = SessionOptions(file=folder / made.file, inputs=self._inputs, precision=precision, engine=made)
        self._session: Any = session_from_options(options)  # of any inputs, not of ids alone

    def run(self, values: Arrays) -> Values:
        """Run it on what it needs of some values, of any float. Raises SessionError."""
        outputs: Values = self._session.run({tensor.name: values[tensor.name].astype(tensor.dtype) for tensor in self._inputs})
        return outputs


def inputs_from_shapes(part: ir.Model, fed: Sequence[Arrays]) -> tuple[tuple[TensorInfo, ...], dict[str, AxisProfile]]:
    """Give the inputs of a part the shapes that they are fed in. Return the inputs, and the range of each open axis.

    An axis is open if it has several lengths. Axes with the same lengths throughout get one name.
    """
    inputs, ranges = [], {}
    for value in part.graph.inputs:
        shapes = [values[str(value.name)].shape for values in fed]
        axes: list[int | str] = []
        for lengths in zip(*shapes, strict=True):
            if len(set(lengths)) == 1:
                axes.append(lengths[0])
                continue
            axes.append("axis_" + "_".join(map(str, lengths)))
            ranges[str(axes[-1])] = AxisProfile(min=min(lengths), opt=max(lengths), max=max(lengths))
        value.shape = ir.Shape(axes)
        dtype = "float32" if value.dtype in FLOATS else "int64"
        inputs.append(TensorInfo(name=str(value.name), dtype=dtype, axes=tuple(axes)))
    return tuple(inputs), ranges


def with_float32_edges(part: ir.Model) -> ir.Model:
    """Copy a part. The copy takes and gives float32 where the part takes and gives another float."""
    part = part.clone()
    graph = part.graph
    for index, value in enumerate(list(graph.inputs)):
        if value.dtype in FLOATS and value.dtype != FLOAT32:
            edge = ir.val(value.name, dtype=FLOAT32, shape=value.shape)
            cast = _cast(edge, value.dtype)
            value.replace_all_uses_with(cast.outputs[0])
            graph.inputs[index] = edge
            graph.insert_before(graph[0], cast)
    for index, value in enumerate(list(graph.outputs)):
        if value.dtype in FLOATS and value.dtype != FLOAT32:
            name, value.name = value.name, f"{value.name}_stored"
            cast = _cast(value, FLOAT32)
            cast.outputs[0].name, cast.outputs[0].shape = name, value.shape
            graph.outputs[index] = cast.outputs[0]
            graph.append(cast)
    return part


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    name = f"{value.name}_edge"
    node = ir.node("Cast", [value], {"to": dtype}, name=name)
    node.outputs[0].name, node.outputs[0].type = f"{name}_cast", ir.TensorType(dtype)
    return node
