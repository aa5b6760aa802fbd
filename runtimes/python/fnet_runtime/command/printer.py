"""Prints what was found for texts, in their order, and counts those that were cut or could not be answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fnet_runtime.command.asked_texts import Asked, Place
from fnet_runtime.command.standard_output import write_line
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answer_text import TASKS_OF_ROWS, escaped, json_from_answer, text_from_answer
from fnet_runtime.pipeline.model import Second
from fnet_runtime.pipeline.pipelines import Pipeline
from fnet_runtime.pipeline.scores import MULTI_LABEL


@dataclass
class Printer:
    """Answers batches of texts and prints the answers. With `lines` an error stands in place of an answer, else it ends the run."""

    pipeline: Pipeline
    second: Second
    top_k: int
    as_json: bool
    lines: bool
    texts: int = 0
    cut: int = 0
    errors: int = 0
    first_cut: Place | None = None
    first_error: str = ""

    def answer(self, batch: list[Asked]) -> None:
        """Answer texts and print what was found. Raises InputError, without `lines` for a text, and SessionError."""
        answers = iter(self.pipeline.answer_each([t for _, t in batch if isinstance(t, str)], self.second, top_k=self.top_k))
        found = [(place, next(answers) if isinstance(text, str) else text) for place, text in batch]
        for place, answer in found:
            if isinstance(answer, InputError) and not self.lines:
                raise InputError(str(answer) if len(batch) == 1 else f"{place}: {answer}")
        shown = []
        for place, answer in found:
            shown.append(self._json(place, answer) if self.as_json else self._text(place, answer))
            self._count(place, answer)
        if shown:
            write_line("\n".join(shown))

    def notes(self) -> Iterator[str]:
        """Say how many texts were cut and how many could not be answered, and which was the first of them."""
        if self.cut:
            which = "the text" if self.texts == 1 else f"{self.cut} of {self.texts} texts (the first is {self.first_cut})"
            length = self.pipeline.manifest.sequence_length
            yield f"note: the sequence length of {length} tokens cut {which}; what was cut has no part in the answer"
        if self.errors:
            yield f"error: {self.errors} of {self.texts} texts could not be answered; the first is {self.first_error}"

    def _json(self, place: Place, answer: Any) -> str:
        if isinstance(answer, InputError):
            return json_from_answer({"error": str(answer), "source": place.source, "line": place.number})
        return json_from_answer(answer)

    def _text(self, place: Place, answer: Any) -> str:
        """Return the rows of one text; where an answer may have several, an empty line comes before those of every other text."""
        if isinstance(answer, InputError):
            rows = f"(error)\t{escaped(f'{place}: {answer}')}"
        else:
            rows = text_from_answer(answer, multi_label=self.pipeline.problem_type == MULTI_LABEL)
        return f"\n{rows}" if self.texts and self.pipeline.manifest.task in TASKS_OF_ROWS else rows

    def _count(self, place: Place, answer: Any) -> None:
        self.texts += 1
        if isinstance(answer, InputError):
            self.errors += 1
            self.first_error = self.first_error or f"{place}: {answer}"
        elif getattr(answer, "truncated", False):  # nothing is cut of the texts of question-answering
            self.cut += 1
            self.first_cut = self.first_cut or place
