"""The C++ runtime against the Python one: fnet-run prints the same JSON and refuses with the same exit codes."""

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
from support.same_answers import assert_same_code, assert_same_json, python_run

from fnet_core.tasks import TASKS

HARD = "My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé 😀 [MASK]"
LONG = HARD * 6
TEXTS = [HARD, "", 'a  b\t"q"\\ \x7f \x01', LONG, *(f"line {i} is [MASK] here" for i in range(13))]
CONTEXT = "the second text, 1,000 times."


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def rows_from_json(task, answer, multi_label=False):
    """The rows that fnet-run prints for people, made of the answer that it prints as JSON."""

    def score(value):
        return f"{value:.4f}"

    def tokens(found):
        return [f"{quoted(t['label'])[1:-1]}\t{score(t['score'])}\t{quoted(t['text'])}\t{t['start']}\t{t['end']}" for t in found]

    def fillers(masks):
        rows = [
            (quoted(f["token"])[1:-1], str(f["token_id"]), score(f["score"]), quoted(f["text"])) for mask in masks for f in mask
        ]
        return list(map("\t".join, rows))

    def follows(found):
        return [f"follows\t{score(found['score'])}" if found["follows"] else f"does not follow\t{score(1 - found['score'])}"]

    rows = {
        "feature-extraction": lambda a: [
            f"tokens float32[{len(a['tokens'])}, {len(a['tokens'][0])}]\tpooled float32[{len(a['pooled'])}]"
        ],
        "pretraining": lambda a: fillers(a["fillers"]) + follows(a["next_sentence"]),
        "masked-lm": lambda a: fillers(a["masks"]),
        "next-sentence-prediction": follows,
        "sequence-classification": lambda a: [f"{quoted(a['label'])[1:-1]}\t{score(a['score'])}"],
        "multiple-choice": lambda a: [f"{a['index']}\t{quoted(a['text'])}\t{score(a['score'])}"],
        "token-classification": lambda a: tokens(a["tokens"]),
        "question-answering": lambda a: [f"{quoted(s['text'])}\t{score(s['score'])}\t{s['start']}\t{s['end']}" for s in a],
    }[task](answer)
    return rows or ["(nothing)"]


ROWS = ("pretraining", "masked-lm", "token-classification", "question-answering")
"""Tasks whose answer has several rows, with an empty line before those of every other text."""


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
def test_fnet_run_prints_the_json_that_python_prints(built, bundles, task, precision):
    bundle = bundles(task, precision=precision)
    for case in CASES[task]:
        texts = {"masked-lm": [HARD, "[MASK]", "   [MASK]", LONG], "question-answering": ["what?", "", "10, ``a''"]}.get(
            task, TEXTS
        )
        words = [bundle, *(word for text in texts for word in ("--text", text)), *case]
        told = assert_same_json(built, *words)
        assert told.returncode == 0
        rows = [rows_from_json(task, json.loads(line)) for line in told.stdout.decode().split("\n")[:-1]]
        between = "\n\n" if task in ROWS else "\n"
        assert built.run(*words).stdout.decode() == between.join(map("\n".join, rows)) + "\n"
    assert assert_same_json(built, bundle, "--self-test").returncode == 0
    self_test = built.run(bundle, "--self-test", text=True)
    assert self_test.returncode == 0
    assert all(line.startswith("passed  ") and ": largest error " in line for line in self_test.stdout.splitlines())


def test_masked_lm_at_positions(built, bundles):
    bundle = bundles("masked-lm", predict_positions=2)
    done = assert_same_json(built, bundle, "--text", HARD, "--text", "[MASK] [MASK] [MASK] x", "--text", "[MASK]")
    assert done.returncode == 0
    assert assert_same_json(built, bundle, "--self-test").returncode == 0


@pytest.mark.parametrize("problem_type", ["multi_label_classification", "regression"])
def test_scores_of_other_problem_types(built, bundle, problem_type):
    config = json.loads((bundle / "config.json").read_text()) | {"problem_type": problem_type}
    manifest = json.loads((bundle / MANIFEST).read_text()) | {"labels": ["A\t", "B\\\n\u2028", "é"]}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    replaced(bundle, "config.json", json.dumps(config).encode())
    assert assert_same_json(built, bundle, "--text", HARD, "--text", "a").returncode == 0
    answers = [json.loads(line) for line in built.run(bundle, "--json", "--text", HARD, "--text", "a").stdout.strip().split(b"\n")]
    rows = []
    for answer in answers:
        decided = answer["scores"] if problem_type == "multi_label_classification" else [answer]
        decided = [s for s in decided if s["score"] > 0.5 or problem_type == "regression"]
        rows.append("\t".join(f"{quoted(s['label'])[1:-1]}\t{s['score']:.4f}" for s in decided) or "(nothing)")
    assert built.run(bundle, "--text", HARD, "--text", "a").stdout.decode() == "\n".join(rows) + "\n"


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_scores_of_one_label(built, bundles, problem_type, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles("sequence-classification", labels=("spam",)), bundle)
    config = json.loads((bundle / "config.json").read_text()) | {"problem_type": problem_type}
    replaced(bundle, "config.json", json.dumps(config).encode())
    done = assert_same_json(built, bundle, "--text", HARD, "--text", "a")
    scores = [json.loads(line)["score"] for line in done.stdout.splitlines()]
    assert all(0 < score < 1 for score in scores) == (problem_type is None)


