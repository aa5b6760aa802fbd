"""fnet-base sized encoders side by side: ours and what one would otherwise deploy, at the same precision (fp32), on random weights.

Each subject is built once, then opened in a process of its own; the processes take turns, another one first each round, so that a
noisy machine is noisy to all. A turn is a pause, a pass to warm the caches when passes are short, and a pass that is timed: medians
and quartiles of its milliseconds. Memory is the peak of the process that opens and runs, over what it held with the libraries
imported. Cases are added to those that were measured before on this host.

    python benchmarks/peers.py [--lengths 128 512 2048 4096] [--batches 1 8] [--threads 1 2] [--rounds 9] [--subjects NAME ...]
"""

import argparse
import importlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
VOCAB, HIDDEN, LAYERS, INTERMEDIATE, LABELS = 32_000, 768, 12, 3072, 2
POSITIONS = 16
WARM_BELOW_MS = 2000
PAUSE_S = 0.3
"""Between two turns: a library's threads spin for a while after a pass, and would take the next subject's cores."""
LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino", "onnx")

Run = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Case:
    length: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Subject:
    """`build` writes a file (or none) in a process of its own; `open` returns what takes int64[batch, length] ids.

    `imports` are the modules that `open` needs.
    """

    build: Callable[[Path, Case], None]
    open: Callable[[Path, Case], Run]
    imports: tuple[str, ...]


# ---- ours


def our_config(length):
    from fnet_core.config import FNetConfig

    return FNetConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=length,
        labels=("a", "b"),
    )


def build_ours(task_name, mixing="auto", positions=None):
    def build(path, case):
        import torch

        from fnet_core.fnet import FNet
        from fnet_core.tasks import TASKS, task_at_positions
        from fnet_export.bundle import write_graph
        from fnet_export.choice import choice_from_name
        from fnet_export.lower import LoweredFNet, lowered_from_model
        from fnet_export.optimize import optimized_from_graph
        from fnet_export.trace import graph_from_model

        config = our_config(case.length)
        task = TASKS[task_name] if positions is None else task_at_positions(TASKS[task_name], positions)
        torch.manual_seed(0)
        model = FNet(config, TASKS[task_name], sequence_length=case.length).eval()
        if mixing == "none":
            lowered = LoweredFNet(model, no_mixing(case.length), task, widen=True).eval()
        else:
            name = choice_from_name(mixing, target="onnx", sequence_length=case.length, config=config).name
            lowered = lowered_from_model(model, name, task, widen=True)
        write_graph(optimized_from_graph(graph_from_model(lowered)), path)

    return build


def no_mixing(length):
    """The floor: x instead of its transform."""
    from fnet_core.mixing import Mixing

    class NoMixing(Mixing):
        def forward(self, x):
            return x

        def first(self, x):
            return x[:, 0]

    return NoMixing(length, HIDDEN)


def open_ours(positions=None):
    def opened(path, case):
        from fnet_runtime.manifest import TensorInfo
        from fnet_runtime.ort_session import OrtSession

        axes = {"input_ids": case.length, "token_type_ids": case.length}
        axes |= {} if positions is None else {"masked_lm_positions": positions}
        inputs = [TensorInfo(name=name, dtype="int64", axes=("batch_size", n)) for name, n in axes.items()]
        session = OrtSession(path, inputs, threads=case.threads)
        return lambda ids: session.run({name: ids if name == "input_ids" else ids[:, :n] * 0 for name, n in axes.items()})

    return opened


# ---- what one would otherwise do


def transformers_model(kind, length):
    import torch
    import transformers

    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "intermediate_size": INTERMEDIATE,
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


