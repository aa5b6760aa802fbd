"""The goals of the run, and whether it met them: computed from its results."""

from on_gpu.plan import ENGINES, STAND_IN
from on_gpu.results import results_of, time_rows
from on_gpu.scale import ANY_LENGTH

PRECISION = "fp16"
LEAST_SHARE, MOST_OF_BERT, MOST_OF_COMPILED = 0.55, 0.8, 1.0
RUNTIMES = ("ONNX Runtime", *ENGINES.values())
COMPILED = "torch.compile"


def goal_rows(report):
    """Return rows of goal, runtime with its fastest transform, what was measured, what was wanted, and the verdict.

    A runtime counts once as it is, and once with a CUDA graph if that was tried.
    """
    rows = [row for row in time_rows(report) if _is_case(report, row) and row["batch"] == report["goal"]["batch"]]
    compiled = _fastest(rows, "FNet", COMPILED)
    for runtime in _runtimes(report):
        ours, bert = _fastest(rows, "FNet", runtime), _fastest(rows, "BERT", runtime)
        name = runtime if ours is None else f"{runtime}, {ours['transform']}"
        of_ours, of_bert, of_compiled = (
            _reason(report, *pair) for pair in (("FNet", runtime), ("BERT", runtime), ("FNet", COMPILED))
        )
        share = None if ours is None else ours["share_of_peak"]
        of_bert, of_compiled = of_ours or of_bert, of_ours or of_compiled
        yield _row("share of the matrix peak", name, share, LEAST_SHARE, of_ours or "the peak is not known", at_least=True)
        yield _row("time as a share of BERT-base's", name, _ratio(ours, bert), MOST_OF_BERT, of_bert)
        yield _row("time as a share of torch.compile's", name, _ratio(ours, compiled), MOST_OF_COMPILED, of_compiled, strictly=True)


def _row(goal, runtime, measured, limit, reason, *, at_least=False, strictly=False):
    wanted = f"at least {100 * limit:.0f} %" if at_least else f"{'less than' if strictly else 'at most'} {limit:.1f}"
    if measured is None:
        return goal, runtime, "", wanted, f"not run: {reason}"
    met = measured >= limit if at_least else measured < limit if strictly else measured <= limit
    shown = f"{100 * measured:.1f} %" if at_least else f"{measured:.3f}"
    return goal, runtime, shown, wanted, "met" if met else "missed"


def _runtimes(report):
    """Name the runtimes of the goals; those of engines as the results name them, which says what stood in for one."""
    subjects = dict.fromkeys(r["subject"] for r in results_of(report, "time"))
    tried = [subject.partition(", ")[2] for subject in subjects if subject.startswith("FNet")]
    for runtime in RUNTIMES:
        names = [name for name in tried if _base(name) == runtime]
        yield from names or [runtime]


def _is_case(report, row):
    """Return whether a result is of the precision, the length and the padding of the goals."""
    return (row["precision"], row["tokens"]) == (PRECISION, report["goal"]["tokens"]) and row["transform"] != ANY_LENGTH


def _fastest(rows, model, runtime):
    found = [row for row in rows if _is_of(row, model, runtime)]
    return min(found, key=lambda row: row["median_ms"], default=None)


def _is_of(row, model, runtime):
    return row["subject"] == f"{model}, {runtime}"


def _ratio(ours, other):
    return None if ours is None or other is None else ours["median_ms"] / other["median_ms"]


def _reason(report, model, runtime):
    """Say why a model was not timed in a runtime; nothing if it was."""
    cases = [r for r in results_of(report, "time") if _is_of(r, model, runtime) and _is_case(report, r)]
    batch = report["goal"]["batch"]
    if any("median_ms" in r and r["batch"] == batch for r in cases):
        return ""
    reasons = [r["reason"] for r in cases if "reason" in r and r.get("batch", batch) == batch]
    steps = {name: step["status"] for name, step in report["steps"].items() if name.startswith("time") and _is_step(name, runtime)}
    ends = [f"the step {name} {status}" for name, status in steps.items() if status != "done"]
    ends = [end.partition(" not run: ")[2] or end for end in ends]
    return next(iter([*(f"{model}: {reason}" for reason in reasons), *ends]), f"{model} was not timed by {runtime}")


def _is_step(name, runtime):
    """Return whether a step, such as "time: 512 tokens, ONNX Runtime, fp16", times a runtime."""
    return name.split(", ")[1] == _base(runtime)


def _base(runtime):
    """Return the name of a runtime without what stands in for it, and without the CUDA graph."""
    return runtime.replace(STAND_IN, "").removesuffix(", CUDA graph")
