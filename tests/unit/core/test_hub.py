"""Checkpoints by hub id, of every format, from a hub that is a folder here."""

import shutil

import pytest
from huggingface_hub.errors import IncompleteSnapshotError, LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects
from support.checkpoints import save_tiny
from support.paths import GOLDEN

from fnet_core.checkpoint.hub import folder_from_hub
from fnet_core.checkpoint.open import checkpoint_from_folder, checkpoint_from_name
from fnet_core.errors import CheckpointError

COMMIT = "0123456789012345678901234567890123456789"


class Hub:
    """Downloads as huggingface_hub does, from a folder; `asked` counts how often."""

    def __init__(self, repository, cache):
        self.repository, self.folder, self.asked = repository, cache / COMMIT, 0

    def __call__(self, id, *, revision, cache_dir, allow_patterns, local_files_only):
        files = [str(path.relative_to(self.repository)) for path in self.repository.rglob("*") if path.is_file()]
        wanted = list(filter_repo_objects(files, allow_patterns=allow_patterns))
        if local_files_only:
            if not self.folder.is_dir():
                raise LocalEntryNotFoundError("not cached")
            if not all((self.folder / name).is_file() for name in wanted):
                raise IncompleteSnapshotError("some files are missing", str(self.folder))
            return str(self.folder)
        self.asked += 1
        assert revision in (None, "v1", COMMIT)
        self.folder.mkdir(exist_ok=True)
        for name in wanted:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.repository / name, self.folder / name)
        return str(self.folder)


def save_keras(folder):
    shutil.copytree(GOLDEN / "keras" / "classifier", folder)
    (folder / "assets" / "tokenizer").mkdir(parents=True)
    shutil.copy(GOLDEN / "bpe.model", folder / "assets" / "tokenizer" / "vocabulary.spm")


def save_flax(folder):
    shutil.copytree(GOLDEN / "flax" / "pretraining", folder)
    shutil.copy(GOLDEN / "bpe.model", folder / "c4.model")


FORMATS = {"huggingface": save_tiny, "keras": save_keras, "flax": save_flax}


@pytest.fixture(params=FORMATS)
def repository(request, tmp_path):
    """A repository of each format, with files that no model needs."""
    FORMATS[request.param](tmp_path / "repository")
    for name in ("README.md", "onnx.data"):
        (tmp_path / "repository" / name).touch()
    (tmp_path / "repository" / "added_tokens.json").write_text("{}")
    return tmp_path / "repository"


def test_every_format_is_fetched_whole_and_once(repository, tmp_path):
    hub = Hub(repository, tmp_path)
    folder = folder_from_hub("someone/fnet", revision="v1", download=hub)
    asked = hub.asked
    fetched = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    there = {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()}
    assert there - fetched == {"README.md", "onnx.data"}
    checkpoint, original = (checkpoint_from_folder(path, id="x") for path in (folder, repository))
    assert (checkpoint.config, checkpoint.source) == (original.config, original.source)
    assert checkpoint.vocabulary.read_bytes() == (GOLDEN / "bpe.model").read_bytes()
    assert folder_from_hub("someone/fnet", revision="v1", download=hub) == folder
    assert hub.asked == asked
    (folder / "added_tokens.json").unlink()
    assert folder_from_hub("someone/fnet", revision="v1", download=hub) == folder
    assert (hub.asked > asked, (folder / "added_tokens.json").is_file()) == (True, True)


def test_every_format_is_read_from_the_real_cache(repository, tmp_path):
    cached = tmp_path / "cache" / "models--someone--fnet"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots").mkdir()
    repository.rename(cached / "snapshots" / COMMIT)
    source = checkpoint_from_name("someone/fnet", cache=tmp_path / "cache").source
    assert (source.id, source.revision) == ("someone/fnet", COMMIT)


def test_one_format_of_weights_is_enough(tmp_path):
    save_tiny(tmp_path / "repository")
    for name in ("pytorch_model.bin", "model.weights.h5", "flax_model.msgpack"):
        (tmp_path / "repository" / name).touch()
    folder = folder_from_hub("someone/fnet", download=Hub(tmp_path / "repository", tmp_path))
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "spiece.model"}


def test_what_the_network_says_is_told(tmp_path):
    def download(id, *, local_files_only, **_):
        raise LocalEntryNotFoundError("not cached") if local_files_only else OSError("no route\nto host")

    with pytest.raises(CheckpointError, match=r"^a/b at revision 'v1': not a local folder, not in the cache, .* \(no route\)$"):
        folder_from_hub("a/b", revision="v1", download=download)
