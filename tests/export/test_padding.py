"""Padding sensitivity, against outputs of a model that is called by hand."""

import dataclasses
import io
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import manifest_from_folder
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from rich.console import Console
from scipy.special import log_softmax
from support.checkpoints import LENGTH, VOCABULARY, save_tiny, tiny_config
from support.exports import export, options_from

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_name
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import CompareError, GraphError, OptionError, SourceError
from fnet_export.bundle.checkpoint import checkpoint_from_bundle
from fnet_export.commands.cli import main
from fnet_export.commands.padding import table_from_drift
from fnet_export.evaluation.padding import (
    Drift,
    Figures,
    LengthDrift,
    OutputDrift,
    drift_from_model,
    line_from_trained,
    paddings_of_config,
)
from fnet_export.evaluation.padding_chart import svg_from_drift
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.samples import MASKED_EVERY
from fnet_export.texts.tokenizer.trained_length import Statement, TrainedLength

TOKENIZER = Tokenizer.from_file(VOCABULARY)
SHORT, PAIR, LONG = "the quick fox", "a dog\n\nthe fox", "the lazy dog jumps over the quick brown fox " * 4
FIGURES = {"mean", "median", "worst"}
ASSUMED = TrainedLength(length=LENGTH)


def model_of(folder, task="sequence-classification", **changes):
    return model_from_checkpoint(checkpoint_from_name(str(save_tiny(folder, task, **changes))), TASKS[task])


def drift_of(model, texts, lengths=(16,), **options):
    paddings = [length if isinstance(length, Padding) else Padding(length) for length in lengths]
    trained = options.get("trained", ASSUMED)
    return drift_from_model(
        model, TOKENIZER, texts, paddings, choices=2, **{"trained": trained, "baseline": trained.padding} | options
    )


def outputs_at(model, length, text, pair=None, *, masked=False):
    """The first text's outputs by name, and how many tokens it has."""
    encoding = TOKENIZER.encode(text, pair, padding=length if isinstance(length, Padding) else Padding(length))
    ids = encoding.input_ids.copy()
    if masked:
        ids[1::MASKED_EVERY] = np.where(ids[1::MASKED_EVERY] > TOKENIZER.mask_id, TOKENIZER.mask_id, ids[1::MASKED_EVERY])
    fed = [torch.from_numpy(array)[None] for array in (ids, encoding.token_type_ids, encoding.attention_mask)]
    with torch.no_grad():
        outputs = model(*fed if model.task.attends else fed[:2])
    found = {name: output[0].double().numpy() for name, output in zip(model.task.outputs, outputs, strict=True)}
    return found, ids, int(encoding.attention_mask.sum())


