"""The checkpoint that a bundle was made from, opened again: the weights of a bundle itself are lowered."""

from collections.abc import Callable
from pathlib import Path

from fnet_runtime.bundle.manifest import CONFIG, Manifest

from fnet_core.checkpoint.open import BUILT_IN_ID, Checkpoint, checkpoint_from_name
from fnet_core.config import FNetConfig
from fnet_core.errors import FNetError
from fnet_export.base.errors import SourceError


def checkpoint_from_bundle(
    folder: Path, manifest: Manifest, model: str | None = None, *, on_note: Callable[[str], None]
) -> Checkpoint:
    """Open the checkpoint that the manifest names, or `model` if it has moved. `on_note` gets the notes of what was assumed.

    Raises SourceError if the checkpoint is missing, or is not the checkpoint that the bundle was made from.
    """
    source = manifest.source
    name = model or source.id
    try:
        checkpoint = checkpoint_from_name(
            None if name == BUILT_IN_ID else name, revision=None if model is not None else source.revision
        )
        config = FNetConfig.from_json((folder / CONFIG).read_text("utf-8"), name=str(folder / CONFIG))
    except FNetError as error:
        raise SourceError(
            f"{folder}: was made from the checkpoint {source.id}, which is needed again, and {name} cannot be opened ({error}); "
            "say where it is with --model FOLDER|ID"
        ) from error
    actual, expected = checkpoint.source.sha256, source.sha256
    others = sorted(file for file in {*actual, *expected} if actual.get(file) != expected.get(file))
    if config != checkpoint.config:
        others.append(CONFIG)
    if others:
        raise SourceError(
            f"{name}: is not the checkpoint that {folder} was made from: {', '.join(others)} differ from what the bundle says; "
            "name the right one with --model FOLDER|ID, or export again"
        )
    for note in checkpoint.notes:
        on_note(note)
    return checkpoint
