"""The options of answers: what they do to an answer, and which values and tasks they refuse."""

import math

import pytest
from fnet_runtime.command.answer_text import text_from_answer
from fnet_runtime.errors import InputError, OptionError
from fnet_runtime.pipeline.answers import Classification, Entities, Entity, LabelScore, TokenLabels
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.scores import softmax
from fnet_runtime.pipeline.tasks import TASKS, check_options
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from support import golden_tokenizer
from support.paths import GOLDEN
from support.transformers_pipelines import LENGTH, both

SCORES = tuple(LabelScore(label, score) for label, score in (("a", 0.75), ("b", 0.5625), ("c", 0.25)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k: expected an integer from 1, found 0"),
        ({"top_k": True}, "top_k: expected an integer from 1, found True"),
        ({"truncation": "longest_first"}, "truncation: expected cut or error, found 'longest_first'"),
        ({"truncation": True}, "truncation: expected cut or error, found True"),
        ({"aggregation_strategy": "last"}, "aggregation_strategy: expected none, simple, first, average or max, found 'last'"),
        ({"stride": -1}, "stride: expected an integer from 0, found -1"),
        ({"stride": 1.0}, "stride: expected an integer from 0, found 1.0"),
        ({"targets": "fox"}, "targets: expected a tuple of words, found 'fox'"),
        ({"targets": (1,)}, r"targets: expected a tuple of words, found \(1,\)"),
        ({"function_to_apply": "tanh"}, "function_to_apply: expected softmax, sigmoid or none, found 'tanh'"),
        ({"function_to_apply": 1}, "function_to_apply: expected softmax, sigmoid or none, found 1"),
        ({"threshold": math.nan}, "threshold: expected a finite number, found nan"),
        ({"threshold": "0.5"}, "threshold: expected a finite number, found '0.5'"),
        ({"threshold": True}, "threshold: expected a finite number, found True"),
        ({"max_answer_len": 0}, "max_answer_len: expected an integer from 1, found 0"),
        ({"max_answer_len": True}, "max_answer_len: expected an integer from 1, found True"),
        ({"handle_impossible_answer": 1}, "handle_impossible_answer: expected true or false, found 1"),
        ({"align_to_words": None}, "align_to_words: expected true or false, found None"),
        ({"null_threshold": math.inf}, "null_threshold: expected a finite number, found inf"),
        ({"pooling": "sum"}, "pooling: expected pooler, cls, mean or max, found 'sum'"),
        ({"normalize": 1}, "normalize: expected true, false or nothing, found 1"),
        ({"normalize": "yes"}, "normalize: expected true, false or nothing, found 'yes'"),
    ],
)
def test_values_that_are_refused(options, message):
    with pytest.raises(OptionError, match=f"^{message}$"):
        AnswerOptions(**options)


GIVEN = {
    "function_to_apply": "softmax",
    "threshold": 0.5,
    "aggregation_strategy": "simple",
    "stride": 0,
    "targets": ("fox",),
    "max_answer_len": 15,
    "handle_impossible_answer": True,
    "null_threshold": 0.0,
    "align_to_words": False,
    "pooling": "mean",
    "normalize": False,
}
"""Each option that some tasks only take, with a value."""


def test_an_option_of_another_task_is_refused():
    assert set(GIVEN) == {name for task in TASKS.values() for name in task.options}
    for task in TASKS.values():
        check_options(task, AnswerOptions(top_k=3))
        for name, value in GIVEN.items():
            options = AnswerOptions(**{name: value})
            if name in task.options:
                check_options(task, options)
                continue
            with pytest.raises(OptionError, match=f"^{name}: expected a bundle of .*, found {task.name}$"):
                check_options(task, options)


def test_a_pipeline_checks_the_options(tmp_path):
    ours, _, _ = both("masked-lm", tmp_path)
    for ask in (ours, ours.answer_each):
        with pytest.raises(OptionError, match="^threshold: expected a bundle of sequence-classification, found masked-lm$"):
            ask(["a [MASK]"], options=AnswerOptions(threshold=0.5))
    assert len(ours("a [MASK]", options=AnswerOptions(top_k=2)).masks[0]) == 2
    assert len(ours("a [MASK]", top_k=3, options=AnswerOptions(top_k=2)).masks[0]) == 3
    assert len(ours("a [MASK]").masks[0]) == 5


