"""The folders of models in a repository: what each holds, before anything is written."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.bundle.manifest import MANIFEST, FileInfo, Manifest, file_info

from fnet_export.bundle.folder import FolderKind

INDEX, INDEX_VERSION = "fnet-export.json", 1
"""The file by which --force and --version know a folder again. The server ignores it."""
MODEL_FILE = "model.py"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A file of a bundle, and what the bundle's manifest says of it."""

    source: Path
    info: FileInfo


def copies_from_bundle(bundle: Path, manifest: Manifest, names: Iterable[str], *, within: str) -> dict[str, Copy]:
    """Return copies of files of a bundle, by their paths in a model: `within` and the name."""
    infos = {**manifest.files, MANIFEST: file_info(bundle / MANIFEST)}
    return {f"{within}/{name}": Copy(source=bundle / name, info=infos[name]) for name in names}


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """One model of a repository: texts and data by their path in the folder, and files to copy.

    `bundle` is the hash of the bundle's manifest, which stands for all of its files.
    """

    name: str
    form: str
    version: int
    bundle: str
    files: Mapping[str, str | bytes]
    copies: Mapping[str, Copy]

    @property
    def top(self) -> list[str]:
        """Return the names in the folder itself."""
        return sorted({path.partition("/")[0] for path in (*self.files, *self.copies, INDEX)})

    def index(self, others: Mapping[str, str] | None = None) -> str:
        """Return the text of the index. `others` has the hashes of the bundles of other versions."""
        bundles = dict(sorted({**(others or {}), str(self.version): self.bundle}.items()))
        files = sorted({*self.top, *bundles})
        values = {"format_version": INDEX_VERSION, "form": self.form, "bundles": bundles, "files": files}
        return json.dumps(values, indent=2) + "\n"


def index_from_text(text: str) -> tuple[str, dict[str, str], list[str]]:
    """Return the form, the hashes of bundles by version, and the files of an index. Raises ValueError for another kind of file."""
    values = json.loads(text)
    try:
        if values["format_version"] != INDEX_VERSION:
            raise ValueError(f"expected format version {INDEX_VERSION}, found {values['format_version']}")
        form, bundles, files = values["form"], values["bundles"], values["files"]
    except (TypeError, KeyError) as error:
        raise ValueError(f"is not the {INDEX} of a model") from error
    if not isinstance(bundles, dict) or not isinstance(files, list):
        raise ValueError(f"is not the {INDEX} of a model")
    return form, bundles, files


def _files(text: str) -> Collection[str]:
    return index_from_text(text)[2]


KIND = FolderKind(noun="Triton model", index=INDEX, files=_files)
