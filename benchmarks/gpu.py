"""A quarter of an hour on a GPU, used well: does it run, is it right, how fast is it. CONTRIBUTING.md says how to start it.

Steps run in order of worth, each in a process of its own with a budget, eight minutes in all. The JSON file is written again after
every result. `--rehearse` runs every step at toy size on a CPU; `--report` turns a JSON file into benchmarks/results/gpu.md.

    python benchmarks/gpu.py --wheels FOLDER --output FILE.json [--rehearse]
    python benchmarks/gpu.py --report FILE.json
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # torch then looks for a GPU without using it

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "runtimes" / "python")]

from on_gpu.report import table, write_markdown  # noqa: E402  the path comes first
from on_gpu.wheels import put_first, unpacked_wheels  # noqa: E402

TOTAL_S = 470.0
LEAST_S = 3.0
"""Less is not worth starting a step."""
NEEDS = {
    "torch": ("torch",),
    "graphs": ("torch", "onnx", "onnx_ir", "onnxscript", "onnxsim", "safetensors", "sentencepiece"),
    "provider": ("onnxruntime",),
    "transformers": ("transformers",),
}
"""What must be importable for a step, by a name of Step.needs."""
VERSIONS = (
    "torch",
    "triton",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "transformers",
    "numpy",
    "cuda-bindings",
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
    from on_gpu.plan import steps
    from on_gpu.scale import REAL, REHEARSAL
    from on_gpu.step import run_step

    scale = REHEARSAL if options.rehearse else REAL
    goal = {"tokens": scale.lengths[0], "batch": scale.batches[0]}
    report = {"rehearsal": options.rehearse, "host": host(), "wheels": wheels, "goal": goal, "steps": {}}

    def write():
        part = options.output.with_name(options.output.name + ".part")
        part.write_text(json.dumps(report, indent=1, default=str) + "\n")
        part.replace(options.output)

    missing = missing_modules(scale, wheels)
    builders = started_builders(scale, scratch, missing)
    try:
        check_unused_gpu()
        for step in steps(scale, scratch, builders, report):
            found = report["steps"][step.name] = {"status": "running", "results": []}
            reason = next((missing[name] for name in step.needs if missing[name]), step.reason)
            left = scale.patience * TOTAL_S - (time.monotonic() - start)
            if reason:
                found["status"] = f"not run: {reason}"
            elif left < LEAST_S:
                found["status"] = "not run: no time was left"
            else:
                kept = found["results"]
                found |= run_step(
                    step,
                    seconds=min(scale.patience * step.budget_s, left),
                    on_result=lambda result, kept=kept: (kept.append(result), write()),
                )
            print(f"{time.monotonic() - start:6.1f} s  {step.name}: {found['status']}", file=sys.stderr, flush=True)
            write()
    finally:
        if builders is not None:
            builders.close()
    return report


def missing_modules(scale, wheels):
    """Say why a step cannot have what it needs, by the name of the need; an empty sentence where it can."""
    lost = "; ".join(f"{name}: {what}" for name, what in wheels.items() if what != "joined")
    reasons = {}
    for need, modules in NEEDS.items():  # torch first: its libraries serve ONNX Runtime's provider, and every step shares it
        try:
            for name in modules:
                importlib.import_module(name)
            reasons[need] = ""
        except Exception as error:
            reasons[need] = f"{name} cannot be imported: {type(error).__name__}: {error}" + (f" ({lost})" if lost else "")
    if not reasons["provider"]:
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if scale.provider not in available:
            reasons["provider"] = f"ONNX Runtime has no {scale.provider}; it has {', '.join(available)}"
    return reasons


def started_builders(scale, scratch, missing):
    """Start the processes that build graphs; None, and a reason in `missing`, where they cannot start."""
    if missing["graphs"]:
        return None
    try:
        from on_gpu.builders import Builders, read_operators_once

        read_operators_once()
        return Builders(scale, scratch / "graphs")
    except Exception as error:
        missing["graphs"] = f"no graph can be built: {type(error).__name__}: {error}"
        return None


def check_unused_gpu():
    """Stop if torch has used the GPU in this process: the steps are forks of it, and CUDA does not work in a fork then."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        sys.exit("No step can use the GPU, because an import has started CUDA in the process that forks the steps.")


def host():
    """Describe the machine: card, driver, versions."""
    asked = "name,driver_version,memory.total,compute_cap"
    try:
        command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
        card = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        card = "no NVIDIA GPU on this host"
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {"card": card, "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()
