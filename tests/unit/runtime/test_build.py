"""Options of a TensorRT build: with the stand-in of `tensorrt`, and with TensorRT-RTX itself where it is asked first."""

import hashlib
from dataclasses import fields
from pathlib import Path

import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import EngineBuild, EngineInfo
from fnet_runtime.engine.build import engine_from_file
from fnet_runtime.engine.cuda import Gpu
from fnet_runtime.engine.options import BuildOptions, options_from_engine
from fnet_runtime.engine.products import DIFFERENCES, check_options, compute_capabilities_of, has_part
from fnet_runtime.errors import BuildError, OptionError
from support.fake_tensorrt import TIMES, BuilderFlag, HardwareCompatibilityLevel, MemoryPoolType, fake_tensorrt

GPU = Gpu(name="NVIDIA L4", compute_capability="8.9", driver="13.0")
SHAPES = {"input_ids": ((1, 7), (2, 7), (4, 7))}


def built(trt, options, *, gpu=GPU, library="tensorrt"):
    return engine_from_file(Path("model.onnx"), trt=trt, library=library, profiles=[SHAPES], options=options, gpu=gpu)


def test_every_option_reaches_the_builder_and_the_manifest(tmp_path):
    trt, configs = fake_tensorrt()
    times = tmp_path / "times.bin"
    options = BuildOptions(
        workspace_mib=512,
        optimization_level=5,
        timing_cache=times,
        hardware_compatibility="ampere-plus",
        weight_stripped=True,
    )
    engine = built(trt, options)
    (config,) = configs
    assert config.pools == {MemoryPoolType.WORKSPACE: 512 << 20}
    assert config.builder_optimization_level == 5
    assert config.hardware_compatibility_level is HardwareCompatibilityLevel.AMPERE_PLUS
    assert config.flags == {BuilderFlag.STRIP_PLAN, BuilderFlag.REFIT_IDENTICAL}
    assert config.profiles == [SHAPES]
    assert (engine.data, engine.version, engine.compute_capabilities) == (b"engine of 10.13.0.35", "10.13.0.35", ("8.9",))
    assert engine.build == EngineBuild(
        gpu="NVIDIA L4",
        workspace_mib=512,
        optimization_level=5,
        timing_cache_sha256=hashlib.sha256(times.read_bytes()).hexdigest(),
        hardware_compatibility="ampere-plus",
        weight_stripped=True,
    )


def test_without_options_the_library_chooses():
    trt, configs = fake_tensorrt()
    engine = built(trt, BuildOptions(), gpu=None)
    (config,) = configs
    assert (config.flags, config.pools, config.cache) == (set(), {}, None)
    assert (engine.build, engine.compute_capabilities) == (EngineBuild(), ())
    built(trt, BuildOptions(version_compatible=True))
    assert configs[1].flags == {BuilderFlag.VERSION_COMPATIBLE}


def test_a_timing_cache_is_read_completed_and_kept(tmp_path):
    trt, configs = fake_tensorrt()
    times = tmp_path / "times.bin"
    options = BuildOptions(timing_cache=times)
    first = built(trt, options)
    assert (configs[0].cache.data, times.read_bytes()) == (b"", TIMES + b"10.13.0.35")
    assert built(trt, options).build == first.build
    assert configs[1].cache.data == times.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["times.bin"]
    with pytest.raises(BuildError, match=r"times\.bin: tensorrt 11\.4\.0\.106 refuses it: .* Expected a file of this version"):
        built(fake_tensorrt("11.4.0.106")[0], options)
    with pytest.raises(BuildError, match="--timing-cache: .* cannot be read"):
        built(trt, BuildOptions(timing_cache=tmp_path))
    with pytest.raises(BuildError, match="--timing-cache: .* cannot be written"):
        built(trt, BuildOptions(timing_cache=tmp_path / "none" / "times.bin"))


