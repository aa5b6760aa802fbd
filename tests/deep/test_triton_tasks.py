"""The models of Triton repositories answer as the runtime does, for every task and padding, with a stand-in for the server."""

import pytest
from fnet_runtime.pipeline.tasks import TASKS
from support.triton_models import check_answers


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("padding", ["max_length", "none"])
def test_every_task_answers_as_the_runtime_does(task, padding, bundles, tmp_path, monkeypatch):
    check_answers(bundles, task, padding, tmp_path, monkeypatch)
