"""The first step of an ensemble: one question in, the inputs of the graph out, and the question for the last step."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.errors import FNetRuntimeError, InputError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.triton.graphless import graphless_pipeline
from fnet_runtime.triton.questions import check_question, questions_from_tensors
from fnet_runtime.triton.server import Server, settings_from_arguments, strings
from fnet_runtime.triton.tensors import INPUTS, QUESTION


class TokensModel:
    """The tokenizer of a bundle. The Python backend makes and calls it."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the parts of the bundle."""
        settings = settings_from_arguments(args)
        self._server = Server()
        self._max_rows = settings.max_rows
        self._pipeline = graphless_pipeline(settings.bundle, max_text_bytes=settings.max_text_bytes)
        self._inputs = [tensor.name for tensor in INPUTS[self._pipeline.manifest.task]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return the inputs of the graph for each request, or an error."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        try:
            tensors = self._server.tensors(request, self._inputs)
            questions = questions_from_tensors(tensors, max_text_bytes=self._pipeline.max_text_bytes)
            if len(questions) != 1:
                raise InputError(f"expected one text, found {len(questions)}; send a request for each text")
            return self._server.response(self._outputs(questions[0]))
        except FNetRuntimeError as error:
            return self._server.failure(error)

    def _outputs(self, question: Question) -> dict[str, npt.NDArray[Any]]:
        check_question(self._pipeline, question)
        rows = self._pipeline.inputs(question.text, question.second)
        if len(rows) > self._max_rows:
            raise InputError(
                f"the texts take {len(rows)} rows of the graph, and this model runs {self._max_rows} at most; shorten them"
            )
        outputs: dict[str, npt.NDArray[Any]] = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        values = {"text": question.text, "second": question.second, "top_k": question.top_k}
        outputs[QUESTION.name] = strings([json.dumps(values)])[0]
        return outputs
