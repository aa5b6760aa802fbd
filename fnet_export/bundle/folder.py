"""Write a bundle's folder next to its place, and rename it when it is whole. docs/bundle.md has the format."""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from fnet_runtime.bundle.manifest import MANIFEST, UNLISTED, FileInfo, Manifest, file_info
from fnet_runtime.errors import BundleError

from fnet_export.base.errors import OutputError
from fnet_export.base.writable import check_free, check_place, held, new_folder, set_aside
from fnet_export.parity.report.evidence import AccuracyError, AgreementError, ParityError


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """Describe a kind of folder that is written whole, and that --force may replace by a folder of the same kind.

    `files` names all files of a folder from the text of its index. It raises BundleError or ValueError for another kind of index.
    """

    noun: str
    index: str
    files: Callable[[str], Collection[str]]


BUNDLE = FolderKind(noun="bundle", index=MANIFEST, files=lambda text: {*Manifest.from_json(text).files, MANIFEST, *UNLISTED})
FAILED_SUFFIX, FAILED_MANIFEST = ".failed", "manifest.failed.json"


@contextmanager
def bundle_folder(output: Path, *, force: bool, kind: FolderKind = BUNDLE) -> Iterator[Path]:
    """Give a folder to fill, which becomes `output` when the block ends well and vanishes when it does not.

    After a ParityError the files stay in `OUTPUT.failed` (or `.failed-2`, ...), with another name for the manifest, so that it is
    not a bundle. Raises OutputError if `output` exists without `force`, is not a bundle that `force` may replace, is being written
    by another process, or cannot be written.
    """
    output = check_output(output, force=force, kind=kind)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with held(output):
            _check_replaceable(output, force=force, kind=kind)  # another process may have ended meanwhile
            folder = new_folder(output)
            try:
                yield folder
                _replace(folder, output)
            except ParityError as error:
                raise type(error)(f"{error}; {_kept_as_failed(folder, output, error)}", error.evidence) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise _unwritable(output, error) from error


def _kept_as_failed(folder: Path, output: Path, why: ParityError) -> str:
    """Move what was written to the first free `OUTPUT.failed`, `OUTPUT.failed-2`, ...; say where it is, or that it is not kept."""
    try:
        if (folder / MANIFEST).exists():
            (folder / MANIFEST).rename(folder / FAILED_MANIFEST)
        names = (output.name + FAILED_SUFFIX + (f"-{i}" if i > 1 else "") for i in count(1))
        failed = next(path for path in map(output.with_name, names) if not path.exists() and not path.is_symlink())
        folder.rename(failed)
    except OSError as error:
        return f"the files could not be kept ({error.strerror})"
    kept = f"the files are in {failed}, which is no bundle"
    return kept if isinstance(why, AccuracyError | AgreementError) else f"{kept}; fnet-export bisect {failed} looks for the place"


def check_output(output: Path, *, force: bool, kind: FolderKind = BUNDLE) -> Path:
    """Return the absolute path to write a bundle to.

    Raises OutputError when one may not be written there: no name, no writable place, something not to be replaced, or another
    process that is writing it.
    """
    named = Path.cwd() / output
    if named.name == "..":
        raise OutputError(f"{output}: expected the name of a folder at the end, found '..'; write {named.resolve()}")
    output = named.parent.resolve() / named.name  # NEW/../NAME must not make NEW
    try:
        _check_replaceable(output, force=force, kind=kind)
        place = closed_place(output.parent)
        if place is not None:
            raise OutputError(f"{output}: cannot be written: {place} is not a folder that this user may write to")
        check_free(output)
        check_place(output)
    except OSError as error:  # a name that the disk cannot hold, for one
        raise _unwritable(output, error) from error
    return output


def _check_replaceable(output: Path, *, force: bool, kind: FolderKind) -> None:
    """Raise OutputError where something is in the way, unless it may be replaced. Raises OSError."""
    if not output.exists() and not output.is_symlink():
        return
    if not force:
        raise OutputError(f"{output}: exists; expected a new folder. Choose another --output, or --force to replace a {kind.noun}")
    obstacle = "a link" if output.is_symlink() else "a file" if not output.is_dir() else _in_the_way(output, kind)
    if obstacle is not None:
        raise OutputError(
            f"{output}: only a {kind.noun} is replaced; expected a folder with a {kind.noun}'s {kind.index} and only the files "
            f"that it lists, found {obstacle}. Choose another --output"
        )


def closed_place(folder: Path) -> Path | None:
    """Return what keeps this user from making or filling a folder: the nearest place that exists, or None.

    Raises OSError.
    """
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return None if place.is_dir() and os.access(place, os.W_OK | os.X_OK) else place


def _in_the_way(folder: Path, kind: FolderKind) -> str | None:
    """Say what makes a folder neither empty nor one of its kind and nothing else; None where it is."""
    names = {path.name for path in folder.iterdir()}
    if not names:
        return None
    try:
        strange = names - set(kind.files((folder / kind.index).read_text("utf-8")))
    except (OSError, ValueError, BundleError):
        return f"not a {kind.noun}"
    return f"also {', '.join(sorted(strange))}" if strange else None


def _replace(folder: Path, output: Path) -> None:
    if not output.exists():
        folder.rename(output)
        return
    old = set_aside(output)
    try:
        folder.rename(output)
    except OSError:
        old.rename(output)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _unwritable(output: Path, error: OSError) -> OutputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = (
        "the disk is full; free some space or choose another --output" if full else f"cannot be written ({error.strerror or error})"
    )
    return OutputError(f"{output}: {what}. Nothing was left there")


def files_from_folder(folder: Path) -> dict[str, FileInfo]:
    """Hash every file of a folder but the manifest and what it does not list, by name, in the order of names. Raises OSError."""
    apart = (MANIFEST, *UNLISTED)
    return {path.name: file_info(path) for path in sorted(folder.iterdir()) if path.name not in apart}
