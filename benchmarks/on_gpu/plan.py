"""The steps of a run in order of worth, each with its budget."""

from on_gpu.step import Step

ENGINES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""The libraries of engines, by module: the first one that opens engines here is checked and used by threads."""
STAND_IN = " (stand-in: ONNX Runtime)"
"""What a rehearsal adds to the name of a library, whose engines no CPU opens."""


def steps(scale, scratch, builders, report):
    """Give the steps in order of worth; later ones know what the probes of `report` said.

    The goals come first. The compiled models are timed before the graphs, which other processes build in the meantime.
    """
    first, *others = scale.lengths
    graphs, onnx, torch = ("torch", "graphs"), ("torch", "graphs", "provider"), ("torch", "transformers")

    def step(name, budget_s, results, *arguments, needs=graphs, reason=""):
        return Step(name=name, budget_s=budget_s, results=results, arguments=(scale, *arguments), needs=needs, reason=reason)

    yield step("device", 25, "clock:peaks", needs=("torch",))
    yield step(f"time: {first} tokens, torch.compile, fp16", 110, "torch_times:compiled_times", first, ("fp16",), needs=torch)
    yield step(f"time: {first} tokens, ONNX Runtime, fp16", 70, "times:onnxruntime_times", first, builders, ("fp16",), needs=onnx)
    reasons = {}
    for library, name in ENGINES.items():
        yield step(f"engine: {name}", 40, "engines:probe", library, scratch)
        reasons[library] = _refusal(report["steps"][f"engine: {name}"])
        arguments = (library, first, builders, scratch)
        yield step(f"time: {first} tokens, {name}, fp16", 75, "engine_times:goal_times", *arguments, reason=reasons[library])
    opens = next((library for library in ENGINES if not reasons[library]), None)
    yield step("correct: base", 80, "correctness:base_model", builders, opens, scratch, needs=onnx)
    yield step("time: any length, ONNX Runtime", 30, "times:any_length_times", builders, needs=onnx)
    yield step("kernels", 25, "kernels:kernel_times", builders, needs=onnx)
    for name in scale.providers:
        yield step(f"provider: {name}", 30, "providers:placements", name, builders)
    for target in scale.targets:
        yield Step(
            name=f"bundle: {target}",
            budget_s=30,
            results="bundles:bundle_answers",
            arguments=(target, scale.providers[0], scratch),
            needs=graphs,
        )
    for library, name in ENGINES.items():
        yield step(f"options: {name}", 50, "engine_options:option_answers", library, scratch, reason=reasons[library])
    yield step("threads", 20, "threads:texts_per_second", builders, opens, scratch, needs=onnx)
    for library, name in ENGINES.items():
        arguments = (library, first, builders, scratch)
        yield step(f"time: {first} tokens, {name}, others", 90, "engine_times:other_times", *arguments, reason=reasons[library])
    rest = ("tf32", "fp32", "int8")
    yield step(f"time: {first} tokens, ONNX Runtime, others", 60, "times:onnxruntime_times", first, builders, rest, needs=onnx)
    yield step(f"time: {first} tokens, torch eager", 25, "torch_times:eager_times", first, needs=torch)
    yield step("correct: small", 60, "correctness:small_heads", builders, opens, scratch, needs=onnx)
    for length in others:
        every = ("fp16", *rest)
        yield step(f"time: {length} tokens, ONNX Runtime", 70, "times:onnxruntime_times", length, builders, every, needs=onnx)
        yield step(f"time: {length} tokens, torch eager", 25, "torch_times:eager_times", length, needs=torch)
        if opens is not None:
            arguments = (opens, length, builders, scratch)
            yield step(f"time: {length} tokens, {ENGINES[opens]}", 60, "engine_times:goal_times", *arguments)
    yield step(f"time: {first} tokens, torch.compile, others", 80, "torch_times:compiled_times", first, rest[:2], needs=torch)


def _refusal(probe):
    """Say why a library opens no engine here, by its probe; nothing if it does."""
    if any(result.get("yes") for result in probe["results"]):
        return ""
    answers = [result["answer"].removeprefix("no: ") for result in probe["results"]]
    return answers[-1] if answers else f"its probe was {probe['status']}"
