"""Rows of tokens packed into one sequence without padding, each shared prompt prefix computed once.

A chat row is prefix (system turn) + rest. Rows with the same prefix hang off one copy of it:
`[prefix][rest 1][rest 2]...`; every rest sees its own prefix and itself only, and positions count as if each
row stood alone. The result equals separate rows to rounding, with fewer tokens.

All that works token by token runs on the packed sequence. Attention alone runs on `Padded` groups, so that its
cost grows with the length of a row, not of the pack.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One training or scoring example in tokens: the model reads prompt, is trained on answer."""
    prefix: tuple[int, ...]  # the part of the prompt that other rows may share
    prompt: tuple[int, ...]  # the rest of the prompt
    answer: tuple[int, ...]  # ends with the end-of-turn token

    def __len__(self):
        return len(self.prefix) + len(self.prompt) + len(self.answer)


@dataclass
class Padded:
    """Where packed tokens stand in a padded block of `shape` (sequences, longest)."""
    shape: tuple[int, int]
    take: np.ndarray  # (sequences * longest,) packed token of each place; T, one past the last, where there is none

    @classmethod
    def of(cls, starts, lengths, total: int) -> "Padded":
        longest = max(lengths, default=0)
        at = np.arange(longest)
        places = np.where(at < np.array(lengths)[:, None], np.array(starts)[:, None] + at, total) if lengths else np.zeros((0, 0), int)
        return cls(places.shape, places.ravel().astype(np.int32))


@dataclass
class Pack:
    """One packed sequence of T tokens. `predict[k]` is the position whose logits are to give `labels[k]`."""
    tokens: np.ndarray  # (T,) int32
    positions: np.ndarray  # (T,) int32, for RoPE
    prefixes: Padded  # the S distinct prefixes that are not empty
    rests: Padded  # the R rows without their prefixes
    back: np.ndarray  # (T,) place of each token in the prefixes' places followed by the rests' places
    prefix_of: np.ndarray  # (R, S) float32, 1 where a row has that prefix
    predict: np.ndarray  # (answer tokens,)
    labels: np.ndarray  # (answer tokens,)
    row: np.ndarray  # (answer tokens,) which row each label belongs to
    parts: list[tuple[object, int, int]]  # (what, first token, one past the last) of each prefix (a tuple) and rest (its Row)


def pack(rows: list[Row]) -> Pack:
    tokens, positions, predict, labels, owner = [], [], [], [], []
    prefix_at, rest_at = {}, []

    def add(ids, first):
        tokens.extend(ids)
        positions.extend(range(first, first + len(ids)))
        return len(tokens) - len(ids)

    for k, row in enumerate(rows):
        if row.prefix and row.prefix not in prefix_at:
            prefix_at[row.prefix] = add(row.prefix, 0)
        start = add(row.prompt + row.answer[:-1], len(row.prefix))
        rest_at.append(start)
        first = start + len(row.prompt) - 1  # the last prompt token predicts the first answer token
        predict.extend(range(first, first + len(row.answer)))
        labels.extend(row.answer)
        owner.extend([k] * len(row.answer))
    parts = [(p, at, at + len(p)) for p, at in prefix_at.items()] + [(r, at, at + len(r.prompt) + len(r.answer) - 1) for r, at in zip(rows, rest_at)]
    total = len(tokens)
    prefixes = Padded.of(list(prefix_at.values()), list(map(len, prefix_at)), total)
    rests = Padded.of(rest_at, [len(r.prompt) + len(r.answer) - 1 for r in rows], total)
    places, back = np.concatenate([prefixes.take, rests.take]), np.empty(total + 1, np.int32)
    back[places] = np.arange(len(places))
    of = np.array([[r.prefix == p for p in prefix_at] for r in rows], np.float32).reshape(len(rows), len(prefix_at))
    return Pack(np.array(tokens, np.int32), np.array(positions, np.int32), prefixes, rests, back[:total], of,
                np.array(predict), np.array(labels), np.array(owner), sorted(parts, key=lambda p: p[1]))


def split(rows: list[Row], most: int) -> list[list[Row]]:
    """The rows in groups of at most `most` tokens each (a longer row alone)."""
    groups, size = [], 0
    for row in rows:
        if not groups or size + len(row) > most:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += len(row)
    return groups
