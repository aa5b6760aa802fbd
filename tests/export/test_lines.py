"""fnet-run --lines with a second text in each line."""

import json

import fnet_runtime
import pytest
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.model import Question
from support.same_answers import python_run

QUESTIONS = {
    "sequence-classification": [("the fox", "a dog"), ("fox", None), ("the quick fox " * 20, "dog")],
    "question-answering": [("who?", "the quick fox"), ("who?", None), ("what?", "the lazy dog jumps " * 20)],
    "multiple-choice": [("the fox", ["a", "b"]), ("dog", ["x", "y", "z"]), ("dog", None)],
    "masked-lm": [("a [MASK]", None), ("no mask", None), ("[MASK]", "a pair")],
}


def lines_of(questions, line_format):
    if line_format == "tsv":
        seconds = [[] if second is None else [second] if isinstance(second, str) else second for _, second in questions]
        return ["\t".join([text, *second]) for (text, _), second in zip(questions, seconds, strict=True)]
    keys = {str: "context", list: "choices"}
    return [json.dumps({"text": text} | ({keys[type(second)]: second} if second is not None else {})) for text, second in questions]


@pytest.mark.parametrize("line_format", ["tsv", "jsonl"])
@pytest.mark.parametrize("task", QUESTIONS)
def test_each_line_has_its_own_second_text(bundles, task, line_format):
    questions = QUESTIONS[task] * 5
    fed = "\n".join(lines_of(questions, line_format)).encode()
    code, stdout, stderr = python_run(bundles(task), "--lines", "--line-format", line_format, "-", "--json", input=fed)
    pipeline = fnet_runtime.load(bundles(task))
    expected = [pipeline.answer_questions([Question(*question)])[0] for question in questions]
    bad = sum(isinstance(answer, InputError) for answer in expected)
    for answer, line in zip(expected, stdout.decode().splitlines(), strict=True):
        found = json.loads(line)
        if isinstance(answer, InputError):
            assert found["error"] == str(answer)
            continue
        best, shown = (answer[0], found[0]) if isinstance(answer, tuple) else (answer, found)
        assert "error" not in shown
        assert shown.get("score") == pytest.approx(getattr(best, "score", None))
    assert (code, bad > 0) == ((1, True) if bad else (0, False))
    assert (b"could not be answered" in stderr) == (bad > 0)


def test_texts_of_the_command_line_are_plain(bundles):
    words = [bundles("sequence-classification"), "--lines", "--line-format", "jsonl", "--text", "a\tb", "-", "--json"]
    code, stdout, _ = python_run(*words, input=b'{"text": "a\\tb"}\n')
    first, second = stdout.splitlines()
    assert (code, json.loads(first)["label"]) == (0, json.loads(second)["label"])


@pytest.mark.parametrize("words", [["--text", "a"], ["--lines", "-", "--pair", "b"]])
def test_a_format_goes_with_lines_and_without_a_pair(bundles, words):
    code, stdout, stderr = python_run(bundles("sequence-classification"), "--line-format", "tsv", *words, input=b"a")
    assert (code, stdout, b"--line-format: expected --lines, and no --pair" in stderr) == (2, b"", True)
