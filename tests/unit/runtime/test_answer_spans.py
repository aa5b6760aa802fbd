"""Spans of a context that answer a question: words, both scores, windows and the empty answer, over a scripted session."""

import math
from pathlib import Path

import numpy as np
import pytest
from fnet_runtime.bundle.manifest import FORMAT_VERSION, Manifest, Source, TensorInfo
from fnet_runtime.errors import InputError, OptionError
from fnet_runtime.pipeline.answers import Answer
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.spans import words_from_ids
from fnet_runtime.sessions.session import ANY_BATCH
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from support import golden_tokenizer
from support.paths import GOLDEN

LENGTH = 32
FLAVOURS = ("fnet-fast", "fnet-v5", "fnet-slow", "sentencepiece")


class Scripted:
    """Gives each token the start and end logits of its id, and every other token those of `rest`."""

    batch = ANY_BATCH

    def __init__(self, starts, ends, rest):
        self.starts, self.ends, self.rest = starts, ends, rest

    def run(self, inputs):
        ids = inputs["input_ids"]
        return {
            name: np.array([[logits.get(int(token), self.rest) for token in row] for row in ids], np.float32)
            for name, logits in (("start_logits", self.starts), ("end_logits", self.ends))
        }


def pipeline(starts=None, ends=None, *, rest=-50.0, padding="none", flavour="fnet-fast"):
    data = golden_tokenizer.pipeline("bpe", flavour) if flavour in FLAVOURS[:2] else (GOLDEN / "bpe.model").read_bytes()
    axes = ("batch_size", LENGTH if padding == "max_length" else "sequence_length")
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        task="question-answering",
        target="onnx",
        labels=(),
        inputs=tuple(TensorInfo(name=name, dtype="int64", axes=axes) for name in ("input_ids", "token_type_ids")),
        outputs=(),
        sequence_length=LENGTH,
        padding=padding,
        pad_to_multiple_of=1,
        pad_token_id=3,
        tokenizer=TokenizerOptions(flavour=flavour),
        transform="dft",
        transform_reason="asked for",
        precision="fp32",
        quantization=None,
        source=Source(id="x", revision=None, sha256={}, random_head=False),
        tools={},
        engine=None,
        files={},
    )
    tokenizer = Tokenizer(data, TokenizerOptions(flavour=flavour))
    logits = [{one(tokenizer, piece): value for piece, value in (given or {}).items()} for given in (starts, ends)]
    return Pipeline(manifest=manifest, tokenizer=tokenizer, session=Scripted(*logits, rest), golden=Path("none"))


def one(tokenizer, piece):
    token = tokenizer.token_id(piece)
    assert token is not None
    return token


def pieces_of(pipe, text):
    return [pipe.tokenizer.piece(token) for token in pipe.tokenizer.ids(text)]


def words_of(pipe, text):
    """The words of a text, each for its first token."""
    tokens = pipe.tokenizer.tokens(text)
    words = words_from_ids(pipe, [token.id for token in tokens])
    assert all(first <= place <= last for place, (first, last) in enumerate(words))
    spans = [(tokens[first].span[0], tokens[last].span[1]) for place, (first, last) in enumerate(words) if first == place]
    return [text[start:end].strip() for start, end in spans]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_space_ends_a_word(flavour):
    pipe = pipeline(flavour=flavour)
    text = "the Paris. fox 10,000 isn't B-52"
    assert words_of(pipe, text) == text.split()
    assert words_of(pipe, "") == []


def test_a_special_token_is_a_word_of_its_own():
    pipe = pipeline()
    assert words_of(pipe, "the[MASK]fox dog[SEP] \U0001f600") == ["the", "[MASK]", "fox", "dog", "[SEP]", "\U0001f600"]


def test_answers_are_whole_words():
    context = "the Paris. fox"
    pieces = pieces_of(pipeline(), context)
    inside = pieces[2]  # a piece after the first one of the word
    assert not inside.startswith("▁")
    pipe = pipeline({inside: 5.0}, {inside: 5.0})
    (whole,) = pipe.answer("who", context, top_k=1)
    assert (whole.text, whole.start, whole.end) == ("Paris.", 4, 10)
    (part,) = pipe.answer("who", context, top_k=1, align_to_words=False)
    assert (part.text, context[part.start : part.end]) == (inside, inside)


def test_the_score_multiplies_two_softmaxes_and_the_share_is_of_one():
    pipe = pipeline({"▁fox": math.log(3)}, {"▁dog": math.log(2)}, rest=0.0)
    context = "the fox dog"
    ids = pipe.tokenizer.ids(context)
    assert len(ids) == 3
    best = pipe.answer("the", context, top_k=1)[0]
    assert (best.text, best.score) == ("fox dog", pytest.approx(3 / 6 * 2 / 5))  # softmaxes over [CLS] and three tokens
    spans = {(i, j): (3 if i == 1 else 1) * (2 if j == 2 else 1) for i in range(3) for j in range(i, 3)}
    assert best.share == pytest.approx(6 / sum(spans.values()))
    answers = pipe.answer("the", context)
    assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
    assert sum(a.share for a in pipe.answer("the", context, top_k=10)) == pytest.approx(1)
    assert {a.text for a in pipe.answer("the", context, top_k=10, max_answer_len=1)} == {"the", "fox", "dog"}


