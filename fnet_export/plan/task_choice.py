"""Which task a checkpoint is exported for: asked for, or read from the architectures in config.json."""

from dataclasses import dataclass

from fnet_core.checkpoint.open import Checkpoint
from fnet_core.checkpoint.sentence_transformers import MODULES
from fnet_core.tasks import TASKS, Task, task_named
from fnet_export.base.errors import OptionError

AUTO_TASK = "auto"
"""The task that config.json names."""
FEATURE_EXTRACTION = "feature-extraction"


@dataclass(frozen=True, kw_only=True)
class TaskChoice:
    """A task, and the note that says why it was taken; None if it was asked for."""

    task: Task
    note: str | None


def task_from_name(name: str, checkpoint: Checkpoint) -> TaskChoice:
    """Resolve the name of a task; AUTO_TASK is the task of the one class of transformers' FNet that config.json names.

    Raises OptionError if config.json names no such class, or several. Raises TaskError for an unknown name.
    """
    if name != AUTO_TASK:
        return TaskChoice(task=task_named(name), note=None)
    if checkpoint.sentence is not None:
        note = f"task {FEATURE_EXTRACTION}: {MODULES} is of sentence-transformers; --task names another"
        return TaskChoice(task=task_named(FEATURE_EXTRACTION), note=note)
    named = checkpoint.config.architectures
    tasks = [task for task in TASKS.values() if task.huggingface_class in named]
    if len(tasks) != 1:
        raise OptionError(_cannot_tell(checkpoint))
    (task,) = tasks
    note = f"task {task.name}: architectures in {checkpoint.origin} names {task.huggingface_class}; --task names another"
    return TaskChoice(task=task, note=note)


def _cannot_tell(checkpoint: Checkpoint) -> str:
    """Return the error: what architectures says, and the tasks that the checkpoint has a head for."""
    named = checkpoint.config.architectures
    found = f"architectures is {', '.join(named)}" if named else "there are no architectures"
    heads = ", ".join(checkpoint.tasks)
    choice = f"the checkpoint has heads for: {heads}" if heads else f"the checkpoint has no head; the tasks are: {', '.join(TASKS)}"
    return (
        f"--task {AUTO_TASK}: {checkpoint.source.id}: expected one class of transformers' FNet in architectures of config.json; "
        f"found that {found}. Name the task with --task; {choice}"
    )