def without_words(output):
    """The lines of --json, an error without its text."""
    answers = [json.loads(line) for line in output.decode().split("\n")[:-1]]
    return [answer | {"error": ""} if isinstance(answer, dict) and "error" in answer else answer for answer in answers]


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
def test_bad_lines_have_errors_in_the_same_places(built, bundles, task, words, tmp_path):
    lines = [f"{text} [MASK]".encode() for text in TEXTS] + [b"caf\xe9", b"no mask", LONG.encode() * 3, b""]
    path = tmp_path / os.fsdecode(b"texts\xff")
    path.write_bytes(b"\n".join(lines) + b"\n")
    command = [bundles(task), "--lines", "--text", "x", *words]
    for source, fed in ((["-"], {"input": path.read_bytes() * 9}), (["--file", path], {})):
        ours = built.run(*command, *source, "--json", **fed)
        code, theirs, _ = python_run(*command, *source, "--json", **fed)
        assert (ours.returncode, without_words(ours.stdout)) == (code, without_words(theirs))
        if words or task not in ("question-answering", "multiple-choice"):
            assert (ours.returncode, ours.stdout.count(b"not UTF-8 (byte 3)")) == (1, 9 if fed else 1)
            rows = built.run(*command, *source, **fed)
            assert (rows.returncode, rows.stdout.count(b"(error)\t")) == (1, ours.stdout.count(b'{"error": "'))
            assert b" could not be answered; the first is " in rows.stderr
            assert b" could not be answered; the first is " in ours.stderr


def test_a_text_that_is_cut_is_noted(built, whole_bundle):
    done = built.run(whole_bundle, "--text", LONG * 9, text=True)
    note = "note: the sequence length of 32 tokens cut the text; the answer does not depend on the rest\n"
    assert (done.returncode, done.stderr) == (0, note)
    done = built.run(whole_bundle, "--text", "a", "--text", LONG * 9, text=True)
    assert done.stderr.startswith("note: the sequence length of 32 tokens cut 1 of 2 texts (the first is --text 2); ")


def test_quiet_does_not_say_which_texts_were_cut(built, whole_bundle):
    words = [whole_bundle, "--text", LONG * 9]
    loud, quiet = built.run(*words), built.run(*words, "--quiet")
    assert (loud.returncode, loud.stdout) == (quiet.returncode, quiet.stdout)
    assert (b"note: " in loud.stderr, quiet.stderr) == (True, b"")
    failed = built.run(whole_bundle, "-", "--lines", "--quiet", input=b"\xff\n")
    assert (failed.returncode, failed.stderr.startswith(b"error: 1 of 1 texts could not be answered")) == (1, True)


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
    assert assert_same_json(built, bundle, "--text", HARD).returncode == 0
    refused = assert_same_code(built, bundle, "--text", "a", "--pair", "b")
    assert (refused.returncode, b"the model has one token type" in refused.stderr) == (1, True)


def test_lines_of_a_file_and_of_standard_input(built, whole_bundle, tmp_path):
    (tmp_path / "texts").write_bytes(b"one\r\ntwo\n\nthree")
    for words in (["--file", tmp_path / "texts"], ["-"], ["-", "--file", tmp_path / "texts", "--text", "x"]):
        for lines in ([], ["--lines"]):
            assert assert_same_json(built, whole_bundle, *words, *lines, input=b"a\n\nb\n").returncode == 0
    assert assert_same_json(built, whole_bundle, "-", "--lines", input=b"").stdout == b""


