"""Weights that travel: between Hugging Face and flax, bit by bit."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from click.testing import CliRunner
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import FLAVOURS
from safetensors.torch import load_file, save_file
from support.checkpoints import VOCABULARY, save_tiny
from support.exports import export, options_from
from support.golden_tokenizer import pipeline
from support.paths import GOLDEN
from transformers import FNetConfig as TheirConfig

from fnet_core.checkpoint import flax_file
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.errors import CheckpointError
from fnet_export.base.errors import OptionError, OutputError
from fnet_export.bundle.checkpoint import checkpoint_from_bundle
from fnet_export.bundle.convert import ConvertOptions, folder_from_options
from fnet_export.commands import cli
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.emails import emails
from fnet_export.texts.tokenizer.choice import COMPARED_TOKENS, PROBES, tokenizer_from_folder

TEXTS = (*PROBES, *emails()[:20])
HASHES = json.loads((GOLDEN / "flax" / "converted.json").read_text())
SIZES = {"vocab_size": 40, "hidden_size": 6, "num_hidden_layers": 2, "intermediate_size": 5, "max_position_embeddings": 7}


def convert(model, to, output, *, notes=None, **options):
    made = ConvertOptions(model=str(model), to=to, output=output, **options)
    return folder_from_options(made, on_note=[].append if notes is None else notes.append)


def save_theirs(folder, architecture, **options):
    model = getattr(transformers, architecture)(TheirConfig(**SIZES, **options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder


def write_vocabulary(path, *, pieces):
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the quick brown fox jumps over the lazy dog"] * 9), model_writer=file, vocab_size=pieces,
            model_type="bpe", pad_id=3, control_symbols=["[CLS]", "[SEP]", "[MASK]"], minloglevel=2,
        )  # fmt: skip


def with_vocabulary(source, folder):
    shutil.copytree(source, folder)
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder


@pytest.mark.parametrize(
    "architecture",
    ["FNetModel", "FNetForPreTraining", "FNetForMaskedLM", "FNetForSequenceClassification"],
)
def test_from_hugging_face_to_flax_and_back(architecture, tmp_path):
    original = save_theirs(tmp_path / "theirs", architecture, num_labels=3)
    (original / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    there = convert(original, "flax", tmp_path / "there")
    back = convert(there, "huggingface", tmp_path / "back")
    assert sorted(p.name for p in there.iterdir()) == [
        "checkpoint_0", "config.json", "conversion.json", "spiece.model", "tokenizer_config.json",
    ]  # fmt: skip
    wanted, found = load_file(original / "model.safetensors"), load_file(back / "model.safetensors")
    wanted = {name if name.startswith(("fnet.", "cls.", "classifier.")) else f"fnet.{name}": t for name, t in wanted.items()}
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in wanted.items())
    assert (back / "spiece.model").read_bytes() == VOCABULARY.read_bytes()
    assert len({path.stat().st_mode for path in back.iterdir()}) == 1
    assert checkpoint_from_folder(back, id="x").config == checkpoint_from_folder(original, id="x").config
    again = getattr(transformers, architecture).from_pretrained(back)
    assert all(torch.equal(again.state_dict()[name], t) for name, t in load_file(original / "model.safetensors").items())


@pytest.mark.parametrize("name", HASHES)
def test_from_flax_to_hugging_face_and_back(name, tmp_path):
    """To the very bytes that real flax read, and found to hold the same bits as what it had written."""
    there = convert(with_vocabulary(GOLDEN / "flax" / name, tmp_path / "original"), "huggingface", tmp_path / "there")
    back = convert(there, "flax", tmp_path / "back")
    assert hashlib.sha256((back / "checkpoint_0").read_bytes()).hexdigest() == HASHES[name]


def test_transformers_computes_what_flax_did(tmp_path):
    folder = convert(with_vocabulary(GOLDEN / "flax" / "pretraining", tmp_path / "original"), "huggingface", tmp_path / "b")
    model = transformers.FNetForPreTraining.from_pretrained(folder).double().eval()
    outputs = np.load(GOLDEN / "flax" / "outputs.npz")
    with torch.no_grad():
        found = model(input_ids=torch.from_numpy(outputs["input_ids"]), token_type_ids=torch.from_numpy(outputs["token_type_ids"]))
    for name in ("prediction_logits", "seq_relationship_logits"):
        wanted = torch.from_numpy(outputs[f"pretraining.{name}"])
        assert ((found[name] - wanted).abs().max() / wanted.abs().max()).item() < 1e-12


def flavour_of(folder):
    checkpoint = checkpoint_from_folder(folder, id="x")
    return tokenizer_from_folder(folder, spiece=checkpoint.vocabulary, format_flavour=checkpoint.tokenizer).tokenizer.options


@pytest.mark.parametrize("rules", [None, {"do_lower_case": True, "tokenizer_class": "FNetTokenizer"}, {"flavour": "fnet-v5"}])
def test_the_tokenizer_survives_there_and_back(rules, tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetModel")
    if rules:
        (original / "tokenizer_config.json").write_text(json.dumps(rules))
    there = convert(original, "flax", tmp_path / "there")
    back = convert(there, "huggingface", tmp_path / "back")
    assert flavour_of(original) == flavour_of(there) == flavour_of(back)
    assert flavour_of(original).flavour == (rules or {}).get("flavour", "fnet-slow")


@pytest.mark.parametrize("rules", [None, {"model_max_length": 512}])
def test_the_tokenizer_of_f_net_survives_there_and_back(rules, tmp_path):
    original = with_vocabulary(GOLDEN / "flax" / "classification", tmp_path / "original")
    if rules:
        (original / "tokenizer_config.json").write_text(json.dumps(rules))
    there = convert(original, "huggingface", tmp_path / "there")
    back = convert(there, "flax", tmp_path / "back")
    assert [flavour_of(folder).flavour for folder in (original, there, back)] == ["f_net"] * 3


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("written", [None, "fnet-fast", "foreign"])
def test_the_flavour_asked_for_is_the_one_that_the_new_folder_means(flavour, written, tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetModel")
    (original / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    if written:
        data = pipeline("bpe", "fnet-fast")
        (original / "tokenizer.json").write_bytes(data if written == "fnet-fast" else data.replace(b'"always"', b'"never"'))
    there = convert(original, "flax", tmp_path / "there", tokenizer=flavour)
    assert flavour_of(there) == tokenizer_from_folder(original, flavour).tokenizer.options
    assert (there / "tokenizer.json").is_file() == (FLAVOURS[flavour].file == "tokenizer.json")
    if written == "foreign":
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: is of neither pipeline .* say with --tokenizer"):
            convert(original, "flax", tmp_path / "b")


def theirs(folder):
    """The ids that transformers' AutoTokenizer gives of a folder, in order of TEXTS."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, truncation=True, max_length=COMPARED_TOKENS)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("model", ["bpe", "unigram"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_transformers_takes_the_flavour_of_a_folder_or_refuses_it(flavour, model, tmp_path):
    original, notes = save_theirs(tmp_path / "theirs", "FNetModel"), []
    shutil.copy(GOLDEN / f"{model}.model", original / "spiece.model")
    (original / "tokenizer_config.json").write_text('{"tokenizer_class": "FNetTokenizer", "model_max_length": 512}')
    there = convert(original, "huggingface", tmp_path / "there", tokenizer=flavour, notes=notes)
    config = json.loads((there / "tokenizer_config.json").read_text())
    assert (config["flavour"], config["model_max_length"]) == (flavour, 512)
    if FLAVOURS[flavour].file == "tokenizer.json":
        tokenizer = tokenizer_from_folder(there).tokenizer
        found = (tokenizer.encode(text, padding=Padding(COMPARED_TOKENS)) for text in TEXTS)
        assert theirs(there) == [encoding.input_ids[: encoding.attention_mask.sum()].tolist() for encoding in found]
    else:
        with pytest.raises(ValueError, match="Couldn't instantiate the backend tokenizer"):
            theirs(there)
        note = notes[-1]
        assert f"tokenizer {flavour} (asked for): transformers 5 has no tokenizer with its ids, so AutoTokenizer refuses" in note
        assert json.loads((there / "conversion.json").read_text())["notes"] == notes


