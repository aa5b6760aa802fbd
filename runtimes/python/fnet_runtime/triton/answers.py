"""The last step of an ensemble: a question and the outputs of the graph in, the answer out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import FNetRuntimeError, InputError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.triton.graphless import graphless_pipeline, with_outputs
from fnet_runtime.triton.questions import check_question, questions_from_tensors
from fnet_runtime.triton.server import Server, settings_from_arguments, strings
from fnet_runtime.triton.tensors import CHOICES, INPUTS, PAIR, QUESTION, TEXT, TOP_K
from fnet_runtime.triton.whole import outputs_from_answers


class AnswersModel:
    """What makes answers of the outputs of a bundle's graph. The Python backend makes and calls it."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the parts of the bundle."""
        settings = settings_from_arguments(args)
        self._server = Server()
        self._pipeline = graphless_pipeline(settings.bundle, max_text_bytes=settings.max_text_bytes)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return the answer of each request, or an error."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        manifest = self._pipeline.manifest
        names = [tensor.name for tensor in manifest.outputs]
        try:
            tensors = self._server.tensors(request, (QUESTION.name, *names))
            question = self._question(tensors.pop(QUESTION.name).reshape(-1)[0])
            check_question(self._pipeline, question)
            (answer,) = with_outputs(self._pipeline, tensors).answer_questions([question])
            if isinstance(answer, InputError):
                raise answer
        except FNetRuntimeError as error:
            return self._server.failure(error)
        outputs = outputs_from_answers([answer], request.requested_output_names(), manifest.labels)
        return self._server.response({name: array[0] for name, array in outputs.items()})

    def _question(self, data: bytes) -> Question:
        """Read a question from the JSON of the first step, as strictly as from a client. Raises InputError."""
        try:
            values = json_from_bytes(data)
            tensors = {TEXT.name: strings([values["text"]])}
            if values["second"] is not None:
                choices = isinstance(values["second"], list)
                seconds = strings(values["second"] if choices else [values["second"]])
                tensors[(CHOICES if choices else PAIR).name] = seconds.reshape(1, -1)
            if TOP_K in INPUTS[self._pipeline.manifest.task] and values["top_k"] is not None:
                tensors[TOP_K.name] = np.array([[values["top_k"]]], np.int32)
            (question,) = questions_from_tensors(tensors, max_text_bytes=self._pipeline.max_text_bytes)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"{QUESTION.name}: expected what the first step of the ensemble writes ({error!r})") from error
        return question
