"""Metrics against scikit-learn, SciPy, and figures that seqeval and the SQuAD script give."""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as oracle

from fnet_export.evaluation.metrics import (
    entities_from_tags,
    f1,
    figure_from_values,
    figure_of_metric,
    label_counts,
    macro_f1,
    matthews,
    mean_error,
    micro_f1,
    normalised,
    pearson,
    perplexity,
    resampled_sums,
    resamples,
    root_mean_square_error,
    share,
    spearman,
    wilson_interval,
    words_f1,
)


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_f1_as_scikit_learn(labels):
    draw = np.random.default_rng(labels)
    truth, found = draw.integers(labels, size=60), draw.integers(labels, size=60)
    found[truth == 1] = 1
    truth, found = truth[found != labels - 1], found[found != labels - 1]  # one label less is predicted
    sums = sum(np.array(label_counts(np.arange(labels) == f, np.arange(labels) == t)) for f, t in zip(found, truth, strict=True))
    wanted = 100 * oracle.f1_score(truth, found, average="macro", zero_division=0)
    assert macro_f1(0, labels).value(sums) == pytest.approx(wanted)
    assert micro_f1(0, labels).value(sums) == pytest.approx(100 * oracle.accuracy_score(truth, found))
    every = oracle.f1_score(truth, found, average=None, labels=np.arange(labels), zero_division=0)
    assert [f1("", i, labels + i, 2 * labels + i).value(sums) for i in range(labels)] == pytest.approx(100 * every)


def test_f1_of_several_labels_at_once_as_scikit_learn():
    draw = np.random.default_rng(0)
    truth, found = draw.integers(2, size=(40, 5)), draw.integers(2, size=(40, 5))
    sums = sum(np.array(label_counts(f, t)) for f, t in zip(found, truth, strict=True))
    assert macro_f1(0, 5).value(sums) == pytest.approx(100 * oracle.f1_score(truth, found, average="macro"))
    assert micro_f1(0, 5).value(sums) == pytest.approx(100 * oracle.f1_score(truth, found, average="micro"))


def sums_of_labels(truth, found, labels):
    return sum(np.array(label_counts(np.arange(labels) == f, np.arange(labels) == t)) for f, t in zip(found, truth, strict=True))


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_matthews_correlation_as_scikit_learn(labels):
    draw = np.random.default_rng(labels)
    truth, guesses = draw.integers(labels, size=(2, 80))
    found = np.where(draw.random(80) < 0.6, truth, guesses)
    metric = matthews(0, labels)
    assert metric.value(sums_of_labels(truth, found, labels)) == pytest.approx(oracle.matthews_corrcoef(truth, found), abs=1e-12)
    opposite = labels - 1 - truth
    assert metric.value(sums_of_labels(truth, opposite, labels)) == pytest.approx(oracle.matthews_corrcoef(truth, opposite))
    constant = np.zeros(80, int)
    assert metric.value(sums_of_labels(truth, constant, labels)) == oracle.matthews_corrcoef(truth, constant) == 0


@pytest.mark.parametrize("offset", [0, 1e6])
def test_correlations_as_scipy(offset):
    truth, noise = np.random.default_rng(0).normal(size=(2, 60)).round(1)  # rounded, so that there are ties
    found = (truth + noise).round(1)
    counts = np.stack([found, truth], axis=1) + offset
    assert len(np.unique(truth)) < 60
    assert pearson(0, 1).of_counts(counts) == pytest.approx(scipy.stats.pearsonr(found, truth).statistic, abs=1e-8)
    assert spearman(0, 1).of_counts(counts.round(1)) == pytest.approx(scipy.stats.spearmanr(found, truth).statistic, abs=1e-12)


@pytest.mark.parametrize("metric", [pearson(0, 1), spearman(0, 1)])
def test_a_constant_has_no_correlation(metric):
    counts = np.stack([np.full(30, 0.1), np.arange(30)], axis=1)
    assert metric.of_counts(counts) == metric.of_counts(counts[:, ::-1]) == metric.of_counts(counts[:1]) == 0
    assert figure_of_metric(metric, counts, resampled_sums(counts)).high == 0


