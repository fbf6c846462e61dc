"""Rates with intervals that respect that answers to one question resemble each other."""

import numpy as np

from .errors import TinyemError

DRAWS = 2000


def wilson(hits: float, n: float) -> tuple[float, float]:
    """95% score interval of a proportion (Wilson 1927), answers taken as independent."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _by_question(hits, questions) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(set(questions))
    index = {q: i for i, q in enumerate(names)}
    n, k = np.zeros(len(names)), np.zeros(len(names))
    for hit, q in zip(hits, questions):
        n[index[q]] += 1
        k[index[q]] += hit
    return k, n


def mean_interval(values, questions, seed: int = 0) -> tuple[float, float]:
    """95% interval of the mean of `values`, clustered by question: percentiles of a bootstrap that draws whole questions with
    replacement, stretched about the mean for the small number of clusters (Student's t and k / (k - 1), as for a cluster-robust standard error). Of one
    question alone, answers are drawn: the interval then holds for that question."""
    k, n = _by_question(values, questions if len(set(questions)) > 1 else range(len(values)))
    draws = np.random.default_rng(seed).integers(0, len(k), (DRAWS, len(k)))
    means = k[draws].sum(1) / n[draws].sum(1)
    return _stretched(k.sum() / n.sum(), means, len(k))


def rate_interval(hits, questions, seed: int = 0) -> tuple[float, float]:
    """95% interval of the share of True in `hits` (one per answer; or of the mean of probabilities), clustered by question: `mean_interval`,
    widened to the Wilson interval where that is wider. With few questions and no hits the bootstrap alone would claim certainty."""
    low, high = wilson(sum(hits), len(hits))
    ends = mean_interval(hits, questions, seed)
    return max(0.0, min(low, ends[0])), min(1.0, max(high, ends[1]))


# 97.5% points of Student's t by degrees of freedom 1, 2, ...; from 30 on the normal value is near enough
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09,
      2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05)


def _stretch(clusters: int) -> float:
    """How much wider than the normal approximation an interval from so few clusters must be."""
    if clusters < 2:
        return 1.0
    return (_T[clusters - 2] if clusters - 2 < len(_T) else 1.96) / 1.96 * float(np.sqrt(clusters / (clusters - 1)))


def _stretched(value, draws, clusters: int) -> tuple[float, float]:
    low, high = (float(value + _stretch(clusters) * (np.percentile(draws, q) - value)) for q in (2.5, 97.5))
    return low, high


def newcombe(hits_a: int, n_a: int, hits_b: int, n_b: int) -> tuple[float, float]:
    """95% interval of a difference of two proportions (Newcombe 1998), answers taken as independent."""
    pa, pb = hits_a / n_a, hits_b / n_b
    d = pa - pb
    (la, ha), (lb, hb) = wilson(hits_a, n_a), wilson(hits_b, n_b)
    return max(-1.0, float(d - np.hypot(pa - la, hb - pb))), min(1.0, float(d + np.hypot(ha - pa, pb - lb)))


def mean_difference_interval(values_a, questions_a, values_b, questions_b, seed: int = 0) -> tuple[float, float]:
    """95% interval of mean(a) - mean(b), both arms answering the same questions: a paired cluster bootstrap (questions are drawn
    together; of one question alone, answers), stretched as in `mean_interval`. Raises TinyemError where the arms answered different questions."""
    if set(questions_a) != set(questions_b):
        raise TinyemError("the arms did not answer the same questions, so they cannot be compared")
    if len(set(questions_a)) == 1:
        rng, sides = np.random.default_rng(seed), [np.asarray(v, float) for v in (values_a, values_b)]
        a, b = (v[rng.integers(0, len(v), (DRAWS, len(v)))].mean(1) for v in sides)
        return _stretched(sides[0].mean() - sides[1].mean(), a - b, min(map(len, sides)))
    ka, na = _by_question(values_a, questions_a)
    kb, nb = _by_question(values_b, questions_b)
    draws = np.random.default_rng(seed).integers(0, len(ka), (DRAWS, len(ka)))
    differences = ka[draws].sum(1) / na[draws].sum(1) - kb[draws].sum(1) / nb[draws].sum(1)
    return _stretched(ka.sum() / na.sum() - kb.sum() / nb.sum(), differences, len(ka))


def difference_interval(hits_a, questions_a, hits_b, questions_b) -> tuple[float, float]:
    """95% interval of rate(a) - rate(b): `mean_difference_interval`, widened to the interval of independent answers (Newcombe 1998)
    where that is wider, as `rate_interval` is. Raises TinyemError where the arms answered different questions."""
    low, high = mean_difference_interval(hits_a, questions_a, hits_b, questions_b)
    alone = newcombe(sum(hits_a), len(hits_a), sum(hits_b), len(hits_b))
    return max(-1.0, min(low, alone[0])), min(1.0, max(high, alone[1]))


def auroc(scores, positives) -> float:
    """Area under the ROC curve: the chance that a positive scores higher than a negative. NaN without both."""
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    n1, n0 = positives.sum(), (~positives).sum()
    if not n1 or not n0:
        return float("nan")
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    sorted_scores = scores[order]
    start = np.r_[0, np.flatnonzero(np.diff(sorted_scores)) + 1]
    end = np.r_[start[1:], len(scores)]
    for a, b in zip(start, end):  # ties share their mean rank
        ranks[order[a:b]] = (a + b + 1) / 2
    return float((ranks[positives].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def spearman(a, b) -> float:
    """Rank correlation, ties by mean rank. NaN where one side is constant."""
    def ranks(x):
        x = np.asarray(x, float)
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    a, b = ranks(a), ranks(b)
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else float("nan")
