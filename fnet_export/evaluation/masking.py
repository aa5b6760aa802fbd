"""Masked tokens of a labelled text, and how well a pipeline's session guesses them: pseudo-perplexity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fnet_runtime.bundle.manifest import POSITIONS
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.session import Ids, Outputs, run_in_batches
from fnet_runtime.tokenizer.encoding import Encoding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

from fnet_export.base.errors import EvaluationError
from fnet_export.evaluation.labelled import Record

MASKED_SHARE = 0.15
"""As BERT and FNet were trained; every chosen token becomes a [MASK], none a random one."""
MASK_SEED = 0


@dataclass(frozen=True, eq=False)
class Guesses:
    """Per masked token what it was, what the model guesses, and its negative log-likelihood in nats; `follows`: float[2] logits.

    tokens, guesses: int64[mask]; nats: float64[mask]. `follows` is None for a model without the next-sentence head.
    """

    tokens: Ids
    guesses: Ids
    nats: npt.NDArray[np.float64]
    follows: npt.NDArray[np.floating] | None


def guesses_from_record(pipeline: Pipeline, record: Record) -> Guesses:
    """Mask 15 % of a record's tokens, all at once, and guess them. Raises as `masks_from_record`."""
    encoding, masks = masks_from_record(pipeline, record)
    tokens, masked = encoding.input_ids[masks], encoding.input_ids.copy()
    masked[masks] = pipeline.tokenizer.mask_id
    outputs = _outputs(pipeline, encoding, masked, masks)
    logits = outputs["prediction_logits" if "prediction_logits" in outputs else "logits"]
    at_positions = any(tensor.name == POSITIONS for tensor in pipeline.manifest.inputs)
    rows = logits.reshape(-1, logits.shape[-1])[: len(masks)] if at_positions else logits[0, masks]
    scores = rows[:, : pipeline.tokenizer.vocab_size].astype(np.float64)
    highest = scores.max(axis=-1)
    totals = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=-1))
    nats = totals - scores[np.arange(len(masks)), tokens]
    follows = outputs.get("seq_relationship_logits")
    return Guesses(tokens, scores.argmax(axis=-1), nats, None if follows is None else follows[0])


def masks_from_record(pipeline: Pipeline, record: Record) -> tuple[Encoding, Ids]:
    """Encode a record, and draw the positions to mask.

    Raises InputError for texts that the tokenizer refuses, EvaluationError for a text without tokens.
    """
    second = record.second if isinstance(record.second, str) else None
    encoding = pipeline.tokenizer.encode(record.text, second, padding=pipeline.manifest.text_padding)
    masks = masks_from_encoding(encoding, pipeline.tokenizer, seed=record.line)
    if not len(masks):
        raise EvaluationError(f"{record.where}: text: expected a token to mask, found none")
    return encoding, masks


def masks_from_encoding(encoding: Encoding, tokenizer: Tokenizer, *, seed: int) -> Ids:
    """Draw the positions to mask, in order: 15 % of the tokens that are not special, one at least; `int64[mask]`."""
    special = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    places = np.flatnonzero((encoding.special_tokens_mask == 0) & ~np.isin(encoding.input_ids, special))
    count = max(1, round(MASKED_SHARE * len(places)))
    return np.sort(np.random.default_rng([MASK_SEED, seed]).permutation(places)[:count])


def _outputs(pipeline: Pipeline, encoding: Encoding, masked: Ids, masks: Ids) -> Outputs:
    """Run one masked text; where the graph predicts a few tokens only, in as many rows as it takes."""
    manifest = pipeline.manifest
    width = next((int(tensor.axes[-1]) for tensor in manifest.inputs if tensor.name == POSITIONS), len(masks))
    rows = -(-len(masks) // width)
    fields = {"input_ids": masked, "token_type_ids": encoding.token_type_ids, "attention_mask": encoding.attention_mask}
    fed = {t.name: np.tile(fields[t.name], (rows, 1)) for t in manifest.inputs if t.name != POSITIONS}
    if len(fed) < len(manifest.inputs):
        fed[POSITIONS] = np.pad(masks, (0, rows * width - len(masks))).reshape(rows, width)
    return run_in_batches(pipeline.session, fed)
