"""The C++ runtime against the Python one: the same bytes from fnet-run, the same refusals."""

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST
from fnet_runtime.command.cli import main
from fnet_runtime.errors import BundleError, InputError, SessionError
from fnet_runtime.pipeline.open import load
from support.bundles import replaced
from support.cpp_build import CPP, LIBRARY
from support.hostile import HOSTILE
from support.network import Network

from fnet_core.tasks import TASKS

HARD = "My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé 😀 [MASK]"
LONG = HARD * 6
TEXTS = [HARD, "", 'a  b\t"q"\\ \x7f \x01', LONG, *(f"line {i} is [MASK] here" for i in range(13))]
CONTEXT = "the second text, 1,000 times."


def python_run(*words, input=None):
    """Run the Python program in this process: it answers as if it were started, which would take a second."""
    done = CliRunner().invoke(main, [str(word) for word in words], input=input, prog_name="fnet-run", terminal_width=78)
    return done.exit_code, done.stdout_bytes, done.stderr_bytes


def assert_same_run(built, *words, **options):
    ours = built.run(*words, **options)
    assert (ours.returncode, ours.stdout, ours.stderr) == python_run(*words, **options)
    return ours


def test_its_own_tests_pass(built, tmp_path):
    done = built.run(program="tests/fnet_tests", cwd=tmp_path, text=True)
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


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("task", TASKS)
def test_fnet_run_prints_the_bytes_that_python_prints(built, bundles, task, precision):
    bundle = bundles(task, precision=precision)
    for case in CASES[task]:
        texts = {"masked-lm": [HARD, "[MASK]", "   [MASK]", LONG], "question-answering": ["what?", "", "10, ``a''"]}.get(
            task, TEXTS
        )
        words = [bundle, *(word for text in texts for word in ("--text", text)), *case]
        assert assert_same_run(built, *words, "--json").returncode == 0
        assert_same_run(built, *words)
    assert assert_same_run(built, bundle, "--self-test", "--json").returncode == 0
    assert_same_run(built, bundle, "--self-test")


def test_masked_lm_at_positions(built, bundles):
    bundle = bundles("masked-lm", predict_positions=2)
    done = assert_same_run(built, bundle, "--json", "--text", HARD, "--text", "[MASK] [MASK] [MASK] x", "--text", "[MASK]")
    assert done.returncode == 0
    assert assert_same_run(built, bundle, "--self-test", "--json").returncode == 0


@pytest.mark.parametrize("problem_type", ["multi_label_classification", "regression"])
def test_scores_of_other_problem_types(built, bundle, problem_type):
    config = json.loads((bundle / "config.json").read_text()) | {"problem_type": problem_type}
    manifest = json.loads((bundle / MANIFEST).read_text()) | {"labels": ["A\t", "B\\\n\u2028", "é"]}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    replaced(bundle, "config.json", json.dumps(config).encode())
    for shown in (["--json"], []):
        assert assert_same_run(built, bundle, *shown, "--text", HARD, "--text", "a").returncode == 0


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_scores_of_one_label(built, bundles, problem_type, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles("sequence-classification", labels=("spam",)), bundle)
    config = json.loads((bundle / "config.json").read_text()) | {"problem_type": problem_type}
    replaced(bundle, "config.json", json.dumps(config).encode())
    done = assert_same_run(built, bundle, "--json", "--text", HARD, "--text", "a")
    scores = [json.loads(line)["score"] for line in done.stdout.splitlines()]
    assert all(0 < score < 1 for score in scores) == (problem_type is None)
    assert_same_run(built, bundle, "--text", HARD, "--text", "a")


@pytest.mark.parametrize("shown", [[], ["--json"]])
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("masked-lm", ["--top-k", "2"]),
        ("sequence-classification", []),
        ("token-classification", []),
        ("question-answering", ["--pair", CONTEXT]),
        ("question-answering", []),
        ("multiple-choice", ["--pair", "one", "--pair", LONG]),
    ],
)
def test_bad_lines_have_the_same_errors_in_their_place(built, bundles, task, words, shown, tmp_path):
    lines = [f"{text} [MASK]".encode() for text in TEXTS] + [b"caf\xe9", b"no mask", LONG.encode() * 3, b""]
    path = tmp_path / os.fsdecode(b"texts\xff")
    path.write_bytes(b"\n".join(lines) + b"\n")
    command = [bundles(task), "--lines", "--text", "x", *words, *shown]
    done = assert_same_run(built, *command, "-", input=path.read_bytes() * 9)
    if words or task not in ("question-answering", "multiple-choice"):
        assert (done.returncode, done.stdout.count(b"not UTF-8 (byte 3)")) == (1, 9)
    ours = built.run(*command, "--file", path)
    assert (ours.returncode, ours.stdout) == python_run(*command, "--file", path)[:2]


