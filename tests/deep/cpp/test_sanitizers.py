"""The C++ runtime under AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer and libFuzzer.

To fuzz longer, run build/asan/tests/fuzz_manifest -max_total_time=300 SEEDS in runtimes/cpp.
"""

import shutil
from pathlib import Path

import pytest
from support import golden_tokenizer
from support.cpp_build import CPP, built_from_preset
from support.fuzz_seeds import seeds_from_bundle, words_from_seeds
from support.hostile import HOSTILE, with_tokenizer

from fnet_core.tasks import TASKS

FUZZ_SECONDS = 10
FUZZ_MEGABYTES = 2048
"""Of each target. libFuzzer's own limit counts what the process that started it has used: AddressSanitizer measures instead."""
FLAVOURS = {
    "sentencepiece": lambda model: (golden_tokenizer.GOLDEN / f"{model}.model").read_bytes(),
    "fnet-slow": lambda model: (golden_tokenizer.GOLDEN / f"{model}.model").read_bytes(),
    "fnet-fast": lambda model: golden_tokenizer.pipeline(model, "fnet-fast"),
    "fnet-v5": lambda model: golden_tokenizer.pipeline(model, "fnet-v5"),
}
TEXT = "My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé \u0301 😀 [MASK]"
TEXTS = [TEXT, "", " ", TEXT * 6, "the quick fox"]
PAIRS = {"pretraining": 1, "next-sentence-prediction": 1, "question-answering": 1, "multiple-choice": 3}
"""How many second texts a task takes; of others none."""


@pytest.fixture(scope="module")
def asan():
    """Every report of a sanitizer ends the program with a code of its own."""
    codes = {"ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99:print_stacktrace=1"}
    return built_from_preset("asan", **codes)


@pytest.fixture(scope="module")
def tsan():
    suppressions = CPP / "tests" / "tsan.supp"
    return built_from_preset("tsan", TSAN_OPTIONS=f"exitcode=99:suppressions={suppressions}")


@pytest.fixture(scope="module")
def fuzzers():
    options = {"ASAN_OPTIONS": f"hard_rss_limit_mb={FUZZ_MEGABYTES}", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return built_from_preset("asan", **options)


def assert_clean(done, code=0):
    assert done.returncode == code, (done.stdout + done.stderr)[-5000:]


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_its_own_tests(request, sanitizer, tmp_path):
    built = request.getfixturevalue(sanitizer)
    assert_clean(built.run(program="tests/fnet_tests", cwd=tmp_path, text=True))


@pytest.mark.parametrize("task", TASKS)
def test_every_task(asan, bundles, task):
    texts = {"masked-lm": [TEXT, TEXT * 6], "question-answering": ["what?", ""]}.get(task, TEXTS)
    words = [word for text in texts for word in ("--text", text)] + ["--pair", TEXT * 9] * PAIRS.get(task, 0)
    for how in ([], ["--json"]):
        assert_clean(asan.run(bundles(task), *words, *how, text=True))
    assert_clean(asan.run(bundles(task), "--self-test", text=True))


@pytest.mark.parametrize("model", ["bpe", "unigram", "user"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour(asan, bundle, flavour, model):
    with_tokenizer(bundle, FLAVOURS[flavour](model), flavour)
    assert_clean(asan.run(bundle, *(word for text in TEXTS for word in ("--text", text)), text=True))


def test_hostile_bundles(asan, whole_bundle, tmp_path):
    for name, hostile in HOSTILE.items():
        bundle = Path(shutil.copytree(whole_bundle, tmp_path / name))
        hostile.damage(bundle)
        assert_clean(asan.run(bundle, *hostile.arguments, text=True), hostile.exit_code)


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_many_threads(request, sanitizer, bundle, flavour):
    built = request.getfixturevalue(sanitizer)
    with_tokenizer(bundle, FLAVOURS[flavour]("unigram"), flavour)
    done = built.run(bundle, "4", "3", program="tests/fnet_threads", input="\n".join(TEXTS), text=True)
    assert_clean(done)
    assert done.stdout == f"{len(TEXTS)} texts, 0 answers differ\n"


@pytest.mark.parametrize("target", ["fuzz_manifest", "fuzz_safetensors", "fuzz_tokenizer"])
def test_fuzzing(fuzzers, whole_bundle, tmp_path, target):
    seeds = seeds_from_bundle(whole_bundle)[target]
    (tmp_path / "corpus").mkdir()
    for i, seed in enumerate(seeds):
        (tmp_path / "corpus" / str(i)).write_bytes(seed)
    (tmp_path / "words").write_text(words_from_seeds(target, seeds))
    options = [f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=0", "-dict=words", "corpus"]
    done = fuzzers.run(*options, program=f"tests/{target}", cwd=tmp_path, text=True)
    assert_clean(done)
