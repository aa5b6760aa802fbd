"""Padding sensitivity: what becomes of outputs and decisions when texts are padded to another length than the trained one.

FNet's Fourier layers have no mask, so that a model answers another question at another length. Texts that no longer fit lose words
as well, and are counted apart.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from fnet_runtime.pipeline.measures import is_finite, relative_error, smallest_cosine
from fnet_runtime.sessions.session import Ids
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from torch.nn import functional

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import ATTENTION_MASK, SEQUENCE, VOCAB, task_named
from fnet_export.base.errors import CompareError, GraphError
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.evaluate.decisions import HIGHEST, decision_of_task, decisions
from fnet_export.graph.trained import TrainedModel
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import CHOICES_COUNT, samples_from_texts, spread
from fnet_export.texts.tokenizer.trained_length import MIN_LENGTH, TrainedLength, possible_lengths

Floats = npt.NDArray[np.floating]
LENGTHS = (64, 128, 256, 384)
"""Compared unless others are named: those of them below the model's position embeddings."""
DRIFT_TEXTS = 16
"""E-mails that an export at another length is measured on."""
TIMED = "torch float32 with torch.fft, one row"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One figure over texts."""

    mean: float
    median: float
    worst: float


@dataclass(frozen=True, kw_only=True)
class OutputDrift:
    """Measure how far an output moves, over the texts that fit.

    Each text has four figures. cosine is the smallest over the last axis. max_rel is the largest error over the largest magnitude
    at the trained length. decision_agreement is the share of equal decisions. kl is the Kullback-Leibler divergence of the softmax
    from the softmax at the trained length, in nats, on average over tokens. The last two are None if nothing is decided. kl is also
    None if labels are decided one by one.
    """

    cosine: Figures
    max_rel: Figures
    decision_agreement: Figures | None
    kl: Figures | None


@dataclass(frozen=True, kw_only=True)
class LengthDrift:
    """One length: how many texts fit and are cut, what becomes of each output, and the median time of a row in milliseconds.

    `outputs` is empty when no text fits. `cut_agreement` is the share of equal decisions of the texts that are cut, of outputs that
    are not per token.
    """

    sequence_length: int
    fitting: int
    cut: int
    outputs: Mapping[str, OutputDrift]
    cut_agreement: Mapping[str, float]
    median_ms: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What padding to other lengths does to a model, against the length that it was trained at, or that is assumed."""

    trained: TrainedLength
    trained_ms: float
    lengths: tuple[LengthDrift, ...]

    @property
    def trained_length(self) -> int:
        """The trained length in tokens."""
        return self.trained.length

    def faster(self, length: LengthDrift) -> float:
        """Say how many times as fast a length is as the trained one."""
        return self.trained_ms / length.median_ms


@dataclass(frozen=True, kw_only=True)
class _Change:
    """One output of one text."""

    cosine: float
    max_rel: float
    agreement: float | None
    kl: float | None


def check_length(config: FNetConfig, length: int) -> None:
    """Raise GraphError for a length that a model cannot be run at."""
    most = config.max_position_embeddings
    if length in possible_lengths(config):
        return
    if not MIN_LENGTH <= length <= most:
        raise GraphError(f"sequence length: expected {MIN_LENGTH} to {most}, the model's position embeddings; found {length}")
    raise GraphError(f"sequence length: expected {most}, the length of the matrices of the {config.mixing} mixing; found {length}")


def lengths_of_config(config: FNetConfig, trained: TrainedLength, asked: Sequence[int], bundle_length: int) -> tuple[int, ...]:
    """Return the lengths to compare with the trained length, ascending: the requested lengths, else LENGTHS and `bundle_length`.

    Raises GraphError for a length at which the model cannot run, and if no length is left.
    """
    most = config.max_position_embeddings
    chosen = {*(asked or (bundle_length, *(length for length in LENGTHS if length < most)))} - {trained.length}
    if not chosen:
        raise GraphError(
            f"the lengths are compared with {trained.length} tokens ({trained.source}); expected others: name some from "
            f"{MIN_LENGTH} to {most} with --length"
        )
    for length in chosen:
        check_length(config, length)
    return tuple(sorted(chosen))


