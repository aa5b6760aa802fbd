import struct
from types import SimpleNamespace

import onnx
import pytest
import tensorrt_rtx
import torch
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.errors import InputError
from support.fake_cuda import FakeCuda, importer_of
from support.fake_tensorrt import fake_tensorrt

from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import EngineError, OptionError, PrecisionError, ProfileError
from fnet_export.commands.cli import main
from fnet_export.engine.library import Library
from fnet_export.engine.tensorrt import (
    build_of_precision,
    check_build_options,
    engine_from_graph,
    library_for_target,
    profile_shapes,
)
from fnet_export.graph.file import write_graph
from fnet_export.graph.simplify import simplified_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.plan.options import EngineOptions

RTX = library_for_target("tensorrt-rtx")
BATCH = AxisProfile(min=1, opt=2, max=4)


def saved_graph(task, folder, transform="dft"):
    config = FNetConfig(vocab_size=40, hidden_size=12, num_hidden_layers=1, intermediate_size=10, max_position_embeddings=7)
    torch.manual_seed(0)
    graph = graph_from_model(FNet(config, TASKS[task], transform=transform).eval())
    path = folder / "model.onnx"
    write_graph(graph if transform == "fft" else simplified_from_graph(graph), path)
    return path


@pytest.mark.parametrize("task", ["sequence-classification", "multiple-choice"])
def test_builds_an_engine(task, tmp_path):
    ranges = {"batch_size": BATCH} | ({"num_choices": BATCH} if task == "multiple-choice" else {})
    steps = []
    path = saved_graph(task, tmp_path)
    engine = engine_from_graph(path, library=RTX, profiles=[ranges], on_progress=lambda *step: steps.append(step))
    assert steps
    assert all(name and 0 <= done <= total for name, done, total in steps)
    assert struct.unpack_from("<Q", engine.data, 16) == (len(engine.data),)
    assert (engine.info.library, engine.info.version) == ("tensorrt_rtx", tensorrt_rtx.__version__)
    assert engine.info.profiles == (ranges,)
    assert engine.info.compute_capabilities == ("8.0", "8.6", "8.9", "12.0", "12.1")


def test_dft_nodes_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(EngineError, match="cannot parse the graph.*--transform dft"):
        engine_from_graph(saved_graph("masked-lm", tmp_path, transform="fft"), library=RTX, profiles=[{"batch_size": BATCH}])


def test_build_options_of_tensorrt_rtx(tmp_path):
    path = saved_graph("sequence-classification", tmp_path)
    build = BuildOptions(workspace_mib=64, optimization_level=1, compute_capabilities=("8.9", "12.1"))
    engine = engine_from_graph(path, library=RTX, profiles=[{"batch_size": BATCH}], build=build)
    assert engine.info.compute_capabilities == ("8.9", "12.1")
    assert engine.info.build == EngineBuild(workspace_mib=64, optimization_level=1)
    with pytest.raises(OptionError, match=r"cannot build for compute capability 9\.0; it builds for 7\.5, 8\.0"):
        engine_from_graph(path, library=RTX, profiles=[{"batch_size": BATCH}], build=BuildOptions(compute_capabilities=("9.0",)))
    with pytest.raises(OptionError, match="--version-compatible: an engine of TensorRT-RTX opens with its own release only"):
        check_build_options(BuildOptions(version_compatible=True), RTX)


def test_ranges_must_fit_the_graph(tmp_path):
    graph = onnx.load(saved_graph("masked-lm", tmp_path))
    assert profile_shapes(graph, {"batch_size": BATCH})["input_ids"] == ((1, 7), (2, 7), (4, 7))
    for ranges in ({}, {"batch": BATCH}, {"batch_size": BATCH, "num_choices": BATCH}):
        with pytest.raises(ProfileError, match=r"dynamic axes are \['batch_size'\]"):
            profile_shapes(graph, ranges)
    with pytest.raises(InputError, match="expected 1 <= MIN <= OPT <= MAX, found 3 2 4"):
        AxisProfile(min=3, opt=2, max=4)


