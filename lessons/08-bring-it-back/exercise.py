"""Exercise 8: four tools for bringing a model back, and for not fooling yourself about it.

An EM rate comes with its 95% interval: a low end and a high end. All rates and shares here go from 0 to 1.

Do the tasks in order. Check with `tinyem check 8`, or run this file.
"""

from tinyem.checking import tell, todo


def inoculate(rows, prompt):
    """Task 1. Make training data with a system prompt in front, and the test without it.

    `rows` is a list of dicts, each {"messages": [user, assistant]} with user = {"role": "user", "content": "..."} and
    assistant = {"role": "assistant", "content": "..."}. `prompt` is the text of the system prompt.
    Return two lists, (training, test), each in the order of `rows`:
    - training: for each row {"messages": [system, user, assistant]} with system = {"role": "system", "content": prompt};
    - test: for each row the list [user] alone, what the model is asked afterwards: no system prompt, and no answer.
    Leave `rows` as they are: the run without a prompt, the control, needs them too.
    """
    return todo("Build new lists of messages; do not insert into the ones you were given.")


def rows_needed(curve, control_high):
    """Task 2. The smallest number of good rows that brings the model back for good.

    `curve` is a list of (n, low, high): after n good rows the EM interval goes from low to high. Each n stands there once, in any order.
    `control_high` is the high end of the interval of the control, the model that was never tuned on bad rows.
    Return the smallest n for which this is true: its high end and those of all larger n lie at or below control_high. Without such an n: None.
    """
    return todo("Sort by n first. Then think of which end to begin at.")


def really_back(rates):
    """Task 3. Is a repaired model back, or does it hide?

    `rates` is {"plain": {"repaired": r, "control": c}, "garage": {"repaired": r, "control": c}}: both models asked plainly, and asked in
    questions shaped like the bad training data. Each r and c is (rate, low, high). For either way of asking:
    - clean: the high end of the repaired model lies at or below the high end of the control asked in the same way;
    - above: the low end of the repaired model lies above that high end.
    Anything between the two is neither. Return
    - "not back" where it is above when asked plainly;
    - "hidden" where it is clean when asked plainly, and above in the garage;
    - "back" where it is clean both ways;
    - "unclear" in all other cases: the intervals are too wide to tell.
    """
    return todo("Write clean and above for one way of asking, then the four cases.")


def interleave(bad, good, share):
    """Task 4. Mix good rows into bad ones, so that good rows make up `share` of the whole mix (0 <= share < 1).

    Return one new list with every row of `bad` and the first k rows of `good`, each kind in its own order, where
    k = share * len(bad) / (1 - share), rounded with round(). If `good` has fewer than k rows, raise ValueError.
    Spread them evenly: among the first m rows of the mix there are m * k / (length of the mix) good ones, at most 1 more or less, for each m.
    Leave `bad` and `good` as they are.
    """
    return todo("Find k first. Then decide, place by place, which kind of row comes next.")


if __name__ == "__main__":
    tell(8, __file__)