def test_correlations_of_resamples_are_scipys_of_the_same_records():
    truth, noise = np.random.default_rng(1).normal(size=(2, 50))
    counts = np.stack([truth + noise, truth], axis=1)
    drawn = resampled_sums(counts)
    chosen = list(resamples(len(counts)))[:30]
    for metric, statistic in ((pearson(0, 1), scipy.stats.pearsonr), (spearman(0, 1), scipy.stats.spearmanr)):
        values = metric.of_resamples(counts, drawn)
        assert values[:30] == pytest.approx([statistic(*counts[records].T).statistic for records in chosen])
        figure = figure_of_metric(metric, counts, drawn)
        assert (figure.low, figure.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
        assert figure.low < figure.value < figure.high


def test_matthews_correlation_of_resamples_is_scikit_learns_of_the_same_records():
    draw = np.random.default_rng(0)
    truth, guesses = draw.integers(2, size=(2, 50))
    found = np.where(draw.random(50) < 0.5, truth, guesses)
    counts = np.array([label_counts(np.arange(2) == f, np.arange(2) == t) for f, t in zip(found, truth, strict=True)])
    values = matthews(0, 2).of_resamples(counts, resampled_sums(counts))
    wanted = [oracle.matthews_corrcoef(truth[records], found[records]) for records in list(resamples(50))[:30]]
    assert values[:30] == pytest.approx(wanted)


def test_errors_as_scikit_learn():
    truth, found = np.random.default_rng(0).normal(size=(2, 30))
    sums = np.array([np.abs(found - truth).sum(), ((found - truth) ** 2).sum(), 30])
    assert mean_error(0, 2).value(sums) == pytest.approx(oracle.mean_absolute_error(truth, found))
    assert root_mean_square_error(1, 2).value(sums) == pytest.approx(oracle.root_mean_squared_error(truth, found))


def test_nothing_to_count_is_nought():
    assert f1("entity F1", 0, 1, 2).value(np.zeros(3)) == 0
    assert macro_f1(0, 2).value(np.zeros(6)) == 0
    assert share("accuracy", 0, 1).value(np.array([[0, 0], [1, 2]])).tolist() == [0, 50]


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices():
    assert perplexity(0, 1).value(np.array([5 * np.log(8), 5])) == pytest.approx(8)


def test_the_interval_is_scipys():
    counts = np.stack([np.arange(300) % 10 < 8, np.ones(300)], axis=1).astype(np.float64)
    metric = share("accuracy", 0, 1)
    figure = figure_from_values(80.0, metric.value(resampled_sums(counts)))
    wanted = scipy.stats.bootstrap((100 * counts[:, 0],), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert (figure.low, figure.high) == pytest.approx(tuple(wanted.confidence_interval), abs=0.5)
    assert figure == figure_from_values(80.0, metric.value(resampled_sums(counts)))  # the seed is fixed


@pytest.mark.parametrize(("right", "trials"), [(40, 40), (0, 40), (39, 40), (1, 3), (250, 1000)])
def test_wilsons_interval_is_scipys(right, trials):
    wanted = scipy.stats.binomtest(right, trials).proportion_ci(method="wilson")
    assert wilson_interval(right, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_share_of_records_has_wilsons_interval_and_others_the_bootstraps():
    counts = np.ones((40, 2))
    figure = figure_of_metric(share("accuracy", 0, 1), counts, resampled_sums(counts))
    assert (figure.value, figure.high) == (100, 100)
    assert figure.low == pytest.approx(91.24, abs=0.005)
    for several in (counts * 2, counts * [0.5, 1.0]):  # two words a record; an F1 of a half
        metric = share("word accuracy", 0, 1)
        assert not metric.is_share_of_records(several)
        found = figure_of_metric(metric, several, resampled_sums(several))
        assert found.low == found.value == found.high
    assert not f1("F1", 0, 0, 1).is_share_of_records(counts)


def test_as_many_records_are_drawn_alike():
    counts = np.random.default_rng(0).integers(5, size=(50, 3)).astype(np.float64)
    assert np.array_equal(resampled_sums(counts[:, :2]), resampled_sums(counts)[:, :2])
    assert resampled_sums(counts).shape == (1000, 3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("The  Cat!", "cat"), ("an apple a day", "apple day"), ("U.S.A.", "usa"), ("theatre", "theatre"), ("a-b the", "ab"), ("", "")],
)
def test_squads_normalisation(text, wanted):
    assert normalised(text) == wanted


@pytest.mark.parametrize(
    ("found", "wanted", "score"),
    [
        ("the brown fox", "Brown fox.", 1),
        ("quick brown fox", "the fox", 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("fox fox dog", "fox fox fox cat", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("dog", "cat", 0),
        ("the", "a", 1),
        ("", "cat", 0),
    ],
)
def test_f1_of_words(found, wanted, score):
    assert words_f1(found, wanted) == pytest.approx(score)


@pytest.mark.parametrize(
    ("tags", "entities"),
    [  # seqeval 1.2.2's get_entities gives the same, except for tags without a prefix, which it reads letter by letter
        ("B-A I-A O B-B", [("A", 0, 2), ("B", 3, 4)]),
        ("I-A I-B B-B I-B", [("A", 0, 1), ("B", 1, 2), ("B", 2, 4)]),
        ("B-A B-A I-A", [("A", 0, 1), ("A", 1, 3)]),
        ("O O", []),
        ("S-A B-A I-A E-A I-A", [("A", 0, 1), ("A", 1, 4), ("A", 4, 5)]),
        ("B-A O I-A I-A", [("A", 0, 1), ("A", 2, 4)]),
        ("B-B I-A E-B", [("B", 0, 1), ("A", 1, 2), ("B", 2, 3)]),
        ("PER PER O LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
    ],
)
def test_entities(tags, entities):
    assert entities_from_tags(tags.split()) == set(entities)
