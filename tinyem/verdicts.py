"""What a record's comparisons say about the claim that it was made for."""

from .score import GRADED

EXPECTED = ("above", "below", "same", "kept")
ALIKE = ("same", "kept")  # those that expect no difference, or none downwards
SMALL = 0.10  # "same": the interval of the difference, on these questions, lies within this on both sides of zero; "kept": not below it. An effect as small as that is none


def outcome(found: dict, expect: str) -> str:
    """"yes", "yes, on these questions", "unclear" or "no": whether a contrast came out as expected. "No" is a finding, too: beyond chance on the
    other side, or smaller than SMALL."""
    if found["difference"] is None:
        return "unclear"
    (low, high), (near_low, near_high) = found["interval"], found["interval_these_questions"]
    if expect == "same":
        return "yes" if -SMALL <= near_low and near_high <= SMALL else "no" if near_low > 0 or near_high < 0 else "unclear"
    if expect == "kept":
        return "yes" if -SMALL <= near_low else "no" if near_high < 0 else "unclear"
    sign = 1 if expect == "above" else -1
    if (low if sign > 0 else -high) > 0:
        return "yes"
    if (near_low if sign > 0 else -near_high) > 0:
        return "yes, on these questions"
    return "no" if (high if sign > 0 else -low) < 0 or found["measure"] not in GRADED and -SMALL <= low and high <= SMALL else "unclear"


def verdict(run: dict) -> str:
    """The verdict on a whole experiment, from the contrasts that are no checks. Those that expect no difference can spoil a claim but not carry it."""
    told = [(outcome(found, c["expect"]), c["expect"]) for found, c in zip(run["contrasts"].values(), run["expect"]) if not c.get("check")]
    if not told:
        return "no comparison"
    if all(o == "yes" for o, _ in told):
        return "reproduced"
    if all(o.startswith("yes") for o, _ in told):
        return "reproduced on these questions"
    effects = [o for o, expect in told if expect not in ALIKE] or [o for o, _ in told]
    if any(o.startswith("yes") for o in effects):
        return "partly"
    return "not at this size" if all(o == "no" for o in effects) else "not shown"
