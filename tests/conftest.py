import dataclasses
import functools
import json
import shutil
from importlib import resources
from pathlib import Path

import fnet_runtime.bundle
import jsonschema
import pytest
import torch
import transformers
from fnet_runtime.bundle.manifest import MANIFEST, file_info
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from safetensors.torch import save_file
from torch.onnx._internal.exporter._registration import ONNXRegistry

from fnet_core.checkpoint.open import module_names
from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.progress import Quiet
from fnet_export.engine.sessions.cpp_session import PROGRAM_VARIABLE
from fnet_export.export.pipeline import bundle_from_plan
from fnet_export.export.plan import ExportOptions, plan_from_options

CPP_ROW = "C++ runtime, final graph"
VOCABULARY = Path(__file__).parent / "golden" / "bpe.model"
LENGTH = 32
MANIFEST_SCHEMA = jsonschema.Draft202012Validator(
    json.loads(resources.files(fnet_runtime.bundle).joinpath("manifest.schema.json").read_text())
)
"""Every bundle that a test exports must be valid by it."""


def tiny_config(**changes):
    config = FNetConfig(
        vocab_size=Tokenizer.from_file(VOCABULARY).vocab_size,
        hidden_size=12,
        num_hidden_layers=2,
        intermediate_size=10,
        max_position_embeddings=LENGTH,
        labels=("A", "B", "C"),
    )
    return dataclasses.replace(config, **changes)


def save_tiny(folder, task="sequence-classification", **changes):
    """A whole checkpoint of random weights for one task."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(**changes)
    torch.manual_seed(3)
    model = FNet(config, TASKS[task])
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    modules = dict(model.named_modules())
    tensors = {
        f"{key}.{kind}": value.detach().clone()
        for key, name in module_names(config, TASKS[task]).items()
        for kind, value in modules[name].named_parameters(recurse=False)
        if not (config.tie_word_embeddings and (key, kind) == ("cls.predictions.decoder", "weight"))
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(config.to_json())
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder


def save_fresh(folder, task="sequence-classification"):
    """A model as transformers makes it before any training, whose biases are all zeros, saved by transformers itself."""
    torch.manual_seed(3)
    config = tiny_config(labels=("A", "B") if task == "question-answering" else ("A", "B", "C")).to_dict()
    model = getattr(transformers, TASKS[task].huggingface_class)(transformers.FNetConfig.from_dict(config))
    model.save_pretrained(folder)
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder


def export(checkpoint, output, *, task="sequence-classification", target="onnx", **options):
    """Export a checkpoint; without one, the built-in model."""
    chosen = ExportOptions(task=task, target=target, model=str(checkpoint) if checkpoint else None, output=output, **options)
    done = bundle_from_plan(plan_from_options(chosen), Quiet())
    MANIFEST_SCHEMA.validate(json.loads((done.folder / MANIFEST).read_text()))
    return done


def replaced(bundle, name, data):
    """Change a file and its hash in the manifest: an altered bundle that hashes do not give away."""
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][name] = vars(file_info(bundle / name))
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests run side by side (pytest-xdist), and their models are small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_registry():
    """torch.onnx reads its own operators again for every export, half a second each time; tests read them once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Ranges of activations are kept here, not in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FNET_EXPORT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_cpp_row():
    """Exports do not run the C++ runtime: whether it is built yet is another test's affair (tests/cpp/test_cpp_session.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRAM_VARIABLE, "")
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def whole_bundle(checkpoint, tmp_path_factory):
    """A bundle to read; tests that change one copy it first."""
    return export(checkpoint, tmp_path_factory.mktemp("bundles") / "bundle").folder


@pytest.fixture(scope="session")
def openvino_bundle(checkpoint, tmp_path_factory):
    """A bundle to read, with OpenVINO's files beside the graph."""
    return export(checkpoint, tmp_path_factory.mktemp("bundles") / "openvino", target="openvino").folder


@pytest.fixture
def bundle(whole_bundle, tmp_path):
    return Path(shutil.copytree(whole_bundle, tmp_path / "bundle"))
