"""Draw docs/speed.svg, the chart of the README, from benchmarks/results/peers.json: `python docs/speed.py`."""

import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results" / "peers.json"
NAMES = {
    "ours": "fnet-export, ONNX Runtime",
    "transformers FNet, torch.compile": "FNet in PyTorch, torch.compile",
    "transformers FNet, eager": "FNet in PyTorch",
    "transformers BERT, ONNX Runtime": "BERT of the same size, ONNX Runtime",
    "transformers FNet, OpenVINO": "FNet's usual export, OpenVINO",
    "transformers FNet, torch.onnx (DFT) in ONNX Runtime": "FNet's usual export, ONNX Runtime",
}


STYLE = {"svg.hashsalt": "fnet-export", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}


def main() -> None:
    """Draw one bar for each way to run a model of fnet-base's size."""
    times = medians()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 2.4), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(list(NAMES.values()), [times[name] for name in NAMES], color=["#11bb77", *["#bbbbbb"] * (len(NAMES) - 1)])
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.invert_yaxis()
        axes.set_xlabel("milliseconds for one text of 512 tokens (median, two cores, float32)")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(DOCS / "speed.svg", metadata={"Date": None})


def medians() -> dict[str, float]:
    """Return the median milliseconds by name, of 512 tokens, batch 1 and two threads."""
    cases = json.loads(RESULTS.read_text("utf-8"))["cases"]
    case = next(case for case in cases if (case["length"], case["batch"], case["threads"]) == (512, 1, 2))
    return {name: case["results"][name]["median_ms"] for name in NAMES}


if __name__ == "__main__":
    main()
