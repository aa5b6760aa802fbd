"""The three files, and the format of parity.json: its schema, and the document that says what each key means."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import pytest
from fnet_runtime.bundle.manifest import PARITY, PARITY_JUNIT, PARITY_PAGE
from support.paths import GOLDEN, ROOT

import fnet_export
from fnet_export.parity.report.files import write_evidence

FULL, FAILED = (json.loads((GOLDEN / "parity" / f"{name}.json").read_text()) for name in ("full", "failed"))
SCHEMA = json.loads((Path(fnet_export.__file__).parent / "parity" / "report" / "parity.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SENSITIVITY = {"damages": {"pooler": 0.1}, "kept": ["pooler"], "float32": 96.0, "wanted": 95.5, "reached": 95.5}


def test_the_files(tmp_path):
    write_evidence(tmp_path, FULL)
    assert {path.name for path in tmp_path.iterdir()} == {PARITY, PARITY_PAGE, PARITY_JUNIT}
    text = (tmp_path / PARITY).read_text()
    assert text == json.dumps(FULL, indent=2) + "\n"
    assert (tmp_path / PARITY_PAGE).read_text().startswith("<!DOCTYPE html>")
    assert ElementTree.parse(tmp_path / PARITY_JUNIT).getroot().tag == "testsuite"


def test_an_infinite_figure_must_be_null(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_evidence(tmp_path, FULL | {"layers": [{"name": "block 0", "max_rel": float("inf"), "mean_rel": 0.0}]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [FULL, FAILED, FULL | {"sensitivity": SENSITIVITY}], ids=["full", "failed", "int8"])
def test_examples_are_of_the_format(values):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "3 was expected"),
        ({"more": 1}, "Additional properties are not allowed ('more' was unexpected)"),
        ({"rows": []}, "[] should be non-empty"),
        ({"samples": FULL["samples"] | {"sha256": "abc"}}, "'abc' does not match"),
        ({"bundle": FULL["bundle"] | {"precision": "fp4"}}, "'fp4' is not one of"),
        ({"rows": [FULL["rows"][2] | {"reason": None}]}, "None is not of type 'string'"),
        ({"rows": [FULL["rows"][0] | {"status": "skipped"}]}, "'skipped' is not one of"),
        ({"worst": [{"name": "email 1"}]}, "'text' is a required property"),
    ],
)
def test_what_is_not_of_the_format(changes, message):
    with pytest.raises(jsonschema.ValidationError, match=re.escape(message)):
        VALIDATOR.validate(FULL | changes)


def keys_of(schema):
    """All names of properties in a schema, and that each object takes no others."""
    if isinstance(schema, list):
        return {key for item in schema for key in keys_of(item)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if schema.get("type") == "object" and "properties" in schema else set()
    if own:
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == own
    return own | {key for value in schema.values() for key in keys_of(value)}


def test_every_key_is_required_and_documented():
    document = (ROOT / "docs" / "parity-json.md").read_text()
    assert [key for key in sorted(keys_of(SCHEMA)) if f"`{key}`" not in document] == []
