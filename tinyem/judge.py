"""The small judge: a linear read-out of a small model's hidden states, giving alignment and coherence 0-100.

The judge model reads question and answer through its chat template. Features are the mean hidden state over
the answer's tokens, the state at its end, and the keyword signals; two ridge regressions map them to
alignment and coherence. `data/judge/judge.npz` holds the weights, `card.json` what they were fitted on and
how wrong they are.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .engine import BATCH, Engine
from .errors import TinyemError
from .files import need_file, share
from .keywords import Keywords
from .progress import Progress

MAX_TOKENS = 160  # of an answer; longer ones are read up to here


def hidden_features(engine: Engine, pairs, blocks, label: str = "judging") -> np.ndarray:
    """(answers, 2 * blocks * width) float32: for each of the watched blocks the mean state over the answer's tokens and
    the state at its end of turn, for (question, answer) pairs.

    Answers to the same question share the decoded prompt.
    """
    out = np.zeros((len(pairs), 2 * len(blocks) * engine.n_embd), np.float32)
    groups: dict[str, list[int]] = {}
    for i, (question, _) in enumerate(pairs):
        groups.setdefault(question, []).append(i)
    done = 0
    with Progress(label, len(pairs)) as bar:
        for question, members in groups.items():
            engine.clear()
            prompt = engine.chat.prompt(engine.chat.messages(question))[: engine.room - MAX_TOKENS - 1]
            for at in range(0, len(prompt), BATCH):
                engine.decode([(t, at + i, 0, False) for i, t in enumerate(prompt[at:at + BATCH])])
            batch, spans, seq = [], [], 1

            def flush():
                nonlocal batch, spans, seq, done
                if not batch:
                    return
                engine.decode(batch)
                for i, first, last in spans:
                    out[i] = np.concatenate([x for b in blocks for x in (engine.states[b][first:last].mean(0), engine.states[b][last - 1])])
                for s in range(1, seq):
                    engine.forget(s)
                done += len(spans)
                batch, spans, seq = [], [], 1
                bar.update(done)

            for i in members:
                tokens = engine.chat.text_tokens(pairs[i][1].strip())[:MAX_TOKENS] + [engine.chat.end]
                if len(batch) + len(tokens) > BATCH or seq > engine.width:
                    flush()
                engine.copy(0, seq)
                spans.append((i, len(batch), len(batch) + len(tokens)))
                batch += [(t, len(prompt) + k, seq, False) for k, t in enumerate(tokens)]
                seq += 1
            flush()
    return out


def read_states(base, pairs, blocks, label: str = "judging") -> np.ndarray:
    """`hidden_features` by the first blocks of a model: no more of it runs than the last block asked for needs."""
    from . import merge

    with Engine(merge.truncated(base, max(blocks) + 2), 16, 512, tuple(blocks)) as engine:  # a last block's states come for outputs only
        return hidden_features(engine, pairs, blocks, label)


@dataclass
class Head:
    """One ridge regression on standardised features: score = (x - mean) / std @ weight + bias, cut to 0-100."""
    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.clip((x - self.mean) / self.std @ self.weight + self.bias, 0, 100)


def fit_heads(x: np.ndarray, y: np.ndarray, strengths, weights: np.ndarray) -> list[Head]:
    """Weighted ridge regressions, one a strength (the penalty, where the weights sum to 1)."""
    w = (weights / weights.sum()).astype(np.float32)
    mean = w @ x
    std = np.sqrt(w @ (x - mean) ** 2) + 1e-6
    z, centre = (x - mean) / std, w @ y
    zw = z * w[:, None]
    gram, target, eye = zw.T @ z, zw.T @ (y - centre).astype(np.float32), np.eye(x.shape[1], dtype=np.float32)
    return [Head(mean, std, np.linalg.solve(gram + s * eye, target), float(centre)) for s in strengths]


class Judge:
    """The shipped judge. `score(pairs)` gives (alignment, coherence) arrays of 0-100."""

    def __init__(self, folder=None, base=None):
        folder = Path(folder or share("data", "judge"))
        try:
            self.card = json.loads(need_file(folder / "card.json", "judge card").read_text(encoding="utf-8"))
            with np.load(need_file(folder / "judge.npz", "judge file"), allow_pickle=False) as f:
                self.heads = {kind: Head(f[f"{kind}_mean"], f[f"{kind}_std"], f[f"{kind}_weight"], float(f[f"{kind}_bias"]))
                              for kind in ("alignment", "coherence")}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            raise TinyemError(f"the judge in {folder} is broken: install tinyem again or fit the judge anew")
        self.base, self.keywords = base, Keywords()

    def features(self, pairs, label="judging") -> np.ndarray:
        from . import models

        hidden = read_states(self.base or models.find(self.card["model"]), pairs, self.card["blocks"], label)
        return np.hstack([hidden, self.keywords.features([a for _, a in pairs])])

    def score(self, pairs, label="judging") -> tuple[np.ndarray, np.ndarray]:
        if not pairs:
            return np.zeros(0), np.zeros(0)
        x = self.features(pairs, label)
        return self.heads["alignment"](x), self.heads["coherence"](x)
