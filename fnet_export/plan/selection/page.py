"""Render a selection as a page for people: one HTML file without a script, which needs no other file and no network."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fnet_export.parity.report.page import STYLESHEET
from fnet_export.parity.report.page import TEMPLATES as PARITY_TEMPLATES
from fnet_export.plan.selection.chart import chart_from_selection
from fnet_export.plan.selection.report import (
    columns_of_selection,
    limits_in_words,
    lines_from_selection,
    misses_of_selection,
    notes_from_selection,
)
from fnet_export.plan.selection.selection import Selection

TEMPLATE = "choice.html.j2"


def html_from_selection(selection: Selection) -> str:
    """Return the page, with the style of parity.html."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chart = chart_from_selection(selection)
    page = environment.get_template(TEMPLATE).render(
        style=Markup((PARITY_TEMPLATES / STYLESHEET).read_text("utf-8")),
        selection=selection,
        limits=limits_in_words(selection.limits),
        columns=columns_of_selection(selection),
        lines=lines_from_selection(selection),
        sentences=[*misses_of_selection(selection), *notes_from_selection(selection)],
        commands=[trial for trial in selection.trials if trial.command is not None],
        chart=None if chart is None else Markup(chart),
        host=selection.environment.host,
        libraries=selection.environment.libraries,
    )
    return page + "\n"
