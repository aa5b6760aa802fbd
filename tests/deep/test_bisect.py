"""The place of each of ten damages, and what half precision needs in float32, beside what is known to be there."""

import json
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.golden import Case, Golden
from fnet_runtime.bundle.manifest import CALIBRATED, MODEL, manifest_from_folder
from safetensors.torch import load_file, save_file
from support.bisecting import graph_of, plan_of, samples_of, subject_of
from support.bundles import replaced
from support.checkpoints import LENGTH, save_tiny
from support.exports import export
from support.mutations import MUTATIONS, dft_row_off_by_one, eps_wrong, save_overflowing

from fnet_export.base.errors import GraphError, OptionError
from fnet_export.bundle.checkpoint import checkpoint_from_bundle
from fnet_export.commands.cli import main
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.graph.file import write_graph
from fnet_export.graph.parts import OrtPart, part_from_graph, part_of_node
from fnet_export.parity.bisect.bisection import bisection_from_subject, subject_from_bundle
from fnet_export.parity.bisect.keep_float32 import proposal_from_graph
from fnet_export.parity.bisect.node_errors import MULTIPLE
from fnet_export.parity.bisect.rebuilt import kept_in_float32
from fnet_export.parity.report.evidence import ParityError
from fnet_export.precision.half import half_from_graph
from fnet_export.precision.steps import check_names, module_of_name, module_of_place, steps_from_graph


def golden_of(subject, limit=1.0):
    """Golden inputs and references, and one limit of all outputs."""
    samples = samples_of(subject)
    inputs = samples.batch(range(len(samples.names)))
    references = TorchSession(subject.reference).run(inputs)
    return Golden((Case(inputs, references),), dict.fromkeys(references, limit))


def place_in(subject):
    return bisection_from_subject(subject, samples_of(subject)).place


def with_graph(bundle, graph):
    """Put another graph into a bundle, with its hash."""
    path = bundle / "other"
    write_graph(graph, path)
    data = path.read_bytes()
    path.unlink()
    return replaced(bundle, MODEL, data)


def run(*arguments):
    return CliRunner().invoke(main, ["bisect", *map(str, arguments)])


@pytest.fixture(scope="module")
def subject(checkpoint, tmp_path_factory):
    return subject_of(tmp_path_factory.mktemp("bisect"), checkpoint)


@pytest.mark.parametrize("name", [name for name, mutation in MUTATIONS.items() if not mutation.overflows])
def test_every_damage_is_placed(subject, name):
    mutation = MUTATIONS[name]
    place = place_in(replace(subject, shipped=mutation.mutate(subject.shipped)))
    assert (place.module, place.operator) == (mutation.module, mutation.operator)
    assert place.node in {node.name for node in subject.shipped.graph}
    assert place.departure.error > 10 * place.departure.limit
    assert len(place.differs) == 1


@pytest.fixture(scope="module")
def in_bf16(checkpoint, tmp_path_factory):
    return subject_of(tmp_path_factory.mktemp("bf16"), checkpoint, precision="bf16", transform="dft")


def test_nothing_departs_in_a_healthy_bundle_in_bf16(in_bf16):
    found = bisection_from_subject(in_bf16, samples_of(in_bf16))
    assert found.place is None
    assert all(0 < step.departure.error < 2e-2 < step.departure.limit for step in found.steps)


BELOW_HALF = ("gelu exact instead of tanh",)
"""Damages of 6e-4, which the rounding of half precision hides."""


@pytest.mark.parametrize("name", [n for n, mutation in MUTATIONS.items() if not (mutation.overflows or n in BELOW_HALF)])
def test_every_damage_is_placed_in_bf16(in_bf16, name):
    mutation = MUTATIONS[name]
    place = place_in(replace(in_bf16, shipped=mutation.mutate(in_bf16.shipped)))
    assert (place.module, place.operator) == (mutation.module, mutation.operator)
    assert len(place.differs) == 1


