"""The example: how mail becomes text, how it is split, how a filter is scored. CI leaves the half hour of training out."""

import sys

import pytest
from support.paths import ROOT

FOLDER = ROOT / "examples" / "spam_filter"
sys.path.insert(0, str(FOLDER))

from corpus import (  # noqa: E402
    CorpusError,
    Message,
    clean,
    corpus_folder,
    held_out_samples,
    html_to_text,
    split_name,
    subject_and_body,
    without_near_duplicates,
)
from score import score  # noqa: E402
from train import config, tokenizer_model  # noqa: E402

MULTIPART = """Subject: =?iso-8859-1?q?caf=E9?=
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/html

<p>markup</p>
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

na=EFve
--b--
"""


def test_plain_text_is_preferred_and_decoded():
    assert clean(subject_and_body(MULTIPART)) == "café\n\nnaïve"


def test_html_becomes_what_a_reader_sees():
    head, script = "<title>no</title><style>p {}</style>", "<script>x()</script>"
    page = f"<html>{head}<body><p>You &amp; me<br>now<!-- hidden --></p>{script}</body></html>"
    assert html_to_text(page).split() == ["You", "&", "me", "now"]
    assert clean(subject_and_body("Subject: s\n\n<html><b>a</b><br><font size=1>b</font><p>c</p><p>d</p>")) == "s\n\na\nb\nc\n\nd"


@pytest.mark.parametrize(
    "line",
    [
        "From: someone@example.net",
        "> X-Mailer: Blaster",
        "-----BEGIN PGP SIGNATURE-----",
        "_______________________________________________",
        "Irish Linux Users' Group: ilug@linux.ie",
        "https://example.sourceforge.net/lists/listinfo/razor-users",
        "--=_NextPart_000_0001",
        "A" * 76,
    ],
)
def test_give_aways_are_dropped(line):
    assert clean(f"[ILUG] hello\n\nfirst line\n{line}\nlast line") == "hello\n\nfirst line\n\nlast line"


def test_signatures_hosts_and_empty_messages():
    assert clean("s\n\nbody\n-- \nJane Doe\nACME") == "s\n\nbody"
    assert clean("s\n\nfrom jm@jmason.org yes") == "s\n\nfrom yes"
    assert clean("...\n\n***") == ""


def test_near_duplicates_go_whatever_their_label():
    text = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60))
    messages = [
        Message("a", "spam", text),
        Message("b", "ham", text.replace("wordda", "changed")),
        Message("c", "ham", "something else altogether"),
        Message("d", "ham", ""),
    ]
    assert [m.id for m in without_near_duplicates(messages)] == ["a", "c"]


def test_the_split_hangs_on_the_words_alone():
    assert split_name("Call 555 now") == split_name("call 123, NOW!")
    names = [split_name(f"message {chr(97 + i % 26)} {chr(97 + i // 26)}") for i in range(600)]
    assert 0.6 < names.count("train") / 600 < 0.8
    assert 0.12 < names.count("test") / 600 < 0.28


def test_samples_are_short_balanced_and_showable():
    test = [Message(str(i), "ham" if i % 2 else "spam", f"text {'abcdefghij'[i]} " * 900) for i in range(10)]
    test.append(Message("x", "spam", "hot girls"))
    samples = held_out_samples(test, 6)
    assert [sum(m.label == label for m in samples) for label in ("ham", "spam")] == [3, 3]
    assert all(len(m.text) <= 4000 and m.id != "x" for m in samples)


def test_scores():
    found = score(["spam", "ham", "spam", "ham"], ["spam", "ham", "ham", "spam"])
    assert (found.accuracy, found.f1) == (0.5, 0.5)
    assert found.interval == pytest.approx((0.1500, 0.8500), abs=1e-4)  # Wilson, 2 of 4
    assert score(["ham"], ["ham"]).f1 == 0.0


def test_a_folder_that_is_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match="expected the unpacked npm package"):
        corpus_folder(tmp_path)


def test_the_vocabulary_has_fnets_ids_and_is_reproducible(monkeypatch):
    import train

    monkeypatch.setattr(train, "VOCAB_SIZE", 60)
    texts = ["the quick brown fox jumps over the lazy dog"] * 20
    model = tokenizer_model(texts)
    assert model == tokenizer_model(texts)
    tokenizer = train.Tokenizer(model)
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (3, 4, 5, 6)
    assert config().num_labels == 2
