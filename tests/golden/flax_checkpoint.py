"""Makes the checkpoints in flax/ and what real flax computes with them; `make golden` runs it in an environment of its own.

python tests/golden/flax_checkpoint.py [fnet-export]

The modules have the names of google-research f_net's. Parameters are float32 at random; outputs are computed in float64. At the end
`fnet-export convert` sends some of them to Hugging Face's format and back, real flax reads what came of it, and converted.json keeps
the hashes of the files that were found to hold the same bits.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).parent
VOCABULARY = HERE / "bpe.model"
VOCAB, LENGTH, TYPES, HIDDEN, FEED_FORWARD, HEADS, CLASSES = 120, 7, 3, 12, 20, 3, 5
EPSILON = 1e-12
VARIANTS = {
    "pretraining": ("fourier",) * 2,
    "classification": ("fourier",) * 3,
    "linear": ("linear",) * 2,
    "attention": ("attention",) * 2,
    "hybrid": ("fourier", "fourier", "attention"),
}
"""Mixing of each layer. All but the first are classifiers."""


class Position(nn.Module):
    @nn.compact
    def __call__(self):
        return self.param("embedding", nn.initializers.normal(), (1, LENGTH, HIDDEN))


class Embedder(nn.Module):
    @nn.compact
    def __call__(self, ids, types):
        words = nn.Embed(VOCAB, HIDDEN, name="word")(ids)
        x = words + Position(name="position")() + nn.Embed(TYPES, HIDDEN, name="type")(types)
        return nn.Dense(HIDDEN, name="hidden_mapping_in")(nn.LayerNorm(epsilon=EPSILON, name="layer_norm")(x))


class Fourier(nn.Module):
    @nn.compact
    def __call__(self, x, mask):
        return jnp.fft.fftn(x, axes=(-2, -1)).real


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, mask):
        hidden = self.param("hidden_kernel", nn.initializers.normal(), (HIDDEN, HIDDEN))
        sequence = self.param("seq_kernel", nn.initializers.normal(), (LENGTH, LENGTH))
        return jnp.einsum("bij,jk,ni->bnk", x, hidden, sequence)


class FeedForward(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(HIDDEN, name="output")(nn.gelu(nn.Dense(FEED_FORWARD, name="intermediate")(x)))


class Block(nn.Module):
    mixing: Callable
    feed_forward: Callable

    @nn.compact
    def __call__(self, x, mask):
        x = nn.LayerNorm(epsilon=EPSILON, name="mixing_layer_norm")(x + self.mixing(x, mask))
        return nn.LayerNorm(epsilon=EPSILON, name="output_layer_norm")(x + self.feed_forward(x))


class Encoder(nn.Module):
    mixing: tuple[str, ...]

    @nn.compact
    def __call__(self, ids, types, mask):
        x = Embedder(name="embedder")(ids, types)
        for i, kind in enumerate(self.mixing):
            if kind == "attention":
                mixing = nn.SelfAttention(
                    HEADS, qkv_features=HIDDEN, broadcast_dropout=False, deterministic=True, name=f"self_attention_{i}"
                )
            else:
                mixing = {"fourier": Fourier, "linear": Linear}[kind](name=f"{kind}_transform_{i}")
            feed_forward = FeedForward(name=f"feed_forward_{i}")
            attended = nn.make_attention_mask(mask, mask) if kind == "attention" else None
            x = Block(mixing, feed_forward, name=f"encoder_{i}")(x, attended)
        return x, jnp.tanh(nn.Dense(HIDDEN, name="pooler")(x[:, 0]))


class Projection(nn.Module):
    outputs: int

    @nn.compact
    def __call__(self, x, kernel=None):
        if kernel is None:
            kernel = self.param("output_kernel", nn.initializers.normal(), (self.outputs, x.shape[-1]))
        return x @ kernel.T + self.param("output_bias", nn.initializers.normal(), (kernel.shape[0],))


class Pretraining(nn.Module):
    mixing: tuple[str, ...]

    @nn.compact
    def __call__(self, ids, types, mask):
        hidden, pooled = Encoder(self.mixing, name="encoder")(ids, types, mask)
        x = nn.gelu(nn.Dense(HIDDEN, name="predictions_dense")(hidden))
        x = nn.LayerNorm(epsilon=EPSILON, name="predictions_layer_norm")(x)
        words = self.variables["params"]["encoder"]["embedder"]["word"]["embedding"]
        return {
            "prediction_logits": Projection(VOCAB, name="predictions_output")(x, words),
            "seq_relationship_logits": Projection(2, name="classification")(pooled),
        }


class Classification(nn.Module):
    mixing: tuple[str, ...]

    @nn.compact
    def __call__(self, ids, types, mask):
        hidden, pooled = Encoder(self.mixing, name="encoder")(ids, types, mask)
        logits = Projection(CLASSES, name="classification")(pooled)
        return {"logits": logits, "last_hidden_state": hidden, "pooler_output": pooled}


def optimizer_of_2021(params) -> dict:
    """The state dict of a flax.optim.Adam, which no flax of today has: parameters, and two moments of each."""
    moments = jax.tree.map(lambda x: {"grad_ema": x * 0.5, "grad_sq_ema": x * x}, params)
    return {"state": {"step": np.asarray(7, np.int32), "param_states": moments}, "target": params}


def saved(name: str, step: int, tree) -> Path:
    path = HERE / "flax" / name / f"checkpoint_{step}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


def converted(program: list[str], checkpoint: Path, params) -> str:
    """Send a checkpoint to Hugging Face's format and back, and let flax read it; return the hash of the file it read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(checkpoint, folder / checkpoint.name)
        shutil.copy(VOCABULARY, folder / "spiece.model")
        for source, to in (("", "huggingface"), ("huggingface", "flax")):
            command = [*program, "convert", "--model", folder / source, "--to", to, "--output", folder / to]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (written,) = (folder / "flax").glob("checkpoint_*")
        data = written.read_bytes()
    read = flax.serialization.from_bytes({"target": params}, data)["target"]
    assert jax.tree.structure(read) == jax.tree.structure(params)
    for ours, theirs in zip(jax.tree.leaves(read), jax.tree.leaves(params), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    program = sys.argv[1:] or [str(HERE.parents[1] / ".venv" / "bin" / "fnet-export")]
    draw = np.random.default_rng(0)
    ids, types = draw.integers(VOCAB, size=(3, LENGTH)), draw.integers(TYPES, size=(3, LENGTH))
    mask = np.arange(LENGTH) < np.array([[LENGTH], [4], [1]])
    arrays = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask.astype(np.int64)}
    hashes = {}
    for name, mixing in VARIANTS.items():
        model = (Pretraining if name == "pretraining" else Classification)(mixing)
        drawn = model.init(jax.random.key(0), ids, types, mask)["params"]
        params = jax.tree.map(lambda x: draw.normal(scale=0.4, size=x.shape).astype(np.float32), drawn)
        outputs = model.apply({"params": jax.tree.map(lambda x: x.astype(np.float64), params)}, ids, types, mask)
        arrays |= {f"{name}.{output}": np.asarray(value) for output, value in outputs.items()}
        if name == "pretraining":
            path = saved(name, 100, optimizer_of_2021(params))
            hashes[name] = converted(program, path, params)
        elif name == "classification":
            state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(1e-4))
            hashes[name] = converted(program, saved(name, 7, state), params)
            halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
            flax.serialization.MAX_CHUNK_SIZE = 500
            hashes["chunked"] = converted(program, saved("chunked", 7, {"target": halves}), halves)
            flax.serialization.MAX_CHUNK_SIZE = 2**30
            arrays["chunked.word"] = np.asarray(halves["encoder"]["embedder"]["word"]["embedding"], np.float64)
        else:
            saved(name, 1, {"target": params})
    np.savez_compressed(HERE / "flax" / "outputs.npz", **arrays)
    (HERE / "flax" / "converted.json").write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
