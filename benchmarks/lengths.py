"""fnet-base sized classifiers on texts of several lengths: each at its own length, and padded to 512, on random weights.

How they are measured is said in turns.py. Length 0 stands for built-in e-mails at their own lengths, of at most 512 tokens. One
pass answers 40 of them, or all 200 where a batch has several. A batch holds e-mails of one length, so few batches are full.

    python benchmarks/lengths.py [--lengths 0 16 32 64 128 256 512] [--batches 1] [--threads 2] [--rounds 9] [--subjects NAME ...]
"""

from dataclasses import replace

import numpy as np
from bert import build_bert, build_bert_int8, open_bert_int8
from peers import (
    ORT,
    OURS,
    TORCH,
    build_ours,
    nothing,
    open_onnxruntime,
    open_ours,
    open_torch,
    our_config,
)
from precision import LONGEST, build_int8
from turns import Benchmark, Subject, main, random_ids

SOME_EMAILS = 40


def build_any_length(path, case):
    import torch

    from fnet_core.fnet import FNet
    from fnet_core.tasks import TASKS
    from fnet_export.graph.file import write_graph
    from fnet_export.graph.lower import any_length_from_model
    from fnet_export.graph.optimize import optimized_from_graph
    from fnet_export.graph.trace import graph_from_model

    torch.manual_seed(0)
    model = FNet(our_config(LONGEST), TASKS["sequence-classification"], sequence_length=LONGEST).eval()
    write_graph(optimized_from_graph(graph_from_model(any_length_from_model(model, widen=True))), path)


def open_any_length(path, case):
    from fnet_runtime.bundle.manifest import SEQUENCE, TensorInfo
    from fnet_runtime.sessions.ort_session import OrtSession

    inputs = [TensorInfo(name=name, dtype="int64", axes=("batch_size", SEQUENCE)) for name in ("input_ids", "token_type_ids")]
    session = OrtSession(path, inputs, threads=case.threads)
    return lambda ids: session.run({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})


def padded(build, opened):
    """What is built for and opened at the longest length, and gets every text padded to it."""

    def open_padded(path, case):
        run = opened(path, replace(case, length=LONGEST))
        return lambda ids: run(np.pad(ids, ((0, 0), (0, LONGEST - ids.shape[1])), constant_values=3))

    return Subject(lambda path, case: build(path, replace(case, length=LONGEST)), open_padded, OURS, every_length=True)


def at_any_length(build, opened, imports):
    """A graph with open axes in ONNX Runtime."""
    return Subject(lambda path, case: build(path, replace(case, length=LONGEST)), opened, imports, every_length=True)


def open_eager(path, case):
    return open_torch("FNet", compiled=False)(path, replace(case, length=LONGEST))


SUBJECTS = {
    "ours": Subject(build_any_length, open_any_length, OURS, every_length=True),
    "ours, a graph of this length": Subject(build_ours(), open_ours(), OURS, one_length=True),
    "ours, padded to 512": padded(build_ours(), open_ours()),
    "ours, int8": Subject(build_int8("onnx", any_length=True), open_any_length, OURS, every_length=True),
    "ours, int8, padded to 512": padded(build_int8("onnx"), open_ours()),
    "transformers FNet, eager": Subject(nothing, open_eager, TORCH),
    "transformers BERT, ONNX Runtime": at_any_length(build_bert(open_axes=True), open_onnxruntime, ORT),
    "transformers BERT, ONNX Runtime, int8": at_any_length(build_bert_int8("onnx"), open_bert_int8, OURS),
}


def inputs(case):
    """Random ids of one length; for length 0, e-mails in batches of one length."""
    if case.length:
        return [random_ids(case)]
    from fnet_runtime.tokenizer.encoding import NONE, Padding
    from fnet_runtime.tokenizer.tokenizer import Tokenizer

    from fnet_core.checkpoint.open import BUILT_IN
    from fnet_export.texts.emails import emails
    from fnet_export.texts.samples import spread

    tokenizer = Tokenizer.from_file(BUILT_IN / "spiece.model")
    texts = spread(emails(), SOME_EMAILS) if case.batch == 1 else emails()
    rows = [tokenizer.encode(text, padding=Padding(LONGEST, NONE)).input_ids for text in texts]
    by_length = {}
    for row in rows:
        by_length.setdefault(len(row), []).append(row)
    return [
        np.stack(alike[start : start + case.batch]) for alike in by_length.values() for start in range(0, len(alike), case.batch)
    ]


def chart(report, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 5))
    cases = [case for case in report["cases"] if case["length"] and case["batch"] == 1]
    for name in SUBJECTS:
        points = [(case["length"], case["results"][name]) for case in cases if "median_ms" in case["results"].get(name, {})]
        if points:
            axis.plot([length for length, _ in points], [result["median_ms"] for _, result in points], marker="o", label=name)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("tokens of the text")
    axis.set_ylabel("ms (median)")
    axis.set_title("One text, fnet-base size", fontsize=10)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    lengths = (0, 16, 32, 64, 128, 256, 512)
    main(Benchmark(name="lengths", subjects=SUBJECTS, lengths=lengths, batches=(1,), threads=(2,), chart=chart, inputs=inputs))
