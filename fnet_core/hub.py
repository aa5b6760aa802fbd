"""Folders of the Hugging Face hub: the cache first, the network only for what it lacks."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from fnet_core.errors import CheckpointError
from fnet_core.weights import WEIGHT_FILES

SMALL_FILES = ["config.json", "spiece.model", "tokenizer.json", "tokenizer_config.json", "*.index.json"]


def folder_from_hub(id: str, *, revision: str | None = None, cache: Path | None = None) -> Path:
    """Return the local snapshot of a hub repository, downloading it where the cache does not hold it.

    `revision` is a branch, tag or commit (the default branch unless given); the returned folder's name is the commit.
    pytorch_model.bin is fetched only from a repository without safetensors.
    Raises CheckpointError when `id` is no hub id, or the repository cannot be had.
    """
    try:
        cached = Path(snapshot_download(id, revision=revision, cache_dir=cache, local_files_only=True))
        if (cached / "config.json").is_file() and any((cached / name).is_file() for name in WEIGHT_FILES):
            return cached
    except LocalEntryNotFoundError:
        pass  # not cached: the network is next
    except HFValidationError as error:
        raise CheckpointError(f"{id!r}: neither a local folder nor a hub id such as google/fnet-base") from error
    try:
        folder = Path(snapshot_download(id, revision=revision, cache_dir=cache, allow_patterns=[*SMALL_FILES, "*.safetensors"]))
        if not any(folder.glob("*.safetensors")):
            snapshot_download(id, revision=folder.name, cache_dir=cache, allow_patterns=["*.bin"])
    except Exception as error:  # whatever the network does: one message, with the cause kept
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{id}{at}: not a local folder, not in the cache, and the hub could not be asked for it ({reason})"
        ) from error
    return folder
