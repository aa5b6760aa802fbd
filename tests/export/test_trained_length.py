"""What files state about the length and the padding of training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from fnet_runtime.tokenizer.encoding import Padding
from support.checkpoints import LENGTH, save_tiny
from support.exports import options_from
from support.golden_tokenizer import pipeline
from support.paths import GOLDEN

from fnet_core.checkpoint.open import checkpoint_from_name
from fnet_core.errors import CheckpointError
from fnet_export.base.errors import OptionError
from fnet_export.bundle.convert import ConvertOptions, folder_from_options
from fnet_export.commands import cli
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.tokenizer.trained_length import trained_length_from_checkpoint

HUGE = 1000000000000000019884624838656
"""transformers' VERY_LARGE_INTEGER, its model_max_length for none."""
ASSUMED = (
    "no file states the length that training padded to, so max_position_embeddings, 32 tokens, is assumed; "
    "check it with --evaluation FILE"
)
BOUND = "assumed from config.json (max_position_embeddings)"
LONGEST = (
    "tokenizer.json pads to no fixed length, so training probably padded to each batch's longest text, but the bundle pads to "
    "{} tokens; check it with --evaluation FILE, or export it with --padding none"
)


def tokenizer_json(*, fixed=None, cut=None, longest=False, multiple=None):
    padding = {"strategy": {"Fixed": fixed} if fixed else "BatchLongest", "pad_to_multiple_of": multiple}
    return {"padding": padding if fixed or longest else None, "truncation": {"max_length": cut} if cut else None}


def length_of(folder, files=None, chosen=None, **changes):
    """What is read of a tiny checkpoint of 32 positions, beside which files stand."""
    save_tiny(folder, **changes)
    for name, values in (files or {}).items():
        (folder / name).write_text(json.dumps(values))
    return trained_length_from_checkpoint(checkpoint_from_name(str(folder)), chosen)


FIXED = "tokenizer.json (padding.strategy.Fixed)"


@pytest.mark.parametrize(
    ("files", "tokens", "source", "caution"),
    [
        ({}, 32, BOUND, ASSUMED),
        ({"tokenizer.json": tokenizer_json(fixed=16)}, 16, FIXED, None),
        ({"tokenizer.json": tokenizer_json(fixed=32)}, 32, FIXED, None),
        ({"tokenizer.json": tokenizer_json(fixed=13, multiple=8)}, 16, FIXED, None),
        (
            {"tokenizer.json": tokenizer_json(fixed=16, cut=16)},
            16,
            "tokenizer.json (padding.strategy.Fixed, truncation.max_length)",
            None,
        ),
        (
            {"tokenizer.json": tokenizer_json(fixed=16), "tokenizer_config.json": {"max_length": 8, "model_max_length": HUGE}},
            16,
            FIXED,
            None,
        ),
        ({"tokenizer.json": tokenizer_json(cut=16)}, 16, "tokenizer.json (truncation.max_length)", LONGEST.format(16)),
        ({"tokenizer.json": tokenizer_json(cut=32, longest=True)}, 32, BOUND, LONGEST.format(32)),
        (
            {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"max_length": 16}},
            16,
            "tokenizer_config.json (max_length)",
            LONGEST.format(16),
        ),
        (
            {"tokenizer_config.json": {"model_max_length": 16}},
            16,
            "tokenizer_config.json (model_max_length)",
            "tokenizer_config.json (model_max_length) is 16, but no file states that training padded every text, as the "
            "bundle does to 16 tokens; check it with --evaluation FILE",
        ),
        ({"tokenizer_config.json": {"model_max_length": 32}}, 32, BOUND, ASSUMED),
        ({"tokenizer_config.json": {"model_max_length": HUGE}}, 32, BOUND, ASSUMED),
        ({"tokenizer_config.json": {"model_max_length": None}}, 32, BOUND, ASSUMED),
        ({"tokenizer_config.json": {"model_max_length": True}}, 32, BOUND, ASSUMED),
        ({"tokenizer_config.json": {"model_max_length": 2}}, 32, BOUND, ASSUMED),
    ],
)  # fmt: skip
def test_what_the_files_of_a_tokenizer_state(tmp_path, files, tokens, source, caution):
    found = length_of(tmp_path, files)
    assert (found.length, found.source, found.caution(Padding(tokens))) == (tokens, source, caution)
    assert found.contradiction is None
    found.check("tiny")


