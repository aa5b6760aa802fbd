"""Results of a run, selected and joined: by step, by value, and timed cases with their share of the device's peak."""


def results_of(report, step):
    """Return the results of the steps whose names begin so."""
    return [result for name, found in report["steps"].items() if name.startswith(step) for result in found["results"]]


def by(results, *keys):
    """Group results by one value, or by several."""
    groups = {}
    for result in results:
        values = tuple(result.get(key) for key in keys)
        groups.setdefault(values if len(keys) > 1 else values[0], []).append(result)
    return groups


def time_rows(report):
    """Return the timed cases with their share of the device's peak, in the order of precision, length, batch and time."""
    peaks = {result["peak"]: result.get("rate") for result in results_of(report, "device")}
    rows = [dict(result) for result in results_of(report, "time") if "median_ms" in result]
    for row in rows:
        peak, rate = peaks.get(row["precision"]), row.get("tflop_per_s")
        row["share_of_peak"] = rate / peak if rate and peak else None
    return sorted(rows, key=lambda row: (row["tokens"], row["batch"], row["precision"], row["median_ms"]))


def time_cells(row):
    """Return what a table says of a timed case."""
    share = "" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.0f} %"
    subject = row["subject"] + (f", {row['transform']}" if row["transform"] else "")
    return (row["precision"], str(row["tokens"]), str(row["batch"]), subject, f"{row['median_ms']:.3f}", share)


def provider_answers(report):
    """Say of each provider how many graphs it opened whole, or why it opened no graph."""
    for name, results in by(results_of(report, "provider"), "provider").items():
        opened = [r for r in results if "difference" in r]
        whole = sum(not r["left"] for r in opened)
        reasons = [r["reason"] for r in results if "reason" in r]
        yield (
            name,
            f"{whole} of {len(opened)} graphs without a node on the CPU" if opened else reasons[0] if reasons else "no graph",
        )


def provider_rows(report):
    """Return a row per provider and graph."""
    for name, results in by(results_of(report, "provider"), "provider").items():
        for (transform, precision), graph in by(results, "transform", "precision").items():
            reason = next((r["reason"] for r in graph if "reason" in r), "")
            left = next((r["left"] for r in graph if "left" in r), "") or reason or "none"
            difference = next((f"{r['difference']:.1e}" for r in graph if "difference" in r), "")
            timed = ", ".join(f"{r['batch']}: {r['median_ms']:.3f}" for r in graph if "median_ms" in r)
            yield name, str(transform), str(precision), left, difference, timed


def correct_rows(report):
    """Return a row per check of correctness."""
    for model, r in _models(report):
        if "status" in r:
            error, limit = (f"{r[key]:.2e}" if key in r else "" for key in ("max_abs", "limit"))
            status = r["status"] + (f": {r['reason']}" if r.get("reason") else "")
            yield model, r["task"], r["transform"], r["precision"], r["row"], status, error, limit


def placement_rows(report):
    """Return a row per graph whose nodes were placed."""
    for model, r in _models(report):
        if "on_cpu" in r:
            fallen = ", ".join(f"{count} {operator}" for operator, count in r["on_cpu"].items()) or "none"
            yield model, r["task"], r["transform"], r["precision"], str(r["nodes"]), fallen


def kernel_rows(report):
    """Return a row per kernel of each model."""
    for (subject, transform), kernels in by(results_of(report, "kernels"), "subject", "transform").items():
        for r in kernels:
            if "kernel" in r:
                yield f"{subject}, {transform}", r["kernel"], f"{r['launches']:.0f}", f"{r['ms']:.3f}"


def untimed_rows(report):
    """Return a row per case that gave a reason in place of a time."""
    for r in results_of(report, "time") + results_of(report, "threads") + results_of(report, "kernels"):
        if "reason" in r:
            case = (r["subject"], r.get("transform"), r.get("precision"), r.get("tokens"), r.get("batch", ""))
            yield (*map(str, case), r["reason"])


def _models(report):
    for name, model in (("correct: small", "small"), ("correct: base", "base")):
        yield from ((model, result) for result in results_of(report, name))
