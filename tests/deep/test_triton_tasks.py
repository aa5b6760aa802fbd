"""The models of Triton repositories answer as the runtime does, for every task and padding, with a stand-in for the server."""

import fnet_runtime
import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.tasks import TASKS
from support.triton_models import arrays_of, asked, check_answers, question_of, write
from support.triton_schema import config_of

from fnet_export.base.errors import OptionError


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("padding", ["max_length", "none"])
def test_every_task_answers_as_the_runtime_does(task, padding, bundles, tmp_path, monkeypatch):
    check_answers(bundles, task, padding, tmp_path, monkeypatch)


CASES = [(task, padding) for task in TASKS for padding in ("max_length", "none")]
REFUSED = {("question-answering", "none"), ("multiple-choice", "none")}
"""The rows of one request of these have different lengths."""


@pytest.mark.parametrize(("task", "padding"), [case for case in CASES if case not in REFUSED])
def test_the_steps_answer_as_the_runtime_does(task, padding, bundles, tmp_path, monkeypatch):
    bundle = bundles(task, **({} if padding == "max_length" else {"padding": padding}))
    folder = write(bundle, tmp_path, form="ensemble")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model_answers", "model_graph", "model_tokens"]
    outputs = [output.name for output in config_of(folder).output]
    pipeline = fnet_runtime.load(bundle)
    for row in range(2):
        text, second = question_of(task, row)
        response = asked(folder, monkeypatch, outputs, **{name: array[row] for name, array in arrays_of(task).items()})
        assert response.error is None, response.error.message
        (answer,) = pipeline.answer_each([text], second)
        assert response.outputs["answer"].tolist() == [json_from_values(answer).encode()]
        assert set(response.outputs) == set(outputs)


@pytest.mark.parametrize("task", sorted({task for task, _ in REFUSED}))
def test_rows_of_different_lengths_are_refused(task, bundles, tmp_path):
    with pytest.raises(OptionError, match="does not pad texts, so the rows of one request of .* use --form whole"):
        write(bundles(task, padding="none"), tmp_path, form="ensemble")
