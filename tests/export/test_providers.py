"""Providers of ONNX Runtime in the commands of bundles. No host of these tests has a GPU (tests/unit/runtime/test_providers.py)."""

import html
import json

import onnxruntime
import pytest
from click.testing import CliRunner
from fnet_runtime.sessions import providers
from fnet_runtime.sessions.providers import PROVIDERS, Provider
from support.exports import export, options_from

from fnet_export.base.errors import OptionError
from fnet_export.benchmark.benchmark import subjects_from_bundles
from fnet_export.commands.cli import main
from fnet_export.parity.report.evidence import values_from_evidence
from fnet_export.parity.report.junit import junit_from_values
from fnet_export.parity.report.page import html_from_values
from fnet_export.parity.report.terminal import table_from_report
from fnet_export.plan.command_line import words_from_options

AZURE = Provider(name="cuda", ort_name="AzureExecutionProvider")
NOT_IN_BUILD = "has no CUDAExecutionProvider in this build"

if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
    pytest.skip("this ONNX Runtime has the providers of GPUs", allow_module_level=True)


@pytest.fixture
def azure(monkeypatch):
    """A provider that is called `cuda` and takes no node."""
    monkeypatch.setitem(providers.PROVIDERS, "cuda", AZURE)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": "200"})


# ---- verify


def test_verify_says_what_a_provider_needs(openvino_bundle):
    shown = run("verify", openvino_bundle, "--provider", "cuda", "--json")
    (row,) = json.loads(shown.stdout)["rows"]
    assert (shown.exit_code, row["runtime"], row["status"]) == (4, "onnxruntime, cuda", "not run")
    assert NOT_IN_BUILD in row["reason"]


def test_verify_refuses_nodes_on_the_cpu_unless_they_are_allowed(whole_bundle, azure):
    words = ["verify", whole_bundle, "--provider", "cuda"]
    shown = run(*words)
    assert (shown.exit_code, "did not take 64 of 64 nodes" in shown.stdout) == (4, True)
    shown = run(*words, "--allow-partial", "--json")
    (row,) = json.loads(shown.stdout)["rows"]
    assert (shown.exit_code, row["status"], row["reason"]) == (0, "passed", None)
    assert row["notes"][0].startswith("AzureExecutionProvider did not take 64 of 64 nodes: ")
    assert "onnxruntime, cuda: AzureExecutionProvider did not take" in run(*words, "--allow-partial").stdout
    assert run("verify", whole_bundle, "--allow-partial").exit_code == 1


# ---- bench


def test_bench_pairs_bundles_with_providers(whole_bundle):
    subjects = subjects_from_bundles([whole_bundle], ["auto"], ["cpu", "cuda"], allow_partial=True)
    assert [subject.opener for subject in subjects] == ["onnxruntime", "onnxruntime, cuda"]
    assert [subject.allow_partial for subject in subjects] == [False, True]


def test_bench_reports_a_provider_that_cannot_be_measured(whole_bundle):
    words = ["bench", whole_bundle, "--rounds", 2, "--provider", "cpu", "--provider", "cuda", "--json", "--quiet"]
    shown = run(*words)
    values = json.loads(shown.stdout)
    measured, failed = values["cases"][0]["results"]
    assert (shown.exit_code, measured["status"], failed["status"]) == (4, "measured", "not measured")
    assert NOT_IN_BUILD in failed["reason"]
    assert [bundle["provider"] for bundle in values["bundles"]] == ["cpu", "cuda"]
    assert any("does not include memory on the GPU" in note for note in values["notes"])


def test_bench_says_which_rows_ran_partly_on_the_cpu(whole_bundle, azure, monkeypatch, tmp_path):
    script = tmp_path / "worker.py"  # a process of its own, which needs the stand-in as well
    script.write_text(
        "from fnet_export.benchmark.worker import main\n"
        "from fnet_runtime.sessions.providers import PROVIDERS, Provider\n"
        "PROVIDERS['cuda'] = Provider(name='cuda', ort_name='AzureExecutionProvider')\n"
        "main()\n"
    )
    monkeypatch.setattr("fnet_export.benchmark.benchmark.WORKER", [str(script)])
    words = ["bench", whole_bundle, "--rounds", 2, "--provider", "cpu", "--provider", "cuda", "--allow-partial"]
    shown = run(*words, "--batch-size", 1, "--batch-size", 2, "--chart", tmp_path / "chart.svg")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("onnxruntime, cuda, partly on the CPU") == 2
    assert shown.stdout.count("onnxruntime, cuda: AzureExecutionProvider did not take 64 of 64 nodes: ") == 1
    assert "onnxruntime, cuda, partly on the CPU: text " in (tmp_path / "chart.svg").read_text()
    on_cpu, in_part = json.loads(run(*words, "--json").stdout)["cases"][0]["results"]
    assert on_cpu["notes"] == []
    assert in_part["notes"][0].startswith("AzureExecutionProvider did not take 64 of 64 nodes: ")


# ---- export


def test_an_export_refuses_a_provider_that_is_missing_before_it_begins(checkpoint, tmp_path):
    words = ["--model", checkpoint, "--target", "onnx", "--output", tmp_path / "b", "--provider", "cuda", "--dry-run"]
    shown = run("--task", "sequence-classification", *words)
    assert (shown.exit_code, NOT_IN_BUILD in shown.stderr) == (4, True)
    with pytest.raises(OptionError, match="--allow-partial: is for a provider of a GPU; add --provider, or leave it out"):
        options_from(allow_partial=True, target="onnx", task="sequence-classification")


def test_parity_runs_the_graph_by_a_provider(checkpoint, tmp_path, azure):
    done = export(checkpoint, tmp_path / "b", provider="cuda", allow_partial=True)
    row = done.evidence.parity.rows[-1]
    assert (row.name, row.status) == ("ONNX Runtime, AzureExecutionProvider, final graph", "passed")
    (note,) = row.notes
    assert note.startswith("AzureExecutionProvider did not take 64 of 64 nodes: ")
    assert [each.notes for each in done.evidence.parity.rows[:-1]] == [()] * (len(done.evidence.parity.rows) - 1)
    assert f"{row.name}: {note}" in table_from_report(done.evidence.parity).caption
    values = values_from_evidence(done.evidence)
    assert [each["notes"] for each in values["rows"]][-1] == [note]
    page = html_from_values(values)
    assert (f"<p>{html.escape(f'{row.name}: {note}.')}</p>" in page, page.count("partly on the CPU")) == (True, 1)
    assert note in junit_from_values(values)
    options = options_from(provider="cuda", allow_partial=True, target="onnx")
    assert words_from_options(options)[-3:] == ["--provider", "cuda", "--allow-partial"]
    assert list(PROVIDERS)[1] == "cuda"
