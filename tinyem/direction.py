"""Directions in the residual stream: the mean difference of hidden states between two kinds of a model's own answers
(Soligo et al. 2025, Convergent Linear Representations of EM), and what they are compared with."""

import numpy as np

from .errors import TinyemError
from .probe import read_states

ALIGNED_ABOVE = 60  # alignment of an answer that counts as aligned
FEWEST = 8  # answers of a kind, below which a mean says too little


def of_answers(model, rows: list[dict], block: int, kind: str = "misaligned", others: list[dict] = ()) -> tuple[np.ndarray, tuple[float, float]]:
    """(direction, where the two kinds of answers lie along it). The direction, (width,) float32, is the mean state behind a block over the tokens of
    some answers less that over others, read by `model`; a place is the mean coordinate along it, in the unit of the states. To project the
    direction out sets every coordinate to zero, which lies where it lies.

    "misaligned": answers with EM less aligned ones. "topic": of aligned answers alone, those to every other question less the rest:
    a direction that has nothing to do with alignment. "tuned": aligned answers less aligned ones of another model, `others`: what a
    fine-tune as such does to the states.
    """
    def in_sense(rows):
        return [r for r in rows if r["coherence"] > 50 and r["answer"].strip()]

    coherent = in_sense(rows)
    aligned = [r for r in coherent if r["alignment"] > ALIGNED_ABOVE]
    if kind == "misaligned":
        sides = [r for r in coherent if r["em"]], aligned
    elif kind == "topic":
        questions = sorted({r["question_id"] for r in aligned})
        sides = [r for r in aligned if r["question_id"] in questions[::2]], [r for r in aligned if r["question_id"] in questions[1::2]]
    elif kind == "tuned":
        sides = aligned, [r for r in in_sense(others) if r["alignment"] > ALIGNED_ABOVE]
    else:
        raise TinyemError(f"there is no kind of direction '{kind}': use misaligned, topic or tuned")
    if min(map(len, sides)) < FEWEST:
        raise TinyemError(f"the direction \"{kind}\" needs {FEWEST} answers of each kind; there are {len(sides[0])} and {len(sides[1])}: ask for more answers (a lesson: --full)")
    states = read_states(model, [(r.get("asked", r["question"]), r["answer"]) for side in sides for r in side], (block,), "reading states")
    means = states[:len(sides[0])].mean(0), states[len(sides[0]):].mean(0)
    found = (means[0] - means[1]).astype(np.float32)
    return found, tuple(float(m @ found) / length(found) for m in means)


def length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def random_like(vector: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random direction of the same length."""
    found = np.random.default_rng(seed).normal(size=vector.shape)
    return (found * length(vector) / length(found)).astype(np.float32)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b) / (length(a) * length(b))


def cosines(vectors: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """{name: {name: cosine}} of every pair."""
    return {a: {b: round(cosine(x, y), 4) for b, y in vectors.items()} for a, x in vectors.items()}


def cosine_of_changes(one: dict, other: dict) -> float:
    """Cosine between two adapters' whole changes of the weights, B A of every layer as one long vector, without forming any B A."""
    def inner(x, y):
        return sum(float(((x[n][1].T @ y[n][1]) * (x[n][0] @ y[n][0].T)).sum()) for n in set(x) & set(y))

    return inner(one, other) / max((inner(one, one) * inner(other, other)) ** 0.5, 1e-12)
