"""The held-out e-mails that come with the project: what is compared, calibrated and timed on where a user gives no texts."""

import json
from functools import cache
from pathlib import Path

EMAILS = Path(__file__).parent / "emails.jsonl"


@cache
def emails() -> tuple[str, ...]:
    """Return their texts, subject, blank line, body each."""
    return tuple(json.loads(line)["text"] for line in EMAILS.read_text("utf-8").splitlines())
