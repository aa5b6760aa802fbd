import json
import xml.etree.ElementTree as ElementTree

from support.paths import GOLDEN

from fnet_export.parity.report.junit import junit_from_values

EXAMPLES = GOLDEN / "parity"
FULL, FAILED = (json.loads((EXAMPLES / f"{name}.json").read_text()) for name in ("full", "failed"))


def suite_of(values):
    text = junit_from_values(values)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuite ')
    return ElementTree.fromstring(text.encode())


def counts(suite):
    return {name: suite.attrib[name] for name in ("tests", "failures", "skipped", "errors")}


def test_a_case_for_each_row_and_output():
    suite = suite_of(FULL)
    assert counts(suite) == {"tests": "9", "failures": "0", "skipped": "2", "errors": "0"}
    cases = [(case.attrib["classname"], case.attrib["name"]) for case in suite.findall("testcase")]
    assert cases == [(row["name"], next(iter(row["outputs"]), "run")) for row in FULL["rows"]]
    (skipped, _) = suite.findall("testcase/skipped")
    assert skipped.attrib["message"] == "transformers is not installed; pip install transformers"
    properties = {each.attrib["name"]: each.attrib["value"] for each in suite.findall("properties/property")}
    assert properties == {name: str(value) for name, value in (FULL["bundle"] | {"quick": False}).items()}


def test_a_failure_has_figures_and_limits():
    suite = suite_of(FAILED)
    assert counts(suite) == {"tests": "2", "failures": "1", "skipped": "1", "errors": "0"}
    assert suite.find("testcase/failure").attrib["message"] == (
        "max abs not finite (limit 2.1e-05); mean abs not finite (limit 3.3e-06); 3 NaN or infinite; "
        "25.00 % of the decisions agree with the reference (3 of 4 differ, 0 of them are ties)"
    )


def test_a_row_that_fails_for_another_reason_than_its_outputs_is_a_failure():
    answers = {"share": 0.5, "decisions": 2, "differ": 1, "ties": 0, "low": 0.1, "high": 0.9}
    row = FULL["rows"][0] | {"status": "failed", "answers": answers}
    failure = suite_of(FULL | {"passed": False, "rows": [row]}).find("testcase/failure")
    assert failure.attrib["message"] == "50.00 % of the whole answers agree with the reference (1 of 2 differ, 0 of them are ties)"
    row |= {"outputs": {}, "reason": "its process ended \x1b[31m\x00"}
    failure = suite_of(FULL | {"passed": False, "rows": [row]}).find("testcase/failure")
    assert failure.attrib["message"] == "its process ended \ufffd[31m\ufffd"


def test_nothing_that_ran_is_a_failure_too():
    rows = [row for row in FULL["rows"] if row["status"] == "not run"]
    suite = suite_of(FULL | {"passed": False, "rows": rows})
    assert counts(suite) == {"tests": "3", "failures": "1", "skipped": "2", "errors": "0"}
    assert suite.find("testcase/failure").attrib["message"] == "not passed; shipped is OpenVINO"
