"""The JavaScript of examples/browser that needs no browser, in node: text rules, scores, the checks of a manifest."""

import json
import sys
import unicodedata

import numpy as np
import pytest
from fnet_runtime.bundle.manifest import MANIFEST
from fnet_runtime.pipeline.scores import scores_of_labels
from support.website import EXAMPLE, in_node

PAGE = EXAMPLE / "page"
ASSIGNED = [i for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)) not in ("Cn", "Cs")]
"""The characters of Python's Unicode. Newer ones are not white space; node has more digits among them."""
REFUSED = {
    "format_version": 2,
    "task": "masked-lm",
    "precision": "fp16",
    "padding": "longest",
    "sequence_length": 0,
    "pad_to_multiple_of": 3,
    "pad_token_id": "3",
    "labels": [],
    "inputs": {},
    "tokenizer": {"flavour": "fnet-fast", "do_lower_case": False, "keep_accents": True, "remove_space": True},
    "files": {},
}
"""A value of each key that the page does not run."""


def test_white_space_and_digits_are_pythons():
    code = """
        const { isDigitComma, partsFromText } = await load("text_rules.js");
        const characters = value.map((code) => String.fromCodePoint(code));
        return {
            space: value.filter((_, i) => !partsFromText(characters[i], true).length),
            digit: value.filter((_, i) => isDigitComma(`x${characters[i]},`)),
        };
    """
    found = in_node(PAGE, code, ASSIGNED)
    assert found["space"] == [i for i in ASSIGNED if chr(i).isspace()]
    assert found["digit"] == [i for i in ASSIGNED if chr(i).isdigit()]


def test_text_is_cut_at_special_tokens():
    texts = ["", "  ", " a \n b ", "``a'' ```'''", "a [MASK] b[SEP] <pad>", "[CLS][CLS]", "a\ufeff b\x85c"]
    code = 'const { partsFromText } = await load("text_rules.js"); return value.map((text) => partsFromText(text, true));'
    assert [[part.get("special", part.get("text")) for part in parts] for parts in in_node(PAGE, code, texts)] == [
        [],
        [],
        ["a b"],
        ['"a" "`"\''],
        ["a", "[MASK]", "b", "[SEP]", "<pad>"],
        ["[CLS]", "[CLS]"],
        ["a\ufeff b c"],
    ]
    kept = 'const { partsFromText } = await load("text_rules.js"); return partsFromText(value, false);'
    assert in_node(PAGE, kept, " a  [MASK] b [SEP]") == [
        {"text": " a"},
        {"special": "[MASK]"},
        {"text": " b "},
        {"special": "[SEP]"},
    ]


@pytest.mark.parametrize("problem", [None, "single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("logits", [[0.25], [1.5, -2.0], [800.0, -800.0, 3.0]])
def test_scores_are_pythons(problem, logits):
    code = 'const { scoresOfLabels } = await load("scores.js"); return scoresOfLabels(value.logits, value.problem);'
    expected = scores_of_labels(np.array(logits), problem)
    assert in_node(PAGE, code, {"logits": logits, "problem": problem}) == pytest.approx(expected.tolist(), abs=1e-15)


def test_a_manifest_of_another_kind_is_refused(whole_bundle):
    manifest = json.loads((whole_bundle / MANIFEST).read_text())
    model = manifest["files"]["model.onnx"]
    changed = [manifest, None, [], *({**manifest, key: value} for key, value in REFUSED.items())]
    changed += [{key: value for key, value in manifest.items() if key != left_out} for left_out in REFUSED]
    changed += [
        manifest | {"files": manifest["files"] | {"model.onnx": model | {key: value}}}
        for key, value in (("sha256", "00"), ("sha256", None), ("size_bytes", -1), ("size_bytes", 2**40))
    ]
    code = """
        const { checkedManifest } = await load("bundle.js");
        return value.map((manifest) => {
            try { return checkedManifest(manifest) === manifest; } catch (error) { return `${error.name}: ${error.message}`; }
        });
    """
    accepted, *refused = in_node(PAGE, code, changed)
    assert accepted is True
    assert [text for text in refused if not str(text).startswith("BundleError: manifest.json: ")] == []
    assert refused[2] == "BundleError: manifest.json: format_version: expected 1, found 2."