def build_onnx(kind):
    def build(path, case):
        import torch

        names = ["input_ids", "token_type_ids"]
        program = torch.onnx.export(
            logits_module(transformers_model(kind, case.length)),
            example(case),
            dynamo=True,
            input_names=names,
            output_names=["logits"],
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


OURS, TORCH, ORT, OPENVINO = ("fnet_runtime.ort_session",), ("torch", "transformers"), ("onnxruntime",), ("openvino",)
SUBJECTS = {
    "ours": Subject(build_ours("sequence-classification"), open_ours(), OURS),
    "ours, mixing removed (floor)": Subject(build_ours("sequence-classification", "none"), open_ours(), OURS),
    "ours, dft": Subject(build_ours("sequence-classification", "dft"), open_ours(), OURS),
    "ours, encoder alone": Subject(build_ours("question-answering"), open_ours(), OURS),
    "ours, masked-lm at 16 positions": Subject(build_ours("masked-lm", positions=POSITIONS), open_ours(POSITIONS), OURS),
    "transformers FNet, eager": Subject(nothing, open_torch("FNet", compiled=False), TORCH),
    "transformers FNet, torch.compile": Subject(nothing, open_torch("FNet", compiled=True), TORCH),
    "transformers FNet, torch.onnx (DFT) in ONNX Runtime": Subject(build_onnx("FNet"), open_onnxruntime, ORT),
    "transformers FNet, OpenVINO": Subject(build_openvino, open_openvino, OPENVINO),
    "transformers BERT, eager": Subject(nothing, open_torch("Bert", compiled=False), TORCH),
    "transformers BERT, ONNX Runtime": Subject(build_onnx("Bert"), open_onnxruntime, ORT),
}


# ---- processes


def model_path(folder, name, case):
    stem = "".join(c if c.isalnum() else "-" for c in name)
    return Path(folder) / f"{stem}-{case.length}-{case.batch}" / ("model.xml" if "OpenVINO" in name else "model.onnx")


def worker(action, name, folder, case):
    """What a process of one subject does: build, or open and run once for every line it is sent."""
    path = model_path(folder, name, case)
    path.parent.mkdir(parents=True, exist_ok=True)
    if action == "build":
        SUBJECTS[name].build(path, case)
        return
    for module in SUBJECTS[name].imports:
        importlib.import_module(module)
    imported_bytes = peak_bytes()
    run = SUBJECTS[name].open(path, case)
    ids = np.random.default_rng(0).integers(7, VOCAB, (case.batch, case.length))

    def passed_ms():
        start = time.perf_counter()
        run(ids)
        return 1e3 * (time.perf_counter() - start)

    passed_ms()
    last_ms = passed_ms()
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    print(json.dumps({"file_bytes": size}), flush=True)
    for _ in sys.stdin:
        if last_ms < WARM_BELOW_MS:
            passed_ms()
        last_ms = passed_ms()
        print(json.dumps({"ms": last_ms}), flush=True)
    print(json.dumps({"peak_bytes": peak_bytes() - imported_bytes}), flush=True)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def started(action, name, folder, case):
    arguments = [str(n) for n in (case.length, case.batch, case.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(case.threads), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", action, name, str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if action == "build" else subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )


def line(process):
    while text := process.stdout.readline():
        if text.startswith("{"):
            return json.loads(text)
    return None


def asked(process):
    """Have a process run once; None when it has ended, for want of memory mostly."""
    try:
        process.stdin.write("run\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return line(process)


def measured(case, names, rounds, folder):
    """Build what is missing, open everything, take turns; one result by name, with a reason where there is no time."""
    results, opened = {}, {}
    for name in names:
        path = model_path(folder, name, case)
        if not path.parent.exists():
            process = started("build", name, folder, case)
            _, said = process.communicate()
            if process.returncode:
                reason = (said.strip().splitlines() or [f"exit {process.returncode}"])[-1]
                results[name] = {"failed": f"cannot be built: {reason[:300]}"}
                shutil.rmtree(path.parent, ignore_errors=True)
                continue
        process = started("run", name, folder, case)
        ready = line(process)
        if ready is None:
            results[name] = {"failed": f"cannot be run (exit {process.wait()})"}
            continue
        opened[name], results[name] = process, ready | {"ms": []}
        print(f"  {name}: opened", file=sys.stderr)
    for turn in range(rounds):
        names = list(opened)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            process = opened[name]
            time.sleep(PAUSE_S)
            if (answer := asked(process)) is None:
                results[name] = {"failed": f"ended while running (exit {process.wait()})"}
                del opened[name]
            else:
                results[name]["ms"].append(answer["ms"])
    for name, process in opened.items():
        process.stdin.close()
        results[name] |= line(process)
        process.wait()
    for result in results.values():
        if "ms" in result:
            low, median, high = statistics.quantiles(result["ms"], n=4)
            result |= {"median_ms": median, "quartiles_ms": [low, high]}
    return results


# ---- results


def host():
    cpu = next((x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), "?")
    flags = Path("/proc/cpuinfo").read_text()
    simd = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return {"cpu": cpu, "simd": simd, "cores": os.cpu_count(), "python": platform.python_version()} | {
        name: version(name) for name in LIBRARIES
    }


def report_from_file(path, host):
    """What was measured before on this host, to add cases to; else a report without cases."""
    before = json.loads(path.read_text()) if path.exists() else {}
    return before if before.get("host") == host else {"host": host, "cases": []}


def table(report):
    lines = [f"# Peers\n\n{', '.join(f'{k} {v}' for k, v in report['host'].items())}; fp32, interleaved.\n"]
    for case in report["cases"]:
        lines.append(f"\n## {case['length']} tokens, batch {case['batch']}, {case['threads']} threads, {case['rounds']} rounds\n")
        lines.append("| subject | median ms | quartiles | x ours | peak MB | files MB |\n|---|---|---|---|---|---|")
        ours = case["results"].get("ours", {}).get("median_ms")
        for name, r in case["results"].items():
            if "failed" in r:
                lines.append(f"| {name} | {r['failed']} | | | | |")
                continue
            low, high = r["quartiles_ms"]
            ratio = f"{r['median_ms'] / ours:.2f}" if ours else ""
            sizes = f"{r['peak_bytes'] / 1e6:.0f} | {r['file_bytes'] / 1e6:.0f}"
            lines.append(f"| {name} | {r['median_ms']:.1f} | {low:.1f} to {high:.1f} | {ratio} | {sizes} |")
    return "\n".join(lines) + "\n"


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


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        action, name, folder, *numbers = sys.argv[2:]
        worker(action, name, folder, Case(*map(int, numbers)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048, 4096])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--output", default="peers", help="name of the files under benchmarks/results")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    report = report_from_file(RESULTS / f"{options.output}.json", host())
    for length in options.lengths:
        for batch in options.batches:
            with tempfile.TemporaryDirectory() as folder:
                for threads in options.threads:
                    case = Case(length, batch, threads)
                    print(case, file=sys.stderr)
                    found = vars(case) | {
                        "rounds": options.rounds,
                        "results": measured(case, options.subjects, options.rounds, folder),
                    }
                    others = [c for c in report["cases"] if any(c[key] != value for key, value in vars(case).items())]
                    report["cases"] = sorted([*others, found], key=lambda c: (c["length"], c["batch"], c["threads"]))
                    (RESULTS / f"{options.output}.json").write_text(json.dumps(report, indent=1) + "\n")
                    (RESULTS / f"{options.output}.md").write_text(table(report))
    chart(report, RESULTS / f"{options.output}.svg")
    print(table(report))


if __name__ == "__main__":
    main()