def cosines(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def one(value):
    """Figures of one text."""
    return pytest.approx(dataclasses.astuple(Figures(mean=value, median=value, worst=value)), rel=1e-5, abs=1e-9)


def check(output, got, want, *, decides=True):
    """Compare what was found on one text with numpy's word on its arrays."""
    assert isinstance(output, OutputDrift)
    assert dataclasses.astuple(output.cosine) == one(cosines(got, want).min())
    assert dataclasses.astuple(output.max_rel) == one(np.abs(got - want).max() / np.abs(want).max())
    if decides:
        assert dataclasses.astuple(output.decision_agreement) == one((got.argmax(-1) == want.argmax(-1)).mean())
        p, q = log_softmax(want, axis=-1), log_softmax(got, axis=-1)
        assert dataclasses.astuple(output.kl) == one((np.exp(p) * (p - q)).sum(-1).mean())
    else:
        assert (output.decision_agreement, output.kl) == (None, None)


@pytest.mark.parametrize("changes", [{}, {"attention_layers": (1,), "num_attention_heads": 4}])
def test_a_pooled_output_is_what_the_model_says_at_both_lengths(tmp_path, changes):
    model = model_of(tmp_path, **changes)
    drift = drift_of(model, [SHORT], (8, 16))
    want, *_ = outputs_at(model, LENGTH, SHORT)
    for length, found in zip((8, 16), drift.lengths, strict=True):
        got, *_ = outputs_at(model, length, SHORT)
        check(found.outputs["logits"], got["logits"], want["logits"])
        assert (found.sequence_length, found.fitting, found.cut, found.cut_agreement) == (length, 1, 0, {})
        assert found.outputs["logits"].max_rel.worst > 1e-3
        assert drift.faster(found) == drift.baseline_ms / found.median_ms > 0


def test_only_attention_drifts_not(tmp_path):
    """A mask that is heeded leaves nothing of padding: what alone differs is rounding."""
    model = model_of(tmp_path, mixing="attention", num_attention_heads=4)
    assert drift_of(model, [SHORT]).lengths[0].outputs["logits"].max_rel.worst < 1e-5


def test_outputs_per_token_are_compared_on_the_texts_own(tmp_path):
    model = model_of(tmp_path, "token-classification")
    (got, *_), (want, _, count) = outputs_at(model, 16, SHORT), outputs_at(model, LENGTH, SHORT)
    check(drift_of(model, [SHORT]).lengths[0].outputs["logits"], got["logits"][:count], want["logits"][:count])


def test_answers_are_chosen_among_the_texts_tokens(tmp_path):
    model = model_of(tmp_path, "question-answering")
    (got, *_), (want, _, count) = (outputs_at(model, length, *PAIR.split("\n\n")) for length in (16, LENGTH))
    outputs = drift_of(model, [PAIR]).lengths[0].outputs
    assert list(outputs) == ["start_logits", "end_logits"]
    for name, output in outputs.items():
        check(output, got[name][:count], want[name][:count])


def test_vocabulary_logits_are_compared_where_tokens_are_masked(tmp_path):
    model = model_of(tmp_path, "masked-lm")
    (got, *_), (want, ids, _) = (outputs_at(model, length, SHORT, masked=True) for length in (16, LENGTH))
    (masks,) = np.nonzero(ids == TOKENIZER.mask_id)
    assert len(masks) == 1
    check(drift_of(model, [SHORT]).lengths[0].outputs["logits"], got["logits"][masks], want["logits"][masks])


def test_vectors_decide_nothing(tmp_path):
    model = model_of(tmp_path, "feature-extraction")
    (got, *_), (want, _, count) = outputs_at(model, 16, SHORT), outputs_at(model, LENGTH, SHORT)
    found = drift_of(model, [SHORT, LONG]).lengths[0]
    check(found.outputs["last_hidden_state"], got["last_hidden_state"][:count], want["last_hidden_state"][:count], decides=False)
    check(found.outputs["pooler_output"], got["pooler_output"], want["pooler_output"], decides=False)
    assert (found.fitting, found.cut, found.cut_agreement) == (1, 1, {})
    assert "nothing is decided" in svg_from_drift(drift_of(model, [SHORT]))


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression", None])
def test_what_is_decided_is_the_problem_types(tmp_path, problem):
    model = model_of(tmp_path, problem_type=problem, **({} if problem else {"labels": ("one",)}))
    (got, *_), (want, *_) = outputs_at(model, 16, SHORT), outputs_at(model, LENGTH, SHORT)
    output = drift_of(model, [SHORT]).lengths[0].outputs["logits"]
    assert output.kl is None
    if problem == "regression":
        assert output.decision_agreement is None
    else:
        assert output.decision_agreement.mean == ((got["logits"] > 0) == (want["logits"] > 0)).mean()


def test_texts_that_are_cut_are_counted_apart(tmp_path):
    model = model_of(tmp_path)
    counts = [len(TOKENIZER.ids(text)) + 2 for text in (SHORT, LONG)]
    assert 4 < counts[0] < 8 < LENGTH < counts[1]
    drift = drift_of(model, [SHORT, LONG, SHORT], (4, counts[0], 16))
    assert [(found.fitting, found.cut) for found in drift.lengths] == [(0, 3), (2, 1), (2, 1)]
    assert drift.lengths[0].outputs == {}
    alone = drift_of(model, [SHORT], (16,)).lengths[0]
    assert drift.lengths[2].outputs == alone.outputs
    (got, *_), (want, *_) = outputs_at(model, 16, LONG), outputs_at(model, LENGTH, LONG)
    assert drift.lengths[2].cut_agreement == {"logits": float(got["logits"].argmax() == want["logits"].argmax())}


@pytest.mark.parametrize("task", ["multiple-choice", "pretraining", "next-sentence-prediction"])
def test_pairs_and_choices(tmp_path, task):
    done = []
    found = drift_of(model_of(tmp_path, task), [PAIR, SHORT], on_progress=lambda *step: done.append(step)).lengths[0]
    assert set(found.outputs) == set(TASKS[task].outputs)
    assert found.fitting == 2
    assert done == [(1, 2), (2, 2)]


def test_of_a_text_without_tokens_the_first_place_is_compared(tmp_path):
    tokenizer = Tokenizer.from_file(VOCABULARY)
    tokenizer._frame = dataclasses.replace(tokenizer._frame, cls=None, sep=None)  # as fnet-v5 has it
    model = model_of(tmp_path, "token-classification")
    drift = drift_from_model(model, tokenizer, [""], [Padding(16)], baseline=ASSUMED.padding, trained=ASSUMED, choices=2)
    found = drift.lengths[0]
    assert found.fitting == 1
    assert found.outputs["logits"].decision_agreement.mean in (0.0, 1.0)


def test_outputs_must_be_finite():
    model = FNet(tiny_config(), TASKS["sequence-classification"]).eval()
    torch.nn.init.constant_(model.head.classifier.bias, torch.inf)
    with pytest.raises(CompareError, match="logits: holds NaN or infinite values; expected finite values"):
        drift_of(model, [SHORT])


def test_a_text_at_its_own_length_is_what_the_model_says_of_it(tmp_path):
    model, own = model_of(tmp_path), Padding(LENGTH, NONE)
    drift = drift_of(model, [SHORT], (own,))
    (got, ids, count), (want, *_) = outputs_at(model, own, SHORT), outputs_at(model, LENGTH, SHORT)
    assert len(ids) == count < LENGTH
    check(drift.lengths[0].outputs["logits"], got["logits"], want["logits"])
    said = ElementTree.fromstring(svg_from_drift(drift)).attrib["aria-label"]
    assert "padded differently from the assumed 32 tokens. Own lengths: 1 texts fit, 0 are cut; logits" in said


@pytest.mark.parametrize("task", ["token-classification", "question-answering"])
def test_a_model_that_was_never_padded_is_compared_with_own_lengths(tmp_path, task):
    model, own = model_of(tmp_path, task), Padding(LENGTH, NONE)
    drift = drift_of(model, [PAIR], (16, LENGTH), baseline=own, trained=TrainedLength(length=LENGTH, stated_padding=NONE))
    text = PAIR.split("\n\n") if task == "question-answering" else [PAIR]
    want, _, count = outputs_at(model, own, *text)
    for length, found in zip((16, LENGTH), drift.lengths, strict=True):
        got, *_ = outputs_at(model, length, *text)
        for name, output in found.outputs.items():
            check(output, got[name][:count], want[name])
        assert (found.sequence_length, found.padding, found.fitting) == (length, MAX_LENGTH, 1)
    assert "the trained own lengths. 16 tokens: 1 texts fit" in svg_from_drift(drift)


def test_each_choice_has_its_own_length(tmp_path):
    model, text = model_of(tmp_path, "multiple-choice"), "a dog\n\nthe fox jumps over the lazy dog"
    found = drift_of(model, [text], (Padding(LENGTH, NONE),)).lengths[0]
    subject, body = text.split("\n\n")
    choices = [(subject, body), (subject, body[len(body) // 2 :])]
    scores = []
    for padding in (Padding(LENGTH, NONE), Padding(LENGTH)):
        encoded = [TOKENIZER.encode(*choice, padding=padding) for choice in choices]
        with torch.no_grad():
            rows = [model(*(torch.from_numpy(ids)[None, None] for ids in (e.input_ids, e.token_type_ids)))[0] for e in encoded]
        scores.append(torch.cat(rows, dim=1)[0].double().numpy())
    assert len({len(TOKENIZER.encode(*choice, padding=Padding(LENGTH, NONE)).input_ids) for choice in choices}) == 2
    check(found.outputs["logits"], *scores)


def test_paddings_are_the_lengths_below_the_trained_one_the_bundles_own_and_no_padding():
    config, trained = tiny_config(max_position_embeddings=256), TrainedLength(length=256)

    def paddings(config, baseline, trained, asked, length):
        return [
            padding.length if padding.contract == MAX_LENGTH else padding
            for padding in paddings_of_config(config, baseline, trained, asked, length)
        ]

    own = Padding(256, NONE)
    assert paddings(config, trained.padding, trained, (), 256) == [64, 128, own]
    assert paddings(config, trained.padding, trained, (), 100) == [64, 100, 128, own]
    assert paddings(config, trained.padding, trained, (200, 8, 256), 100) == [8, 200, own]
    assert paddings(config, Padding(64), TrainedLength(length=64), (), 64) == [128, Padding(64, NONE)]
    assert paddings(config, own, trained, (), 256) == [64, 128, 256]
    with pytest.raises(GraphError, match="expected 4 to 256, the model's position embeddings; found 257"):
        paddings_of_config(config, own, trained, (64, 257), 256)
    linear = dataclasses.replace(config, mixing="linear")
    with pytest.raises(GraphError, match="expected 256, the length of the matrices of the linear mixing; found 64"):
        paddings_of_config(linear, trained.padding, trained, (), 256)
    with pytest.raises(GraphError, match="compared with itself at 256 tokens .assumed .*, and it takes no other length"):
        paddings_of_config(linear, trained.padding, trained, (256,), 256)


def test_a_longer_padding_than_the_trained_one_is_compared_on_texts_that_fit_both(tmp_path):
    model = model_of(tmp_path)
    trained = TrainedLength(length=16, statements=(Statement(length=16, file="tokenizer.json", key="padding", padded=True),))
    found = drift_of(model, [SHORT, LONG], (LENGTH,), trained=trained).lengths[0]
    assert (found.fitting, found.cut) == (1, 1)
    got, *_ = outputs_at(model, LENGTH, SHORT)
    want, *_ = outputs_at(model, 16, SHORT)
    check(found.outputs["logits"], got["logits"], want["logits"])


# ---- the chart


def test_the_chart_is_the_same_text_each_time_and_says_what_it_shows(tmp_path):
    model = model_of(tmp_path)
    drift = drift_of(model, [SHORT, LONG], (4, 16))
    again = dataclasses.replace(drift, baseline_ms=2 * drift.baseline_ms)  # times are of the host, and not in it
    assert svg_from_drift(drift) == svg_from_drift(again)
    said = ElementTree.fromstring(svg_from_drift(drift)).attrib["aria-label"]
    agree = drift.lengths[1].outputs["logits"].decision_agreement.mean
    assert "4 tokens: 0 texts fit, 2 are cut. 16 tokens: 1 texts fit, 1 are cut; " in said
    assert f"logits decisions agree {agree:.1%}; logits relative error " in said


def widest_drift(*outputs):
    """The widest figures that there are."""

    def figures(median, worst):
        return Figures(mean=median, median=median, worst=worst)

    moved = OutputDrift(
        cosine=figures(-0.2123, -0.9999),
        max_rel=figures(0.9991, 147.512),
        decision_agreement=figures(0.9999, 0),
        kl=figures(1e-10, 1),
    )
    length = LengthDrift(
        sequence_length=10_000,
        padding=MAX_LENGTH,
        fitting=64,
        cut=64,
        outputs=dict.fromkeys(outputs, moved),
        cut_agreement={outputs[0]: 0.984},
        median_ms=8.0,
    )
    return Drift(trained=TrainedLength(length=16_384), baseline=Padding(16_384), baseline_ms=1_000.0, lengths=(length,))


def test_all_columns_fit_80_characters_whatever_the_figures_are():
    shown = io.StringIO()
    table = table_from_drift(widest_drift("prediction_logits", "seq_relationship_logits"))
    Console(file=shown, width=80).print(table)
    head, _, first, *_ = shown.getvalue().splitlines()
    assert head.split() == ["length", "cut", "output", "cosine", "max", "rel", "KL", "agree", "of", "cut", "speed"]
    assert [cell for cell in first.split() if not cell.startswith("pred")] == [
        *("10000", "64", "-0.21", "(-1.00)", "99.9%", "(1e+04%)", "1e-10", "99.9%", "98.4%", "125x")
    ]


# ---- the command


def run(*arguments):
    return CliRunner().invoke(main, ["padding", *map(str, arguments)])


def test_the_command(bundle, tmp_path):
    texts = tmp_path / "mine.txt"
    texts.write_text(f"{SHORT}\n{LONG}\n")
    arguments = [bundle, "--length", 16, "--length", 8, "--samples", texts]
    shown = run(*arguments, "--chart", tmp_path / "chart.svg")
    assert shown.exit_code == 0, shown.output
    said = "2 texts of mine.txt, against 32 tokens, the trained length as assumed from config.json (max_position_embeddings); "
    assert f"{said}the bundle pads to 32" in shown.stdout
    assert " own    0 " in shown.stdout
    assert "note: no file states the length that training padded to" in shown.stdout
    assert "of cut" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.split("2 texts")[0].splitlines())
    assert ElementTree.parse(tmp_path / "chart.svg").getroot().attrib["role"] == "img"
    done = run(*arguments, "--json")
    value = json.loads(done.stdout)
    assert value["samples"].pop("sha256")
    assert value["samples"] == {"name": "mine.txt", "texts": 2}
    assert set(value) == {"bundle", "task", "model", "sequence_length", "samples", "trained", "timed", "lengths"}
    assert set(value["trained"]) == {"sequence_length", "padding", "stated", "source", "caution", "median_ms"}
    assert [(found["sequence_length"], found["padding"]) for found in value["lengths"]] == [
        *((8, "max_length"), (16, "max_length"), (32, "none"))
    ]
    first = value["lengths"][0]
    keys = {"sequence_length", "padding", "fitting", "cut", "outputs", "cut_agreement", "median_ms", "times_as_fast"}
    assert set(first) == keys
    assert (first["fitting"], first["cut"]) == (1, 1)
    assert {name: set(found) for name, found in first["outputs"]["logits"].items()} == dict.fromkeys(
        ("cosine", "max_rel", "decision_agreement", "kl"), FIGURES
    )


def test_a_random_head_is_said_to_be_one(tmp_path):
    folder = export(save_tiny(tmp_path / "c", "masked-lm"), tmp_path / "b", task="ner", random_head=True).folder
    texts = tmp_path / "long.jsonl"
    texts.write_text(json.dumps({"text": LONG}))
    shown = run(folder, "--length", 8, "--samples", texts)
    assert shown.exit_code == 0, shown.output
    assert "the token-classification head is random" in shown.stdout
    assert " 8    1 " in shown.stdout  # cut, and no output to show


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", 33], "sequence length: expected 4 to 32, the model's position embeddings; found 33"),
        (["--length", 16, "--samples", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["--length", 16, "--model", "/nowhere"], "/nowhere cannot be opened ('/nowhere': neither a local folder"),
        (["--length", 16, "--chart", "/nowhere/chart.svg"], "/nowhere/chart.svg: cannot be written"),
    ],
)
def test_what_cannot_be_done_is_exit_1(whole_bundle, arguments, message):
    done = run(whole_bundle, *arguments)
    assert (done.exit_code, message in done.stderr) == (1, True), done.output
    failed = run(whole_bundle, *arguments, "--json")
    assert message in json.loads(failed.stdout)["error"]


def test_a_bundle_that_is_none(tmp_path):
    assert "expected the folder that fnet-export wrote" in run(tmp_path).stderr


def test_the_checkpoint_must_be_the_bundles(bundle, tmp_path):
    manifest = manifest_from_folder(bundle)
    named = checkpoint_from_name(manifest.source.id)
    assert checkpoint_from_bundle(bundle, manifest, on_note=pytest.fail).source == named.source
    moved = shutil.copytree(named.folder, tmp_path / "moved")
    gone = dataclasses.replace(manifest, source=dataclasses.replace(manifest.source, id=str(tmp_path / "gone")))
    with pytest.raises(SourceError, match="was made from the checkpoint .*gone.* cannot be opened.*say where it is with --model"):
        checkpoint_from_bundle(bundle, gone, on_note=pytest.fail)
    assert checkpoint_from_bundle(bundle, gone, str(moved), on_note=pytest.fail).folder == moved
    (moved / "config.json").write_text(tiny_config(hidden_act="relu").to_json())
    with pytest.raises(SourceError, match="moved: is not the checkpoint that .*: config.json differ"):
        checkpoint_from_bundle(bundle, manifest, str(moved), on_note=pytest.fail)
    save_tiny(moved, layer_norm_eps=1e-3, num_hidden_layers=1)
    with pytest.raises(SourceError, match="model.safetensors, config.json differ from what the bundle says; name the right one"):
        checkpoint_from_bundle(bundle, manifest, str(moved), on_note=pytest.fail)


def test_the_built_in_model_is_found_by_its_name(bundle):
    manifest = manifest_from_folder(bundle)
    built_in = dataclasses.replace(manifest, source=dataclasses.replace(manifest.source, id="built-in"))
    with pytest.raises(SourceError, match="built-in: is not the checkpoint that"):
        checkpoint_from_bundle(bundle, built_in, on_note=pytest.fail)


# ---- the export at another length


def test_an_export_at_another_length_must_be_accepted(checkpoint, tmp_path):
    options = {"task": "sequence-classification", "target": "onnx", "model": str(checkpoint), "output": tmp_path / "b"}
    with pytest.raises(OptionError) as refused:
        plan_from_options(options_from(**options, sequence_length=16))
    text = str(refused.value)
    assert text == (
        "--sequence-length: expected 32, the length that the checkpoint was trained at (assumed from config.json "
        "(max_position_embeddings)); found 16. FNet reads the padding, so another length changes the outputs. Leave the option "
        "out, or add --accept-drift: the export then measures the change"
    )
    plan = plan_from_options(options_from(**options, sequence_length=16, accept_drift=True))
    (caution,) = plan.notes
    assert caution.startswith("no file states the length that training padded to")
    assert plan.measurements == ("what 16 tokens instead of 32 tokens change, on 16 built-in e-mails",)
    assert plan_from_options(options_from(**options, accept_drift=True)).notes == (caution,)
    arguments = ["--task", "ner", "--random-head", "--target", "onnx", "--model", str(checkpoint), "--output", str(tmp_path / "b")]
    done = CliRunner().invoke(main, [*arguments, "--sequence-length", "16"])
    assert (done.exit_code, "or add --accept-drift" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(main, [*arguments, "--sequence-length", "16", "--accept-drift", "--dry-run"])
    assert "to be measured: what 16 tokens instead of 32 tokens change, on 16 built-in e-mails" in done.stdout


@pytest.mark.parametrize("task", TASKS)
def test_the_line_says_what_the_drift_is(tmp_path, task):
    """Of every task, and of masked-lm at positions as of all tokens."""
    checkpoint = save_tiny(tmp_path / "c", task, max_position_embeddings=512, num_hidden_layers=1)
    options = {"task": task, "target": "onnx", "model": str(checkpoint), "output": tmp_path / "b", "accept_drift": True}
    if task == "masked-lm":
        options["predict_positions"] = 3
    plan = plan_from_options(options_from(**options, sequence_length=256))
    note = line_from_trained(plan.trained, plan.tokenizer.tokenizer, plan.trained_length)
    assert note.startswith("sequence length 256 is not the checkpoint's 512 (assumed from config.json (max_position_embeddings)); ")
    assert note.endswith(" times as fast (torch float32 with torch.fft, one row)")
    assert "of 16 texts fit, " in note
    for name in TASKS[task].outputs:
        assert f"; {name}: " in note


def test_the_line_of_an_export_with_the_other_padding(tmp_path):
    checkpoint = save_tiny(tmp_path / "c", max_position_embeddings=512, num_hidden_layers=1)
    options = {"task": "sequence-classification", "target": "onnx", "model": str(checkpoint), "accept_drift": True}
    config = json.loads((checkpoint / "config.json").read_text())

    def planned(key, value, padding):
        (checkpoint / "config.json").write_text(json.dumps(config | {key: value}))
        return plan_from_options(options_from(**options, output=tmp_path / "b", padding=padding))

    for key, value, padding, measured, said in (
        (
            "trained_sequence_length",
            512,
            NONE,
            "texts at their own length instead of 512 tokens",
            "texts run at their own length, and ",
        ),
        ("trained_padding", NONE, MAX_LENGTH, "512 tokens instead of texts at their own length", "texts are padded to 512, and "),
    ):
        plan = planned(key, value, padding)
        assert plan.measurements == (f"what {measured} change, on 16 built-in e-mails",)
        note = line_from_trained(plan.trained, plan.tokenizer.tokenizer, plan.trained_length)
        assert note.startswith(said)
        assert f"(config.json ({key})); padding is part of FNet's meaning: " in note
