"""Print the answers of texts in their order, and count the texts that were cut or could not be answered."""

from collections.abc import Iterator
from dataclasses import dataclass

from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.command.answer_text import TASKS_OF_ROWS, escaped, text_from_answer
from fnet_runtime.command.questions import PLAIN, question_from_line
from fnet_runtime.command.standard_output import write_line
from fnet_runtime.command.texts import ARGUMENT, Place, PlacedText
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answers import AnyAnswer
from fnet_runtime.pipeline.model import Question, Second
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.scores import MULTI_LABEL
from fnet_runtime.pipeline.tasks import MULTIPLE_CHOICE


@dataclass
class Printer:
    """Answer batches of texts and print the answers. With `lines` an error takes the place of an answer; else it ends the run."""

    pipeline: Pipeline
    second: Second
    options: AnswerOptions
    as_json: bool
    lines: bool
    line_format: str = PLAIN
    texts: int = 0
    cut: int = 0
    errors: int = 0
    first_cut: Place | None = None
    first_error: str = ""

    def answer(self, batch: list[PlacedText]) -> None:
        """Answer texts and print the answers. Raises SessionError, and without `lines` the InputError of a text."""
        asked = [(place, self._question(place, text)) for place, text in batch]
        answers = iter(self._answers([question for _, question in asked if isinstance(question, Question)]))
        answered = [(place, next(answers) if isinstance(question, Question) else question) for place, question in asked]
        for place, answer in answered:
            if isinstance(answer, InputError) and not self.lines:
                raise InputError(str(answer) if len(batch) == 1 else f"{place}: {answer}")
        shown = []
        for place, answer in answered:
            shown.append(self._json(place, answer) if self.as_json else self._text(place, answer))
            self._count(place, answer)
        if shown:
            write_line("\n".join(shown))

    def cut_texts(self) -> Iterator[str]:
        """Say how many texts were cut and which was the first, if any."""
        if self.cut:
            which = "the text" if self.texts == 1 else f"{self.cut} of {self.texts} texts (the first is {self.first_cut})"
            length = self.pipeline.manifest.sequence_length
            yield f"note: the sequence length of {length} tokens cut {which}; the answer does not depend on the rest"

    def failed_texts(self) -> Iterator[str]:
        """Say how many texts could not be answered and which was the first, if any."""
        if self.errors:
            yield f"error: {self.errors} of {self.texts} texts could not be answered; the first is {self.first_error}"

    def _question(self, place: Place, text: str | InputError) -> Question | InputError:
        """Return the question of a text. A line may have its own second text; every other text has the pair of the command line."""
        if isinstance(text, InputError):
            return text
        if self.line_format == PLAIN or place.source == ARGUMENT:
            return Question(text, self.second)
        try:
            return question_from_line(text, self.line_format, choices=self.pipeline.manifest.task == MULTIPLE_CHOICE.name)
        except InputError as error:
            return error

    def _answers(self, questions: list[Question]) -> list[AnyAnswer | InputError]:
        """Answer questions. A pair of the command line that no text could be answered with ends the run."""
        if self.line_format == PLAIN:
            return self.pipeline.answer_each([question.text for question in questions], self.second, options=self.options)
        return self.pipeline.answer_questions(questions, self.options)

    def _json(self, place: Place, answer: AnyAnswer | InputError) -> str:
        if isinstance(answer, InputError):
            return json_from_values({"error": str(answer), "source": place.source, "line": place.number})
        return json_from_values(answer)

    def _text(self, place: Place, answer: AnyAnswer | InputError) -> str:
        """Return the rows of one text. Where a text may have several rows, an empty line separates two texts."""
        if isinstance(answer, InputError):
            rows = f"(error)\t{escaped(f'{place}: {answer}')}"
        else:
            rows = text_from_answer(answer, multi_label=self.pipeline.problem_type == MULTI_LABEL, options=self.options)
        return f"\n{rows}" if self.texts and self.pipeline.manifest.task in TASKS_OF_ROWS else rows

    def _count(self, place: Place, answer: AnyAnswer | InputError) -> None:
        self.texts += 1
        if isinstance(answer, InputError):
            self.errors += 1
            self.first_error = self.first_error or f"{place}: {answer}"
        elif not isinstance(answer, tuple) and answer.truncated:  # question-answering cuts nothing
            self.cut += 1
            self.first_cut = self.first_cut or place
