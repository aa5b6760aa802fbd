"""examples/embed_cpp: built with the installed package, as an application of its own would be."""

import subprocess

import pytest
from support.exports import export
from support.paths import ROOT

EXAMPLE = ROOT / "examples" / "embed_cpp"
EMAILS = ROOT / "examples" / "emails"
TEMPORARY_FAILURE = 75
HEADER = b"From someone Thu Nov 26 12:00:00 2026\nReceived: by here;\n\tfolded\nsubject:  %s\nContent-Type: text/plain\n"


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built-in")
    (folder / "samples").write_text("one text, for a short proof\n")
    return export(None, folder / "bundle", samples=folder / "samples").folder


@pytest.fixture(scope="module")
def spam_header(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed")
    for command in (
        ["--install", built.folder, "--prefix", folder / "usr"],
        ["-S", EXAMPLE, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={folder / 'usr'}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"],
        ["--build", folder / "build"],
    ):
        done = subprocess.run(["cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(mail, *words, **environment):
        return subprocess.run(
            [folder / "build" / "spam_header", *words], input=mail, env=built.environment | environment, capture_output=True
        )

    return run


def message(name):
    subject, body = (EMAILS / name).read_bytes().split(b"\n\n", 1)
    return HEADER % subject, b"\n" + body


@pytest.mark.parametrize(("name", "verdict"), [("ham.txt", b"no"), ("spam.txt", b"yes")])
def test_a_header_is_added_and_the_rest_is_as_it_was(spam_header, built_in, name, verdict):
    header, body = message(name)
    done = spam_header(header + body, built_in)
    assert (done.returncode, done.stderr) == (0, b"")
    head, added, rest = done.stdout[: len(header)], *done.stdout[len(header) :].split(b"\n", 1)
    assert (head, rest) == (header, body)
    assert added.startswith(b"X-Spam: " + verdict + b"; score=0.")
    forged = header.replace(b"Received", b"x-SPAM: no; really\n\tno\nReceived")
    assert spam_header(forged + body, FNET_BUNDLE=str(built_in)).stdout == done.stdout
    crlf = (header + body).replace(b"\n", b"\r\n")
    assert spam_header(crlf, built_in).stdout == done.stdout.replace(b"\n", b"\r\n")
    bare = (EMAILS / name).read_bytes()
    assert spam_header(bare, built_in).stdout == added + b"\n\n" + bare


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"no line feed", b"\xe9t\xe9 \xff\0", "ünïcödé\n".encode(), b"x: y\n\nz", b"word " * 50_000, b"w" * 100_000],
    ids=["nothing", "blank line", "open line", "latin-1", "utf-8", "like a header", "long", "one word"],
)
def test_any_body_is_handed_on(spam_header, built_in, body):
    header, _ = message("ham.txt")
    done = spam_header(header + b"\n" + body, built_in)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(header + b"X-Spam: ")
    assert done.stdout.endswith(b"\n\n" + body)


@pytest.mark.parametrize("text", [b"", b"\n", b" folded: x\n\n", b"Subject: no blank line", b"no field\n\nx: y\n"])
def test_a_text_without_a_header_gets_one(spam_header, built_in, text):
    done = spam_header(text, built_in)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 2 + text.count(b"\n"))
    assert done.stdout.startswith(b"X-Spam: ")
    assert done.stdout.endswith(b"\n\n" + text)


def test_mail_is_kept_where_there_is_no_answer(spam_header, whole_bundle, tmp_path):
    for words, why in (
        ([], b"expected the bundle's folder as the only argument, or in FNET_BUNDLE"),
        (["a", "b"], b"expected the bundle's folder as the only argument, or in FNET_BUNDLE"),
        ([tmp_path / "none"], b"manifest.json: cannot be read"),
        ([whole_bundle], b"expected a bundle with the label spam"),
    ):
        done = spam_header(b"Subject: x\n\ny", *words)
        assert (done.returncode, done.stdout) == (TEMPORARY_FAILURE, b"")
        assert why in done.stderr
