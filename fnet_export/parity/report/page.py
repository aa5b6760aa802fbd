"""Render parity.json as a page for people: one HTML file that needs no other file and no network."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fnet_export.base.counted import counted
from fnet_export.base.status import FAILED, NOT_RUN, PASSED
from fnet_export.parity.agreement import points_of, text_of_agreement, text_of_few
from fnet_export.parity.report import engine_layers, wording
from fnet_export.parity.report.charts import svg_from_headroom, svg_from_histogram, svg_from_layers, svg_from_times

TEMPLATES = Path(__file__).parent / "templates"
PAGE, STYLESHEET, SCRIPT = "parity.html.j2", "parity.css", "parity.js"
REFERENCES = re.compile(r'(\bid="|url\(#|href="#)')
"""Where an `<svg>` names its own parts."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the page says first: passed or failed, why in sentences, and how many rows there are of each status."""

    passed: bool
    sentences: tuple[str, ...]
    counts: Mapping[str, int]


def html_from_values(values: Mapping[str, Any]) -> str:
    """Return the page of a parity report, from the values of its parity.json (docs/parity-json.md).

    Only its own script, known by its hash, may run in it, and the browser may ask the network for nothing.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        counted=counted,
        figure=wording.figure,
        milliseconds=wording.milliseconds,
        percent=wording.percent,
        size=wording.size,
        interval=wording.interval,
        flat_intervals=wording.notes_of_flat_intervals,
        missing=_missing,
        share_of_limit=share_of_limit,
        points=points_of,
        total_ms=engine_layers.total_ms,
        sums_by_module=engine_layers.sums_by_module,
        sums_by_kind=engine_layers.sums_by_kind,
        slowest_first=engine_layers.slowest_first,
    )
    script = (TEMPLATES / SCRIPT).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(PAGE).render(
        values,
        style=Markup((TEMPLATES / STYLESHEET).read_text("utf-8")),
        script=Markup(script),
        script_hash=f"'sha256-{digest}'",
        verdict=verdict_from_values(values),
        charts=_charts(values),
        tensors=_tensors(values["headroom"]),
    )
    return page + "\n"


def verdict_from_values(values: Mapping[str, Any]) -> Verdict:
    """Say whether the bundle passed and what stands in the way of trusting it."""
    rows = values["rows"]
    counts = Counter(row["status"] for row in rows)
    sentences = [wording.QUICK] if values["quick"] else []
    sentences += [_shipped(values["shipped"], rows), *_few(values["shipped"], rows)]
    failed = [row["name"] for row in rows if row["status"] == FAILED]
    if failed:
        sentences.append(f"Outside the limits: {'; '.join(failed)}.")
    elif counts[PASSED]:
        sentences.append("Everything that ran is within the limits.")
    else:
        sentences.append("Nothing ran.")
    sentences += [f"{row['name']}: {note}." for row in rows for note in row["notes"]]
    if values["evaluation"] is not None:
        sentences += [f"Less accurate than asked for: {missed}." for missed in values["evaluation"]["missed"]]
        sentences += values["evaluation"]["findings"]
    if values["trained_length"]["caution"] is not None:
        sentences.append(f"Note: {values['trained_length']['caution']}.")
    return Verdict(
        passed=values["passed"],
        sentences=tuple(sentences),
        counts={status: counts[status] for status in (PASSED, FAILED, NOT_RUN)},
    )


def share_of_limit(output: Mapping[str, Any]) -> float | None:
    """Return the largest of an output's errors in parts of its limit; None when an error is infinite."""
    apart = output["from_emulation"] or {}
    errors = [(each, error) for each in (output, apart) for error in ("max_abs", "median_abs", "mean_abs") if error in each]
    shares = [_share(each[error], each[f"limit_{error}"]) for each, error in errors]
    return None if None in shares else max(share for share in shares if share is not None)


def _share(error: float | None, limit: float) -> float | None:
    """Of a limit of zero nothing but zero is a finite part."""
    if error is None or (limit == 0 and error > 0):
        return None
    return error / limit if error else 0.0


def _shipped(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    shipped = next((row for row in rows if row["name"] == name), None)
    if shipped is None or shipped["status"] == NOT_RUN:
        return f"The bundle's runtime, {name}, did not run on this host. The numbers are of the graph that it was built from."
    shares = [share_of_limit(output) for output in shipped["outputs"].values()]
    finite = [share for share in shares if share is not None]
    reach = f"its largest error is {wording.percent(max(finite))} of the limit" if finite else ""
    if not shares or len(finite) < len(shares):
        infinite = any(output["nonfinite_count"] for output in shipped["outputs"].values())
        reach = shipped["reason"] or ("it gives values that are not finite" if infinite else "its limit is 0, but its error is not")
    sentences = [f"The bundle's runtime, {name}, {'passed' if shipped['status'] == PASSED else 'failed'}: {reach}."]
    for output, values in shipped["outputs"].items():
        if values["agreement"] is not None:
            sentences.append(f"{output}: {text_of_agreement(values['agreement'], 'decisions')}.")
    if shipped["answers"] is not None:
        sentences.append(f"Per input: {text_of_agreement(shipped['answers'], 'whole answers')}.")
    return " ".join(sentences)


def _few(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the outputs of the shipped row whose decisions agree too rarely with the reference."""
    outputs = (item for row in rows if row["name"] == name for item in row["outputs"].items())
    texts = (text_of_few(values["agreement"], output) for output, values in outputs if values["agreement"] is not None)
    return [f"{text}." for text in texts if text is not None]


def _charts(values: Mapping[str, Any]) -> dict[str, Markup]:
    """Draw what there is to draw, by name; the parts of each have names of their own."""
    shipped = values["shipped"]
    timed = {row["name"]: row["median_ms"] for row in values["rows"] if row["median_ms"] is not None}
    charts = {
        "layers": svg_from_layers(values["layers"]),
        "times": svg_from_times(timed, marked=shipped, title="Latency of the runtimes"),
    }
    if values["histogram"] is not None:
        charts["histogram"] = svg_from_histogram(values["histogram"], _limits(values))
    if values["headroom"] is not None:
        charts["headroom"] = svg_from_headroom(values["headroom"])
    if values["latency"] is not None:
        times = {name: timing["median_ms"] for name, timing in values["latency"]["rows"].items()}
        charts["precisions"] = svg_from_times(times, marked=next(reversed(times), ""), title="Latency next to other precisions")
    return {name: Markup(REFERENCES.sub(rf"\g<1>{name}-", svg)) for name, svg in charts.items() if svg is not None}


def _limits(values: Mapping[str, Any]) -> dict[str, float]:
    """Limits of the largest error of the histogram's row, by output."""
    rows = (row for row in values["rows"] if row["name"] == values["histogram"]["row"])
    return {name: output["limit_max_abs"] for row in rows for name, output in row["outputs"].items()}


def _missing(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Return whether a figure is in no row, so that its column can be left out."""
    return not any(output[key] is not None for row in rows for output in row["outputs"].values())


def _tensors(headroom: Mapping[str, Any] | None) -> list[str]:
    """Name all classes of tensors, each once, in the order of the layers that have them."""
    return list(dict.fromkeys(name for tensors in (headroom or {"layers": {}})["layers"].values() for name in tensors))
