"""Bundles in optimum and transformers 4, in an environment of their own: configurations, tokenizers, outputs and pipelines."""

import json
import re
import subprocess
from pathlib import Path

import fnet_runtime
import numpy as np
import pytest
import torch
from fnet_runtime.bundle.manifest import CARD
from support.checkpoints import LENGTH, save_tiny
from support.environments import ROOT, python_of
from support.exports import export

from fnet_core.tasks import TASKS
from fnet_export.bundle.card import CUSTOM, EXAMPLES

SCRIPT = ROOT / "tests" / "golden" / "optimum_oracle.py"
PADDINGS = {"max_length": {"padding": "max_length"}, "none": {}}
"""By the padding of a bundle, the arguments with which a tokenizer of transformers pads alike."""
TEXT, SECOND, MASKED = "the quick brown fox", "jumps over the lazy dog", "the [MASK] fox"
TEXTS = {
    "question-answering": ["what fox?", "the quick brown fox jumps over the lazy dog"],
    "masked-lm": [MASKED],
    "pretraining": [MASKED, SECOND],
    "next-sentence-prediction": [TEXT, SECOND],
    "multiple-choice": [[TEXT, TEXT], [SECOND, MASKED]],
}
"""By task, what a tokenizer takes; other tasks take TEXT."""
ONE_CHOICE = [[TEXT], [SECOND]]
"""What it takes where nothing pads two choices to one length."""
TORCH = Path(torch.__file__).parents[1]
FNET_RUNTIME = Path(fnet_runtime.__file__).parents[1]
TOLERANCE = 1e-5


