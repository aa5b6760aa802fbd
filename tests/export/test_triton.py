"""Model repositories of a Triton server: what is written, what is refused, and what the models answer with a stand-in server."""

import json
import shutil

import fnet_runtime
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST, manifest_from_folder
from fnet_runtime.pipeline.model import Question
from fnet_runtime.triton.questions import check_question
from google.protobuf.text_format import ParseError
from support.triton_backend import Request, texts
from support.triton_models import check_answers, opened, write
from support.triton_schema import config_of, schema

from fnet_export.base.errors import OptionError, OutputError
from fnet_export.bundle.triton.options import RepositoryOptions, ServingOptions
from fnet_export.bundle.triton.pbtxt import text_from_fields
from fnet_export.bundle.triton.releases import server_of_engine
from fnet_export.bundle.triton.repository import plan_from_options, repository_from_plan
from fnet_export.commands import cli


def run(*arguments):
    return CliRunner().invoke(cli.main, ["triton", *(str(argument) for argument in arguments)])


@pytest.mark.parametrize(("task", "padding"), [("sequence-classification", "max_length"), ("feature-extraction", "none")])
def test_it_answers_as_the_runtime_does(task, padding, bundles, tmp_path, monkeypatch):
    check_answers(bundles, task, padding, tmp_path, monkeypatch)


def test_a_repository_holds_a_checked_copy_and_nothing_else(whole_bundle, tmp_path):
    done = run(whole_bundle, "--repository", tmp_path / "models", "--name", "spam", "--quiet", "--json")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "models" / "spam"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["spam"]
    manifest = manifest_from_folder(folder / "1" / "bundle")
    assert {path.name for path in (folder / "1" / "bundle").iterdir()} == {MANIFEST, *manifest.files}
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "fnet-export.json", "labels.txt"]
    assert (folder / "labels.txt").read_text() == "A\nB\nC\n"
    config = config_of(folder)
    assert config.output[1].label_filename == "labels.txt"
    values = json.loads(done.stdout)
    assert (values["written"], values["models"][0]["folders"][0]["config"]) == (True, (folder / "config.pbtxt").read_text())
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {*values["models"][0]["folders"][0]["files"], "fnet-export.json"} == written


def test_what_the_options_say_is_in_the_configuration(whole_bundle, tmp_path):
    words = [
        "--instances",
        "2",
        "--threads",
        "3",
        "--max-batch-size",
        "16",
        "--queue-delay-us",
        "500",
        "--max-queue-size",
        "9",
        "--max-text-bytes",
        "77",
    ]
    folders = ["--packages", "/opt/one", "--packages", "/opt/two"]
    assert run(whole_bundle, "--repository", tmp_path, "--name", "m", *words, *folders).exit_code == 0
    config = config_of(tmp_path / "m")
    assert (config.instance_group[0].count, config.instance_group[0].kind) == (2, schema().ModelInstanceGroup.KIND_CPU)
    assert config.max_batch_size == 16
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 9
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "runtime": "auto",
        "threads": "3",
        "max_text_bytes": "77",
    }
    assert "sys.path[:0] = ['/opt/one', '/opt/two']" in (tmp_path / "m" / "1" / "model.py").read_text()


def test_a_dry_run_writes_nothing(whole_bundle, tmp_path):
    done = run(whole_bundle, "--repository", tmp_path / "models", "--dry-run")
    assert (done.exit_code, "(not written)" in done.stdout, list(tmp_path.iterdir())) == (0, True, [])
    assert "tritonserver --model-repository" in done.stdout


def test_several_bundles_become_several_models(whole_bundle, tmp_path):
    copies = [shutil.copytree(whole_bundle, tmp_path / name) for name in ("one", "two")]
    assert run(*copies, "--repository", tmp_path / "models").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["one", "two"]
    (copies[1] / "config.json").write_text("{}")
    done = run(*copies, "--repository", tmp_path / "others")
    assert (done.exit_code, (tmp_path / "others").exists()) == (1, False)
    assert "config.json: the file was altered" in done.stderr


def test_a_bundle_that_changes_meanwhile_leaves_nothing(whole_bundle, tmp_path):
    copies = [shutil.copytree(whole_bundle, tmp_path / name) for name in ("one", "two")]
    plan = plan_from_options(RepositoryOptions(bundles=tuple(copies), repository=tmp_path / "models"))
    (copies[1] / "config.json").write_text("{}")
    with pytest.raises(fnet_runtime.BundleError, match="altered"):
        repository_from_plan(plan, on_stage=lambda title: None)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_is_added_and_the_others_stay(whole_bundle, tmp_path, monkeypatch):
    write(whole_bundle, tmp_path)
    folder = write(whole_bundle, tmp_path, version=2)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "config.pbtxt", "fnet-export.json", "labels.txt"]
    index = json.loads((folder / "fnet-export.json").read_text())
    assert (list(index["bundles"]), {"1", "2"} <= set(index["files"])) == (["1", "2"], True)
    (response,) = opened(folder, monkeypatch, version=2).execute([Request(text=texts(["a"]))])
    assert response.error is None
    write(whole_bundle, tmp_path, force=True)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "fnet-export.json", "labels.txt"]


def refused(kind, words, make, *arguments, **options):
    with pytest.raises(kind) as error:
        make(*arguments, **options)
    assert words in str(error.value)