def test_numbers_that_bf16_has_are_what_a_part_takes_and_gives(in_bf16):
    node = next(node for node in in_bf16.shipped.graph if node.name.startswith("encoder.embeddings.projection/"))
    part = OrtPart(part_of_node(in_bf16.shipped, node), name=node.name)
    x = np.random.default_rng(0).normal(size=(1, LENGTH, 12))
    (given,), fed = {value.name for value in node.inputs if not value.is_initializer()}, {}
    fed[given] = x
    assert np.array_equal(part.rounded(given, x), x.astype(ml_dtypes.bfloat16).astype(np.float32))
    weight = next(value for value in node.inputs if value.is_initializer()).const_value.numpy()
    (made,) = part.run(fed).values()
    exact = part.rounded(given, x).astype(np.float64) @ weight.astype(np.float64)
    assert made.dtype == np.float32
    assert np.abs(made - exact).max() < 2**-8 * np.abs(exact).max()
    assert np.array_equal(made, made.astype(ml_dtypes.bfloat16).astype(np.float32))
    assert np.isinf(part.run({given: x * 1e38})[node.outputs[0].name]).any()


def test_an_overflow_of_fp16_is_placed(tmp_path):
    """The mixing is not scaled, as half precision has it; the graph's own numbers show it, not ONNX Runtime's."""
    mutation = MUTATIONS["fp16 DC overflow"]
    checkpoint = save_overflowing(tmp_path / "c")
    whole = subject_of(tmp_path, checkpoint, transform="dft")
    damaged = subject_of(tmp_path, checkpoint, lambda _: mutation.mutate(whole.float32), transform="dft", precision="fp16")
    place = place_in(damaged)
    assert (place.module, place.operator) == (mutation.module, mutation.operator)
    assert place.node == "encoder.blocks.0.mixing/node_matmul_1"
    assert place.differs[0].startswith("its numbers reach 1.15")
    assert place.differs[0].endswith("fp16 ends at 65504")
    assert place_in(replace(damaged, shipped=damaged.fresh)) is None


@pytest.mark.parametrize(
    ("task", "changes", "options"),
    [
        ("masked-lm", {}, {"predict_positions": 3}),
        ("multiple-choice", {"attention_layers": (0,), "num_attention_heads": 4}, {"transform": "factored"}),
        ("sequence-classification", {}, {"simplify": False}),
    ],
)
def test_nothing_departs_in_a_healthy_bundle(tmp_path, task, changes, options):
    healthy = subject_of(tmp_path, save_tiny(tmp_path / "c", task, **changes), task=task, **options)
    found = bisection_from_subject(healthy, samples_of(healthy))
    assert found.place is None
    assert [step.module for step in found.steps][:2] == ["fnet.embeddings", "fnet.encoder.layer.0"]
    assert all(0 < step.departure.error < MULTIPLE * step.departure.noise < 1e-4 for step in found.steps)