def refused_numbers(option, expected, numbers):
    """Give a case for each bad number of an option."""
    return ((["x", "--text", "a", option, number], 2, f"{option}: expected an integer {expected}, found ") for number in numbers)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "BUNDLE is required"),
        (["x"], 2, "nothing to answer: expected --text, --file, - or --self-test"),
        (["x", "--text"], 2, "--text: 1 required TEXT missing"),
        (["x", "y"], 2, "y not in {-}"),
        (["x", "-", "z"], 2, "z"),
        (["x", "--nope", "--text", "a"], 2, "--nope"),
        (["x", "--text", "a", "--self-test"], 2, "--self-test excludes texts, --pair or --lines"),
        (["x", "--self-test", "--lines"], 2, "--self-test excludes texts, --pair or --lines"),
        *refused_numbers("--top-k", "from 1", ("", "0", "-1", "z", "1.5", "9" * 30)),
        *refused_numbers("--threads", "from 1 to 1024", ("0", "1025", "z")),
        *refused_numbers("--contexts", "from 1 to 64", ("0", "65")),
        *refused_numbers("--device", "from 0", ("-1", "z")),
        *refused_numbers("--max-text-bytes", "from 1", ("0", "-1", "z")),
        (["x", "--runtime", "openvino", "--text", "a"], 2, "openvino not in {auto,onnxruntime,tensorrt,tensorrt-rtx}"),
        (["./no//bundle/", "--text", "a"], 1, "no/bundle/manifest.json: cannot be read (No such file or directory)"),
        (["BUNDLE", "--text", b"\xc3\xa9\xff"], 1, "the text is not UTF-8 (byte 2)"),
        (["BUNDLE", "--file", "./no-file"], 1, "no-file: cannot be read (No such file or directory)"),
        (["BUNDLE", "--file", "BUNDLE/golden.safetensors"], 1, "golden.safetensors: not UTF-8 (byte"),
        (
            ["BUNDLE", "--text", "a", "--pair", "b", "--pair", "c"],
            1,
            "--pair: expected once, because only multiple-choice takes several",
        ),
        (["BUNDLE", "--text", "a", "--runtime", "tensorrt"], 1, "cannot be opened with tensorrt; expected onnxruntime"),
        (["BUNDLE", "--text", "é", "--max-text-bytes", "1"], 1, "expected a text of at most 1 bytes of UTF-8, found 2"),
        (
            ["BUNDLE", "--text", "a", "--pair", "bc", "--max-text-bytes", "1"],
            1,
            "expected a text of at most 1 bytes of UTF-8, found 2",
        ),
        (["BUNDLE", "--text", "a", "--library", "/no/lib.so"], 4, "ONNX Runtime's library cannot be opened (/no/lib.so: "),
    ],
)
def test_what_fnet_run_refuses(built, whole_bundle, words, code, said):
    named = [w if isinstance(w, bytes) else w.replace("BUNDLE", str(whole_bundle)) for w in words]
    done = built.run(*named)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.startswith(b"error: ")
    assert said in done.stderr.decode()
    assert (b"fnet-run --help lists the options." in done.stderr) == (code == 2)


def test_the_help_names_what_the_cpp_runtime_does(built):
    for option in ("-h", "--help"):
        done = built.run(option, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        shared = ("BUNDLE", "--text", "--threads", "--max-text-bytes", "--quiet")
        for named in (*shared, "--library", "--device", "--contexts", "--cuda-graph"):
            assert named in done.stdout
        assert "openvino" not in done.stdout
    assert built.run("--version", text=True).stdout.startswith("fnet-run ")


def test_a_text_may_look_like_an_option_or_a_list(built, whole_bundle):
    texts = ["-", "--text", "--nope", "[MASK]", "[a,b]", "{}", "%%", "", "-x", '"quoted"', "a=b"]
    words = [word for text in texts for word in ("--text", text)]
    answers = assert_same_json(built, whole_bundle, *words).stdout
    assert answers.count(b"\n") == len(texts)
    joined = [f"--text={text}" for text in texts if text]
    assert built.run(whole_bundle, "--json", *joined, "--text", "").stdout.count(b"\n") == len(texts)


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
    assert assert_same_code(built, bundles(task), "--text", "a", *words).returncode == 1


# ---- bundles that are not whole


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_with_the_same_code(built, bundle, name):
    hostile = HOSTILE[name]
    hostile.damage(bundle)
    ours, theirs = built.run(bundle, *hostile.arguments, text=True), CliRunner().invoke(main, [str(bundle), *hostile.arguments])
    assert (ours.returncode, ours.stdout) == (theirs.exit_code, theirs.stdout) == (hostile.exit_code, "")
    assert ours.stderr.startswith("error: ")


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
        ("options", ctypes.c_void_p),
    )


class Config(ctypes.Structure):
    """fnet_config."""

    _fields_ = (
        *(("runtime", ctypes.c_char_p), ("threads", ctypes.c_int), ("library", ctypes.c_char_p)),
        *((name, ctypes.c_int) for name in ("device", "contexts", "cuda_graph")),
        ("max_text_bytes", ctypes.c_size_t),
        *(("provider", ctypes.c_char_p), ("allow_partial", ctypes.c_int), ("rebuild", ctypes.c_int)),
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
    config.rebuild = 1
    assert library.fnet_open(os.fsencode(bundle), ctypes.byref(config), ctypes.byref(pipeline)) == 2
    assert library.fnet_last_error().startswith(b"rebuild: is for engines of TensorRT; ")
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