@pytest.mark.parametrize(
    ("options", "library", "message"),
    [
        ({"timing_cache": Path("t")}, "tensorrt_rtx", "--timing-cache: TensorRT-RTX measures no times in a build. Leave"),
        (
            {"version_compatible": True},
            "tensorrt_rtx",
            "--version-compatible: an engine of TensorRT-RTX opens with its own release",
        ),
        ({"hardware_compatibility": "ampere-plus"}, "tensorrt_rtx", "Name the GPUs with --compute-capability"),
        ({"compute_capabilities": ("9.0",)}, "tensorrt_rtx", r"cannot build for compute capability 9\.0; it builds for 7\.5, 8\.0"),
        ({"weight_stripped": True}, "tensorrt_rtx", "only where it finds an NVIDIA GPU, and it finds no GPU here"),
        ({"compute_capabilities": ("8.6",)}, "tensorrt", "builds for the GPU that is present.* --hardware-compatibility"),
    ],
)
def test_what_a_library_lacks_is_refused_before_the_build(options, library, message):
    trt = tensorrt_rtx if library == "tensorrt_rtx" else fake_tensorrt()[0]
    with pytest.raises(OptionError, match=message):
        built(trt, BuildOptions(**options), library=library, gpu=None)


def test_a_version_without_the_part_is_refused():
    trt, configs = fake_tensorrt("8.5", without=("HardwareCompatibilityLevel",))
    with pytest.raises(OptionError, match=r"--hardware-compatibility: tensorrt 8\.5 has no HardwareCompatibilityLevel\. Leave"):
        built(trt, BuildOptions(hardware_compatibility="ampere-plus"))
    assert configs == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workspace_mib": 0}, "--workspace-mib: expected 1 to 16777216, found 0"),
        ({"workspace_mib": 2**44}, "--workspace-mib: expected 1 to 16777216, found 17592186044416"),
        ({"workspace_mib": True}, "--workspace-mib: expected 1 to 16777216, found True"),
        ({"optimization_level": 6}, "--optimization-level: expected 0 to 5, found 6"),
        ({"hardware_compatibility": "all"}, "expected one of none, ampere-plus, same-compute-capability; found 'all'"),
        ({"compute_capabilities": ("sm86",)}, r"--compute-capability: expected a number such as 8\.6, found 'sm86'"),
        ({"compute_capabilities": ("8.6", "8.6")}, r"--compute-capability: expected each once, found 8\.6, 8\.6"),
        ({"weight_stripped": True, "version_compatible": True}, "--weight-stripped: .* leave out --version-compatible or"),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises(OptionError, match=message):
        BuildOptions(**options)


def test_the_table_has_a_row_for_every_option_and_says_where_it_was_read():
    assert {row.option for row in DIFFERENCES if row.option} == {field.name for field in fields(BuildOptions)}
    for row in DIFFERENCES:
        assert row.read_from, row.subject
        assert all(any(character.isdigit() for character in source) or "documentation" in source for source in row.read_from)


def test_the_table_says_what_tensorrt_rtx_really_has():
    parts = {row.part: has_part(tensorrt_rtx, row.part) for row in DIFFERENCES if row.part}
    assert [part for part, there in parts.items() if not there] == ["BuilderFlag.FP16"]
    assert compute_capabilities_of(tensorrt_rtx) == ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
    check_options(BuildOptions(compute_capabilities=("7.5", "12.1"), workspace_mib=1), tensorrt_rtx, "tensorrt_rtx", gpu=False)


def test_a_manifest_gives_its_options_back():
    build = EngineBuild(workspace_mib=64, optimization_level=1, timing_cache_sha256="ab", weight_stripped=True)
    info = {"file": "model.engine", "version": "1", "profiles": (), "compute_capabilities": ("8.9",)}
    of_rtx = EngineInfo(library="tensorrt_rtx", build=build, **info)
    expected = BuildOptions(workspace_mib=64, optimization_level=1, weight_stripped=True, compute_capabilities=("8.9",))
    assert options_from_engine(of_rtx) == expected
    of_gpu = EngineInfo(library="tensorrt", build=EngineBuild(gpu="NVIDIA L4"), **info)
    assert options_from_engine(of_gpu) == options_from_engine(None) == BuildOptions()
