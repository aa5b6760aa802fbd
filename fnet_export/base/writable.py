"""Make an output in a hidden folder next to it, by one process at a time, and remove what a dead process left.

`.NAME.lock` is locked while a process writes NAME. The system releases the lock when that process ends, however it ends. So
no process uses any `.NAME.partial-*` or `.NAME.old-*` while another process holds the lock.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fnet_export.base.errors import OutputError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that has no locks: there nothing is refused, and nothing is removed."""


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Keep other processes from writing `output` while the block lasts, and remove what dead processes left next to it.

    The parent exists. Raises OutputError if another process is writing it, and OSError if nothing can be written.
    """
    lock = _lock(output)
    descriptor = _locked(output, lock, create=True)
    try:
        if descriptor is not None:
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            _clear(output)
        yield
    finally:
        if descriptor is not None:
            lock.unlink(missing_ok=True)  # before it is let go: the next process makes another
            os.close(descriptor)


def check_free(output: Path) -> None:
    """Raise OutputError if another process is writing `output`, and OSError if nobody can know."""
    with suppress(FileNotFoundError):
        descriptor = _locked(output, _lock(output), create=False)
        if descriptor is not None:
            os.close(descriptor)


def check_place(output: Path) -> None:
    """Make the hidden folder of an output that does not exist yet, as far up as folders exist, and remove it again.

    Only a try is certain: a folder may claim that it can be written to, and refuse. Raises OSError.
    """
    place = next(place for place in output.parents if place.exists())
    trial = place / _partial(output)
    trial.mkdir()
    trial.rmdir()


def new_folder(output: Path) -> Path:
    """Make an empty hidden folder next to `output`. Raises OSError."""
    folder = output.with_name(_partial(output))
    folder.mkdir()
    return folder


def set_aside(output: Path) -> Path:
    """Move `output` away, to be put back or removed with its parent: return where it is. Raises OSError."""
    place = output.with_name(f"{_prefix(output, 'old')}{secrets.token_hex(4)}")
    place.mkdir()
    return output.rename(place / output.name)


def _prefix(output: Path, kind: str) -> str:
    return f".{output.name}.{kind}-"


def _partial(output: Path) -> str:
    return f"{_prefix(output, 'partial')}{secrets.token_hex(4)}"


def _lock(output: Path) -> Path:
    return output.with_name(f".{output.name}.lock")


def _locked(output: Path, lock: Path, *, create: bool) -> int | None:
    """Open and lock a file; None where the file system has no locks. Raises OutputError where another process holds it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), lock.stat()):
                    return descriptor
            os.close(descriptor)  # whoever held it removed it meanwhile
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace")
            os.close(descriptor)
            raise OutputError(
                f"{output}: process {holder or 'unknown'} is writing it; wait until that has ended, or choose another --output"
            ) from error
        except OSError as error:
            os.close(descriptor)
            if error.errno in NO_LOCKS:
                lock.unlink(missing_ok=True)
                return None
            raise


def _clear(output: Path) -> None:
    """Remove what dead processes left; what one had set aside and not replaced yet is put back."""
    for path in list(output.parent.iterdir()):
        if path.name.startswith(_prefix(output, "old")) and (path / output.name).exists() and not output.exists():
            (path / output.name).rename(output)
        if path.name.startswith((_prefix(output, "partial"), _prefix(output, "old"))):
            shutil.rmtree(path, ignore_errors=True)
