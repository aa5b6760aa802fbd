"""What the packages promise to the outside: names, scripts, and that the runtime needs no torch."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points

import fnet_runtime
from fnet_runtime.install import PACKAGES
from support.paths import ROOT


def test_export_list():
    assert fnet_runtime.__all__ == sorted(fnet_runtime.__all__)
    assert all(hasattr(fnet_runtime, name) for name in fnet_runtime.__all__)


def test_scripts():
    assert {"fnet-export", "fnet-run"} <= {script.name for script in entry_points(group="console_scripts")}


def test_the_runtime_opens_a_bundle_without_torch_or_tokenizers(whole_bundle):
    missing = ["torch", "onnx", "openvino", "transformers", "tokenizers", "safetensors", "rich"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}));"
        f"import fnet_runtime; print(fnet_runtime.load({str(whole_bundle)!r})('the fox').label)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("A", "B", "C")


def test_every_dependency_is_pinned():
    names = {line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for path in (ROOT / "pyproject.toml", ROOT / "runtimes" / "python" / "pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        for requirement in project["dependencies"]:
            name = requirement.split(">")[0].split("=")[0].split("[")[0].lower().replace("_", "-")
            assert name in names or name == "fnet-runtime", name


def test_hints_install_what_the_package_asks_for():
    """A hint names packages of an index, so that it works from a checkout as from a wheel."""
    project = tomllib.loads((ROOT / "runtimes" / "python" / "pyproject.toml").read_text())["project"]
    for library, packages in PACKAGES.items():
        extra = project["optional-dependencies"].get(library.replace("_", "-"))
        assert list(packages) == extra if extra else set(packages) <= set(project["dependencies"]), library
    assert set(project["optional-dependencies"]) == {"nv-tensorrt-rtx", "openvino", "ray", "tensorrt", "tensorrt-rtx"}
    for path in [*(ROOT / "fnet_export").rglob("*.py"), *(ROOT / "runtimes").rglob("*.py")]:
        assert "pip install 'fnet-" not in path.read_text(), path


REFUSED = ("torch", "onnx", "onnx_ir", "onnxscript", "transformers", "safetensors")
HOOK = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED}:
            raise ImportError(name + " is refused by this test")

sys.meta_path.insert(0, Refuse())
"""


def test_commands_for_bundles_need_neither_torch_nor_onnx(whole_bundle, tmp_path):
    """The hook is in the processes that bench starts as well."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    def run(*arguments):
        command = [sys.executable, "-m", "fnet_export", *map(str, arguments)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "passed" in run("verify", whole_bundle)
    assert "not counted: the library onnx is not installed" in run("inspect", whole_bundle)
    assert "2 rounds in turns" in run("bench", whole_bundle, "--rounds", 2, "--chart", tmp_path / "b.svg")
    for command in ("verify", "inspect", "bench"):
        assert "Exit codes:" in run(command, "--help")
    done = subprocess.run(
        [sys.executable, "-c", "import torch"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert "torch is refused by this test" in done.stderr
