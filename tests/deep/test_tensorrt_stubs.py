"""The stand-in for `tensorrt` has the signatures of tensorrt-stubs, which describe TensorRT 10.13."""

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from contextlib import suppress

import pytest
from support.fake_tensorrt import CLASSES, builder_class
from support.fake_trt import FakeStreams, fake_trt

STUBS = "tensorrt-stubs==10.13.0.35.1"
INVALID = "power: Weights = None, channel_axis: int"
"""Parameters in the stubs that are not Python."""
OWN = ("__init__",)
"""Constructors of classes that only the library makes."""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The members of each class of the stubs: the parameters of each overload of a method, or None for another member."""
    folder = tmp_path_factory.mktemp("stubs")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, STUBS]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"needs {STUBS} from PyPI")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        source = wheel.read("tensorrt_bindings/tensorrt.pyi").decode().replace(INVALID, f"{INVALID} = 0")
    found = {}
    for text in re.split(r"^(?=class )", source, flags=re.MULTILINE)[1:]:
        with suppress(SyntaxError):  # some classes of the stubs are not Python
            node = ast.parse(re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1]).body[0]
            found[node.name] = {name: [kind for other, kind in members(node) if other == name] for name, _ in members(node)}
    return found


def members(kind):
    for node in kind.body:
        if isinstance(node, ast.FunctionDef):
            is_method = all(ast.unparse(decorator) == "typing.overload" for decorator in node.decorator_list)
            yield node.name, [argument.arg for argument in node.args.args] if is_method else None
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id, None


RUNNING = [kind for kind in vars(fake_trt(FakeStreams())).values() if inspect.isclass(kind) and kind.__name__ != "IRuntimeConfig"]
"""The classes of the stand-in that runs. IRuntimeConfig has a member of TensorRT-RTX alone, which tests/unit compares."""


@pytest.mark.parametrize("kind", [*CLASSES, builder_class("10", []), *RUNNING], ids=lambda kind: kind.__name__)
def test_the_stand_in_has_the_signatures_of_the_stubs(kind, stubs):
    known = stubs[kind.__name__]
    for name, member in vars(kind).items():
        if name.startswith("_") and name not in OWN:
            continue
        made_here = name == "__init__" and known.get(name, [["self"]]) == [["self"]]
        if inspect.isfunction(member) and not made_here:
            assert list(inspect.signature(member).parameters) in known[name], name
        elif not inspect.isfunction(member):
            assert name in known, name
