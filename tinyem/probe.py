"""Read-outs of a model's hidden states: what the judges are made of, and whatever asks what a block knows."""

from dataclasses import dataclass, replace

import numpy as np

from .engine import BATCH, Engine
from .progress import Progress

ANSWER_TOKENS, QUESTION_TOKENS = 160, 160  # longer ones are read up to here


def row(chat, question: str, answer: str):
    """What is read of a question and an answer, as a `packing.Row`: beginnings, where they are long."""

    def cut(text, most):
        short = text.strip()[:8 * most]
        tokens = chat.text_tokens(short)
        return short if len(tokens) <= most else chat.decode(tokens[:most])

    found = chat.row(cut(question, QUESTION_TOKENS), cut(answer, ANSWER_TOKENS))
    return replace(found, answer=found.answer[:-1][:ANSWER_TOKENS] + found.answer[-1:])  # cut text can have more tokens than the tokens it was cut to


def answer_states(engine: Engine, pairs, label: str = "judging"):
    """Yield (number, {block: (answer tokens + 1, width)}) for (question, answer) pairs, in any order: the watched blocks' states
    at the answer's tokens and its end of turn. Pairs with the same prompt share it."""
    rows, done = [row(engine.chat, q, a) for q, a in pairs], 0
    groups: dict[tuple, list[int]] = {}
    for i, r in enumerate(rows):
        groups.setdefault(r.prefix + r.prompt, []).append(i)
    with Progress(label, len(pairs)) as bar:
        for prompt, members in groups.items():
            engine.clear()
            for at in range(0, len(prompt), BATCH):
                engine.decode([(t, at + i, 0, False) for i, t in enumerate(prompt[at:at + BATCH])])
            while members:
                batch, spans = [], []
                while members and len(spans) < engine.width and len(batch) + len(rows[members[0]].answer) <= BATCH:
                    answer = rows[members[0]].answer
                    spans.append((members.pop(0), len(batch), len(batch) + len(answer)))
                    engine.copy(0, len(spans))
                    batch += [(t, len(prompt) + k, len(spans), False) for k, t in enumerate(answer)]
                engine.decode(batch)
                states = dict(engine.states)
                for seq, (i, first, last) in enumerate(spans, 1):
                    yield i, {b: s[first:last] for b, s in states.items()}
                    engine.forget(seq)
                done += len(spans)
                bar.update(done)


def hidden_features(engine: Engine, pairs, blocks, label: str = "judging") -> np.ndarray:
    """(pairs, blocks * width) float32: for each of the watched blocks the mean state over the answer's tokens and its end of turn."""
    out = np.zeros((len(pairs), len(blocks) * engine.n_embd), np.float32)
    for i, states in answer_states(engine, pairs, label):
        out[i] = np.concatenate([states[b].mean(0) for b in blocks])
    return out


def read_states(base, pairs, blocks, label: str = "judging") -> np.ndarray:
    """`hidden_features` by the first blocks of a model: no more of it runs than the last block asked for needs."""
    from . import merge

    with Engine(merge.truncated(base, max(blocks) + 2), 16, 512, tuple(blocks)) as engine:  # a last block's states come for outputs only
        return hidden_features(engine, pairs, blocks, label)


KERNEL_WIDTH = 2.0  # of the mean squared difference of two answers' standardised features, which is 2 for unrelated ones
_STEP = 16  # landmarks are kept as whole numbers of 1/16 of a standard deviation


@dataclass
class Basis:
    """What a read-out's weights stand on: standardised features, or their likeness to some answers, the `landmarks` ((m, features) int8), by
    a Gaussian kernel. The second makes ridge regression a kernel ridge regression by Nystroem's method (Williams & Seeger 2001)."""
    mean: np.ndarray
    std: np.ndarray
    landmarks: np.ndarray | None = None

    @classmethod
    def of(cls, x: np.ndarray, weights: np.ndarray, landmarks: int = 0, seed: int = 0) -> "Basis":
        """Standardises by weighted moments; draws that many landmarks, by weight."""
        w = (weights / weights.sum()).astype(np.float32)
        mean = w @ x
        found = cls(mean, np.sqrt(w @ (x - mean) ** 2) + 1e-6)
        if landmarks:
            chosen = np.random.default_rng(seed).choice(len(x), min(landmarks, int((w > 0).sum())), replace=False, p=weights / weights.sum())
            found.landmarks = np.clip(np.round(_STEP * (x[chosen] - mean) / found.std), -127, 127).astype(np.int8)
        return found

    def _likeness(self, z: np.ndarray) -> np.ndarray:
        marks = self.landmarks.astype(np.float32) / _STEP
        apart = (z ** 2).sum(1)[:, None] + (marks ** 2).sum(1)[None] - 2 * z @ marks.T
        return np.exp(-np.maximum(apart, 0) / (KERNEL_WIDTH * z.shape[1]))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(answers, size) float32."""
        z = (x - self.mean) / self.std
        return z if self.landmarks is None else self._likeness(z)

    def penalty(self) -> np.ndarray:
        """(size, size): what a strength of 1 adds to the normal equations."""
        return np.eye(len(self.mean), dtype=np.float32) if self.landmarks is None else self._likeness(self.landmarks.astype(np.float32) / _STEP)


@dataclass
class Head:
    """One grade from a basis: score = basis(x) @ weight + bias."""
    weight: np.ndarray
    bias: float

    def __call__(self, given: np.ndarray) -> np.ndarray:
        return given @ self.weight + self.bias


def fit_heads(given: np.ndarray, penalty: np.ndarray, y: np.ndarray, strengths, weights: np.ndarray) -> list[Head]:
    """Weighted ridge regressions on a basis, one a strength (of the penalty, where the weights sum to 1)."""
    w = (weights / weights.sum()).astype(np.float32)
    centre, weighted = float(w @ y), given * w[:, None]
    gram, target = (given.T @ weighted).astype(np.float64), (weighted.T @ (y - centre).astype(np.float32)).astype(np.float64)
    gram[np.diag_indices_from(gram)] += 1e-7 * np.trace(gram) / len(gram)  # likenesses are nearly dependent
    return [Head(np.linalg.solve(gram + s * penalty, target).astype(np.float32), centre) for s in strengths]
