"""The C++ sessions of TensorRT and TensorRT-RTX, where their headers are: stand-ins for the libraries, then the real ones."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fnet_runtime.errors import NoDeviceError
from fnet_runtime.pipeline.open import load
from support.bundles import replaced
from support.checkpoints import save_tiny
from support.cpp_build import require_build
from support.exports import export
from support.paths import CPP

from fnet_core.tasks import TASKS

HERE = Path(__file__).parent
ROOTS = {"tensorrt": "TensorRT_ROOT", "tensorrt_rtx": "TensorRT_RTX_ROOT"}
VARIABLES = {"tensorrt": "FNET_TENSORRT", "tensorrt_rtx": "FNET_TENSORRT_RTX"}
STUBBED = ("VRuntime", "VCudaEngine", "VExecutionContext")


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
    for option in ("FNET_WITH_TENSORRT", "FNET_WITH_TENSORRT_RTX"):
        done = configured(tmp_path / option, *here, f"-D{option}=ON")
        assert done.returncode != 0
        assert f"set {'TensorRT_RTX' if 'RTX' in option else 'TensorRT'}_ROOT" in " ".join(done.stderr.split())
        assert f"{option.removeprefix('FNET_WITH_')}: OFF\n" in configured(tmp_path / "build", f"-D{option}=OFF").stdout


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


def stubs_from_headers(headers):
    """Return C++ classes that define each pure function of the headers' classes as one that aborts."""
    source = re.sub(r"//.*", "", (headers / "NvInferImpl.h").read_text()).replace("TRT_NODISCARD", "")
    classes = []
    for name in STUBBED:
        body = re.search(rf"^class {name} : public VRoot\n\{{\npublic:\n(.*?)^\}};", source, re.DOTALL | re.MULTILINE).group(1)
        body = re.sub(r"virtual ([^;{]*?)\s*= 0;", r"\1 override { std::abort(); }", body)
        classes.append(f"class {name}Stub : public {name}\n{{\npublic:\n{body}}};\n")
    return f"namespace nvinfer1 {{ namespace apiv {{\n{''.join(classes)}}} using namespace apiv; }}\n"


@pytest.fixture(scope="session")
def stand_ins(built, tmp_path_factory):
    """The environment in which the session finds stand-ins, and the folder of the libraries."""
    folder = tmp_path_factory.mktemp(built.library)
    headers = next(Path(i) for i in built.includes if (Path(i) / "NvInferImpl.h").exists())
    (folder / "stubs.inc").write_text(stubs_from_headers(headers))
    options = (f"-I{folder}", "-DSTAND_IN_MAJOR=NV_TENSORRT_MAJOR")
    engine = compiled(built, "stand_in_tensorrt.cpp", folder / "libstand_in.so", *options)
    return {VARIABLES[built.library]: engine, "FNET_CUDART": compiled(built, "stand_in_cudart.cpp", folder / "libcudart.so")}


@pytest.fixture
def bundle(built, tmp_path):
    """A bundle for the product whose engine only the stand-in opens."""
    task = "sequence-classification"
    folder = export(save_tiny(tmp_path / "checkpoint", task), tmp_path / "bundle", task=task, target="tensorrt-rtx").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["engine"] |= {"library": built.library, "batch_profile": {"batch_size": {"min": 2, "opt": 2, "max": 3}}}
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


def test_an_altered_engine_never_reaches_the_library(built, stand_ins, bundle):
    engine = bundle / "model.engine"
    engine.write_bytes(engine.read_bytes() + b"9 0")
    done = built.run(bundle, "--text", "a", **stand_ins)
    assert done.returncode == 1
    assert "model.engine: altered" in done.stderr


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
