"""A bundle as one model of a Triton server: texts in, answers out (`fnet-export triton --form whole`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.errors import FNetRuntimeError, InputError
from fnet_runtime.pipeline.answers import AnyAnswer, Classification, Embedding
from fnet_runtime.pipeline.model import Question
from fnet_runtime.pipeline.open import load
from fnet_runtime.triton.questions import check_question, questions_from_tensors
from fnet_runtime.triton.server import Server, check_and_warm, settings_from_arguments, strings
from fnet_runtime.triton.tensors import ANSWER, INPUTS, POOLED, SCORES


class WholeModel:
    """A bundle that answers the requests of a Triton server. The Python backend makes and calls it."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the bundle, run its golden inputs and compare. An error of this function keeps the model from being loaded."""
        settings = settings_from_arguments(args)
        self._server = Server()
        self._pipeline = load(
            settings.bundle, runtime=settings.runtime, threads=settings.threads, max_text_bytes=settings.max_text_bytes
        )
        check_and_warm(self._pipeline, settings.bundle)
        self._inputs = [tensor.name for tensor in INPUTS[self._pipeline.manifest.task]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of a batch together. A request that cannot be answered gets an error, and the others are answered."""
        asked = [self._questions(request) for request in requests]
        try:
            good = [question for questions in asked if isinstance(questions, list) for question in questions]
            answers = iter(self._pipeline.answer_questions(good))
        except FNetRuntimeError as error:  # the engine failed
            return [self._server.failure(questions if isinstance(questions, InputError) else error) for questions in asked]
        return [
            self._server.failure(questions)
            if isinstance(questions, InputError)
            else self._response(request, [next(answers) for _ in questions])
            for request, questions in zip(requests, asked, strict=True)
        ]

    def finalize(self) -> None:
        """Close the bundle."""
        del self._pipeline

    def _questions(self, request: Any) -> list[Question] | InputError:
        try:
            tensors = self._server.tensors(request, self._inputs)
            questions = questions_from_tensors(tensors, max_text_bytes=self._pipeline.max_text_bytes)
            for question in questions:
                check_question(self._pipeline, question)
            return questions
        except InputError as error:
            return error

    def _response(self, request: Any, answers: list[AnyAnswer | InputError]) -> Any:
        """Return the outputs that a request asks for, or the error of its first row that has no answer."""
        for row, answer in enumerate(answers):
            if isinstance(answer, InputError):
                return self._server.failure(InputError(f"row {row}: {answer}" if len(answers) > 1 else str(answer)))
        good = [answer for answer in answers if not isinstance(answer, InputError)]
        names, labels = request.requested_output_names(), self._pipeline.manifest.labels
        return self._server.response(outputs_from_answers(good, names, labels))


def outputs_from_answers(answers: Sequence[AnyAnswer], names: Sequence[str], labels: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the outputs `names` of answers, each with a row for each answer. Scores are in the order of `labels`."""
    outputs: dict[str, npt.NDArray[Any]] = {}
    if ANSWER.name in names:
        outputs[ANSWER.name] = strings([json_from_values(answer) for answer in answers])
    if SCORES in names:
        by_label = [{s.label: s.score for s in answer.scores} for answer in answers if isinstance(answer, Classification)]
        outputs[SCORES] = np.array([[scores[label] for label in labels] for scores in by_label], np.float64)
    if POOLED in names:
        outputs[POOLED] = np.array([answer.pooled for answer in answers if isinstance(answer, Embedding)], np.float32)
    return outputs
