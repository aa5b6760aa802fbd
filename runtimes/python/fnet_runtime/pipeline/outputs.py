"""Make answers of the model's outputs, one function per task."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.pipeline.answers import (
    Choice,
    Classification,
    Entities,
    Entity,
    LabelScore,
    NextSentence,
    Pretraining,
    TokenLabel,
    TokenLabels,
)
from fnet_runtime.pipeline.entities import Labelled, entities_from_scores, without_overlaps
from fnet_runtime.pipeline.masks import fillers_from_rows
from fnet_runtime.pipeline.model import Model, Request, Rows
from fnet_runtime.pipeline.options import NO_AGGREGATION
from fnet_runtime.pipeline.scores import scores_of_labels, softmax
from fnet_runtime.pipeline.spans import trimmed
from fnet_runtime.tokenizer.encoding import Span


def classification(model: Model, request: Request, outputs: Rows) -> Classification:
    """Score every label as the options or the checkpoint's problem_type say, and list those that are asked for."""
    options = request.options
    scores = scores_of_labels(outputs[0]["logits"][0], model.problem_type, options.function_to_apply)
    ranked = [LabelScore(model.manifest.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
    above = [s for s in ranked if options.threshold is None or s.score > options.threshold]
    return Classification(ranked[0].label, ranked[0].score, tuple(above[: options.top_k]), request.truncated)


def token_labels(model: Model, request: Request, outputs: Rows) -> TokenLabels | Entities:
    """Label every token of the text, or find the entities. Where windows overlap, the higher score counts."""
    strategy = request.options.aggregation_strategy
    scores = [softmax(row["logits"][0]) for row in outputs]
    windows = list(zip(request.encodings, scores, strict=True))
    if strategy != NO_AGGREGATION:
        found = [entity for window in windows for entity in entities_from_scores(model, request.text, *window, strategy)]
        found = without_overlaps(found) if len(windows) > 1 else found
        return Entities(tuple(_entity(request.text, entity) for entity in found), request.truncated)
    best_by_token: dict[int, tuple[float, int, Span]] = {}
    first = 0
    for encoding, rows in windows:
        positions = [i for i, segment in enumerate(encoding.segments) if segment == 0]
        for number, i in enumerate(positions, start=first):
            best = int(rows[i].argmax())
            score = float(rows[i][best])
            if number not in best_by_token or score > best_by_token[number][0]:
                best_by_token[number] = score, best, encoding.spans[i]
        first += len(positions) - (request.options.stride or 0)
    labels = []
    for score, best, span in best_by_token.values():
        start, end = trimmed(request.text, *span)
        labels.append(TokenLabel(model.manifest.labels[best], score, request.text[start:end], start, end))
    return TokenLabels(tuple(labels), request.truncated)


def _entity(text: str, entity: Labelled) -> Entity:
    start, end = trimmed(text, *entity.span)
    return Entity(entity.label, entity.score, text[start:end], start, end)


def next_sentence(model: Model, request: Request, outputs: Rows) -> NextSentence:
    """Decide whether the second text follows the first."""
    return _follows(request, outputs[0]["logits"][0])


def _follows(request: Request, logits: npt.NDArray[Any]) -> NextSentence:
    score = float(softmax(logits)[0])
    return NextSentence(score > 0.5, score, request.truncated)


def choice(model: Model, request: Request, outputs: Rows) -> Choice:
    """Choose one of the second texts."""
    assert request.second is not None
    scores = softmax(np.concatenate([row["logits"][0] for row in outputs]))
    best = int(scores.argmax())
    return Choice(best, request.second[best], float(scores[best]), tuple(scores.tolist()), request.truncated)


def pretraining(model: Model, request: Request, outputs: Rows) -> Pretraining:
    """Fill every [MASK] of the first text, and decide whether the second follows."""
    fillers = fillers_from_rows(model, request, [outputs[0]["prediction_logits"][0]])
    return Pretraining(fillers, _follows(request, outputs[0]["seq_relationship_logits"][0]), request.truncated)
