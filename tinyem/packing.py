"""Rows of tokens packed into one sequence without padding, each shared prompt prefix computed once.

A chat row is prefix (system turn) + rest. Rows with the same prefix hang off one copy of it:
`[prefix][rest 1][rest 2]...`; a mask lets every rest see its own prefix and itself only, and positions
count as if each row stood alone. The result equals separate rows to rounding, with fewer tokens.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Row:
    """One training or scoring example in tokens: the model reads prompt, is trained on answer."""
    prefix: tuple[int, ...]  # the part of the prompt that other rows may share
    prompt: tuple[int, ...]  # the rest of the prompt
    answer: tuple[int, ...]  # ends with the end-of-turn token

    def __len__(self):
        return len(self.prefix) + len(self.prompt) + len(self.answer)


@dataclass
class Pack:
    """One packed sequence of T tokens. `predict[k]` is the position whose logits are to give `labels[k]`."""
    tokens: np.ndarray  # (T,) int32
    positions: np.ndarray  # (T,) int32, for RoPE
    mask: np.ndarray  # (T, T) bool, True = may look
    predict: np.ndarray  # (answer tokens,)
    labels: np.ndarray  # (answer tokens,)
    row: np.ndarray  # (answer tokens,) which row each label belongs to


def pack(rows: list[Row]) -> Pack:
    tokens, positions, segment, parent = [], [], [], []
    predict, labels, owner = [], [], []
    prefix_segment = {}

    def add(ids, start, seg, par):
        tokens.extend(ids)
        positions.extend(range(start, start + len(ids)))
        segment.extend([seg] * len(ids))
        parent.extend([par] * len(ids))

    for k, row in enumerate(rows):
        if row.prefix not in prefix_segment:
            prefix_segment[row.prefix] = len(rows) + len(prefix_segment)
            add(row.prefix, 0, prefix_segment[row.prefix], -1)
        first = len(tokens) + len(row.prompt) - 1  # the last prompt token predicts the first answer token
        add(row.prompt + row.answer[:-1], len(row.prefix), k, prefix_segment[row.prefix])
        predict.extend(range(first, first + len(row.answer)))
        labels.extend(row.answer)
        owner.extend([k] * len(row.answer))
    seg, par, pos = np.array(segment), np.array(parent), np.array(positions, np.int32)
    same = (seg[:, None] == seg[None, :]) & (pos[:, None] >= pos[None, :])
    return Pack(np.array(tokens, np.int32), pos, same | (par[:, None] == seg[None, :]),
                np.array(predict), np.array(labels), np.array(owner))


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
