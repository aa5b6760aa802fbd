"""Engines that are built again on the host, with a stand-in for the GPU. TensorRT-RTX itself builds one of them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import fnet_runtime.engine.build as building
import fnet_runtime.engine.cache as caching
import fnet_runtime.engine.rebuild as rebuilding
import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild, EngineInfo, manifest_from_folder
from fnet_runtime.engine.cache import CACHE_VARIABLE, DESCRIPTION, LIMIT_VARIABLE, RECENT_S, locked
from fnet_runtime.engine.rebuild import profiles_from_manifest, rebuilt_engine
from fnet_runtime.errors import BuildError, LibraryError, NoDeviceError, OptionError
from support.fake_cuda import FakeCuda, importer_of
from support.fake_tensorrt import MemoryPoolType, fake_tensorrt
from support.paths import ROOT

PROCESS = """
import sys, time
from pathlib import Path
from support.fake_cuda import FakeCuda, importer_of
from support.fake_tensorrt import fake_tensorrt
import fnet_runtime.engine.rebuild as rebuilding
from fnet_runtime.bundle.manifest import Manifest

build = rebuilding.engine_from_file
def slow(*arguments, **options):
    time.sleep(2)
    return build(*arguments, **options)
rebuilding.engine_from_file = slow
folder, manifest = map(Path, sys.argv[1:])
importer = importer_of(cuda_bindings_runtime=FakeCuda(), tensorrt=fake_tensorrt()[0])
print(rebuilding.rebuilt_engine(folder, Manifest.from_json(manifest.read_text()), importer=importer).built)
"""
BATCH = {"batch_size": AxisProfile(min=1, opt=2, max=4)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def manifest(whole_bundle):
    """The manifest of a bundle as if TensorRT had built its engine elsewhere."""
    engine = EngineInfo(
        file="model.engine",
        library="tensorrt_rtx",
        version="1.0",
        compute_capabilities=("7.5",),
        profiles=(BATCH,),
        build=EngineBuild(workspace_mib=64, weight_stripped=True),
    )
    found = manifest_from_folder(whole_bundle)
    files = found.files | {"model.engine": found.files["model.onnx"]}
    return replace(found, target="tensorrt", engine=engine, files=files)


def rebuilt(folder, manifest, *, cuda=None, **libraries):
    return rebuilt_engine(folder, manifest, importer=importer_of(cuda_bindings_runtime=cuda or FakeCuda(), **libraries))


def test_an_engine_is_built_once_for_what_it_depends_on(whole_bundle, manifest, cache):
    trt, configs = fake_tensorrt()
    first = rebuilt(whole_bundle, manifest, tensorrt=trt)
    assert (first.built, first.file.read_bytes()) == (True, b"engine of 10.13.0.35")
    assert first.info.library == "tensorrt"
    assert (first.info.compute_capabilities, first.info.profiles) == (("8.9",), (BATCH,))
    assert first.info.build == EngineBuild(gpu="NVIDIA L4", workspace_mib=64)  # the weights stay: the cache is of this host
    assert configs[0].pools == {MemoryPoolType.WORKSPACE: 64 << 20}
    assert rebuilt(whole_bundle, manifest, tensorrt=trt) == replace(first, built=False)
    assert len(configs) == 1
    others = [
        {"cuda": FakeCuda(name="NVIDIA L40S")},
        {"cuda": FakeCuda(driver=13010)},
        {"tensorrt": fake_tensorrt("10.16.1.11")[0]},
        {"manifest": replace(manifest, engine=replace(manifest.engine, build=EngineBuild(optimization_level=1)))},
        {"manifest": replace(manifest, files=manifest.files | {"model.onnx": replace(manifest.files["model.onnx"], sha256="0")})},
    ]
    for other in others:
        assert rebuilt(whole_bundle, **({"manifest": manifest, "tensorrt": trt} | other)).built
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1 + len(others)


@pytest.mark.parametrize("damage", ["engine", "description", "missing"])
def test_a_damaged_entry_is_built_again(damage, whole_bundle, manifest, cache):
    trt, configs = fake_tensorrt()
    engine = rebuilt(whole_bundle, manifest, tensorrt=trt).file
    if damage == "engine":
        engine.write_bytes(b"cut")
    elif damage == "description":
        (engine.parent / DESCRIPTION).write_text("{}")
    else:
        (engine.parent / DESCRIPTION).unlink()
    again = rebuilt(whole_bundle, manifest, tensorrt=trt)
    assert (again.built, again.file, engine.read_bytes(), len(configs)) == (True, engine, b"engine of 10.13.0.35", 2)
    assert [path.name for path in cache.iterdir() if ".partial-" in path.name] == []


def test_what_a_killed_process_left_is_removed(whole_bundle, manifest, cache):
    trt = fake_tensorrt()[0]
    engine = rebuilt(whole_bundle, manifest, tensorrt=trt).file
    left = cache / f".{engine.parent.name}.partial-abc"
    left.mkdir()
    (left / "model.engine").touch()
    engine.unlink()
    assert rebuilt(whole_bundle, manifest, tensorrt=trt).built
    assert not left.exists()


# ---- what is removed after a build


def entry_of(cache, result, *, unused_s=RECENT_S + 60):
    """Return the key of an entry, and say when it was used last."""
    when = time.time() - unused_s
    os.utime(result.file.with_name(DESCRIPTION), (when, when))
    return result.file.parent.name


def keys(cache):
    return {path.name for path in cache.iterdir() if path.is_dir()}


def other_graph(manifest, sha256):
    return replace(manifest, files=manifest.files | {"model.onnx": replace(manifest.files["model.onnx"], sha256=sha256)})


def test_an_update_of_the_driver_or_library_removes_the_engines_before_it(whole_bundle, manifest, cache):
    def built(**changes):
        return entry_of(cache, rebuilt(whole_bundle, **({"manifest": manifest, "tensorrt": trt} | changes)))

    trt, newer = fake_tensorrt("10.13.0.35")[0], fake_tensorrt("10.16.1.11")[0]
    old, other_gpu = built(), built(cuda=FakeCuda(name="NVIDIA L40S"))
    other_library = built(manifest=replace(manifest, target="tensorrt-rtx"), tensorrt_rtx=tensorrt_rtx)
    same = built(manifest=other_graph(manifest, "1"))
    assert keys(cache) == {old, other_gpu, other_library, same}
    updated = built(tensorrt=newer)
    assert keys(cache) == {other_gpu, other_library, updated}
    assert not list(cache.glob(f".{old}*"))  # no lock either
    driver = built(tensorrt=newer, cuda=FakeCuda(driver=13010))
    assert keys(cache) == {other_gpu, other_library, driver}
    going_back = built(tensorrt=trt)
    assert keys(cache) == {other_gpu, other_library, driver, going_back}
    built(tensorrt=fake_tensorrt("10.13.0.35.post1")[0])  # Python's name of the same version
    assert going_back in keys(cache)


def test_an_entry_that_is_in_use_stays(whole_bundle, manifest, cache):
    trt, newer = fake_tensorrt()[0], fake_tensorrt("10.16.1.11")[0]
    held = entry_of(cache, rebuilt(whole_bundle, manifest, tensorrt=trt))
    recent = entry_of(cache, rebuilt(whole_bundle, other_graph(manifest, "1"), tensorrt=trt), unused_s=1)
    with locked(cache, held):
        new = entry_of(cache, rebuilt(whole_bundle, manifest, tensorrt=newer))
    assert keys(cache) == {held, recent, new}
    again = entry_of(cache, rebuilt(whole_bundle, other_graph(manifest, "2"), tensorrt=newer))
    assert keys(cache) == {recent, new, again}


def test_the_least_recently_used_engines_make_room(whole_bundle, manifest, cache, monkeypatch):
    monkeypatch.setattr(caching, "MIB", 1)  # the engines of the stand-in are 20 bytes long
    monkeypatch.setenv(LIMIT_VARIABLE, "65")
    trt, configs = fake_tensorrt()

    def used(sha256, unused_s, **libraries):
        return entry_of(cache, rebuilt(whole_bundle, other_graph(manifest, sha256), tensorrt=trt, **libraries), unused_s=unused_s)

    first, second = used("1", 5000), used("2", 4000)
    other_gpu = used("3", 9000, cuda=FakeCuda(name="NVIDIA L40S"))
    third = used("3", 3000)
    assert (used("1", 2000), len(configs)) == (first, 4)  # it is used again
    fourth = used("4", 1000)
    assert keys(cache) == {first, third, fourth, other_gpu}
    assert not list(cache.glob(f".{second}*"))
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    last = used("5", 0)
    assert keys(cache) == {last, other_gpu}


@pytest.mark.parametrize("limit", ["-1", "1.5", "4 GiB", "1000000000", "\u0664"])
def test_a_limit_that_is_not_a_number(limit, whole_bundle, manifest, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, limit)
    message = rf"FNET_RUNTIME_CACHE_MIB: expected a number of MiB from 0 to 999999999, found {re.escape(limit)}$"
    with pytest.raises(OptionError, match=message):
        rebuilt(whole_bundle, manifest, tensorrt=fake_tensorrt()[0])


def test_a_lock_that_was_removed_while_a_process_waited_is_not_held(cache):
    """The waiter takes the lock that has the name now, so that two processes never hold it."""
    cache.mkdir(parents=True)
    order = []

    def wait():
        with locked(cache, "key"):
            order.append("waiter")

    with locked(cache, "key"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.2)  # it has opened the lock that is removed now
        (cache / ".key.lock").unlink()
        another = ExitStack()
        another.enter_context(locked(cache, "key"))
    time.sleep(0.2)
    order.append("another")
    another.close()
    waiter.join()
    assert order == ["another", "waiter"]


def test_two_processes_build_once(whole_bundle, manifest, cache, tmp_path):
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    command = [sys.executable, "-c", PROCESS, whole_bundle, tmp_path / "manifest.json"]
    processes = [subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert sorted(said) == ["False\n", "True\n"]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_two_callers_build_once(whole_bundle, manifest, monkeypatch):
    trt, configs = fake_tensorrt()
    build = rebuilding.engine_from_file

    def slow(*arguments, **options):
        time.sleep(0.2)
        return build(*arguments, **options)

    monkeypatch.setattr(rebuilding, "engine_from_file", slow)
    results = []
    callers = [threading.Thread(target=lambda: results.append(rebuilt(whole_bundle, manifest, tensorrt=trt))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (len(configs), sorted(result.built for result in results)) == (1, [False, False, True])


def test_the_first_installed_library_of_the_target_builds(whole_bundle, manifest):
    trt = fake_tensorrt()[0]
    assert rebuilt(whole_bundle, manifest, tensorrt=trt, tensorrt_rtx=tensorrt_rtx).info.library == "tensorrt"
    with pytest.raises(LibraryError, match="tensorrt cannot be imported.*; tensorrt_rtx cannot be imported"):
        rebuilt(whole_bundle, manifest)
    with pytest.raises(LibraryError, match="tensorrt_rtx cannot be imported"):
        rebuilt(whole_bundle, replace(manifest, target="tensorrt-rtx"), tensorrt=trt)


def test_what_cannot_be_rebuilt_is_refused(whole_bundle, manifest, tmp_path, monkeypatch):
    for engine in (None, replace(manifest.engine, library="openvino")):
        with pytest.raises(OptionError, match="has no engine of TensorRT, so there is nothing to rebuild"):
            rebuilt(whole_bundle, replace(manifest, engine=engine))
    cuda = FakeCuda()
    cuda.cudaGetDeviceCount = lambda: (0, 0)
    with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
        rebuilt(whole_bundle, manifest, cuda=cuda, tensorrt=fake_tensorrt()[0])
    old = fake_tensorrt("8.6", without=("NetworkDefinitionCreationFlag",))[0]
    with pytest.raises(BuildError, match=r"tensorrt 8\.6: has no strongly typed networks; expected TensorRT 10"):
        rebuilt(whole_bundle, manifest, tensorrt=old)
    with pytest.raises(BuildError, match=r"builds for the compute capabilities 7\.5, .*; found NVIDIA H100 with 9\.0\. Install"):
        rebuilt(whole_bundle, manifest, cuda=FakeCuda("NVIDIA H100", (9, 0)), tensorrt_rtx=tensorrt_rtx)
    of_fp8 = replace(manifest, precision="fp8")
    with pytest.raises(
        BuildError, match=r"fp8 needs a GPU of compute capability 8\.9 or newer; found NVIDIA A10 with 8\.6\. Export"
    ):
        rebuilt(whole_bundle, of_fp8, cuda=FakeCuda("NVIDIA A10", (8, 6)), tensorrt=fake_tensorrt()[0])
    assert rebuilt(whole_bundle, of_fp8, cuda=FakeCuda("NVIDIA H100", (9, 0)), tensorrt=fake_tensorrt()[0]).built
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(BuildError, match="engines: cannot be written .* Name another folder in FNET_RUNTIME_CACHE"):
        rebuilt(whole_bundle, manifest, tensorrt=fake_tensorrt()[0])


def test_profiles_are_those_of_the_manifest(whole_bundle, manifest):
    lengths = ({"sequence_length": AxisProfile(min=low, opt=low + 1, max=low + 2)} for low in (1, 4))
    profiles = tuple({**BATCH, **each} for each in lengths)
    inputs = tuple(replace(tensor, axes=("batch_size", "sequence_length")) for tensor in manifest.inputs)
    open_length = replace(manifest, inputs=inputs, engine=replace(manifest.engine, profiles=profiles))
    assert [shapes["input_ids"] for shapes in profiles_from_manifest(open_length)] == [
        ((1, 1), (2, 2), (4, 3)),
        ((1, 4), (2, 5), (4, 6)),
    ]


def test_tensorrt_rtx_builds_for_the_gpu_of_the_host(whole_bundle, manifest):
    steps = []
    importer = importer_of(cuda_bindings_runtime=FakeCuda(), tensorrt_rtx=tensorrt_rtx)
    engine = rebuilt_engine(whole_bundle, manifest, importer=importer, on_progress=lambda *step: steps.append(step))
    assert (engine.info.version, engine.info.compute_capabilities) == (tensorrt_rtx.__version__, ("8.9",))
    assert engine.info.build == EngineBuild(workspace_mib=64)
    assert steps
    described = json.loads((engine.file.parent / DESCRIPTION).read_text())
    assert described["file"]["size_bytes"] == engine.file.stat().st_size > 100_000
    assert not rebuilt_engine(whole_bundle, manifest, importer=importer).built


@pytest.mark.parametrize("progress", [True, False])
def test_ctrl_c_stops_a_build(progress, whole_bundle, manifest, cache, monkeypatch):
    """TensorRT-RTX itself would ignore what a callback raises, and build to the end."""
    importer = importer_of(cuda_bindings_runtime=FakeCuda(), tensorrt_rtx=tensorrt_rtx)
    handler, steps = signal.getsignal(signal.SIGINT), []

    def step(*words):
        steps.append(words)
        signal.raise_signal(signal.SIGINT)

    if progress:
        chosen = {"on_progress": step}
    else:
        chosen = {}
        monkeypatch.setattr(building, "has_part", lambda trt, name: signal.raise_signal(signal.SIGINT) is None)
    with pytest.raises(KeyboardInterrupt):
        rebuilt_engine(whole_bundle, manifest, importer=importer, **chosen)
    assert len(steps) == progress
    assert keys(cache) == set()
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_of_a_progress_call_stops_a_build(whole_bundle, manifest):
    def step(*words):
        raise ValueError("enough")

    importer = importer_of(cuda_bindings_runtime=FakeCuda(), tensorrt_rtx=tensorrt_rtx)
    with pytest.raises(ValueError, match="enough"):
        rebuilt_engine(whole_bundle, manifest, importer=importer, on_progress=step)


def test_a_handler_that_raises_nothing_stops_no_build(whole_bundle, manifest, monkeypatch):
    handled = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
    try:
        importer = importer_of(cuda_bindings_runtime=FakeCuda(), tensorrt_rtx=tensorrt_rtx)
        steps = []

        def step(*words):
            steps.append(words)
            if len(steps) == 1:
                signal.raise_signal(signal.SIGTERM)

        assert rebuilt_engine(whole_bundle, manifest, importer=importer, on_progress=step).built
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (handled, len(steps) > 1) == ([signal.SIGTERM], True)
