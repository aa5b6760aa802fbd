"""The results of a selection as a folder of two files: for programs, and for people."""

import json
from collections.abc import Collection
from pathlib import Path

from fnet_runtime.bundle.strict_json import json_from_values

from fnet_export.bundle.folder import FolderKind
from fnet_export.plan.selection.page import html_from_selection
from fnet_export.plan.selection.selection import Selection

JSON, PAGE = "choice.json", "choice.html"


def _files_of_results(text: str) -> Collection[str]:
    """Name the files of a folder from the text of its choice.json. Raises ValueError for another kind of file."""
    values = json.loads(text)
    if not isinstance(values, dict) or not {"format_version", "chosen", "candidates"} <= set(values):
        raise ValueError(f"{JSON}: is not the result of a choice")
    return (JSON, PAGE)


RESULTS = FolderKind(noun="choice", index=JSON, files=_files_of_results)


def write_results(folder: Path, selection: Selection) -> None:
    """Write choice.json and choice.html. Raises OSError."""
    (folder / JSON).write_text(json_from_values(selection.values(), indent=2) + "\n", "utf-8")
    (folder / PAGE).write_text(html_from_selection(selection), "utf-8")
