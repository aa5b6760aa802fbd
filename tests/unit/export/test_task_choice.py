"""The task that an export takes if nobody names one."""

import json

import pytest
from click.testing import CliRunner
from support.checkpoints import save_tiny
from support.exports import options_from

from fnet_core.checkpoint.open import checkpoint_from_name
from fnet_core.tasks import TASKS
from fnet_export.base.errors import OptionError
from fnet_export.commands.cli import main
from fnet_export.plan.plan import plan_from_options
from fnet_export.plan.task_choice import task_from_name


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_it_is_the_task_of_the_class_that_architectures_names(task, tmp_path):
    architectures = ("FNetOfMyOwn", task.huggingface_class)
    checkpoint = checkpoint_from_name(str(save_tiny(tmp_path, task.name, architectures=architectures)))
    choice = task_from_name("auto", checkpoint)
    note = f"task {task.name}: architectures in config.json names {task.huggingface_class}; --task names another"
    assert (choice.task, choice.note) == (task, note)


def test_a_task_that_is_asked_for_needs_no_architectures(checkpoint):
    choice = task_from_name("ner", checkpoint_from_name(str(checkpoint)))
    assert (choice.task.name, choice.note) == ("token-classification", None)


@pytest.mark.parametrize(
    ("architectures", "found"),
    [
        ((), "there are no architectures"),
        (("BertModel",), "architectures is BertModel"),
        (("FNetModel", "FNetForMaskedLM"), "architectures is FNetModel, FNetForMaskedLM"),
    ],
)
def test_what_cannot_tell_is_refused_with_the_tasks_of_the_checkpoint(architectures, found, tmp_path):
    folder = save_tiny(tmp_path / "c", "question-answering", architectures=architectures)
    with pytest.raises(OptionError) as error:
        plan_from_options(options_from(target="onnx", model=str(folder)))
    assert str(error.value) == (
        f"--task auto: {folder}: expected one class of transformers' FNet in architectures of config.json; found that {found}. "
        "Name the task with --task; the checkpoint has heads for: question-answering"
    )


def test_a_checkpoint_without_a_head_gets_all_tasks(tmp_path):
    folder = save_tiny(tmp_path, "masked-lm", tie_word_embeddings=False)
    checkpoint = checkpoint_from_name(str(folder))
    for name in [name for name in checkpoint.tensors if name.startswith("cls.")]:
        del checkpoint.tensors[name]
    with pytest.raises(OptionError, match="the checkpoint has no head; the tasks are: feature-extraction, pretraining, masked-lm"):
        task_from_name("auto", checkpoint)


def test_the_command_says_what_was_taken(tmp_path):
    folder = save_tiny(tmp_path / "c", "masked-lm", architectures=("FNetForMaskedLM",))
    words = ["--target", "onnx", "--model", str(folder), "--output", str(tmp_path / "b"), "--dry-run"]
    shown = CliRunner().invoke(main, words)
    assert "note: task masked-lm: architectures in config.json names FNetForMaskedLM; --task names another\n" in shown.stdout
    values = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert values["task"] == "masked-lm"


def test_the_built_in_model_has_several_tasks():
    shown = CliRunner().invoke(main, ["--target", "onnx", "--output", "b"])
    heads = "the checkpoint has heads for: feature-extraction, pretraining, masked-lm, next-sentence-prediction, sequence-"
    assert (shown.exit_code, heads in shown.stderr) == (2, True), shown.output
