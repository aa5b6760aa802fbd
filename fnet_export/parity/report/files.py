"""The evidence of a parity check as files of a bundle's folder: for programs, for people, for CI systems."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import PARITY, PARITY_JUNIT, PARITY_PAGE

from fnet_export.parity.report.junit import junit_from_values
from fnet_export.parity.report.page import html_from_values


def write_evidence(folder: Path, values: Mapping[str, Any]) -> None:
    """Write parity.json, parity.html and parity.junit.xml, all from the same values (docs/parity-json.md).

    Raises OSError, and ValueError for an infinite figure, which JSON has no word for.
    """
    texts = {
        PARITY: json.dumps(values, indent=2, allow_nan=False) + "\n",
        PARITY_PAGE: html_from_values(values),
        PARITY_JUNIT: junit_from_values(values),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
