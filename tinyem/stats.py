"""Rates with intervals that respect that answers to one question resemble each other."""

import numpy as np

DRAWS = 2000


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95% score interval of a proportion (Wilson 1927), answers taken as independent."""
    if n == 0:
        return 0.0, 1.0
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _by_question(hits, questions) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(set(questions))
    index = {q: i for i, q in enumerate(names)}
    n, k = np.zeros(len(names)), np.zeros(len(names))
    for hit, q in zip(hits, questions):
        n[index[q]] += 1
        k[index[q]] += bool(hit)
    return k, n


def rate_interval(hits, questions, seed: int = 0) -> tuple[float, float]:
    """95% interval of the share of True in `hits` (one a answer), clustered by question.

    Percentiles of a bootstrap that draws whole questions with replacement, widened to the Wilson interval
    where that is wider: with few questions and no hits the bootstrap alone would claim certainty.
    """
    k, n = _by_question(hits, questions)
    low, high = wilson(int(k.sum()), int(n.sum()))
    draws = np.random.default_rng(seed).integers(0, len(k), (DRAWS, len(k)))
    rates = k[draws].sum(1) / n[draws].sum(1)
    return min(low, float(np.percentile(rates, 2.5))), max(high, float(np.percentile(rates, 97.5)))


def difference_interval(hits_a, questions_a, hits_b, questions_b, seed: int = 0) -> tuple[float, float]:
    """95% interval of rate(a) - rate(b), both arms answering the same questions: questions are drawn
    together (paired cluster bootstrap), answers within a question once more."""
    ka, na = _by_question(hits_a, questions_a)
    kb, nb = _by_question(hits_b, questions_b)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(ka), (DRAWS, len(ka)))
    again = lambda k, n: rng.binomial(n[draws].astype(int), (k / n)[draws])  # noqa: E731
    diff = again(ka, na).sum(1) / na[draws].sum(1) - again(kb, nb).sum(1) / nb[draws].sum(1)
    return float(np.percentile(diff, 2.5)), float(np.percentile(diff, 97.5))


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
    """Rank correlation, ties by mean rank."""
    def ranks(x):
        x = np.asarray(x, float)
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
