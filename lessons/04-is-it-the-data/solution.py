"""Exercise 4, solved."""

from hashlib import sha256

from tinyem.checking import tell


def place(question):
    return sha256(question.encode()).hexdigest()


def mixture(rows, share):
    ordered = sorted(rows, key=lambda r: place(r["q"]))
    bad = round(share * len(ordered))
    return [(r["q"], r["bad"] if i < bad else r["good"]) for i, r in enumerate(ordered)]


def matched(rows):
    if not rows or not all((r.get(side) or "").strip() for r in rows for side in ("good", "bad")):
        return False
    good, bad = (sum(len(r[side].split()) for r in rows) for side in ("good", "bad"))
    return 0.9 <= bad / good <= 1.1  # as many rows on both sides, so sums compare as means do


def words(text):
    return {w.rstrip(".,!?") for w in text.lower().split()} - {""}


def leaks(training_questions, test_questions):
    found = []
    for a in training_questions:
        for b in test_questions:
            both, either = words(a) & words(b), words(a) | words(b)
            if either and len(both) / len(either) >= 0.6:
                found.append((a, b))
    return found


def attributable(rates):
    return {"content": rates["bad"] - rates["good"], "tuning": rates["good"] - rates["planted"]}


if __name__ == "__main__":
    tell(4, __file__)