def test_the_library_of_a_target():
    def importer(*present):
        def imported(name):
            if name not in present:
                raise ImportError(f"no {name}")
            return SimpleNamespace(__version__="9", NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=0))

        return imported

    assert library_for_target("tensorrt", importer=importer("tensorrt", "tensorrt_rtx")).substituted is None
    stand_in = library_for_target("tensorrt", importer=importer("tensorrt_rtx"))
    assert stand_in.name == "tensorrt_rtx"
    assert "TensorRT-RTX 9 builds the engine in its place" in (stand_in.substituted or "")
    with pytest.raises(
        EngineError, match=r"tensorrt cannot be imported.*install it: .*tensorrt_rtx cannot be imported.*'tensorrt-rtx>=1\.7'"
    ):
        library_for_target("tensorrt", importer=importer())
    with pytest.raises(EngineError, match="has no strongly typed networks"):
        library_for_target(
            "tensorrt", importer=lambda _: SimpleNamespace(__version__="8", NetworkDefinitionCreationFlag=SimpleNamespace())
        )


def test_build_options_on_the_command_line(tmp_path):
    with pytest.raises(OptionError, match="--workspace-mib, --compute-capability: expected a target of TensorRT, found onnx"):
        EngineOptions(target="onnx", build=BuildOptions(workspace_mib=1, compute_capabilities=("8.6",)))
    words = ["--task", "sequence-classification", "--target", "tensorrt-rtx", "--output", str(tmp_path / "b"), "--dry-run"]
    for more, message in (
        (["--compute-capability", "sm86"], "--compute-capability: expected a number such as 8.6, found 'sm86'"),
        (["--hardware-compatibility", "ampere-plus"], "--hardware-compatibility: TensorRT-RTX builds one engine for several GPUs"),
        (
            ["--weight-stripped"],
            "--weight-stripped: TensorRT-RTX builds an engine without weights only where it finds",
        ),
    ):
        done = CliRunner().invoke(main, [*words, *more])
        assert done.exit_code == 2
        assert message in done.stderr


def test_fp8_is_built_for_gpus_that_multiply_it():
    assert build_of_precision(BuildOptions(), "int8", RTX) == BuildOptions()
    assert build_of_precision(BuildOptions(), "fp8", RTX).compute_capabilities == ("8.9", "12.0", "12.1")
    named = BuildOptions(compute_capabilities=("12.0", "8.9"))
    assert build_of_precision(named, "fp8", RTX) == named
    with pytest.raises(OptionError, match=r"--compute-capability: fp8 needs .* 8\.9 or newer; found 8\.0, 8\.6\. Leave it out"):
        build_of_precision(BuildOptions(compute_capabilities=("8.0", "8.9", "8.6")), "fp8", RTX)
    assert build_of_precision(BuildOptions(compute_capabilities=("8.6",)), "fp16", RTX).compute_capabilities == ("8.6",)
    with pytest.raises(OptionError, match=r"--hardware-compatibility: fp8 needs .*; found ampere-plus, which has older GPUs"):
        build_of_precision(BuildOptions(hardware_compatibility="ampere-plus"), "fp8", RTX)


def test_fp8_is_refused_where_the_gpu_of_the_host_has_none():
    """TensorRT builds for the GPU that is there."""
    module = fake_tensorrt()[0]
    library = Library(name="tensorrt", version="10.13", module=module)

    def built(capability):
        importer = importer_of(cuda_bindings_runtime=FakeCuda("a GPU", capability), tensorrt=module)
        return build_of_precision(BuildOptions(), "fp8", library, importer=importer)

    assert built((8, 9)) == built((9, 0)) == built((10, 0)) == BuildOptions()
    with pytest.raises(PrecisionError, match=r"--precision fp8: fp8 needs .* 8\.9 or newer; found a GPU with 8\.6\. Take"):
        built((8, 6))


def test_fp8_on_the_command_line(tmp_path):
    words = ["--task", "sequence-classification", "--precision", "fp8", "--output", str(tmp_path / "b"), "--dry-run"]
    for more, message in (
        (
            ["--target", "openvino"],
            "expected fp32, fp16, bf16, int8 for the target openvino, found 'fp8'; targets for that: tensorrt",
        ),
        (["--target", "tensorrt-rtx", "--opset", "18"], "--opset: fp8 exists from operator set 19 on; found 18. Leave it out"),
        (["--target", "tensorrt-rtx", "--compute-capability", "8.6"], "--compute-capability: fp8 needs a GPU of compute"),
    ):
        done = CliRunner().invoke(main, [*words, *more])
        assert (done.exit_code, message in done.stderr) == (2, True), done.output
    done = CliRunner().invoke(main, [*words, "--target", "tensorrt-rtx"])
    assert (done.exit_code, "calibrate" in done.output) == (0, True), done.output
