"""The tensors that a client of a Triton server sends and receives, by task: names, types and axes (docs/triton.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.pipeline.tasks import (
    FEATURE_EXTRACTION,
    MASKED_LM,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE,
    PRETRAINING,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)

STRING, INT32, INT64, FP32, FP64 = "TYPE_STRING", "TYPE_INT32", "TYPE_INT64", "TYPE_FP32", "TYPE_FP64"
"""Triton's names of types. A TYPE_STRING holds bytes, which are UTF-8 here."""
ANY = -1
"""Triton's length of an open axis."""


@dataclass(frozen=True, kw_only=True)
class TritonTensor:
    """An input or output: its name, type, and axes without the batch. An `optional` input may be missing.

    Requests whose `ragged` inputs have different lengths may still form a batch.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool = False
    ragged: bool = False


TEXT = TritonTensor(name="text", data_type=STRING, dims=(1,))
PAIR = TritonTensor(name="pair", data_type=STRING, dims=(1,))
OPTIONAL_PAIR = TritonTensor(name="pair", data_type=STRING, dims=(1,), optional=True)
CHOICES = TritonTensor(name="choices", data_type=STRING, dims=(ANY,), ragged=True)
TOP_K = TritonTensor(name="top_k", data_type=INT32, dims=(1,), optional=True)
INPUTS: Mapping[str, tuple[TritonTensor, ...]] = {
    FEATURE_EXTRACTION.name: (TEXT, OPTIONAL_PAIR),
    PRETRAINING.name: (TEXT, PAIR, TOP_K),
    MASKED_LM.name: (TEXT, TOP_K),
    NEXT_SENTENCE.name: (TEXT, PAIR),
    SEQUENCE_CLASSIFICATION.name: (TEXT, OPTIONAL_PAIR),
    MULTIPLE_CHOICE.name: (TEXT, CHOICES),
    TOKEN_CLASSIFICATION.name: (TEXT,),
    QUESTION_ANSWERING.name: (TEXT, PAIR, TOP_K),
}
"""By task."""
ANSWER = TritonTensor(name="answer", data_type=STRING, dims=(1,))
"""The answer as JSON, the line that `fnet-run --json` prints."""
SCORES, POOLED = "scores", "pooled"
QUESTION = TritonTensor(name="question", data_type=STRING, dims=(1,))
"""The question as JSON, between the first and the last step of an ensemble."""


def outputs_of_manifest(manifest: Manifest) -> tuple[TritonTensor, ...]:
    """Return the outputs for a bundle: the answer, the scores of a classifier in the order of its labels, the vector of a text.

    A classifier that has the same label twice has no scores, because their names would be the same.
    """
    if manifest.task == SEQUENCE_CLASSIFICATION.name and len(set(manifest.labels)) == len(manifest.labels):
        return ANSWER, TritonTensor(name=SCORES, data_type=FP64, dims=(len(manifest.labels),))
    if manifest.task == FEATURE_EXTRACTION.name:
        (pooler,) = (tensor for tensor in manifest.outputs if tensor.name == "pooler_output")
        return ANSWER, TritonTensor(name=POOLED, data_type=FP32, dims=(int(pooler.axes[-1]),))
    return (ANSWER,)
