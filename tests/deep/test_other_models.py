"""Models unlike the paper's become bundles too: other mixings, hybrids with attention, other sizes."""

import fnet_runtime
import pytest
from support.checkpoints import LENGTH, save_tiny
from support.exports import export

from fnet_core.tasks import TASKS
from fnet_export.base.errors import GraphError


@pytest.mark.parametrize("mixing", ["linear", "random", "identity", "attention"])
def test_every_mixing_of_the_paper_becomes_a_bundle(mixing, tmp_path):
    checkpoint = save_tiny(tmp_path / "checkpoint", mixing=mixing, num_attention_heads=4)
    pipe = fnet_runtime.load(export(checkpoint, tmp_path / "bundle").folder, threads=1)
    assert all(check.passed for check in pipe.self_test())
    (row,) = pipe.inputs("the fox")
    assert ("attention_mask" in row) == (mixing == "attention")
    if mixing in ("linear", "random"):
        with pytest.raises(
            GraphError, match=f"sequence length: expected 32, the length of the matrices of the {mixing} mixing; found 16"
        ):
            export(checkpoint, tmp_path / "short", sequence_length=16)


@pytest.mark.parametrize("task", TASKS)
def test_a_hybrid_becomes_a_bundle_with_a_mask(task, tmp_path):
    checkpoint = save_tiny(tmp_path / "checkpoint", task, attention_layers=(1,), num_attention_heads=4)
    folder = export(checkpoint, tmp_path / "bundle", task=task, target="tensorrt-rtx").folder
    pipe = fnet_runtime.load(folder, runtime="onnxruntime", threads=1)
    assert [tensor.name for tensor in pipe.manifest.inputs] == ["input_ids", "token_type_ids", "attention_mask"]
    assert all(check.passed for check in pipe.self_test())
    if task == "sequence-classification":
        (row,) = pipe.inputs("the quick fox")
        assert row["attention_mask"].sum() == (row["input_ids"] != pipe.manifest.pad_token_id).sum()


def test_masked_lm_at_positions_of_a_hybrid(tmp_path):
    save_tiny(tmp_path / "c", "masked-lm", attention_layers=(0,), num_attention_heads=4)
    pipe = fnet_runtime.load(export(tmp_path / "c", tmp_path / "b", task="masked-lm", predict_positions=2).folder)
    (row,) = pipe.inputs("a [MASK]")
    assert set(row) == {"input_ids", "token_type_ids", "attention_mask", "masked_lm_positions"}
    assert len(pipe.fill_mask("the [MASK] fox").masks) == 1


@pytest.mark.parametrize(
    "sizes",
    [
        {"max_position_embeddings": 4096, "hidden_size": 8, "num_hidden_layers": 1},
        {"hidden_size": 13, "intermediate_size": 1024, "type_vocab_size": 1},
        {"hidden_size": 256, "vocab_size": 1777, "num_hidden_layers": 1},
        {"hidden_size": 1024, "num_hidden_layers": 1, "type_vocab_size": 7},
    ],
    ids=str,
)
def test_other_sizes(sizes, tmp_path):
    samples = tmp_path / "samples"
    samples.write_text("a few texts\nfor long sequences\n")
    checkpoint = save_tiny(tmp_path / "checkpoint", "masked-lm", **sizes)
    folder = export(checkpoint, tmp_path / "bundle", task="masked-lm", samples=samples).folder
    pipe = fnet_runtime.load(folder)
    assert all(check.passed for check in pipe.self_test())
    assert pipe.manifest.sequence_length == sizes.get("max_position_embeddings", LENGTH)
    assert pipe.fill_mask("the [MASK] fox").masks[0][0].score > 0
