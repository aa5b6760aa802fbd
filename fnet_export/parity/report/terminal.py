"""A parity report for people: one table, and one more of headroom."""

from dataclasses import asdict

from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.status import styled
from fnet_export.engine.sessions.timing import Latency
from fnet_export.parity.agreement import attentions, points_of, text_of_agreement
from fnet_export.parity.report.engine_layers import line_from_profile
from fnet_export.parity.report.evidence import Evidence
from fnet_export.parity.report.wording import QUICK
from fnet_export.parity.result import ParityReport
from fnet_export.precision.headroom import TENSORS, Headroom
from fnet_export.precision.proof import PrecisionProof
from fnet_export.precision.sensitivity import Sensitivity

BROKEN = {"intermediate": "inter-\nmediate", "feed-forward": "feed-\nforward"}
"""Names of tensors as headings of two lines; the others are broken at the space."""


def table_from_report(report: ParityReport) -> Table:
    """Return a table of a parity report, one line per runtime and output; all columns fit a terminal of 80 characters."""
    remarks = [f"{row.name}: {row.status}: {row.reason}" for row in report.rows if row.reason]
    remarks += [f"{row.name}: {note}" for row in report.rows for note in row.notes]
    table = Table(
        title="Parity with the float64 torch.fft reference",
        caption=escape("\n".join(remarks)) or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("runtime", min_width=16)
    table.add_column("status", no_wrap=True)
    table.add_column("output", overflow="fold", min_width=12)
    for name in ("inputs", "max abs", "of limit", "agree", "ties"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        status = styled(row.status)
        if not row.outputs:
            table.add_row(escape(row.name), status)
        for i, (output, output_row) in enumerate(row.outputs.items()):
            agreement = output_row.difference.agreement
            table.add_row(
                *((escape(row.name), status) if i == 0 else ("", "")),
                output,
                f"{row.inputs}/{report.inputs}" if i == 0 else "",
                f"{output_row.difference.max_abs:.1e}",
                _share(output_row.share_of_limit),
                "" if agreement is None else points_of(agreement.share).replace(" ", ""),
                "" if agreement is None else str(agreement.ties),
            )
    return table


def _share(share: float) -> str:
    return f"{share:.0%}" if share < 1000 else f"{share:.0e}x"


def lines_from_evidence(evidence: Evidence) -> list[str]:
    """Say how quick the check was, which decisions differ, what of a precision really runs, how long a run takes and where."""
    lines = [QUICK] if evidence.quick else []
    lines += lines_from_agreement(evidence.parity)
    if evidence.proof is not None:
        lines.append(line_from_proof(evidence.proof))
    if evidence.sensitivity is not None:
        lines.append(line_from_sensitivity(evidence.sensitivity, evidence.manifest.precision))
    if evidence.latency is not None:
        lines += lines_from_latency(evidence.latency)
    time = line_from_profile(asdict(evidence.profile))
    return lines if time is None else [*lines, time]


def line_from_proof(proof: PrecisionProof) -> str:
    """Say how much of the work runs in the precision that was asked for."""
    return (
        f"{proof.precision}: {proof.share:.1%} of the multiply-adds meant for it, {proof.share_of_all:.1%} of all, are in it, "
        f"by {proof.read_from}"
    )


def line_from_sensitivity(sensitivity: Sensitivity, precision: str) -> str:
    """Say what int8 or fp8 costs in accuracy, and which modules stay in float32."""
    return (
        f"Accuracy {sensitivity.reached:.2f} in {precision}, {sensitivity.float32:.2f} in float32 "
        f"({sensitivity.wanted:.2f} wanted); "
        f"kept in float32: {', '.join(sensitivity.kept) or 'nothing'}"
    )


def lines_from_agreement(report: ParityReport) -> list[str]:
    """Say of the shipped row how many decisions differ, where any does, and plainly where they are too many."""
    row = next((row for row in report.rows if row.name == report.shipped), None)
    agreements = {} if row is None else {name: output.difference.agreement for name, output in row.outputs.items()}
    counted = {name: agreement.values() for name, agreement in agreements.items() if agreement is not None and agreement.differ}
    lines = [f"{report.shipped}, {name}: {text_of_agreement(values, 'decisions')}" for name, values in counted.items()]
    if counted and row is not None and row.answers is not None:
        lines.append(f"{report.shipped}: {text_of_agreement(row.answers.values(), 'whole answers')}")
    return [*lines, *attentions(agreements)]


def lines_from_latency(latency: Latency) -> list[str]:
    """Say how long a run takes in each precision, and why others were not timed."""
    lines = []
    if latency.rows:
        lines.append(
            "One row, in turns: " + ", ".join(f"{name} {timing.median_ms:.1f} ms" for name, timing in latency.rows.items())
        )
        *others, (name, exported) = latency.rows.items()
        faster = [other for other, timing in others if timing.median_ms <= exported.median_ms]
        if faster:
            lines.append(f"{name} is not the fastest on this host: {', '.join(faster)} took no longer")
    reasons: dict[str, list[str]] = {}
    for name, reason in latency.not_timed.items():
        reasons.setdefault(reason, []).append(name)
    return [*lines, *(f"Not timed: {'; '.join(names)}: {reason}" for reason, names in reasons.items())]


def table_from_headroom(headroom: Headroom) -> Table:
    """Return a table of the largest magnitudes, one line per layer; those of embeddings and head stand below it.

    Headings are broken, so that all columns fit a terminal of 80 characters.
    """
    blocks = {layer: tensors for layer, tensors in headroom.layers.items() if layer.isdigit()}
    others = {layer: tensors for layer, tensors in headroom.layers.items() if layer not in blocks}
    lines = (f"{layer}: {', '.join(f'{name} {value:.3g}' for name, value in tensors.items())}" for layer, tensors in others.items())
    table = Table(
        title=f"Largest magnitudes on real text (fp16 ends at {headroom.limit:.0f}; the largest here is {headroom.largest:.3g})",
        caption=escape("\n".join(lines)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    for name in ("layer", *TENSORS):
        heading = BROKEN.get(name, name.replace(" ", "\n"))
        table.add_column(heading, justify="right", no_wrap=True)
    for layer, tensors in blocks.items():
        table.add_row(layer, *(f"{tensors[name]:.3g}" for name in TENSORS))
    return table
