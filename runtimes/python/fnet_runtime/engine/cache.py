"""The cache of rebuilt engines, which the C++ runtime shares: a folder for each engine, and a lock for each folder.

The engines of one GPU share a limit of size. A host never removes the engines of another GPU, so two hosts can share a folder.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes may build the same engine, and one of the two stays
    fcntl = None  # type: ignore[assignment]

from fnet_runtime.bundle.manifest import ENGINE, EngineInfo, FileInfo, file_info
from fnet_runtime.bundle.strict_json import json_from_bytes, json_from_values
from fnet_runtime.bundle.typed_json import value_from_json
from fnet_runtime.engine.cuda import Gpu
from fnet_runtime.engine.fit import numbers_of_version
from fnet_runtime.errors import BundleError, OptionError

DESCRIPTION = "engine.json"
CACHE_VARIABLE, LIMIT_VARIABLE = "FNET_RUNTIME_CACHE", "FNET_RUNTIME_CACHE_MIB"
DEFAULT_CACHE_MIB = 4096
"""Two dozen engines of fnet-base in fp16."""
RECENT_S = 600
"""Seconds after its last use in which an entry is never removed: a process that found it may not have opened its file yet."""
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The description of an engine in the cache: what a manifest would say of it, the hash and size of its file, and its GPU."""

    engine: EngineInfo
    file: FileInfo
    gpu: Gpu


def engine_cache() -> Path:
    """Return the folder of rebuilt engines: the one that FNET_RUNTIME_CACHE names, or one in the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(chosen) if chosen else Path(base) / "fnet-runtime") / "engines"


def limit_of_cache() -> int:
    """Return how many bytes the engines of one GPU may take. Raises OptionError for an invalid FNET_RUNTIME_CACHE_MIB."""
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_CACHE_MIB)
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise OptionError(f"{LIMIT_VARIABLE}: expected a number of MiB from 0 to 999999999, found {text}")
    return int(text) * MIB


@contextmanager
def locked(cache: Path, key: str) -> Iterator[None]:
    """Wait until no other process holds the lock of an entry, and hold it. The system releases the lock of a process that dies."""
    while True:
        with _lock(cache, key).open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            if _in_place(file.fileno(), _lock(cache, key)):
                yield
                return


@contextmanager
def _locked_if_free(cache: Path, key: str) -> Iterator[bool]:
    """Hold the lock of an entry, if no other process does. Without locks, no entry is free."""
    with _lock(cache, key).open("w") as file:
        free = fcntl is not None
        if free:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free and _in_place(file.fileno(), _lock(cache, key))


def _lock(cache: Path, key: str) -> Path:
    return cache / f".{key}.lock"


def _in_place(descriptor: int, lock: Path) -> bool:
    """Return whether a file still has its name. Who removes an entry removes its lock too, and a later process makes a new one."""
    if fcntl is None:
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def used_entry(folder: Path) -> Entry | None:
    """Return the description of an entry, and note that it is used; None if there is no whole one. The caller holds its lock."""
    entry = _described(folder)
    try:
        if entry is None or file_info(folder / ENGINE) != entry.file:
            return None
    except (OSError, BundleError):
        return None
    with suppress(OSError):  # an entry of another user is used all the same
        os.utime(folder / DESCRIPTION)
    return entry


def _described(folder: Path) -> Entry | None:
    try:
        entry: Entry = value_from_json(Entry, json_from_bytes((folder / DESCRIPTION).read_bytes()), DESCRIPTION)
    except (OSError, ValueError, RecursionError, BundleError):
        return None
    return entry


def keep(cache: Path, key: str, data: bytes, info: EngineInfo, gpu: Gpu) -> Entry:
    """Write an entry next to its place, and rename it. The caller holds its lock. Raises OSError."""
    prefix, folder = f".{key}.partial-", cache / key
    if fcntl is not None:
        for left in cache.glob(f"{prefix}*"):  # this process holds the lock, so the one that made it is dead
            shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(dir=cache, prefix=prefix))
    try:
        (part / ENGINE).write_bytes(data)
        entry = Entry(engine=info, file=file_info(part / ENGINE), gpu=gpu)
        (part / DESCRIPTION).write_text(json_from_values(entry, indent=2) + "\n", "utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # a damaged entry
        with suppress(FileExistsError):  # without locks, another process may have made it
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return entry


def trim(cache: Path, key: str, new: Entry, limit_bytes: int) -> None:
    """Remove engines of the GPU of a new entry, but never the new one.

    Engines of an older driver or library go first. Then the least recently used engines go, until the others fit the limit. An
    entry stays if another process holds its lock or has just used it, and if this process may not remove it.
    """
    total, others = new.file.size_bytes, []
    for folder in cache.iterdir():
        entry = None if folder.name == key or folder.name.startswith(".") else _described(folder)
        if entry is None or _name(entry.gpu) != _name(new.gpu):
            continue
        if _outdated(entry, new) and _removed(folder):
            continue
        total += entry.file.size_bytes
        others.append((_used_s(folder), folder, entry.file.size_bytes))
    for _, folder, size_bytes in sorted(others):
        if total > limit_bytes and _removed(folder):
            total -= size_bytes


def _name(gpu: Gpu) -> tuple[str, str]:
    return gpu.name, gpu.compute_capability


def _outdated(entry: Entry, new: Entry) -> bool:
    """Return whether an update made an entry useless: its driver and its library are not newer, and one of them is older."""
    old_driver, new_driver = (numbers_of_version(each.gpu.driver) for each in (entry, new))
    old_version, new_version = (numbers_of_version(each.engine.version) for each in (entry, new))
    not_newer = old_driver <= new_driver and old_version <= new_version
    return entry.engine.library == new.engine.library and not_newer and (old_driver, old_version) != (new_driver, new_version)


def _used_s(folder: Path) -> float:
    """Return when an entry was used last, in seconds since the epoch; 0 for an entry that another process has removed."""
    try:
        return (folder / DESCRIPTION).stat().st_mtime
    except OSError:
        return 0.0


def _removed(folder: Path) -> bool:
    """Remove an entry and its lock, unless a process holds the lock or may be about to open the engine."""
    try:
        with _locked_if_free(folder.parent, folder.name) as free:
            if not free or time.time() - _used_s(folder) < RECENT_S:
                return False
            (folder / ENGINE).unlink(missing_ok=True)  # first, so that whatever is left without it is small
            shutil.rmtree(folder)
            _lock(folder.parent, folder.name).unlink()
    except OSError:
        return False
    return True
