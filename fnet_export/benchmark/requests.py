"""Make the requests of a timed bundle from texts. A text is cut into two parts for a task that takes two."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from fnet_runtime.errors import InputError
from fnet_runtime.tokenizer.encoding import MASK

from fnet_export.texts.emails import emails

Request = tuple[str, str | Sequence[str] | None]
"""A text and its pair, as `Pipeline` takes them."""
Batch = Sequence[Request]
"""Requests that are asked at once."""
PAIRED = ("pretraining", "next-sentence-prediction", "question-answering", "multiple-choice")
MASKED = ("masked-lm", "pretraining")


def timed_texts(path: Path | None) -> tuple[str, ...]:
    """Read one text, or return the built-in e-mails. Raises InputError for a file that is not UTF-8 or is empty."""
    if path is None:
        return emails()
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file with the text to answer") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 (byte {error.start}); convert it first, for example with iconv") from error
    if not text.strip():
        raise InputError(f"{path}: is empty; expected a file with the text to answer")
    return (text,)


def requests_from_texts(task: str, texts: Sequence[str], count: int) -> list[Request]:
    """Make `count` requests from the texts in turn."""
    return [_request(task, text) for text in itertools.islice(itertools.cycle(texts), count)]


def _request(task: str, text: str) -> Request:
    """Return a request: the text before an empty line, then the text after it. Choices are the halves of the second text."""
    mask = f"{MASK} " if task in MASKED else ""
    if task not in PAIRED:
        return mask + text, None
    first, _, second = text.partition("\n\n")
    if task == "multiple-choice":
        return first, [second[: len(second) // 2], second[len(second) // 2 :]]
    return mask + first, second
