"""The C++ sessions of TensorRT and TensorRT-RTX, where their headers are: stand-ins for the libraries, then the real ones."""

import enum
import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import fnet_runtime.engine.rebuild as rebuilding
import numpy as np
import pytest
from fnet_runtime.bundle.manifest import manifest_from_folder
from fnet_runtime.errors import NoDeviceError
from fnet_runtime.pipeline.open import load
from support.bundles import replaced
from support.checkpoints import save_tiny
from support.cpp_build import LIBRARY, built_from_preset, require_build
from support.cuda_driver import driver_library
from support.exports import export, stored
from support.fake_cuda import FakeCuda, importer_of
from support.fake_tensorrt import fake_tensorrt
from support.paths import CPP
from support.plugin_provider import plugin_library

from fnet_core.tasks import TASKS

HERE = Path(__file__).parent
ROOTS = {"tensorrt": "TensorRT_ROOT", "tensorrt_rtx": "TensorRT_RTX_ROOT"}
VARIABLES = {"tensorrt": "FNET_TENSORRT", "tensorrt_rtx": "FNET_TENSORRT_RTX"}
OF_RUNTIME = ("VRuntime", "VCudaEngine", "VExecutionContext")
OF_BUILDER = ("VBuilder", "VBuilderConfig", "VHostMemory", "VNetworkDefinition", "VOptimizationProfile")
PARSERS = {"tensorrt": "libnvonnxparser.so", "tensorrt_rtx": "libtensorrt_onnxparser_rtx.so"}


def configured(folder, *options):
    command = ["cmake", "--preset", "default", "-B", folder, "-DFNET_BUILD_TESTS=OFF", *options]
    sdk = os.environ.get("ONNXRUNTIME_ROOT", CPP / "build" / "onnxruntime")
    require_build("default")
    return subprocess.run(command, cwd=CPP, env=os.environ | {"ONNXRUNTIME_ROOT": str(sdk)}, capture_output=True, text=True)


def test_without_its_headers_a_session_is_off_and_asking_for_it_is_an_error(tmp_path):
    (tmp_path / "NvInferRuntime.h").touch()
    (tmp_path / "NvInferVersion.h").write_text("#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 11\n")
    here = [f"-D{product}_INCLUDE_DIR={tmp_path}" for product in ("TensorRT", "TensorRT_RTX")]
    done = configured(tmp_path / "build", *here)
    assert f"TENSORRT: OFF (no headers: {tmp_path} is not TensorRT 10.12 or newer (its NvInferVersion.h" in done.stdout
    assert f"TENSORRT_RTX: OFF (no headers: {tmp_path} is not TensorRT_RTX 1.0 or newer" in done.stdout
    (tmp_path / "NvInferVersion.h").write_text("#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 12\n")
    without_parser = configured(tmp_path / "without", *here).stdout
    assert f"TENSORRT: OFF (no headers: {tmp_path} has no NvOnnxParser.h: set TensorRT_ROOT to a folder" in without_parser
    for option in ("FNET_WITH_TENSORRT", "FNET_WITH_TENSORRT_RTX"):
        done = configured(tmp_path / option, *here, f"-D{option}=ON")
        assert done.returncode != 0
        assert f"set {'TensorRT_RTX' if 'RTX' in option else 'TensorRT'}_ROOT" in " ".join(done.stderr.split())
        assert f"{option.removeprefix('FNET_WITH_')}: OFF\n" in configured(tmp_path / "build", f"-D{option}=OFF").stdout


def test_a_build_without_tensorrt_rebuilds_nothing(shared, tmp_path):
    default = built_from_preset("default")
    if "tensorrt-rtx\tno\tthis build" not in default.run("--devices", text=True).stdout:
        pytest.skip("this build was made with the headers of TensorRT-RTX")
    done = default.run(stored(shared, target="tensorrt-rtx"), "--rebuild", "--text", "a", text=True)
    assert done.returncode == 4
    assert done.stderr.endswith(
        "this build of fnet_runtime cannot build an engine of tensorrt_rtx; compile it with the headers of that library, or "
        "rebuild with the Python runtime\n"
    )