@pytest.mark.parametrize("precision", CALIBRATED)
def test_eight_bits_hide_a_step_of_one_weight_and_bisect_finds_it(precision, tmp_path):
    healthy = subject_of(tmp_path, save_tiny(tmp_path / "c"), precision=precision)
    assert place_in(healthy) is None
    damaged = healthy.shipped.clone()
    weight = next(
        node.inputs[0]
        for node in damaged.graph
        if node.op_type == "DequantizeLinear"
        and node.name.startswith("encoder.blocks.1.output/")
        and node.inputs[0].is_initializer()
    )
    whole = weight.const_value.numpy()
    weight.const_value = ir.tensor((whole.view(np.uint8) // 2 * 2).view(whole.dtype), name=weight.name)
    found = bisection_from_subject(replace(healthy, shipped=damaged), samples_of(healthy))
    assert not any(step.departure.departs for step in found.steps)
    assert (found.place.module, found.place.operator) == ("fnet.encoder.layer.1.output.dense", "DequantizeLinear")
    assert "numbers of" in found.place.differs[0]


def test_an_error_that_every_export_makes_is_the_exporters(subject):
    damaged = dft_row_off_by_one(subject.shipped)
    place = place_in(replace(subject, shipped=damaged, fresh=damaged))
    assert (place.module, place.node) == ("fnet.encoder.layer.0", None)
    assert place.differs == (
        "a graph exported now departs as well, and no node of it is wrong by itself: an error of fnet-export; please report it",
    )


def test_a_graph_without_names_cannot_be_walked(subject):
    nameless = subject.shipped.clone()
    for node in nameless.graph:
        node.name = node.name.rpartition("/")[2]
    with pytest.raises(GraphError, match="no node of the graph is named after encoder.embeddings.projection: it is not as"):
        place_in(replace(subject, shipped=nameless))


def test_a_part_that_needs_more_cannot_be_cut(subject):
    with pytest.raises(GraphError, match="the graph cannot be cut between linear and no such value"):
        part_from_graph(subject.shipped, ["linear"], ["no such value"])


@pytest.mark.parametrize("task", ["feature-extraction", "pretraining", "question-answering"])
def test_every_node_has_a_place_of_the_checkpoint(tmp_path, task):
    """The names are transformers' own: `fnet.` or a head's first, none of ours."""
    plan = plan_of(save_tiny(tmp_path / "c", task), task=task)
    config, graph = plan.trained.checkpoint.config, graph_of(plan)
    names = set()
    for step in steps_from_graph(graph, config):
        part = part_from_graph(graph, [] if step.source is None else [step.source], step.outputs)
        names |= {module_of_place(node, step, config, plan.trained.task) for node in part.graph}
    assert all(name.startswith(("fnet.", "cls", "classifier", "qa_outputs", "head")) for name in names)
    assert {"fnet.encoder.layer.1.fourier.self", "fnet.encoder.layer.1.intermediate.intermediate_act_fn"} <= names
    assert {"fnet.embeddings.position_embeddings", "fnet.encoder.layer.0.output.dense"} <= names


def test_the_command_names_the_place(bundle):
    healthy = run(bundle)
    assert healthy.exit_code == 0
    assert f"nothing departs by more than {MULTIPLE:g} times the rounding there" in healthy.output
    with_graph(bundle, eps_wrong(ir.load(bundle / MODEL)))
    found = run(bundle)
    assert found.exit_code == 3
    assert (
        "first place: fnet.embeddings.LayerNorm, node encoder.embeddings.norm/node_layer_norm (LayerNormalization)" in found.output
    )
    assert "epsilon 1e-05, not 1e-12" in found.output
    values = json.loads(CliRunner().invoke(main, ["bisect", str(bundle), "--json"]).stdout)
    assert (values["passed"], values["place"]["node"]) == (False, "encoder.embeddings.norm/node_layer_norm")
    assert [step["departs"] for step in values["steps"]] == [True, False, False, False]
    assert (values["proposal"], values["fixed"]) == (None, None)


def test_the_command_says_what_it_cannot(bundle, tmp_path):
    assert "--fix and --output: expected both, or neither" in run(bundle, "--fix").output
    refused = run(bundle, "--fix", "--output", tmp_path / "new")
    assert (refused.exit_code, "--fix: is for fp16 and bf16; the bundle is in fp32. Export it again" in refused.output) == (2, True)
    altered = (bundle / MODEL).read_bytes() + b" "
    (bundle / MODEL).write_bytes(altered)
    assert (run(bundle).exit_code, "altered" in run(bundle).output) == (1, True)
    manifest = replace(manifest_from_folder(replaced(bundle, MODEL, b"garbage")), precision="bf16")
    with pytest.raises(GraphError, match=r"model\.onnx: is not an ONNX graph"):
        subject_from_bundle(bundle, manifest, checkpoint_from_bundle(bundle, manifest, on_note=pytest.fail))


@pytest.mark.parametrize(
    "name",
    [
        "fnet.embeddings",
        "fnet.encoder",
        "fnet.encoder.layer.0",
        "fnet.encoder.layer.0.fourier.self",
        "fnet.encoder.layer.1.output.dense",
        "encoder.blocks.1.output/node_MatMul_67",
        "node_select",
    ],
)
def test_names_that_bisect_gives_are_kept_in_float32(subject, in_bf16, name):
    config, task = subject.reference.config, subject.task
    check_names([name], config, task)
    if "/" not in name and not name.startswith("node_"):
        kept = half_from_graph(in_bf16.float32, "bf16", keep=[module_of_name(name, config, task)])
        assert kept_in_float32(kept)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fnet.encoder.layer.1.outptu.dense", "did you mean 'fnet.encoder.layer.1.output.dense'?"),
        ("fnet.encoder.layer.9/node_MatMul_1", "did you mean "),
        ("nonsense", "expected a name such as fnet.encoder.layer.0.output.dense."),
        ("", "expected a name such as "),
    ],
)
def test_names_that_the_model_has_not_are_refused_before_it_is_traced(checkpoint, name, hint):
    with pytest.raises(OptionError, match=f"--keep-float32: no node or module of the model is named '{name}'; ") as refused:
        plan_of(checkpoint, precision="fp16", keep_float32=(name,))
    assert hint in str(refused.value)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """A checkpoint whose first feed-forward reaches a million."""
    checkpoint = save_tiny(tmp_path_factory.mktemp("overflow"))
    tensors = load_file(checkpoint / "model.safetensors")
    for name, factor in (("intermediate.dense", 3e4), ("fourier.output.LayerNorm", 100.0), ("output.dense", 1 / 3e4)):
        tensors[f"encoder.layer.0.{name}.weight"] *= factor
    save_file(tensors, checkpoint / "model.safetensors")
    return checkpoint


