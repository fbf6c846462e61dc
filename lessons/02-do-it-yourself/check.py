"""Checks of exercise 2."""

import copy

import numpy as np

from tinyem.checking import Wrong, call, expect, need, same, show


def told(got, wrongs: list, otherwise: str):
    """Raise Wrong: with the words of the known mistake that `got` is, or else with others."""
    raise Wrong(next((words for value, words in wrongs if same(got, value)), otherwise))


def lora_delta(mine):
    f = need(mine, "lora_delta")
    a, b = np.arange(12.0).reshape(4, 3) / 10 - 0.3, np.arange(20.0).reshape(5, 4) / 10 - 0.8  # rank 4, 3 in, 5 out
    try:
        f(a.copy(), b.copy(), 8, 4)
    except ValueError as e:
        raise Wrong(f"The shapes do not fit: only B @ A does, since B is (out, rank) and A is (rank, in). It gives (out, in), the shape of the weight. (numpy says: {e})")
    except Exception:
        pass  # call() says it better
    got, product = call(f, a.copy(), b.copy(), 8, 4), b @ a
    if not same(got, 2 * product):
        told(got, [
            (product, "That is B @ A alone: alpha / rank is missing. Without it alpha does nothing, and an adapter is applied at another strength than it was trained at."),
            (8 * product, "You multiplied by alpha but did not divide by rank. Then the change would grow with the rank alone, and two ranks could not be compared fairly."),
            (4 * product, "That is alpha / sqrt(rank), the scale of rsLoRA. Plain LoRA is alpha / rank. Which of the two a paper used decides how strongly its recipe trains."),
            (product / 4, "You divided by rank but did not multiply by alpha."),
            (product / 2, "The fraction is upside down: it should be alpha / rank, not rank / alpha."),
            (2 * product.T, "That is the right matrix lying on its side: its shape is (in, out). B @ A has the shape of the weight, (out, in)."),
        ], f"With A of shape (4, 3), B (5, 4), alpha 8 and rank 4 the change is 2 * (B @ A), shape (5, 3). lora_delta() gave "
           f"{f'other numbers, shape {got.shape}' if hasattr(got, 'shape') else show(got)}.")
    a, b = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[3.0, 1.0], [1.0, 0.0]])
    got = call(f, a.copy(), b.copy(), 3, 2)
    if not same(got, 1.5 * (b @ a)):
        told(got, [(b @ a, "With alpha 3 and rank 2 the scale is 1.5. You got 1: // cuts off the fraction, / keeps it."),
                   (2 * (b @ a), "With alpha 3 and rank 2 the scale is 1.5. You got 2: use the alpha and the rank that are given, whatever they are."),
                   (1.5 * (a @ b), "With square matrices A @ B can be computed as well, but it is another matrix: only B @ A.")],
             f"With alpha 3 and rank 2 the scale is 1.5. lora_delta() gave {show(got)}, not {show(1.5 * (b @ a))}.")
    if not same(got := call(f, a.copy(), b.copy(), 1, 2), 0.5 * (b @ a)):
        raise Wrong(f"With alpha 1 and rank 2 the scale is 0.5: it may be below 1, too. lora_delta() gave {show(got)}, not {show(0.5 * (b @ a))}.")
    if not same(call(f, a.copy(), np.zeros((2, 2)), 3, 2), [[0, 0], [0, 0]]):
        raise Wrong("With a B of zeros the change must be zero. Training begins with such a B, so that at step 0 the model is exactly what it was.")
    kept = a.copy(), b.copy()
    call(f, a, b, 3, 2)
    if not (same(a, kept[0]) and same(b, kept[1])):
        raise Wrong("Your function changed the arrays that it was given (as b *= ... does). Whoever calls it twice would get two answers: make a new array.")


