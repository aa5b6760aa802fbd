"""Models of two layers and seven tokens, traced and compared with a float64 FFT."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch

from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import INPUT_NAMES, TASKS
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model

LENGTH = 7


def small_model(task, *, transform="dft", dtype=torch.float32, labels=3):
    config = FNetConfig(
        vocab_size=40,
        hidden_size=12,
        num_hidden_layers=2,
        intermediate_size=10,
        max_position_embeddings=LENGTH,
        labels=tuple("abcdef"[:labels]),
    )
    torch.manual_seed(0)
    return FNet(config, TASKS[task], transform=transform, sequence_length=LENGTH, dtype=dtype).eval()


def run(graph, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check_graphs(name, transform):
    """Compare the traced and the optimized graph of a task with the model that has an FFT in float64."""
    model = small_model(name)
    reference = small_model(name, transform="fft", dtype=torch.float64)
    reference.load_state_dict({key: value.double() for key, value in model.state_dict().items()})
    traced = graph_from_model(lowered_from_model(model, transform))
    assert not any(node.op_type == "DFT" for node in traced.graph)
    optimized = optimized_from_graph(traced)
    assert sum(node.op_type == "Gelu" for node in optimized.graph) >= 2
    assert not {"Tanh", "Pow"} & {node.op_type for node in optimized.graph if name == "question-answering"}
    for batch, choices in ((1, 1), (3, 4)):
        axes = {"batch_size": batch, "num_choices": choices, "sequence_length": LENGTH}
        shape = [axes[axis] for axis in TASKS[name].input_axes]
        draw = np.random.default_rng(batch)
        inputs = {"input_ids": draw.integers(0, 40, shape), "token_type_ids": draw.integers(0, 2, shape)}
        with torch.no_grad():
            expected = reference(*(torch.from_numpy(inputs[key]) for key in INPUT_NAMES))
        for graph in (traced, optimized):
            outputs = run(graph, inputs)
            assert list(outputs) == list(TASKS[name].outputs)
            for output, wanted in zip(outputs.values(), expected, strict=True):
                assert output.shape == tuple(wanted.shape)
                assert np.abs(output - wanted.numpy()).max() <= 1e-5 * wanted.abs().max().item()