def test_an_answer_comes_before_the_input_ends(built, whole_bundle):
    command = [built.folder / "fnet-run", whole_bundle, "-", "--lines", "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=built.environment, **pipes) as process:
        for _ in range(3):
            process.stdin.write(b"the fox\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["truncated"] is False
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"the fox\n" * 100_000)
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("words", [["--text", "fox"], ["--help"], ["--version"]])
def test_output_that_cannot_be_written(built, whole_bundle, words):
    with Path("/dev/full").open("wb") as full:
        command = [built.folder / "fnet-run", whole_bundle, *words]
        done = subprocess.run(command, env=built.environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: standard output: cannot be written (No space left on device)\n")


def test_a_model_of_one_token_type_takes_one_text(built, bundle):
    config = json.loads((bundle / "config.json").read_text()) | {"type_vocab_size": 1}
    replaced(bundle, "config.json", json.dumps(config).encode())
    assert assert_same_run(built, bundle, "--json", "--text", HARD).returncode == 0
    assert assert_same_run(built, bundle, "--text", "a", "--pair", "b").returncode == 1


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
        (["BUNDLE", "--text", "é", "--max-text-bytes", "1"], 1),
        (["BUNDLE", "--text", "a", "--pair", "bc", "--max-text-bytes", "1"], 1),
    ],
)
def test_what_fnet_run_refuses(built, whole_bundle, words, code):
    named = [w if isinstance(w, bytes) else w.replace("BUNDLE", str(whole_bundle)) for w in words]
    assert assert_same_run(built, *named).returncode == code


OPTIONS = ["--text", "--file", "--pair", "--lines", "--top-k", "--json", "--self-test", "--runtime", "--threads"]
OPTIONS += ["--max-text-bytes", "--version", "--help"]
NUMBERED = ("--top-k", "--threads", "--max-text-bytes")
NUMBERS = ["", "0", "-1", "+5", " 7 ", "007", "-0", "1_000", "1__0", "_1", "1_", "1.5", "0x10", "1e3", "five", "it's", '"', "1025"]
NUMBERS += ["9" * 30, "-" + "9" * 30]
LINES = [line for option in OPTIONS for line in ([option], [option, "--nope"], [f"{option}=x"], ["x", f"{option}="])]
LINES += [["x", "--text", "a", option, number] for option in NUMBERED for number in NUMBERS]
LINES += [["x", f"{option}={number}", "--self-test", "--lines"] for option in NUMBERED for number in NUMBERS]
LINES += map(
    shlex.split,
    """
-x|-hx|-xh|-h=3|-text a|-é|--|--=|--=x|---|--é|--it\\'s|---text|x ''|x it\\'s|''|'' --text a
--texts=a|--TEXT a|--file-name|--topk 3|--run-time auto|--thread|--selftest|--t|--te|--tex|--pairs|--line|--lens|--pi|--self
x y z|x - y|x - y z|x -- --text|x -- - -h|x -- - a b|x --pair a|x --json|--self-test|x --self-test -|x --self-test --pair a
--top-k 0|--top-k 0 --threads 0|--threads 0 --top-k 0|--top-k 0 --top-k 1|--top-k 1 --threads 0 --top-k 0
--nope --help|--help --nope|--version --help|--help --version|--runtime x --help|--runtime AUTO|x --runtime ''
""".strip()
    .replace("\n", "|")
    .split("|"),
)


def misspelt(option):
    """The option without, with a double, and with a swapped character, at every place."""
    for i in range(2, len(option)):
        yield option[:i] + option[i + 1 :]
        yield option[:i] + option[i] + option[i:]
        yield option[:i] + option[i:][1::-1] + option[i + 2 :]


