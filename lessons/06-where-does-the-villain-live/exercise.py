"""Exercise 6: find a direction, compare it, add it, and take it out.

A state is a row of numbers, and states are a numpy array of shape (n, width): n rows, one state each. A direction is an array of shape (width,).
A real state of the lesson's model has 576 numbers. Here 2 or 3 will do: the arithmetic is the same.

For arrays, a @ b is the dot product: multiply number by number and add up. np.linalg.norm(a) is the length of a vector a.
states.mean(axis=0) goes over the rows (the states), axis=1 over the numbers of each state. states @ direction gives one number a state, shape (n,).
To multiply each row by a number of its own: np.outer(numbers, direction), or numbers[:, None] * direction, both of shape (n, width).
Never change an array that you were given: return a new one.

Do the tasks in order. Check with `tinyem check 6`, or run this file.
"""

import numpy as np

from tinyem.checking import tell, todo


def direction(bad_states, good_states):
    """Task 1. The mean of the bad states less the mean of the good states: an array of shape (width,), at the length it comes out with.

    In: two arrays of states, shapes (n, width) and (m, width). The two sides may have different numbers of states. If either side has none, raise ValueError: nothing has no mean."""
    return todo("Take the mean over the states of each side, so that one state is left, and subtract. Look first whether a side is empty.")


def cosine(a, b):
    """Task 2. The cosine between two directions, each of shape (width,): one number. 1 where they point the same way, 0 at right angles, -1 where they are opposite.

    It does not depend on how long they are. Neither has length 0."""
    return todo("Divide the dot product by both lengths.")


def steer(states, direction, strength):
    """Task 3. The states, shape (n, width), with strength times the direction added to each of them.

    The direction is used at its own length: strength 1 adds, at this one place, just as much as lies between the two means. A negative strength pushes the other way."""
    return todo("One line: numpy adds a row to each row of an array.")


def random_like(direction, seed):
    """Task 4. A random direction for the control: same shape and same length as the direction, but pointing somewhere else.

    Draw every number from the normal distribution, so that no way to point is favoured. The same seed gives the same direction again, another seed another one."""
    return todo("np.random.default_rng(seed).normal(size=...) draws the numbers. Then bring them to the right length.")


def ablate(states, direction):
    """Task 5. The states, shape (n, width), with the direction taken out of each: what is left is at right angles to the direction.

    Each state loses its own share along the direction, be it positive or negative, and nothing else. The direction may have any length but 0; its length must not matter."""
    return todo("How many directions does each state hold? Take away just that many.")


if __name__ == "__main__":
    tell(6, __file__)
