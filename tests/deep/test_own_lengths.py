"""Bundles whose texts run at their own length: what they answer, against transformers running one text at a time."""

import json
import shutil

import fnet_runtime
import numpy as np
import openvino
import pytest
import torch
import transformers
from click.testing import CliRunner
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN, MANIFEST, MODEL, AxisProfile, Manifest
from fnet_runtime.errors import BundleError, InputError
from fnet_runtime.pipeline.scores import softmax
from support.checkpoints import LENGTH, save_tiny, tiny_config
from support.exports import export, options_from
from support.once import once
from support.trained_toys import tokenizer_for

from fnet_core.errors import CheckpointError
from fnet_core.tasks import TASKS
from fnet_export.base.errors import GraphError, OptionError
from fnet_export.commands import cli
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.emails import emails

CLOSE = {"rel": 1e-5, "abs": 1e-5}
OF_TRANSFORMERS = {
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
    "masked-lm": "fill-mask",
    "feature-extraction": "feature-extraction",
}
"""The tasks that have a pipeline in transformers 5."""


def texts():
    """The first 1 to 40 words of each e-mail, so that there are texts of every length, and some that are cut."""
    return [" ".join(text.split()[: i % 40 + 1]) for i, text in enumerate(emails())]


def saved(folder, task, **changes):
    """A model of transformers with random weights, saved with its tokenizer as a training script leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    config = tiny_config(labels=("A", "B") if task == "question-answering" else ("A", "B", "C"), **changes).to_dict()
    model = getattr(transformers, TASKS[task].huggingface_class)(transformers.FNetConfig.from_dict(config)).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    tokenizer = tokenizer_for(folder)
    tokenizer.model_max_length = LENGTH
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.fixture(scope="module")
def bundle_of(shared):
    """A function to a folder with a checkpoint of `saved`, and its bundle without padding."""
    return lambda task, **options: _bundle_of(shared, task, **options)


def _bundle_of(shared, task, **options):
    def make(folder):
        saved(folder / "checkpoint", task)
        samples = folder / "samples.txt"
        samples.write_text("the quick fox\nthe lazy dog jumps over a fox\nfox\n")
        export(folder / "checkpoint", folder / "bundle", task=task, padding="none", samples=samples, **options)

    name = "-".join(["own-lengths", task, *(f"{key}={value}" for key, value in sorted(options.items()))])
    return once(shared / name, make)


@pytest.fixture(scope="module")
def opened(bundle_of):
    """A function to a pipeline of a task, and the model and the tokenizer of transformers that it was made from."""

    def open_bundle(task, **options):
        folder = bundle_of(task, **options)
        model = getattr(transformers, TASKS[task].huggingface_class).from_pretrained(folder / "checkpoint").eval()
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder / "checkpoint")
        return fnet_runtime.load(folder / "bundle"), model, tokenizer

    return open_bundle


@pytest.mark.parametrize("task", OF_TRANSFORMERS)
def test_answers_are_those_of_the_pipelines_of_transformers(task, opened):
    ours, model, tokenizer = opened(task)
    asked = texts()
    if task == "masked-lm":  # a [MASK] that is cut cannot be filled
        asked = [f"{text[:28]} [MASK]" if i % 2 else f"[MASK] {text[:28]}" for i, text in enumerate(asked)]
    options = {"top_k": None} if task == "sequence-classification" else {}
    theirs = transformers.pipeline(OF_TRANSFORMERS[task], model=model, tokenizer=tokenizer, **options)
    answers = ours(asked)
    for text, answer in zip(asked, answers, strict=True):
        if task == "sequence-classification":
            want = theirs(text, truncation=True)
            want = want[0] if isinstance(want[0], list) else want
            assert [score.label for score in answer.scores] == [each["label"] for each in want]
            assert [score.score for score in answer.scores] == pytest.approx([each["score"] for each in want], **CLOSE)
        elif task == "token-classification":
            want = theirs(text)
            assert [token.label for token in answer.tokens] == [each["entity"] for each in want]
            assert [token.score for token in answer.tokens] == pytest.approx([each["score"] for each in want], **CLOSE)
        elif task == "masked-lm":
            want = theirs(text)
            assert [filler.token_id for filler in answer.masks[0]] == [each["token"] for each in want]
            assert [filler.score for filler in answer.masks[0]] == pytest.approx([each["score"] for each in want], **CLOSE)
        else:
            want = np.array(theirs(text, tokenize_kwargs={"truncation": True})[0])
            assert answer.tokens.shape == want.shape
            assert answer.tokens == pytest.approx(want, rel=0, abs=1e-5 * np.abs(want).max())
    assert len(answers) == 200


def logits_of(model, tokenizer, text, pair):
    encoded = tokenizer(text, pair, truncation=True, return_tensors="pt", return_token_type_ids=True)
    with torch.no_grad():
        return model(**{name: encoded[name] for name in ("input_ids", "token_type_ids")})


PAIRS = [("the quick fox", "a dog"), ("fox", "the lazy dog jumps over a quick brown fox"), ("a " * 9, "the dog " * 30)]


@pytest.mark.parametrize("task", ["next-sentence-prediction", "pretraining"])
def test_pairs_are_answered_as_the_model_of_transformers_does(task, opened):
    ours, model, tokenizer = opened(task)
    for first, second in PAIRS:
        answer, output = ours(first, second), logits_of(model, tokenizer, first, second)
        logits = output.seq_relationship_logits if task == "pretraining" else output.logits
        follows = answer.next_sentence if task == "pretraining" else answer
        assert follows.score == pytest.approx(float(softmax(logits.numpy()[0])[0]), **CLOSE)


def test_every_choice_runs_at_its_own_length(opened):
    ours, model, tokenizer = opened("multiple-choice")
    choices = ["a dog", "the lazy dog jumps over a quick brown fox", "fox"]
    encoded = [
        tokenizer("the quick fox", choice, truncation=True, return_tensors="pt", return_token_type_ids=True) for choice in choices
    ]
    assert len({each["input_ids"].shape[-1] for each in encoded}) == 3
    with torch.no_grad():
        logits = [model(input_ids=e["input_ids"][None], token_type_ids=e["token_type_ids"][None]).logits.item() for e in encoded]
    assert ours("the quick fox", choices).scores == pytest.approx(softmax(np.array(logits)), **CLOSE)
    together = ours(["the quick fox", "a"], [choices, ["b", "fox"]])
    assert [len(answer.scores) for answer in together] == [3, 2]
    assert together[0].scores == pytest.approx(ours("the quick fox", choices).scores, rel=1e-6)


def test_windows_of_a_long_context_have_their_own_lengths(opened):
    ours, model, _ = opened("question-answering")
    context = "the quick brown fox jumps over the lazy dog " * 7
    rows = ours.inputs("the fox", context)
    lengths = [row["input_ids"].shape[1] for row in rows]
    assert len(lengths) > 2
    assert set(lengths[:-1]) == {LENGTH}
    assert lengths[-1] < LENGTH
    for row in rows:
        outputs = ours.session.run(row)
        with torch.no_grad():
            want = model(**{name: torch.from_numpy(array) for name, array in row.items()})
        assert outputs["start_logits"] == pytest.approx(want.start_logits.numpy(), rel=1e-4, abs=1e-5)
        assert outputs["end_logits"] == pytest.approx(want.end_logits.numpy(), rel=1e-4, abs=1e-5)
    best = ours("the fox", context)[0]
    assert context[best.start : best.end] == best.text


def test_an_answer_does_not_depend_on_its_neighbours(opened):
    ours, *_ = opened("sequence-classification")
    asked = texts()
    together = ours(asked)
    for text, answer in zip(asked, together, strict=True):
        assert [score.score for score in answer.scores] == pytest.approx([s.score for s in ours(text).scores], rel=1e-5)
    assert len({ours.inputs(text)[0]["input_ids"].shape for text in asked}) > 20


def test_a_multiple_of_tokens(opened):
    ours, *_ = opened("sequence-classification", pad_to_multiple_of=8)
    lengths = {ours.inputs(text)[0]["input_ids"].shape[1] for text in texts()}
    assert lengths == {8, 16, 24, 32}
    assert (ours.manifest.padding, ours.manifest.pad_to_multiple_of) == ("none", 8)
    assert all(check.passed for check in ours.self_test())
    (row,) = ours.inputs("fox")
    assert row["input_ids"][0, -1] == ours.manifest.pad_token_id


def test_the_bundle_says_it_and_carries_several_lengths(bundle_of):
    folder = bundle_of("sequence-classification")
    manifest = Manifest.from_json((folder / "bundle" / MANIFEST).read_text())
    assert (manifest.padding, manifest.sequence_length, manifest.transform) == ("none", LENGTH, "folded")
    assert manifest.transform_reason == "the only transform that takes texts of any length"
    assert manifest.inputs[0].axes == ("batch_size", "sequence_length")
    golden = golden_from_file(folder / "bundle" / GOLDEN)
    lengths = [case.inputs["input_ids"].shape[1] for case in golden.cases]
    assert {1, 2, 31} < set(lengths)
    values = json.loads((folder / "bundle" / "parity.json").read_text())
    assert values["passed"]
    assert values["bundle"]["padding"] == "none"
    shown = CliRunner().invoke(cli.main, ["inspect", str(folder / "bundle")])
    assert "every input has its own length, of at most 32 tokens" in " ".join(shown.stdout.split())
    assert CliRunner().invoke(cli.main, ["verify", str(folder / "bundle")]).exit_code == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"padding": "max_length"},
        {"padding": "longest"},
        {"pad_to_multiple_of": 0},
        {"pad_to_multiple_of": 3},
        {"sequence_length": LENGTH + 8, "padding": "max_length"},
    ],
)
def test_a_bundle_that_lies_about_its_padding_is_refused(changes, tmp_path, bundle_of):
    folder = shutil.copytree(bundle_of("sequence-classification") / "bundle", tmp_path / "b")
    values = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(values | changes))
    with pytest.raises(BundleError):
        fnet_runtime.load(folder)


def test_a_text_longer_than_the_longest_is_cut(opened):
    ours, *_ = opened("sequence-classification")
    answer = ours("fox " * 500)
    assert answer.truncated
    assert ours.inputs("fox " * 500)[0]["input_ids"].shape == (1, LENGTH)
    assert not ours("").truncated


def test_a_tokenizer_without_special_tokens_makes_nothing_of_an_empty_text(tmp_path):
    """transformers 5 reads a folder with only spiece.model so; flavour fnet-v5."""
    save_tiny(tmp_path / "c")
    samples = tmp_path / "samples.txt"
    samples.write_text("the quick fox\n")
    export(tmp_path / "c", tmp_path / "b", padding="none", tokenizer="fnet-v5", samples=samples, quick=True)
    ours = fnet_runtime.load(tmp_path / "b")
    with pytest.raises(InputError, match="expected a text with at least one token, found none; this bundle does not pad texts"):
        ours("")
    answers = ours.answer_each(["fox", "", "dog"])
    assert [isinstance(answer, InputError) for answer in answers] == [False, True, False]


def test_precisions(tmp_path):
    samples = tmp_path / "samples.txt"
    samples.write_text("the quick fox\nfox\n")
    save_tiny(tmp_path / "c")
    for precision, target in (("int8", "onnx"), ("fp32", "openvino")):
        done = export(tmp_path / "c", tmp_path / precision, target=target, precision=precision, padding="none", samples=samples)
        assert all(check.passed for check in fnet_runtime.load(done.folder).self_test())


@pytest.mark.parametrize("padding", ["max_length", "none"])
def test_every_linear_layer_of_a_hybrid_is_int8(padding, tmp_path):
    save_tiny(tmp_path / "c", attention_layers=(1,), num_attention_heads=4)
    done = export(tmp_path / "c", tmp_path / "b", padding=padding, precision="int8", quick=True)
    assert all(check.passed for check in fnet_runtime.load(done.folder).self_test())
    proof = json.loads((done.folder / "parity.json").read_text())["proof"]
    assert (proof["share"], proof["stayed"]) == (1.0, [])


# ---- options


def plan_of(folder, **options):
    chosen = {"task": "sequence-classification", "target": "onnx", "model": str(folder)} | options
    return plan_from_options(options_from(**chosen))


def test_a_checkpoint_states_its_padding(tmp_path):
    folder = save_tiny(tmp_path / "c", extra={"trained_padding": "none"})
    assert plan_of(folder).trained.padding.contract == "none"
    assert plan_of(folder).notes == ()
    with pytest.raises(OptionError, match="--padding: expected none, because training ran each text at its own length"):
        plan_of(folder, padding="max_length")
    assert (
        "ran each text at its own length, but the bundle pads" in plan_of(folder, padding="max_length", accept_drift=True).notes[0]
    )
    (folder / "config.json").write_text(tiny_config(extra={"trained_padding": "longest"}).to_json())
    with pytest.raises(CheckpointError, match="trained_padding: expected max_length or none, found 'longest'"):
        plan_of(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"padding": "none", "pad_to_multiple_of": 5},
            "--pad-to-multiple-of: expected a number that divides the longest length, 32",
        ),
        ({"padding": "max_length", "pad_to_multiple_of": 8}, "--pad-to-multiple-of: is for --padding none"),
        ({"padding": "none", "transform": "dft"}, "--transform: expected auto or folded"),
        ({"padding": "longest"}, "--padding: expected max_length or none, found 'longest'"),
        (
            {"padding": "none", "length_profiles": (AxisProfile(min=1, opt=2, max=3),)},
            "--length-profile: is for engines of TensorRT; the target onnx has no optimisation profiles. Leave it out",
        ),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    folder = save_tiny(tmp_path / "c")
    with pytest.raises(OptionError) as refused:
        plan_of(folder, **options)
    assert message in str(refused.value)


def test_a_mixing_of_one_length_is_refused(tmp_path):
    folder = save_tiny(tmp_path / "c", mixing="linear")
    for options in ({}, {"accept_drift": True}):
        with pytest.raises(GraphError, match="expected layers that mix any number of tokens"):
            plan_of(folder, padding="none", **options)


def profiles(*ranges):
    return tuple(AxisProfile(min=low, opt=best, max=high) for low, best, high in ranges)


@pytest.mark.parametrize(
    ("given", "multiple", "expected"),
    [
        ((), 1, [(1, 32, 32)]),
        ((), 8, [(8, 32, 32)]),
        (((1, 16, 32), (1, 4, 8)), 1, [(1, 4, 8), (1, 16, 32)]),
        (((1, 4, 8), (9, 16, 32)), 1, [(1, 4, 8), (9, 16, 32)]),
        (((5, 8, 16), (20, 24, 32)), 8, [(5, 8, 16), (20, 24, 32)]),
    ],
)
def test_profiles_hold_every_length_the_shortest_first(tmp_path, given, multiple, expected):
    options = {"target": "tensorrt-rtx", "padding": "none", "pad_to_multiple_of": multiple, "length_profiles": profiles(*given)}
    planned = plan_of(save_tiny(tmp_path / "c"), **options).profiles
    assert tuple(profile["sequence_length"] for profile in planned) == profiles(*expected)
    assert {profile["batch_size"] for profile in planned} == {AxisProfile(min=1, opt=1, max=8)}


def test_every_range_of_batches_comes_with_every_range_of_lengths(tmp_path):
    options = {"target": "tensorrt-rtx", "padding": "none", "length_profiles": profiles((1, 4, 8), (1, 16, 32))}
    planned = plan_of(save_tiny(tmp_path / "c"), batch_profiles=profiles((1, 16, 32), (1, 1, 1)), **options).profiles
    tuned_for = [(profile["batch_size"].opt, profile["sequence_length"].opt) for profile in planned]
    assert tuned_for == [(1, 4), (16, 4), (1, 16), (16, 16)]
    narrow = plan_of(tmp_path / "c", batch_profiles=profiles((1, 1, 32), (32, 32, 32)), target="tensorrt-rtx").profiles
    assert [profile["batch_size"].opt for profile in narrow] == [32, 1]  # a runtime takes the first that holds a batch
    for wrong, message in (
        ([(1, 1, 1), (1, 1, 1)], "expected each range once, found 1 1 1, 1 1 1"),
        ([(1, 1, 2**31)], "expected at most 2147483647, found 2147483648"),
        ([(1, 1, 8), (10, 16, 2**31 - 1)], "no range holds 9"),
    ):
        with pytest.raises(OptionError, match=f"--batch-profile: .*{message}"):
            plan_of(tmp_path / "c", batch_profiles=profiles(*wrong), target="tensorrt-rtx")
    assert plan_of(tmp_path / "c", batch_profiles=profiles((1, 1, 2**31 - 1)), target="tensorrt-rtx").profiles
    with pytest.raises(OptionError, match="--batch-profile: expected ranges that hold all batches from 1 to 32; no range holds 2"):
        plan_of(tmp_path / "c", batch_profiles=profiles((1, 1, 1), (8, 16, 32)), **options)


@pytest.mark.parametrize(
    ("given", "padding", "message"),
    [
        (((4, 16, 32),), "none", "expected ranges that hold all lengths from 1 to 32; no range holds 1"),
        (((1, 4, 8), (10, 16, 32)), "none", "no range holds 9. Widen a range, or add another"),
        (((1, 16, 33),), "none", "expected at most the longest length, 32 tokens; found 33"),
        (((1, 16, 32),), "max_length", "is for --padding none; all texts are padded to 32 tokens"),
    ],
)
def test_profiles_that_do_not_fit(tmp_path, given, padding, message):
    with pytest.raises(OptionError) as refused:
        plan_of(save_tiny(tmp_path / "c"), target="tensorrt-rtx", padding=padding, length_profiles=profiles(*given))
    assert message in str(refused.value)


@pytest.mark.parametrize("options", [{"pad_to_multiple_of": 8}, {"transform": "dft"}])
def test_options_of_one_padding_wait_for_the_choice(tmp_path, options):
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "fox", "label": "A"}\n')
    with pytest.raises(OptionError, match="depends on the padding, which --evaluation would decide"):
        plan_of(save_tiny(tmp_path / "c"), evaluation=data, padding=None, **options)


def test_what_bisect_and_padding_make_of_it(bundle_of):
    folder = bundle_of("sequence-classification")
    walked = CliRunner().invoke(cli.main, ["bisect", str(folder / "bundle"), "--model", str(folder / "checkpoint")])
    assert (walked.exit_code, "nothing departs" in walked.stdout) == (0, True), walked.output
    arguments = ["padding", str(folder / "bundle"), "--model", str(folder / "checkpoint"), "--length", "32"]
    shown = CliRunner().invoke(cli.main, arguments)
    said = "against each text at its own length of at most 32 tokens, the trained padding (assumed, as the bundle does); the bundle"
    assert (shown.exit_code, f"{said} runs each text at its own length" in " ".join(shown.stdout.split())) == (0, True), (
        shown.output
    )
    (found,) = json.loads(CliRunner().invoke(cli.main, [*arguments, "--json"]).stdout)["lengths"]
    assert (found["sequence_length"], found["padding"]) == (32, "max_length")


@pytest.mark.parametrize("length", [1, 2, 7, 12, 32])
def test_openvino_computes_the_same_at_a_fixed_length(bundle_of, length):
    """Some of OpenVINO's devices take fixed shapes only. Then it folds what the graph computes from the length."""
    model = bundle_of("feature-extraction") / "bundle" / MODEL
    graph = openvino.Core().read_model(model)
    graph.reshape({value.any_name: [1, length] for value in graph.inputs})
    drawn = np.random.default_rng(length).integers(5, 100, (1, length))
    ids = {"input_ids": drawn, "token_type_ids": drawn % 2}
    outputs = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(ids)
    expected = fnet_runtime.load(model.parent, runtime="onnxruntime").session.run(ids)
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array, rtol=1e-4, atol=1e-5)