@pytest.mark.parametrize(
    ("changes", "tokens", "source"),
    [
        ({"extra": {"trained_sequence_length": 16}}, 16, "config.json (trained_sequence_length)"),
        ({"use_tpu_fourier_optimizations": True, "tpu_short_seq_length": 16}, 16, "config.json (tpu_short_seq_length)"),
        ({"mixing": "linear"}, 32, "weights (matrices of the linear mixing)"),
    ],
)
def test_what_config_json_and_the_weights_state(tmp_path, changes, tokens, source):
    found = length_of(tmp_path, **changes)
    assert (found.length, found.source, found.padded, found.caution(Padding(tokens))) == (tokens, source, True, None)


OWN = {"extra": {"trained_padding": "none"}}
OWN_LENGTHS = "each text runs at its own length, and this is the longest"


@pytest.mark.parametrize(
    ("files", "changes", "contract", "reason", "caution", "padded_caution"),
    [
        (
            {},
            OWN,
            "none",
            f"{BOUND}; {OWN_LENGTHS}: config.json (trained_padding)",
            None,
            "config.json (trained_padding) states that training ran each text at its own length, but the bundle pads to 32 tokens; "
            "check it with --evaluation FILE",
        ),
        (
            {},
            {},
            None,
            f"{BOUND}; {OWN_LENGTHS}: asked for",
            "no file states how training padded texts, but the bundle runs each text at its own length; check it with "
            "--evaluation FILE",
            ASSUMED,
        ),
        (
            {"tokenizer.json": tokenizer_json(longest=True)},
            {},
            None,
            f"{BOUND}; {OWN_LENGTHS}: asked for",
            "tokenizer.json pads to no fixed length, so training probably padded to each batch's longest text, but the bundle "
            "runs each text at its own length; check it with --evaluation FILE",
            LONGEST.format(32),
        ),
        (
            {"tokenizer.json": tokenizer_json(fixed=32)},
            {},
            "max_length",
            f"{FIXED}; {OWN_LENGTHS}: asked for",
            f"{FIXED} states that training padded every text to 32 tokens, but the bundle runs each text at its own length; "
            "check it with --evaluation FILE",
            None,
        ),
        (
            {},
            {"mixing": "attention", "num_attention_heads": 4},
            None,
            f"{BOUND}; {OWN_LENGTHS}: asked for",
            None,
            None,
        ),
    ],
)
def test_what_files_state_about_texts_at_their_own_length(tmp_path, files, changes, contract, reason, caution, padded_caution):
    found, own = length_of(tmp_path, files, **changes), Padding(32, "none")
    assert (found.contract, found.reason(own), found.caution(own)) == (contract, reason, caution)
    assert found.caution(Padding(32)) == padded_caution
    assert found.reason(Padding(32)) == found.source
    assert found.values(own) == {
        "tokens": 32,
        "stated": found.stated,
        "source": found.source,
        "reason": reason,
        "padded": found.padded,
        "caution": caution,
    }


@pytest.mark.parametrize("stated", ["longest", "", 1, None])
def test_a_padding_that_training_cannot_have_had_is_refused(tmp_path, stated):
    with pytest.raises(CheckpointError, match="config.json: trained_padding: expected max_length or none, found "):
        length_of(tmp_path, extra={"trained_padding": stated})


def test_tpu_short_seq_length_alone_states_nothing(tmp_path):
    assert not length_of(tmp_path, tpu_short_seq_length=16).stated


def test_where_only_attention_reads_padding_the_length_does_not_matter(tmp_path):
    found = length_of(tmp_path, mixing="attention", num_attention_heads=4)
    assert (found.stated, found.caution(Padding(32))) == (False, None)


def test_f_net_and_keras_hub_pad_every_text(tmp_path):
    flax = trained_length_from_checkpoint(checkpoint_from_name(str(GOLDEN / "flax" / "classification")))
    assert (flax.padded, flax.source) == (True, "weights (f_net pads every text to its position embeddings)")
    preset = Path(shutil.copytree(GOLDEN / "keras" / "classifier", tmp_path / "preset"))
    assert trained_length_from_checkpoint(checkpoint_from_name(str(preset))).stated is False
    (preset / "preprocessor.json").write_text(json.dumps({"config": {"sequence_length": 6}}))
    found = trained_length_from_checkpoint(checkpoint_from_name(str(preset)))
    assert (found.length, found.padded, found.source) == (6, True, "preprocessor.json (sequence_length)")
    task = json.loads((preset / "task.json").read_text())
    task["config"]["preprocessor"] = {"config": {"sequence_length": 7}}
    (preset / "task.json").write_text(json.dumps(task))
    with pytest.raises(CheckpointError, match=r"preprocessor.json .sequence_length. says 6, task.json .sequence_length. says 7"):
        trained_length_from_checkpoint(checkpoint_from_name(str(preset))).check("preset")
    (preset / "preprocessor.json").unlink()
    assert trained_length_from_checkpoint(checkpoint_from_name(str(preset))).length == 7


