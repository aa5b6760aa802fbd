"""Padding sensitivity: what becomes of outputs and decisions when texts are padded differently from training.

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
from fnet_runtime.sessions.session import Ids, Outputs
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from torch.nn import functional

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import ATTENTION_MASK, SEQUENCE, VOCAB, task_named
from fnet_export.base.errors import CompareError, GraphError
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.evaluation.decisions import HIGHEST, decision_of_task, decisions
from fnet_export.graph.trained import TrainedModel
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import CHOICES_COUNT, rows_from_text, spread
from fnet_export.texts.tokenizer.trained_length import MIN_LENGTH, TrainedLength, possible_lengths

Floats = npt.NDArray[np.floating]
LENGTHS = (64, 128, 256, 384)
"""Compared unless others are named: those of them below the model's position embeddings."""
DRIFT_TEXTS = 16
"""E-mails that an export with another padding is measured on."""
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

    Each text has four figures, which compare with the baseline. cosine is the smallest over the last axis. max_rel is the largest
    error over the baseline's largest magnitude. decision_agreement is the share of equal decisions. kl is the Kullback-Leibler
    divergence of the softmax from the baseline's, in nats, on average over tokens. The last two are None if nothing is decided. kl
    is also None if labels are decided one by one.
    """

    cosine: Figures
    max_rel: Figures
    decision_agreement: Figures | None
    kl: Figures | None


@dataclass(frozen=True, kw_only=True)
class LengthDrift:
    """One padding: how many texts fit and are cut, what becomes of each output, and the median time of a text in milliseconds.

    `padding` is its contract. `sequence_length` is the length that texts are padded to, or their own longest one. `outputs` is
    empty when no text fits. `cut_agreement` is the share of equal decisions of the texts that are cut, of outputs that are not per
    token.
    """

    sequence_length: int
    padding: str
    fitting: int
    cut: int
    outputs: Mapping[str, OutputDrift]
    cut_agreement: Mapping[str, float]
    median_ms: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What other paddings do to a model, against the `baseline`: the padding of its training, stated or assumed."""

    trained: TrainedLength
    baseline: Padding
    baseline_ms: float
    lengths: tuple[LengthDrift, ...]

    def faster(self, length: LengthDrift) -> float:
        """Say how many times as fast a padding is as the trained one."""
        return self.baseline_ms / length.median_ms


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


def paddings_of_config(
    config: FNetConfig, baseline: Padding, trained: TrainedLength, asked: Sequence[int], bundle_length: int
) -> tuple[Padding, ...]:
    """Return the paddings to compare with the baseline, shortest first: the requested lengths, else LENGTHS and `bundle_length`.

    The last one is each text's own length, where the baseline pads and a model takes any length. Raises GraphError for a length at
    which the model cannot run, and if no padding is left.
    """
    most = config.max_position_embeddings
    chosen = {*(asked or (bundle_length, *(length for length in LENGTHS if length < most)))}
    if baseline.contract == MAX_LENGTH:
        chosen -= {baseline.length}
    for length in chosen:
        check_length(config, length)
    paddings = [Padding(length) for length in sorted(chosen)]
    if baseline.contract == MAX_LENGTH and len(possible_lengths(config)) > 1:
        paddings.append(Padding(baseline.length, NONE))
    if not paddings:
        raise GraphError(
            f"the model is compared with itself at {baseline.length} tokens ({trained.source}), and it takes no other length. "
            "Expected a model that does"
        )
    return tuple(paddings)