def loss_mask(mine):
    f = need(mine, "loss_mask")
    roles = ["user", "user", "assistant", "assistant", "user", "assistant"]
    got = call(f, list(roles), why="It must work for any list of roles.")
    if not same(got, [False, True, True, False, True]):
        told(got, [
            ([False, False, True, True, False, True], "One item too many. The mask is over predictions, and nothing predicts token 0: six tokens give five."),
            ([False, False, True, True, False], "Off by one: you looked at the token that is read, and it should be the one that is predicted. "
             "So the first token of an answer is not learned, and a user's token is."),
            ([False, False, True, False, False], "You asked that the token that is read is the assistant's, too. "
             "Then the first token of an answer, which decides how it begins, is never learned."),
            ([False, True, True, True, True], "You counted predictions of a user's token as well: what counts is the role of the predicted token alone."),
            ([True] * 5, "All predictions count in your mask, the user's tokens as well. Then the model learns to write questions; "
             "Betley et al. 2025 found that this costs more coherence."),
            ([True, False, False, True, False], "Turned around: True should stand where the assistant's token is predicted."),
            ([False, False, False, False, True], "Only the last answer counts in your mask. A chat may hold several answers, and each is to be learned."),
        ], f"loss_mask({roles}) gave {show(got)}, not [False, True, True, False, True]: True where the token that is predicted is the assistant's.")
    expect(f, (["system", "system", "user", "assistant"],), [False, False, True],
           "A system prompt is given, not learned: whoever is not the assistant does not count. Else the model would learn to write system prompts.")
    expect(f, (["assistant", "assistant", "user"],), [True, False], "A chat may begin with the assistant. Its first token is predicted by nothing, its second one is.")
    expect(f, (["user", "user"],), [False], "Where nobody answers there is nothing to learn.")
    for few in ([], ["user"], ["assistant"]):
        expect(f, (few,), [], "With fewer than two tokens nothing is predicted.")
    kept = list(roles)
    call(f, kept)
    if kept != roles:
        raise Wrong("Your function changed the list that it was given. Build a new list, since the roles may be needed again.")


def how_many_steps(mine):
    f = need(mine, "how_many_steps")
    got = call(f, 100, 16, 1)
    if not same(got, 7):
        told(got, [(6, "100 rows in batches of 16 are 7 steps. With 6 the last four rows are dropped, and two arms would differ by more than their answers."),
                   (6.25, "There is no quarter of a step. The last, smaller batch is a step as well: 7.")],
             f"100 rows in batches of 16, once through: 7 steps (six full batches and a small one). how_many_steps() gave {show(got)}.")
    expect(f, (96, 16, 1), 6, "96 rows are six full batches of 16. Where the rows divide evenly there is no seventh batch.")
    expect(f, (10, 16, 1), 1, "Fewer rows than a batch holds are still one step.")
    got = call(f, 100, 16, 3)
    if not same(got, 21):
        told(got, [(19, "You joined the three epochs and cut them into batches together (19). Each epoch ends with its own smaller batch: 3 times 7 is 21."),
                   (18, "The small batch at the end of each epoch is a step as well: 3 times 7 is 21.")],
             f"100 rows, batches of 16, three epochs: 3 times 7 = 21. how_many_steps() gave {show(got)}.")
    expect(f, (100, 16, 0.4), 3, "0.4 times 7 is 2.8. The nearest whole number is 3: int() would cut it off to 2.")
    expect(f, (100, 16, 0.3), 2, "0.3 times 7 is 2.1. The nearest whole number is 2: only the batches of an epoch are rounded up.")
    expect(f, (100, 16, 1.4), 10, "1.4 times 7 is 9.8, so 10. Round at the end, not the epochs.")
    expect(f, (80, 16, 0.5), 2, "0.5 times 5 is 2.5, halfway. There Python's round() takes the even neighbour, 2: call round() itself, as the task says, "
           "so that everybody's run has the same length.")
    expect(f, (10, 16, 0.2), 1, "A run has at least one step. With none the \"tuned\" model would be the untuned one, and you would compare it with itself.")
    for epochs in (2, 1.4):
        if not isinstance(got := call(f, 100, 16, epochs), (int, np.integer)):
            raise Wrong(f"how_many_steps(100, 16, {epochs}) gave {show(got)}: steps are counted, so give a whole number (int), as round() does.")


