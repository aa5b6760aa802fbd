"""The C++ runtime against the Python one: the same bytes from fnet-run, the same refusals."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import export, replaced, save_tiny
from fnet_runtime.pipelines import load

from fnet_core.tasks import TASKS

ROOT = Path(__file__).parents[2]
CPP = ROOT / "runtimes" / "cpp"

HARD = "My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé 😀 [MASK]"
LONG = HARD * 6
TEXTS = [HARD, "", 'a  b\t"q"\\ \x7f \x01', LONG, *(f"line {i} is [MASK] here" for i in range(13))]
CONTEXT = "the second text, 1,000 times."


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Exports the tiny model of a task once."""
    folder = tmp_path_factory.mktemp("cpp")

    @cache
    def bundle(task, **options):
        name = "-".join([task, *map(str, options.values())])
        return export(save_tiny(folder / f"{name}-checkpoint", task), folder / name, task=task, **options).folder

    return bundle


def python_run(built, *words, **options):
    environment = built.environment | {"PYTHONPATH": str(ROOT / "runtimes" / "python"), "COLUMNS": "80"}
    command = [sys.executable, "-c", "from fnet_runtime.cli import main; main(prog_name='fnet-run')", *words]
    return subprocess.run(command, env=environment, capture_output=True, **options)


def assert_same_run(built, *words, **options):
    ours, theirs = built.run(*words, **options), python_run(built, *words, **options)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    return ours


def test_its_own_tests_pass(built):
    done = subprocess.run([built.folder / "tests" / "fnet_tests"], env=built.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- answers


CASES = {
    "feature-extraction": [[], ["--pair", CONTEXT]],
    "pretraining": [["--pair", CONTEXT]],
    "masked-lm": [["--top-k", "3"]],
    "next-sentence-prediction": [["--pair", CONTEXT]],
    "sequence-classification": [[], ["--pair", CONTEXT]],
    "multiple-choice": [["--pair", "one", "--pair", "two, 2", "--pair", "3"]],
    "token-classification": [[]],
    "question-answering": [["--pair", CONTEXT], ["--pair", LONG * 3], ["--pair", "  "]],
}


@pytest.mark.parametrize("task", TASKS)
def test_fnet_run_prints_the_bytes_that_python_prints(built, bundles, task):
    bundle = bundles(task)
    for case in CASES[task]:
        texts = {"masked-lm": [HARD, "[MASK]", "   [MASK]", LONG], "question-answering": ["what?", "", "10, ``a''"]}.get(
            task, TEXTS
        )
        words = [bundle, *(word for text in texts for word in ("--text", text)), *case]
        assert assert_same_run(built, *words, "--json").returncode == 0
        assert_same_run(built, *words)
    assert assert_same_run(built, bundle, "--self-test", "--json").returncode == 0
    assert_same_run(built, bundle, "--self-test")


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("sequence-classification", {"precision": "int8"}),
        ("masked-lm", {"predict_positions": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_graphs_too(built, bundles, task, options):
    bundle = bundles(task, **options)
    done = assert_same_run(built, bundle, "--json", "--text", HARD, "--text", "[MASK] [MASK] [MASK] x", "--text", "[MASK]")
    assert done.returncode == 0
    assert assert_same_run(built, bundle, "--self-test", "--json").returncode == 0


@pytest.mark.parametrize("problem_type", ["multi_label_classification", "regression"])
def test_scores_of_other_problem_types(built, bundle, problem_type):
    config = json.loads((bundle / "config.json").read_text()) | {"problem_type": problem_type}
    replaced(bundle, "config.json", json.dumps(config).encode())
    assert assert_same_run(built, bundle, "--json", "--text", HARD, "--text", "a").returncode == 0


def test_lines_of_a_file_and_of_standard_input(built, whole_bundle, tmp_path):
    (tmp_path / "texts").write_bytes(b"one\r\ntwo\n\nthree")
    for words in (["--file", tmp_path / "texts"], ["-"], ["-", "--file", tmp_path / "texts", "--text", "x"]):
        for lines in ([], ["--lines"]):
            assert assert_same_run(built, whole_bundle, *words, *lines, "--json", input=b"a\n\nb\n").returncode == 0
    assert assert_same_run(built, whole_bundle, "-", "--lines", input=b"").stdout == b""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["-h"], 0),
        (["x"], 2),
        (["x", "--text"], 2),
        (["x", "y"], 2),
        (["x", "-", "z"], 2),
        (["x", "--text", "a", "--self-test"], 2),
        (["x", "--top-k", "0", "--text", "a"], 2),
        (["x", "--top-k", "z", "--text", "a"], 2),
        (["x", "--threads", "9999", "--text", "a"], 2),
        (["x", "--runtime", "other", "--text", "a"], 2),
        (["./no//bundle/", "--text", "a"], 1),
        (["BUNDLE", "--text", b"\xc3\xa9\xff"], 1),
        (["BUNDLE", "--file", "./no-file"], 1),
        (["BUNDLE", "--file", "BUNDLE/golden.safetensors"], 1),
        (["BUNDLE", "--text", "a", "--pair", "b", "--pair", "c"], 1),
        (["BUNDLE", "--text", "a", "--runtime", "openvino"], 1),
    ],
)
def test_what_fnet_run_refuses(built, whole_bundle, words, code):
    named = [w if isinstance(w, bytes) else w.replace("BUNDLE", str(whole_bundle)) for w in words]
    assert assert_same_run(built, *named).returncode == code


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("masked-lm", []),
        ("masked-lm", ["--pair", "b"]),
        ("pretraining", []),
        ("next-sentence-prediction", []),
        ("question-answering", []),
        ("question-answering", ["--pair", "word " * 40, "--text", "word " * 40]),
        ("multiple-choice", []),
    ],
)
def test_requests_that_a_task_does_not_take(built, bundles, task, words):
    assert assert_same_run(built, bundles(task), "--text", "a", *words).returncode == 1


