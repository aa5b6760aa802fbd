"""The public names of fnet_export: quick to import, typed, and with the options of the command line."""

import ast
import inspect
import subprocess
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

import fnet_export
from fnet_export.base.arguments import path_or_none, several
from fnet_export.base.progress import Calls, ProgressEvent
from fnet_export.commands.cli import main

HEAVY = ("torch", "onnx", "onnxruntime", "openvino", "numpy", "click", "rich", "fnet_core", "fnet_runtime")
FUNCTIONS = {
    "export": "export",
    "choose": "choose",
    "convert": "convert",
    "verify": "verify",
    "evaluate": "eval",
    "bench": "bench",
    "rebuild": "rebuild",
}
"""By the name of a function: its command."""
COMMAND_LINE_ONLY = {"dry_run", "json", "quiet"}
"""Options of what a command prints or leaves undone. A function prints nothing."""


def name_of(option):
    """Return the name of the parameter for an option, which is always the name of the option."""
    return option.opts[0].removeprefix("--").replace("-", "_")


def options_of(function):
    command = main.get_command(click.Context(main), FUNCTIONS[function])
    assert command is not None
    options = {name_of(option): option for option in command.params if isinstance(option, click.Option)}
    arguments = {argument.name for argument in command.params if isinstance(argument, click.Argument)}
    return {name: option for name, option in options.items() if name not in COMMAND_LINE_ONLY}, arguments


def parameters_of(function):
    return dict(inspect.signature(getattr(fnet_export, function)).parameters)


def test_importing_the_package_is_light():
    code = f"import sys, fnet_export; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_documented():
    assert list(fnet_export.__all__) == sorted(fnet_export._MODULES)
    for name in fnet_export.__all__:
        thing = getattr(fnet_export, name)
        assert thing.__doc__, name
        assert callable(thing), name
        assert thing.__module__ == fnet_export._MODULES[name]
    assert set(fnet_export.__all__) <= set(dir(fnet_export))
    with pytest.raises(AttributeError, match="module 'fnet_export' has no attribute 'exprot'"):
        fnet_export.exprot  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(fnet_export.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == fnet_export._MODULES


def test_no_room_has_the_name_of_a_function():
    """Python puts a room into the package under its name as soon as a file of the room is imported."""
    files = Path(fnet_export.__file__).parent.rglob("*.py")  # a checkout may keep empty folders of before
    rooms = {path.relative_to(Path(fnet_export.__file__).parent).parts[0].removesuffix(".py") for path in files}
    assert rooms.isdisjoint(fnet_export.__all__)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_the_options_of_its_command(function):
    parameters = parameters_of(function)
    options, arguments = options_of(function)
    assert set(parameters) - {"on_progress"} == set(options) | arguments
    for name, option in options.items():
        default, shown = parameters[name].default, option.to_info_dict()["default"]
        if option.required:
            assert default is inspect.Parameter.empty, name
        elif option.is_flag:
            assert default is False, name
        elif not shown:
            assert not default, name
        elif isinstance(shown, Path):
            assert default == str(shown), name
        elif option.multiple:
            assert several(default) == tuple(shown), name
        else:
            assert default == shown, name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_types_are_exact(function):
    hints = typing.get_type_hints(getattr(fnet_export, function))
    options, arguments = options_of(function)
    assert set(hints) == set(parameters_of(function)) | {"return"}
    assert not [name for name, hint in hints.items() if hint is Any]
    kinds = {click.types.BoolParamType: bool, click.IntRange: int, click.FloatRange: float, click.Path: str, click.Choice: str}
    for name, option in options.items():
        kind = next((python for kind, python in kinds.items() if isinstance(option.type, kind)), None)
        each = typing.get_args(hints[name]) or (hints[name],)
        if option.nargs == 1 and kind is not None:
            assert kind in each, name
        if option.multiple and name != "column":
            assert any(typing.get_origin(hint) is Sequence for hint in (*each, hints[name])), name
    assert all(str in typing.get_args(hints[name]) for name in arguments)


def test_an_event_says_what_it_is_about():
    events = []
    progress = Calls(events.append)
    progress.stage("prove parity")
    progress.step(1, 3, "torch")
    progress.note("a note")
    assert events == [
        ProgressEvent(stage="prove parity"),
        ProgressEvent(stage="prove parity", done=1, total=3, what="torch"),
        ProgressEvent(stage="prove parity", note="a note"),
    ]
    Calls(None).stage("ignored")


def test_arguments():
    assert (several("auto"), several(["a", "b"]), several(3), several(())) == (("auto",), ("a", "b"), (3,), ())
    assert (path_or_none(None), path_or_none("a"), path_or_none(Path("a"))) == (None, Path("a"), Path("a"))
