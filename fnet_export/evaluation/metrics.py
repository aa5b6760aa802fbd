"""Metrics as functions of counts of records. Most read only the sums of counts, so that one bootstrap serves them all."""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

RESAMPLES, SEED, LEVEL = 1000, 0, 0.95

Floats = npt.NDArray[np.float64]
Tag = Hashable
Entity = tuple[str, int, int]


@dataclass(frozen=True, eq=False)
class Metric:
    """A figure made of summed counts: `of` takes `float64[..., count]` and gives `float64[...]`.

    `in_points` is true for a share, which is given in points of 100. Others are plain. `parts` are the counts that a plain share is
    of. `of_records` is true for a figure that sums do not determine: its `of` takes `float64[record, count]` and gives `float64[]`.
    `needs` is a count without which the figure says nothing, such as that of the records that it is about.
    """

    name: str
    of: Callable[[Floats], Floats]
    in_points: bool = True
    parts: tuple[int, int] | None = None
    of_records: bool = False
    needs: int | None = None

    def is_about(self, counts: Floats) -> bool:
        """Return whether records, `float64[record, count]`, have what the figure needs."""
        return self.needs is None or bool(counts[:, self.needs].any())

    def value(self, sums: Floats) -> Floats:
        """Return the figure, in points where it is a share."""
        return self.of(sums) * (100 if self.in_points else 1)

    def of_counts(self, counts: Floats) -> float:
        """Return the figure of records, `float64[record, count]`."""
        return float(self.value(counts if self.of_records else counts.sum(axis=0)))

    def of_resamples(self, counts: Floats, drawn: Floats) -> Floats:
        """Return the figure of each resample of records, `float64[record, count]`, whose `resampled_sums` are `drawn`."""
        if not self.of_records:
            return self.value(drawn)
        return np.array([self.value(counts[chosen]) for chosen in resamples(len(counts))])

    def shown(self, value: float) -> str:
        """Write a value: two decimals where it is in points, else four digits."""
        return f"{value:.2f}" if self.in_points else f"{value:.4g}"

    def is_share_of_records(self, counts: Floats) -> bool:
        """Return whether each record, of `float64[record, count]`, is right or wrong, one trial of a proportion, or not counted."""
        if self.parts is None:
            return False
        right, trials = (counts[:, part] for part in self.parts)
        return bool(trials.any() and np.all((trials == 0) | (trials == 1)) and np.all((right == 0) | (right == trials)))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def resamples(records: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give 1,000 draws of as many records with replacement, as their indices.

    The seed is fixed: as many records are drawn alike, which pairs them.
    """
    draw = np.random.default_rng(SEED)
    return (draw.integers(records, size=records) for _ in range(RESAMPLES))


def resampled_sums(counts: Floats) -> Floats:
    """Sum counts, `float64[record, count]`, over each of the `resamples`: `float64[resample, count]`."""
    return np.stack([np.bincount(chosen, minlength=len(counts)) @ counts for chosen in resamples(len(counts))])


def figure_from_values(value: float, resampled: Floats) -> Figure:
    """Take the percentile interval of resampled values (Efron and Tibshirani 1993, chapter 13)."""
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Figure(value=value, low=float(low), high=float(high))


def figure_of_metric(metric: Metric, counts: Floats, drawn: Floats) -> Figure:
    """Take a metric of counts, `float64[record, count]`, with Wilson's interval where it is a share of records.

    Others have the percentile interval of `drawn`, the `resampled_sums` of the counts. That has no width where every record scores
    alike, which says nothing of other records: all 40 of 40 right is 91 to 100 by Wilson.
    """
    value = metric.of_counts(counts)
    if metric.parts is None or not metric.is_share_of_records(counts):
        return figure_from_values(value, metric.of_resamples(counts, drawn))
    right, trials = (int(counts[:, part].sum()) for part in metric.parts)
    low, high = wilson_interval(right, trials)
    return Figure(value=value, low=100 * low, high=100 * high)


def wilson_interval(right: int, trials: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a proportion, of 1.

    It is the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), which L. D. Brown, T. T. Cai and A. DasGupta, "Interval estimation for a binomial
    proportion", Statistical Science 16 (2001), recommend for 40 trials and fewer.
    """
    z, share = NormalDist().inv_cdf((1 + LEVEL) / 2), right / trials
    middle = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low, high = ((middle + sign * spread) / (1 + z**2 / trials) for sign in (-1, 1))
    return 0.0 if right == 0 else low, 1.0 if right == trials else high


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide; 0 where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)


def share(name: str, top: int, bottom: int, *, needs: int | None = None) -> Metric:
    """Make a metric of one count over another."""
    return Metric(name, lambda sums: ratio(sums[..., top], sums[..., bottom]), parts=(top, bottom), needs=needs)


def f1(name: str, hits: int, predicted: int, actual: int) -> Metric:
    """Make the F1 of three counts: 2 hits / (predicted + actual), and 0 where there is neither."""
    return Metric(name, lambda sums: ratio(2 * sums[..., hits], sums[..., predicted] + sums[..., actual]))


def label_counts(predicted: Sequence[bool], actual: Sequence[bool]) -> list[float]:
    """Count per label, for `label_f1s`: hits, predicted and actual, one block of labels after the other."""
    chosen, right = np.array(predicted, np.float64), np.array(actual, np.float64)
    return [float(count) for count in (*(chosen * right), *chosen, *right)]