# ---- bundles that are not whole


def change_manifest(**changes):
    def change(bundle):
        path = bundle / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_manifest(format_version=2),
        change_manifest(task="other"),
        change_manifest(task="masked-lm"),
        change_manifest(target="other"),
        change_manifest(target="openvino"),
        change_manifest(precision="bf16"),
        change_manifest(more=1),
        change_manifest(labels=["A", "B"]),
        change_manifest(labels=["A", 3]),
        change_manifest(labels={"it's": [None, 1.5, "\n"]}),
        change_manifest(sequence_length=16),
        change_manifest(sequence_length=-1),
        change_manifest(pad_token_id=0),
        change_manifest(files={}),
        change_manifest(files={"../x": {"sha256": "", "size_bytes": 0}}),
        change_manifest(inputs=[]),
        change_manifest(outputs=[]),
        change_manifest(tokenizer={"flavour": "sentencepiece", "do_lower_case": True, "keep_accents": True, "remove_space": True}),
        lambda bundle: (bundle / "config.json").unlink(),
        lambda bundle: (bundle / "config.json").write_text("{}"),
        lambda bundle: (bundle / "model.onnx.data").write_text(""),
        lambda bundle: (bundle / "manifest.json").unlink(),
        lambda bundle: shutil.copy(bundle / "config.json", bundle / "spiece.model"),
        lambda bundle: replaced(bundle, "spiece.model", b""),
    ],
)
def test_an_altered_bundle_is_refused_in_the_same_words(built, bundle, change):
    change(bundle)
    assert assert_same_run(built, bundle, "--text", "a").returncode in (1, 4)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("manifest.json", b"{", 1),
        ("manifest.json", b"[" * 100_000, 1),
        ("manifest.json", b'{"a": 1, "a": 1}', 1),
        ("manifest.json", b"\xff", 1),
        ("config.json", b"{}", 1),
        ("config.json", b'{"vocab_size": "1"}', 1),
        ("spiece.model", b"no model", 1),
        ("model.onnx", b"no graph", 4),
    ],
)
def test_a_file_of_something_else_is_refused_with_the_same_code(built, bundle, name, data, code):
    if name == "manifest.json":
        (bundle / name).write_bytes(data)
    else:
        replaced(bundle, name, data)
    ours, theirs = built.run(bundle, "--text", "a"), python_run(built, bundle, "--text", "a")
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout) == (code, b"")
    assert ours.stderr.split(b"(")[0] == theirs.stderr.split(b"(")[0]


def test_a_graph_of_another_task_is_refused(built, bundle):
    change_manifest(task="token-classification")(bundle)
    done = built.run(bundle, "--text", "a")
    assert done.returncode == 4
    assert done.stderr == b"error: logits: the graph's output has other axes than token-classification has\n"


@pytest.mark.parametrize("data", [b"", b"\xff" * 9, b"\x02" + b"\0" * 7 + b"{}"])
def test_a_golden_file_of_something_else_fails_the_self_test(built, bundle, data):
    replaced(bundle, "golden.safetensors", data)
    ours, theirs = built.run(bundle, "--self-test"), python_run(built, bundle, "--self-test")
    assert (ours.returncode, ours.stderr.split(b"(")[0]) == (theirs.returncode, theirs.stderr.split(b"(")[0])
    assert ours.returncode == 1


