"""Conversion: a checkpoint rewritten in another format, so that its weights travel."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.bundle.manifest import CONFIG, TOKENIZER_CONFIG, file_info
from fnet_runtime.tokenizer.tokenizer import SPIECE, TOKENIZER_JSON
from fnet_runtime.tokenizer.tokenizers_backend import FAST
from safetensors.torch import save_file

from fnet_core.checkpoint.flax import write_flax
from fnet_core.checkpoint.huggingface import in_whole_model
from fnet_core.checkpoint.open import Checkpoint, checkpoint_from_name, names_once
from fnet_core.config import FOURIER
from fnet_core.errors import CheckpointError
from fnet_export.base.arguments import StrPath
from fnet_export.base.errors import OutputError
from fnet_export.base.progress import Calls, OnProgress
from fnet_export.bundle.folder import FolderKind, bundle_folder
from fnet_export.texts.tokenizer.choice import FLAVOUR, V5_KEY, TokenizerChoice, check_flavour, tokenizer_of_checkpoint
from fnet_export.texts.tokenizer.config import config_from_options
from fnet_export.texts.tokenizer.trained_length import config_with_length, tokenizer_config_with_cut

HUGGINGFACE, FLAX = "huggingface", "flax"
FORMATS = (HUGGINGFACE, FLAX)
SAFETENSORS = "model.safetensors"
FLAX_FILE = "checkpoint_0"
"""As flax.training.checkpoints names the file of step 0, so that f_net finds it in its init_checkpoint_dir."""
CONVERSION = "conversion.json"


def _files(text: str) -> Collection[str]:
    """Name the files of a conversion from its index. Raises ValueError for another kind of index."""
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


def convert(
    model: StrPath,
    *,
    to: str,
    output: StrPath,
    revision: str | None = None,
    tokenizer: str | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Rewrite a checkpoint in another format, and return the folder. Do what `fnet-export convert` does.

    `model` is a folder, a flax file or a hub id. `to` is `huggingface` or `flax`. `revision` is a branch, tag or commit of a hub
    id. `tokenizer` is the flavour that training used, None for what the model's files say. `force` replaces an earlier conversion.
    `on_progress` gets the notes.

    Raises FNetError for a checkpoint that cannot be read or that the other format cannot hold. Raises OutputError for an unknown
    format, and for a folder that cannot be written.
    """
    options = ConvertOptions(to=to, output=Path(output), model=str(model), revision=revision, tokenizer=tokenizer, force=force)
    return folder_from_options(options, on_note=Calls(on_progress).note)


def folder_from_options(options: ConvertOptions, *, on_note: Callable[[str], None]) -> Path:
    """Write a checkpoint in another format, with every head, configuration and vocabulary.

    `on_note` gets the notes for a user. conversion.json keeps them too.

    Raises FNetError for a checkpoint that cannot be read or that the other format cannot hold, and OutputError.
    """
    checkpoint = checkpoint_from_name(options.model, revision=options.revision)
    choice = tokenizer_of_checkpoint(checkpoint, options.tokenizer)
    tokenizer_files, config = _tokenizer_files(checkpoint, choice), config_with_length(checkpoint)
    notes = [*choice.notes, *checkpoint.notes, *(_notes_of_tokenizer(choice) if options.to == HUGGINGFACE else ())]
    for note in notes:
        on_note(note)
    with bundle_folder(options.output, force=options.force, kind=FOLDER) as folder:
        (folder / CONFIG).write_text(config.to_json(), "utf-8")
        if options.to == FLAX:
            _write_flax(checkpoint, folder / FLAX_FILE)
        else:
            _write_safetensors(checkpoint, folder / SAFETENSORS)
            (folder / SAFETENSORS).chmod((folder / CONFIG).stat().st_mode)  # the library lets only the owner read it
        for name, data in tokenizer_files.items():
            (folder / name).write_bytes(data)
        (folder / CONVERSION).write_text(_index(checkpoint, folder, notes), "utf-8")
    return options.output


def _tokenizer_files(checkpoint: Checkpoint, choice: TokenizerChoice) -> dict[str, bytes]:
    """The vocabulary and what says which tokenizer is meant, by file name.

    A tokenizer.json travels as it is; one is made for a flavour that is such a pipeline. tokenizer_config.json names the flavour,
    and a class with which transformers gives the flavour's ids, or refuses; what else it says stays.
    """
    spiece, config = checkpoint.vocabulary, checkpoint.folder / TOKENIZER_CONFIG
    files = {SPIECE: spiece.read_bytes()} if spiece.is_file() else {}
    if choice.path.name == TOKENIZER_JSON:
        return files | {path.name: path.read_bytes() for path in (choice.path, config) if path.is_file()}
    files[choice.file] = choice.data
    told = json.loads(config.read_text("utf-8")) if config.is_file() else {}
    made = json.loads(config_from_options(choice.tokenizer.options, sequence_length=checkpoint.config.max_position_embeddings))
    made.pop("model_max_length")  # a statement of the length that a model was trained at, which nothing here makes
    told.pop(V5_KEY, None)  # is written beside another tokenizer.json
    told = tokenizer_config_with_cut(checkpoint, told)
    files[TOKENIZER_CONFIG] = json.dumps(told | made | {FLAVOUR: choice.flavour}, ensure_ascii=False).encode() + b"\n"
    return files


def _notes_of_tokenizer(choice: TokenizerChoice) -> tuple[str, ...]:
    """Say where transformers has no tokenizer that gives a flavour's ids."""
    if choice.file == TOKENIZER_JSON:
        return ()
    return (
        f"tokenizer {choice.flavour} ({choice.reason}): transformers 5 has no tokenizer with its ids, so AutoTokenizer refuses "
        f"the folder. --tokenizer {FAST} writes one that it loads, whose ids differ on some texts (docs/tokenizer.md)",
    )


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


def _index(checkpoint: Checkpoint, folder: Path, notes: Sequence[str]) -> str:
    """Say what a conversion came from, what was assumed, and what it holds; by it, --force knows the folder again."""
    source = checkpoint.source
    values = {
        "source": {"id": source.id, "revision": source.revision, "sha256": dict(source.sha256)},
        "notes": list(notes),
        "files": {path.name: file_info(path).sha256 for path in sorted(folder.iterdir())},
    }
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
