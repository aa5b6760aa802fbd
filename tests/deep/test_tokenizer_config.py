"""A bundle's tokenizer in transformers: AutoTokenizer gives the ids of the manifest, or refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fnet_runtime.bundle.manifest import TOKENIZER_CONFIG, manifest_from_folder
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import FLAVOURS, TOKENIZER_JSON, Tokenizer, TokenizerOptions
from support.environments import ROOT, python_of
from support.golden_tokenizer import GOLDEN, LINES, pipeline

from fnet_export.texts.emails import emails
from fnet_export.texts.tokenizer.choice import PROBES, TokenizerChoice
from fnet_export.texts.tokenizer.config import write_tokenizer

ORACLE = ROOT / "tests" / "golden" / "tokenizer_oracle.py"
LENGTH = 32
TEXTS = [*([text] for text in (*PROBES, *emails())), *(line.texts for line in LINES)]
RELEASES = {"4.57": lambda: python_of("transformers-4"), "5.23": lambda: Path(sys.executable)}
GENERIC = {flavour for flavour, kind in FLAVOURS.items() if kind.file == TOKENIZER_JSON}
RULES = {"do_lower_case": True, "keep_accents": False}


@pytest.fixture(scope="module")
def folders(whole_bundle, tmp_path_factory):
    """A bundle of each flavour; its graph and its manifest are another's, which transformers does not read."""
    made = {}
    for flavour in FLAVOURS:
        made[flavour] = folder = Path(shutil.copytree(whole_bundle, tmp_path_factory.mktemp("bundles") / flavour))
        (folder / "spiece.model").unlink()
        options = TokenizerOptions(flavour=flavour, **(RULES if flavour == "fnet-slow" else {}))
        data = pipeline("bpe", flavour) if flavour in GENERIC else (GOLDEN / "bpe.model").read_bytes()
        choice = TokenizerChoice(tokenizer=Tokenizer(data, options), path=folder, data=data, reason="asked for", disagreement=None)
        write_tokenizer(folder, choice, sequence_length=LENGTH)
    return made


def asked(release, folder, tmp_path, *, of="AutoTokenizer"):
    """The answers of a release's tokenizer of a bundle: an oracle's list, or the error's text."""
    tokenizer = {"class": of, "folder": str(folder), "every": 1, "options": {}, "save": None}
    job, answers = tmp_path / "job.json", tmp_path / "answers.json"
    job.write_text(json.dumps({"cases": [[texts, None] for texts in TEXTS], "tokenizers": [tokenizer]}))
    done = subprocess.run([RELEASES[release](), ORACLE, job, answers], env={"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    return json.loads(answers.read_text())[0] if done.returncode == 0 else done.stderr


def different(folder, flavour, answers):
    """The texts of which a tokenizer of transformers makes other ids or types than the runtime."""
    rules = RULES if flavour == "fnet-slow" else {}
    tokenizer = Tokenizer.from_file(folder / FLAVOURS[flavour].file, TokenizerOptions(flavour=flavour, **rules))
    found = (tokenizer.encode(*texts, padding=Padding(LENGTH)) for texts in TEXTS)
    wanted = [[encoding.input_ids.tolist(), encoding.token_type_ids.tolist()] for encoding in found]
    return [texts for texts, answer, want in zip(TEXTS, answers, wanted, strict=True) if answer[:2] != want]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("flavour", sorted(GENERIC))
def test_over_a_tokenizer_json_it_gives_the_ids_of_the_runtime(flavour, release, folders, tmp_path):
    answers = asked(release, folders[flavour], tmp_path)
    assert different(folders[flavour], flavour, answers) == []  # at the bundle's length, which no argument names


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("flavour", sorted({*FLAVOURS} - GENERIC))
def test_over_a_spiece_model_it_refuses(flavour, release, folders, tmp_path):
    error = asked(release, folders[flavour], tmp_path)
    assert "ValueError: " + {
        "4.57": "Tokenizer class FNetRuntimeTokenizer does not exist",
        "5.23": "Couldn't instantiate the backend tokenizer",
    }[release] in str(error)


def test_transformers_4_has_fnet_slow_by_its_class(folders, tmp_path):
    answers = asked("4.57", folders["fnet-slow"], tmp_path, of="FNetTokenizer")
    assert different(folders["fnet-slow"], "fnet-slow", answers) == []


def test_an_export_writes_it_and_lists_it(whole_bundle):
    assert TOKENIZER_CONFIG in manifest_from_folder(whole_bundle).files
    written = json.loads((whole_bundle / TOKENIZER_CONFIG).read_text())
    assert (written["model_max_length"], written["tokenizer_class"]) == (LENGTH, "FNetRuntimeTokenizer")
    assert {key: written[key] for key in ("do_lower_case", "keep_accents", "remove_space")} == {
        "do_lower_case": False,
        "keep_accents": True,
        "remove_space": True,
    }
