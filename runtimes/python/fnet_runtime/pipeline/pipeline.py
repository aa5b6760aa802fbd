"""An opened bundle that answers texts: one typed function per task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar, cast, overload

from fnet_runtime.bundle.config import TOKEN_TYPES
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.errors import InputError, OptionError, SessionError
from fnet_runtime.pipeline import tasks
from fnet_runtime.pipeline.answers import (
    Answer,
    AnyAnswer,
    Choice,
    Classification,
    Embedding,
    Entities,
    Fillers,
    NextSentence,
    Pretraining,
    TokenLabels,
)
from fnet_runtime.pipeline.encodings import PositionedEncoding
from fnet_runtime.pipeline.model import Model, Question, Request, Second, Texts, pairs_of_texts
from fnet_runtime.pipeline.options import CUT, DEFAULT_OPTIONS, NO_AGGREGATION, REFUSE, SIMPLE, AnswerOptions
from fnet_runtime.pipeline.self_test import Check, checks_from_session
from fnet_runtime.pipeline.tasks import TASKS, Task, check_options, check_tokenizer
from fnet_runtime.sessions.bundle_session import Closing
from fnet_runtime.sessions.session import Ids, Outputs, Session, outputs_of_rows
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, Encoding
from fnet_runtime.tokenizer.tokenizer import MAX_TEXT_BYTES, check_size

SORTED_BATCHES = 16
"""How many batches of texts are read to find texts of one length among them, where texts are not padded to one length."""
A = TypeVar("A")


@dataclass(frozen=True, eq=False, kw_only=True)
class Pipeline(Model):
    """An opened bundle that answers; make it with `load`, or from parts with any Session. Any number of threads may call it.

    `close`, or the end of a `with` block, frees the engine.

    Each function below answers one task. It takes one text and returns one answer, or takes a list and returns a list.
    Each raises InputError for a bundle of another task, for a request that the task does not take and for a text that is too long.
    Each raises SessionError when the engine fails.
    """

    session: Session
    golden: Path
    max_text_bytes: int = MAX_TEXT_BYTES
    token_types: int = TOKEN_TYPES

    @overload
    def classify(
        self,
        text: str,
        pair: str | None = None,
        *,
        top_k: int | None = None,
        function_to_apply: str | None = None,
        threshold: float | None = None,
        truncation: str = CUT,
    ) -> Classification: ...
    @overload
    def classify(
        self,
        text: Texts,
        pair: Sequence[str | None] | None = None,
        *,
        top_k: int | None = None,
        function_to_apply: str | None = None,
        threshold: float | None = None,
        truncation: str = CUT,
    ) -> list[Classification]: ...
    def classify(
        self,
        text: str | Texts,
        pair: str | Sequence[str | None] | None = None,
        *,
        top_k: int | None = None,
        function_to_apply: str | None = None,
        threshold: float | None = None,
        truncation: str = CUT,
    ) -> Classification | list[Classification]:
        """Label a text, or a pair of texts.

        `scores` lists the best `top_k` labels above `threshold`, or all labels. `function_to_apply` is softmax, sigmoid or none.
        """
        options = AnswerOptions(top_k=top_k, truncation=truncation, function_to_apply=function_to_apply, threshold=threshold)
        return self._asked(tasks.SEQUENCE_CLASSIFICATION, text, pair, options)

    @overload
    def classify_tokens(self, text: str, *, stride: int | None = None, truncation: str = CUT) -> TokenLabels: ...
    @overload
    def classify_tokens(self, text: Texts, *, stride: int | None = None, truncation: str = CUT) -> list[TokenLabels]: ...
    def classify_tokens(
        self, text: str | Texts, *, stride: int | None = None, truncation: str = CUT
    ) -> TokenLabels | list[TokenLabels]:
        """Label every token of a text. With `stride`, a longer text is read in windows that share so many tokens."""
        found = self._asked(tasks.TOKEN_CLASSIFICATION, text, None, AnswerOptions(truncation=truncation, stride=stride))
        return cast(TokenLabels | list[TokenLabels], found)  # without a strategy

    @overload
    def find_entities(
        self, text: str, *, aggregation_strategy: str = SIMPLE, stride: int | None = None, truncation: str = CUT
    ) -> Entities: ...
    @overload
    def find_entities(
        self, text: Texts, *, aggregation_strategy: str = SIMPLE, stride: int | None = None, truncation: str = CUT
    ) -> list[Entities]: ...
    def find_entities(
        self, text: str | Texts, *, aggregation_strategy: str = SIMPLE, stride: int | None = None, truncation: str = CUT
    ) -> Entities | list[Entities]:
        """Group the labelled tokens of a text to entities. `aggregation_strategy` is simple, first, average or max.

        With `stride`, a longer text is read in windows that share so many tokens.
        """
        options = AnswerOptions(truncation=truncation, aggregation_strategy=aggregation_strategy, stride=stride)
        if aggregation_strategy == NO_AGGREGATION:
            raise OptionError("aggregation_strategy: expected simple, first, average or max; classify_tokens labels each token")
        return cast(Entities | list[Entities], self._asked(tasks.TOKEN_CLASSIFICATION, text, None, options))

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int = 5,
        stride: int | None = None,
        max_answer_len: int | None = None,
        handle_impossible_answer: bool = False,
        null_threshold: float | None = None,
        align_to_words: bool = True,
    ) -> tuple[Answer, ...]: ...
    @overload
    def answer(
        self,
        question: Texts,
        context: Sequence[str],
        *,
        top_k: int = 5,
        stride: int | None = None,
        max_answer_len: int | None = None,
        handle_impossible_answer: bool = False,
        null_threshold: float | None = None,
        align_to_words: bool = True,
    ) -> list[tuple[Answer, ...]]: ...
    def answer(
        self,
        question: str | Texts,
        context: str | Sequence[str],
        *,
        top_k: int = 5,
        stride: int | None = None,
        max_answer_len: int | None = None,
        handle_impossible_answer: bool = False,
        null_threshold: float | None = None,
        align_to_words: bool = True,
    ) -> tuple[Answer, ...] | list[tuple[Answer, ...]]:
        """Find up to `top_k` spans of a context that answer a question, each of up to `max_answer_len` tokens, best first.

        `handle_impossible_answer` adds an empty answer. `null_threshold` does too, and decides whether it is the first one.
        """
        options = AnswerOptions(
            top_k=top_k,
            stride=stride,
            max_answer_len=max_answer_len,
            handle_impossible_answer=handle_impossible_answer,
            null_threshold=null_threshold,
            align_to_words=align_to_words,
        )
        return self._asked(tasks.QUESTION_ANSWERING, question, context, options)

    @overload
    def fill_mask(self, text: str, *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT) -> Fillers: ...
    @overload
    def fill_mask(self, text: Texts, *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT) -> list[Fillers]: ...
    def fill_mask(
        self, text: str | Texts, *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT
    ) -> Fillers | list[Fillers]:
        """Find up to `top_k` tokens for every [MASK] of a text, best first; with `targets`, only these words."""
        return self._asked(tasks.MASKED_LM, text, None, _filling(top_k, targets, truncation))

    @overload
    def embed(
        self,
        text: str,
        pair: str | None = None,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        truncation: str = CUT,
    ) -> Embedding: ...
    @overload
    def embed(
        self,
        text: Texts,
        pair: Sequence[str | None] | None = None,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        truncation: str = CUT,
    ) -> list[Embedding]: ...
    def embed(
        self,
        text: str | Texts,
        pair: str | Sequence[str | None] | None = None,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        truncation: str = CUT,
    ) -> Embedding | list[Embedding]:
        """Return the vectors of a text, or of a pair of texts.

        `pooling` is pooler, cls, mean or max, and makes the pooled vector. `normalize` gives that vector length 1.
        """
        options = AnswerOptions(truncation=truncation, pooling=pooling, normalize=normalize)
        return self._asked(tasks.FEATURE_EXTRACTION, text, pair, options)

    @overload
    def next_sentence(self, text: str, second: str, *, truncation: str = CUT) -> NextSentence: ...
    @overload
    def next_sentence(self, text: Texts, second: Sequence[str], *, truncation: str = CUT) -> list[NextSentence]: ...
    def next_sentence(
        self, text: str | Texts, second: str | Sequence[str], *, truncation: str = CUT
    ) -> NextSentence | list[NextSentence]:
        """Decide whether a second text follows a first one."""
        return self._asked(tasks.NEXT_SENTENCE, text, second, AnswerOptions(truncation=truncation))

    @overload
    def choose(self, text: str, choices: Sequence[str], *, truncation: str = CUT) -> Choice: ...
    @overload
    def choose(self, text: Texts, choices: Sequence[Sequence[str]], *, truncation: str = CUT) -> list[Choice]: ...
    def choose(
        self, text: str | Texts, choices: Sequence[str] | Sequence[Sequence[str]], *, truncation: str = CUT
    ) -> Choice | list[Choice]:
        """Choose one of several second texts."""
        return self._asked(tasks.MULTIPLE_CHOICE, text, choices, AnswerOptions(truncation=truncation))

    @overload
    def pretraining(
        self, text: str, second: str, *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT
    ) -> Pretraining: ...
    @overload
    def pretraining(
        self, text: Texts, second: Sequence[str], *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT
    ) -> list[Pretraining]: ...
    def pretraining(
        self, text: str | Texts, second: str | Sequence[str], *, top_k: int = 5, targets: Sequence[str] = (), truncation: str = CUT
    ) -> Pretraining | list[Pretraining]:
        """Fill every [MASK] of a first text, and decide whether a second text follows it."""
        return self._asked(tasks.PRETRAINING, text, second, _filling(top_k, targets, truncation))

    @overload
    def __call__(
        self, text: str, pair: Second = None, *, top_k: int | None = None, options: AnswerOptions = DEFAULT_OPTIONS
    ) -> AnyAnswer: ...
    @overload
    def __call__(
        self,
        text: Texts,
        pair: Sequence[Second] | None = None,
        *,
        top_k: int | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
    ) -> list[AnyAnswer]: ...
    def __call__(
        self,
        text: str | Texts,
        pair: Second | Sequence[Second] = None,
        *,
        top_k: int | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
    ) -> AnyAnswer | list[AnyAnswer]:
        """Answer one text, or a list of texts, as the function of the bundle's own task does.

        `pair` is the second text, the context of a question or the choices; for a list of texts, a list of as many.
        `top_k` replaces that of `options`.
        """
        return self._asked(self._task, text, pair, _with_top_k(options, top_k))

    @overload
    async def ask_async(
        self, text: str, pair: Second = None, *, top_k: int | None = None, options: AnswerOptions = DEFAULT_OPTIONS
    ) -> AnyAnswer: ...
    @overload
    async def ask_async(
        self,
        text: Texts,
        pair: Sequence[Second] | None = None,
        *,
        top_k: int | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
    ) -> list[AnyAnswer]: ...
    async def ask_async(
        self,
        text: str | Texts,
        pair: Second | Sequence[Second] = None,
        *,
        top_k: int | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
    ) -> AnyAnswer | list[AnyAnswer]:
        """Answer as a call of the pipeline does, in a thread of the event loop's executor, so that the loop goes on.

        A call that is cancelled while it waits for a thread never runs. A call that runs already ends, and its answer is lost.
        """
        import asyncio  # most programs do not need it

        return await asyncio.to_thread(self._asked, self._task, text, pair, _with_top_k(options, top_k))

    def answer_each(
        self,
        texts: Sequence[str],
        pair: Second = None,
        *,
        top_k: int | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
    ) -> list[AnyAnswer | InputError]:
        """Answer texts, each with the same `pair`. An InputError takes the place of an answer that cannot be given.

        Raises OptionError for an option, InputError for a pair that fits no text, SessionError when the engine fails.
        """
        answers = self.answer_questions([Question(text, pair) for text in texts], _with_top_k(options, top_k))
        if any(isinstance(answer, InputError) for answer in answers):
            self._encoded(self._task, "a", pair, options)  # the text is good, so an error is of the pair
        return answers

    def answer_questions(
        self, questions: Sequence[Question], options: AnswerOptions = DEFAULT_OPTIONS
    ) -> list[AnyAnswer | InputError]:
        """Answer texts, each with its own second text. An InputError takes the place of an answer that cannot be given.

        Raises OptionError for an option of other tasks, SessionError when the engine fails.
        """
        self._check_options(self._task, options)
        requests = [self._request_or_error(question, options) for question in questions]
        answers = self._answered(self._task, [request for request in requests if isinstance(request, Request)])
        return [next(answers) if isinstance(request, Request) else request for request in requests]

    def answer_lazily(
        self, questions: Iterable[str | Question], *, top_k: int | None = None, options: AnswerOptions = DEFAULT_OPTIONS
    ) -> Iterator[AnyAnswer | InputError]:
        """Answer texts as an iterator brings them. `rows_at_once` of them are read, and answered before the next ones are read.

        An InputError takes the place of an answer that cannot be given. Raises OptionError at once for an option of other tasks.
        """
        self._check_options(self._task, _with_top_k(options, top_k))
        return self._answered_lazily(iter(questions), _with_top_k(options, top_k))

    def _answered_lazily(self, questions: Iterator[str | Question], options: AnswerOptions) -> Iterator[AnyAnswer | InputError]:
        while batch := list(islice(questions, self.rows_at_once)):
            yield from self.answer_questions([one if isinstance(one, Question) else Question(one) for one in batch], options)

    def inputs(self, text: str, pair: Second = None) -> list[dict[str, Ids]]:
        """Return the model's inputs for one request: a row for each window, choice or few masks, with a batch axis of 1.

        Raises InputError.
        """
        return [self._row(encoding) for encoding in self._encoded(self._task, text, pair)]

    def self_test(self) -> list[Check]:
        """Run golden.safetensors and compare the outputs with its float64 references."""
        return checks_from_session(self.session, golden_from_file(self.golden))

    def close(self) -> None:
        """Free the engine when the last call has ended. Later calls raise SessionError. Closing again does nothing."""
        if isinstance(self.session, Closing):
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows_at_once(self) -> int:
        """Return how many rows are answered together: a batch; or some batches, to find texts of one length among them."""
        return self.session.batch.max * (1 if self.manifest.padding == MAX_LENGTH else SORTED_BATCHES)

    @property
    def _task(self) -> Task[AnyAnswer]:
        return TASKS[self.manifest.task]

    def _asked(
        self, task: Task[A], text: str | Texts, second: Second | Sequence[Second], options: AnswerOptions = DEFAULT_OPTIONS
    ) -> A | list[A]:
        own_task = self._task
        if task.name != own_task.name:
            raise InputError(f"{task.function}: expected a bundle of {task.name}, found {own_task.name}; call {own_task.function}")
        self._check_options(task, options)
        requests = [self._request(task, t, s, options) for t, s in pairs_of_texts(text, second)]
        answers: list[A] = []
        for answer in self._answered(task, requests):
            if isinstance(answer, InputError):
                raise answer
            answers.append(answer)
        return answers[0] if isinstance(text, str) else answers

    def _check_options(self, task: Task[object], options: AnswerOptions) -> None:
        """Raise OptionError for an option that no text could be answered with."""
        check_options(task, options)
        check_tokenizer(self.tokenizer, options)

    def _request_or_error(self, question: Question, options: AnswerOptions) -> Request | InputError:
        try:
            return self._request(self._task, question.text, question.second, _with_top_k(options, question.top_k))
        except InputError as error:
            return error

    def _request(self, task: Task[object], text: str, second: Second, options: AnswerOptions) -> Request:
        request = Request(text, second, self._encoded(task, text, second, options), options)
        if options.truncation == REFUSE and request.truncated:
            raise InputError(
                f"expected a text of at most {self.manifest.sequence_length} tokens, with [CLS] and [SEP]; found a longer one. "
                "Shorten it, or set truncation to cut"
            )
        return request

    def _answered(self, task: Task[A], requests: list[Request]) -> Iterator[A | InputError]:
        """Answer requests in their order, as many at once as fill a batch; more where their lengths differ."""
        rows = self.rows_at_once
        waiting: list[Request] = []
        for request in requests:
            if sum(r.rows for r in waiting) >= rows:
                yield from self._run(task, waiting)
                waiting = []
            waiting.append(request)
        if waiting:
            yield from self._run(task, waiting)

    def _encoded(
        self, task: Task[object], text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS
    ) -> tuple[Encoding, ...]:
        seconds = second if isinstance(second, Sequence) and not isinstance(second, str) else [second]
        for one in (text, *seconds):
            check_size(one, self.max_text_bytes)
        encodings = task.encode(self, text, second, options)
        if second is not None and self.token_types < 2:
            raise InputError(
                f"{task.name}: expected one text, found a pair; this model has one token type (type_vocab_size 1), "
                "and a second text needs another token type"
            )
        return encodings

    def _run(self, task: Task[A], requests: list[Request]) -> Iterator[A | InputError]:
        """Run the rows of requests, and answer each request when its last row is done, so that few outputs are in memory."""
        places = [(number, index) for number, request in enumerate(requests) for index in range(request.rows)]
        rows = [self._row(requests[number].encodings[index]) for number, index in places]
        outputs: list[dict[int, Outputs]] = [{} for _ in requests]
        answers: dict[int, A | InputError] = {}
        for row, of_row in outputs_of_rows(self.session, rows):
            number, index = places[row]
            request = requests[number]
            self._check_outputs(task.outputs, request.encodings[index], of_row)
            outputs[number][index] = of_row
            if len(outputs[number]) == request.rows:
                try:
                    answers[number] = task.answer(self, request, [outputs[number][i] for i in range(request.rows)])
                except InputError as error:
                    answers[number] = error
                outputs[number].clear()
        yield from (answers[number] for number in range(len(requests)))

    def _check_outputs(self, expected: Mapping[str, str], encoding: Encoding, outputs: Outputs) -> None:
        """Raise SessionError unless every output has the axes that the task reads."""
        lengths = {
            "s": len(encoding.input_ids),
            "p": len(encoding.masked_lm_positions if isinstance(encoding, PositionedEncoding) else encoding.input_ids),
            "c": 1,
            "l": len(self.manifest.labels),
        }
        for name, axes in expected.items():
            shape = outputs[name].shape if name in outputs else ()
            expected_shape = [lengths.get(axis, length) for axis, length in zip(axes, shape, strict=False)]
            if len(shape) != len(axes) or list(shape) != expected_shape or 0 in shape:
                raise SessionError(f"{name}: the graph's output has other axes than {self.manifest.task} has")

    def _row(self, encoding: Encoding) -> dict[str, Ids]:
        choices = self._task.choices
        arrays = {tensor.name: getattr(encoding, tensor.name)[None] for tensor in self.manifest.inputs}
        return {name: array[None] if choices else array for name, array in arrays.items()}


def _filling(top_k: int, targets: Sequence[str], truncation: str) -> AnswerOptions:
    if isinstance(targets, str):
        raise OptionError(f"targets: expected a list of words, found {targets!r}")
    return AnswerOptions(top_k=top_k, targets=tuple(targets), truncation=truncation)


def _with_top_k(options: AnswerOptions, top_k: int | None) -> AnswerOptions:
    return options if top_k is None else replace(options, top_k=top_k)
