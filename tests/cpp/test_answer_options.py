"""The options of answers in C++: the same JSON as in Python, the same refusals, and the C interface."""

import ctypes
import json
import os
import shutil

import pytest
from fnet_runtime.bundle.manifest import MANIFEST
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.open import load
from support.bundles import replaced
from support.same_answers import assert_same_code, assert_same_json, python_run
from support.transformers_pipelines import texts

BAD_JSON = [
    "",
    "a",
    "[]",
    "{}",
    "NaN",
    '{"text": "a", "text": "b"}',
    '{"text": "a", "question": "b"}',
    '{"text": "a", "label": "b"}',
    '{"text": 1}',
    '{"text": "a", "choices": "bc"}',
    '{"text": "a", "choices": [1]}',
    '{"text": "\\ud800"}',
    '{"words": "ab"}',
    '{"words": [1]}',
    '{"words": ["a", ""]}',
    '{"words": ["a b"]}',
    '{"words": ["a\\u2003b"]}',
    '{"words": ["a"], "text": "b"}',
    "[" * 2000,
]
TEXTS = ("--text", "the quick fox", "--text", "Ünïcödé 😀 10,000", "--text", "")


@pytest.fixture(scope="module")
def bundle_of_problem(bundles, tmp_path_factory):
    """A function from a problem_type and labels to a bundle of a classifier of texts."""

    def bundle(problem_type, *labels):
        folder = tmp_path_factory.mktemp("problem") / "bundle"
        shutil.copytree(bundles("sequence-classification", labels=labels), folder)
        config = json.loads((folder / "config.json").read_text()) | {"problem_type": problem_type}
        replaced(folder, "config.json", json.dumps(config).encode())
        return folder

    return bundle


