"""Conversion: a checkpoint rewritten in another format, so that its weights travel."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.manifest import CONFIG, TOKENIZER_CONFIG, file_info
from fnet_runtime.tokenizer import SPIECE, TOKENIZER_JSON
from safetensors.torch import save_file

from fnet_core.checkpoint import Checkpoint, checkpoint_from_name, in_whole_model, names_once
from fnet_core.config import FOURIER
from fnet_core.errors import CheckpointError
from fnet_core.flax import write_flax
from fnet_export.bundle import FolderKind, bundle_folder
from fnet_export.errors import OutputError
from fnet_export.tokenizer import FLAVOUR, check_flavour, tokenizer_from_folder

HUGGINGFACE, FLAX = "huggingface", "flax"
FORMATS = (HUGGINGFACE, FLAX)
SAFETENSORS = "model.safetensors"
FLAX_FILE = "checkpoint_0"
"""As flax.training.checkpoints names the file of step 0, so that f_net finds it in its init_checkpoint_dir."""
CONVERSION = "conversion.json"


def _files(text: str) -> Collection[str]:
    """Name the files of a conversion from its index. Raises ValueError when it is none."""
    values = json.loads(text)
    if not isinstance(values, dict) or not isinstance(values.get("files"), dict):
        raise ValueError("no conversion")
    return {*values["files"], CONVERSION}


FOLDER = FolderKind(noun="conversion", index=CONVERSION, files=_files)


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What to convert and to what; each field is an option of the command line. Raises OutputError on a bad one when made."""

    to: str
    output: Path
    model: str
    revision: str | None = None
    tokenizer: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.to not in FORMATS:
            raise OutputError(f"unknown format {self.to!r}; expected one of {', '.join(FORMATS)}")
        check_flavour(self.tokenizer)


def folder_from_options(options: ConvertOptions) -> Path:
    """Convert: a checkpoint in, the folder of another out, with every head, configuration and vocabulary.

    Raises FNetError for a checkpoint that cannot be read or that the other format cannot hold, and OutputError.
    """
    checkpoint = checkpoint_from_name(options.model, revision=options.revision)
    tokenizer_files = _tokenizer_files(checkpoint, options.tokenizer)
    with bundle_folder(options.output, force=options.force, kind=FOLDER) as folder:
        (folder / CONFIG).write_text(checkpoint.config.to_json(), "utf-8")
        if options.to == FLAX:
            _write_flax(checkpoint, folder / FLAX_FILE)
        else:
            _write_safetensors(checkpoint, folder / SAFETENSORS)
            (folder / SAFETENSORS).chmod((folder / CONFIG).stat().st_mode)  # the library lets only the owner read it
        for name, data in tokenizer_files.items():
            (folder / name).write_bytes(data)
        (folder / CONVERSION).write_text(_index(checkpoint, folder), "utf-8")
    return options.output


def _tokenizer_files(checkpoint: Checkpoint, flavour: str | None) -> dict[str, bytes]:
    """The vocabulary and what says which tokenizer is meant, by file name: its tokenizer.json, else the flavour named."""
    spiece, config = checkpoint.vocabulary, checkpoint.folder / TOKENIZER_CONFIG
    choice = tokenizer_from_folder(checkpoint.folder, flavour, spiece=spiece, own=checkpoint.tokenizer)
    files = {SPIECE: spiece.read_bytes()} if spiece.is_file() else {}
    if choice.path.name == TOKENIZER_JSON:
        files |= {path.name: path.read_bytes() for path in (choice.path, config) if path.is_file()}
    else:
        told = json.loads(config.read_text("utf-8")) if config.is_file() else {}
        files[TOKENIZER_CONFIG] = json.dumps(told | {FLAVOUR: choice.flavour}, ensure_ascii=False).encode() + b"\n"
    return files


def _write_flax(checkpoint: Checkpoint, path: Path) -> None:
    names = names_once(checkpoint)
    if "classifier.weight" in names and "sequence-classification" not in checkpoint.tasks:
        raise CheckpointError(
            f"{checkpoint.source.id}: its classifier is of {', '.join(checkpoint.config.architectures)}; "
            "f_net has only one of whole sequences"
        )
    write_flax(path, names, lambda name: checkpoint.tensor(names[name]), checkpoint.config, source=checkpoint.source.id)


def _write_safetensors(checkpoint: Checkpoint, path: Path) -> None:
    others = sorted({*checkpoint.config.mixings} - {FOURIER})
    if others:
        raise CheckpointError(
            f"{checkpoint.source.id}: has layers that mix by {', '.join(others)}; transformers' have Fourier transforms only, and "
            "would give other numbers"
        )
    if checkpoint.config.masked_lm_act is not None:
        raise CheckpointError(
            f"{checkpoint.source.id}: its masked-lm head computes {checkpoint.config.masked_lm_act} and epsilon "
            f"{checkpoint.config.masked_lm_norm_eps}, as keras-hub does; transformers' cannot, and would give other numbers"
        )
    tensors = {in_whole_model(name): checkpoint.tensor(here).contiguous() for name, here in names_once(checkpoint).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _index(checkpoint: Checkpoint, folder: Path) -> str:
    """Say what a conversion came from and what it holds; by it, --force knows the folder again."""
    source = checkpoint.source
    values = {
        "source": {"id": source.id, "revision": source.revision, "sha256": dict(source.sha256)},
        "files": {path.name: file_info(path).sha256 for path in sorted(folder.iterdir())},
    }
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
