"""What a run found, for people: a table of at most 60 lines, and benchmarks/results/gpu.md with its chart."""

from pathlib import Path

LINES = 60
RESULTS = Path(__file__).parents[1] / "results"


def results_of(report, step):
    """Return the results of the steps whose names begin so."""
    return [result for name, found in report["steps"].items() if name.startswith(step) for result in found["results"]]


def time_rows(report):
    """Return the timed cases with their share of the device's peak, in the order of precision, length, batch and time."""
    peaks = {result["peak"]: result.get("rate") for result in results_of(report, "device")}
    rows = [result for result in results_of(report, "time") if "median_ms" in result]
    for row in rows:
        peak, rate = peaks.get(row["precision"]), row.get("tflop_per_s")
        row["share_of_peak"] = rate / peak if rate and peak else None
    return sorted(rows, key=lambda row: (row["tokens"], row["batch"], row["precision"], row["median_ms"]))


def _time_line(row):
    share = "" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.0f} %"
    subject = row["subject"] + (f", {row['transform']}" if row["transform"] else "")
    return (row["precision"], str(row["tokens"]), str(row["batch"]), subject, f"{row['median_ms']:.3f}", share)


def table(report):
    """Return at most LINES lines: the card, how each step ended, what failed, and the times of the first length."""
    lines = [", ".join(f"{name} {value}" for name, value in report["host"].items())[:200]]
    lines += [
        f"{name}: {step['status']}, {step.get('seconds', 0)} s, {len(step['results'])} results"
        for name, step in report["steps"].items()
    ]
    lines += [f"peak {r['peak']}: {r['rate']:.1f} {r['unit']}" for r in results_of(report, "device") if r.get("rate")]
    lines += [f"tensorrt_rtx: {r['question']}: {r['answer']}"[:200] for r in results_of(report, "tensorrt_rtx") if "question" in r]
    checks = [r for r in results_of(report, "correct") if "status" in r]
    counts = {status: sum(r["status"] == status for r in checks) for status in ("passed", "failed", "not run")}
    lines.append("correctness: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    failed = [r for r in checks if r["status"] == "failed"]
    lines += [
        f"FAILED {r['task']} {r['transform']} {r['precision']} {r['row']}: {r.get('share_of_limit')} of its limit"
        for r in failed[:8]
    ]
    lines += [f"provider {name}: {answer}"[:200] for name, answer in _provider_answers(report)]
    rows = time_rows(report)
    first = next((result["tokens"] for result in results_of(report, "time")), None)
    shown = sorted((row for row in rows if row["tokens"] == first), key=lambda row: (row["batch"], row["median_ms"]))
    lines += ["  ".join(_time_line(row)) for row in shown[: LINES - len(lines) - 1]]
    return [*lines[: LINES - 1], f"{len(rows)} cases timed; all of them are in the JSON file"]


def _markdown_table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows), ""]


def markdown(report):
    """Return gpu.md: card, driver, versions, how the steps ended, correctness, times."""
    lines = ["# On a GPU", ""]
    if report["rehearsal"]:
        lines += ["This is a rehearsal at toy size on a CPU. Its figures say nothing about a GPU.", ""]
    lines += _markdown_table(("of the host", ""), [(name, str(value)) for name, value in report["host"].items()])
    lines += _markdown_table(("wheel", "what became of it"), list(report["wheels"].items())) if report["wheels"] else []
    ends = [(name, step["status"], str(step.get("seconds", ""))) for name, step in report["steps"].items()]
    lines += _markdown_table(("step", "how it ended", "seconds"), ends)
    peaks = [
        (r["peak"], f"{r['rate']:.1f} {r['unit']}" if r.get("rate") else r["reason"])
        for r in results_of(report, "device")
        if "peak" in r
    ]
    lines += ["## The device's own peak", "", *_markdown_table(("of", "rate"), peaks)]
    lines += ["## TensorRT-RTX", ""]
    lines += _markdown_table(("question", "answer"), [(r["question"], r["answer"]) for r in results_of(report, "tensorrt_rtx")])
    lines += ["## Correctness", "", "Errors are largest absolute errors against float64; limits are those of docs/parity.md.", ""]
    lines += _markdown_table(("model", "task", "transform", "precision", "row", "status", "error", "limit"), _correct_rows(report))
    lines += [
        "## Nodes that fell back to the CPU",
        "",
        *_markdown_table(("model", "task", "precision", "nodes", "on the CPU"), _placements(report)),
    ]
    lines += [
        "## Providers of the runtime",
        "",
        "Each graph opens as `--provider` opens it. Times are from ids to outputs, in ms.",
        "",
    ]
    head = ("provider", "transform", "precision", "nodes that it left", "difference from the CPU", "batch: ms")
    lines += _markdown_table(head, _provider_rows(report))
    lines += ["## Times", "", "Times are medians in milliseconds. A share is of the device's own peak at that precision.", ""]
    lines += [
        "![times](gpu.svg)",
        "",
        *_markdown_table(("precision", "tokens", "batch", "subject", "ms", "share"), map(_time_line, time_rows(report))),
    ]
    untimed = [
        (r["subject"], str(r["transform"]), r["precision"], str(r["tokens"]), r["reason"])
        for r in results_of(report, "time")
        if "reason" in r
    ]
    lines += (
        ["## Not timed", "", *_markdown_table(("subject", "transform", "precision", "tokens", "reason"), untimed)]
        if untimed
        else []
    )
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _models(report):
    for name, model in (("correct: small", "small"), ("correct: base", "base")):
        yield from ((model, result) for result in results_of(report, name))


def _correct_rows(report):
    for model, r in _models(report):
        if "status" in r:
            error, limit = (f"{r[key]:.2e}" if key in r else "" for key in ("max_abs", "limit"))
            status = r["status"] + (f": {r['reason']}" if r.get("reason") else "")
            yield (
                model,
                r["task"],
                r["transform"],
                r["precision"],
                r["row"],
                status.replace("|", "/").replace("\n", " "),
                error,
                limit,
            )


def _placements(report):
    for model, r in _models(report):
        if "on_cpu" in r:
            fallen = ", ".join(f"{count} {operator}" for operator, count in r["on_cpu"].items()) or "none"
            yield model, r["task"], r["precision"], str(r["nodes"]), fallen


def _provider_answers(report):
    """Say of each provider how many graphs it opened whole, or why it opened no graph."""
    for name, results in _by(results_of(report, "provider"), "provider").items():
        opened = [r for r in results if "difference" in r]
        whole = sum(not r["left"] for r in opened)
        reasons = [r["reason"] for r in results if "reason" in r]
        yield (
            name,
            f"{whole} of {len(opened)} graphs without a node on the CPU" if opened else reasons[0] if reasons else "no graph",
        )


def _provider_rows(report):
    for name, results in _by(results_of(report, "provider"), "provider").items():
        for (transform, precision), graph in _by(results, "transform", "precision").items():
            reason = next((r["reason"] for r in graph if "reason" in r), "")
            left = next((r["left"] for r in graph if "left" in r), "") or reason or "none"
            difference = next((f"{r['difference']:.1e}" for r in graph if "difference" in r), "")
            timed = ", ".join(f"{r['batch']}: {r['median_ms']:.3f}" for r in graph if "median_ms" in r)
            yield name, str(transform), str(precision), left.replace("|", "/").replace("\n", " "), difference, timed


def _by(results, *keys):
    """Group results by one value, or by several."""
    groups = {}
    for result in results:
        values = tuple(result.get(key) for key in keys)
        groups.setdefault(values if len(keys) > 1 else values[0], []).append(result)
    return groups


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
