"""Checkpoints of f_net, against files that real flax wrote and what it computed (tests/golden/flax_checkpoint.py)."""

import json
import random
import shutil

import msgpack
import numpy as np
import pytest
import torch
from support.paths import GOLDEN

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder, checkpoint_from_name
from fnet_core.errors import CheckpointError, ConfigError, FNetError, TaskError
from fnet_core.tasks import TASKS

GOLDEN = GOLDEN / "flax"
OUTPUTS = np.load(GOLDEN / "outputs.npz")
FILES = {"pretraining": "checkpoint_100", "classification": "checkpoint_7", "chunked": "checkpoint_7"}


MIXERS = {  # what its file says of a model
    "linear": {"mixing": "linear"},
    "attention": {"mixing": "attention", "num_attention_heads": 3},
    "hybrid": {"attention_layers": (2,), "num_attention_heads": 3},
}


def golden(name):
    return GOLDEN / name / FILES.get(name, "checkpoint_1")


def opened(path):
    return checkpoint_from_folder(path, id="x")


def pack(value):
    def array(a):
        return msgpack.ExtType(1, msgpack.packb((a.shape, a.dtype.name, a.tobytes())))

    return msgpack.packb(value, default=array)


def unpacked(path):
    """A file as a tree of numpy arrays, read as flax does."""

    def array(code, data):
        assert code == 1
        shape, dtype, buffer = msgpack.unpackb(data, raw=True)
        return np.frombuffer(buffer, dtype.decode()).reshape(shape)

    return msgpack.unpackb(path.read_bytes(), ext_hook=array)


def error_of(path, data):
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as failure:
        opened(path)
    assert str(failure.value).startswith(str(path))
    return str(failure.value)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("pretraining", "pretraining"),
        *((name, task) for name in ("classification", *MIXERS) for task in ("sequence-classification", "feature-extraction")),
    ],
)
def test_agrees_with_flax(name, task, dtype, limit):
    """`limit` is relative to the largest value; flax computed in float64 with weights of float32."""
    model = model_from_checkpoint(opened(golden(name)), TASKS[task], dtype=dtype)
    with torch.no_grad():
        found = model(**{key: torch.from_numpy(OUTPUTS[key]) for key in model.task.inputs})
    for output, value in zip(TASKS[task].outputs, found, strict=True):
        wanted = torch.from_numpy(OUTPUTS[f"{name}.{output}"])
        assert ((value - wanted).abs().max() / wanted.abs().max()).item() < limit, output


def test_sizes_heads_and_labels_follow_from_the_file():
    pretraining, classification = opened(golden("pretraining")), opened(golden("classification"))
    config = pretraining.config
    assert (config.vocab_size, config.hidden_size, config.intermediate_size) == (120, 12, 20)
    assert (config.max_position_embeddings, config.type_vocab_size, config.num_hidden_layers) == (7, 3, 2)
    assert pretraining.tasks == ("feature-extraction", "pretraining", "masked-lm", "next-sentence-prediction")
    assert classification.tasks == ("feature-extraction", "sequence-classification")
    assert classification.config.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4")
    assert list(pretraining.source.sha256) == ["checkpoint_100"]


def test_bfloat16_in_chunks():
    word = opened(golden("chunked")).tensor("embeddings.word_embeddings.weight")
    assert word.dtype == torch.bfloat16
    assert torch.equal(word.double(), torch.from_numpy(OUTPUTS["chunked.word"]))


def test_types_as_flax_named_them_in_2020(tmp_path):
    data = golden("classification").read_bytes()
    tree = unpacked(golden("classification"))["params"]

    def old(a):
        return msgpack.ExtType(1, msgpack.packb((a.shape, a.dtype.str, a.tobytes())))

    (tmp_path / "old").write_bytes(msgpack.packb({"target": tree}, default=old))
    (tmp_path / "new").write_bytes(data)
    first, second = opened(tmp_path / "old"), opened(tmp_path / "new")
    assert first.config == second.config
    assert all(torch.equal(first.tensor(name), second.tensor(name)) for name in first.tensors)


def test_what_stands_beside_the_parameters_is_passed_over_unread(tmp_path):
    data = golden("pretraining").read_bytes()
    state = data.index(b"grad_ema")
    assert state < data.index(b"encoder_0", data.index(b"target"))
    broken = data[:state] + data[state:].replace(b"float32", b"damaged", 1)
    (tmp_path / "checkpoint_1").write_bytes(broken)
    assert opened(tmp_path).config == opened(golden("pretraining")).config