def test_a_bundle_without_an_engine_of_tensorrt(whole_bundle):
    done = built_from_preset("default").run(whole_bundle, "--rebuild", "--text", "a", text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("opens with onnxruntime, which builds none. Leave it out\n")


@dataclass(frozen=True)
class Built:
    """A build's fnet-run, the product of its session, and where the headers are."""

    fnet_run: Path
    library: str
    includes: list[str]

    @property
    def version(self):
        """The version of the headers, which a stand-in has too."""
        header = next(Path(i) / "NvInferVersion.h" for i in self.includes if (Path(i) / "NvInferVersion.h").exists())
        return ".".join(re.findall(r"^#define TRT_(?:MAJOR|MINOR|PATCH)_\w+ (\d+)", header.read_text(), re.MULTILINE))

    def run(self, bundle, *words, **environment):
        command = [self.fnet_run, bundle, *words]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


@pytest.fixture(scope="session", params=ROOTS)
def built(request):
    root = os.environ.get(ROOTS[request.param])
    if not root:
        pytest.skip(f"needs the headers of {request.param}; name their folder in {ROOTS[request.param]} (docs/cpp.md)")
    folder = CPP / "build" / request.param
    option = ROOTS[request.param].removesuffix("_ROOT").upper()
    others = [f"-DFNET_WITH_{other.upper()}=OFF" for other in ROOTS if other.upper() != option]
    done = configured(folder, f"-DFNET_WITH_{option}=ON", *others)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{option}: ON (" in done.stdout
    made = subprocess.run(["cmake", "--build", folder, "--target", "fnet-run"], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout
    cache = (folder / "CMakeCache.txt").read_text()
    found = re.findall(
        rf"^(?:Cuda|Cuda_CRT|{ROOTS[request.param].removesuffix('_ROOT')})_INCLUDE_DIR:PATH=(.+)$", cache, re.MULTILINE
    )
    return Built(folder / "fnet-run", request.param, found)


def compiled(built, source, output, *options):
    includes = [word for folder in built.includes for word in ("-isystem", folder)]
    command = ["g++", "-std=c++17", "-shared", "-fPIC", *includes, *options, str(HERE / source), "-o", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(output)


def stub(header, name):
    """Return a C++ class that defines each pure function of a header's class as one that aborts."""
    source = re.sub(r"//.*|/\*.*?\*/", "", header.read_text().replace("TRT_NODISCARD", ""))
    body = re.search(rf"^class {name}(?: : public VRoot)?\n\{{\npublic:\n(.*?)^\}};", source, re.DOTALL | re.MULTILINE).group(1)
    functions = re.findall(r"virtual ([^;{}]*?)\s*= 0;", body)
    stubs = "".join(f"{function} override {{ std::abort(); }}\n" for function in functions)
    return f"class {name}Stub : public {name}\n{{\npublic:\n{stubs}}};\n"


@pytest.fixture(scope="session")
def stand_ins(built, tmp_path_factory):
    """The environment in which the session finds stand-ins, and the folder of the libraries."""
    folder = tmp_path_factory.mktemp(built.library)
    headers = next(Path(i) for i in built.includes if (Path(i) / "NvInferImpl.h").exists())
    stubs = "".join(stub(headers / "NvInferImpl.h", name) for name in OF_RUNTIME + OF_BUILDER)
    (folder / "stubs.inc").write_text(f"namespace nvinfer1 {{ namespace apiv {{\n{stubs}}} using namespace apiv; }}\n")
    parser = stub(headers / "NvOnnxParser.h", "IParser")
    (folder / "parser.inc").write_text(f"#include <cstdlib>\nnamespace nvonnxparser {{\n{parser}}}\n")
    compiled(built, "stand_in_parser.cpp", folder / PARSERS[built.library], f"-I{folder}")
    options = (f"-I{folder}", "-DSTAND_IN_MAJOR=NV_TENSORRT_MAJOR")
    engine = compiled(built, "stand_in_tensorrt.cpp", folder / "libstand_in.so", *options)
    return {VARIABLES[built.library]: engine, "FNET_CUDART": compiled(built, "stand_in_cudart.cpp", folder / "libcudart.so")}


@pytest.fixture
def bundle(built, tmp_path):
    """A bundle for the product whose engine only the stand-in opens."""
    task = "sequence-classification"
    folder = export(save_tiny(tmp_path / "checkpoint", task), tmp_path / "bundle", task=task, target="tensorrt-rtx").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["engine"] |= {"library": built.library, "profiles": [{"batch_size": {"min": 2, "opt": 2, "max": 3}}]}
    manifest["engine"]["version"] = built.version
    manifest["target"] = built.library.replace("_", "-")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    replaced(folder, "model.engine", f"{manifest['sequence_length']} {len(manifest['labels'])}".encode())
    return folder


def test_answers_come_from_the_engine(built, stand_ins, bundle):
    texts = [f"text {i}, and so on" * i for i in range(7)]
    words = [word for text in texts for word in ("--text", text)]
    done = built.run(bundle, "--json", *words, **stand_ins)
    assert done.returncode == 0, done.stderr
    pipeline = load(bundle, runtime="onnxruntime")
    for text, line in zip(texts, done.stdout.splitlines(), strict=True):
        logits = np.zeros(len(pipeline.manifest.labels))
        (row,) = pipeline.inputs(text)
        logits[:2] = [row[name].sum() / 1000 for name in ("input_ids", "token_type_ids")]
        assert json.loads(line)["score"] == pytest.approx(1 / np.exp(logits - logits.max()).sum(), abs=1e-6)


def test_cuda_graphs_give_the_same_answers_and_everything_is_freed(built, stand_ins, bundle, tmp_path):
    words = ["--json", *(word for i in range(20) for word in ("--text", f"text {i}"))]
    counts = tmp_path / "counts"
    environment = stand_ins | {"STAND_IN_COUNTS": str(counts)}
    ordinary = built.run(bundle, *words, **environment)
    assert (ordinary.returncode, counts.read_text()) == (0, "launches 0, held 0")
    done = built.run(bundle, *words, "--cuda-graph", "--contexts", "3", **environment)
    if built.library == "tensorrt_rtx" and done.returncode:  # headers that only say that they are TensorRT-RTX's
        assert "TensorRT-RTX makes no CUDA graphs in this build; expected the headers of 1.3 or newer" in done.stderr
        return
    assert (done.returncode, done.stdout) == (0, ordinary.stdout), done.stderr
    launches = re.fullmatch(r"launches (\d+), held 0", counts.read_text())
    assert int(launches[1]) > 0


def test_what_the_library_refuses(built, stand_ins, bundle):
    replaced(bundle, "model.engine", b"9 0")
    done = built.run(bundle, "--text", "a", **stand_ins)
    assert done.returncode == 4
    assert re.search(
        rf"model\.engine: {built.library} [\d.]+ cannot open it \(built with .*\): the engine has no labels$", done.stderr
    )
    replaced(bundle, "model.engine", b"9 3")
    done = built.run(bundle, "--text", "a", **stand_ins)
    assert done.returncode == 4
    assert 'the graph has input_ids int64["batch_size", 9]' in done.stderr


def test_an_engine_of_another_gpu_or_version_is_refused_before_it_is_opened(built, stand_ins, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    changes = {
        "compute_capabilities": (
            ["7.5"],
            r"expected a GPU of compute capability 7\.5, found 8\.9 \(NVIDIA L4\)\. Build the engine",
        ),
        "version": ("9.9.9.9", rf"expected {built.library} 9\.9\.9\.9, found {re.escape(built.version)}\.0\. Build the engine"),
        "build": (manifest["engine"]["build"] | {"gpu": "NVIDIA A2"}, "expected the GPU NVIDIA A2, found NVIDIA L4"),
    }
    for key, (value, message) in changes.items():
        changed = manifest | {"engine": manifest["engine"] | {key: value}}
        (bundle / "manifest.json").write_text(json.dumps(changed))
        done = built.run(bundle, "--text", "a", **stand_ins)
        assert done.returncode == 4
        assert re.search(message, done.stderr), done.stderr


def test_libraries_that_are_missing_or_of_another_version(built, stand_ins, bundle, tmp_path):
    for variable, what in ((VARIABLES[built.library], "TensorRT"), ("FNET_CUDART", "the CUDA runtime")):
        done = built.run(bundle, "--text", "a", **stand_ins | {variable: "/no/such.so"})
        assert done.returncode == 4
        assert re.search(rf"{what}.*'s library cannot be opened \(/no/such\.so: .*name its file in {variable}$", done.stderr)
        done = built.run(bundle, "--text", "a", **stand_ins | {variable: "libm.so.6"})
        assert done.returncode == 4
        assert "lacks its functions" in done.stderr
    stubs = f"-I{Path(stand_ins[VARIABLES[built.library]]).parent}"
    other = compiled(built, "stand_in_tensorrt.cpp", tmp_path / "libother.so", stubs, "-DSTAND_IN_MAJOR=99")
    done = built.run(bundle, "--text", "a", **stand_ins | {VARIABLES[built.library]: other})
    assert done.returncode == 4
    assert "this build of fnet_runtime was compiled for" in done.stderr


def test_a_library_next_to_the_copy_of_tensorrt_rtx_in_a_plugin(built, stand_ins, tmp_path):
    """The list of devices opens the plugin, and then the libraries of engines."""
    driver_library(tmp_path)
    environment = {
        "LD_LIBRARY_PATH": str(tmp_path),
        "FNET_ONNXRUNTIME": str(LIBRARY),
        "FNET_NV_TENSORRT_RTX": str(plugin_library(tmp_path)),
    }
    lines = built.run("--devices", **stand_ins | environment).stdout.splitlines()
    assert next(line for line in lines if line.startswith("provider\tnv-tensorrt-rtx\t")).split("\t")[2] == "yes"
    line = next(line for line in lines if line.startswith(f"engine\t{built.library.replace('_', '-')}\t"))
    if built.library == "tensorrt_rtx":
        assert "\tno\tTensorRT-RTX's library cannot be opened, because this process has opened NvTensorRTRTXExecution" in line
    else:
        assert f"\tyes\t{built.library} " in line


def test_an_altered_engine_never_reaches_the_library(built, stand_ins, bundle):
    engine = bundle / "model.engine"
    engine.write_bytes(engine.read_bytes() + b"9 0")
    done = built.run(bundle, "--text", "a", **stand_ins)
    assert done.returncode == 1
    assert "model.engine: altered" in done.stderr


@dataclass(frozen=True)
class Cache:
    """The cache of a test, and what the stand-in's builder wrote down."""

    folder: Path
    environment: dict

    @property
    def builds(self):
        file = Path(self.environment["STAND_IN_BUILDS"])
        return file.read_text().splitlines() if file.exists() else []

    @property
    def entries(self):
        """The files of all entries but the locks."""
        return sorted(path for path in self.folder.glob("**/*") if path.is_file() and path.suffix != ".lock")


@pytest.fixture
def cache(stand_ins, tmp_path):
    found = {"FNET_RUNTIME_CACHE": str(tmp_path / "cache"), "STAND_IN_BUILDS": str(tmp_path / "builds")}
    return Cache(tmp_path / "cache" / "engines", stand_ins | found)


@pytest.fixture
def elsewhere(bundle):
    """A bundle whose engine another GPU built; the stand-in builds an engine of the text in model.onnx."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    options = {"workspace_mib": 64, "optimization_level": 2, "weight_stripped": True}
    manifest["engine"] |= {"compute_capabilities": ["7.5"], "build": manifest["engine"]["build"] | options}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    replaced(bundle, "model.onnx", (bundle / "model.engine").read_bytes())
    return bundle


def test_an_engine_is_built_once_for_what_it_depends_on(built, cache, elsewhere):
    assert "expected a GPU of compute capability 7.5" in built.run(elsewhere, "--text", "a", **cache.environment).stderr
    first = built.run(elsewhere, "--rebuild", "--json", "--text", "a", **cache.environment)
    assert first.returncode == 0, first.stderr
    assert [path.name for path in cache.entries] == ["engine.json", "model.engine"]
    text = (elsewhere / "model.onnx").read_text()
    length = text.split()[0]
    shapes = " ".join(f"{name} {rows}x{length}" for name in ("input_ids", "token_type_ids") for rows in (2, 2, 3))
    assert cache.builds == [f"{text} no-tf32 workspace {64 << 20} level 2 {shapes}"]
    again = built.run(elsewhere, "--rebuild", "--json", "--text", "a", **cache.environment)
    assert (again.returncode, again.stdout, len(cache.builds)) == (0, first.stdout, 1)
    for other in ({"STAND_IN_DRIVER": "13010"}, {"STAND_IN_BUILD": "7"}):
        for _ in range(2):
            assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment | other).returncode == 0
    manifest = json.loads((elsewhere / "manifest.json").read_text())
    manifest["engine"]["build"]["optimization_level"] = None
    (elsewhere / "manifest.json").write_text(json.dumps(manifest))
    assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment).returncode == 0
    assert (len(cache.builds), len(cache.entries)) == (4, 8)


@pytest.mark.parametrize("damage", ["engine", "description", "missing"])
def test_a_damaged_entry_is_built_again(built, cache, elsewhere, damage):
    assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment).returncode == 0
    description, engine = cache.entries
    described, key = description.read_text(), engine.parent.name
    left = cache.folder / f".{key}.partial-abc"  # of a process that was killed
    left.mkdir()
    if damage == "engine":
        engine.write_bytes(b"cut")
    elif damage == "description":
        description.write_text("{}")
    else:
        description.unlink()
    assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment).returncode == 0
    assert (len(cache.builds), description.read_text()) == (2, described)
    assert engine.read_bytes() == (elsewhere / "model.onnx").read_bytes()
    assert cache.entries == [description, engine]
    assert not left.exists()


def test_two_processes_build_once(built, cache, elsewhere):
    command = [built.fnet_run, elsewhere, "--rebuild", "--text", "a"]
    environment = os.environ | cache.environment | {"STAND_IN_SECONDS": "2"}
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert (len(answers), len(cache.builds), len(cache.entries)) == (1, 1, 2)


def test_a_build_that_fails_leaves_nothing(built, cache, elsewhere, tmp_path):
    name = f"{built.library} {built.version}.0"
    for graph, reason in (
        (b"fail", f"{name} built no engine: no kernel fits the workspace"),
        (b"DFT", f"{name} cannot parse the graph: DFT node mixing: no importer is registered. This parser has no DFT: export"),
    ):
        replaced(elsewhere, "model.onnx", graph)
        done = built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment)
        assert (done.returncode, cache.entries) == (4, [])
        assert f"error: model.onnx: {reason}" in done.stderr
    replaced(elsewhere, "model.onnx", (elsewhere / "model.engine").read_bytes())
    parser = f"{VARIABLES[built.library]}_PARSER"
    done = built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment | {parser: "/no/such.so"})
    assert (done.returncode, cache.entries) == (4, [])
    assert re.search(rf"the ONNX parser of {built.library}.*/no/such\.so: .*name its file in {parser}$", done.stderr)
    done = built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment | {parser: "libm.so.6"})
    assert "lacks its functions; expected lib" in done.stderr
    if built.library == "tensorrt_rtx":
        done = built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment | {"STAND_IN_CAPABILITY": "90"})
        assert (done.returncode, cache.entries) == (4, [])
        assert f"{name} cannot build for compute capability 9.0: " in done.stderr
    (tmp_path / "file").touch()
    done = built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment | {"FNET_RUNTIME_CACHE": str(tmp_path / "file")})
    assert done.returncode == 4
    assert "engines: cannot be written (Not a directory); expected a folder for rebuilt engines. Name another" in done.stderr


def test_what_cannot_be_rebuilt_is_refused(built, cache, elsewhere):
    words = ("--rebuild", "--text", "a")
    done = built.run(elsewhere, *words, "--runtime", "onnxruntime", **cache.environment)
    assert done.returncode == 1
    assert "rebuild: is for engines of TensorRT; " in done.stderr
    assert "opens with onnxruntime, which builds none. Leave it out" in done.stderr
    done = built.run(elsewhere, *words, **cache.environment | {VARIABLES[built.library]: "/no/such.so"})
    assert (done.returncode, cache.entries) == (4, [])
    assert f"name its file in {VARIABLES[built.library]}" in done.stderr
    manifest = json.loads((elsewhere / "manifest.json").read_text())
    for change, reason in (
        ({"profiles": [{}]}, "/engine/profiles/0: expected the open axes of the inputs, batch_size; found no axis"),
        ({"build": manifest["engine"]["build"] | {"workspace_mib": 0}}, "--workspace-mib: expected 1 to 16777216, found 0"),
        ({"build": manifest["engine"]["build"] | {"optimization_level": 6}}, "--optimization-level: expected 0 to 5, found 6"),
    ):
        (elsewhere / "manifest.json").write_text(json.dumps(manifest | {"engine": manifest["engine"] | change}))
        done = built.run(elsewhere, *words, **cache.environment)
        assert reason in done.stderr
    manifest |= {"precision": "fp8", "quantization": {"method": "", "data": "", "sha256": "", "texts": 1, "kept": []}}
    (elsewhere / "manifest.json").write_text(json.dumps(manifest))
    done = built.run(elsewhere, *words, **cache.environment | {"STAND_IN_CAPABILITY": "86"})
    assert "fp8 needs a GPU of compute capability 8.9 or newer; found NVIDIA L4 with 8.6. Export the bundle in int8" in done.stderr
    assert built.run(elsewhere, *words, **cache.environment).returncode == 0


def test_python_and_cpp_share_an_entry(built, cache, elsewhere, monkeypatch):
    monkeypatch.setenv("FNET_RUNTIME_CACHE", cache.environment["FNET_RUNTIME_CACHE"])
    manifest = manifest_from_folder(elsewhere)
    trt = fake_tensorrt(f"{built.version}.0")[0]
    if built.library == "tensorrt_rtx":
        trt.ComputeCapability = enum.IntEnum("ComputeCapability", {"SM89": 89})
        monkeypatch.setattr(trt.IBuilderConfig, "set_compute_capability", lambda *_: True, raising=False)

    def rebuilt():
        return rebuilding.rebuilt_engine(
            elsewhere, manifest, importer=importer_of(cuda_bindings_runtime=FakeCuda(), **{built.library: trt})
        )

    assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment).returncode == 0
    (description, engine), described = cache.entries, cache.entries[0].read_bytes()
    found = rebuilt()
    assert (found.built, found.file, found.info.version) == (False, engine, f"{built.version}.0")
    engine.unlink()
    build = rebuilding.engine_from_file
    data = (elsewhere / "model.onnx").read_bytes()
    monkeypatch.setattr(rebuilding, "engine_from_file", lambda *words, **options: replace(build(*words, **options), data=data))
    assert rebuilt().built
    assert (cache.entries, description.read_bytes()) == ([description, engine], described)
    assert built.run(elsewhere, "--rebuild", "--text", "a", **cache.environment).returncode == 0
    assert len(cache.builds) == 1


def test_an_update_removes_the_engines_before_it(built, cache, elsewhere):
    words = ("--rebuild", "--text", "a")
    assert built.run(elsewhere, *words, **cache.environment).returncode == 0
    old = cache.entries[0].parent.name
    os.utime(cache.entries[0], (0, 0))
    assert built.run(elsewhere, *words, **cache.environment | {"STAND_IN_DRIVER": "13010"}).returncode == 0
    assert (len(cache.entries), list(cache.folder.glob(f"*{old}*"))) == (2, [])
    done = built.run(elsewhere, *words, **cache.environment | {"FNET_RUNTIME_CACHE_MIB": "much"})
    assert (done.returncode, done.stderr) == (
        1,
        "error: FNET_RUNTIME_CACHE_MIB: expected a number of MiB from 0 to 999999999, found much\n",
    )


@pytest.fixture(scope="session")
def gpu(built, tmp_path_factory):
    """Skips where the product has no engine or no GPU here: one export tells, for all tasks."""
    folder = tmp_path_factory.mktemp("gpu")
    exported = exported_for(built, "sequence-classification", folder)
    if json.loads((exported / "manifest.json").read_text())["engine"]["library"] != built.library:
        pytest.skip(f"not run: {built.library} is not installed, so that the export has no engine of it")
    try:
        load(exported)
    except NoDeviceError as error:
        pytest.skip(f"not run: {error}")


def exported_for(built, task, folder):
    target = built.library.replace("_", "-")
    return export(save_tiny(folder / "checkpoint", task), folder / "bundle", task=task, target=target).folder


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("task", TASKS)
def test_a_real_engine_agrees_with_the_reference(built, task, tmp_path):
    done = built.run(exported_for(built, task, tmp_path), "--self-test")
    assert done.returncode == 0, done.stdout + done.stderr
