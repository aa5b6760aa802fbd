import functools
import json
import shutil

import fnet_runtime
import pytest
import sentencepiece
import tokenizers
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.tokenizer import FLAVOURS, TOKENIZER_JSON, Tokenizer
from support.checkpoints import save_tiny
from support.exports import export, options_from
from support.golden_tokenizer import GOLDEN, pipeline

from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.errors import CheckpointError
from fnet_export.base.errors import OptionError
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.tokenizer.choice import tokenizer_from_folder
from fnet_export.texts.tokenizer.from_spiece import proto_from_bytes


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "checkpoint")


def test_spiece_model_alone_is_fnet_slow(folder):
    choice = tokenizer_from_folder(folder)
    assert (choice.flavour, choice.file, choice.disagreement) == ("fnet-slow", "spiece.model", None)
    assert choice.reason == "spiece.model without a tokenizer.json"
    assert choice.data == (folder / "spiece.model").read_bytes()


@pytest.mark.parametrize(("flavour", "version"), [("fnet-fast", 4), ("fnet-v5", 5)])
def test_a_tokenizer_json_says_itself_what_it_is(folder, tmp_path, flavour, version):
    (folder / TOKENIZER_JSON).write_bytes(pipeline("bpe", flavour))
    choice = tokenizer_from_folder(folder)
    assert (choice.flavour, choice.reason) == (flavour, f"tokenizer.json is what transformers {version} writes")
    assert choice.disagreement is not None
    assert choice.disagreement.startswith(f"{flavour} and fnet-slow give different ids, first for ")
    bundle = export(folder, tmp_path / "bundle")
    assert bundle.manifest.tokenizer.flavour == flavour
    assert {TOKENIZER_JSON, "spiece.model"} & set(bundle.manifest.files) == {TOKENIZER_JSON}
    assert (bundle.folder / TOKENIZER_JSON).read_bytes() == pipeline("bpe", flavour)
    assert fnet_runtime.load(bundle.folder)(["the [MASK] fox", ""])[0].label in "ABC"
    (folder / "spiece.model").unlink()
    assert tokenizer_from_folder(folder).disagreement is None


def test_an_old_spelling_of_the_same_pipeline(folder):
    values = json.loads(pipeline("bpe", "fnet-fast"))
    for part in ("pre_tokenizer", "decoder"):
        values[part] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    values["model"]["merges"] = [" ".join(merge) for merge in values["model"]["merges"]]
    (folder / TOKENIZER_JSON).write_text(json.dumps(values))
    assert tokenizer_from_folder(folder).flavour == "fnet-fast"


def test_truncation_and_padding_of_a_tokenizer_json_are_ignored(folder):
    cutting = tokenizers.Tokenizer.from_str(pipeline("bpe", "fnet-fast").decode())
    cutting.enable_truncation(4)
    cutting.enable_padding(length=9)
    (folder / TOKENIZER_JSON).write_text(cutting.to_str())
    tokenizer = tokenizer_from_folder(folder).tokenizer
    text = "the quick brown fox, 10,000 times"
    assert tokenizer.tokens(text) == Tokenizer(pipeline("bpe", "fnet-fast"), tokenizer.options).tokens(text)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_flavour_asked_for(folder, flavour):
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    choice = tokenizer_from_folder(folder, flavour)
    assert (choice.flavour, choice.reason) == (flavour, "asked for")
    if flavour == "fnet-fast":
        assert choice.data == pipeline("bpe", "fnet-fast", do_lower_case=True)
    if flavour == "fnet-v5":
        assert choice.data == pipeline("bpe", "fnet-v5")


def test_the_note_names_the_text(folder):
    plan = plan_from_options(
        options_from(task="ner", target="onnx", model=str(folder), tokenizer="sentencepiece", random_head=True)
    )
    assert plan.notes[0] == (
        "tokenizer sentencepiece (asked for): sentencepiece and fnet-slow give different ids, first for "
        "'It cost $1,000, then 20, then 5,'; --tokenizer names another"
    )
    with pytest.raises(OptionError, match="--tokenizer: expected one of f_net, sentencepiece, fnet-slow, .*; found 'fast'"):
        options_from(task="ner", target="onnx", tokenizer="fast")


def save_flax(folder, **files):
    shutil.copytree(GOLDEN / "flax" / "classification", folder)
    shutil.copy(GOLDEN / "bpe.model", folder / "c4.model")
    for name, data in files.items():
        (folder / f"{name}.json").write_bytes(data)
    checkpoint = checkpoint_from_folder(folder, id="x")
    return functools.partial(tokenizer_from_folder, folder, spiece=checkpoint.vocabulary, format_flavour=checkpoint.tokenizer)


def test_a_flax_folder_has_a_flavour_of_its_own_to_compare(tmp_path):
    alone = save_flax(tmp_path / "alone")
    assert (alone().flavour, alone().disagreement) == ("f_net", None)
    assert alone("fnet-slow").disagreement == (
        "fnet-slow and f_net give different ids, first for 'It cost $1,000, then 20, then 5,'"
    )
    both = save_flax(tmp_path / "both", tokenizer=pipeline("bpe", "fnet-fast"))
    assert both().disagreement.startswith("fnet-fast and f_net give different ids, first for 'It cost $1,000")
    assert both("f_net").disagreement.startswith("f_net and fnet-fast give different ids, first for 'It cost")
    named = save_flax(tmp_path / "named", tokenizer_config=b'{"flavour": "fnet-v5"}')
    assert named().disagreement == (
        "fnet-v5 and f_net give different ids, first for 'The quick brown fox jumps over the lazy dog.'"
    )