def macro_f1(start: int, labels: int) -> Metric:
    """Make the mean F1 over the labels that occur, in the truth or the predictions, of `label_counts` from `start`."""

    def of(sums: Floats) -> Floats:
        hits, predicted, actual = np.split(sums[..., start : start + 3 * labels], 3, axis=-1)
        every = ratio(2 * hits, predicted + actual)
        return ratio(every.sum(axis=-1), (predicted + actual > 0).sum(axis=-1))

    return Metric("macro F1", of)


def micro_f1(start: int, labels: int) -> Metric:
    """Make the F1 over all labels together, of `label_counts` from `start`."""

    def of(sums: Floats) -> Floats:
        hits, predicted, actual = (part.sum(axis=-1) for part in np.split(sums[..., start : start + 3 * labels], 3, axis=-1))
        return ratio(2 * hits, predicted + actual)

    return Metric("micro F1", of)


def matthews(start: int, labels: int) -> Metric:
    """Make the correlation of predicted with actual labels, of `label_counts` from `start` of records with one label each.

    For more than two labels it is R_K of J. Gorodkin, "Comparing two K-category assignments by a K-category correlation
    coefficient", Computational Biology and Chemistry 28 (2004). It is 0 if all predictions, or all records, have one label.
    """

    def of(sums: Floats) -> Floats:
        hits, predicted, actual = np.split(sums[..., start : start + 3 * labels], 3, axis=-1)
        records = actual.sum(axis=-1)
        covariance = hits.sum(axis=-1) * records - (predicted * actual).sum(axis=-1)
        variances = [records**2 - (each**2).sum(axis=-1) for each in (predicted, actual)]
        return ratio(covariance, np.sqrt(variances[0] * variances[1]))

    return Metric("Matthews correlation", of, in_points=False)


def pearson(first: int, second: int) -> Metric:
    """Make the correlation of two counts over records; 0 if one of them is constant."""

    def of(counts: Floats) -> Floats:
        return correlation(counts[:, first], counts[:, second])

    return Metric("Pearson correlation", of, in_points=False, of_records=True)


def spearman(first: int, second: int) -> Metric:
    """Make the correlation of the ranks of two counts over records; 0 if one of them is constant."""

    def of(counts: Floats) -> Floats:
        return correlation(ranks(counts[:, first]), ranks(counts[:, second]))

    return Metric("Spearman correlation", of, in_points=False, of_records=True)


def correlation(x: Floats, y: Floats) -> Floats:
    """Return Pearson's correlation of two `float64[n]`, as `float64[]`; 0 if one of them is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.zeros(())
    x, y = x - x.mean(), y - y.mean()
    return np.asarray(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1, 1))


def ranks(values: Floats) -> Floats:
    """Return the rank of each value, from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Floats = counts.cumsum() - (counts - 1) / 2
    return means[places]


def perplexity(nats: int, tokens: int) -> Metric:
    """Make exp(mean negative log-likelihood)."""
    return Metric("perplexity", lambda sums: np.exp(ratio(sums[..., nats], sums[..., tokens])), in_points=False)


def mean_error(error: int, values: int) -> Metric:
    """Make the mean of absolute errors."""
    return Metric("mean absolute error", lambda sums: ratio(sums[..., error], sums[..., values]), in_points=False)


def root_mean_square_error(square: int, values: int) -> Metric:
    """Make the root of the mean of squared errors."""
    return Metric("root mean square error", lambda sums: np.sqrt(ratio(sums[..., square], sums[..., values])), in_points=False)


def normalised(text: str) -> str:
    """Normalise an answer as SQuAD does: lower case, no punctuation, no articles, single spaces (Rajpurkar et al. 2016)."""
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def words_f1(answer: str, truth: str) -> float:
    """Return the F1 of the words of two normalised answers.

    If one is empty, it is 1 if both are empty, else 0 (as in SQuAD 2.0).
    """
    got, want = normalised(answer).split(), normalised(truth).split()
    if not got or not want:
        return float(got == want)
    return 2 * (Counter(got) & Counter(want)).total() / (len(got) + len(want))


def entities_from_tags(tags: Sequence[str | None]) -> set[Entity]:
    """Return the entities of one text's tags: type, first word, word after the last.

    BIO and BIOES alike, and lenient as seqeval's default: an I- that follows no entity of its type begins one. A tag without a
    prefix counts as I-; O, and None for no tag, as outside.
    """
    entities, kind, start, ended = set(), "", 0, True
    for place, (prefix, name) in enumerate(_parts(tags)):
        if kind and (name != kind or prefix in "BS" or ended):
            entities.add((kind, start, place))
            kind = ""
        if not kind:
            kind, start = name, place
        ended = prefix in "ES"
    return entities


def _parts(tags: Sequence[str | None]) -> Iterator[tuple[str, str]]:
    """Prefix and type of every tag, and of the outside that ends them."""
    for tag in (*tags, None):
        if tag is None or tag == "O":
            yield "I", ""
        elif tag[:2] in ("B-", "I-", "E-", "S-"):
            yield tag[0], tag[2:]
        else:
            yield "I", tag
