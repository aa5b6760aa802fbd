"""Labelled data for each task, and what parity.json would say about it."""

import json
import tempfile
from pathlib import Path

import jsonschema
from support.exports import options_from
from support.paths import GOLDEN

import fnet_export
from fnet_export.base.progress import Quiet
from fnet_export.evaluation.accuracy import accuracy_from_folder
from fnet_export.evaluation.evaluation import Limits
from fnet_export.parity.report.accuracy import values_from_accuracy
from fnet_export.plan.graphs import graphs_from_plan
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.pipeline import check_labelled_data, subject_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.texts.emails import emails

TEXTS = [" ".join(text.split()[: 3 + i % 9]) for i, text in enumerate(emails()[:24])]
FULL = json.loads((GOLDEN / "parity" / "full.json").read_text())
SCHEMA = json.loads((Path(fnet_export.__file__).parent / "parity" / "report" / "parity.schema.json").read_text())


def records_of(task):
    def record(i, text):
        words = text.split()
        return {
            "sequence-classification": {"text": text, "label": "ABC"[i % 3]},
            "token-classification": {"tokens": words, "tags": ["ABC"[len(word) % 3] for word in words]},
            "question-answering": {"question": "who was it", "context": text, "answers": [words[0]]},
            "masked-lm": {"text": text},
            "next-sentence-prediction": {"text": text, "text_pair": TEXTS[i - 1], "label": i % 2 == 0},
            "pretraining": {"text": text, "text_pair": TEXTS[i - 1], "label": i % 2 == 0},
            "multiple-choice": {"text": text, "choices": TEXTS[: 2 + i % 3], "label": i % 2},
        }[task]

    return [record(i, text) for i, text in enumerate(TEXTS)]


def written(path, records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def plan_of(folder, task="sequence-classification", records=None, **options):
    data = written(folder / "data.jsonl", records_of(task) if records is None else records)
    chosen = {"task": task, "target": "onnx", "model": str(folder), "output": folder / "none"}
    return plan_from_options(options_from(**chosen, evaluation=data, **options))


def evaluation_of(plan):
    """What parity.json would say, of the graphs of an export without its parity."""
    check_labelled_data(plan)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        graphs_from_plan(plan, Path(folder), Path(scratch), Quiet())
        done = []
        limits = Limits(min_accuracy=plan.options.proof.min_accuracy)
        accuracy = accuracy_from_folder(
            Path(folder), subject_from_plan(plan, None), plan.evaluation, limits, on_progress=lambda *step: done.append(step)
        )
    assert done[-1][0] == done[-1][1]
    assert done == sorted(done)
    values = values_from_accuracy(accuracy, manifest_from_plan(plan), plan.trained_length)
    jsonschema.validate(FULL | {"evaluation": values}, SCHEMA)
    return values


def figures_of(run):
    return [metric["value"] for metric in run["metrics"]]