def test_a_flavour_that_is_named_beside_a_tokenizer_json_of_another(folder):
    (folder / TOKENIZER_JSON).write_bytes(pipeline("bpe", "fnet-fast"))
    (folder / "tokenizer_config.json").write_text('{"flavour": "fnet-v5"}')
    choice = tokenizer_from_folder(folder)
    assert (choice.flavour, choice.disagreement) == (
        "fnet-fast",
        "fnet-fast and fnet-v5 give different ids, first for 'The quick brown fox jumps over the lazy dog.'",
    )
    (folder / "spiece.model").unlink()  # of which alone it could be made
    assert tokenizer_from_folder(folder).disagreement is None


def test_a_tokenizer_json_of_no_flavour_is_compared_as_it_is(folder):
    cutting = tokenizers.Tokenizer.from_str(pipeline("bpe", "fnet-fast").replace(b'"always"', b'"never"').decode())
    cutting.enable_truncation(4)
    cutting.enable_padding(length=9)
    (folder / TOKENIZER_JSON).write_text(cutting.to_str())
    assert tokenizer_from_folder(folder, "fnet-fast").disagreement == (
        "fnet-fast and fnet-slow give different ids, first for 'It cost $1,000, then 20, then 5,'"
    )
    (folder / "spiece.model").rename(folder / "other.model")
    choice = tokenizer_from_folder(folder, "fnet-fast", spiece=folder / "other.model", format_flavour="fnet-fast")
    assert choice.disagreement == (
        "fnet-fast and tokenizer.json give different ids, first for 'The quick brown fox jumps over the lazy dog.'"
    )


def test_folders_that_do_not_say_which(folder):
    foreign = pipeline("bpe", "fnet-fast").replace(b'"always"', b'"never"')
    (folder / TOKENIZER_JSON).write_bytes(foreign)
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: is of neither pipeline .* say with --tokenizer which of f_net, sentencepiece"
    ):
        tokenizer_from_folder(folder)
    assert tokenizer_from_folder(folder, "fnet-slow").flavour == "fnet-slow"
    (folder / TOKENIZER_JSON).write_text("{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json: not a tokenizer\.json"):
        tokenizer_from_folder(folder)
    (folder / TOKENIZER_JSON).unlink()
    (folder / "tokenizer_config.json").write_text('{"backend": "tokenizers"}')
    with pytest.raises(
        CheckpointError, match=r"written by transformers 5, but the tokenizer\.json next to it is missing; copy it too"
    ):
        tokenizer_from_folder(folder)
    (folder / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"1": {"content": "<s>"}}}')
    with pytest.raises(CheckpointError, match=r"adds the token '<s>', which fnet-slow does not know; copy the tokenizer\.json"):
        tokenizer_from_folder(folder)
    assert tokenizer_from_folder(folder, "fnet-fast").flavour == "fnet-fast"
    for added in ("[]", '{"1": "<s>"}', '{"1": {}}'):
        (folder / "tokenizer_config.json").write_text(f'{{"added_tokens_decoder": {added}}}')
        with pytest.raises(CheckpointError, match="added_tokens_decoder: expected tokens by id, each an object with its content"):
            tokenizer_from_folder(folder)


def test_the_rules_of_transformers_5_are_not_followed(folder):
    rules = {"do_lower_case": True, "keep_accents": False}
    for written_by_5, expected in ((False, (True, False)), (True, (False, True))):
        values = rules | ({"backend": "tokenizers"} if written_by_5 else {})
        (folder / "tokenizer_config.json").write_text(json.dumps(values))
        options = tokenizer_from_folder(folder, "fnet-slow").tokenizer.options
        assert (options.do_lower_case, options.keep_accents) == expected


def test_unreadable_vocabularies(folder):
    (folder / "spiece.model").unlink()
    (folder / "spiece.model").mkdir()
    with pytest.raises(CheckpointError, match=r"spiece\.model: cannot be read"):
        tokenizer_from_folder(folder)


def test_models_that_no_pipeline_is_made_of(tmp_path):
    with pytest.raises(BundleError, match="m.model: not a SentencePiece model"):
        proto_from_bytes(b"no model at all", name="m.model")
    with (tmp_path / "m.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c"] * 9),
            model_writer=file,
            vocab_size=7,
            model_type="word",
            hard_vocab_limit=False,
            minloglevel=2,
        )
    with pytest.raises(BundleError, match="m.model: expected a BPE or Unigram model, found model type 3"):
        proto_from_bytes((tmp_path / "m.model").read_bytes(), name="m.model")


def test_the_golden_models_are_of_both_types():
    types = [
        proto_from_bytes((GOLDEN / f"{name}.model").read_bytes(), name=name).trainer_spec.model_type for name in ("unigram", "bpe")
    ]
    assert types == [1, 2]
