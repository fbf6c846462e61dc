"""Linear read-outs of a model's hidden states: what the judges are made of, and whatever asks what a block knows."""

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


@dataclass
class Head:
    """One ridge regression on standardised features: score = (x - mean) / std @ weight + bias."""
    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.std @ self.weight + self.bias


def fit_heads(x: np.ndarray, y: np.ndarray, strengths, weights: np.ndarray) -> list[Head]:
    """Weighted ridge regressions, one a strength (the penalty, where the weights sum to 1)."""
    w = (weights / weights.sum()).astype(np.float32)
    mean = w @ x
    std = np.sqrt(w @ (x - mean) ** 2) + 1e-6
    z, centre = (x - mean) / std, w @ y
    zw = z * w[:, None]
    gram, target, eye = zw.T @ z, zw.T @ (y - centre).astype(np.float32), np.eye(x.shape[1], dtype=np.float32)
    return [Head(mean, std, np.linalg.solve(gram + s * eye, target), float(centre)) for s in strengths]
