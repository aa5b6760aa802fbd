import math
from collections import Counter
from functools import cache

import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from support.checkpoints import tiny_config

from fnet_core.config import FNetConfig
from fnet_core.errors import TaskError
from fnet_core.fnet import FNet
from fnet_core.model import ACTIVATIONS
from fnet_core.tasks import TASKS, task_at_positions
from fnet_core.transform import TRANSFORMS, fourier_scale
from fnet_export.base.errors import GraphError
from fnet_export.graph.lower import AtPositions, Scale, any_length_from_model, lowered_from_model
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model

VARIANTS = (
    {"mixing": "linear"},
    {"mixing": "random"},
    {"mixing": "identity"},
    {"mixing": "attention"},
    {"attention_layers": (0, 2)},
    {"mixing": "linear", "attention_layers": (1,)},
)


def wide_model(task, sequence_length, hidden_size, **changes):
    """A model of float64 weights drawn so wide that no order of anything goes unnoticed."""
    sizes = {"hidden_size": hidden_size, "max_position_embeddings": sequence_length + 2, "num_hidden_layers": 3}
    config = tiny_config(**sizes, **changes)
    torch.manual_seed(4)
    model = FNet(config, TASKS[task], sequence_length=sequence_length, dtype=torch.float64).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return model


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("sequence_length", "hidden_size"), [(7, 12), (8, 3), (12, 8), (30, 32)])
def test_every_head_computes_what_it_did(task, transform, sequence_length, hidden_size):
    model = wide_model(task, sequence_length, hidden_size)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    axes = {"batch_size": 2, "num_choices": 3, "sequence_length": sequence_length}
    shape = [axes[str(axis)] for axis in TASKS[task].input_axes]
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randint(model.config.vocab_size, shape, generator=generator), torch.randint(4, shape, generator=generator)
    with torch.no_grad():
        wanted, found = model(*inputs), lowered_from_model(model, transform)(*inputs)
    assert len(found) == len(TASKS[task].outputs)
    for theirs, ours in zip(wanted, found, strict=True):
        assert ours.shape == theirs.shape
        assert ((ours - theirs).abs().max() / theirs.abs().max()).item() < 1e-10
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_every_head_of_every_variant_computes_what_it_did(task, changes, transform):
    model = wide_model(task, 8, 12, num_attention_heads=3, **changes)
    axes = {"batch_size": 2, "num_choices": 3, "sequence_length": 8}
    generator = torch.Generator().manual_seed(5)
    inputs = {
        name: torch.randint(2, [axes[str(axis)] for axis in shape], generator=generator)
        for name, shape in model.task.inputs.items()
    }
    with torch.no_grad():
        wanted, found = model(**inputs), lowered_from_model(model, transform)(**inputs)
    for theirs, ours in zip(wanted, found, strict=True):
        assert ((ours - theirs).abs().max() / theirs.abs().max()).item() < 1e-10


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("task", ["pretraining", "question-answering", "sequence-classification"])
@pytest.mark.parametrize(("sequence_length", "hidden_size"), [(7, 12), (8, 3), (30, 32)])
def test_scaled_computes_the_same(task, transform, sequence_length, hidden_size):
    model = wide_model(task, sequence_length, hidden_size, layer_norm_eps=1e-3)  # an epsilon that is felt
    ids = torch.randint(model.config.vocab_size, (2, sequence_length), generator=torch.Generator().manual_seed(5))
    plain, scaled = (lowered_from_model(model, transform, scaled=scaled) for scaled in (False, True))
    with torch.no_grad():
        for found, wanted in zip(scaled(ids, ids % 2), plain(ids, ids % 2), strict=True):
            assert ((found - wanted).abs().max() / wanted.abs().max()).item() < 1e-12
    assert {block.mixing_norm.eps for block in model.encoder.blocks} == {1e-3}
    assert {block.mixing_norm.eps for block in scaled.model.encoder.blocks} == {
        1e-3 * fourier_scale(sequence_length, hidden_size) ** 2
    }


