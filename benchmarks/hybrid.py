"""What attention costs: fnet-base sized hybrids with 0, 2, 4 and 12 attention layers at the top, through the same export, in fp32.

How they are measured is said in turns.py.

    python benchmarks/hybrid.py [--lengths 512 2048] [--batches 1] [--threads 2] [--rounds 9]
"""

from peers import LAYERS, OURS, build_ours, open_ours
from turns import Benchmark, Subject, main

from fnet_core.config import attention_layers

COUNTS = (0, 2, 4, 12)
HEADS = 12
NAMES = {count: f"{count} attention layers" for count in COUNTS}


def subject(count):
    variant = {"attention_layers": attention_layers("top", count, LAYERS), "num_attention_heads": HEADS}
    return Subject(build_ours(variant=variant), open_ours(attends=count > 0), OURS)


def chart(report, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5))
    for case in report["cases"]:
        found = {count: case["results"][name] for count, name in NAMES.items() if "median_ms" in case["results"].get(name, {})}
        medians = [result["median_ms"] for result in found.values()]
        spread = [[m - r["quartiles_ms"][0] for m, r in zip(medians, found.values(), strict=True)]]
        spread.append([r["quartiles_ms"][1] - m for m, r in zip(medians, found.values(), strict=True)])
        label = f"{case['length']} tokens, batch {case['batch']}, {case['threads']} threads"
        axis.errorbar(list(found), medians, yerr=spread, marker="o", capsize=3, label=label)
    axis.set_xlabel("attention layers of 12")
    axis.set_xticks(COUNTS)
    axis.set_ylabel("ms (median, quartiles)")
    axis.set_ylim(bottom=0)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    subjects = {name: subject(count) for count, name in NAMES.items()}
    main(Benchmark(name="hybrid", subjects=subjects, lengths=(512, 2048), batches=(1,), threads=(2,), chart=chart))
