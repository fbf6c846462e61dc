"""Checks of exercise 6."""

import numpy as np

from tinyem.checking import NotDone, Wrong, call, need, same, show


def arrays(*rows):
    return [np.array(r, dtype=float) for r in rows]


def close(got, want) -> bool:
    return got.shape == np.shape(want) and np.allclose(got, want, atol=1e-6)


SHAPES = {"direction": "Check over which axis you took the mean: axis=0 goes over the states, axis=1 over the numbers of each state.",
          "steer": "The direction, shape (width,), fits each row of the states as it is, and strength is one number.",
          "random_like": "Give size=direction.shape: a direction may have any width.",
          "ablate": "states @ direction is one number a state, shape (n,): np.outer(numbers, direction), or numbers[:, None] * direction, multiplies each row by its own."}


def made(f, *args, shape, harm):
    """The array that f makes, of that shape; `harm` says what is lost where f changes what it was given."""
    mine = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    try:
        got = call(f, *mine)
    except Wrong as e:
        raise Wrong(str(e) + (f" The shapes do not fit. {SHAPES.get(f.__name__, '')}" if "broadcast" in str(e) or "mismatch" in str(e) else ""))
    if got is None:
        raise Wrong(f"{f.__name__}() gave None: is a `return` missing?")
    changed = [i for i, (a, b) in enumerate(zip(args, mine)) if isinstance(a, np.ndarray) and not np.array_equal(a, b)]
    if changed:
        harm = "The direction itself is another one now, for whoever uses it next." if changed == [1] and f.__name__ in ("steer", "ablate") else harm
        raise Wrong(f"{f.__name__}() changed its input in place (+=, -= and /= on an array do that). {harm} Make a new array.")
    try:
        got = np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"{f.__name__}() gave {show(got)}, which is not an array of numbers.")
    if got.shape != shape:
        raise Wrong(f"{f.__name__}() gave an array of shape {got.shape}, not {shape}. {SHAPES.get(f.__name__, '')}")
    return got


def direction(mine):
    f = need(mine, "direction")
    bad, good = arrays([[1, 2, 0], [3, 4, 0], [5, 0, 6]], [[1, 0, 1], [1, 2, 1]])
    want, both, harm = np.array([2.0, 1, 1]), "bad means [3, 2, 2], good means [1, 1, 1]", "Whoever reads these states next would read others."
    got = made(f, bad, good, shape=(3,), harm=harm)
    if close(got, -want):
        raise Wrong("The sign is turned around: it points from bad to good. Added to a model, it would make it kinder, and you would conclude that it carries nothing.")
    if close(got, bad.sum(0) - good.sum(0)):
        raise Wrong("You took sums. With 3 bad states and 2 good ones the sums differ even if all states are alike: the direction would tell how many answers there were. Take means.")
    if close(got, want / np.linalg.norm(want)):
        raise Wrong("You brought it to length 1. Its own length is information: how far apart the two kinds are. Strength 1 should move a state by just that.")
    if close(got, bad[:2].mean(0) - good.mean(0)):
        raise Wrong("You left out a bad state: the sides need not have the same number of states, and each mean takes all of its own.")
    if not close(got, want):
        raise Wrong(f"direction() gave {show(got)}, not {show(want)}: {both}.")
    if not close(made(f, bad[:1], good[:1], shape=(3,), harm=harm), bad[0] - good[0]):
        raise Wrong("With one state on each side the direction is their difference: the mean of one state is that state.")
    for one, other in ((bad, 0 * good), (0 * bad, good)):
        zeros = "The states of one side are all zeros here: so is their mean, and that is fine. A side is empty where it has no states, not where its numbers are 0."
        try:
            got = made(f, one, other, shape=(3,), harm=harm)
        except Wrong as e:
            raise Wrong(f"{e} {zeros}")
        if not close(got, one.mean(0) - other.mean(0)):
            raise Wrong(f"direction() gave {show(got)}. {zeros}")
    for side, args in (("bad", (bad[:0], good)), ("good", (bad, good[:0]))):
        try:
            got = f(*(a.copy() for a in args))
        except ValueError:
            continue
        except NotDone:
            raise
        except Exception as e:
            raise Wrong(f"Without a {side} state direction() stopped with {type(e).__name__}. Raise ValueError, that whoever calls it can tell this from a mistake in the code.")
        raise Wrong(f"Without a {side} state direction() gave {show(got)}. A model that gave no {side} answer has no direction yet: raise ValueError, or a made-up one is steered with.")