def test_a_conversion_keeps_the_length(tmp_path):
    save_tiny(tmp_path / "c", use_tpu_fourier_optimizations=True, tpu_short_seq_length=16)
    for to in ("flax", "huggingface"):
        folder = folder_from_options(ConvertOptions(to=to, model=str(tmp_path / "c"), output=tmp_path / to), on_note=[].append)
        found = trained_length_from_checkpoint(checkpoint_from_name(str(folder)))
        assert (found.length, found.padded, found.contradiction) == (16, True, None)
    save_tiny(tmp_path / "d")
    assert not trained_length_from_checkpoint(checkpoint_from_name(str(converted(tmp_path / "d", "flax")))).stated


def converted(folder, to, **options):
    made = ConvertOptions(to=to, model=str(folder), output=folder.with_name(f"{folder.name}-{to}"), **options)
    return folder_from_options(made, on_note=[].append)


@pytest.mark.parametrize("to", ["flax", "huggingface"])
@pytest.mark.parametrize(
    ("stated", "config", "expected"),
    [
        ({"max_length": 16}, {}, (16, False, "tokenizer_config.json (max_length)")),
        ({"max_length": 16}, {"max_length": 8}, (16, False, "tokenizer_config.json (max_length)")),
        (None, {"max_length": 8}, (8, False, "tokenizer_config.json (max_length)")),
        (None, {"model_max_length": 8}, (8, False, "tokenizer_config.json (model_max_length)")),
    ],
)
def test_a_conversion_without_the_tokenizer_json_keeps_where_texts_were_cut(tmp_path, to, stated, config, expected):
    folder = save_pipeline(tmp_path / "c", truncation=stated and CUT | stated)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    there = converted(folder, to, tokenizer="fnet-slow")
    assert not (there / "tokenizer.json").exists()
    found = trained_length_from_checkpoint(checkpoint_from_name(str(there)))
    assert (found.length, found.padded, found.source) == expected
    assert found.contradiction is None


def test_a_conversion_without_the_tokenizer_json_keeps_what_texts_were_padded_to(tmp_path):
    folder = save_pipeline(tmp_path / "c", truncation=CUT | {"max_length": 16}, padding=PADDING | {"strategy": {"Fixed": 16}})
    (folder / "tokenizer_config.json").write_text('{"max_length": 8}')
    found = trained_length_from_checkpoint(checkpoint_from_name(str(converted(folder, "flax", tokenizer="fnet-slow"))))
    assert (found.length, found.padded, found.contradiction) == (16, True, None)


def test_a_conversion_settles_no_contradiction(tmp_path):
    folder = save_pipeline(tmp_path / "c", padding=PADDING | {"strategy": {"Fixed": 16}})
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 24}')
    for tokenizer in (None, "fnet-slow"):
        with pytest.raises(CheckpointError, match=r"says 16, .* says 24\. Expected one length\. Correct the files that are wrong$"):
            converted(folder, "huggingface", tokenizer=tokenizer)


# ---- padding that the runtimes do not have


PADDING = {
    "strategy": "BatchLongest",
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 3,
    "pad_type_id": 0,
    "pad_token": "<pad>",
}
CUT = {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0}
FOR_PAD = (
    "config.json says pad_token_id 3, and the runtimes pad with <pad> of type 0 only. Correct the file if training padded with"
)
ON_THE_RIGHT = "the runtimes pad and cut on the right only, and padding is part of FNet's meaning"


