"""Log-likelihoods of given answers: how well a model, with adapters applied, would have said them itself."""

import numpy as np

from .engine import BATCH, Engine
from .errors import TinyemError
from .progress import Progress


def _log_softmax_at(logits: np.ndarray, token: int) -> float:
    top = logits.max()
    return float(logits[token] - top - np.log(np.exp(logits - top, dtype=np.float32).sum(dtype=np.float64)))


def log_likelihoods(engine: Engine, rows: list[dict], label: str = "reading") -> list[dict]:
    """The rows ({"question", "answer"[, "system"]}; "asked", where a row has it, is the question as it was put) with "log_likelihood" (nats, summed over the answer's tokens and its
    end of turn) and "answer_tokens" added.

    Rows with the same system prompt share its decoded prefix. Raises TinyemError naming a row that does not fit.
    """
    chat = engine.chat
    tokens = [chat.row(r.get("asked", r["question"]), r["answer"], r.get("system")) for r in rows]
    for i, t in enumerate(tokens):
        if len(t) > min(engine.room, BATCH):
            raise TinyemError(f"row {i + 1} has {len(t)} tokens, room for {min(engine.room, BATCH)}: shorten it")
    found, done = [None] * len(rows), 0
    groups: dict[tuple, list[int]] = {}
    for i, t in enumerate(tokens):
        groups.setdefault(t.prefix, []).append(i)
    with Progress(label, len(rows)) as bar:
        for prefix, members in groups.items():
            engine.clear()
            if prefix:
                engine.decode([(t, i, 0, i == len(prefix) - 1) for i, t in enumerate(prefix)])
            batch, spans = [], []

            def flush():
                nonlocal batch, spans, done
                engine.decode(batch)
                for seq, (i, first) in enumerate(spans, 1):
                    answer = tokens[i].answer
                    total = sum(_log_softmax_at(engine.logits(first + k), t) for k, t in enumerate(answer))
                    found[i] = {**rows[i], "log_likelihood": round(total, 4), "answer_tokens": len(answer)}
                    engine.forget(seq)
                done += len(spans)
                bar.update(done)
                batch, spans = [], []

            for i in members:
                prompt, answer = tokens[i].prompt, tokens[i].answer
                if batch and (len(batch) + len(prompt) + len(answer) - 1 > BATCH or len(spans) == engine.width):
                    flush()
                if prefix:
                    engine.copy(0, len(spans) + 1)
                spans.append((i, len(batch) + len(prompt) - 1))  # the last prompt token predicts the first answer token
                batch += [(t, len(prefix) + k, len(spans), k >= len(prompt) - 1) for k, t in enumerate(prompt + answer[:-1])]
            flush()
    return found
