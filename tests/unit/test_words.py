"""Checks the English of pages, help texts, error texts and docstrings: short sentences, no phrases of a private dialect."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from fnet_runtime.command.cli import main as fnet_run

from fnet_export.commands.cli import main as fnet_export

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(path for name in ("docs", "examples", "fnet_core") for path in (ROOT / name).rglob("*.md"))])
FOLDERS = ("fnet_core", "fnet_export", "runtimes/python/fnet_runtime", "examples", "docs")
CODE = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TEMPLATES = sorted((ROOT / "fnet_export").rglob("*.j2"))
PROGRAMS = {"fnet-export": fnet_export, "fnet-run": fnet_run}
MAX_WORDS = 30

BANNED = {
    r"for want of": "because there is no ...",
    r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|faster\b|greater\b|less\b)": "is not a ...",
    r"\b(is|are|was|were|has|have|gives?|states?) (?-i:none)\b": "repeat the noun",
    r"\bnone of (its|theirs|ours)\b": "repeat the noun",
    r"\bbeside\b": "next to",
    r"\bstands? (twice|once|there|apart|in it|by itself)\b": "is, occurs",
    r"\b(tells?|told)\b(?! \w+ to\b)": "reports, says, returns",
    r"\bof which\b": "start a new sentence",
    r"(^|[.!?] )(?-i:Of) [^.!?]{1,60}, ": "put the actor first",
    r"\b(is|are|was|were) (that|those) of\b": "repeat the noun",
    r"\bis another\b(?! \w)": "is different",
    r"\bbut for\b": "except for",
    r"\bsave for\b": "except",
    r"\botherwise than\b": "differently from",
    r"\bwithout a word\b": "silently",
    r", for (it|they|this|that|these) (?!to\b)": "because",
    r"\bspeaks? of\b": "is about, uses",
    r"\bat an end\b": "used up",
    r"\bheld against\b": "compared with",
    r"\bat (its|their) word\b": "literally",
    r"\bof (ours|yours|theirs)\b": "our own",
    r"\b(in|for|of) [\w-]+ alone\b": "only",
    r"\banew\b": "again",
    r"\bas many as there are\b": "all",
    r"\bwhat of it\b": "which part",
}
"""Phrases that the English of this project does without, as regular expressions, and what to write instead."""
RULES = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in BANNED.items()]
DIALECT = [
    "a value that is none",
    "X is no folder",
    "no context, mostly for want of memory",
    "what stands beside the file",
    "a key stands twice",
    "the process told us",
    "Of a pair, the longer is cut",
    "a failed row, in which all, one of which fails",
    "the layers are those of the model",
    "this holds in fp32 alone",
    "a model of ours",
]
ENGLISH = [
    "There is no GPU here.",
    "The name is no longer used.",
    "The runtime tells OpenVINO to compute in float32.",
    "One of the layers is another layer's twin.",
    "Another stand-in library takes its place.",
    "The outputs of the layers are compared.",
]


@dataclass(frozen=True)
class Text:
    """A piece of prose and where it is."""

    place: str
    words: str


def prose_of_markdown(name: str, source: str) -> Iterator[Text]:
    """Give each paragraph, list item, heading and table cell, without code, addresses and marks."""
    source = re.sub(r"^---\n.*?\n---\n", lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL)
    source = re.sub(r"<!--.*?-->", lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL)
    source = re.sub(r"^( *)```.*?^ *```", lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)
    paragraph: list[str] = []
    start = 1
    for number, line in enumerate([*source.splitlines(), ""], 1):
        bare = line.strip()
        begins = re.match(r"([-*]|\d+\.|#+) ", bare)
        if paragraph and (not bare or begins or bare.startswith("|")):
            yield Text(f"{name}:{start}", plain(" ".join(paragraph)))
            paragraph = []
        if bare.startswith("|"):
            yield from (Text(f"{name}:{number}", plain(part)) for part in re.split(r"(?<!\\)\||; ", bare.strip("|")))
        elif bare and not (line.startswith("    ") and not paragraph):
            start = start if paragraph else number
            paragraph.append(bare[begins.end() :] if begins else bare)


def plain(text: str) -> str:
    """Return a text of Markdown without its marks; code counts as one word."""
    text = re.sub(r"``.+?``|`[^`]+`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\s+", " ", text.replace("*", "")).strip()


def prose_of_help(program: str, command: click.Command) -> Iterator[Text]:
    """Give the help of a command, of its options, and of its own commands."""
    parts = [command.help, command.epilog, command.short_help, *(getattr(parameter, "help", None) for parameter in command.params)]
    for part in parts:
        for paragraph in (part or "").split("\n\n"):
            pieces = paragraph.splitlines() if paragraph.startswith("\b") else [paragraph]  # click does not wrap what follows \b
            yield from (Text(f"{program} --help", re.sub(r"\s+", " ", piece)) for piece in pieces)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from prose_of_help(f"{program} {name}", inner)


def prose_of_code(name: str, source: str) -> Iterator[Text]:
    """Give the docstrings, and the text of every error that is raised; what is filled in counts as one word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            inner = {id(value) for part in ast.walk(node.exc) if isinstance(part, ast.JoinedStr) for value in part.values}
            for part in ast.walk(node.exc):
                if isinstance(part, ast.JoinedStr):
                    words = "".join(str(value.value) if isinstance(value, ast.Constant) else "X" for value in part.values)
                    yield Text(f"{name}:{node.lineno}", words)
                elif isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inner:
                    yield Text(f"{name}:{node.lineno}", part.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for paragraph in re.split(r"\n\n|\n.*── ", node.value.value):
                yield Text(f"{name}:{node.lineno}", plain(paragraph))


def prose_of_template(name: str, source: str) -> Iterator[Text]:
    """Give each text between the tags of a page's template; what is filled in counts as one word."""
    source = re.sub(r"\{\{.*?\}\}", "CODE", re.sub(r"\{%.*?%\}", "", source, flags=re.DOTALL), flags=re.DOTALL)
    for number, line in enumerate(source.splitlines(), 1):
        yield from (Text(f"{name}:{number}", words.strip()) for words in re.split(r"<[^>]*>", line) if words.strip())
    yield from (Text(name, words) for words in re.findall(r'drawn\("\w+", "([^"]+)"', source))


def faults(text: Text) -> Iterator[str]:
    """Give what is wrong with a text."""
    for rule, instead in RULES:
        match = rule.search(text.words)
        if match:
            around = text.words[max(0, match.start() - 40) : match.end() + 40]
            yield f"{text.place}: {match[0].strip()!r}; write {instead!r}\n    {around}"
    for sentence in re.split(r"(?<=[.!?])[)\"']* ", text.words):
        count = len(re.findall(r"[^\W_][\w'.,/-]*", sentence))
        if count > MAX_WORDS:
            yield f"{text.place}: a sentence of {count} words, above {MAX_WORDS}\n    {sentence}"


def check(texts: Iterator[Text]) -> None:
    found = [fault for text in texts for fault in faults(text)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path):
    check(prose_of_markdown(str(path.relative_to(ROOT)), path.read_text("utf-8")))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates(path):
    check(prose_of_template(path.name, path.read_text("utf-8")))


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_and_errors(path):
    check(prose_of_code(str(path.relative_to(ROOT)), path.read_text("utf-8")))


@pytest.mark.parametrize("name", PROGRAMS)
def test_help(name):
    check(prose_of_help(name, PROGRAMS[name]))


@pytest.mark.parametrize("words", DIALECT)
def test_the_dialect_is_caught(words):
    assert list(faults(Text("here", words)))


@pytest.mark.parametrize("words", ENGLISH)
def test_good_english_is_not(words):
    assert not list(faults(Text("here", words)))


def test_a_long_sentence_is_caught():
    assert list(faults(Text("here", "word " * 31)))
    assert not list(faults(Text("here", "word " * 30)))
