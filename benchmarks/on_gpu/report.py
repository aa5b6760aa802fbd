"""What a run found, for people: a table of at most 60 lines, and benchmarks/results/gpu.md with its chart."""

from pathlib import Path
from textwrap import wrap

from on_gpu.goals import goal_rows
from on_gpu.results import (
    correct_rows,
    kernel_rows,
    placement_rows,
    provider_answers,
    provider_rows,
    results_of,
    time_cells,
    time_rows,
    untimed_rows,
)

LINES, WIDTH = 60, 200
RESULTS = Path(__file__).parents[1] / "results"
GOAL_HEAD = ("goal", "runtime", "measured", "wanted", "verdict")


def table(report):
    """Return at most LINES lines: the card, the steps, what failed, the times of the goals' length, and the goals."""
    lines = [", ".join(f"{name} {value}" for name, value in report["host"].items())]
    done = [f"{name} {step['seconds']}" for name, step in report["steps"].items() if step["status"] == "done"]
    lines += wrap(f"steps done, in seconds: {'; '.join(done)}", WIDTH)
    lines += [f"{name}: {step['status']}" for name, step in report["steps"].items() if step["status"] != "done"]
    peaks = [f"{r['peak']} {r['rate']:.1f} {r['unit']}" for r in results_of(report, "device") if r.get("rate")]
    lines.append(f"peaks: {', '.join(peaks)}")
    lines += [f"{r['library']}: {r['question']}: {r['answer']}" for r in results_of(report, "engine")]
    checks = [r for r in results_of(report, "correct") if "status" in r]
    counts = {status: sum(r["status"] == status for r in checks) for status in ("passed", "failed", "not run")}
    lines.append("correctness: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    lines += [
        f"FAILED {r['task']} {r['transform']} {r['precision']} {r['row']}: {r.get('share_of_limit') or r['reason']}"
        for r in [r for r in checks if r["status"] == "failed"][:8]
    ]
    lines += [f"provider {name}: {answer}" for name, answer in provider_answers(report)]
    rows = time_rows(report)
    goals = ["  ".join(cells) for cells in (GOAL_HEAD, *goal_rows(report))]
    shown = sorted((row for row in rows if row["tokens"] == report["goal"]["tokens"]), key=_goal_first(report))
    lines += ["  ".join(time_cells(row)) for row in shown[: max(0, LINES - len(lines) - len(goals) - 1)]]
    lines = [*lines[: LINES - len(goals) - 1], f"{len(rows)} cases timed; all of them are in the JSON file", *goals]
    return [line[:WIDTH] for line in lines]


def _goal_first(report):
    """Sort the batch of the goals before others, and fp16 before other precisions."""
    return lambda row: (row["batch"] != report["goal"]["batch"], row["precision"] != "fp16", row["batch"], row["median_ms"])


def _section(title, head, rows, *notes):
    """Return the lines of a section with one table."""
    rows = [["" if cell is None else str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    lines = [*(["## " + title, ""] if title else []), *(line for note in notes for line in (note, ""))]
    cells = [head, ["---"] * len(head), *rows]
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]


def markdown(report):
    """Return gpu.md: card, driver, versions, how the steps ended, correctness, times, and the goals at the end."""
    lines = ["# On a GPU", ""]
    if report["rehearsal"]:
        lines += ["This is a rehearsal at toy size on a CPU. Its figures say nothing about a GPU.", ""]
    lines += _section("", ("of the host", ""), report["host"].items())
    lines += _section("", ("wheel", "what became of it"), report["wheels"].items()) if report["wheels"] else []
    ends = [(name, step["status"], step.get("seconds")) for name, step in report["steps"].items()]
    lines += _section("", ("step", "how it ended", "seconds"), ends)
    peaks = [
        (r["peak"], f"{r['rate']:.1f} {r['unit']}" if r.get("rate") else r["reason"])
        for r in results_of(report, "device")
        if "peak" in r
    ]
    lines += _section("The device's own peak", ("of", "rate"), peaks)
    answers = [
        (r["library"], r["question"], r["answer"]) for step in ("engine", "options", "bundle") for r in results_of(report, step)
    ]
    lines += _section("Engines, their options, and bundles", ("library", "question", "answer"), answers)
    lines += _section(
        "Correctness",
        ("model", "task", "transform", "precision", "row", "status", "error", "limit"),
        correct_rows(report),
        "Errors are largest absolute errors against float64; limits are those of docs/parity.md.",
    )
    head = ("model", "task", "transform", "precision", "nodes", "on the CPU")
    lines += _section("Nodes that fell back to the CPU", head, placement_rows(report))
    lines += _section(
        "Providers of the runtime",
        ("provider", "transform", "precision", "nodes that it left", "difference from the CPU", "batch: ms"),
        provider_rows(report),
        "Each graph opens as `--provider` opens it. Times are from ids to outputs, in ms.",
    )
    rates = [(r["subject"], r["threads"], f"{r['texts_per_s']:.1f}") for r in results_of(report, "threads") if "threads" in r]
    lines += _section("Threads", ("subject", "threads", "texts per second"), rates, "One text at a time, in fp16.")
    lines += _section(
        "Times",
        ("precision", "tokens", "batch", "subject", "ms", "share"),
        map(time_cells, time_rows(report)),
        "Times are medians in milliseconds. A share is of the device's own peak at that precision.",
        "![times](gpu.svg)",
    )
    case = f"One run of {report['goal']['batch']} texts of {report['goal']['tokens']} tokens in fp16, by torch's profiler."
    lines += _section("Kernels", ("subject", "kernel", "launches", "ms"), kernel_rows(report), case)
    head = ("subject", "transform", "precision", "tokens", "batch", "reason")
    untimed = list(untimed_rows(report))
    lines += _section("Not timed", head, untimed) if untimed else []
    goal = f"The case is {report['goal']['batch']} texts of {report['goal']['tokens']} tokens in fp16, by the fastest transform."
    share = "A share counts the products of the graph itself. The form `dft` has more of them than `folded`."
    lines += _section("Goals", GOAL_HEAD, goal_rows(report), goal, share)
    return "\n".join(lines).rstrip() + "\n"


def chart(report, path):
    """Draw the times of each length and batch that was measured, by subject, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = time_rows(report)
    cases = sorted({(row["tokens"], row["batch"]) for row in rows})
    figure, axes = pyplot.subplots(max(len(cases), 1), 1, figsize=(9, 1 + 4 * max(len(cases), 1)), squeeze=False)
    for axis, (tokens, batch) in zip(axes[:, 0], cases, strict=False):
        found = [row for row in rows if (row["tokens"], row["batch"]) == (tokens, batch)]
        names = [f"{row['precision']}, {row['subject']}" + (f", {row['transform']}" if row["transform"] else "") for row in found]
        axis.barh(names, [row["median_ms"] for row in found], color=["#1b7" if "ONNX" in name else "#999" for name in names])
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.tick_params(axis="y", labelsize=6)
        axis.set_xlabel("ms (median)")
        axis.set_title(f"{tokens} tokens, batch {batch}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def write_markdown(report, folder=RESULTS):
    """Write gpu.md and gpu.svg."""
    (folder / "gpu.md").write_text(markdown(report))
    chart(report, folder / "gpu.svg")