def test_variables_saved_whole_and_a_file_without_heads(tmp_path):
    tree = unpacked(golden("pretraining"))["target"]
    (tmp_path / "f_net_checkpoint").write_bytes(pack({"step": 3, "params": {"params": {"encoder": tree["encoder"]}}}))
    assert opened(tmp_path).tasks == ("feature-extraction",)
    del tree["classification"]
    (tmp_path / "f_net_checkpoint").write_bytes(pack({"target": tree}))
    assert opened(tmp_path).tasks == ("feature-extraction", "masked-lm")


@pytest.mark.parametrize("name", ["pretraining", *MIXERS])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_bare_encoder_model_has_its_modules_at_the_root(name, wrapped, tmp_path):
    tree = unpacked(golden(name))["target"]["encoder"]
    (tmp_path / "checkpoint_1").write_bytes(pack({"target": {"params": tree} if wrapped else tree}))
    bare, whole = opened(tmp_path), opened(golden(name))
    assert bare.tasks == ("feature-extraction",)
    assert (bare.config.mixings, bare.config.architectures) == (whole.config.mixings, ("FNetModel",))
    assert set(whole.tensors) - set(bare.tensors) == {key for key in whole.tensors if key.startswith(("cls.", "classifier."))}
    assert all(torch.equal(bare.tensor(key), whole.tensor(key)) for key in bare.tensors)
    with pytest.raises(TaskError, match="no weights for the question-answering head; it has heads for: feature-extraction"):
        model_from_checkpoint(bare, TASKS["question-answering"])
    model_from_checkpoint(bare, TASKS["question-answering"], random_head=True)
    word = "embedder/word/embedding"
    given = json.loads(bare.config.to_json()) | {"vocab_size": 99}
    (tmp_path / "config.json").write_text(json.dumps(given))
    with pytest.raises(CheckpointError, match=rf"tensor {word} has shape \[120, 12\], but config\.json implies \[99, 12\]"):
        opened(tmp_path)
    (tmp_path / "config.json").unlink()
    del tree["pooler"]["bias"]
    (tmp_path / "checkpoint_1").write_bytes(pack({"target": tree}))
    with pytest.raises(CheckpointError, match=rf"tensor pooler/bias is missing; the number of blocks .* shape of {word} \[120"):
        opened(tmp_path)


def test_the_first_tensor_missing_left_over_or_misshapen_is_named(tmp_path):
    def branch(tree, key):
        *parents, name = key.split("/")
        for parent in parents:
            tree = tree[parent]
        return tree, name

    def without(key):
        def change(tree):
            parent, name = branch(tree, key)
            del parent[name]

        return change

    def with_shape(key, *shape):
        def change(tree):
            parent, name = branch(tree, key)
            parent[name] = np.ones(shape, np.float32)

        return change

    word, position = "encoder/embedder/word/embedding", "encoder/embedder/position/embedding"
    told = r"the number of blocks \(2\) and the shape of encoder/embedder/word/embedding \[120, 12\] and of .*implies"
    up, kernel = "encoder/feed_forward_1/intermediate/kernel", "classification/output_kernel"
    changes = {
        f"tensor encoder/feed_forward_1/output/bias is missing; {told} it": without("encoder/feed_forward_1/output/bias"),
        "tensor predictions_layer_norm/scale is missing": without("predictions_layer_norm/scale"),
        "tensor predictions_dense/kernel is missing": without("predictions_dense/kernel"),
        "tensor classification/output_bias is missing": without("classification/output_bias"),
        "tensor encoder/pooler/bias is missing": without("encoder/pooler/bias"),
        f"tensor {word} is missing; its axis 0 should be vocab_size": without(word),
        "tensor encoder/surplus is left over: an FNet with 2 layers": with_shape("encoder/surplus", 3),
        rf"tensor {up} has shape \[20, 12\], but {told} \[12, 20\]": with_shape(up, 20, 12),
        rf"tensor {kernel} has shape \[3, 12\], but {told} \[2, 12\]": with_shape(kernel, 3, 12),
        rf"tensor {position} has shape \[7\]; its axis 1 should be max_position": with_shape(position, 7),
        rf"tensor {position} has shape \[2, 7, 12\], but {told} \[1, 7, 12\]": with_shape(position, 2, 7, 12),
        "hidden_mapping_in/kernel has shape .8, 12.: d_emb 8 differs from d_model 12; only": with_shape(
            "encoder/embedder/hidden_mapping_in/kernel", 8, 12
        ),
        "expected f_net's parameters, an encoder and heads; found classification/output_bias": without("encoder"),
    }
    for message, change in changes.items():
        tree = unpacked(golden("pretraining"))["target"]
        change(tree)
        (tmp_path / "checkpoint_1").write_bytes(pack({"target": tree}))
        with pytest.raises(CheckpointError, match=message):
            opened(tmp_path)