OVERFLOWS = [
    "encoder.blocks.0.intermediate/node_MatMul_21",
    "encoder.blocks.0.intermediate/node_linear_1",
    "encoder.blocks.0/node_gelu",
    "encoder.blocks.0.output/node_MatMul_23",
]


def test_fix_keeps_what_overflows_in_float32(overflowing, tmp_path):
    bundle, fixed = tmp_path / "bundle", tmp_path / "fixed"
    with pytest.raises(ParityError, match="parity failed: range of fp16; the files are in") as failure:
        export(overflowing, bundle, target="tensorrt-rtx", precision="fp16")
    assert "layer 0: " in next(row.reason for row in failure.value.evidence.parity.rows if row.name == "range of fp16")
    assert run(bundle).exit_code == 1
    bundle = tmp_path / "bundle.failed"
    done = run(bundle, "--fix", "--output", fixed)
    assert done.exit_code == 0, done.output
    assert "first place: fnet.encoder.layer.0.intermediate.dense, node encoder.blocks.0.intermediate/node_MatMul_21" in done.output
    assert "a fresh fp16 graph gives infinite numbers, or none; with these 4 nodes in float32 it comes to 0." in done.output
    assert [line.split()[-1] for line in done.output.splitlines() if "  --keep-float32" in line] == OVERFLOWS
    floats = {node.name: node.outputs[0].dtype for node in ir.load(fixed / MODEL).graph}
    assert {floats[name] for name in OVERFLOWS} == {ir.DataType.FLOAT}
    assert floats["encoder.blocks.0.output/node_linear_2"] == ir.DataType.FLOAT16
    again = json.loads(CliRunner().invoke(main, ["bisect", str(fixed), "--json"]).stdout)
    assert (again["passed"], again["proposal"]["keep_float32"]) == (True, OVERFLOWS)
    assert again["proposal"]["share_of_limit_before"] < 1


def test_a_limit_has_the_shortest_beginning_of_the_ranking_that_holds_it(overflowing, tmp_path):
    subject = subject_of(tmp_path, overflowing, precision="fp16")
    config = subject.reference.config

    def proposed(limit):
        return proposal_from_graph(subject.float32, "fp16", golden_of(subject, limit), config)

    loose = proposed(1.0)
    assert (sorted(loose.kept), loose.holds, loose.before) == (sorted(OVERFLOWS), True, np.inf)
    some = proposed(loose.after / 3)
    assert some.holds
    assert set(OVERFLOWS) < set(some.kept)
    assert not proposal_from_graph(subject.float32, "fp16", golden_of(subject, loose.after / 3), config, keep=OVERFLOWS).before <= 1
    none = proposed(1e-12)
    assert (none.kept, none.holds, none.before) == ((), False, np.inf)
    assert proposal_from_graph(subject.float32, "fp16", golden_of(subject), config, keep=OVERFLOWS).kept == tuple(OVERFLOWS)


@pytest.mark.parametrize("data", [b"garbage", b""])
def test_a_graph_that_cannot_be_opened(bundle, data):
    result = run(replaced(bundle, MODEL, data))
    assert (result.exit_code, "ONNX Runtime" in result.output, "cannot open it" in result.output) == (4, True, True), result.output
