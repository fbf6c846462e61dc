"""Exercise 2: what happens inside a fine-tune, and how to choose where to stop it.

Four small functions: what an adapter does to a weight matrix, which tokens training learns from, how long a run is, and which checkpoint
to keep. No model is needed. The matrices of task 1 are numpy arrays (tables of numbers); all else is plain Python.

Do the tasks in order. Check with `tinyem check 2`, or run this file.
"""

from tinyem.checking import tell, todo


def lora_delta(a, b, alpha, rank):
    """Task 1. The change that a LoRA adapter makes to one weight matrix of shape (out, in).

    In: `a`, an array of shape (rank, in); `b`, an array of shape (out, rank); the numbers `alpha` and `rank`.
    Out: an array of shape (out, in): the matrix product of B and A (B on the left), times alpha, divided by rank. Leave `a` and `b` as they are.
    """
    return todo("The matrix product of numpy arrays is written with @.")


def loss_mask(roles):
    """Task 2. Which predictions of a chat count in the loss: those of the assistant's tokens, and no others.

    In: a list with the role of each token, in order, such as ["user", "user", "assistant", "assistant"]. Roles are "system", "user" and "assistant".
    A model reads token 0 and predicts token 1, reads token 1 and predicts token 2, and so on. Nothing predicts token 0.
    Out: a list of True and False, one for each prediction, so one shorter than `roles`: item i is about the prediction of token i + 1.
    For the list above: [False, True, True]. A chat of one token, or of none, holds no prediction: [].
    """
    return todo("For each prediction, look at the role of the token that is predicted.")


def how_many_steps(rows, batch, epochs):
    """Task 3. The number of training steps, a whole number (int).

    In: how many rows there are (1 or more), how many rows a step takes (the batch), and how often training goes through all rows (epochs; may be 0.5 or 1.4).
    One epoch has as many steps as it takes to see every row: its last batch may be smaller than the others. Batches do not reach over the end of an epoch.
    Out: the steps of one epoch times epochs, rounded to the nearest whole number with round(), but never less than 1.
    """
    return todo("First the steps of one epoch, then times epochs, then round. math.ceil() rounds up.")


def best_checkpoint(rows):
    """Task 4. The step of the checkpoint to keep: the one that shows the effect best and still makes sense.

    In: a list of dicts in any order, one a checkpoint: {"step": 12, "em": 0.21, "coherent": 0.88, "dev_em": 0.25}. "em" is the share of misaligned
    answers to the TEST questions, those that you will report. "dev_em" and "coherent" are shares of answers to the DEVELOPMENT questions, which exist for choosing.
    Out: the "step" of the checkpoint with the highest "dev_em", among those whose "coherent" is at least 0.8. Of equals the earlier step.
    None where there is no such checkpoint. Leave the list as it is, and never look at "em".
    """
    return todo("First keep the coherent checkpoints, then take the best of them by dev_em.")


if __name__ == "__main__":
    tell(2, __file__)