def test_nan_is_refused(tmp_path):
    tree = unpacked(golden("classification"))
    tree["params"]["encoder"]["pooler"]["bias"] = np.full(12, np.nan, np.float32)
    (tmp_path / "checkpoint_1").write_bytes(pack(tree))
    with pytest.raises(CheckpointError, match="encoder/pooler/bias: expected finite floats"):
        model_from_checkpoint(opened(tmp_path), TASKS["sequence-classification"])


@pytest.mark.parametrize("kept", [0, 1, 9, 300, 5000, -2000, -1])
def test_truncated_files(tmp_path, kept):
    assert "truncated or damaged" in error_of(tmp_path / "file", golden("pretraining").read_bytes()[:kept])


def test_damaged_bytes_are_an_error_or_other_numbers(tmp_path):
    data, draw, refused = golden("chunked").read_bytes(), random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "file").write_bytes(damaged)
        try:
            checkpoint = opened(tmp_path / "file")
            _ = [checkpoint.tensor(name) for name in checkpoint.tensors]
        except FNetError:
            refused += 1
    assert 20 < refused < 130


def test_a_file_cut_after_it_was_opened(tmp_path):
    shutil.copy(golden("classification"), tmp_path / "file")
    checkpoint = opened(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"truncated or damaged \(encoder/pooler/bias ends early\)"):
        checkpoint.tensor("pooler.dense.bias")


def test_files_that_are_none(tmp_path):
    path = tmp_path / "file"
    assert "one of target, params; found no map" in error_of(path, b"hello")
    assert "one of target, params; found step, state" in error_of(path, pack({"step": 1, "state": {}}))
    assert "one of target, params; found target, params" in error_of(path, pack({"target": {}, "params": {}}))
    assert "target: expected a map of parameters, found int" in error_of(path, pack({"target": 1}))
    assert "params: expected a map of parameters, found list" in error_of(path, pack({"target": {"params": [1]}}))
    assert "found none" in error_of(path, pack({"target": {}}))
    assert "3 bytes follow the end" in error_of(path, golden("classification").read_bytes() + b"abc")
    assert "a/b: expected an array, found list" in error_of(path, pack({"target": {"a": {"b": [1]}}}))
    assert "target: expected names, each once; found 1" in error_of(path, b"\x81\xa6target\x81\x01\x01")
    assert "target: expected names, each once; found 'a'" in error_of(path, b"\x81\xa6target\x82\xa1a\x01\xa1a\x01")
    deep = {}
    for _ in range(20):
        deep = {"a": deep}
    assert "nested more than 16 deep" in error_of(path, pack({"target": deep}))


def test_arrays_that_are_none(tmp_path):
    path, bias = tmp_path / "file", np.zeros(3, np.float32)

    def error_of_leaf(leaf):
        return error_of(path, pack({"target": {"encoder": {"a": leaf}}}))

    assert "a: extension type 5; expected 1, flax's array" in error_of_leaf(msgpack.ExtType(5, b"x"))
    assert "a: type int32; expected one of float32" in error_of_leaf(np.zeros(3, np.int32))
    short = msgpack.ExtType(1, msgpack.packb(((3,), "float32", bias.tobytes()[1:])))
    assert "a: 11 bytes; shape [3] of float32 needs another number" in error_of_leaf(short)
    assert "truncated or damaged" in error_of_leaf(msgpack.ExtType(1, msgpack.packb((3, "float32"))))
    assert "truncated or damaged" in error_of_leaf(msgpack.ExtType(1, b"\xc1"))
    assert "a: expected an array as flax writes it" in error_of_leaf(msgpack.ExtType(1, msgpack.packb(((3,), 7, bias.tobytes()))))
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 6}, "chunks": {"0": bias}}
    assert "encoder/a: its chunks do not make up shape [6]" in error_of_leaf(chunked)
    assert "encoder/a: expected an array in chunks as flax writes it" in error_of_leaf(chunked | {"shape": {"1": 6}})
    assert "encoder/a: expected an array in chunks as flax writes it" in error_of_leaf(chunked | {"chunks": {"0": 1}})


@pytest.mark.parametrize("name", MIXERS)
def test_the_mixing_of_each_layer_follows_from_the_file(name):
    config = opened(golden(name)).config
    assert {field: getattr(config, field) for field in MIXERS[name]} == MIXERS[name]


