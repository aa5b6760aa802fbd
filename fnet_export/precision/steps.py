"""Places of a model: the steps that its graph is walked in, and the checkpoint's name of what a node computes."""

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import nn

from fnet_core.checkpoint.huggingface import in_whole_model, module_names
from fnet_core.config import FOURIER, FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import Task
from fnet_export.base.errors import GraphError, OptionError
from fnet_export.graph.names import module_of_node

EMBEDDINGS, HEAD = "embeddings", "head"
ACTIVATIONS = ("Gelu", "Relu", "Sigmoid", "Erf", "Tanh")
NODE = "node_"
"""What torch.onnx calls a node by, without the name of a module where it notes none."""
BLOCK = re.compile(r"encoder\.blocks\.(\d+)(?:\.(mixing|residual))?")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a graph computes between two places that the trained model has as well: the embeddings, one block, or the head.

    `block` is the number of the block, None for the others; `source` is the value that comes in, None for the graph's inputs alone.
    """

    title: str
    block: int | None
    source: str | None
    outputs: tuple[str, ...]


def steps_from_graph(graph: ir.Model, config: FNetConfig) -> list[Step]:
    """Cut a graph by the module names of its nodes. Raises GraphError if it has no module names."""
    last = {module_of_node(node): str(node.outputs[0].name) for node in graph.graph}
    ends = ["encoder.embeddings.projection", *(f"encoder.blocks.{i}.output_norm" for i in range(config.num_hidden_layers))]
    for module in ends:
        if module not in last:
            raise GraphError(f"no node of the graph is named after {module}: it is not as fnet-export makes them; export again")
    steps = [Step(title="fnet.embeddings", block=None, source=None, outputs=(last[ends[0]],))]
    for index, (before, after) in enumerate(itertools.pairwise(ends)):
        title = f"fnet.encoder.layer.{index}"
        steps.append(Step(title=title, block=index, source=last[before], outputs=(last[after],)))
    outputs = tuple(str(value.name) for value in graph.graph.outputs)
    return [*steps, Step(title=HEAD, block=None, source=last[ends[-1]], outputs=outputs)]


def module_of_place(node: ir.Node, step: Step, config: FNetConfig, task: Task) -> str:
    """Return the checkpoint's name of what a node computes, as in `fnet.encoder.layer.1.output.dense`.

    A module without weights has no name there, and gets transformers' own name.
    """
    keys = {name: key for key, name in module_names(config, task).items()}
    scope = module_of_node(node) or _scope(step)
    if scope in keys:
        return _whole(keys[scope])
    if scope == "encoder.embeddings" and any(value is not None and value.is_initializer() for value in node.inputs):
        return _whole("embeddings.position_embeddings")  # the one constant that the sum itself has
    block = BLOCK.fullmatch(scope)
    if block is not None:
        layer = f"encoder.layer.{block[1]}"
        if node.op_type in ACTIVATIONS:
            return _whole(f"{layer}.intermediate.intermediate_act_fn")
        mixes = block[2] == "mixing" or (not module_of_node(node) and _leads_to_norm(node, f"{scope}.mixing_norm"))
        if mixes and config.mixings[int(block[1])] == FOURIER:
            return _whole(f"{layer}.fourier.self")
    return _common([key for name, key in keys.items() if name.startswith(f"{scope}.")]) or step.title


def places_from_graph(graph: ir.Model, config: FNetConfig, task: Task) -> dict[str, str]:
    """Return the checkpoint's name of what each node of a graph computes, by the names of the node and of its outputs.

    Raises GraphError if the graph has no module names.
    """
    places: dict[str, str] = {}
    outputs = {str(value.name): node for node in graph.graph for value in node.outputs}
    for step in steps_from_graph(graph, config):
        waiting = [outputs[name] for name in step.outputs if name in outputs]
        while waiting:
            node = waiting.pop()
            if str(node.name) not in places:
                names = (str(node.name), *(str(value.name) for value in node.outputs if value.name))
                places |= dict.fromkeys(names, module_of_place(node, step, config, task))
                waiting += node.predecessors()
    return places


def module_of_name(name: str, config: FNetConfig, task: Task) -> str:
    """Return our name of a module or layer that the checkpoint names, as in `fnet.encoder.layer.1`; other names as they are."""
    bare = name.removeprefix("fnet.")
    layer = re.fullmatch(r"encoder\.layer\.(\d+)(\.fourier\.self)?", bare)
    if layer:
        return f"encoder.blocks.{layer[1]}{'.mixing' if layer[2] else ''}"
    groups = {"fnet.embeddings": "encoder.embeddings", "fnet.encoder": "encoder.blocks"}
    return groups.get(name) or module_names(config, task).get(bare, name)


def check_names(names: Iterable[str], config: FNetConfig, task: Task) -> None:
    """Check names of modules, layers and nodes before a graph is there: the module of each has to be one of the model.

    Which nodes a module has, and which nodes belong to no module, is known only of the traced graph. Raises OptionError.
    """
    with torch.device("meta"):
        every = FNet(config, task, transform="fft").named_modules(remove_duplicate=False)
        modules = {name for name, module in every if name and not isinstance(module, nn.Dropout)}
    for name in names:
        module, slash, _ = module_of_name(name, config, task).partition("/")
        if module not in modules and (slash or not module.startswith(NODE)):
            known = [*map(_whole, module_names(config, task)), *modules]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "expected a name such as fnet.encoder.layer.0.output.dense."
            raise OptionError(
                f"--keep-float32: no node or module of the model is named {name!r}; {hint} fnet-export bisect names them"
            )


def _whole(key: str) -> str:
    return in_whole_model(f"{key}.").removesuffix(".")


def _scope(step: Step) -> str:
    """The module of a node that the tracer gave none: that of its step."""
    if step.block is not None:
        return f"encoder.blocks.{step.block}"
    return "encoder.embeddings" if step.source is None else HEAD


def _leads_to_norm(node: ir.Node, module: str) -> bool:
    """Return whether what a node makes is read, through whatever else, by the first node of a module, and no module before it."""
    waiting, seen = [node], set()
    while waiting:
        for reader in waiting.pop().successors():
            if module_of_node(reader) == module:
                return True
            if reader not in seen and not module_of_node(reader).endswith(("norm", "output", "intermediate")):
                seen.add(reader)
                waiting.append(reader)
    return False


def _common(keys: list[str]) -> str:
    """What several names begin with, in whole words."""
    if not keys:
        return ""
    parts = [key.split(".") for key in keys]
    count = next((i for i, words in enumerate(zip(*parts, strict=False)) if len(set(words)) > 1), min(map(len, parts)))
    return _whole(".".join(parts[0][:count])) if count else ""