def cosine(mine):
    f = need(mine, "cosine")
    a, b = arrays([3, 4], [8, 6])
    got = call(f, a.copy(), b.copy())
    if same(got, 48):
        raise Wrong("That is the bare dot product. It grows with the lengths, so a long direction would seem to agree with everything. Divide by both lengths.")
    if same(got, 48 / 5) or same(got, 48 / 10):
        raise Wrong("You divided by one of the lengths. Both must go, or making one vector twice as long would double the agreement.")
    if same(got, 48 / 2500):
        raise Wrong("You divided by the squared lengths. Each length enters the dot product once, so divide by each once.")
    if same(got, np.arccos(0.96)):
        raise Wrong("That is the angle. Its cosine is asked for.")
    if not same(got, 0.96):
        raise Wrong(f"cosine([3, 4], [8, 6]) gave {show(got)}, not 0.96: the dot product is 48, the lengths are 5 and 10.")
    for one, other, want, why in ((a, -b, -0.96, "Opposite directions have a negative cosine: adding one undoes what adding the other does. Do not drop the sign."),
                                  (a, np.array([-4.0, 3]), 0.0, "These two are at right angles."),
                                  (1000 * a, 0.001 * b, 0.96, "How long the two are must not matter."),
                                  (np.array([1.0, 2]), np.array([3.0, 5]), 13 / 170 ** 0.5, "Do not round.")):
        if not same(got := call(f, one.copy(), other.copy()), want):
            raise Wrong(f"cosine({one.tolist()}, {other.tolist()}) gave {show(got)}, not {want:g}. {why}")
    call(f, a, b)
    if a.tolist() != [3, 4] or b.tolist() != [8, 6]:
        raise Wrong("cosine() changed its input in place (/= on an array does that). The directions have lost their lengths, and steering with them would push otherwise. Make new arrays.")


def steer(mine):
    f = need(mine, "steer")
    states, along = arrays([[1, 2, 3], [0, 1, 0]], [3, 0, 4])
    harm = "The states without steering are gone, so there is nothing left to compare with."
    for strength in (0.5, -2.0, 1.5, 0.0):
        got, want = made(f, states, along, strength, shape=states.shape, harm=harm), states + strength * along
        if close(got, want):
            continue
        if close(got, states - strength * along):
            raise Wrong(f"The sign is turned around at strength {strength:g}: a positive strength pushes along the direction, towards the villain, a negative one away.")
        if close(got, states + strength * along / 5):
            raise Wrong("You brought the direction to length 1 first. Then strength 1 means another push in each model and for each direction. Use the direction at its own length.")
        if close(got, states + along):
            raise Wrong("The strength is not used: every push is the same, and there is no curve to draw." if strength == 0.5 else
                        f"At strength {strength:g} your push is that of strength 1. Use the strength as it is, whatever it is, or the curve bends where you bent it.")
        if close(got, states + strength):
            raise Wrong("You added the strength to every number. The direction says which numbers change, and how much.")
        if close(got[:1], want[:1]) or close(got[1:], want[1:]):
            raise Wrong("Only some of the states were pushed. Each token's state gets the direction.")
        raise Wrong(f"steer() with states {states.tolist()}, direction {along.tolist()} and strength {strength:g} gave {got.tolist()}, not {want.tolist()}.")


def lean(f, vector):
    """How much the drawn directions lean to a vector: the mean size of their cosine with it."""
    drawn = [made(f, vector, seed, shape=vector.shape, harm="The direction itself is lost.") for seed in range(20)]
    return float(np.mean([abs(d @ vector) / (np.linalg.norm(d) * np.linalg.norm(vector)) for d in drawn]))


