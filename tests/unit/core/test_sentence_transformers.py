"""Folders of sentence-transformers: what is read, and what is refused."""

import json

import pytest
from fnet_runtime.bundle.config import NORMALIZE_KEY, POOLING_KEY, POOLINGS
from support.checkpoints import save_sentence_model, save_tiny

from fnet_core.checkpoint import sentence_transformers
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.errors import CheckpointError

CLASSIC = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_lasttoken": False,
}


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))


def test_the_words_are_those_of_the_runtime():
    assert set(POOLINGS) == {sentence_transformers.POOLER, *sentence_transformers.POOLINGS.values()}
    assert (POOLING_KEY, NORMALIZE_KEY) == (sentence_transformers.POOLING_KEY, sentence_transformers.NORMALIZE_KEY)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("pooling", "found"),
    [
        (CLASSIC, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_a_folder_is_read(tmp_path, pooling, found, normalize):
    folder = save_sentence_model(tmp_path / "m", pooling, normalize=normalize)
    checkpoint = checkpoint_from_folder(folder, id="m")
    assert (checkpoint.sentence.pooling, checkpoint.sentence.normalize) == (found, normalize)
    assert checkpoint.config.extra == {"trained_pooling": found, "trained_normalize": normalize}
    assert (checkpoint.folder, checkpoint.sentence.max_seq_length) == (folder, None)


def test_the_transformer_has_a_folder_of_its_own(tmp_path):
    folder = save_sentence_model(tmp_path / "m", CLASSIC, transformer="0_Transformer", settings={"max_seq_length": 8})
    checkpoint = checkpoint_from_folder(folder, id="m")
    assert (checkpoint.folder, checkpoint.vocabulary) == (folder / "0_Transformer", folder / "0_Transformer" / "spiece.model")
    assert checkpoint.sentence.max_seq_length == 8


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("modules.json", "{", "modules.json: not JSON"),
        ("modules.json", {}, "modules.json: expected a list of modules"),
        ("modules.json", [1], "modules.json: expected a list of modules"),
        ("modules.json", [], "found none. A bundle has no other module"),
        (
            "modules.json",
            [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"}, {"type": "a.Dense", "path": "2"}],
            "expected the modules Transformer and Pooling, and Normalize after them or not; found Transformer, Pooling, Dense",
        ),
        (
            "modules.json",
            [{"type": "a.Transformer", "path": "../x"}, {"type": "a.Pooling", "path": "1_Pooling"}],
            "path: expected a folder in this one, found '../x'",
        ),
        (
            "1_Pooling/config.json",
            {},
            "expected one pooling mode of pooling_mode_cls_token, .*; found none",
        ),
        ("1_Pooling/config.json", [], "expected a JSON object, found list"),
        (
            "1_Pooling/config.json",
            CLASSIC | {"pooling_mode_lasttoken": True},
            "found pooling_mode_mean_tokens, pooling_mode_lasttoken",
        ),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "one pooling mode of cls, mean, max; found weightedmean"),
        ("1_Pooling/config.json", {"pooling_mode": "cls_token"}, "one pooling mode of cls, mean, max; found cls_token"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}, "found mean, max"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case: expected false"),
        ("sentence_bert_config.json", {"max_seq_length": "8"}, "max_seq_length: expected a number of tokens or null, found '8'"),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {}}},
            "processing_kwargs: expected none",
        ),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "default_prompt_name: expected null"),
        ("config.json", None, "trained_pooling"),
    ],
)
def test_a_folder_that_is_refused(tmp_path, file, values, message):
    if values is None:
        folder = save_tiny(tmp_path / "m", "feature-extraction", extra={"trained_pooling": "sum"})
    else:
        folder = save_sentence_model(tmp_path / "m", CLASSIC)
        write(folder / file, values)
    with pytest.raises(CheckpointError, match=message):
        checkpoint_from_folder(folder, id="m")


def test_a_pooling_module_without_its_file(tmp_path):
    folder = save_sentence_model(tmp_path / "m", CLASSIC)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="cannot be read .*; expected a folder that sentence-transformers wrote"):
        checkpoint_from_folder(folder, id="m")
    folder = save_tiny(tmp_path / "n", "feature-extraction", extra={"trained_normalize": "yes"})
    with pytest.raises(CheckpointError, match="n: config.json: trained_normalize: expected true or false, found 'yes'"):
        checkpoint_from_folder(folder, id="n")


def test_a_config_that_contradicts_the_modules(tmp_path):
    folder = save_sentence_model(tmp_path / "m", CLASSIC, extra={"trained_pooling": "max"})
    with pytest.raises(CheckpointError, match="trained_pooling: expected 'mean', as modules.json says; found 'max'"):
        checkpoint_from_folder(folder, id="m")
