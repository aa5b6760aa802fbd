"""A quarter of an hour on a GPU, used well: does it run, is it right, how fast is it. CONTRIBUTING.md says how to start it.

Steps run in order of worth, each in a process of its own with a budget, eight minutes in all. The JSON file is written again after
every result. `--rehearse` runs every step at toy size on a CPU; `--report` turns a JSON file into benchmarks/results/gpu.md.

    python benchmarks/gpu.py --wheels FOLDER --output FILE.json [--rehearse]
    python benchmarks/gpu.py --report FILE.json
"""

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "runtimes" / "python")]

from on_gpu.report import table, write_markdown  # noqa: E402  the path comes first
from on_gpu.wheels import put_first, unpacked_wheels  # noqa: E402

TOTAL_S = 470.0
LEAST_S = 3.0
"""Less is not worth starting a step."""
LIBRARIES = (
    "torch",
    "triton",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt-rtx-cu13",
    "transformers",
    "numpy",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="the folder of parts that scripts/gpu_wheels.sh made")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes on the CPU")
    parser.add_argument("--report", type=Path, help="a JSON file to turn into benchmarks/results/gpu.md")
    options = parser.parse_args()
    if options.report is not None:
        write_markdown(json.loads(options.report.read_text()))
        return
    if options.output is None:
        parser.error("--output: expected the JSON file to write, or --report with the file to read")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fnet-gpu-") as scratch:
        site = Path(scratch) / "site"
        site.mkdir()
        wheels = unpacked_wheels(options.wheels, site) if options.wheels is not None else {}
        put_first(site)
        report = run(Path(scratch), wheels, options, start)
    print("\n".join(table(report)))


def run(scratch, wheels, options, start):
    """Run the steps one after the other while there is time, and return the report."""
    import torch  # noqa: F401  before the fork, once for all steps; its libraries serve ONNX Runtime's provider
    from on_gpu.graphs import Builders, read_operators_once
    from on_gpu.scale import REAL, REHEARSAL
    from on_gpu.step import run_step

    scale = REHEARSAL if options.rehearse else REAL
    report = {"rehearsal": options.rehearse, "host": host(), "wheels": wheels, "steps": {}}

    def write():
        part = options.output.with_name(options.output.name + ".part")
        part.write_text(json.dumps(report, indent=1, default=str) + "\n")
        part.replace(options.output)

    missing = missing_modules(scale, wheels)
    if not missing["onnxsim"]:
        read_operators_once()
    builders = None if missing["onnxsim"] else Builders(scale, scratch / "graphs")
    try:
        for step, arguments in steps(scale, scratch, builders, report):
            found = report["steps"][step.name] = {"status": "running", "results": []}
            reason = next((missing[name] for name in step.needs if missing.get(name)), None)
            left = scale.patience * TOTAL_S - (time.monotonic() - start)
            if reason is not None:
                found["status"] = f"not run: {reason}"
            elif left < LEAST_S:
                found["status"] = "not run: no time was left"
            else:
                kept = found["results"]
                found |= run_step(
                    step,
                    arguments,
                    seconds=min(scale.patience * step.budget_s, left),
                    on_result=lambda result, kept=kept: (kept.append(result), write()),
                )
            print(f"{time.monotonic() - start:6.1f} s  {step.name}: {found['status']}", file=sys.stderr, flush=True)
            write()
    finally:
        if builders is not None:
            builders.close()
    return report


def steps(scale, scratch, builders, report):
    """Give the steps in order of worth, with what each is called with; later ones know what the probe said."""
    from on_gpu import clock, correctness, engine, providers, times
    from on_gpu.step import Step

    graphs, onnx = ("onnxsim",), ("onnxsim", "provider")
    first, *others = scale.lengths
    yield Step(name="device", budget_s=40, results=clock.peaks), (scale,)
    yield Step(name="tensorrt_rtx", budget_s=60, results=engine.probe, needs=(*graphs, "tensorrt_rtx")), (scale, scratch)
    opens = any(result.get("yes") and "open" in result["question"] for result in report["steps"]["tensorrt_rtx"]["results"])
    yield Step(name="correct: small", budget_s=80, results=correctness.small_heads, needs=onnx), (scale, builders, opens)
    yield Step(name="correct: base", budget_s=90, results=correctness.base_model, needs=onnx), (scale, builders, opens)
    for name in scale.providers:
        yield Step(name=f"provider: {name}", budget_s=40, results=providers.placements, needs=graphs), (scale, name, builders)
    for length in (first, *others):
        name = f"{length} tokens"
        yield (
            Step(
                name=f"time: {name}, ONNX Runtime",
                budget_s=130 if length == first else 70,
                results=times.onnxruntime_times,
                needs=onnx,
            ),
            (scale, length, builders),
        )
        yield Step(name=f"time: {name}, torch eager", budget_s=30, results=times.torch_times), (scale, length)
        if opens:
            yield (
                Step(name=f"time: {name}, TensorRT-RTX", budget_s=60, results=times.engine_times),
                (scale, length, builders, scratch),
            )
        if length == first:
            yield Step(name=f"time: {name}, torch.compile", budget_s=80, results=times.compiled_times), (scale, length)


def missing_modules(scale, wheels):
    """Say why a step cannot have what it needs, by the name of the need; an empty sentence where it can."""
    import onnxruntime

    lost = "; ".join(f"{name}: {what}" for name, what in wheels.items() if what != "joined")
    reasons = {}
    for name in ("onnxsim", "tensorrt_rtx"):
        there = importlib.util.find_spec(name) is not None
        reasons[name] = "" if there else f"{name} is not installed and no wheel brought it" + (f" ({lost})" if lost else "")
    available = onnxruntime.get_available_providers()
    reasons["provider"] = (
        "" if scale.provider in available else f"ONNX Runtime has no {scale.provider}; it has {', '.join(available)}"
    )
    return reasons


def host():
    """Describe the machine: card, driver, versions."""
    asked = "name,driver_version,memory.total,compute_cap"
    try:
        command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
        card = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        card = "no NVIDIA GPU on this host"
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {"card": card, "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()
