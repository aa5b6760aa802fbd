"""What the tests themselves rely on: traces that are remembered, tiers that are reported as not run."""

import os
from types import SimpleNamespace

import onnx_ir as ir
import pytest
import torch
from support.checkpoints import tiny_config
from support.tiers import not_run, tiers_not_run
from support.traces import remembered, trace_folder

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.graph import trace
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.trace import graph_from_model

TRACE = trace.program_from_model


def lowered(seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {"num_hidden_layers": 1} | changes
    return lowered_from_model(FNet(tiny_config(**sizes), TASKS["sequence-classification"]).eval(), "dft")


@pytest.fixture
def traces(tmp_path, traced_anew, monkeypatch):
    """The models that are really traced."""
    models, export = [], trace.program_from_model

    def counted(model, **options):
        models.append(model)
        return export(model, **options)

    monkeypatch.setattr(trace, "program_from_model", remembered(counted, tmp_path))
    return models


def test_a_remembered_trace_has_the_same_bytes_and_views_its_own_model(traces, monkeypatch):
    models = [lowered(), lowered(seed=1)]
    graphs = [graph_from_model(model) for model in models]
    assert traces == models[:1]
    monkeypatch.setattr(trace, "program_from_model", TRACE)
    both = (graph_from_model(models[1]), graphs[1])
    anew, remembered_one = (ir.to_proto(graph).SerializeToString(deterministic=True) for graph in both)
    assert anew == remembered_one
    filled = []
    for graph, model in zip(graphs, models, strict=True):
        with torch.no_grad():
            for value in model.parameters():
                value.fill_(7.0)
        arrays = {name: value.const_value.numpy() for name, value in graph.graph.initializers.items()}
        filled.append({name for name, array in arrays.items() if array.size > 1 and (array == 7).all()})
    assert filled[0] == filled[1]
    assert "model.head.classifier.weight" in filled[0]


def test_other_options_shapes_zeros_and_large_models_are_traced(traces, monkeypatch):
    graph_from_model(lowered())
    graph_from_model(lowered(layer_norm_eps=1e-5))
    graph_from_model(lowered(intermediate_size=12))
    zeros = lowered()
    torch.nn.init.zeros_(zeros.model.head.classifier.weight)
    graph_from_model(zeros)
    assert len(traces) == 4
    monkeypatch.setattr("support.traces.LARGEST", 10)
    graph_from_model(lowered())
    assert len(traces) == 5


def test_a_trace_that_made_a_weight_of_its_own_is_not_remembered(traces, monkeypatch):
    monkeypatch.setattr("support.traces._view", lambda *_: {})
    graph_from_model(lowered())
    graph_from_model(lowered())
    assert len(traces) == 2


def test_a_tier_that_cannot_run_is_named_once():
    with pytest.raises(pytest.skip.Exception) as skipped:
        not_run("C++", "cmake", "scripts/system_packages.sh")
    reports = [
        SimpleNamespace(longrepr=("file", 1, f"Skipped: {reason}")) for reason in (skipped.value.msg, skipped.value.msg, "no GPU")
    ]
    assert tiers_not_run(reports) == ["C++ tier: not run: needs cmake; run scripts/system_packages.sh (2 tests)"]


def test_traces_of_four_states_of_the_sources_are_kept(tmp_path):
    for i in range(6):
        (tmp_path / f"old {i}").mkdir()
        os.utime(tmp_path / f"old {i}", (i, i))
    folder = trace_folder(tmp_path)
    assert folder == trace_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "old 3", "old 4", "old 5"}
