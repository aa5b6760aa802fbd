"""Read questions from the tensors of a request, and refuse what is too large to answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.encodings import masks_from_encoding
from fnet_runtime.pipeline.model import Model, Question, Second
from fnet_runtime.pipeline.options import DEFAULT_TOP_K
from fnet_runtime.pipeline.tasks import MASKED_LM, PRETRAINING
from fnet_runtime.triton.tensors import CHOICES, PAIR, TEXT, TOP_K

MAX_TEXT_BYTES = 100_000
"""The bound of a text, unless the repository sets another."""
MAX_TOP_K, MAX_CHOICES = 100, 32
MAX_ANSWER_BYTES = 16 << 20
"""The bound of the fillers of one text: each filler repeats the text, so many masks make a large answer of a small request."""

Tensors = Mapping[str, npt.NDArray[Any]]


def questions_from_tensors(tensors: Tensors, *, max_text_bytes: int) -> list[Question]:
    """Return a question for each row of a request. Tensors that the request does not have are missing in `tensors`.

    Raises InputError for bytes that are not UTF-8, for texts that are too long, and for numbers out of range.
    """
    texts = _texts(tensors, TEXT.name, max_text_bytes)
    seconds: list[Second] = [None] * len(texts)
    if PAIR.name in tensors:
        seconds = list(_texts(tensors, PAIR.name, max_text_bytes))
    elif CHOICES.name in tensors:
        choices = _texts(tensors, CHOICES.name, max_text_bytes)
        each = len(choices) // max(1, len(texts))
        if not 1 <= each <= MAX_CHOICES:
            raise InputError(f"{CHOICES.name}: expected 1 to {MAX_CHOICES} choices for each text, found {each}")
        seconds = [choices[start : start + each] for start in range(0, len(choices), each)]
    top_ks = _top_ks(tensors, len(texts))
    if not len(texts) == len(seconds) == len(top_ks):
        raise InputError(f"expected as many rows of each input as texts ({len(texts)})")
    return [Question(text, second, top_k) for text, second, top_k in zip(texts, seconds, top_ks, strict=True)]


def _texts(tensors: Tensors, name: str, max_text_bytes: int) -> list[str]:
    return [_text(value, f"{name}, row {row}", max_text_bytes) for row, value in enumerate(tensors[name].reshape(-1))]


def _text(value: object, where: str, max_text_bytes: int) -> str:
    if not isinstance(value, bytes):
        raise InputError(f"{where}: expected bytes of UTF-8, found {type(value).__name__}")
    if len(value) > max_text_bytes:
        raise InputError(f"{where}: expected a text of at most {max_text_bytes} bytes of UTF-8, found {len(value)}")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: expected bytes of UTF-8; byte {error.start} is wrong ({error.reason})") from error


def _top_ks(tensors: Tensors, rows: int) -> list[int | None]:
    if TOP_K.name not in tensors:
        return [None] * rows
    values = tensors[TOP_K.name].reshape(-1)
    outside = values[(values < 1) | (values > MAX_TOP_K)]
    if len(outside):
        raise InputError(f"{TOP_K.name}: expected 1 to {MAX_TOP_K}, found {outside[0]}")
    return [int(value) for value in np.asarray(values)]


def check_question(model: Model, question: Question) -> None:
    """Raise InputError if the fillers of the masks of a text would be larger than MAX_ANSWER_BYTES."""
    if model.manifest.task not in (MASKED_LM.name, PRETRAINING.name):
        return
    top_k = question.top_k or DEFAULT_TOP_K
    filler_bytes = top_k * len(question.text.encode("utf-8"))
    if model.manifest.sequence_length * filler_bytes <= MAX_ANSWER_BYTES:
        return
    second = question.second if isinstance(question.second, str) else None
    masks = len(masks_from_encoding(model, model.tokenizer.encode(question.text, second, padding=model.manifest.text_padding)))
    if masks * filler_bytes > MAX_ANSWER_BYTES:
        raise InputError(
            f"the answer would repeat a text of {len(question.text)} characters for {masks} masks with {top_k} fillers "
            f"each, which is more than {MAX_ANSWER_BYTES} bytes. Send a shorter text, fewer masks or a smaller {TOP_K.name}"
        )