@pytest.mark.parametrize("labels", [("A", "B", "C"), ("spam",)])
@pytest.mark.parametrize("problem_type", [None, "multi_label_classification", "regression"])
def test_text_classification(built, bundle_of_problem, problem_type, labels):
    bundle = bundle_of_problem(problem_type, *labels)
    for words in (
        [],
        ["--top-k", "2"],
        ["--threshold", "0.3"],
        ["--threshold", "-1e3", "--top-k", "1"],
        *(["--function-to-apply", name] for name in ("softmax", "sigmoid", "none")),
    ):
        answers = [json.loads(line) for line in assert_same_json(built, bundle, *TEXTS, *words).stdout.splitlines()]
        decided = "threshold" not in "".join(words) and problem_type == "multi_label_classification"
        rows = []
        for answer in answers:
            scores = [s for s in answer["scores"] if not decided or s["score"] > 0.5]
            scores = scores if decided or "--top-k" in words or "--threshold" in words else scores[:1]
            rows.append("\t".join(f"{s['label']}\t{s['score']:.4f}" for s in scores) or "(nothing)")
        assert built.run(bundle, *TEXTS, *words).stdout.decode() == "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("task", "words", "code"),
    [
        ("masked-lm", ["--threshold", "0.5"], 1),
        ("token-classification", ["--function-to-apply", "sigmoid"], 1),
        ("sequence-classification", ["--function-to-apply", "tanh"], 2),
        ("sequence-classification", ["--truncation", "longest_first"], 2),
        ("sequence-classification", ["--stride", "1"], 1),
        ("token-classification", ["--stride", "-1"], 2),
        ("sequence-classification", ["--targets", "a"], 1),
        ("sequence-classification", ["--threshold", "nan"], 1),
        ("masked-lm", ["--max-answer-len", "3"], 1),
        ("masked-lm", ["--handle-impossible-answer"], 1),
        ("masked-lm", ["--null-threshold", "0"], 1),
        ("masked-lm", ["--no-align-to-words"], 1),
        ("question-answering", ["--max-answer-len", "0"], 2),
        ("question-answering", ["--pair", "fox", "--null-threshold", "inf"], 1),
        ("sequence-classification", ["--threshold", "z"], 2),
        ("sequence-classification", ["--pooling", "mean"], 1),
        ("sequence-classification", ["--no-normalize"], 1),
        ("feature-extraction", ["--pooling", "sum"], 2),
        ("feature-extraction", ["--normalize=false"], 2),
        ("feature-extraction", ["--json=false"], 2),
    ],
)
def test_options_that_are_refused(built, bundles, task, words, code):
    done = built.run(bundles(task), "--text", "a [MASK]", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    if code == 1:
        assert_same_code(built, bundles(task), "--text", "a [MASK]", *words)


def with_labels(bundle, folder, *labels):
    """Return a copy of a bundle with other names of labels."""
    shutil.copytree(bundle, folder / "bundle")
    manifest = json.loads((bundle / MANIFEST).read_text()) | {"labels": labels}
    (folder / "bundle" / MANIFEST).write_text(json.dumps(manifest))
    return folder / "bundle"


@pytest.mark.parametrize("labels", [("O", "B-PER", "I-PER"), ("B-A", "I-A", "B"), ("A", "B", "X-Y\t")])
@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_entities(built, bundles, strategy, labels, tmp_path):
    bundle = with_labels(bundles("token-classification"), tmp_path, *labels)
    words = [word for text in texts(60) for word in ("--text", text)]
    answers = assert_same_json(built, bundle, *words, "--text", "", "--text", "a\tb\nfox  dog ", "--aggregation-strategy", strategy)
    rows = built.run(bundle, *words, "--aggregation-strategy", strategy)
    found = [json.loads(line)["tokens" if strategy == "none" else "entities"] for line in answers.stdout.splitlines()]
    assert rows.stdout.decode().count("\t") == 4 * sum(map(len, found[:60]))


@pytest.mark.parametrize("padding", [{}, {"padding": "none"}])
@pytest.mark.parametrize("strategy", ["none", "first"])
def test_windows(built, bundles, strategy, padding, tmp_path):
    bundle = with_labels(bundles("token-classification", **padding), tmp_path, "O", "B-PER", "I-PER")
    words = [word for text in [*texts(30, longest=120), "", " "] for word in ("--text", text)]
    for stride in ("0", "7", "29"):
        done = assert_same_json(built, bundle, *words, "--aggregation-strategy", strategy, "--stride", stride)
        assert (done.returncode, b'"truncated": true' in done.stdout) == (0, False)
    assert_same_code(built, bundle, "--text", "a", "--stride", "30")


ASKED = [
    [],
    ["--max-answer-len", "1"],
    ["--max-answer-len", "500", "--top-k", "30"],
    ["--top-k", "1", "--no-align-to-words"],
    ["--handle-impossible-answer"],
    ["--null-threshold", "1e6", "--top-k", "2"],
    ["--null-threshold", "-1e6", "--top-k", "3", "--no-align-to-words"],
]
"""Options of question-answering."""
UNUSUAL = ["", " ", "Fox fox FOX\tfox", "\u03a3\u0391\u03a3 \u03c3\u03b1\u03c2 [MASK]fox[SEP] x", "\u0130 i\u0307 I"]
CONTEXTS = [*texts(25, longest=80), *UNUSUAL]


@pytest.mark.parametrize("options", [{}, {"padding": "none"}, {"tokenizer": "fnet-fast"}, {"tokenizer": "fnet-v5"}])
def test_answers_to_questions(built, bundles, options):
    bundle = bundles("question-answering", **options)
    fed = "\n".join(f"the fox?\t{context}" for context in CONTEXTS if "\t" not in context).encode()
    lines = [bundle, "--lines", "--line-format", "tsv", "-"]
    for words in ASKED:
        refused = options == {"tokenizer": "fnet-v5"} and not {"--handle-impossible-answer", "--null-threshold"}.isdisjoint(words)
        for stride in ([], ["--stride", "0"], ["--stride", "7"]):
            done = assert_same_json(built, *lines, *words, *stride, input=fed)
            assert (done.returncode, done.stdout == b"") == (refused, refused)
    for context in CONTEXTS:
        assert_same_json(built, bundle, "--text", "the fox?", "--pair", context, "--top-k", "3")
    assert_same_code(built, bundle, "--text", "a", "--pair", CONTEXTS[24], "--stride", "31")


def test_an_empty_answer_is_first_above_a_threshold(built, bundles):
    words = [bundles("question-answering"), "--text", "the fox?", "--pair", "the lazy dog"]
    for threshold, empty in (("-1e6", True), ("1e6", False)):
        (answers,) = map(json.loads, assert_same_json(built, *words, "--null-threshold", threshold).stdout.splitlines())
        assert (not answers[0]["text"], len(answers)) == (empty, 5)
        rows = built.run(*words, "--null-threshold", threshold).stdout.decode().splitlines()
        assert (rows[0].split("\t")[2:] == ["0", "0"], len(rows)) == (empty, 5)


@pytest.mark.parametrize("predict_positions", [None, 2])
def test_targets(built, bundles, predict_positions):
    bundle = bundles("masked-lm", **({"predict_positions": predict_positions} if predict_positions else {}))
    words = [bundle, "--text", "the [MASK] and [MASK]", "--text", "[MASK][MASK] [MASK]", "--targets", "fox"]
    for more in ([], ["--targets", "dog", "--targets", "\u2581fox", "--targets", "the"], ["--targets", "dog", "--top-k", "1"]):
        done = assert_same_json(built, *words, *more)
        tokens = [[f["token"] for f in mask] for mask in json.loads(done.stdout.splitlines()[0])["masks"]]
        assert [len(found) for found in tokens] == [{0: 1, 6: 3, 4: 1}[len(more)]] * 2
    for word in ("fox dog", ""):
        refused = assert_same_code(built, *words, "--targets", word)
        assert b"targets: expected words of one token, found " in refused.stderr


@pytest.mark.parametrize("padding", [{}, {"padding": "none"}])
def test_pooling(built, bundles, padding, tmp_path):
    bundle = shutil.copytree(bundles("feature-extraction", **padding), tmp_path / "bundle")
    words = [word for text in [*texts(20, longest=60), *UNUSUAL] for word in ("--text", text)]
    options = [["--pooling", name] for name in ("pooler", "cls", "mean", "max")]
    for words_of_pooling in ([], *options):
        for more in ([], ["--normalize"], ["--no-normalize"]):
            assert assert_same_json(built, bundle, *words, *words_of_pooling, *more).returncode == 0
    plain = built.run(bundle, *words, "--json", "--pooling", "mean", "--normalize").stdout
    config = json.loads((bundle / "config.json").read_text())
    for stated, code in (("mean", 0), ("sum", 1), (1, 1)):
        keys = {"trained_pooling": stated, "trained_normalize": True}
        replaced(bundle, "config.json", json.dumps(config | keys).encode())
        done = assert_same_json(built, bundle, *words)
        assert (done.returncode, done.stdout == plain) == (code, not code)
    replaced(bundle, "config.json", json.dumps(config | {"trained_normalize": "yes"}).encode())
    assert_same_code(built, bundle, "--text", "a")


LONG = "the quick fox " * 20


@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm", "token-classification", "question-answering"])
def test_a_text_that_does_not_fit_is_an_error_for_those_who_ask(built, bundles, task):
    pair = ["--pair", LONG] if task == "question-answering" else []
    words = [bundles(task), "--truncation", "error", *pair]
    assert assert_same_json(built, *words, "--text", "[MASK] fox").returncode == 0
    if not pair:
        refused = assert_same_code(built, *words, "--text", "a [MASK]", "--text", f"[MASK] {LONG}")
        assert (refused.returncode, b"--text 2: expected a text of at most 32 tokens" in refused.stderr) == (1, True)
    lines = [*words, "--lines", "-", "--json"]
    fed = f"[MASK] fox\n[MASK] {'fox' if pair else LONG}\n[MASK] dog\n".encode()
    done, (code, theirs, notes) = built.run(*lines, input=fed), python_run(*lines, input=fed)
    assert (done.returncode, done.stdout) == (code, theirs)
    assert (code, done.stdout.count(b'{"error": "expected a text of at most 32 tokens')) == ((0, 0) if pair else (1, 1))
    assert (b"note: " in notes, b"note: " in done.stderr) == (False, False)


def test_a_pair_that_does_not_fit_is_an_error_of_each_line(built, bundles):
    words = [bundles("sequence-classification"), "--lines", "--truncation", "error", "--pair", LONG, "-"]
    done = assert_same_json(built, *words, input=b"a\nb\n")
    assert (done.returncode, done.stdout.count(b'{"error": ')) == (1, 2)


LINES = {
    "sequence-classification": "the fox\ta dog\nfox\n\n{}\ta\tb\n" + LONG + "\tfox\n",
    "question-answering": "who?\tthe quick fox\nwho?\nwhat?\t" + LONG * 3 + "\n",
    "multiple-choice": "the fox\ta\tb\ndog\tx\ty\tz\ndog\n\ta\n",
    "masked-lm": "a [MASK]\nno mask\n[MASK]\ta pair\n",
}


def without_words(output):
    answers = [json.loads(line) for line in output.splitlines()]
    return [answer | {"error": ""} if isinstance(answer, dict) and "error" in answer else answer for answer in answers]


def json_from_tabs(line):
    text, *seconds = line.split("\t")
    return json.dumps(
        {"text": text} | ({"text_pair": seconds[0]} if len(seconds) == 1 else {"choices": seconds} if seconds else {})
    )


@pytest.mark.parametrize("line_format", ["tsv", "jsonl"])
@pytest.mark.parametrize("task", LINES)
def test_each_line_has_its_own_second_text(built, bundles, task, line_format):
    lines = LINES[task].splitlines() * 9
    if line_format == "jsonl":
        lines = [json_from_tabs(line) for line in lines] + [*BAD_JSON, "\ufeff{}", '{"words": []}', '{"words": ["the", "[MASK]"]}']
    fed = "\n".join(lines).encode()
    words = [bundles(task), "--lines", "--line-format", line_format, "-", "--text", "x"]
    ours, (code, theirs, _) = built.run(*words, "--json", input=fed), python_run(*words, "--json", input=fed)
    assert (ours.returncode, without_words(ours.stdout)) == (code, without_words(theirs))
    assert len(without_words(ours.stdout)) == len(lines) + 1


def test_a_format_goes_with_lines_and_without_a_pair(built, bundles):
    for words in (["--text", "a"], ["--lines", "-", "--pair", "b"]):
        done = built.run(bundles("sequence-classification"), "--line-format", "tsv", *words, input=b"a")
        assert (done.returncode, done.stdout, b"--line-format" in done.stderr) == (2, b"", True)


# ---- the C interface


class Options(ctypes.Structure):
    """fnet_options."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("truncation", "function_to_apply")),
        ("threshold", ctypes.POINTER(ctypes.c_double)),
        ("aggregation_strategy", ctypes.c_char_p),
        ("stride", ctypes.POINTER(ctypes.c_int)),
        ("targets", ctypes.POINTER(ctypes.c_char_p)),
        ("target_count", ctypes.c_size_t),
        ("max_answer_len", ctypes.c_int),
        ("handle_impossible_answer", ctypes.c_int),
        ("null_threshold", ctypes.POINTER(ctypes.c_double)),
        ("keep_parts_of_words", ctypes.c_int),
        ("pooling", ctypes.c_char_p),
        ("normalize", ctypes.POINTER(ctypes.c_int)),
    )


class Request(ctypes.Structure):
    """fnet_request."""

    _fields_ = (
        ("text", ctypes.c_char_p),
        ("text_bytes", ctypes.c_size_t),
        ("seconds", ctypes.POINTER(ctypes.c_char_p)),
        ("second_count", ctypes.c_size_t),
        ("top_k", ctypes.c_int),
        ("options", ctypes.POINTER(Options)),
    )


@pytest.fixture
def ask(built, monkeypatch):
    """A function from a bundle, a text and options to the answer of the C interface, or its error."""
    monkeypatch.setenv("FNET_ONNXRUNTIME", built.environment["FNET_ONNXRUNTIME"])
    library = ctypes.CDLL(str(built.folder / "libfnet_runtime.so"))
    library.fnet_last_error.restype = ctypes.c_char_p
    library.fnet_close.argtypes = library.fnet_free.argtypes = [ctypes.c_void_p]

    def answer(bundle, text, options, top_k=0, second=None):
        pipeline, found = ctypes.c_void_p(), ctypes.c_void_p()
        assert library.fnet_open(os.fsencode(bundle), None, ctypes.byref(pipeline)) == 0
        seconds = (ctypes.c_char_p * 1)(second.encode()) if second else None
        given = ctypes.pointer(options) if options else None
        request = Request(text.encode(), len(text.encode()), seconds, len(seconds or ()), top_k, given)
        code = library.fnet_run(pipeline, ctypes.byref(request), ctypes.byref(found))
        told = library.fnet_last_error().decode() if code else json.loads(ctypes.string_at(found))
        library.fnet_free(found)
        library.fnet_close(pipeline)
        return told

    return answer


def test_options_of_the_c_interface(ask, bundles):
    bundle = bundles("sequence-classification")
    pipeline = load(bundle)
    threshold = ctypes.pointer(ctypes.c_double(0.25))
    found = ask(bundle, "the fox", Options(function_to_apply=b"sigmoid", threshold=threshold))
    answer = pipeline.classify("the fox", function_to_apply="sigmoid", threshold=0.25)
    assert found["scores"] == [vars(score) for score in answer.scores]
    assert len(ask(bundle, "the fox", Options(), top_k=2)["scores"]) == 2
    assert len(ask(bundle, "the fox", None)["scores"]) == 3
    assert ask(bundle, LONG, Options(truncation=b"error")).startswith("expected a text of at most 32 tokens")
    assert ask(bundle, LONG, Options(truncation=b"cut"))["truncated"] is True
    assert (
        ask(bundle, "a", Options(function_to_apply=b"tanh"))
        == 'function_to_apply: expected one of softmax, sigmoid, none; found "tanh"'
    )
    bundle = bundles("token-classification")
    found = ask(bundle, "the fox", Options(aggregation_strategy=b"average"))
    assert found["entities"] == [vars(e) for e in load(bundle).find_entities("the fox", aggregation_strategy="average").entities]
    found = ask(bundle, LONG, Options(stride=ctypes.pointer(ctypes.c_int(3))))
    assert found["tokens"] == [vars(token) for token in load(bundle).classify_tokens(LONG, stride=3).tokens]
    bundle = bundles("masked-lm")
    found = ask(bundle, "the [MASK]", Options(targets=(ctypes.c_char_p * 2)(b"fox", b"dog"), target_count=2))
    assert found["masks"] == [
        [vars(f) for f in mask] for mask in load(bundle).fill_mask("the [MASK]", targets=["fox", "dog"]).masks
    ]
    bundle = bundles("feature-extraction")
    found = ask(bundle, "the fox", Options(pooling=b"mean", normalize=ctypes.pointer(ctypes.c_int(1))))
    pooled = json.loads(json_from_values(load(bundle).embed("the fox", pooling="mean", normalize=True)))["pooled"]
    assert (found["pooled"], ask(bundle, "the fox", None)["pooled"] == pooled) == (pooled, False)
    bundle = bundles("question-answering")
    given = {"handle_impossible_answer": True, "null_threshold": -1e6, "max_answer_len": 2, "align_to_words": False}
    threshold = ctypes.pointer(ctypes.c_double(-1e6))
    options = Options(max_answer_len=2, handle_impossible_answer=1, null_threshold=threshold, keep_parts_of_words=1)
    for one, ours in ((options, given), (Options(), {}), (None, {})):
        found = ask(bundle, "the fox?", one, second=LONG)
        assert found == [vars(answer) for answer in load(bundle).answer("the fox?", LONG, **ours)]
