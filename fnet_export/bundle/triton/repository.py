"""Plan a model repository from bundles, and write it: each model appears whole or not at all."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.bundle.manifest import file_info, manifest_from_folder
from fnet_runtime.errors import BundleError
from fnet_runtime.pipeline.tasks import task_of_manifest
from fnet_runtime.sessions.runtimes import runtime_from_name

from fnet_export.base.errors import OutputError
from fnet_export.bundle.folder import bundle_folder, check_output
from fnet_export.bundle.triton.config import CONFIG_FILE, LABELS_FILE
from fnet_export.bundle.triton.ensemble import ensemble_folders
from fnet_export.bundle.triton.folders import INDEX, KIND, ModelFolder, index_from_text
from fnet_export.bundle.triton.options import ENSEMBLE, WHOLE, RepositoryOptions
from fnet_export.bundle.triton.releases import notes_of_form
from fnet_export.bundle.triton.whole import whole_folder


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """A model of the repository: its task, its folders, and the notes for a user. `added` says that only a version is new."""

    name: str
    bundle: Path
    task: str
    folders: tuple[ModelFolder, ...]
    notes: tuple[str, ...]
    added: bool


@dataclass(frozen=True, kw_only=True)
class RepositoryPlan:
    """What is written where."""

    options: RepositoryOptions
    models: tuple[PlannedModel, ...]


def plan_from_options(options: RepositoryOptions) -> RepositoryPlan:
    """Check the bundles and the places of their models.

    Raises BundleError for a folder that is not a whole, unaltered bundle, InputError for a runtime that it has no file for, and
    OutputError for a model that exists.
    """
    models = tuple(_planned(options, name, bundle) for name, bundle in zip(options.names, options.bundles, strict=True))
    return RepositoryPlan(options=options, models=models)


def _planned(options: RepositoryOptions, name: str, bundle: Path) -> PlannedModel:
    manifest = manifest_from_folder(bundle)
    task_of_manifest(manifest, str(bundle))
    serving = options.serving
    runtime = runtime_from_name(serving.runtime, manifest, bundle)
    folders: tuple[ModelFolder, ...]
    if options.form == WHOLE:
        folders = (whole_folder(name, bundle, manifest, version=options.version, serving=serving),)
    else:
        folders = ensemble_folders(name, bundle, manifest, version=options.version, serving=serving)
    notes = tuple(notes_of_form(options.form, manifest, runtime))
    added = [_is_added(options, folder) for folder in folders]  # checks every folder
    return PlannedModel(name=name, bundle=bundle, task=manifest.task, folders=folders, notes=notes, added=any(added))


def _is_added(options: RepositoryOptions, folder: ModelFolder) -> bool:
    """Return whether a folder is a new version of a model that exists. Raises OutputError where it can be written in no way."""
    place = options.repository / folder.name
    if not place.exists() and not place.is_symlink():
        check_output(place, force=False, kind=KIND)
        return False
    if options.force:
        check_output(place, force=True, kind=KIND)
        return False
    try:
        form, bundles, _ = index_from_text((place / INDEX).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{place}: exists, and is not a model that fnet-export triton wrote; choose another --name") from error
    if str(folder.version) in bundles or (place / str(folder.version)).exists():
        raise OutputError(
            f"{place}: has a version {folder.version} already; choose another --name, add a version with --version, or replace "
            "the model and all of its versions with --force"
        )
    if folder.form == ENSEMBLE:
        raise OutputError(f"{place}: exists; an ensemble has one version, so choose another --name or replace it with --force")
    if form != folder.form:
        raise OutputError(
            f"{place}: has the form {form}; a version of it cannot have the form {folder.form}; choose another --name"
        )
    for file in (CONFIG_FILE, LABELS_FILE):
        if file in folder.files and _text(place / file) != folder.files[file]:
            raise OutputError(
                f"{place / file}: all versions of a model share this file, and version {folder.version} needs a different one. "
                "Use the options of the other versions and a bundle of the same task and labels, or choose another --name"
            )
    check_output(place / str(folder.version), force=False, kind=KIND)
    return True


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def repository_from_plan(plan: RepositoryPlan, *, on_stage: Callable[[str], None]) -> Path:
    """Write all models of a plan. All files are copied and checked before the first model appears in the repository.

    Raises OutputError, and BundleError for a bundle that changed meanwhile.
    """
    options = plan.options
    with ExitStack() as stack:  # the first folder to be entered appears last, which of an ensemble is the ensemble itself
        for model in plan.models:
            on_stage(f"Copying {model.bundle} to {options.repository / model.name}")
            for folder in model.folders:
                place = options.repository / folder.name
                if model.added:
                    stack.callback(_index_added, place, folder)
                    made = stack.enter_context(bundle_folder(place / str(folder.version), force=False, kind=KIND))
                    _fill(made, folder, within=f"{folder.version}/")
                else:
                    made = stack.enter_context(bundle_folder(place, force=options.force, kind=KIND))
                    _fill(made, folder, within="")
                    (made / INDEX).write_text(folder.index(), "utf-8")
    return options.repository


def _fill(made: Path, folder: ModelFolder, *, within: str) -> None:
    """Write the files of a folder whose paths begin with `within`, and check each file that is copied."""
    for path, content in folder.files.items():
        if path.startswith(within):
            target = _target(made, path, within)
            target.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    for path, copy in folder.copies.items():
        target = _target(made, path, within)
        shutil.copyfile(copy.source, target)
        if file_info(target) != copy.info:
            raise BundleError(f"{copy.source}: the file was altered while it was copied; run the command again")


def _target(made: Path, path: str, within: str) -> Path:
    target = made / path.removeprefix(within)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _index_added(place: Path, folder: ModelFolder) -> None:
    """Enter a new version into the index of a model, if the version has appeared."""
    if not (place / str(folder.version)).exists():
        return
    _, bundles, _ = index_from_text((place / INDEX).read_text("utf-8"))
    partial = place / f".{INDEX}.partial"
    partial.write_text(folder.index(bundles), "utf-8")
    partial.replace(place / INDEX)
