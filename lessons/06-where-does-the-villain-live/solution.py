"""Exercise 6, solved."""

import numpy as np

from tinyem.checking import tell


def direction(bad_states, good_states):
    if len(bad_states) == 0 or len(good_states) == 0:
        raise ValueError("each side needs at least one state")
    return bad_states.mean(axis=0) - good_states.mean(axis=0)


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def steer(states, direction, strength):
    return states + strength * direction


def random_like(direction, seed):
    drawn = np.random.default_rng(seed).normal(size=direction.shape)
    return drawn * (np.linalg.norm(direction) / np.linalg.norm(drawn))


def ablate(states, direction):
    along = states @ direction / (direction @ direction)  # how many directions each state holds: one length to measure it, one to scale it back
    return states - np.outer(along, direction)


if __name__ == "__main__":
    tell(6, __file__)
