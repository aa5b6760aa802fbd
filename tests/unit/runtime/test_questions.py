"""What a line of fnet-run --lines asks."""

import pytest
from fnet_runtime.command.questions import LINE_FORMATS, question_from_line
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.pipeline.words import text_from_words


@pytest.mark.parametrize(
    ("line", "line_format", "choices", "question"),
    [
        ("a\tb", "text", False, Question("a\tb")),
        ("a\tb", "tsv", False, Question("a", "b")),
        ("a", "tsv", False, Question("a")),
        ("", "tsv", False, Question("")),
        ("\t", "tsv", False, Question("", "")),
        ("a\tb\tc", "tsv", True, Question("a", ["b", "c"])),
        ("a", "tsv", True, Question("a")),
        ('{"text": "a"}', "jsonl", False, Question("a")),
        (' {"text_pair": "b", "text": "\\ud83d\\ude00"} ', "jsonl", False, Question("\U0001f600", "b")),
        ('{"question": "a", "context": ""}', "jsonl", False, Question("a", "")),
        ('{"text": "a", "choices": ["b", "c"]}', "jsonl", True, Question("a", ["b", "c"])),
        ('{"text": "a", "choices": []}', "jsonl", True, Question("a", [])),
        ('{"words": ["a", "b."]}', "jsonl", False, Question("a b.")),
        ('{"words": []}', "jsonl", False, Question("")),
    ],
)
def test_lines(line, line_format, choices, question):
    assert question_from_line(line, line_format, choices=choices) == question


BAD_JSON = [
    "",
    "a",
    "[]",
    "{}",
    "NaN",
    '{"text": "a", "text": "b"}',
    '{"text": "a", "question": "b"}',
    '{"text": "a", "context": "b", "text_pair": "c"}',
    '{"text": "a", "choices": ["b"], "context": "c"}',
    '{"text": "a", "label": "b"}',
    '{"text": 1}',
    '{"text": null}',
    '{"text": "a", "text_pair": null}',
    '{"text": "a", "choices": "bc"}',
    '{"text": "a", "choices": [1]}',
    '{"text": "a", "choices": {"b": "c"}}',
    '{"text": "\\ud800"}',
    "[" * 2000,
]


@pytest.mark.parametrize("line", BAD_JSON)
def test_bad_json(line):
    with pytest.raises(InputError, match="^expected "):
        question_from_line(line, "jsonl", choices=False)


BAD_WORDS = ['"ab"', "[1]", '["a", ""]', '["a b"]', '["a", "b\\u2003"]', "null"]


@pytest.mark.parametrize("words", BAD_WORDS)
def test_words_that_are_refused(words):
    with pytest.raises(InputError, match="^words: expected .* found "):
        question_from_line(f'{{"words": {words}}}', "jsonl", choices=False)


def test_too_many_tabs():
    with pytest.raises(InputError, match="^expected at most one tab, between a text and its second text; found 2$"):
        question_from_line("a\tb\tc", "tsv", choices=False)
    assert LINE_FORMATS == ("text", "tsv", "jsonl")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ab", "expected a list of words, found str"),
        (None, "expected a list of words, found NoneType"),
        (["a", 3], r"expected words \(str\), found int as word 1, from 0"),
        (["a", "b c"], "expected words without white space, and not empty; found 'b c' as word 1, from 0"),
    ],
)
def test_a_refusal_names_the_word(words, message):
    with pytest.raises(InputError, match=f"^words: {message}$"):
        text_from_words(words)
