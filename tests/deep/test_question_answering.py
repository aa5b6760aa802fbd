"""Answers to questions are those of the pipeline of transformers 4.57, in an environment of its own: release 5.23 has none."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
import torch
from support.environments import ROOT, python_of
from support.transformers_pipelines import CLOSE, LENGTH, both, combinations, texts

ORACLE = ROOT / "tests" / "golden" / "question_answering_oracle.py"
TORCH = str(Path(torch.__file__).parents[1])
PADDINGS = ("none", "max_length")
FLAGS = {"handle_impossible_answer": [None, True], "align_to_words": [None, False]}
OPTIONS = combinations(top_k=[1, 5], max_answer_len=[None, 3, 30], **FLAGS)
TURNS = 3
"""Each question is asked with every third combination, in turns."""
UNUSUAL = ["Fox fox FOX  fox\tfox", "the\nfox\u00a0dog ", " a [MASK] fox[SEP]dog", "ΣΑΣ σας", "x", "\u2581fox\u2581dog fox"]
STRIDES = (0, 5, 12)


def cases():
    """Questions about short and long contexts; only contexts that do not fit have strides."""
    draw = random.Random(5)
    short = [(texts(1, 4, seed)[0], text) for seed, text in enumerate([*texts(200), *UNUSUAL])]
    long = [(texts(1, 4, seed)[0], text) for seed, text in enumerate(texts(60, longest=90, seed=9)[20:])]
    return [(*case, None) for case in short] + [(*case, draw.choice(STRIDES)) for case in long]


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """Our pipeline of each padding, and the folder of the same model."""
    made = {}
    for padding in PADDINGS:
        folder = tmp_path_factory.mktemp(padding)
        ours, model, _ = both("question-answering", folder, labels=("start", "end"), padding=padding)
        model.save_pretrained(folder)
        made[padding] = ours, folder
    return made


@pytest.fixture(scope="module")
def expected(pipelines, tmp_path_factory):
    """What transformers answers, by padding, in the order of the cases."""
    models = []
    for padding, (_, folder) in pipelines.items():
        pads = {"padding": "max_length"} if padding == "max_length" else {}
        asked = [
            {
                "question": question,
                "context": context,
                "windows": pads if stride is None else pads | {"doc_stride": stride},
                "options": OPTIONS[number % TURNS :: TURNS],
            }
            for number, (question, context, stride) in enumerate(cases())
        ]
        models.append({"folder": str(folder), "length": LENGTH, "asked": asked})
    job, answers = (tmp_path_factory.mktemp("job") / name for name in ("job.json", "answers.json"))
    job.write_text(json.dumps({"path": TORCH, "models": models}))
    words = [python_of("transformers-4"), ORACLE, job, answers]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return dict(zip(PADDINGS, json.loads(answers.read_text()), strict=True))


def trimmed(context, answer):
    """Return the place of an answer of transformers as we print it: without the white space at its ends."""
    part = context[answer["start"] : answer["end"]]
    start = answer["start"] + len(part) - len(part.lstrip())
    return (start, start + len(part.strip())) if part else (0, 0)


@pytest.mark.parametrize("padding", PADDINGS)
def test_answers_are_those_of_transformers(padding, pipelines, expected):
    """transformers also lists white space, and spans that begin with [CLS]: these have the score 0."""
    ours, _ = pipelines[padding]
    empty = windows = 0
    for number, ((question, context, stride), answers) in enumerate(zip(cases(), expected[padding], strict=True)):
        windows += len(ours.inputs(question, context)) > 1
        for options, theirs in zip(OPTIONS[number % TURNS :: TURNS], answers, strict=True):
            found = ours.answer(question, context, stride=stride, **options)
            listed = [answer for answer in theirs if answer["score"] > 0 and (answer["answer"].strip() or not answer["answer"])]
            assert [(a.start, a.end) for a in found][: len(listed)] == [trimmed(context, answer) for answer in listed]
            assert [a.score for a in found][: len(listed)] == pytest.approx([answer["score"] for answer in listed], **CLOSE)
            assert all(a.text == context[a.start : a.end] for a in found)
            assert len(found) == len(listed) or len(theirs) > len(listed)
            empty += bool(found) and not found[0].text
    assert (empty > 5, windows > 50) == (True, True)