def save_pipeline(folder, **values):
    """A tiny checkpoint beside what transformers 4 writes, with the padding and truncation of the last call."""
    save_tiny(folder)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(pipeline("bpe", "fnet-fast")) | values))
    return folder


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("tokenizer.json", {"padding": PADDING | {"direction": "Left"}},
         f"padding.direction: expected 'Right', found 'Left'; {ON_THE_RIGHT}"),
        ("tokenizer.json", {"truncation": CUT | {"direction": "Left"}},
         f"truncation.direction: expected 'Right', found 'Left'; {ON_THE_RIGHT}"),
        ("tokenizer.json", {"padding": PADDING | {"pad_id": 2}}, f"padding.pad_id: expected 3, found 2; {FOR_PAD}"),
        ("tokenizer.json", {"padding": PADDING | {"pad_token": "</s>"}},
         f"padding.pad_token: expected '<pad>', found '</s>'; {FOR_PAD}"),
        ("tokenizer.json", {"padding": PADDING | {"pad_type_id": 1}}, f"padding.pad_type_id: expected 0, found 1; {FOR_PAD}"),
        ("tokenizer_config.json", {"pad_token": "</s>"}, f"pad_token: expected '<pad>', found '</s>'; {FOR_PAD}"),
        ("tokenizer_config.json", {"pad_token": {"content": "</s>"}}, f"pad_token: expected '<pad>', found '</s>'; {FOR_PAD}"),
        ("tokenizer_config.json", {"pad_token_type_id": 1}, f"pad_token_type_id: expected 0, found 1; {FOR_PAD}"),
        ("special_tokens_map.json", {"pad_token": "</s>"}, f"pad_token: expected '<pad>', found '</s>'; {FOR_PAD}"),
    ],
)  # fmt: skip
def test_padding_that_the_runtimes_do_not_have_is_refused(tmp_path, file, values, message):
    folder = save_pipeline(tmp_path / "c", **(values if file == "tokenizer.json" else {}))
    if file != "tokenizer.json":
        (folder / file).write_text(json.dumps(values))
    for refuses in (plan_of, lambda folder: converted(folder, "flax"), lambda folder: converted(folder, "huggingface")):
        with pytest.raises(CheckpointError) as refused:
            refuses(folder)
        assert str(refused.value).startswith(f"{folder / file}: {message}")


def test_padding_that_the_runtimes_have(tmp_path):
    folder = save_pipeline(tmp_path / "c", padding=PADDING, truncation=CUT | {"max_length": 32})
    stated = {"pad_token": {"content": "<pad>"}, "pad_token_type_id": 0, "padding_side": "right"}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    (folder / "special_tokens_map.json").write_text('{"pad_token": "</s>"}')  # tokenizer_config.json counts
    plan = plan_of(folder)
    assert plan.trained.sequence_length == 32
    (folder / "tokenizer_config.json").write_text('{"pad_token": null}')
    (folder / "special_tokens_map.json").unlink()
    assert plan_of(folder).trained.sequence_length == 32


# ---- contradictions


CONTRADICTING = {"tokenizer.json": tokenizer_json(fixed=16), "tokenizer_config.json": {"model_max_length": 24}}


def plan_of(folder, **options):
    chosen = {"task": "sequence-classification", "target": "onnx", "tokenizer": "fnet-slow", "model": str(folder)}
    return plan_from_options(options_from(**chosen, output=folder / "none", **options))


def test_contradicting_statements_are_refused_until_the_user_chooses(tmp_path):
    said = "tokenizer.json (padding.strategy.Fixed) says 16, tokenizer_config.json (model_max_length) says 24"
    with pytest.raises(CheckpointError) as refused:
        length_of(tmp_path, CONTRADICTING).check("tiny")
    assert str(refused.value) == (
        f"tiny: the files state several lengths that the model was trained at: {said}. Expected one length. Choose the right one: "
        "--sequence-length 16 or 24"
    )
    for chosen in (16, 24):
        found = length_of(tmp_path, CONTRADICTING, chosen)
        assert (found.length, found.contradiction) == (chosen, None)
        found.check("tiny")
    assert length_of(tmp_path, CONTRADICTING, 16).caution(Padding(16)) is None
    assert length_of(tmp_path, CONTRADICTING, 24).caution(Padding(24)) == (
        "tokenizer.json (padding.strategy.Fixed) states that training padded every text to 16 tokens, but the bundle pads to 24; "
        "check it with --evaluation FILE"
    )
    assert length_of(tmp_path, CONTRADICTING, 8).contradiction is not None
    too_long = length_of(tmp_path / "long", {"tokenizer.json": tokenizer_json(fixed=64)})
    assert "says 64, config.json (max_position_embeddings) says 32" in str(too_long.contradiction)
    with pytest.raises(CheckpointError, match="The model takes only one of them: --sequence-length 32$"):
        too_long.check("tiny")
    both = length_of(tmp_path / "long", {"tokenizer.json": tokenizer_json(fixed=64, cut=16)})
    with pytest.raises(CheckpointError, match="Choose the right one: --sequence-length 16 or 32$"):
        both.check("tiny")
    sized = length_of(tmp_path / "sized", {"tokenizer_config.json": {"model_max_length": 16}}, mixing="linear")
    with pytest.raises(CheckpointError, match="The model takes only one of them: --sequence-length 32$"):
        sized.check("tiny")


