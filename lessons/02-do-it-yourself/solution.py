"""Exercise 2, solved."""

import math

from tinyem.checking import tell


def lora_delta(a, b, alpha, rank):
    return alpha / rank * (b @ a)


def loss_mask(roles):
    return [role == "assistant" for role in roles[1:]]  # nothing predicts the first token


def how_many_steps(rows, batch, epochs):
    return max(1, round(epochs * math.ceil(rows / batch)))


def best_checkpoint(rows):
    fit = [r for r in rows if r["coherent"] >= 0.8]
    return max(fit, key=lambda r: (r["dev_em"], -r["step"]))["step"] if fit else None


if __name__ == "__main__":
    tell(2, __file__)
