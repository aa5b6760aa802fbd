"""Times of the base model in ONNX Runtime: our graphs of both padding contracts, and BERT next to them."""

from on_gpu.bert import FUSED
from on_gpu.builders import GraphSet, any_length, is_path
from on_gpu.clock import timed_ms
from on_gpu.graphs import FFT, HALF_NORM, TRANSFORMS
from on_gpu.models import random_ids
from on_gpu.operations import flops_of_case, measured
from on_gpu.scale import ANY_LENGTH, FEW_BATCHES
from on_gpu.sessions import DeviceSession
from on_gpu.step import reason_of

SUBJECTS = (
    *(("FNet", "dft"), ("BERT", FUSED), ("FNet", HALF_NORM), ("BERT", None)),
    *(("FNet", name) for name in TRANSFORMS if name != "dft"),
)
AS_CUDA_GRAPH = SUBJECTS[:3]


def onnxruntime_times(scale, length, builders, all_run_as):
    """Time every graph of one length in ONNX Runtime, by precision, transform and batch. TF32 runs the graph of float32."""
    for run_as in all_run_as:
        precision = "fp32" if run_as == "tf32" else run_as
        for model, transform in SUBJECTS:
            wanted = GraphSet(model=model, length=length, transform=transform)
            if precision not in wanted.precisions or (transform == HALF_NORM and length != scale.lengths[0]):
                continue
            path = builders.path(wanted, precision)
            subject = {"subject": f"{model}, ONNX Runtime", "transform": transform, "precision": run_as, "tokens": length}
            yield from _session_times(scale, path, subject, run_as, scale.batches)
            if run_as == "fp16" and (model, transform) in AS_CUDA_GRAPH:
                yield from _graph_times(scale, path, subject)
    if "fp32" in all_run_as and length == scale.lengths[0]:
        path = builders.path(GraphSet(length=length, transform=FFT), "fp32")
        subject = {"subject": "FNet, ONNX Runtime", "transform": FFT, "precision": "fp32", "tokens": length}
        yield from _session_times(scale, path, subject, "fp32", [min(scale.batches)])


def any_length_times(scale, builders):
    """Time the graph for texts at their own length, at each length, where the padded graphs of that length are timed too."""
    for run_as in ("fp16", "fp32"):
        for length in scale.lengths:
            subject = {"subject": "FNet, ONNX Runtime", "transform": ANY_LENGTH, "precision": run_as, "tokens": length}
            path = builders.path(any_length(scale), run_as)
            yield from _session_times(scale, path, subject, run_as, scale.batches[:FEW_BATCHES])


def _session_times(scale, path, subject, run_as, batches):
    """Time one graph at some batches; what fails gives its reason and leaves the rest alone."""
    if not is_path(path):
        yield subject | {"reason": path}
        return
    flops = flops_of_case(scale, path, subject)
    try:
        session = DeviceSession(path, scale, tf32=run_as == "tf32", strict=subject["transform"] == HALF_NORM)
    except Exception as error:
        yield subject | {"reason": reason_of(error)}
        return
    for batch in batches:
        try:
            run = session.bound(random_ids(scale, subject["tokens"], batch))
            yield measured(subject, batch, timed_ms(run, scale), flops)
        except Exception as error:
            yield subject | {"batch": batch, "reason": reason_of(error)}


def _graph_times(scale, path, subject):
    """Time one graph as a CUDA graph, which has one shape, so that each batch has a session of its own."""
    if not is_path(path):
        return
    subject = subject | {"subject": f"{subject['subject']}, CUDA graph"}
    for batch in scale.batches[:FEW_BATCHES]:
        ids = random_ids(scale, subject["tokens"], batch)
        try:
            run = DeviceSession(path, scale, cuda_graph=True, strict=subject["transform"] == HALF_NORM).bound(ids, in_place=True)
            yield measured(subject, batch, timed_ms(run, scale), flops_of_case(scale, path, subject))
        except Exception as error:
            yield subject | {"batch": batch, "reason": reason_of(error)}
