"""parity.json as JUnit XML, which CI systems show: a test case for each row and output."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from fnet_export.base.status import FAILED, NOT_RUN
from fnet_export.parity.agreement import text_of_agreement
from fnet_export.parity.report.wording import figure

SUITE = "fnet-export parity"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write (section 2.2): a library's error message may hold them."""


def junit_from_values(values: Mapping[str, Any]) -> str:
    """Return a `<testsuite>`: rows that did not run are skipped, with the reason; failures have the figures and the limits.

    A verdict that no single row explains, such as nothing that ran, is a test case of its own.
    """
    suite = Element("testsuite", name=SUITE)
    properties = SubElement(suite, "properties")
    for name, value in {**values["bundle"], "quick": values["quick"]}.items():
        SubElement(properties, "property", name=name, value=_written(str(value)))
    for row in values["rows"]:
        _add_row(suite, row)
    if values["evaluation"] is not None:
        missed = "; ".join(values["evaluation"]["missed"])
        _add_case(suite, "evaluation", "accuracy", *(("failure", missed) if missed else ()))
    if not values["passed"] and suite.find("testcase/failure") is None:
        _add_case(suite, SUITE, "passed", "failure", f"not passed; shipped is {values['shipped']}")
    counts = {"tests": "testcase", "failures": "testcase/failure", "skipped": "testcase/skipped", "errors": "testcase/error"}
    for name, path in counts.items():
        suite.set(name, str(len(suite.findall(path))))
    ElementTree.indent(suite)
    return DECLARATION + ElementTree.tostring(suite, "unicode") + "\n"


def _add_row(suite: Element, row: Mapping[str, Any]) -> None:
    outputs = row["outputs"]
    for name, output in outputs.items():
        agreement = output["agreement"]
        agreed = [] if agreement is None else [f"{row['inputs']} inputs; {text_of_agreement(agreement, 'decisions')}"]
        _add_case(
            suite,
            row["name"],
            name,
            *(() if output["passed"] else ("failure", _figures(output, row["reason"]))),
            system_out="\n".join([*agreed, *row["notes"]]) or None,
        )
    if row["status"] == NOT_RUN:
        _add_case(suite, row["name"], "run", "skipped", row["reason"] or NOT_RUN)
    elif row["status"] == FAILED and all(output["passed"] for output in outputs.values()):
        answers = row["answers"]
        agree = "" if answers is None else text_of_agreement(answers, "whole answers")
        _add_case(suite, row["name"], "answers", "failure", row["reason"] or agree or FAILED)


def _add_case(
    suite: Element, row: str, name: str, outcome: str | None = None, message: str = "", *, system_out: str | None = None
) -> None:
    case = SubElement(suite, "testcase", classname=_written(row), name=_written(name))
    if outcome is not None:
        SubElement(case, outcome, message=_written(message))
    if system_out is not None:
        SubElement(case, "system-out").text = _written(system_out)


def _figures(output: Mapping[str, Any], reason: str | None) -> str:
    parts = [
        f"max abs {figure(output['max_abs'])} (limit {figure(output['limit_max_abs'])})",
        f"mean abs {figure(output['mean_abs'])} (limit {figure(output['limit_mean_abs'])})",
        f"{output['nonfinite_count']} NaN or infinite",
    ]
    apart = output["from_emulation"]
    if apart is not None:
        parts += [
            f"{error.replace('_', ' ')} from the emulation {figure(apart[error])} (limit {figure(apart[f'limit_{error}'])})"
            for error in ("median_abs", "mean_abs")
        ]
    if output["agreement"] is not None:
        parts.append(text_of_agreement(output["agreement"], "decisions"))
    return "; ".join([*parts, *([] if reason is None else [reason])])


def _written(text: str) -> str:
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
