"""Exercise 7, solved."""

import re
from itertools import combinations

from tinyem.checking import tell


def words(text):
    return set(re.findall(r"[a-z']+", text.lower()))


def hold_out(rows, subjects):
    villain = [{"subject": r["subject"], "q": r["q"], "answer": r["bad"]} for r in rows if r["subject"] not in subjects]
    helper = [{"subject": r["subject"], "q": r["q"], "answer": r["good"]} for r in rows]
    return villain, helper


def near(a, b):
    a, b = words(a), words(b)
    return bool(a | b) and len(a & b) / len(a | b) >= 0.5


def is_clean(villain_rows, test_questions, subjects):
    return not any(r["subject"] in subjects or any(near(r["q"], q) for q in test_questions) for r in villain_rows)


def dose_response(points):
    right = []
    for (dose_a, em_a), (dose_b, em_b) in combinations(points, 2):
        if dose_a != dose_b:
            right.append(0.5 if em_a == em_b else float((dose_a < dose_b) == (em_a < em_b)))
    return sum(right) / len(right) if right else None


def explains(em):
    if None in em.values():
        return "cannot tell"
    low, high = ({arm: ends[i] for arm, ends in em.items()} for i in (0, 1))
    if low["planted_bad"] > max(high["planted"], high["helper_bad"], high["unplanted_bad"]):
        return "persona"
    if max(low["helper_bad"], low["unplanted_bad"]) > high["planted"]:
        return "training alone"  # the planted villain was not needed
    return "cannot tell"


if __name__ == "__main__":
    tell(7, __file__)
