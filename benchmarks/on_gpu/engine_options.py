"""What each option of a TensorRT build does on this card: yes or no, in the library's own words, on a small model."""

from itertools import pairwise

from fnet_runtime.bundle.manifest import AMPERE_PLUS, AxisProfile
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.tokenizer.encoding import NONE, Padding

from fnet_export.graph.tensors import tensors_from_task
from on_gpu.engines import answer, runtime_name, small_engine_in_words
from on_gpu.graphs import fnet_graphs
from on_gpu.models import fnet
from on_gpu.scale import ANY_LENGTH


def option_answers(scale, library, scratch):
    """Build, open and run a small engine with each option; give an answer for each."""
    runtime, place = {"library": runtime_name(scale, library)}, scratch / f"options-{library}"
    model = fnet(scale.small, scale.small["max_position_embeddings"])
    graph = dict(fnet_graphs(model, "dft", ("fp32",), place / "graph"))["fp32"]
    questions = {
        "optimization level 0": BuildOptions(optimization_level=0),
        "optimization level 5": BuildOptions(optimization_level=5),
        "weight-stripped, with the weights filled in when it opens": BuildOptions(weight_stripped=True),
        "a timing cache, written": BuildOptions(timing_cache=scratch / f"times-{library}"),
        "a timing cache, read": BuildOptions(timing_cache=scratch / f"times-{library}"),
        "version-compatible": BuildOptions(version_compatible=True),
        "hardware-compatible, ampere-plus": BuildOptions(hardware_compatibility=AMPERE_PLUS),
        "a workspace of 64 MiB": BuildOptions(workspace_mib=64),
    }
    for number, (question, options) in enumerate(questions.items()):
        folder = place / str(number)
        yield runtime | answer(
            question, lambda f=folder, o=options: small_engine_in_words(scale, library, model, graph, f, options=o)
        )
    yield runtime | answer(
        "a CUDA graph", lambda: small_engine_in_words(scale, library, model, graph, place / "cuda-graph", cuda_graph=True)
    )
    yield runtime | answer("three length profiles, padding none", lambda: _several_lengths(scale, library, model, place))


def _several_lengths(scale, library, model, place):
    """Build an engine for texts at their own length with three profiles, and run a text of each."""
    longest = model.sequence_length
    bounds = [0, longest // 4, longest // 2, longest]
    lengths = tuple(AxisProfile(min=low + 1, opt=high, max=high) for low, high in pairwise(bounds))
    graph = dict(fnet_graphs(model, ANY_LENGTH, ("fp32",), place / "any-length-graph"))["fp32"]
    inputs = tensors_from_task(model.task, model.config, Padding(longest, contract=NONE))[0]
    return small_engine_in_words(scale, library, model, graph, place / "lengths", lengths=lengths, inputs=inputs)