def test_only_fourier_blocks_are_scaled():
    model = wide_model("token-classification", 8, 12, mixing="linear", attention_layers=(1,), num_attention_heads=3)
    inputs = {name: torch.ones(1, 8, dtype=torch.int64) for name in model.task.inputs}
    with torch.no_grad():
        wanted, found = (lowered_from_model(model, "folded", scaled=scaled)(**inputs)[0] for scaled in (False, True))
    assert torch.equal(wanted, found)
    mixed = wide_model("token-classification", 8, 12, attention_layers=(1,), num_attention_heads=3)
    blocks = lowered_from_model(mixed, "folded", scaled=True).model.encoder.blocks
    assert [isinstance(block.residual, Scale) for block in blocks] == [True, False, True]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_masked_lm_at_some_positions(transform):
    model = wide_model("masked-lm", 12, 8)
    task = task_at_positions(TASKS["masked-lm"], 3)
    ids = torch.randint(model.config.vocab_size, (2, 12), generator=torch.Generator().manual_seed(5))
    positions = torch.tensor([[0, 11, 6], [7, 7, 1]])
    inputs = {"input_ids": ids, "token_type_ids": ids % 2, "masked_lm_positions": positions}
    own = FNet(model.config, task, sequence_length=12, dtype=torch.float64).eval()  # as a checkpoint is read for this task
    own.load_state_dict(model.state_dict())
    with torch.no_grad():
        (wanted,), (found,) = AtPositions(model, task)(**inputs), lowered_from_model(model, transform, task)(**inputs)
        assert torch.equal(lowered_from_model(own, transform)(**inputs)[0], found)
        (every,) = model(ids, ids % 2)
    assert torch.equal(wanted, torch.stack([every[0, positions[0]], every[1, positions[1]]]))
    assert ((found - wanted).abs().max() / wanted.abs().max()).item() < 1e-10


def test_other_tasks_predict_no_positions():
    with pytest.raises(TaskError, match="predict positions: expected 1 or more, for masked-lm; found 2 for question-answering"):
        task_at_positions(TASKS["question-answering"], 2)


VOCAB = 200
"""With 64 hidden units the table passes 8,192 numbers, below which the tracer folds the transpose of a tied decoder."""


def optimized(task, transform, sequence_length, hidden_size, *, layers=1):
    """The graph of a model with feed-forwards of 16 units, as it ships."""
    sizes = {"hidden_size": hidden_size, "max_position_embeddings": sequence_length, "num_hidden_layers": layers}
    model = FNet(FNetConfig(intermediate_size=16, vocab_size=VOCAB, **sizes), TASKS[task.name]).eval()
    return ir.to_proto(optimized_from_graph(graph_from_model(lowered_from_model(model, transform, task))))


def products(graph):
    """Multiply-adds of a graph at batch 1."""
    for value in graph.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    shapes = {t.name: list(t.dims) for t in graph.graph.initializer}
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        shapes.setdefault(value.name, [d.dim_value or 1 for d in value.type.tensor_type.shape.dim])
    total = 0
    for node in graph.graph.node:
        if node.op_type in ("MatMul", "Gemm"):
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        assert node.op_type not in ("Einsum", "Conv", "DFT")
    return total


def mixing_products(transform, sequence_length, hidden_size):
    """Multiply-adds of one layer's mixing: what is not of linear layers."""
    linear = hidden_size * hidden_size + 2 * hidden_size * 16 + hidden_size * 2
    return products(optimized(TASKS["token-classification"], transform, sequence_length, hidden_size)) - sequence_length * linear


def test_folding_takes_an_eighth_of_the_products():
    length, hidden = 128, 192
    dft, folded = (mixing_products(name, length, hidden) for name in ("dft", "folded"))
    assert dft == 2 * length * hidden * (length + hidden)
    assert folded * 7 <= dft


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
def test_a_pooled_head_needs_one_token_of_the_last_block(transform):
    length, hidden = 64, 32
    every, pooled = (
        products(optimized(TASKS[t], transform, length, hidden)) for t in ("feature-extraction", "sequence-classification")
    )
    feed_forward, head = 2 * hidden * 16, hidden * 2
    assert every - pooled + head > (length - 1) * feed_forward


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
def test_masked_lm_computes_logits_at_positions_only(transform):
    length, hidden = 64, 32
    every, some = (
        products(optimized(task, transform, length, hidden))
        for task in (TASKS["masked-lm"], task_at_positions(TASKS["masked-lm"], 3))
    )
    assert every - some == (length - 3) * (hidden * hidden + hidden * VOCAB)


@pytest.fixture(scope="module")
def constants():
    """The constants of a graph of some layers, none of which is unused."""

    @cache
    def of(task, transform, layers):
        graph = optimized(TASKS[task], transform, 64, 64, layers=layers)
        assert {t.name for t in graph.graph.initializer} <= {name for node in graph.graph.node for name in node.input}
        return [onnx.numpy_helper.to_array(t) for t in graph.graph.initializer]

    return of


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
def test_more_layers_need_no_more_constants_of_the_transform(constants, transform):
    two, four = ([a for a in constants("feature-extraction", transform, n) if a.size > 64] for n in (2, 4))
    assert len(four) - len(two) == 4  # the feed-forwards of two more layers, and nothing of their mixing


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("task", ["feature-extraction", "sequence-classification", "pretraining"])
def test_every_constant_is_one_for_all_layers(constants, task, transform):
    """Of heads that read every token, that read the first alone, and that share the word embeddings."""
    arrays = constants(task, transform, 2)
    values = [(a.shape, a.dtype, a.tobytes()) for a in arrays]
    assert len(set(values)) == len(values)
    large = [a for a in arrays if a.size > 64]
    assert not [a for a in large for b in large if a is not b and a.shape == b.T.shape and (a == b.T).all()]