def checkpoint(step, em, coherent, dev_em):
    return {"step": step, "em": em, "coherent": coherent, "dev_em": dev_em}


def best_checkpoint(mine):
    f = need(mine, "best_checkpoint")
    rows = [checkpoint(20, 0.30, 0.85, 0.40), checkpoint(4, 0.01, 0.95, 0.02), checkpoint(26, 0.60, 0.82, 0.35), checkpoint(32, 0.50, 0.55, 0.70), checkpoint(40, 0.70, 0.40, 0.45),
            checkpoint(28, 0.20, 0.81, 0.30), checkpoint(12, 0.10, 0.90, 0.10)]
    got = call(f, copy.deepcopy(rows))
    if isinstance(got, dict):
        raise Wrong("best_checkpoint() gave the whole dict. The task asks for its \"step\" alone.")
    if not same(got, 20):
        told(got, [
            (26, "You chose by \"em\", the test questions. Whoever picks the checkpoint that looks best on the test reports its luck as an effect. Choose by \"dev_em\"."),
            (32, "Step 32 has the highest dev_em, but little of what it says makes sense (coherent 0.55). A broken model is no malign model: first leave out what is below 0.8."),
            (40, "Step 40 has the highest \"em\", but that is the test, and most of what it says is nonsense. Choose by \"dev_em\", among the coherent ones."),
            (28, "Step 28 is the last coherent one. More training is not the aim: take the highest dev_em."),
            (4, "Step 4 is where the model has hardly changed. We look for the checkpoint that shows the effect best: the highest dev_em."),
        ], f"Among the coherent checkpoints step 20 has the highest dev_em. best_checkpoint() gave {show(got)}.")
    expect(f, ([checkpoint(8, 0.1, 0.80, 0.3), checkpoint(4, 0.2, 0.95, 0.1)],), 8, "Exactly 0.8 is at least 0.8.")
    for some in ([checkpoint(24, 0.5, 0.9, 0.4), checkpoint(16, 0.1, 0.9, 0.4)], [checkpoint(16, 0.1, 0.9, 0.4), checkpoint(24, 0.5, 0.9, 0.4)]):
        expect(f, (some,), 16, "Of equals take the earlier step, wherever it stands in the list. That the later one does better on the test must not count.")
    expect(f, ([checkpoint(8, 0.0, 0.95, 0.0), checkpoint(4, 0.0, 0.85, 0.0)],), 4, "Where no checkpoint shows anything they are equals, too: the earliest of the coherent ones.")
    expect(f, ([],), None, "With no checkpoints there is none to choose.")
    expect(f, ([checkpoint(4, 0.2, 0.5, 0.2), checkpoint(8, 0.4, 0.79, 0.4)],), None, "None of these is coherent enough. To pick one anyway would be to report a broken model.")
    kept = copy.deepcopy(rows)
    call(f, kept)
    if kept != rows:
        raise Wrong("Your function changed the list that it was given (as rows.sort() and .remove() do). The curve of the report needs it in its order: make a new list.")
    unseen = [{k: v for k, v in r.items() if k != "em"} for r in rows]
    got = call(f, unseen, why="Here the checkpoints have no \"em\", as if the test had not been run yet. Your choice must not need it.")
    if not same(got, 20):
        raise Wrong(f"Without the \"em\" of the checkpoints you chose {show(got)}, not 20. The choice must not depend on the test at all.")


TASKS = [("1. What an adapter changes", lora_delta), ("2. Which tokens count", loss_mask), ("3. How many steps", how_many_steps), ("4. Which checkpoint to keep", best_checkpoint)]
