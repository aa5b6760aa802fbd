"""What is remembered between exports: files named by what they were computed from, in the user's cache, bounded in bytes."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

DIGEST_BYTES = 32
PART = ".part"
"""Ends the name of a file that is being written."""
LARGEST_BYTES = 1_000_000_000
"""All that one folder keeps; the files that were not used for longest go first."""


def cache_folder() -> Path:
    """Return the folder of everything that is remembered: FNET_EXPORT_CACHE, or one in the user's cache."""
    chosen = os.environ.get("FNET_EXPORT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "fnet-export"


class Remembered:
    """A folder of files by key. Each begins with the hash of what follows, so that a damaged one is as good as none.

    `problem` says why something could not be kept, None while all could be: nothing is lost but time.
    """

    def __init__(self, folder: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
        """Take the folder, which is made when something is kept."""
        self._folder, self._largest = folder, largest_bytes
        self.problem: str | None = None

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key, and count it as used now; None when nothing whole is there."""
        path = self._folder / key
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data[DIGEST_BYTES:]

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, whole or not at all."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=PART, delete=False) as file:
                try:
                    file.write(hashlib.sha256(data).digest() + data)
                    file.close()
                    Path(file.name).replace(self._folder / key)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            self.problem = f"{self._folder}: cannot be written ({error.strerror or error})"

    def trim(self) -> None:
        """Remove the files that were not used for longest until the folder is within its bound."""
        files = []
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                with contextlib.suppress(OSError):  # another export may remove it meanwhile
                    files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._largest:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
