"""Makes the presets in keras/ and what keras-hub computes with them; `make golden` runs it in an environment of its own.

python tests/golden/keras_preset.py
"""

import os
import shutil
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
import keras_hub
import numpy as np

HERE = Path(__file__).parent
VOCABULARY = HERE / "bpe.model"
VOCAB, LENGTH, TYPES, HIDDEN, FEED_FORWARD, LAYERS, CLASSES = 120, 8, 3, 12, 20, 2, 5


def backbone(draw, **options):
    made = keras_hub.models.FNetBackbone(
        vocabulary_size=VOCAB, num_layers=LAYERS, hidden_dim=HIDDEN, intermediate_dim=FEED_FORWARD,
        max_sequence_length=LENGTH, num_segments=TYPES, **options,
    )  # fmt: skip
    randomise(made, draw)
    return made


def randomise(model, draw) -> None:
    for weight in model.weights:
        if "seed_generator" not in weight.path:
            weight.assign(draw.normal(scale=0.4, size=weight.shape))


def saved(name: str, model, tokenizer) -> None:
    folder = HERE / "keras" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    assert (folder / "assets" / "tokenizer" / "vocabulary.spm").read_bytes() == VOCABULARY.read_bytes()
    shutil.rmtree(folder / "assets")  # VOCABULARY, which is here already
    (folder / "metadata.json").unlink()  # holds the time


def computed(model, inputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(inputs))


def main() -> None:
    draw = np.random.default_rng(0)
    ids, types = draw.integers(VOCAB, size=(3, LENGTH)), draw.integers(TYPES, size=(3, LENGTH))
    inputs = {"token_ids": ids.astype(np.int32), "segment_ids": types.astype(np.int32)}
    tokenizer = keras_hub.models.FNetTokenizer(proto=str(VOCABULARY))
    arrays = {"input_ids": ids, "token_type_ids": types}

    body = backbone(draw)
    classifier = keras_hub.models.FNetTextClassifier(backbone=body, num_classes=CLASSES, preprocessor=None)
    randomise(classifier, draw)
    saved("classifier", classifier, tokenizer)
    outputs = computed(body, inputs)
    arrays |= {"last_hidden_state": outputs["sequence_output"], "pooler_output": outputs["pooled_output"]}
    arrays["classifier.logits"] = computed(classifier, inputs)

    masked = keras_hub.models.FNetMaskedLM(backbone=backbone(draw), preprocessor=None)
    randomise(masked, draw)
    saved("masked_lm", masked, tokenizer)
    everywhere = {"mask_positions": np.tile(np.arange(LENGTH, dtype=np.int32), (3, 1))}
    arrays["masked_lm.logits"] = computed(masked, inputs | everywhere)

    half = backbone(draw, dtype="bfloat16")
    saved("bfloat16", half, tokenizer)
    arrays["bfloat16.word"] = keras.ops.convert_to_numpy(keras.ops.cast(half.token_embedding.embeddings, "float32"))
    np.savez_compressed(HERE / "keras" / "outputs.npz", **arrays)


if __name__ == "__main__":
    main()