def drift_from_model(
    model: FNet,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    lengths: Sequence[int],
    *,
    trained: TrainedLength,
    choices: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drift:
    """Run texts one by one, padded to each length and to the trained one, and compare.

    `model` has `fft` mixing, which takes any length. Outputs per token are compared on the text's own tokens, vocabulary logits on
    its masked ones. Raises CompareError when an output is not finite.
    """
    task, trained_tokens = model.task, trained.length
    decision = decision_of_task(task.name, model.config.problem_type, model.config.num_labels)
    every = (trained_tokens, *lengths)
    masked = replace(task, attends=True)  # the mask says which tokens there are, whether or not the model reads it
    samples = {length: samples_from_texts(masked, tokenizer, texts, padding=Padding(length), choices=choices) for length in every}
    session = TorchSession(model)
    times_ms: dict[int, list[float]] = {length: [] for length in every}
    fitting: dict[int, list[Mapping[str, _Change]]] = {length: [] for length in lengths}
    cut: dict[int, list[Mapping[str, _Change]]] = {length: [] for length in lengths}
    for length in every:  # warms up
        session.run(samples[length].inputs[0])
    for row in range(len(texts)):
        outputs = {}
        turn = row % len(every)
        for length in (*every[turn:], *every[:turn]):
            start = time.perf_counter()
            outputs[length] = session.run(samples[length].inputs[row])
            times_ms[length].append(1e3 * (time.perf_counter() - start))
        inputs = samples[trained_tokens].inputs[row]
        longest = samples[max(every)].inputs[row][ATTENTION_MASK].sum(axis=-1).max()  # of several choices
        for length in lengths:
            fits = longest <= min(length, trained_tokens)
            changes = {}
            for name, axes in task.outputs.items():
                pair = (outputs[length][name][0], outputs[trained_tokens][name][0])
                if SEQUENCE in axes:
                    if not fits:
                        continue
                    tokens = _compared_tokens(inputs, tokenizer.mask_id if VOCAB in axes else None)
                    pair = (pair[0][tokens], pair[1][tokens])
                changes[name] = _change(*pair, name=name, decision=decision)
            (fitting if fits else cut)[length].append(changes)
        on_progress(row + 1, len(texts))
    return Drift(
        trained=trained,
        trained_ms=statistics.median(times_ms[trained_tokens]),
        lengths=tuple(_length_drift(length, fitting[length], cut[length], times_ms[length]) for length in lengths),
    )


def line_from_trained(trained: TrainedModel, tokenizer: Tokenizer, trained_length: TrainedLength) -> str:
    """Measure a few built-in e-mails at a model's length, and say what `line_from_drift` says; at positions as at all tokens."""
    model = model_from_checkpoint(trained.checkpoint, task_named(trained.task.name), random_head=trained.random_head)
    texts = spread(emails(), DRIFT_TEXTS)
    drift = drift_from_model(model, tokenizer, texts, [trained.sequence_length], trained=trained_length, choices=CHOICES_COUNT)
    return line_from_drift(drift, drift.lengths[0])


def line_from_drift(drift: Drift, length: LengthDrift) -> str:
    """Say in one line what a length does."""
    total = length.fitting + length.cut
    parts = [
        f"sequence length {length.sequence_length} is not the checkpoint's {drift.trained_length} ({drift.trained.source}), and "
        f"padding is part of FNet's meaning: {length.fitting} of {total} texts fit, {length.cut} are cut"
    ]
    for name, output in length.outputs.items():
        figures = []
        if output.decision_agreement is not None:
            figures.append(f"decisions agree {output.decision_agreement.mean:.1%}")
        if output.kl is not None:
            figures.append(f"KL {output.kl.mean:.2g}")
        figures.append(f"largest relative error {output.max_rel.median:.1%}, at worst {output.max_rel.worst:.1%}")
        figures.append(f"cosine {output.cosine.median:.4f}, at worst {output.cosine.worst:.4f}")
        parts.append(f"{name}: {', '.join(figures)}")
    parts += [f"{name} of texts that are cut: decisions agree {share:.1%}" for name, share in length.cut_agreement.items()]
    return "; ".join([*parts, f"{drift.faster(length):.1f} times as fast ({TIMED})"])


def _compared_tokens(inputs: Mapping[str, Ids], mask_id: int | None) -> Ids:
    """Return the positions of a text's tokens, or of its masked tokens if `mask_id` is given. Without any, return the first."""
    counts = inputs[ATTENTION_MASK][0] != 0
    masks = counts & (inputs["input_ids"][0] == mask_id)
    positions = np.flatnonzero(masks if masks.any() else counts)
    return positions if len(positions) else np.zeros(1, np.int64)


def _change(output: Floats, trained: Floats, *, name: str, decision: str | None) -> _Change:
    """Compare one output of one text, `float32[n]` or `float32[tokens, n]`."""
    if not (is_finite(output) and is_finite(trained)):
        raise CompareError(f"{name}: holds NaN or infinite values; expected finite values")
    got, want = output.astype(np.float64), trained.astype(np.float64)
    return _Change(
        cosine=smallest_cosine(got, want),
        max_rel=relative_error(got, want),
        agreement=None if decision is None else float(np.mean(decisions(got, decision) == decisions(want, decision))),
        kl=_divergence(got, want) if decision == HIGHEST else None,
    )


def _divergence(got: Floats, want: Floats) -> float:
    log_got, log_want = (torch.from_numpy(scores).log_softmax(dim=-1) for scores in (got, want))
    return float(functional.kl_div(log_got, log_want, reduction="none", log_target=True).sum(dim=-1).mean())


def _length_drift(
    length: int, fitting: Sequence[Mapping[str, _Change]], cut: Sequence[Mapping[str, _Change]], times_ms: Sequence[float]
) -> LengthDrift:
    outputs = {}
    for name in fitting[0] if fitting else ():
        changes = [changes[name] for changes in fitting]
        outputs[name] = OutputDrift(
            cosine=_figures([change.cosine for change in changes], min),
            max_rel=_figures([change.max_rel for change in changes], max),
            decision_agreement=_figures_of_some([change.agreement for change in changes], min),
            kl=_figures_of_some([change.kl for change in changes], max),
        )
    agreements = {name: [changes[name].agreement for changes in cut] for name in (cut[0] if cut else ())}
    return LengthDrift(
        sequence_length=length,
        fitting=len(fitting),
        cut=len(cut),
        outputs=outputs,
        cut_agreement={
            name: figures.mean for name, shares in agreements.items() if (figures := _figures_of_some(shares, min)) is not None
        },
        median_ms=statistics.median(times_ms),
    )


def _figures(values: Sequence[float], worst: Callable[[Sequence[float]], float]) -> Figures:
    return Figures(mean=statistics.fmean(values), median=statistics.median(values), worst=worst(values))


def _figures_of_some(values: Sequence[float | None], worst: Callable[[Sequence[float]], float]) -> Figures | None:
    """Figures of what every text has, or none."""
    known = [value for value in values if value is not None]
    return _figures(known, worst) if known else None