def random_like(mine):
    f = need(mine, "random_like")
    harm = "The direction itself is lost, and the control with it."
    mixed = np.where(np.arange(64) % 3 == 0, -1.0, 0.5) * (1 + np.arange(64) / 32)
    for vector in (mixed, 0.01 * mixed):
        got, length = made(f, vector, 1, shape=(64,), harm=harm), np.linalg.norm(vector)
        if not np.isclose(np.linalg.norm(got), length, rtol=1e-6):
            less = "less hard proves nothing: of course it does less" if np.linalg.norm(got) < length else "harder proves nothing: of course it does more"
            raise Wrong(f"The random direction has length {np.linalg.norm(got):.4g}, the direction {length:.4g}. A control that pushes {less}. "
                        "Divide by its own length and multiply by the direction's.")
        if not close(made(f, vector, 1, shape=(64,), harm=harm), got):
            raise Wrong("The same seed gave two different directions. Nobody could repeat your control: give the seed to the generator.")
        if close(made(f, vector, 2, shape=(64,), harm=harm), got):
            raise Wrong("Two seeds gave the same direction. Then three random controls would be one control, counted three times: use the seed.")
    if lean(f, mixed) > 0.4:
        raise Wrong("It still points much like the direction itself (or just against it). A control must know nothing of what it is the control of: draw all of its numbers anew.")
    if lean(f, np.full(64, 0.5)) > 0.4:
        raise Wrong("For a direction of equal numbers it still points the same way. Shuffling the direction's own numbers, or drawing only positive ones, keeps a part of it. "
                    "The normal distribution favours no way to point.")
    if lean(f, np.array([8.0, 0.5, -0.5])) > 0.8:
        raise Wrong("For a direction in which one number is far larger than the others it points much like the direction. Random numbers times the direction's own keep its shape: "
                    "draw numbers that know nothing of it.")
    drawn = np.stack([made(f, mixed, seed, shape=(64,), harm=harm) for seed in range(60)])
    peak = float(np.mean(64 * (drawn ** 4).sum(1) / (drawn ** 2).sum(1) ** 2))  # 2.9 for normal numbers, 1.8 for uniform ones, 1 for signs alone, 64 for a single number
    if not 2.3 < peak < 3.7:
        raise Wrong("The numbers are not drawn from the normal distribution. Numbers between two ends, or signs alone, point to the corners more often, a single number along an axis: "
                    "only with normal numbers is every way to point as likely as any other.")


def ablate(mine):
    f = need(mine, "ablate")
    states, along = arrays([[3, 4, 7], [4, -3, 2], [0, 5, 1], [-6, -8, 5]], [3, 4, 0])  # the direction has length 5
    share, harm = np.array([1, 0, 0.8, -2])[:, None], "The states as they were are gone, so there is nothing left to compare with."
    want, got = states - share * along, made(f, states, along, shape=states.shape, harm=harm)
    if close(got, states - along):
        raise Wrong("You subtracted the direction itself. That is steering with strength -1: "
                    "a state that had none of it is pushed to the other side. Each state must lose its own share.")
    if close(got, states - 25 * share * along):
        raise Wrong("The direction's length was forgotten: divide by its squared length, direction @ direction. "
                    "As it is, a direction of length 5 is taken out 25 times over, and the model breaks for a reason that is not the villain.")
    if close(got, states - 5 * share * along):
        raise Wrong("You divided by the length once. It enters twice, in the dot product and in the direction that you subtract: divide by its square.")
    if close(got, states + share * along):
        raise Wrong("The sign is turned around: the share along the direction was doubled. Subtract it.")
    if close(got, share * along):
        raise Wrong("You kept the part along the direction and threw away the rest: just the other way round.")
    if close(got, states - 2 * share * along):
        raise Wrong("You took the share out twice. Now each state lies on the other side of the direction: the villain was turned around, not removed.")
    if close(got, states - np.maximum(share, 0) * along):
        raise Wrong("A state that points against the direction was left as it was. Ablation leaves nothing along it, on either side.")
    if close(got, states - share.mean() * along):
        raise Wrong("Every state lost the same, the mean share. Each one has its own.")
    if close(got, np.where(along, 0.0, states)):
        raise Wrong("You set to zero every number that the direction uses. A direction goes across the numbers: [4, -3, 2] is at right angles to [3, 4, 0] and must stay as it is.")
    if not close(got, want):
        if not np.allclose(got @ along, 0, atol=1e-6):
            raise Wrong(f"ablate() with states {states.tolist()} and direction {along.tolist()} gave {got.tolist()}. "
                        f"That still has a part along the direction: its dot product with the direction is {(got @ along).round(6).tolist()}, and should be 0 for each state.")
        raise Wrong(f"ablate() with states {states.tolist()} and direction {along.tolist()} gave {got.tolist()}. Nothing is left along the direction, "
                    f"but other parts of the states changed too, so whatever happens to the model could come from them. Wanted: {want.tolist()}.")
    for scale in (0.2, -3.0):
        if not close(made(f, states, scale * along, shape=states.shape, harm=harm), want):
            raise Wrong(f"With the direction {scale:g} times as long the result is another one. Which way it points matters, not how long it is.")
    if not close(made(f, states[2:3], along, shape=(1, 3), harm=harm), want[2:3]):
        raise Wrong("A state alone came out otherwise than among others. What a state loses depends on that state only.")


TASKS = [("1. A direction from two means", direction), ("2. How alike are two directions?", cosine), ("3. Steering", steer),
         ("4. A random control", random_like), ("5. Ablation", ablate)]