def ask_of(task, padding):
    """What a pipeline of transformers is called with: the padding of its tokenizer has a different name in each."""
    pads = {"padding": "max_length", "truncation": True, "max_length": LENGTH}
    named = {
        "sequence-classification": pads | {"top_k": None},
        "question-answering": {"padding": "max_length", "max_seq_len": LENGTH},
        "masked-lm": {"tokenizer_kwargs": pads},
        "feature-extraction": {"tokenize_kwargs": pads},
    }
    own = {"sequence-classification": {"top_k": None}}
    texts = TEXTS.get(task, [TEXT])
    together = {"question": texts[0], "context": texts[1]} if task == "question-answering" else {}
    chosen = named if padding == "max_length" else own
    return {"positional": [] if together else texts, "named": together | chosen.get(task, {})}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A bundle of every task and padding whose tokenizer transformers has, and one whose tokenizer it does not have."""
    root = tmp_path_factory.mktemp("bundles")
    made = {}
    for task in TASKS:
        folder = save_tiny(root / f"{task}-checkpoint", task, architectures=(TASKS[task].huggingface_class,))
        for padding in PADDINGS:
            options = {"task": "auto", "padding": padding, "tokenizer": "fnet-fast"}
            made[task, padding] = export(folder, root / f"{task}-{padding}", **options).folder
    made["sequence-classification", "slow"] = export(
        root / "sequence-classification-checkpoint", root / "slow", tokenizer="fnet-slow"
    ).folder
    made["masked-lm", "int8"] = export(
        root / "masked-lm-checkpoint", root / "int8", task="masked-lm", precision="int8", tokenizer="fnet-fast"
    ).folder
    return made


@pytest.fixture(scope="module")
def answers(folders, tmp_path_factory):
    """What optimum and transformers 4 say of each bundle, in one process."""
    job, found = (tmp_path_factory.mktemp("job") / name for name in ("job.json", "answers.json"))
    bundles = []
    for (task, padding), folder in folders.items():
        piped = EXAMPLES[task].pipeline if (task, padding) != ("token-classification", "max_length") else None  # it cannot pad
        bundles.append(
            {
                "folder": str(folder),
                "class": EXAMPLES[task].optimum if padding in PADDINGS else None,
                "texts": ONE_CHOICE if (task, padding) == ("multiple-choice", "none") else TEXTS.get(task, [TEXT]),
                "padding": PADDINGS.get(padding, {}),
                "choices": task == "multiple-choice",
                "pipeline": piped,
                "ask": ask_of(task, padding),
                "card": re.findall(r"^```python\n(.*?)^```$", (folder / CARD).read_text(), re.MULTILINE | re.DOTALL)[1],
            }
        )
    job.write_text(json.dumps({"path": [str(FNET_RUNTIME), str(TORCH)], "bundles": bundles}))
    words = [python_of("optimum"), SCRIPT, job, found]
    done = subprocess.run(words, env={"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(folders, json.loads(found.read_text()), strict=True))


BOTH = [(task, padding) for task in TASKS for padding in PADDINGS]


def test_tasks_without_a_class_are_those_that_optimum_lacks():
    assert {task for task, example in EXAMPLES.items() if example.optimum == CUSTOM} == {"pretraining", "next-sentence-prediction"}


@pytest.mark.parametrize(("task", "padding"), BOTH)
def test_the_outputs_are_those_of_the_runtime(task, padding, folders, answers):
    answer, pipeline = answers[task, padding], fnet_runtime.load(folders[task, padding])
    inputs = {name: np.array(values, np.int64) for name, values in answer["inputs"].items()}
    outputs = pipeline.session.run(inputs)
    left_out = {"pooler_output"} if task == "feature-extraction" else set()  # optimum's class does not return it
    assert set(answer["outputs"]) == set(outputs) - left_out
    for name, values in answer["outputs"].items():
        np.testing.assert_allclose(np.array(values), outputs[name], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("task", "padding"), [pair for pair in BOTH if pair[0] != "multiple-choice"])
def test_the_ids_are_those_of_the_runtime(task, padding, folders, answers):
    pipeline = fnet_runtime.load(folders[task, padding])
    encoding = pipeline.tokenizer.encode(*TEXTS.get(task, [TEXT]), padding=pipeline.manifest.text_padding)
    inputs = answers[task, padding]["inputs"]
    assert inputs["input_ids"] == [encoding.input_ids.tolist()]
    assert inputs["token_type_ids"] == [encoding.token_type_ids.tolist()]


@pytest.mark.parametrize("key", [*BOTH, ("sequence-classification", "slow"), ("masked-lm", "int8")])
def test_the_configuration_is_read(key, folders, answers):
    config, ours = answers[key]["config"], json.loads((folders[key] / "config.json").read_text())
    assert answers[key]["class"] == "FNetConfig"
    assert {name: config[name] for name in ours if name in config and name != "id2label"} == {
        name: value for name, value in ours.items() if name in config and name != "id2label"
    }
    assert list(config["id2label"].values()) == list(ours["id2label"].values())


@pytest.mark.parametrize("key", [*BOTH, ("sequence-classification", "slow"), ("masked-lm", "int8")])
def test_the_example_of_the_card_runs(key, answers):
    assert "tensor(" in answers[key]["card"]


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_pipeline_of_text_classification(padding, folders, answers):
    key = ("sequence-classification", padding)
    found = {each["label"]: each["score"] for each in answers[key]["pipeline"]}
    wanted = {each.label: each.score for each in fnet_runtime.load(folders[key]).classify(TEXT).scores}
    assert found == pytest.approx(wanted, abs=TOLERANCE)


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_pipeline_of_fill_mask(padding, folders, answers):
    key = ("masked-lm", padding)
    (wanted,) = fnet_runtime.load(folders[key]).fill_mask(MASKED).masks
    assert [each["token"] for each in answers[key]["pipeline"]] == [filler.token_id for filler in wanted]
    assert [each["score"] for each in answers[key]["pipeline"]] == pytest.approx([filler.score for filler in wanted], abs=TOLERANCE)


def test_the_pipeline_of_token_classification(folders, answers):
    key = ("token-classification", "none")
    found = [(each["entity"], pytest.approx(each["score"], abs=TOLERANCE)) for each in answers[key]["pipeline"]]
    assert [(token.label, token.score) for token in fnet_runtime.load(folders[key]).classify_tokens(TEXT).tokens] == found


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_pipeline_of_question_answering(padding, answers):
    found = answers["question-answering", padding]["pipeline"]
    assert TEXTS["question-answering"][1][found["start"] : found["end"]].strip() == found["answer"].strip() != ""


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_pipeline_of_feature_extraction(padding, answers):
    answer = answers["feature-extraction", padding]
    np.testing.assert_allclose(answer["pipeline"], answer["outputs"]["last_hidden_state"], atol=TOLERANCE, rtol=0)