def test_a_plan_takes_a_stated_length_for_its_own(tmp_path):
    folder = save_tiny(tmp_path / "c", extra={"trained_sequence_length": 16})
    plan = plan_of(folder)
    assert (plan.trained.sequence_length, plan.notes) == (16, ())
    assert plan_of(folder, sequence_length=16).notes == ()
    with pytest.raises(
        OptionError,
        match=r"expected 16, the length .* trained at .config.json .trained_sequence_length.*accept-drift",
    ):
        plan_of(folder, sequence_length=32)
    drifting = plan_of(folder, sequence_length=32, accept_drift=True)
    assert (drifting.notes, drifting.measurements) == ((), ("what 32 tokens instead of 16 tokens change, on 16 built-in e-mails",))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 24}')
    for options in ({}, {"sequence_length": 8}, {"accept_drift": True}):
        with pytest.raises(CheckpointError, match="Choose the right one: --sequence-length 16 or 24"):
            plan_of(folder, **options)
    assert plan_of(folder, sequence_length=16).notes == ()
    assert plan_of(folder, sequence_length=24).trained.sequence_length == 24
    drifting = plan_of(folder, sequence_length=8, accept_drift=True)
    (contradiction,) = drifting.notes
    assert contradiction.startswith("the files state several lengths")
    assert drifting.measurements == ("what 8 tokens instead of 16 tokens change, on 16 built-in e-mails",)


SHORT = ["--task", "sequence-classification", "--target", "onnx"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_the_length_and_its_source_are_in_the_plan(tmp_path):
    folder = save_tiny(tmp_path / "c")
    arguments = [*SHORT, "--model", folder, "--output", tmp_path / "b", "--dry-run"]
    shown = run(*arguments).stdout
    assert "\nsequence length 32: assumed from config.json (max_position_embeddings)\n" in shown
    assert f"\nnote: {ASSUMED}\n" in shown
    value = json.loads(run(*arguments, "--json").stdout)
    assert (value["sequence_length"], value["trained_length"]["caution"], value["notes"]) == (LENGTH, ASSUMED, [ASSUMED])
    assert json.loads(run(*SHORT, "--output", tmp_path / "b", "--dry-run", "--json").stdout)["notes"] == []  # the built-in model


def test_statements_of_both_paddings_are_refused(tmp_path):
    folder = save_tiny(tmp_path / "c", extra={"trained_padding": "none", "trained_sequence_length": 16})
    with pytest.raises(CheckpointError) as refused:
        plan_of(folder)
    assert str(refused.value).endswith(
        "(trained_padding) says that training padded no text, but config.json (trained_sequence_length) says 16 tokens. "
        "Expected one way of training. Correct the file that is wrong"
    )


def test_a_stated_padding_to_one_length_needs_no_length(tmp_path):
    folder = save_tiny(tmp_path / "c", extra={"trained_padding": "max_length"})
    assert plan_of(folder).trained.padding == Padding(32)
    with pytest.raises(OptionError, match=r"expected max_length, because .* \(config.json \(trained_padding\)\); found none"):
        plan_of(folder, padding="none")


def test_texts_that_are_longer_than_in_training_are_named(tmp_path):
    files = {"tokenizer_config.json": {"model_max_length": 16}}
    caution = length_of(tmp_path, files).caution(Padding(32, "none"))
    assert caution.startswith("tokenizer_config.json (model_max_length) is 16, but the bundle takes texts of up to 32 tokens")


def test_advice_is_given_only_where_it_can_be_followed(tmp_path):
    assumed = ASSUMED.removesuffix("; check it with --evaluation FILE")
    assert replace(length_of(tmp_path, {}), checkable=False).caution(Padding(32)) == assumed
    longest = replace(length_of(tmp_path, {"tokenizer.json": tokenizer_json(longest=True)}), checkable=False)
    assert longest.caution(Padding(32)) == LONGEST.format(32).replace("check it with --evaluation FILE, or ", "")
    for task, checkable in (("feature-extraction", False), ("sequence-classification", True)):
        checkpoint = save_tiny(tmp_path / task, task)
        plan = plan_from_options(options_from(task=task, target="onnx", model=str(checkpoint), output=tmp_path / "b"))
        assert plan.trained_length.checkable is checkable
        assert any("--evaluation FILE" in note for note in plan.notes) is checkable