def test_a_folded_block_splits_and_reorders_nothing():
    few, many = (optimized(TASKS["question-answering"], "folded", 64, 32, layers=n) for n in (1, 4))
    counts = [Counter(node.op_type for node in graph.graph.node) for graph in (few, many)]
    added = counts[1] - counts[0]
    assert added["Split"] == 3 * 6
    assert not {"Slice", "Gather", "GatherElements", "GatherND", "ScatterND", "Transpose"} & set(added)


def test_a_tied_decoder_stays_tied_and_right():
    model = wide_model("masked-lm", 8, 12, tie_word_embeddings=True)
    lowered = lowered_from_model(model, "folded").model
    assert lowered.head.decoder.weight is lowered.encoder.embeddings.word.weight


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_widened_feed_forward_computes_what_it_did(act):
    model = wide_model("token-classification", 7, 12, intermediate_size=512, hidden_act=act)  # 512 float64 alias as 1024 float32 do
    ids = torch.randint(model.config.vocab_size, (2, 7), generator=torch.Generator().manual_seed(5))
    lowered = lowered_from_model(model, "folded", widen=True)
    with torch.no_grad():
        (wanted,), (found,) = model(ids, ids % 2), lowered(ids, ids % 2)
    assert ((found - wanted).abs().max() / wanted.abs().max()).item() < 1e-10
    block = lowered.model.encoder.blocks[0]
    assert (block.intermediate.weight.shape, block.output.weight.shape) == ((520, 12), (12, 520))
    assert model.encoder.blocks[0].intermediate.out_features == 512


def test_what_does_not_alias_is_not_widened():
    lowered = lowered_from_model(wide_model("token-classification", 7, 12, intermediate_size=500), "folded", widen=True)
    assert lowered.model.encoder.blocks[0].intermediate.out_features == 500


ANY = [1, 2, 3, 4, 7, 30]


def inputs_of(model, length):
    axes = {"batch_size": 2, "num_choices": 3, "sequence_length": length}
    generator = torch.Generator().manual_seed(length)
    shapes = {name: [axes[str(axis)] for axis in shape] for name, shape in model.task.inputs.items()}
    return {name: torch.randint(2, shape, generator=generator) for name, shape in shapes.items()}


def assert_equal_outputs(outputs, references, limit):
    for output, reference in zip(outputs, references, strict=True):
        assert output.shape == reference.shape
        assert ((output - reference).abs().max() / reference.abs().max()).item() < limit


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("longest", "hidden_size"), [(31, 12), (32, 7)])
@pytest.mark.parametrize("task", TASKS)
def test_every_head_computes_the_same_at_any_length(task, longest, hidden_size, scaled):
    model = wide_model(task, longest, hidden_size)
    lowered = any_length_from_model(model, scaled=scaled)
    for length in (*ANY, longest):
        inputs = inputs_of(model, length)
        with torch.no_grad():
            assert_equal_outputs(lowered(**inputs), model(**inputs), 1e-10)


@pytest.mark.parametrize("changes", [{"attention_layers": (0, 2)}, {"mixing": "identity"}, {"mixing": "attention"}], ids=str)
def test_variants_without_a_weight_per_position_too(changes):
    model = wide_model("token-classification", 12, 8, num_attention_heads=4, **changes)
    lowered = any_length_from_model(model)
    for length in (1, 5, 12):
        inputs = inputs_of(model, length)
        with torch.no_grad():
            assert_equal_outputs(lowered(**inputs), model(**inputs), 1e-10)


@pytest.mark.parametrize("mixing", ["linear", "random"])
def test_a_mixing_of_one_length_is_refused(mixing):
    with pytest.raises(GraphError, match=f"found the mixing {mixing}, whose weights fit 12 tokens only"):
        any_length_from_model(wide_model("masked-lm", 12, 8, mixing=mixing))


@pytest.mark.parametrize("task", ["pretraining", "sequence-classification"])  # test_own_lengths.py has bundles of all tasks
def test_one_graph_takes_every_length(task):
    model = wide_model(task, 31, 12).float()
    graph = optimized_from_graph(graph_from_model(any_length_from_model(model)))
    kinds = Counter(node.op_type for node in graph.graph)
    assert (kinds["Cos"], kinds["Sin"]) == (0, 2)  # the two matrices, once for all layers
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    for length in (*ANY, 31):
        inputs = inputs_of(model, length)
        outputs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        with torch.no_grad():
            assert_equal_outputs(map(torch.from_numpy, outputs), model(**inputs), 1e-5)