def test_what_is_assumed_of_a_model_is_said_by_every_command(tmp_path):
    """A flax file says nothing of mixers without parameters: all that open it say what they assume, in the same words."""
    original, notes = with_vocabulary(GOLDEN / "flax" / "classification", tmp_path / "original"), []
    write_vocabulary(original / "spiece.model", pieces=60)
    checkpoint = checkpoint_from_folder(original, id=str(original))
    (note,) = checkpoint.notes
    assert note.startswith(f"{original}: its files do not say everything about the model; assumed: Fourier mixing (feed-forward-")
    for to in ("huggingface", "flax"):
        result = CliRunner().invoke(
            cli.main, ["convert", "--model", str(original), "--to", to, "--output", str(tmp_path / to), "--tokenizer", "fnet-fast"]
        )
        tokenizer, assumed = json.loads((tmp_path / to / "conversion.json").read_text())["notes"]
        assert (result.exit_code, result.stderr) == (0, f"note: {tokenizer}\nnote: {assumed}\n")
        assert assumed == note
        quiet = ["--output", str(tmp_path / f"{to}-quiet"), "--quiet"]
        assert CliRunner().invoke(cli.main, ["convert", "--model", str(original), "--to", to, *quiet]).output == ""
        assert tokenizer.startswith("tokenizer fnet-fast (asked for): fnet-fast and f_net give different ids, first for ")
    options = options_from(task="sequence-classification", target="onnx", model=str(original), output=tmp_path / "plan")
    plan = plan_from_options(options)
    assert note in plan.notes
    (tmp_path / "config.json").write_text(checkpoint.config.to_json())  # all of a bundle that is read of it
    assert checkpoint_from_bundle(tmp_path, manifest_from_plan(plan), on_note=notes.append).notes == tuple(notes) == (note,)
    shutil.copy(tmp_path / "config.json", original)
    assert checkpoint_from_folder(original, id="x").notes == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer_config.json", '{"padding_side": "left"}', "padding_side: expected 'right', found 'left'"),
        ("tokenizer_config.json", '{"truncation_side": "left"}', "truncation_side: expected 'right', found 'left'"),
        ("tokenizer_config.json", '{"flavour": ["x"]}', "flavour: expected one of f_net, sentencepiece"),
        ("added_tokens.json", '{"[NEW]": 40}', r"added_tokens\.json: adds the token '\[NEW\]', which fnet-slow does not know"),
    ],
)
def test_tokenizers_that_are_refused(name, text, message, tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetModel")
    (original / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        flavour_of(original)


@pytest.mark.parametrize("name", ["config.json", "spiece.model", "tokenizer_config.json"])
def test_damaged_files_are_errors_of_one_line(name, tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetModel")
    (original / name).write_text("[" * 100_000)
    result = CliRunner().invoke(cli.main, ["convert", "--model", str(original), "--to", "flax", "--output", str(tmp_path / "b")])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_a_flavour_that_is_none(tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetModel")
    (original / "tokenizer_config.json").write_text('{"flavour": "vanilla"}')
    with pytest.raises(
        CheckpointError, match=r"tokenizer_config\.json: flavour: expected one of f_net, sentencepiece, .* found 'vanilla'"
    ):
        flavour_of(original)


@pytest.mark.parametrize("name", ["linear", "attention", "hybrid"])
def test_transformers_has_fourier_layers_only(name, tmp_path):
    folder = with_vocabulary(GOLDEN / "flax" / name, tmp_path / "original")
    kind = "linear" if name == "linear" else "attention"
    with pytest.raises(CheckpointError, match=f"has layers that mix by {kind}; transformers' have Fourier transforms only"):
        convert(folder, "huggingface", tmp_path / "there")
    one, other = (checkpoint_from_folder(path, id="x") for path in (folder, convert(folder, "flax", tmp_path / "again")))
    assert one.config.mixings == other.config.mixings
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensor(name), other.tensor(name)) for name in one.tensors)


def test_from_keras_hub(tmp_path):
    preset = Path(shutil.copytree(GOLDEN / "keras" / "classifier", tmp_path / "preset"))
    vocabulary = preset / "assets" / "tokenizer" / "vocabulary.spm"
    with pytest.raises(CheckpointError, match=r"vocabulary\.spm: is missing"):
        convert(preset, "huggingface", tmp_path / "a")
    vocabulary.parent.mkdir(parents=True)
    shutil.copy(VOCABULARY, vocabulary)
    convert(convert(preset, "flax", tmp_path / "a"), "huggingface", tmp_path / "b")
    model = transformers.FNetForSequenceClassification.from_pretrained(tmp_path / "b").double().eval()
    outputs = np.load(GOLDEN / "keras" / "outputs.npz")
    with torch.no_grad():
        found = model(input_ids=torch.from_numpy(outputs["input_ids"]), token_type_ids=torch.from_numpy(outputs["token_type_ids"]))
    wanted = torch.from_numpy(outputs["classifier.logits"])
    assert ((found.logits - wanted).abs().max() / wanted.abs().max()).item() < 1e-5


@pytest.mark.parametrize("name", ["flax", "keras"])
def test_a_foreign_checkpoint_becomes_a_bundle(name, tmp_path):
    source = {"flax": "flax/classification", "keras": "keras/classifier"}[name]
    folder = Path(shutil.copytree(GOLDEN / source, tmp_path / "original"))
    (folder / "assets" / "tokenizer").mkdir(parents=True)
    write_vocabulary(folder / {"flax": "c4.model", "keras": "assets/tokenizer/vocabulary.spm"}[name], pieces=60)
    exported = export(folder, tmp_path / "bundle")
    assert exported.evidence.passed
    options = options_from(task="sequence-classification", target="onnx", model=str(folder), output=tmp_path / "plan")
    mixing = "Fourier mixing (feed-forward-only and random models look the same), " if name == "flax" else ""
    noted = [note for note in plan_from_options(options).notes if f"assumed: {mixing}<pad> at 3, labels by number. If" in note]
    assert len(noted) == 1
    assert exported.manifest.tokenizer.flavour == {"flax": "f_net", "keras": "sentencepiece"}[name]
    there = export(convert(folder, "huggingface", tmp_path / "there"), tmp_path / "other")
    assert there.manifest.tokenizer == exported.manifest.tokenizer
    assert there.manifest.files["golden.safetensors"] == exported.manifest.files["golden.safetensors"]
    assert exported.manifest.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4")


def test_arrays_above_a_gibibyte_are_written_in_chunks(tmp_path, monkeypatch):
    original = save_theirs(tmp_path / "theirs", "FNetForPreTraining")
    whole = convert(original, "flax", tmp_path / "whole") / "checkpoint_0"
    monkeypatch.setattr(flax_file, "MAX_CHUNK_BYTES", 100)
    chunked = convert(original, "flax", tmp_path / "chunked") / "checkpoint_0"
    assert b"__msgpack_chunked_array__" in chunked.read_bytes()
    assert b"__msgpack_chunked_array__" not in whole.read_bytes()
    one, other = checkpoint_from_folder(whole, id="x"), checkpoint_from_folder(chunked, id="x")
    assert all(torch.equal(one.tensor(name), other.tensor(name)) for name in one.tensors)


def test_both_biases_of_a_tied_decoder_become_one(tmp_path):
    original = save_theirs(tmp_path / "theirs", "FNetForMaskedLM")
    weights = load_file(original / "model.safetensors")
    bias, word = weights.pop("cls.predictions.bias"), weights["fnet.embeddings.word_embeddings.weight"]
    weights |= {"cls.predictions.decoder.bias": bias, "cls.predictions.decoder.weight": word.clone()}
    save_file(weights, original / "model.safetensors")
    found = load_file(convert(original, "huggingface", tmp_path / "a") / "model.safetensors")
    assert torch.equal(found["cls.predictions.bias"], bias)
    assert not any("decoder" in name for name in found)
    weights["cls.predictions.bias"] = bias + 1
    save_file(weights, original / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"decoder\.bias differs from cls\.predictions\.bias"):
        convert(original, "flax", tmp_path / "b")


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("FNetForTokenClassification", {}, "its classifier is of FNetForTokenClassification; f_net has only one of whole"),
        ("FNetForQuestionAnswering", {}, "tensor qa_outputs.bias has no place in an f_net checkpoint"),
        ("FNetForNextSentencePrediction", {}, "tensor cls.seq_relationship.bias has no place in an f_net checkpoint"),
        (
            "FNetForMaskedLM",
            {"tie_word_embeddings": False},
            "tie_word_embeddings: expected True, .*; found False",
        ),
        ("FNetModel", {"hidden_act": "relu"}, "hidden_act: expected 'gelu_new', which f_net's code computes; found 'relu'"),
        ("FNetModel", {"layer_norm_eps": 1e-6}, "layer_norm_eps: expected 1e-12, which f_net's code computes; found 1e-06"),
    ],
)
def test_what_flax_cannot_hold(architecture, options, message, tmp_path):
    original = save_theirs(tmp_path / "theirs", architecture, **options)
    with pytest.raises(CheckpointError, match=f"^{original}: {message}"):
        convert(original, "flax", tmp_path / "there")
    assert [p.name for p in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("flax", "masked_lm_act: expected None, which f_net's code computes; found 'gelu'"),
        ("huggingface", "its masked-lm head computes gelu and epsilon 1e-05, as keras-hub does; transformers' cannot"),
    ],
)
def test_the_masked_lm_head_of_keras_hub_stays_where_it_is(to, message, tmp_path):
    preset = Path(shutil.copytree(GOLDEN / "keras" / "masked_lm", tmp_path / "preset"))
    (preset / "assets" / "tokenizer").mkdir(parents=True)
    shutil.copy(VOCABULARY, preset / "assets" / "tokenizer" / "vocabulary.spm")
    with pytest.raises(CheckpointError, match=message):
        convert(preset, to, tmp_path / "b")


