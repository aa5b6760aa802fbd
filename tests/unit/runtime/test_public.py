"""The public surface of fnet_runtime has exact types: no `Any` in a function, field or answer that a caller can reach."""

import inspect
import types
import typing
from typing import Any

import fnet_runtime
import numpy as np


def annotations(thing):
    """The types that a public class or function shows, with those of its public functions, overloads and properties."""
    if inspect.isfunction(thing):
        for function in typing.get_overloads(thing) or [thing]:
            yield from ((f"{function.__qualname__}: {name}", t) for name, t in typing.get_type_hints(function).items())
    elif inspect.isclass(thing):
        yield from ((f"{thing.__qualname__}.{n}", t) for n, t in typing.get_type_hints(thing).items() if not n.startswith("_"))
        for name, member in vars(thing).items():
            if not name.startswith("_") or name in ("__init__", "__call__"):
                yield from annotations(getattr(member, "fget", None) or getattr(member, "__func__", member))
    else:
        yield repr(thing), thing


def parts(kind):
    """A type and the types inside of it; of an array only the kind of its numbers, because numpy's shape is Any."""
    yield kind
    if typing.get_origin(kind) is np.ndarray:
        yield from parts(typing.get_args(kind)[1])
        return
    for inner in typing.get_args(kind):
        yield from (part for item in (inner if isinstance(inner, list) else [inner]) for part in parts(item))


def reachable():
    """Every annotation that a caller can reach from a public name."""
    waiting = [getattr(fnet_runtime, name) for name in fnet_runtime.__all__]
    seen = set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for where, kind in annotations(thing):
            yield where, kind
            for part in parts(kind):
                if inspect.isclass(part) and part.__module__.startswith("fnet_runtime"):
                    waiting.append(part)


def test_no_any_in_the_public_surface():
    found = list(reachable())
    assert {"Pipeline.session", "Pipeline.fill_mask: return", "Manifest.files", "Session.run: inputs"} <= {w for w, _ in found}
    assert [where for where, kind in found if any(part in (Any, inspect.Parameter.empty) for part in parts(kind))] == []


def test_every_public_name_is_documented():
    for name in fnet_runtime.__all__:
        thing = getattr(fnet_runtime, name)
        assert thing.__doc__ or isinstance(thing, types.UnionType), name