def test_labels_above_a_threshold(tmp_path):
    labels = tuple("ABCDEFGH")
    ours, _, _ = both("sequence-classification", tmp_path, labels=labels, problem_type="multi_label_classification")
    everything = ours.classify("the quick fox")
    assert len(everything.scores) == len(labels)
    for threshold in (-1, 0.5, everything.scores[2].score, 1):
        some = ours.classify("the quick fox", threshold=threshold)
        assert some.scores == tuple(s for s in everything.scores if s.score > threshold)
        assert (some.label, some.score) == (everything.label, everything.score)
    assert ours.classify("the quick fox", threshold=-1, top_k=2).scores == everything.scores[:2]


@pytest.mark.parametrize(
    ("scores", "multi_label", "options", "row"),
    [
        (SCORES, True, {}, "a\t0.7500\tb\t0.5625"),
        (SCORES, True, {"top_k": 2}, "a\t0.7500\tb\t0.5625"),
        (SCORES, True, {"threshold": 0.25}, "a\t0.7500\tb\t0.5625\tc\t0.2500"),
        (SCORES, False, {}, "a\t0.7500"),
        (SCORES[:2], False, {"top_k": 2}, "a\t0.7500\tb\t0.5625"),
        (SCORES, False, {"threshold": 0.1}, "a\t0.7500\tb\t0.5625\tc\t0.2500"),
        ((), False, {"threshold": 0.9}, "(nothing)"),
    ],
)
def test_rows_of_labels(scores, multi_label, options, row):
    answer = Classification("a", 0.75, scores)
    assert text_from_answer(answer, multi_label=multi_label, options=AnswerOptions(**options)) == row


def test_a_text_that_does_not_fit_is_an_error_for_those_who_ask(tmp_path):
    ours, _, _ = both("sequence-classification", tmp_path)
    long, message = (
        "the quick fox " * 20,
        f"^expected a text of at most {LENGTH} tokens, with .* Shorten it, or set truncation to cut$",
    )
    assert ours.classify(long).truncated
    for request in (long, [long], ["fox", long]):
        with pytest.raises(InputError, match=message):
            ours.classify(request, truncation="error")
    first, second = ours.answer_each(["fox", long], options=AnswerOptions(truncation="error"))
    assert (first, type(second)) == (ours.classify("fox"), InputError)
    assert ours.answer_each(["fox"], long, options=AnswerOptions(truncation="error"))[0].args == second.args


REQUESTS = {
    "masked-lm": ("fill_mask", ["[MASK] {}"]),
    "token-classification": ("classify_tokens", ["{}"]),
    "feature-extraction": ("embed", ["{}"]),
    "next-sentence-prediction": ("next_sentence", ["a", "{}"]),
    "pretraining": ("pretraining", ["[MASK]", "{}"]),
}


@pytest.mark.parametrize("task", REQUESTS)
def test_every_function_refuses_a_text_that_does_not_fit(task, tmp_path):
    ours, _, _ = both(task, tmp_path)
    name, request = REQUESTS[task]
    ask = getattr(ours, name)
    short, long = ([part.format(text) for part in request] for text in ("fox", "the quick fox " * 20))
    assert not ask(*short, truncation="error").truncated
    assert ask(*long).truncated
    with pytest.raises(InputError, match="^expected a text of at most"):
        ask(*long, truncation="error")


def test_tokens_and_entities_have_a_function_each(tmp_path):
    ours, _, _ = both("token-classification", tmp_path)
    assert isinstance(ours("the fox"), TokenLabels)
    options = AnswerOptions(aggregation_strategy="simple")
    assert ours("the fox", options=options) == ours.find_entities("the fox")
    assert ours.find_entities(["the fox", ""]) == [ours.find_entities("the fox"), Entities(())]
    with pytest.raises(OptionError, match="^aggregation_strategy: expected simple, .*; classify_tokens labels each token$"):
        ours.find_entities("the fox", aggregation_strategy="none")


def test_rows_of_entities():
    answer = Entities((Entity("P\t", 0.5, "a b", 0, 3), Entity("Q", 0.25, "c", 4, 5)))
    assert text_from_answer(answer, multi_label=False) == "P\\t\t0.5000\t'a b'\t0\t3\nQ\t0.2500\t'c'\t4\t5"
    assert text_from_answer(Entities(()), multi_label=False) == "(nothing)"


