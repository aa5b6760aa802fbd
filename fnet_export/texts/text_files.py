"""Texts that a model is run on: to calibrate, to compare, to measure."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fnet_export.base.errors import TextError
from fnet_export.texts.emails import EMAILS, emails
from fnet_export.texts.samples import spread

COUNT = 64
"""Texts that are run at most, spread evenly over the data."""
BUILT_IN = "built-in e-mails"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts: what they are called, the hash of their file, and those that are run."""

    name: str
    sha256: str
    texts: tuple[str, ...]


def texts_from_file(path: Path | None) -> Texts:
    """Read texts: JSON Lines with a `text` each, or one text per line. None: the built-in e-mails.

    Raises TextError when the file cannot be read, has no text or a line that is not JSON with one.
    """
    if path is None:
        texts = emails()
        return Texts(name=BUILT_IN, sha256=_sha256(EMAILS.read_bytes()), texts=tuple(spread(texts, COUNT)))
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")  # not splitlines: JSON has U+2028 inside of strings
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TextError(
            f"{path}: cannot be read ({reason}); expected texts in UTF-8, one text per line or JSON Lines. Check the path"
        ) from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    texts = tuple(_text(path, number, line) if path.suffix.lower() == ".jsonl" else line.strip() for number, line in numbered)
    if not texts:
        raise TextError(f"{path}: no texts; expected one text per line, in .jsonl as an object with a text")
    return Texts(name=path.name, sha256=_sha256(data), texts=tuple(spread(texts, min(COUNT, len(texts)))))


def _text(path: Path, number: int, line: str) -> str:
    """The text of one line of JSON; of a pair both, with an empty line between."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{path}: line {number}: not JSON ({error}); expected an object with a text") from error
    parts = [record.get(key) for key in ("text", "text_pair")] if isinstance(record, dict) else []
    if not parts or not isinstance(parts[0], str) or not isinstance(parts[1], str | None):
        raise TextError(f'{path}: line {number}: expected {{"text": "..."}}, found {line[:60]}')
    text = "\n\n".join(part for part in parts if part is not None)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"{path}: line {number}: holds a lone surrogate, which is not a character; expected valid Unicode"
        ) from error
    return text


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