def test_what_exists_is_refused(whole_bundle, bundles, tmp_path):
    folder = write(whole_bundle, tmp_path)
    refused(OutputError, "has a version 1 already; choose another --name", write, whole_bundle, tmp_path)
    words = "config.pbtxt: all versions of a model share this file"
    refused(OutputError, words, write, whole_bundle, tmp_path, version=2, serving=ServingOptions(instances=2))
    refused(OutputError, words, write, bundles("masked-lm"), tmp_path, version=2)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "fnet-export.json", "labels.txt"]
    (folder / "notes").write_text("mine")
    refused(OutputError, "found also notes", write, whole_bundle, tmp_path, force=True)
    (tmp_path / "strange").mkdir()
    refused(OutputError, "is not a model that fnet-export triton wrote", write, whole_bundle, tmp_path, name="strange")
    for text in ("{}", "[]", '{"format_version": 2}', '{"format_version": 1, "form": "", "bundles": 1, "files": 1}'):
        (tmp_path / "strange" / "fnet-export.json").write_text(text)
        refused(OutputError, "is not a model that fnet-export triton wrote", write, whole_bundle, tmp_path, name="strange")
    index = json.loads((folder / "fnet-export.json").read_text())
    (folder / "fnet-export.json").write_text(json.dumps(index | {"form": "other"}))
    refused(OutputError, "has the form other; a version of it cannot have the form whole", write, whole_bundle, tmp_path, version=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bundles": ()}, "expected at least one bundle"),
        ({"form": "half"}, "unknown form 'half'"),
        ({"version": 0}, "version: expected a number from 1, found 0"),
        ({"bundles": ("a", "b"), "name": "x"}, "name: expected one bundle, found 2"),
        ({"name": "../x"}, "'../x': is not a model's name"),
        ({"bundles": ("one/spam", "two/spam")}, "two bundles have one name (spam, spam)"),
    ],
)
def test_options_that_do_not_go_together(options, words, tmp_path):
    values = {"bundles": ("spam",), "repository": tmp_path} | options
    values["bundles"] = tuple(tmp_path / name for name in values["bundles"])
    refused(OptionError, words, RepositoryOptions, **values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runtime": "torch"}, "unknown runtime 'torch'"),
        ({"instances": 0}, "instances: expected a number from 1, found 0"),
        ({"queue_delay_us": -1}, "queue_delay_us: expected a number from 0, found -1"),
        ({"threads": 0}, "threads: expected 1 to 1024, found 0"),
    ],
)
def test_values_out_of_range(options, words):
    refused(OptionError, words, ServingOptions, **options)


def test_packages_are_named_as_the_server_sees_them(whole_bundle, tmp_path):
    done = run(whole_bundle, "--repository", tmp_path, "--packages", "packages")
    assert (done.exit_code, "packages: expected absolute paths" in done.stderr) == (2, True)


def test_a_runtime_that_the_bundle_has_no_file_for(whole_bundle, tmp_path):
    refused(
        fnet_runtime.InputError,
        "has no engine for openvino",
        write,
        whole_bundle,
        tmp_path,
        serving=ServingOptions(runtime="openvino"),
    )


def relabelled(bundle, labels):
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(manifest | {"labels": labels}))
    return bundle


def test_labels_that_a_file_cannot_hold(bundle, tmp_path):
    refused(
        OutputError,
        "expected labels of one line each for labels.txt, found 'B\\nC'",
        write,
        relabelled(bundle, ["A", "B\nC", "D"]),
        tmp_path,
    )


def test_a_label_twice_has_no_scores(bundle, tmp_path):
    folder = write(relabelled(bundle, ["A", "A", "B"]), tmp_path)
    assert ([output.name for output in config_of(folder).output], (folder / "labels.txt").exists()) == (["answer"], False)


def test_an_answer_that_would_be_too_large(bundles):
    pipeline = fnet_runtime.load(bundles("masked-lm"))
    check_question(pipeline, Question("[MASK] " * 9, None, 100))
    check_question(pipeline, Question("[MASK] " + "a" * 90_000, None, 100))
    with pytest.raises(fnet_runtime.InputError, match="for 30 masks with 100 fillers each, which is more than 16777216 bytes"):
        check_question(pipeline, Question("[MASK] " * 10_000, None, 100))


def test_the_notes_name_the_server_of_an_engine(openvino_bundle, tmp_path):
    done = run(openvino_bundle, "--repository", tmp_path, "--name", "m", "--dry-run")
    assert "the server's Python needs fnet-runtime, openvino" in done.stdout
    engine = manifest_from_folder(openvino_bundle).engine
    built = [fnet_engine(engine, version) for version in ("10.13.3.9", "10.99.0.1")]
    assert "nvcr.io/nvidia/tritonserver:25.10-py3" in server_of_engine(built[0])
    assert "run the release of nvcr.io/nvidia/tritonserver that has this version" in server_of_engine(built[1])


def fnet_engine(engine, version):
    return type(engine)(**(vars(engine) | {"version": version}))


def test_the_schema_refuses_an_unknown_field(tmp_path):
    (tmp_path / "config.pbtxt").write_text(text_from_fields({"name": "a", "nonsense": [1, 2], "flag": True}))
    with pytest.raises(ParseError, match="nonsense"):
        config_of(tmp_path)
