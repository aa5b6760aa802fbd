"""What bisect works on: graphs of tiny checkpoints, damaged or not, without a whole bundle around them."""

from fnet_runtime.bundle.manifest import CALIBRATED, MODEL
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY
from support.exports import options_from

from fnet_export.graph.file import write_graph
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.graph.trained import fnet_from_trained
from fnet_export.parity.bisect.bisection import subject_from_bundle
from fnet_export.plan.graphs import lowered_from_plan
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.precision.half import HALVES, half_from_graph
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph
from fnet_export.texts.samples import samples_from_texts

TEXTS = ["the quick fox\n\njumps", "a dog", "the lazy dog jumps over the quick brown fox " * 4, ""]


def samples_of(subject):
    return samples_from_texts(subject.task, Tokenizer.from_file(VOCABULARY), TEXTS, padding=Padding(LENGTH), choices=2)


def plan_of(checkpoint, *, task="sequence-classification", precision="fp32", target=None, **options):
    target = target or ("tensorrt-rtx" if precision in (*HALVES, "fp8") else "onnx")
    return plan_from_options(
        options_from(task=task, target=target, model=str(checkpoint), output=checkpoint / "b", precision=precision, **options)
    )


def graph_of(plan):
    graph = graph_from_model(lowered_from_plan(plan), opset=plan.options.graph.opset)
    return optimized_from_graph(graph) if plan.options.graph.simplify else graph


def subject_of(folder, checkpoint, damage=lambda graph: graph, **options):
    """What bisect works on, of a bundle that holds a graph and nothing else."""
    plan = plan_of(checkpoint, **options)
    graph, precision = graph_of(plan), plan.options.graph.precision
    if precision in HALVES:
        graph = half_from_graph(graph, precision)
    elif precision in CALIBRATED:
        layers = layers_from_model(fnet_from_trained(plan.trained))
        bounds = {product.activation.name: 8.0 for product in products_from_graph(graph, layers)}
        graph = quantised_from_graph(graph, precision, bounds, layers, target=plan.options.engine.target)
    write_graph(damage(graph), folder / MODEL)
    return subject_from_bundle(folder, manifest_from_plan(plan), plan.trained.checkpoint)
