"""The page, its charts and its words; test_page_in_chromium.py opens it in a browser."""

import base64
import copy
import hashlib
import html
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from support.paths import GOLDEN

from fnet_export.base.counted import counted
from fnet_export.parity.agreement import Agreement
from fnet_export.parity.report.charts import svg_from_headroom, svg_from_histogram, svg_from_layers, svg_from_times
from fnet_export.parity.report.page import html_from_values, share_of_limit, verdict_from_values
from fnet_export.parity.report.wording import QUICK, figure, milliseconds, percent, size

EXAMPLES = GOLDEN / "parity"
FULL, FAILED = (json.loads((EXAMPLES / f"{name}.json").read_text()) for name in ("full", "failed"))
SENSITIVITY = {"damages": {"blocks.0.intermediate": 0.02, "pooler": 0.001}, "kept": ["pooler"], "float32": 96.0, "wanted": 95.5}
HOSTILE = '<script>alert("$x$")</script>'


def text_of(page):
    """What is read on the page, without its charts."""
    body = re.sub(r"<(svg|script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_the_verdict_stands_first():
    text = text_of(html_from_values(FULL))
    assert (
        "Parity of example with made-up figures Passed The bundle's runtime, OpenVINO, passed: its largest error is 12.1 %" in text
    )
    assert "76 inputs: 64 texts of built-in e-mails, 4 at the edges (empty text, one token, " in text
    assert "8 of random ids" in text
    assert "7 passed, 0 failed, 2 not run" in text
    assert "C++ runtime: no fnet_cli on PATH" in text
    assert text.index("Passed The bundle") < text.index("Not run") < text.index("Every runtime and output")


def test_the_page_says_how_times_were_taken():
    apart, together = (text_of(html_from_values(FULL | {"timed_in_turns": in_turns})) for in_turns in (False, True))
    assert "The model is too large to open all runtimes at once." in apart
    assert "All runtimes were open at once and took turns, input by input." in together
    assert "too large to open" not in together


def test_all_of_a_full_report_is_on_the_page():
    page = html_from_values(FULL | {"sensitivity": SENSITIVITY | {"reached": 95.75}})
    text = text_of(page)
    for sentence in FULL["rule"]:
        assert sentence in text
    for found in FULL["worst"]:
        assert found["name"] in text
    for name, file in FULL["files"].items():
        assert name in text
        assert file["sha256"] in text
    for name, version in FULL["environment"]["libraries"].items():
        assert f"{name} {version}" in text
    assert "98.1 % of the multiply-adds meant for bf16, 95.4 % of all" in text
    assert "Accuracy is 95.75 in bf16 and 96.00 in float32; 95.50 was the goal. Kept in float32: pooler" in text
    assert "OpenVINO, fp16: the processor has no fp16 products" in text
    assert "3.4e-02 limit 2.8e-01" in text
    assert page.count("<svg") == 5


def test_the_layers_of_the_engine():
    text = text_of(html_from_values(FULL))
    assert "OpenVINO 2026.4.1 ran text 0 (512 tokens) under its own profiler, 5 times. The 7 layers take 8 ms." in text
    assert "A whole run takes 8.25 ms." in text
    assert "fnet.encoder.layer.*.intermediate.dense 2 4.75 59.4 %" in text
    assert "other layers 1 0.25 3.12 %" in text
    assert "FullyConnected bf16 4 7 87.5 %" in text
    slowest = "fnet.encoder.layer.1.intermediate.dense , fnet.encoder.layer.1.intermediate.intermediate_act_fn"
    assert "All 7 layers, the slowest first" in text
    assert f"ms share 6 {slowest} encoder.blocks.1.intermediate/node_linear_3 FullyConnected bf16 2.5 31.2 %" in text
    assert "7 Multiply_8639 Eltwise int32 0.25 3.12 %" in text


def test_an_engine_that_was_not_asked_or_gave_no_times_says_so():
    assert "Layers of the engine ONNX Runtime 1.32.0: not run: parity failed" in text_of(html_from_values(FAILED))
    engine = copy.deepcopy(FULL["engine_layers"])
    engine["run"]["batch_size"] = 4
    for layer in engine["layers"]:
        layer |= {"kind": None, "precision": None, "median_ms": None}
    text = text_of(html_from_values(FULL | {"engine_layers": engine}))
    assert "ran text 0 (512 tokens, 4 times in one batch) under its own profiler, 5 times. The profiler reported no times." in text
    assert "Multiply_8639 not stated not stated – –" in text


def test_a_failure_is_said_in_words_and_figures():
    text = text_of(html_from_values(FAILED))
    assert (
        "Failed The bundle's runtime, ONNX Runtime, final graph, failed: it gives values that are not finite. logits: 25.00 % of"
        in text
    )
    assert "Outside the limits: ONNX Runtime, final graph." in text
    assert "not finite limit 2.1e-05" in text
    assert "1 input: 1 text of mine.txt" in text


def test_the_verdict_says_how_many_decisions_are_the_references_and_that_a_check_was_quick():
    def sentences(differ, decisions, ties=0, quick=False):
        values = copy.deepcopy(FULL) | {"quick": quick}
        row = next(row for row in values["rows"] if row["name"] == FULL["shipped"])
        row["outputs"]["logits"]["agreement"] = Agreement(decisions=decisions, differ=differ, ties=ties).values()
        row["answers"] = Agreement(decisions=200, differ=min(200, differ), ties=0).values()
        return verdict_from_values(values).sentences

    (shipped, few, _) = sentences(250, 12052, ties=3)
    assert "logits: 97.92 % of the decisions agree with the reference (250 of 12,052 differ, 3 of them are ties)." in shipped
    assert few.startswith("logits: more than one decision in a hundred differs from the reference. 97.92 % of 12,052")
    assert len(sentences(116, 12052)) == 2  # 99.04 %: said, with no warning
    assert "116 of 12,052 differ" in sentences(116, 12052)[0]
    assert len(sentences(2, 77)) == 2  # so few decisions may be of 99 %
    assert "all 77 decisions agree with the reference" in sentences(0, 77)[0]
    assert sentences(0, 77, quick=True)[0] == QUICK


def test_the_length_and_what_is_assumed_of_it_are_said():
    assert "Sequence length 512 tokens: tokenizer.json (padding.strategy.Fixed) Compared with" in text_of(html_from_values(FULL))
    text = text_of(html_from_values(FAILED))
    assert "Note: no file states the length that training padded to, so max_position_embeddings, 512 tokens, is assumed" in text
    assert "Sequence length 512 tokens: assumed from config.json (max_position_embeddings) Compared with" in text


def test_the_accuracy_is_a_table_and_its_findings_are_part_of_the_verdict():
    metric = {"name": "accuracy", "unit": "points of 100", "value": 57.5, "low": 48.333, "high": 65.0}
    run = {"name": "bundle", "runtime": "onnxruntime", "reason": None, "unread_words": 0, "metrics": [metric], "difference": None}
    difference = {"value": -41.67, "low": -50.0, "high": -33.0, "significant": True}
    other = run | {"name": "checkpoint", "metrics": [metric | {"value": None}], "difference": difference}
    evaluation = {
        "data": {"name": "data.jsonl", "sha256": "0" * 64, "records": 120},
        "min_accuracy": 90.0,
        "missed": ["accuracy is 57.50 points, below the 90 asked for"],
        "findings": ["The difference is significant."],
        "runs": [run, other, run | {"name": "third", "metrics": [], "reason": "no GPU"}],
    }
    text = text_of(html_from_values(FULL | {"passed": False, "evaluation": evaluation}))
    verdict = "Less accurate than asked for: accuracy is 57.50 points, below the 90 asked for. The difference is significant."
    assert text.index(verdict) < text.index("Accuracy on labelled data")
    assert "120 records of data.jsonl, with 95 % intervals; at least 90 was asked for." in text
    assert "bundle onnxruntime 57.50 (48.33 to 65.00) –" in text
    assert "checkpoint onnxruntime not finite (48.33 to 65.00) -41.67 (-50.00 to -33.00)" in text
    assert "third onnxruntime not run –" in text
    assert "third: not run: no GPU" in text
    assert "no interval" not in text
    flat = {"name": "macro F1", "unit": "points of 100", "value": 0.0, "low": 0.0, "high": 0.0}
    evaluation["runs"] = [run | {"metrics": [metric, flat]}, other | {"metrics": [metric, flat]}]
    text = text_of(html_from_values(FULL | {"passed": False, "evaluation": evaluation}))
    assert "bundle; checkpoint: the bootstrap has no interval for macro F1: no resample differs from the records." in text


def test_what_did_not_run_is_never_called_compared():
    rows = [row for row in FULL["rows"] if row["status"] == "not run"]
    verdict = verdict_from_values(FULL | {"passed": False, "rows": rows, "shipped": "C++ runtime"})
    assert verdict.sentences == (
        "The bundle's runtime, C++ runtime, did not run on this host. The numbers are of the graph that it was built from.",
        "Nothing ran.",
    )
    assert verdict.counts == {"passed": 0, "failed": 0, "not run": 2}


def test_a_row_may_fail_for_a_reason_alone():
    row = FULL["rows"][-1] | {"status": "failed", "reason": "its process ended"}
    verdict = verdict_from_values(FULL | {"passed": False, "rows": [row], "shipped": "C++ runtime"})
    assert verdict.sentences[0] == "The bundle's runtime, C++ runtime, failed: its process ended."
    page = html_from_values(FULL | {"passed": False, "rows": [*FULL["rows"][:-1], row]})
    assert f"Failed {row['name']}: its process ended" in text_of(page)


def test_the_same_values_make_the_same_page():
    assert html_from_values(FULL) == html_from_values(copy.deepcopy(FULL))


def test_only_the_pages_own_script_may_run_and_nothing_may_be_asked_for():
    page = html_from_values(FULL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.replace("&#39;", "'").startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + digest)
    assert "unsafe-inline'; base-uri" not in policy
    addresses = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert {address for address in addresses if not address.startswith("#")} == {"parity.json", "parity.junit.xml"}


def test_names_and_texts_are_never_markup():
    values = json.loads(json.dumps(FULL).replace("OpenVINO", json.dumps(HOSTILE)[1:-1]).replace("block 1", "$block$ 1"))
    values["worst"][0]["text"] = values["rows"][2]["reason"] = HOSTILE
    page = html_from_values(values)
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(" in page
    assert ">$block$ 1<" in page


def test_parts_of_charts_have_names_of_their_own():
    page = html_from_values(FULL)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert {*re.findall(r"url\(#([^)]+)\)", page), *re.findall(r'href="#([^"]+)"', page)} <= set(names)


def test_columns_without_figures_are_left_out():
    page = html_from_values(FAILED)
    assert "top 5 agree" not in page
    assert "KL" not in page
    assert "ms, median" not in page
    values = copy.deepcopy(FULL)
    values["rows"][0]["outputs"]["logits"]["top5"] = 0.8
    assert "top 5 agree" in html_from_values(values)


@pytest.mark.parametrize(
    ("figures", "share"),
    [
        ((2.0, 1.0, 8.0, 2.0), 0.5),
        ((0.0, 0.0, 0.0, 0.0), 0.0),
        ((1.0, 0.0, 0.0, 0.0), None),
        ((None, 1.0, 8.0, 2.0), None),
    ],
)
def test_the_share_of_a_limit_is_the_larger_of_two(figures, share):
    output = dict(zip(("max_abs", "mean_abs", "limit_max_abs", "limit_mean_abs"), figures, strict=True))
    assert share_of_limit(output | {"from_emulation": None}) == share
    apart = {"median_abs": 0.0, "mean_abs": 3.0, "limit_median_abs": 0.0, "limit_mean_abs": 1.0}
    assert share_of_limit(output | {"from_emulation": apart}) == (None if share is None else 3.0)


def test_what_a_logarithm_cannot_show_is_said():
    said = "Where there is no mark the error is zero or not finite."
    assert said not in html_from_values(FULL)
    assert said in html_from_values(FULL | {"layers": [{"name": "embeddings", "max_rel": 0.0, "mean_rel": 0.0}, *FULL["layers"]]})


# ---- charts


def said(svg):
    return ElementTree.fromstring(svg).attrib["aria-label"]


def test_layers_are_said_in_words():
    layers = [{"name": "embeddings", "max_rel": 0.0, "mean_rel": 0.0}, {"name": "block 0", "max_rel": None, "mean_rel": 1e-3}]
    assert said(svg_from_layers(layers)) == (
        "Relative error after each layer. embeddings: largest 0, mean 0. block 0: largest not finite, mean 1.0e-03."
    )
    assert "largest 0, mean 0" in said(svg_from_layers(layers[:1]))
    assert svg_from_layers([]) is None
    many = [{"name": f"block {i}", "max_rel": 1e-9 * 4**i, "mean_rel": 1e-9} for i in range(12)]
    assert "block 11: largest 4.2e-03, mean 1.0e-09" in said(svg_from_layers(many))


def test_a_histogram_says_where_most_errors_are():
    histogram = {"row": "engine", "log10_edges": [-4, -3, -2, -1], "counts": {"start": [1, 5, 0], "end": [0, 0, 0]}}
    assert said(svg_from_histogram(histogram, {"start": 0.05})) == (
        "How often which error occurs in engine. start: 6 values, most of them from 1.0e-03 to "
        "1.0e-02, none above 1.0e-02; the limit is 5.0e-02. end: no values."
    )


@pytest.mark.parametrize("count", [4, 9, 26, 60])
def test_a_histogram_is_marked_at_powers_of_ten(count):
    edges = [-13 + i / 2 for i in range(count + 1)]
    svg = svg_from_histogram({"row": "engine", "log10_edges": edges, "counts": {"start": [1] * count}}, {})
    marks = re.findall(r">(1e[^<]*)<", svg)
    assert len(marks) > 1
    assert all(re.fullmatch(r"1e-?\d+", mark) for mark in marks)


def test_headroom_names_the_largest_tensor_of_each_layer():
    headroom = {"limit": 65504.0, "layers": {"embeddings": {"sum": 3.0, "norm": 11.0}, "0": {"mixing sum": 36.4}, "head": {}}}
    assert said(svg_from_headroom(headroom)) == (
        "Largest magnitude of each layer; fp16 ends at 65504. embeddings: 11 (norm). 0: 36.4 (mixing sum)."
    )
    assert svg_from_headroom({"limit": 65504.0, "layers": {}}) is None


def test_times_are_said_with_their_names():
    assert said(svg_from_times({"a": 1.25, "b": 20.0}, marked="b", title="Latency")) == "Latency. a: 1.25 ms. b: 20 ms."
    assert said(svg_from_times({"a": 1210.4}, marked="a", title="Latency")) == "Latency. a: 1,210 ms."
    assert svg_from_times({}, marked="", title="Latency") is None


# ---- words


def test_figures_in_words():
    assert [figure(value) for value in (None, 0.0, 1.234e-5)] == ["not finite", "0", "1.2e-05"]
    assert [percent(share) for share in (1.0, 0.99999, 0.5, 0.0, 2.5)] == ["100 %", "99.9 %", "50 %", "0 %", "250 %"]
    assert [size(n) for n in (0, 999, 1000, 999_700, 12_345_678, 10**16)] == [
        "0 bytes", "999 bytes", "1 kB", "1 MB", "12.3 MB", "1e+04 TB",
    ]  # fmt: skip
    assert [milliseconds(value) for value in (0.0123, 99.96, 999.4, 999.6, 12_345.0)] == ["0.0123", "100", "999", "1,000", "12,345"]
    assert [counted(n, "text") for n in (0, 1, 2)] == ["0 texts", "1 text", "2 texts"]