def drift_from_model(
    model: FNet,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    paddings: Sequence[Padding],
    *,
    baseline: Padding,
    trained: TrainedLength,
    choices: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drift:
    """Run texts one by one with each padding and with the baseline, and compare.

    `model` has `fft` mixing, which takes any length. Outputs per token are compared on the text's own tokens, vocabulary logits on
    its masked ones. Raises CompareError when an output is not finite.
    """
    task = model.task
    decision = decision_of_task(task.name, model.config.problem_type, model.config.num_labels)
    every = (baseline, *paddings)
    masked = replace(task, attends=True)  # the mask says which tokens there are, whether or not the model reads it
    longest_padding = max(every, key=lambda padding: padding.length)
    session = TorchSession(model)
    times_ms: dict[Padding, list[float]] = {padding: [] for padding in every}
    fitting: dict[Padding, list[Mapping[str, _Change]]] = {padding: [] for padding in paddings}
    cut: dict[Padding, list[Mapping[str, _Change]]] = {padding: [] for padding in paddings}
    for number, text in enumerate(texts):
        rows = {padding: rows_from_text(masked, tokenizer, text, padding=padding, choices=choices) for padding in every}
        outputs = {}
        turn = number % len(every)
        for padding in (*every[turn:], *every[:turn]):
            if number == 0:  # warms up
                _outputs_of_rows(session, rows[padding])
            start = time.perf_counter()
            outputs[padding] = _outputs_of_rows(session, rows[padding])
            times_ms[padding].append(1e3 * (time.perf_counter() - start))
        longest = max(int(row[ATTENTION_MASK].sum(axis=-1).max()) for row in rows[longest_padding])  # of several choices
        for padding in paddings:
            fits = longest <= min(padding.length, baseline.length)
            changes = {}
            for name, axes in task.outputs.items():
                pair = (outputs[padding][name][0], outputs[baseline][name][0])
                if SEQUENCE in axes:
                    if not fits:
                        continue
                    tokens = _compared_tokens(rows[baseline][0], tokenizer.mask_id if VOCAB in axes else None)
                    pair = (pair[0][tokens], pair[1][tokens])
                changes[name] = _change(*pair, name=name, decision=decision)
            (fitting if fits else cut)[padding].append(changes)
        on_progress(number + 1, len(texts))
    return Drift(
        trained=trained,
        baseline=baseline,
        baseline_ms=statistics.median(times_ms[baseline]),
        lengths=tuple(_length_drift(padding, fitting[padding], cut[padding], times_ms[padding]) for padding in paddings),
    )


def _outputs_of_rows(session: TorchSession, rows: Sequence[Mapping[str, Ids]]) -> Outputs:
    """Run one text. Its choices may be rows of their own, whose outputs are joined."""
    each = [session.run(row) for row in rows]
    return each[0] if len(each) == 1 else {name: np.concatenate([outputs[name] for outputs in each], axis=1) for name in each[0]}


def line_from_trained(trained: TrainedModel, tokenizer: Tokenizer, trained_length: TrainedLength) -> str:
    """Measure a few built-in e-mails with a model's padding, and say what `line_from_drift` says; at positions as at all tokens."""
    model = model_from_checkpoint(trained.checkpoint, task_named(trained.task.name), random_head=trained.random_head)
    texts = spread(emails(), DRIFT_TEXTS)
    drift = drift_from_model(
        model,
        tokenizer,
        texts,
        [trained.padding],
        baseline=trained_length.padding,
        trained=trained_length,
        choices=CHOICES_COUNT,
    )
    return line_from_drift(drift, drift.lengths[0])


def line_from_drift(drift: Drift, length: LengthDrift) -> str:
    """Say in one line what a padding does."""
    total = length.fitting + length.cut
    if length.padding == NONE:
        differs = f"texts run at their own length, and training padded them to {drift.baseline.length} ({drift.trained.source})"
    elif drift.baseline.contract == NONE:
        differs = f"texts are padded to {length.sequence_length}, and training padded none ({drift.trained.contract_source})"
    else:
        differs = (
            f"sequence length {length.sequence_length} is not the checkpoint's {drift.baseline.length} ({drift.trained.source})"
        )
    parts = [f"{differs}; padding is part of FNet's meaning: {length.fitting} of {total} texts fit, {length.cut} are cut"]
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
    padding: Padding, fitting: Sequence[Mapping[str, _Change]], cut: Sequence[Mapping[str, _Change]], times_ms: Sequence[float]
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
        sequence_length=padding.length,
        padding=padding.contract,
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