@pytest.mark.parametrize("padding", ["none", "max_length"])
@pytest.mark.parametrize("stride", [0, 1, 7, 29])
def test_windows_read_every_token_once(padding, stride, tmp_path):
    ours, _, _ = both("token-classification", tmp_path, padding=padding)
    for text in ("", "fox", "the quick fox " * 7, "the lazy dog 10,000 " * 30):
        tokens = ours.tokenizer.tokens(text)
        answer = ours.classify_tokens(text, stride=stride)
        assert [t.start for t in answer.tokens] == [t.start for t in ours.classify_tokens(text, stride=0).tokens]
        assert (len(answer.tokens), answer.truncated) == (len(tokens), False)
        encodings = TASKS["token-classification"].encode(ours, text, None, AnswerOptions(stride=stride))
        windows = [ours.session.run(ours._row(encoding))["logits"] for encoding in encodings]
        assert len(windows) == max(1, -(-(len(tokens) - stride) // (LENGTH - 2 - stride)))
        highest = {}
        for number, logits in enumerate(windows):
            scores = softmax(logits[0])[1 : 1 + min(LENGTH - 2, len(tokens) - number * (LENGTH - 2 - stride))]
            for place, row in enumerate(scores, start=number * (LENGTH - 2 - stride)):
                highest[place] = max(highest.get(place, 0), row.max())
        assert [t.score for t in answer.tokens] == pytest.approx([*highest.values()], rel=1e-6)


def test_a_stride_leaves_something_new_to_read(tmp_path):
    ours, _, _ = both("token-classification", tmp_path)
    for ask in (
        lambda stride: ours.find_entities("fox", stride=stride),
        lambda n: ours.answer_each(["fox"], options=AnswerOptions(stride=n)),
    ):
        with pytest.raises(OptionError, match="^stride: expected less than the 30 tokens of a window, found 30$"):
            ask(30)
    assert ours.find_entities("the quick fox " * 20).truncated
    assert not ours.find_entities("the quick fox " * 20, stride=3, truncation="error").truncated


@pytest.mark.parametrize("flavour", ["fnet-slow", "sentencepiece", "fnet-fast", "fnet-v5"])
def test_the_id_of_a_piece(flavour):
    data = (
        (GOLDEN / "bpe.model").read_bytes()
        if flavour in ("fnet-slow", "sentencepiece")
        else golden_tokenizer.pipeline("bpe", flavour)
    )
    tokenizer = Tokenizer(data, TokenizerOptions(flavour=flavour))
    for token in range(tokenizer.vocab_size):
        assert tokenizer.token_id(tokenizer.piece(token)) == token
    assert [tokenizer.token_id(piece) for piece in ("", "no such piece")] == [None, None]


def test_words_that_may_fill_a_mask(tmp_path):
    ours, _, _ = both("masked-lm", tmp_path)
    whole = {filler.token_id: filler for filler in ours.fill_mask("the [MASK]", top_k=ours.tokenizer.vocab_size).masks[0]}
    (fox,), (dog,) = ours.tokenizer.ids("fox"), ours.tokenizer.ids("dog")
    (found,) = ours.fill_mask("the [MASK]", targets=["fox", "dog", "▁fox"]).masks
    assert sorted(found, key=lambda f: -f.score) == list(found)
    assert {f.token_id: f for f in found} == {fox: whole[fox], dog: whole[dog]}
    assert len(ours.fill_mask("the [MASK]", targets=["fox", "dog"], top_k=1).masks[0]) == 1
    assert len(ours.fill_mask("[MASK] [MASK]", targets=["fox"]).masks) == 2
    for words, shown in ((["fox", "fox dog"], "'fox dog' of 2 tokens"), ([""], "'' of 0 tokens")):
        for ask in (
            lambda words: ours.fill_mask("[MASK]", targets=words),
            lambda w: ours.answer_each([], options=AnswerOptions(targets=(*w,))),
        ):
            with pytest.raises(OptionError, match=f"^targets: expected words of one token, found {shown}$"):
                ask(words)
    with pytest.raises(OptionError, match="^targets: expected a list of words, found 'fox'$"):
        ours.fill_mask("[MASK]", targets="fox")
