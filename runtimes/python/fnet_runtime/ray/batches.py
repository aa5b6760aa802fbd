"""Answer the rows of a Ray dataset: one opened bundle per actor."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.errors import InputError, SessionError
from fnet_runtime.pipeline.answers import AnyAnswer
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.ray.cluster import Actors, check_cluster, library
from fnet_runtime.ray.columns import ERROR, columns_of_task, with_answers
from fnet_runtime.sessions.runtimes import AUTO
from fnet_runtime.tokenizer.tokenizer import MAX_TEXT_BYTES

BATCH_ROWS = 256
"""The rows of one call of an actor. A pipeline finds texts of one length among them."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How rows are answered: the columns of the text and of the second text (or context, or choices), and options of `load`."""

    text: str = "text"
    pair: str | None = None
    top_k: int | None = None
    runtime: str = AUTO
    max_text_bytes: int = MAX_TEXT_BYTES

    def __post_init__(self) -> None:
        AnswerOptions(top_k=self.top_k)  # checks it


class Answerer:
    """A class for `Dataset.map_batches` with `batch_format="pyarrow"`. Each actor opens the bundle once.

    A call returns its rows in their order, with the columns of their answers (docs/scaling.md). A row that cannot be answered has
    the reason in the column `error`.
    """

    def __init__(self, bundle: Path | str, options: BatchOptions | None = None, *, threads: int | None = None) -> None:
        """Open a bundle. Raises the errors of `load`, and InputError for a pair column that the task lacks or does not take."""
        self.options = options or BatchOptions()
        self.pipeline: Pipeline = load(
            bundle, runtime=self.options.runtime, threads=threads, max_text_bytes=self.options.max_text_bytes
        )
        self.task = self.pipeline.manifest.task
        self._check_pair()

    def __call__(self, table: Any) -> Any:
        """Answer the rows of an Arrow table. Raises InputError for a missing column, or a column that an answer needs itself."""
        names = [self.options.text] + ([self.options.pair] if self.options.pair else [])
        for name in names:
            if name not in table.column_names:
                raise InputError(f"expected a column {name!r}; found {', '.join(table.column_names)}")
        for name in (*(column.name for column in columns_of_task(self.task)), ERROR):
            if name in table.column_names:
                raise InputError(f"the rows have a column {name!r} already, which the answers need; rename it or leave it out")
        columns = [table.column(name).to_pylist() for name in names]
        return with_answers(table, self.task, answers_of_rows(self.pipeline, *columns, top_k=self.options.top_k))

    def _check_pair(self) -> None:
        choices = self.task == "multiple-choice"
        try:
            self.pipeline.inputs("a", (["b"] if choices else "b") if self.options.pair else None)
        except InputError as error:
            raise InputError(f"{error}; name the column of the second text with `pair`, or leave `pair` out") from error


def answers_of_rows(
    pipeline: Pipeline, texts: Sequence[Any], pairs: Sequence[Any] | None = None, *, top_k: int | None = None
) -> list[AnyAnswer | InputError]:
    """Answer texts, each with its own pair. An InputError takes the place of an answer that cannot be given."""
    seconds = [None] * len(texts) if pairs is None else list(pairs)
    try:
        return [*pipeline(list(texts), seconds, top_k=top_k)]
    except InputError:  # one row is bad, so each is answered alone
        return [_answer_or_error(pipeline, text, second, top_k) for text, second in zip(texts, seconds, strict=True)]


def _answer_or_error(pipeline: Pipeline, text: Any, second: Any, top_k: int | None) -> AnyAnswer | InputError:
    try:
        if not isinstance(text, str):
            raise InputError("the text is null" if text is None else f"expected a text, found {type(text).__name__}")
        return pipeline(text, second, top_k=top_k)
    except InputError as error:
        return error


def answered(
    dataset: Any,
    bundle: Path | str,
    options: BatchOptions | None = None,
    *,
    actors: Actors | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Return a Ray dataset whose rows have answers. Like every step of a Ray dataset, it runs when the result is read.

    The path of the bundle must exist on every node. Raises ClusterError unless the cluster has free CPUs for the actors and for
    reading. The bundle is opened here once, to raise the errors of `Answerer` early, except those of an engine that only the
    nodes may be able to open.
    """
    chosen, options = actors or Actors(), options or BatchOptions()
    check_cluster(chosen)
    folder = Path(bundle).absolute()
    with suppress(SessionError):
        Answerer(folder, options, threads=chosen.threads).pipeline.close()
    return dataset.map_batches(
        Answerer,
        fn_constructor_args=(folder, options),
        fn_constructor_kwargs={"threads": chosen.threads},
        batch_format="pyarrow",
        batch_size=batch_rows,
        compute=library("ray.data").ActorPoolStrategy(size=chosen.count),
        num_cpus=chosen.cpus,
        num_gpus=chosen.gpus or None,
    )