def test_the_same_words_elsewhere_are_one_answer():
    pipe = pipeline({"▁fox": 0.0}, {"▁fox": 0.0})
    first, *others = pipe.answer("the", "a fox and fox dog", max_answer_len=1)
    assert (first.text, first.start, first.score) == ("fox", 2, pytest.approx(0.5))
    assert first.share == pytest.approx(0.5)
    assert all(answer.score < 1e-6 for answer in others)


@pytest.mark.parametrize("padding", ["none", "max_length"])
def test_windows_share_as_many_tokens_as_asked_for(padding):
    pipe = pipeline({"▁fox": 3.0}, {"▁fox": 3.0}, padding=padding)
    context = "the dog " * 30 + "fox " + "a dog " * 30
    room = LENGTH - 3 - len(pipe.tokenizer.ids("who"))
    for stride in (0, 5, room - 1):
        (best,) = pipe.answer("who", context, top_k=1, stride=stride)
        assert (best.text, best.share) == ("fox", pytest.approx(1))
        count = len(pipe.tokenizer.ids(context))
        request = pipe._request(pipe._task, "who", context, AnswerOptions(stride=stride))
        assert len(request.encodings) == 1 + -(-(count - room) // (room - stride))
    with pytest.raises(OptionError, match=f"^stride: expected less than the {room} tokens that the question leaves to a window"):
        pipe.answer("who", context, stride=room)
    assert pipe.answer("who", "the fox", top_k=1, stride=room)[0].text == "fox"


@pytest.mark.parametrize(
    ("cls", "options", "texts"),
    [
        (9.0, {}, ["fox"]),
        (9.0, {"handle_impossible_answer": True}, ["", "fox"]),
        (2.0, {"handle_impossible_answer": True}, ["fox", ""]),
        (9.0, {"null_threshold": 7.5}, ["", "fox"]),  # twice 9 - twice 5 is 8
        (9.0, {"null_threshold": 8.0}, ["fox", ""]),
        (2.0, {"null_threshold": -6.5}, ["", "fox"]),
        (2.0, {"null_threshold": -6.0}, ["fox", ""]),
    ],
)
def test_no_answer_has_the_score_of_cls(cls, options, texts):
    pipe = pipeline({"▁fox": 5.0, "[CLS]": cls}, {"▁fox": 5.0, "[CLS]": cls})
    answers = pipe.answer("who", "the fox", max_answer_len=1, **options)[:2]
    assert [answer.text for answer in answers][: len(texts)] == texts
    for answer in answers[: len(texts)]:
        if not answer.text:
            p = 1 / (1 + math.exp(5 - cls))
            assert (answer.start, answer.end, answer.score) == (0, 0, pytest.approx(p * p))
            assert answer.share == pytest.approx(1 / (1 + math.exp(10 - 2 * cls)))
    assert pipe.answer("who", "the fox", top_k=1, **options)[0].text == texts[0]


def test_a_context_without_text_has_no_answer():
    pipe = pipeline(rest=0.0)
    assert pipe.answer("who", "") == ()
    assert pipe.answer("who", "", handle_impossible_answer=True) == (Answer("", 1.0, 0, 0, 1.0),)
    (blank,) = pipe.answer("who", " ", handle_impossible_answer=True)  # a token of white space only
    assert (blank.text, blank.score) == ("", 0.25)
    assert pipe.answer("who", "", null_threshold=1e9) == (Answer("", 1.0, 0, 0, 1.0),)


def test_numbers_that_are_not_finite_have_no_order():
    pipe = pipeline({"▁fox": math.nan}, {"▁fox": 1.0}, rest=0.0)
    answers = pipe.answer("who", "the fox dog", handle_impossible_answer=True)
    assert len(answers) == 5
    assert all(math.isnan(answer.share) for answer in answers)


def test_a_tokenizer_without_cls_has_no_empty_answer():
    pipe = pipeline(rest=0.0, flavour="fnet-v5")
    assert pipe.answer("who", "the fox")[0].text
    for options in ({"handle_impossible_answer": True}, {"null_threshold": 0.0}):
        with pytest.raises(OptionError, match=r"^handle_impossible_answer, null_threshold: .* adds \[CLS\], .* found fnet-v5$"):
            pipe.answer("who", "the fox", **options)
    with pytest.raises(InputError, match="takes"):
        pipe.answer("who " * 40, "the fox")