def test_what_is_there_is_kept(tmp_path):
    original = save_tiny(tmp_path / "original")
    output = convert(original, "flax", tmp_path / "output")
    with pytest.raises(OutputError, match="exists; expected a new folder.*--force to replace a conversion"):
        convert(original, "flax", output)
    convert(original, "huggingface", output, force=True)
    convert(output, "flax", output, force=True)
    assert (output / "checkpoint_0").is_file()
    for folder in (original, output):
        (folder / "notes.txt").touch()
        with pytest.raises(OutputError, match=r"only a conversion is replaced; expected a folder with a con"):
            convert(original, "flax", folder, force=True)
    (output / "notes.txt").unlink()
    (output / "conversion.json").write_text("[]")
    with pytest.raises(OutputError, match="found not a conversion"):
        convert(original, "flax", output, force=True)
    assert (output / "checkpoint_0").is_file()
    with pytest.raises(OutputError, match="unknown format 'onnx'; expected one of huggingface, flax"):
        convert(original, "onnx", tmp_path / "b")
    with pytest.raises(OptionError, match="--tokenizer: expected one of f_net, sentencepiece, fnet-slow, .*; found 'fast'"):
        convert(original, "flax", tmp_path / "b", tokenizer="fast")


def test_the_command(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli.main, [str(a) for a in arguments])

    original = save_tiny(tmp_path / "original")
    done = run("convert", "--model", original, "--to", "flax", "--output", tmp_path / "b")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'b'}: flax\n")
    again = run("convert", "--model", original, "--to", "flax", "--output", tmp_path / "b")
    assert (again.exit_code, again.stderr.startswith("error: ")) == (1, True)
    missing = run("convert", "--to", "flax", "--output", tmp_path / "c")
    assert (missing.exit_code, "Missing option '--model'" in missing.stderr) == (2, True)
    shown = run("convert", "--help").stdout
    assert all(option in shown for option in ("--model", "--revision", "--to", "--output", "--tokenizer", "--force"))
    named = run("convert", "--model", original, "--to", "flax", "--output", tmp_path / "c", "--tokenizer", "sentencepiece")
    assert (named.exit_code, flavour_of(tmp_path / "c").flavour) == (0, "sentencepiece")


def test_the_export_needs_no_name(checkpoint, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli.main, [str(a) for a in arguments])

    options = ["--task", "sequence-classification", "--target", "onnx", "--model", checkpoint, "--output", tmp_path, "--dry-run"]
    named, unnamed = run("export", *options, "--force"), run(*options, "--force")
    assert (named.exit_code, named.output) == (0, unnamed.output)
    assert "convert" in run("-h").stdout
    missing = run("--model", checkpoint)
    assert (missing.exit_code, "Missing option '--target'" in missing.stderr) == (2, True)