def test_a_missing_library_is_told(built, whole_bundle):
    environment = built.environment | {"FNET_ONNXRUNTIME": "/no/libonnxruntime.so"}
    done = subprocess.run([built.folder / "fnet-run", whole_bundle, "--text", "a"], env=environment, capture_output=True, text=True)
    assert done.returncode == 4
    assert "ONNX Runtime's library cannot be opened (/no/libonnxruntime.so: " in done.stderr
    assert "install it, or name its file in FNET_ONNXRUNTIME" in done.stderr


def test_onnxruntime_neither_sends_nor_keeps_usage_data(built, whole_bundle, tmp_path):
    unset = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in built.environment.items() if name not in unset} | {"HOME": str(tmp_path)}
    subprocess.run([built.folder / "fnet-run", whole_bundle, "--text", "a"], env=environment, check=True, capture_output=True)
    assert not list(tmp_path.iterdir())


# ---- the C interface and the package


class Request(ctypes.Structure):
    """fnet_request."""

    _fields_ = (
        ("text", ctypes.c_char_p),
        ("text_bytes", ctypes.c_size_t),
        ("seconds", ctypes.POINTER(ctypes.c_char_p)),
        ("second_count", ctypes.c_size_t),
        ("top_k", ctypes.c_int),
    )


class Config(ctypes.Structure):
    """fnet_config."""

    _fields_ = (("runtime", ctypes.c_char_p), ("threads", ctypes.c_int), ("library", ctypes.c_char_p))


@pytest.fixture(scope="session")
def library(built):
    found = ctypes.CDLL(str(built.folder / "libfnet_runtime.so"))
    found.fnet_last_error.restype = found.fnet_task.restype = ctypes.c_char_p
    found.fnet_task.argtypes = found.fnet_close.argtypes = found.fnet_free.argtypes = [ctypes.c_void_p]
    return found


def c_answer(library, pipeline, text, *seconds, top_k=0):
    data = text.encode()
    words = (ctypes.c_char_p * len(seconds))(*(s.encode() for s in seconds)) if seconds else None
    answer = ctypes.c_void_p()
    request = Request(data, len(data), words, len(seconds), top_k)
    code = library.fnet_run(pipeline, ctypes.byref(request), ctypes.byref(answer))
    if code:
        assert not answer
        return code, library.fnet_last_error().decode()
    told = json.loads(ctypes.string_at(answer))
    library.fnet_free(answer)
    return code, told


def test_the_c_interface_answers_as_python_does(built, library, bundles):
    bundle = bundles("multiple-choice")
    pipeline = ctypes.c_void_p()
    config = Config(None, 1, os.fsencode(built.environment["FNET_ONNXRUNTIME"]))
    assert library.fnet_open(os.fsencode(bundle), ctypes.byref(config), ctypes.byref(pipeline)) == 0
    assert library.fnet_task(pipeline) == b"multiple-choice"
    answer = load(bundle)("a\0b", ["one", "two"])
    assert c_answer(library, pipeline, "a\0b", "one", "two") == (0, {**vars(answer), "scores": list(answer.scores)})
    assert c_answer(library, pipeline, "a") == (2, "multiple-choice: expected a list of choices (pair), each a text")
    assert c_answer(library, pipeline, "a", "b", top_k=-1) == (2, "top_k: expected an integer from 1, found -1")
    assert library.fnet_run(pipeline, None, None) == 2
    assert b"found null" in library.fnet_last_error()
    library.fnet_close(pipeline)
    assert library.fnet_open(b"/no", None, ctypes.byref(pipeline)) == 1
    assert not pipeline
    assert library.fnet_last_error().startswith(b"/no/manifest.json: cannot be read (")
    library.fnet_close(None)
    library.fnet_free(None)


def test_the_installed_package_builds_the_c_example(built, whole_bundle, tmp_path):
    subprocess.run(["cmake", "--install", built.folder, "--prefix", tmp_path / "usr"], check=True, capture_output=True)
    source = tmp_path / "app"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(app C CXX)\nfind_package(fnet_runtime REQUIRED)\n"
        f"add_executable(app {CPP}/examples/classify.c)\ntarget_link_libraries(app fnet::runtime)\n"
    )
    for command in (["-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={tmp_path}/usr"], ["--build", source / "build"]):
        done = subprocess.run(["cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run([source / "build" / "app", whole_bundle, HARD], env=built.environment, capture_output=True, check=True)
    assert told.stdout == built.run(whole_bundle, "--json", "--text", HARD).stdout
    config = next((tmp_path / "usr").rglob("fnet_runtime.pc"))
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "fnet_runtime"],
        env=os.environ | {"PKG_CONFIG_PATH": str(config.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "-lfnet_runtime" in flags
