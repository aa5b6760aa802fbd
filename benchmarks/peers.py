"""fnet-base sized encoders side by side: ours and what one would otherwise deploy, at the same precision (fp32), on random weights.

How they are measured is said in turns.py.

    python benchmarks/peers.py [--lengths 128 512 2048 4096 8192] [--batches 1 8] [--threads 1 2] [--rounds 9] [--subjects NAME ...]
"""

import numpy as np
from fnet_runtime.tokenizer.encoding import Padding
from turns import Benchmark, Subject, main

VOCAB, HIDDEN, LAYERS, INTERMEDIATE, LABELS = 32_000, 768, 12, 3072, 2
POSITIONS = 16

# ---- ours


def our_config(length, **variant):
    from fnet_core.config import FNetConfig

    return FNetConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=length,
        labels=("a", "b"),
        **variant,
    )


def build_ours(task_name="sequence-classification", transform="auto", positions=None, variant=None, widen=True):
    def build(path, case):
        import torch

        from fnet_core.fnet import FNet
        from fnet_core.tasks import TASKS, task_at_positions
        from fnet_export.graph.file import write_graph
        from fnet_export.graph.lower import lowered_from_model
        from fnet_export.graph.optimize import optimized_from_graph
        from fnet_export.graph.trace import graph_from_model
        from fnet_export.plan.transform_choice import choice_from_name

        config = our_config(case.length, **(variant or {}))
        task = TASKS[task_name] if positions is None else task_at_positions(TASKS[task_name], positions)
        torch.manual_seed(0)
        model = FNet(config, TASKS[task_name], sequence_length=case.length).eval()
        name = choice_from_name(transform, target="onnx", padding=Padding(case.length), config=config).name
        lowered = lowered_from_model(model, name, task, widen=widen)
        write_graph(optimized_from_graph(graph_from_model(lowered)), path)

    return build


def open_ours(positions=None, *, attends=False):
    def opened(path, case):
        from fnet_runtime.bundle.manifest import TensorInfo
        from fnet_runtime.sessions.ort_session import OrtSession

        fed = {"input_ids": lambda ids: ids, "token_type_ids": np.zeros_like}
        fed |= {"attention_mask": np.ones_like} if attends else {}
        fed |= {} if positions is None else {"masked_lm_positions": lambda ids: np.zeros_like(ids[:, :positions])}
        lengths = {name: positions if name == "masked_lm_positions" else case.length for name in fed}
        inputs = [TensorInfo(name=name, dtype="int64", axes=("batch_size", n)) for name, n in lengths.items()]
        session = OrtSession(path, inputs, threads=case.threads)
        return lambda ids: session.run({name: made(ids) for name, made in fed.items()})

    return opened


# ---- what one would otherwise do


def transformers_model(kind, length, *, vocabulary=VOCAB, hidden=HIDDEN, layers=LAYERS, intermediate=INTERMEDIATE):
    import torch
    import transformers

    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": intermediate,
        "max_position_embeddings": length,
        "num_labels": LABELS,
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**sizes)
    return getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()


def logits_module(model):
    """A transformers model as a module from (ids, types) to logits."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, token_type_ids):
            return self.model(input_ids=input_ids, token_type_ids=token_type_ids).logits

    return Logits().eval()


def example(case):
    import torch

    return tuple(torch.zeros((case.batch, case.length), dtype=torch.int64) for _ in range(2))


def nothing(path, case):
    """Build nothing: opened from its configuration."""


def open_torch(kind, *, compiled):
    def opened(path, case):
        import torch

        torch.set_num_threads(case.threads)
        model = logits_module(transformers_model(kind, case.length))
        model = torch.compile(model) if compiled else model

        def run(ids):
            with torch.inference_mode():
                return model(torch.from_numpy(ids), torch.zeros(ids.shape, dtype=torch.int64))

        return run

    return opened


def build_onnx(kind, *, open_axes=False):
    def build(path, case):
        import torch

        names = ["input_ids", "token_type_ids"]
        axes = {0: torch.export.Dim("batch_size"), 1: torch.export.Dim("sequence_length", max=case.length)}
        given = tuple(torch.zeros((2, 5), dtype=torch.int64) for _ in names) if open_axes else example(case)
        program = torch.onnx.export(
            logits_module(transformers_model(kind, case.length)),
            given,
            dynamo=True,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=tuple(axes for _ in names) if open_axes else None,
        )
        program.save(str(path))

    return build


def open_onnxruntime(path, case):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda ids: session.run(None, {name: ids if name == "input_ids" else ids * 0 for name in names})


def build_openvino(path, case):
    import openvino

    model = openvino.convert_model(logits_module(transformers_model("FNet", case.length)), example_input=example(case))
    openvino.save_model(model, path, compress_to_fp16=False)


def open_openvino(path, case):
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": case.threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    return lambda ids: compiled([ids, ids * 0])


OURS, TORCH, ORT, OPENVINO = ("fnet_runtime.sessions.ort_session",), ("torch", "transformers"), ("onnxruntime",), ("openvino",)
SUBJECTS = {
    "ours": Subject(build_ours(), open_ours(), OURS),
    "ours, mixing removed (floor)": Subject(build_ours(variant={"mixing": "identity"}), open_ours(), OURS),
    "ours, dft": Subject(build_ours(transform="dft"), open_ours(), OURS),
    "ours, encoder alone": Subject(build_ours("question-answering"), open_ours(), OURS),
    "ours, masked-lm at 16 positions": Subject(build_ours("masked-lm", positions=POSITIONS), open_ours(POSITIONS), OURS),
    "transformers FNet, eager": Subject(nothing, open_torch("FNet", compiled=False), TORCH),
    "transformers FNet, torch.compile": Subject(nothing, open_torch("FNet", compiled=True), TORCH),
    "transformers FNet, torch.onnx (DFT) in ONNX Runtime": Subject(build_onnx("FNet"), open_onnxruntime, ORT),
    "transformers FNet, OpenVINO": Subject(build_openvino, open_openvino, OPENVINO),
    "transformers BERT, eager": Subject(nothing, open_torch("Bert", compiled=False), TORCH),
    "transformers BERT, ONNX Runtime": Subject(build_onnx("Bert"), open_onnxruntime, ORT),
}


def chart(report, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = [c for c in report["cases"] if any("median_ms" in r for r in c["results"].values())]
    figure, axes = pyplot.subplots(len(cases), 1, figsize=(9, 0.5 + 3.2 * len(cases)), squeeze=False)
    for axis, case in zip(axes[:, 0], cases, strict=True):
        found = {name: r for name, r in case["results"].items() if "median_ms" in r}
        medians = [r["median_ms"] for r in found.values()]
        spread = np.array(
            [[m - r["quartiles_ms"][0], r["quartiles_ms"][1] - m] for m, r in zip(medians, found.values(), strict=True)]
        )
        axis.barh(
            list(found), medians, xerr=np.maximum(spread.T, 0), color=["#1b7" if n.startswith("ours") else "#999" for n in found]
        )
        axis.invert_yaxis()
        axis.set_xlabel("ms (median, quartiles)")
        axis.set_title(f"{case['length']} tokens, batch {case['batch']}, {case['threads']} threads", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main(
        Benchmark(
            name="peers", subjects=SUBJECTS, lengths=(128, 512, 2048, 4096, 8192), batches=(1, 8), threads=(1, 2), chart=chart
        )
    )