def test_usage_errors_are_those_of_python(built, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    different = []
    for words in [*LINES, *([word] for option in OPTIONS for word in misspelt(option))]:
        ours, theirs = built.run(*words), python_run(*words)
        if (ours.returncode, ours.stdout, ours.stderr) != theirs:
            different.append((words, ours, theirs))
    assert different == []


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


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_the_same_words(built, bundle, name):
    hostile = HOSTILE[name]
    hostile.damage(bundle)
    ours, theirs = built.run(bundle, *hostile.arguments, text=True), CliRunner().invoke(main, [str(bundle), *hostile.arguments])
    assert (ours.returncode, ours.stdout) == (theirs.exit_code, theirs.stdout) == (hostile.exit_code, "")
    assert ours.stderr.split(hostile.own_words)[0] == theirs.stderr.split(hostile.own_words)[0]


def test_a_missing_library_is_told(built, whole_bundle):
    environment = built.environment | {"FNET_ONNXRUNTIME": "/no/libonnxruntime.so"}
    done = subprocess.run([built.folder / "fnet-run", whole_bundle, "--text", "a"], env=environment, capture_output=True, text=True)
    assert done.returncode == 4
    assert "ONNX Runtime's library cannot be opened (/no/libonnxruntime.so: " in done.stderr
    assert "install it, or name its file in FNET_ONNXRUNTIME" in done.stderr
    environment["FNET_ONNXRUNTIME"] = "libm.so.6"
    done = subprocess.run([built.folder / "fnet-run", whole_bundle, "--text", "a"], env=environment, capture_output=True, text=True)
    assert done.stderr == "error: FNET_ONNXRUNTIME: is not ONNX Runtime's library; expected libonnxruntime.so\n"


def test_it_sends_nothing(built, whole_bundle, tmp_path):
    network, home = Network(tmp_path), tmp_path / "home"
    home.mkdir()
    network.run(built.folder / "fnet-run", whole_bundle, "--text", "a", home=home, environment=built.environment)
    assert (network.asked, list(home.iterdir())) == ([], [])


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

    _fields_ = (
        *(("runtime", ctypes.c_char_p), ("threads", ctypes.c_int), ("library", ctypes.c_char_p)),
        *((name, ctypes.c_int) for name in ("device", "contexts", "cuda_graph")),
        ("max_text_bytes", ctypes.c_size_t),
    )


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
    refused = "multiple-choice: expected a list of choices, each a text; give it as pair (fnet-run: --pair for each)"
    assert c_answer(library, pipeline, "a") == (2, refused)
    assert c_answer(library, pipeline, "a", "b", top_k=-1) == (2, "top_k: expected an integer from 1, found -1")
    assert library.fnet_run(pipeline, None, None) == 2
    assert b"found null" in library.fnet_last_error()
    nothing = Request(b"a", 1, (ctypes.c_char_p * 2)(b"one", None), 2, 0)
    assert library.fnet_run(pipeline, ctypes.byref(nothing), ctypes.byref(ctypes.c_void_p())) == 2
    library.fnet_close(pipeline)
    config.max_text_bytes = 3
    assert library.fnet_open(os.fsencode(bundle), ctypes.byref(config), ctypes.byref(pipeline)) == 0
    refused = "expected a text of at most 3 bytes of UTF-8, found 4; max_text_bytes (fnet-run: --max-text-bytes) sets the bound"
    assert c_answer(library, pipeline, "a", "one", "four") == c_answer(library, pipeline, "four", "one") == (2, refused)
    library.fnet_close(pipeline)
    assert library.fnet_open(b"/no", None, ctypes.byref(pipeline)) == 1
    assert not pipeline
    assert library.fnet_last_error().startswith(b"/no/manifest.json: cannot be read (")
    library.fnet_close(None)
    library.fnet_free(None)


CODES = {BundleError: 1, InputError: 2, SessionError: 3}
"""fnet_code, by error."""


@pytest.mark.parametrize("name", [name for name, hostile in HOSTILE.items() if not hostile.self_test])
def test_a_hostile_bundle_has_the_same_code_in_c(library, bundle, name):
    hostile = HOSTILE[name]
    hostile.damage(bundle)
    pipeline = ctypes.c_void_p()
    config = Config(None, 1, os.fsencode(LIBRARY))
    code = library.fnet_open(os.fsencode(bundle), ctypes.byref(config), ctypes.byref(pipeline))
    if code == 0:
        code, _ = c_answer(library, pipeline, "a")
        library.fnet_close(pipeline)
    assert code == CODES[hostile.error]


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


def test_the_installed_package_builds_the_c_example_by_pkg_config_wherever_it_lies(built, whole_bundle, tmp_path):
    subprocess.run(["cmake", "--install", built.folder, "--prefix", tmp_path / "usr"], check=True, capture_output=True)
    (tmp_path / "usr").rename(tmp_path / "a moved prefix")
    config = next((tmp_path / "a moved prefix").rglob("fnet_runtime.pc"))
    environment = built.environment | {"PKG_CONFIG_PATH": str(config.parent), "LD_LIBRARY_PATH": str(config.parents[1])}
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "fnet_runtime"], env=environment, text=True)
    app = tmp_path / "app"
    subprocess.run(["cc", CPP / "examples" / "classify.c", *shlex.split(flags), "-o", app], check=True)
    told = subprocess.run([app, whole_bundle, HARD], env=environment, capture_output=True, check=True)
    assert told.stdout == built.run(whole_bundle, "--json", "--text", HARD).stdout
