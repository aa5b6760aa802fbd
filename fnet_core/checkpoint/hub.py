"""Find folders of the Hugging Face hub, first in the cache, then on the network."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from fnet_core.checkpoint import keras
from fnet_core.checkpoint import sentence_transformers as sentence
from fnet_core.errors import CheckpointError

SMALL_FILES = (
    "config.json", "*.index.json", "*.model", "tokenizer.json", "tokenizer_config.json", "added_tokens.json",
    keras.TASK, keras.PREPROCESSOR, keras.VOCABULARY, 
    sentence.MODULES, sentence.SETTINGS, sentence.PROMPTS, "*_Pooling/config.json",
)  # fmt: skip
"""Files that any format may have next to its weights."""
FLAX = ("checkpoint_*", "*_checkpoint", "*.msgpack")
WEIGHTS = (("*.safetensors",), ("*.bin",), ("*.weights.h5",), FLAX)
"""Weights by format. Only the first format that a repository has is fetched."""


def folder_from_hub(
    id: str, *, revision: str | None = None, cache: Path | None = None, download: Callable[..., str] = snapshot_download
) -> Path:
    """Return the local snapshot of a hub repository of any format, and download it if the cache does not hold it.

    `revision` is a branch, tag or commit, by default the default branch. The name of the returned folder is the commit. `download`
    is huggingface_hub's snapshot_download. Raises CheckpointError if `id` is not a hub id, or the repository cannot be fetched.
    """

    def snapshot(weights: tuple[str, ...], revision: str | None, *, local: bool) -> Path:
        # Without patterns, the library holds a cache that lacks but a README to be incomplete.
        patterns = [*SMALL_FILES, *weights]
        return Path(download(id, revision=revision, cache_dir=cache, allow_patterns=patterns, local_files_only=local))

    for weights in WEIGHTS:
        try:
            folder = snapshot(weights, revision, local=True)
        except LocalEntryNotFoundError:
            continue  # not cached, or not all of it
        except HFValidationError as error:
            raise CheckpointError(f"{id!r}: neither a local folder nor a hub id such as google/fnet-base") from error
        if _holds(folder, weights) and (weights == FLAX or (folder / "config.json").is_file()):
            return folder
    commit = revision
    try:
        for weights in WEIGHTS:
            folder = snapshot(weights, commit, local=False)
            if _holds(folder, weights):
                break
            commit = folder.name
    except Exception as error:  # whatever the network does: one message, with the cause kept
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{id}{at}: not a local folder, not in the cache, and the hub could not be asked for it ({reason})"
        ) from error
    return folder


def _holds(folder: Path, weights: tuple[str, ...]) -> bool:
    return any(path.is_file() for pattern in weights for path in folder.glob(pattern))
