"""Charts as SVG that stands inside a page: the same figure gives the same text, and says in words what it shows."""

import io
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from fnet_export.base.errors import OutputError

STYLE: dict[Any, object] = {
    "svg.hashsalt": "fnet-export",  # names of clip paths are random otherwise
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Draw under `matplotlib.rc_context(STYLE)`: settings are read when a figure is made."""


def svg_from_figure(figure: Figure, *, title: str, description: str) -> str:
    """Return an `<svg role="img">` element without XML prolog; `description` is what a screen reader says of it."""
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")), bbox_inches="tight")
    svg = text.getvalue()
    tag, rest = svg[svg.index("<svg") :].split(">", 1)
    return f'{tag} role="img" aria-label="{escape(description)}"><title>{escape(title)}</title>{rest.strip()}'


def write_svg(path: Path, svg: str) -> None:
    """Write an SVG to a file. Raises OutputError if the file cannot be written."""
    try:
        path.write_text(svg + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error