def test_a_config_beside_is_taken_and_must_fit(tmp_path):
    shutil.copy(golden("classification"), tmp_path / "checkpoint_7")
    given = opened(tmp_path).config.to_dict() | {"id2label": dict(enumerate("ABCDE")), "hidden_act": "relu"}
    (tmp_path / "config.json").write_text(json.dumps(given))
    config = opened(tmp_path).config
    assert (config.labels, config.hidden_act) == (tuple("ABCDE"), "relu")
    for change, message in {
        "intermediate_size": r"feed_forward_0/intermediate/kernel has shape \[12, 20\], but config.json implies \[12, 9\]",
        "num_hidden_layers": "encoder/encoder_3/mixing_layer_norm/scale is missing; config.json implies it",
    }.items():
        (tmp_path / "config.json").write_text(json.dumps(given | {change: 9}))
        with pytest.raises(CheckpointError, match=message):
            opened(tmp_path)
    shutil.copy(golden("pretraining"), tmp_path / "checkpoint_7")
    untied = given | {"num_hidden_layers": 2, "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(untied))
    with pytest.raises(CheckpointError, match=r"tensor cls\.predictions\.decoder\.weight is missing; config\.json implies it"):
        opened(tmp_path)
    shutil.copy(golden("classification"), tmp_path / "checkpoint_7")
    (tmp_path / "config.json").write_text(json.dumps(given | {"num_hidden_layers": 2}))
    with pytest.raises(CheckpointError, match="encoder_2/mixing_layer_norm/bias is left over: an FNet with 2 layers"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(given | {"num_hidden_layers": 10**9}))
    with pytest.raises(CheckpointError, match=r"config\.json: num_hidden_layers 1000000000: the weights hold 35 tensors"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        opened(tmp_path)


def test_where_a_folder_has_its_file_and_its_vocabulary(tmp_path):
    shutil.copy(golden("pretraining"), tmp_path / "f_net_checkpoint")
    assert checkpoint_from_name(str(tmp_path / "f_net_checkpoint")).vocabulary == tmp_path / "spiece.model"
    (tmp_path / "c4_bpe_sentencepiece.model").touch()
    assert checkpoint_from_name(str(tmp_path)).vocabulary.name == "c4_bpe_sentencepiece.model"
    (tmp_path / "spiece.model").touch()
    assert opened(tmp_path).vocabulary.name == "spiece.model"
    shutil.copy(golden("pretraining"), tmp_path / "checkpoint_5")
    with pytest.raises(CheckpointError, match="found checkpoint_5, f_net_checkpoint; give the path of the file"):
        opened(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="expected a folder, or a flax file; give the folder that this file is in"):
        opened(tmp_path / "model.safetensors")


def test_an_orbax_directory_is_refused(tmp_path):
    (tmp_path / "checkpoint_9").mkdir()
    (tmp_path / "checkpoint_9" / "_METADATA").touch()
    for folder in (tmp_path, tmp_path / "checkpoint_9"):
        with pytest.raises(CheckpointError, match=r"checkpoint_9: is an Orbax directory.*flax\.serialization\.to_bytes"):
            opened(folder)


def test_several_vocabularies_and_sizes_that_are_none(tmp_path):
    shutil.copy(golden("classification"), tmp_path / "checkpoint_7")
    for name in ("a.model", "b.model"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"found a\.model, b\.model; rename the model's own to spiece\.model"):
        opened(tmp_path)
    tree = unpacked(golden("classification"))["params"]
    tree["encoder"]["embedder"]["type"]["embedding"] = np.zeros((0, 12), np.float32)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "checkpoint_1").write_bytes(pack({"target": tree}))
    with pytest.raises(
        ConfigError, match=r"checkpoint_1: type_vocab_size: expected a positive integer, found 0; the value follows from its shapes"
    ):
        opened(tmp_path / "empty")
    tree["encoder"]["embedder"]["type"]["embedding"] = np.ones((3, 12), np.float32)
    tree["classification"]["output_kernel"] = np.zeros((10**9, 0), np.float32)
    (tmp_path / "empty" / "checkpoint_1").write_bytes(pack({"target": tree}))
    with pytest.raises(ConfigError, match="checkpoint_1: the first axis of classification/output_kernel: .* found 1000000000"):
        opened(tmp_path / "empty")
    tree["encoder"]["embedder"]["position"]["embedding"] = np.zeros((1, 10**9, 0), np.float32)
    del tree["classification"]
    (tmp_path / "empty" / "checkpoint_1").write_bytes(pack({"target": tree}))
    with pytest.raises(CheckpointError, match="checkpoint_1: max_position_embeddings 1000000000: the weights hold no axis above"):
        opened(tmp_path / "empty")
