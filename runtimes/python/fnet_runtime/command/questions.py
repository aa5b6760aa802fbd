"""The question that a line of `fnet-run --lines` asks, in each format of a line."""

from typing import Any

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.pipeline.words import text_from_words

PLAIN, TSV, JSONL = "text", "tsv", "jsonl"
LINE_FORMATS = (PLAIN, TSV, JSONL)
"""A line is a text, a text and its second texts with tabs between them, or a JSON object."""
TEXT_KEYS, SECOND_KEYS = ("text", "question", "words"), ("text_pair", "context")
WORDS_KEY, CHOICES_KEY = "words", "choices"
"""The keys of a JSON object: for the text, for a second text, for a text as a list of words, and for a list of choices."""


def question_from_line(line: str, line_format: str, *, choices: bool) -> Question:
    """Read a line. `choices` says that every text after the first is a choice. Raises InputError."""
    if line_format == TSV:
        text, *seconds = line.split("\t")
        if choices:
            return Question(text, seconds or None)
        if len(seconds) > 1:
            raise InputError(f"expected at most one tab, between a text and its second text; found {len(seconds)}")
        return Question(text, seconds[0] if seconds else None)
    return _question_from_values(_values(line)) if line_format == JSONL else Question(line)


def _values(line: str) -> dict[str, Any]:
    try:
        values = json_from_bytes(line.encode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected a JSON object; found other text ({error})") from error
    if not isinstance(values, dict):
        raise InputError("expected a JSON object; found another value")
    return values


def _question_from_values(values: dict[str, Any]) -> Question:
    unknown = [key for key in values if key not in (*TEXT_KEYS, *SECOND_KEYS, CHOICES_KEY)]
    texts = [_text(key, values[key]) for key in TEXT_KEYS if key in values]
    seconds = [values[key] for key in (*SECOND_KEYS, CHOICES_KEY) if key in values]
    if unknown or len(texts) != 1 or len(seconds) > 1:
        expected = f"one of {', '.join(TEXT_KEYS)} and at most one of {', '.join((*SECOND_KEYS, CHOICES_KEY))}"
        raise InputError(f"expected a JSON object with {expected}; found the keys {', '.join(values) or '(nothing)'}")
    strings = [*texts, *(values[key] for key in SECOND_KEYS if key in values), *_choices(values)]
    if not all(isinstance(value, str) for value in strings):
        raise InputError(f"expected texts as strings, and {CHOICES_KEY} as a list of strings; found another value")
    return Question(texts[0], seconds[0] if seconds else None)


def _text(key: str, value: Any) -> Any:
    return text_from_words(value) if key == WORDS_KEY else value


def _choices(values: dict[str, Any]) -> list[Any]:
    choices = values.get(CHOICES_KEY, [])
    return choices if isinstance(choices, list) else [None]
