"""Pipelines over a scripted session: each test says what the engine answers and reads what comes of it."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fnet_runtime.bundle.manifest import FORMAT_VERSION, Manifest, Source, TensorInfo
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answers import Choice, Classification, Embedding, Fillers, NextSentence, Pretraining, TokenLabels
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.tasks import TASKS
from fnet_runtime.sessions.session import ANY_BATCH
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from support import golden_tokenizer
from support.paths import GOLDEN
from transformers.pipelines.text_classification import TextClassificationPipeline

from fnet_core.tasks import TASKS as CORE_TASKS

TOKENIZER_FILE = GOLDEN / "bpe.model"
TOKENIZER = Tokenizer.from_file(TOKENIZER_FILE)
LENGTH = 32


class Scripted:
    """Answers with a function of the inputs, and keeps the shapes it saw."""

    batch = ANY_BATCH

    def __init__(self, answer):
        self.answer, self.shapes = answer, []

    def run(self, inputs):
        self.shapes.append(inputs["input_ids"].shape)
        return {name: np.asarray(array, np.float32) for name, array in self.answer(inputs["input_ids"]).items()}


def pipeline(
    task,
    answer,
    *,
    labels=("ham", "spam"),
    length=LENGTH,
    padding="max_length",
    multiple_of=1,
    problem_type=None,
    tokenizer=TOKENIZER,
):
    tokens = length if padding == "max_length" else "sequence_length"
    axes = ("batch_size", "num_choices", tokens) if task == "multiple-choice" else ("batch_size", tokens)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        task=task,
        target="onnx",
        labels=labels,
        inputs=tuple(TensorInfo(name=name, dtype="int64", axes=axes) for name in ("input_ids", "token_type_ids")),
        outputs=(),
        sequence_length=length,
        padding=padding,
        pad_to_multiple_of=multiple_of,
        pad_token_id=3,
        tokenizer=tokenizer.options,
        transform="dft",
        transform_reason="asked for",
        precision="fp32",
        quantization=None,
        source=Source(id="x", revision=None, sha256={}, random_head=False),
        tools={},
        engine=None,
        files={},
    )
    return Pipeline(
        manifest=manifest, tokenizer=tokenizer, session=Scripted(answer), golden=Path("none"), problem_type=problem_type
    )


def logits(*rows):
    return lambda ids: {"logits": np.resize(np.array(rows, np.float32), (len(ids), len(rows[0])))}


def test_every_task_has_a_pipeline():
    assert set(TASKS) == set(CORE_TASKS)


def test_sequence_classification():
    pipe = pipeline("sequence-classification", logits([0.0, math.log(3)], [9.0, 0.0]))
    first, second = pipe(["buy now", "see you"])
    assert (first.label, first.score) == ("spam", pytest.approx(0.75))
    assert [(s.label, s.score) for s in first.scores] == [("spam", pytest.approx(0.75)), ("ham", pytest.approx(0.25))]
    assert second.label == "ham"
    assert pipe("buy now") == first
    assert pipe([]) == []


def test_problem_types():
    multi = pipeline("sequence-classification", logits([0.0, math.log(3)]), problem_type="multi_label_classification")("a")
    assert [s.score for s in multi.scores] == [pytest.approx(0.75), pytest.approx(0.5)]
    assert pipeline("sequence-classification", logits([2.5]), labels=("stars",), problem_type="regression")("a").score == 2.5


@pytest.mark.parametrize("problem_type", [None, "single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("row", [[0.3], [-2.0], [0.5, -1.0], [0.1, 0.2, 3.0]])
def test_scores_are_those_of_the_pipeline_of_transformers(problem_type, row):
    names = {i: f"LABEL_{i}" for i in range(len(row))}
    config = SimpleNamespace(id2label=names, num_labels=len(row), problem_type=problem_type)
    theirs = object.__new__(TextClassificationPipeline)
    theirs.model = SimpleNamespace(config=config)
    expected = theirs.postprocess({"logits": torch.tensor([row])}, top_k=None, _legacy=False)
    labels = tuple(names.values())
    found = pipeline("sequence-classification", logits(row), labels=labels, problem_type=problem_type)("a")
    assert [s.label for s in found.scores] == [e["label"] for e in expected]
    assert [s.score for s in found.scores] == pytest.approx([e["score"] for e in expected], abs=1e-6)


WORDS = "the quick fox and the lazy dog " * 9


@pytest.mark.parametrize("padding", ["max_length", "none"])
@pytest.mark.parametrize(
    ("task", "text", "second", "outputs"),
    [
        ("sequence-classification", "{}", None, {"logits": 2}),
        ("sequence-classification", "the fox", "{}", {"logits": 2}),
        ("next-sentence-prediction", "{}", "the fox", {"logits": 2}),
        ("token-classification", "{}", None, {"logits": (LENGTH, 2)}),
        ("masked-lm", "[MASK] {}", None, {"logits": (LENGTH, TOKENIZER.vocab_size)}),
        ("multiple-choice", "the fox", ["a", "{}"], {"logits": ()}),
        ("feature-extraction", "{}", None, {"last_hidden_state": (LENGTH, 4), "pooler_output": 4}),
        (
            "pretraining",
            "[MASK]",
            "{}",
            {"prediction_logits": (LENGTH, TOKENIZER.vocab_size), "seq_relationship_logits": 2},
        ),
    ],
)
def test_an_answer_tells_whether_a_text_was_cut(padding, task, text, second, outputs):
    def answer(ids):
        rows, tokens = ids.shape[:-1], ids.shape[-1]  # of choices two axes
        sizes = {name: [tokens if n == LENGTH else n for n in np.atleast_1d(size).astype(int)] for name, size in outputs.items()}
        return {name: np.zeros((*rows, *size)) for name, size in sizes.items()}

    pipe = pipeline(task, answer, padding=padding)
    filled = lambda words: [s.format(words) for s in second] if isinstance(second, list) else second and second.format(words)  # noqa: E731
    room = LENGTH - TOKENIZER.added(pair=second is not None)
    fits = [next(n for n in range(LENGTH, -1, -1) if _tokens(text, second, _words(n)) <= room), 1]
    for words in (_words(fits[0]), "dog"):
        assert pipe(text.format(words), filled(words)).truncated is False
    for words in (_words(fits[0] + 1), WORDS):
        assert pipe(text.format(words), filled(words)).truncated is True


def _words(count):
    return " ".join(["dog"] * count)


def _tokens(text, second, words):
    """Tokens of the longest row."""
    seconds = second if isinstance(second, list) else [second]
    return max(len(TOKENIZER.ids(text.format(words))) + len(TOKENIZER.ids((s or "").format(words))) for s in seconds)


def test_nothing_is_cut_of_a_question_or_its_context():
    pipe = pipeline("question-answering", None, length=32)
    assert not any(e.truncated for e in TASKS["question-answering"].encode(pipe, "who", WORDS))


def test_each_answer_or_its_error():
    vocabulary = {"logits": (LENGTH, TOKENIZER.vocab_size)}
    pipe = pipeline("masked-lm", lambda ids: {name: np.zeros((len(ids), *shape)) for name, shape in vocabulary.items()})
    found = pipe.answer_each(["a [MASK]", "no mask", "\ud800", "[MASK]"], top_k=2)
    assert found[::3] == [pipe("a [MASK]", top_k=2), pipe("[MASK]", top_k=2)]
    assert [type(f) for f in found[1:3]] == [InputError] * 2
    assert "found no [MASK]" in str(found[1])
    assert "lone surrogate at character 0" in str(found[2])
    assert pipe.answer_each([]) == []
    with pytest.raises(InputError, match="masked-lm: expected one text, found a pair"):
        pipe.answer_each(["a [MASK]"], "a pair that no text may have")
    with pytest.raises(InputError, match="top_k"):
        pipe.answer_each([], top_k=0)


def test_long_lists_run_in_batches():
    pipe = pipeline("sequence-classification", logits([0.0, 1.0]))
    assert len(pipe(["a"] * 19)) == 19
    assert [shape[0] for shape in pipe.session.shapes] == [8, 8, 3]


def of_ids(ids):
    """Logits that tell the tokens of a row, and how many they are."""
    return {"logits": np.stack([ids.sum(axis=-1), np.full(ids.shape[:-1], ids.shape[-1])], axis=-1)}


def tokens_of(text, second=None):
    return TOKENIZER.encode(text, second, padding=Padding(LENGTH, "none")).input_ids


TEXTS_OF_LENGTHS = [_words(n) for n in (5, 1, 5, 0, 40, 2, 5, 1)]


@pytest.mark.parametrize("multiple_of", [1, 4, 32])
def test_texts_run_at_their_own_length_and_answer_in_order(multiple_of):
    pipe = pipeline("sequence-classification", of_ids, padding="none", multiple_of=multiple_of, problem_type="regression")
    found = pipe(TEXTS_OF_LENGTHS)
    for text, answer in zip(TEXTS_OF_LENGTHS, found, strict=True):
        ids = tokens_of(text)
        padded = -(-len(ids) // multiple_of) * multiple_of
        wanted = {"spam": padded, "ham": ids.sum() + (padded - len(ids)) * TOKENIZER.pad_id}
        assert {score.label: score.score for score in answer.scores} == wanted
        assert answer == pipe(text)
        (row,) = pipe.inputs(text)
        assert {name: array.shape for name, array in row.items()} == dict.fromkeys(("input_ids", "token_type_ids"), (1, padded))
    shapes = pipe.session.shapes[: -len(found)]  # those of one text each come last
    assert sum(rows for rows, _ in shapes) == len(found)
    assert len({length for _, length in shapes}) == len(shapes) == {1: 5, 4: 3, 32: 1}[multiple_of]


def test_many_texts_of_unlike_lengths_fill_the_batches():
    pipe = pipeline("sequence-classification", of_ids, padding="none", problem_type="regression")
    assert (pipe.rows_at_once, pipeline("sequence-classification", of_ids).rows_at_once) == (8 * 16, 8)
    texts = [_words(1 + i % 3) for i in range(150)]
    alone = [pipe(text) for text in texts[:3]]
    pipe.session.shapes.clear()
    assert pipe(texts) == alone * 50
    together, rest = pipe.session.shapes[:18], pipe.session.shapes[18:]
    assert (sum(rows for rows, _ in together), sum(rows for rows, _ in rest)) == (128, 22)
    assert sorted(rows for rows, _ in together) == [2, 3, 3, *[8] * 15]
    assert [rows for rows, _ in rest] == [8, 7, 7]


def test_choices_of_unlike_lengths_run_at_their_own():
    pipe = pipeline("multiple-choice", letters, padding="none")
    choices = ["fox fox x", "z", "y fox"]
    first, second = pipe(["a", "a b"], [choices, choices[::-1]])
    assert (first.index, first.text, second.index, second.text) == (1, "z", 1, "z")
    assert first.scores == pytest.approx(np.exp([0, 2, 1]) / np.exp(range(3)).sum())
    assert second.scores == first.scores[::-1]
    rows = pipe.inputs("a", choices)
    assert len({row["input_ids"].shape for row in rows}) > 1
    for row, text in zip(rows, choices, strict=True):
        np.testing.assert_array_equal(row["input_ids"], tokens_of("a", text)[None, None])
    assert sum(shape[0] for shape in pipe.session.shapes) == 6


def test_every_window_but_the_last_is_as_long_as_can_be():
    context = "dog " * 60 + "the lazy fox " + "dog " * 5
    pipe = pipeline("question-answering", spans("lazy", "fox", context), padding="none")
    best = pipe.answer("dog", context)[0]
    assert (best.text, context[best.start : best.end]) == ("lazy fox", "lazy fox")
    lengths = [row["input_ids"].shape for row in pipe.inputs("dog", context)]
    assert set(lengths[:-1]) == {(1, LENGTH)}
    assert lengths[-1][1] < LENGTH
    padded = pipeline("question-answering", spans("lazy", "fox", context))
    assert padded.answer("dog", context)[0].text == best.text
    (row,) = pipe.inputs("dog", "the fox")
    np.testing.assert_array_equal(row["input_ids"][0], tokens_of("dog", "the fox"))


def test_a_text_without_tokens_has_no_length_of_its_own():
    tokenizer = Tokenizer(golden_tokenizer.pipeline("bpe", "fnet-v5"), TokenizerOptions(flavour="fnet-v5"))
    pipe = pipeline("sequence-classification", of_ids, padding="none", tokenizer=tokenizer)
    refused, answered = pipe.answer_each(["", "fox"])
    assert str(refused) == "expected a text with at least one token, found none; this bundle does not pad texts"
    assert (type(refused), type(answered)) == (InputError, Classification)
    with pytest.raises(InputError, match="expected a text with at least one token, found none"):
        pipe.inputs("")


@pytest.mark.parametrize("multiple_of", [1, 8])
def test_vectors_of_a_text_at_its_own_length(multiple_of):
    answer = lambda ids: {"last_hidden_state": np.ones((*ids.shape, 4)), "pooler_output": np.zeros((len(ids), 4))}  # noqa: E731
    found = pipeline("feature-extraction", answer, padding="none", multiple_of=multiple_of)(["fox", "the fox", ""])
    assert [f.tokens.shape for f in found] == [(len(tokens_of(text)), 4) for text in ("fox", "the fox", "")]


def test_token_classification_spans():
    text = "the quick fox"
    (row,) = pipeline("token-classification", logits([0.0])).inputs(text)
    (ids,) = row["input_ids"]
    answer = lambda ids: {"logits": np.stack([np.eye(2)[(ids == ids[0, 2]).astype(int)[0]]])}  # noqa: E731
    found = pipeline("token-classification", answer).classify_tokens(text).tokens
    assert len(found) == list(ids).index(5) - 1
    assert "".join(t.text for t in found) == text.replace(" ", "")
    assert all(text[t.start : t.end] == t.text for t in found)
    assert [t.label for t in found][:2] == ["ham", "spam"]


def spans(start_word, end_word, text):
    """Logits that point at the tokens of two words of the context."""

    def answer(ids):
        starts, ends = np.zeros(ids.shape), np.zeros(ids.shape)
        for row, tokens in enumerate(ids):
            for array, word in ((starts, start_word), (ends, end_word)):
                wanted = TOKENIZER.ids(word)[0]
                array[row][tokens == wanted] = 20.0
        return {"start_logits": starts, "end_logits": ends}

    return answer


def test_question_answering_finds_the_span_in_any_window():
    filler = "dog " * 60
    context = filler + "the lazy fox " + filler
    pipe = pipeline("question-answering", spans("lazy", "fox", context), length=32)
    best, *others = pipe.answer("dog", context, top_k=3)
    assert context[best.start : best.end] == best.text
    assert (best.text.startswith("l"), len(others)) == (True, 2)
    assert best.score > others[0].score
    assert sum(shape[0] for shape in pipe.session.shapes) > 3
    (short,) = pipe("dog", "the lazy fox", top_k=1)
    assert short.text.startswith("lazy f")
    assert pipe("dog", "") == ()
    assert all(answer.text for answer in pipe("dog", "the \U0001f600 fox \u00e9", top_k=500))
    with pytest.raises(InputError, match="question-answering: expected a context, found none"):
        pipe("dog")
    with pytest.raises(InputError, match="the question takes"):
        pipe("dog " * 40, context)


def test_every_context_token_is_in_some_window():
    pipe = pipeline("question-answering", None, length=32)
    context = " ".join(["fox", "dog", "lazy"][i % 3] for i in range(200))
    encodings = TASKS["question-answering"].encode(pipe, "the", context)
    read = {span for e in encodings for span, segment in zip(e.spans, e.segments, strict=True) if segment == 1}
    assert read == {token.span for token in TOKENIZER.tokens(context)}
    assert len({tuple(e.input_ids) for e in encodings}) > 1


def test_masked_lm_fillers():
    fox = TOKENIZER.ids("fox")[0]
    answer = lambda ids: {"logits": np.tile(5.0 * (np.arange(TOKENIZER.vocab_size) == fox), (len(ids), LENGTH, 1))}  # noqa: E731
    pipe = pipeline("masked-lm", answer)
    first, second = pipe.fill_mask("the [MASK] and [MASK].", top_k=2).masks
    assert (first[0].token_id, first[0].text) == (fox, f"the {TOKENIZER.decode([fox])} and [MASK].")
    assert second[0].text == f"the [MASK] and {TOKENIZER.decode([fox])}."
    assert len(first) == 2
    with pytest.raises(InputError, match=r"found no \[MASK\] in the first 32 tokens of the text"):
        pipe("no mask")
    with pytest.raises(InputError, match="expected one text, found a pair"):
        pipe("[MASK]", "pair")


@pytest.mark.parametrize("flavour", ["fnet-slow", "fnet-fast", "fnet-v5"])
def test_every_flavour_leaves_the_space_before_a_mask(flavour):
    data = TOKENIZER_FILE.read_bytes() if flavour == "fnet-slow" else golden_tokenizer.pipeline("bpe", flavour)
    tokenizer = Tokenizer(data, TokenizerOptions(flavour=flavour))
    fox = next(i for i in range(tokenizer.vocab_size) if tokenizer.piece(i) == "▁fox")
    answer = lambda ids: {"logits": np.tile(5.0 * (np.arange(tokenizer.vocab_size) == fox), (len(ids), LENGTH, 1))}  # noqa: E731
    (found,) = pipeline("masked-lm", answer, tokenizer=tokenizer).fill_mask("the  [MASK] and", top_k=1).masks
    assert found[0].text == "the  fox and"


def test_a_text_of_nothing_in_a_flavour_that_adds_nothing():
    tokenizer = Tokenizer(golden_tokenizer.pipeline("bpe", "fnet-v5"), TokenizerOptions(flavour="fnet-v5"))
    answer = lambda ids: {"last_hidden_state": np.ones((*ids.shape, 2)), "pooler_output": np.ones((len(ids), 2))}  # noqa: E731
    pipe = pipeline("feature-extraction", answer, tokenizer=tokenizer)
    assert pipe("").tokens.shape == (0, 2)
    for text in ("fox<pad>", "<pad><pad>"):  # ends as padding does
        (row,) = pipe.inputs(text)
        assert row["input_ids"][0, len(tokenizer.ids(text)) - 1] == tokenizer.pad_id
        assert pipe(text).tokens.shape == (len(tokenizer.ids(text)), 2)


def test_next_sentence_and_pretraining():
    assert pipeline("next-sentence-prediction", logits([math.log(3), 0.0]))("a", "b") == NextSentence(True, pytest.approx(0.75))
    both = lambda ids: {  # noqa: E731
        "prediction_logits": np.zeros((len(ids), LENGTH, TOKENIZER.vocab_size)),
        "seq_relationship_logits": np.tile([0.0, 1.0], (len(ids), 1)),
    }
    answer = pipeline("pretraining", both)("a [MASK]", "b", top_k=3)
    assert ([len(f) for f in answer.fillers], answer.next_sentence.follows) == ([3], False)
    with pytest.raises(InputError, match=r"pretraining: expected a second text, found none; pass it as pair \(fnet-run: --pair\)"):
        pipeline("pretraining", both)("alone")
    with pytest.raises(InputError, match=r"expected one second text \(pair\), found list"):
        pipeline("next-sentence-prediction", logits([0.0, 0.0]))("a", ["b"])


def letters(ids):
    """Choices of x, y and z, the last letter best."""
    return {"logits": sum(n * (ids == TOKENIZER.ids(letter)[-1]).any(axis=-1) for n, letter in enumerate("xyz"))}


def test_multiple_choice():
    pipe = pipeline("multiple-choice", letters)
    found = pipe(["a", "b", "c"], [["x", "y"], ["x", "y"], ["x", "y", "z"]])
    assert [type(f) for f in found] == [Choice] * 3
    assert [(f.index, f.text) for f in found] == [(1, "y"), (1, "y"), (2, "z")]
    assert sum(found[2].scores) == pytest.approx(1)
    assert found[2].scores == pytest.approx(np.exp(range(3)) / np.exp(range(3)).sum())
    assert pipe.session.shapes == [(7, 1, LENGTH)]
    assert [row["input_ids"].shape for row in pipe.inputs("a", ["x", "y", "z"])] == [(1, 1, LENGTH)] * 3
    for bad in (None, "x", [], [1], 5, {"x"}, (c for c in "xy")):
        with pytest.raises(InputError, match="expected a list of choices"):
            pipe("a", bad)


def test_embeddings_leave_padding_out():
    answer = lambda ids: {"last_hidden_state": np.ones((len(ids), LENGTH, 4)), "pooler_output": np.zeros((len(ids), 4))}  # noqa: E731
    found = pipeline("feature-extraction", answer)("fox")
    assert (found.tokens.shape, found.pooled.shape) == ((2 + len(TOKENIZER.ids("fox")), 4), (4,))


def test_bad_requests():
    pipe = pipeline("sequence-classification", logits([0.0, 1.0]))
    with pytest.raises(InputError, match=r"as many pairs as texts \(2\), found 1"):
        pipe(["a", "b"], ["c"])
    with pytest.raises(InputError, match="expected a list of as many pairs as texts, found str"):
        pipe(["a", "b"], "xy")
    with pytest.raises(InputError, match="expected a text"):
        pipe([b"bytes"])
    with pytest.raises(InputError, match=r"expected the second text \(pair\) as a text, found list"):
        pipe("a", ["b"])
    with pytest.raises(InputError, match="top_k: expected an integer from 1"):
        pipe("a", top_k=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "expected a text, or a list of texts; found NoneType"),
        ((["a", 3],), "expected a text, or a list of texts; found list"),
        ((["a"], 5), "expected a list of as many pairs as texts, found int"),
    ],
)
def test_arguments_of_other_types(arguments, message):
    with pytest.raises(InputError, match=message):
        pipeline("sequence-classification", logits([1, 2]))(*arguments)


def test_a_question_that_leaves_no_room_for_its_context():
    with pytest.raises(
        InputError, match="the question takes 0 of 3 tokens, which leaves too few for the context; shorten the question"
    ):
        pipeline("question-answering", None, length=3)("", "fox")


VECTORS = {"last_hidden_state": (LENGTH, 4), "pooler_output": 4}
BOTH = {"prediction_logits": (LENGTH, TOKENIZER.vocab_size), "seq_relationship_logits": 2}
FUNCTIONS = {
    "sequence-classification": ("classify", ["a"], {"logits": 2}, Classification),
    "token-classification": ("classify_tokens", ["a"], {"logits": (LENGTH, 2)}, TokenLabels),
    "question-answering": ("answer", ["a", "b"], {"start_logits": LENGTH, "end_logits": LENGTH}, tuple),
    "masked-lm": ("fill_mask", ["[MASK]"], {"logits": (LENGTH, TOKENIZER.vocab_size)}, Fillers),
    "feature-extraction": ("embed", ["a"], VECTORS, Embedding),
    "next-sentence-prediction": ("next_sentence", ["a", "b"], {"logits": 2}, NextSentence),
    "multiple-choice": ("choose", ["a", ["b", "c"]], {"logits": ()}, Choice),
    "pretraining": ("pretraining", ["a", "b"], BOTH, Pretraining),
}


def zeros(outputs):
    return lambda ids: {name: np.zeros((*ids.shape[:-1], *np.atleast_1d(n).astype(int))) for name, n in outputs.items()}


@pytest.mark.parametrize("task", FUNCTIONS)
def test_the_typed_function_of_a_task(task):
    name, request, outputs, kind = FUNCTIONS[task]
    pipe = pipeline(task, zeros(outputs))
    one, several = getattr(pipe, name)(*request), getattr(pipe, name)(*([value, value] for value in request))
    assert [type(answer) for answer in (one, *several, pipe(*request))] == [kind] * 4
    if task != "feature-extraction":  # arrays have no single truth
        assert several == [one, one] == pipe(*([value, value] for value in request))


@pytest.mark.parametrize("task", FUNCTIONS)
def test_a_function_refuses_a_bundle_of_another_task(task):
    name, request, _, _ = FUNCTIONS[task]
    other = "masked-lm" if task != "masked-lm" else "pretraining"
    with pytest.raises(InputError, match=f"^{name}: expected a bundle of {task}, found {other}; call {FUNCTIONS[other][0]}$"):
        getattr(pipeline(other, None), name)(*request)


def test_every_task_has_a_typed_function():
    assert {name: task.function for name, task in TASKS.items()} == {name: row[0] for name, row in FUNCTIONS.items()}
