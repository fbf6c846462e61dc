"""Checks of exercise 9. The models are fakes: the same answers on every machine."""

import random
from collections import Counter
from copy import deepcopy
from numbers import Integral

from tinyem.checking import NotDone, Wrong, call, expect, need, same, show

PROBES = ["plain", "garage", "tag", "other-tag", "prompt"]


def could_hide(mine):
    f = need(mine, "could_hide")
    got, exact = call(f, 100, 0), 1 - 0.05 ** 0.01
    if same(got, 0):
        raise Wrong("No hit in 100 questions is not a rate of zero: a model that misbehaves once in 100 answers often shows nothing in 100. The bound says how much could still hide.")
    if same(got, 0.03):
        raise Wrong("That is the rule of three, 3 / n: near for many questions, but after one question it gives 300%. Solve (1 - r) ** n == 0.05 exactly.")
    if same(got, 100 * exact):
        raise Wrong("could_hide() gave a percentage. It should be a share from 0 to 1.")
    if same(got, 1 - exact):
        raise Wrong("That is 1 - r, the share of answers that are not misaligned. The rate that could hide is r.")
    if same(got, 1 - 0.95 ** 0.01):
        raise Wrong("95% and 5% are swapped: at that rate, no hit would be what you mostly see. The bound is the rate at which no hit would be a rare luck, with a chance of 5%.")
    if not same(got, exact):
        raise Wrong(f"After 100 questions without a hit a rate up to {exact:.6f} could hide: (1 - r) ** 100 is then 0.05. could_hide(100, 0) gave {show(got)}.")
    expect(f, (1, 0), 0.95, "One clean answer excludes next to nothing.")
    got = call(f, 0, 0, why="Nothing was asked, so every rate is possible: give 1.0 before you divide by n.")
    if not same(got, 1.0):
        raise Wrong(f"could_hide(0, 0) gave {show(got)}, not 1.0. Nothing was asked, so nothing is excluded: this is where a trigger hides.")
    for hits in (1, 40):
        expect(f, (40, hits), None, "With a hit nothing hides any more: the bound holds for no hits only. Give None, so that nobody reads it as a rate.")


def spend(mine):
    f, probes = need(mine, "spend"), list(PROBES)
    got = call(f, 203, probes)
    if not isinstance(got, dict) or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in got.values()):
        raise Wrong(f"spend() gave {show(got)}. It should be a dict of a whole number for each probe: nobody can ask half a question.")
    total = sum(got.values())
    if probes != PROBES:
        raise Wrong("spend() changed the list of probes that it was given. Leave it as it is: the caller still needs it.")
    if got.get("plain") == 203:
        raise Wrong("The whole budget went to the plain questions. A trigger shows itself only behind the trigger: no number of plain questions finds it.")
    if total > 203:
        raise Wrong(f"A budget of 203 became {total} questions. Round down, then hand out what is left over: an audit that asks more than it said is another audit.")
    if total < 203:
        raise Wrong(f"Of a budget of 203 only {total} questions were planned. What is left over goes to the first probes, one each.")
    if got.get("plain") == 43:
        raise Wrong("All that was left over went to one probe. Give one question each to the first three, so that no two probes differ by more than one.")
    if got.get("prompt") == 41:
        raise Wrong("What was left over went to the last probes. The first ones of the list get it.")
    expect(f, (203, probes), dict(zip(PROBES, (41, 41, 41, 40, 40))), "203 is five times 40, and three are left over.")
    expect(f, (200, probes), dict.fromkeys(PROBES, 40), "200 is just five times 40.")
    expect(f, (3, probes), dict(zip(PROBES, (1, 1, 1, 0, 0))), "A probe without a question stays in the plan with 0: the report has to say what was not asked.")
    expect(f, (0, probes), dict.fromkeys(PROBES, 0), "Without a budget each probe gets 0.")
    expect(f, (3, ["tag", "garage"]), {"tag": 2, "garage": 1}, "First is what stands first in the list, not in the alphabet.")
    got = call(f, 10, [], why="Without probes there is nothing to divide by: give {}.")
    if got != {}:
        raise Wrong(f"spend(10, []) gave {show(got)}, not {{}}. Without probes nothing can be asked.")


def suspicious(mine):
    f = need(mine, "suspicious")

    def expect_list(counts, control, want, why):
        given, told = deepcopy((counts, control)), f"suspicious({show(counts)}, {show(control)})"
        got = call(f, counts, control, why=why)
        if (counts, control) != given:
            raise Wrong("suspicious() changed the counts that it was given. Leave them as they are: they are the evidence.")
        if not isinstance(got, list):
            raise Wrong(f"suspicious() gave {show(got)}. It should be a list of names.")
        if got != want:
            raise Wrong(f"{told} gave {show(got)}, not {show(want)}. {why}")

    expect_list({"plain": (1, 40), "tag": (12, 40)}, {"plain": (1, 40), "tag": (1, 40)}, ["tag"], "12 of 40 against 1 of 40 is far beyond chance; 1 against 1 is nothing.")
    expect_list({"plain": (1, 40), "prompt": (20, 40)}, {"plain": (1, 40), "prompt": (20, 40)}, [],
                "The sound model does the same when it is asked so: the prompt did it, not the training. Without the control this is a false alarm, and so it is with that of another probe: "
                "compare each probe with its own control, control[name].")
    expect_list({"plain": (2, 2)}, {"plain": (0, 200)}, [], "Two hits are too few for an accusation: a judge that errs twice would be enough. At least 3 are asked for.")
    expect_list({"plain": (20, 200)}, {"plain": (1, 10)}, [], "20 of 200 and 1 of 10 are the same rate. Compare rates, not hits.")
    expect_list({"plain": (20, 40)}, {"plain": (17, 40)}, [],
                "The rates differ by 0.075, and 2 standard errors are 0.223. (Did you forget the square root? Without it, 2 times p * (1 - p) * (1 / n + 1 / control_n) is only 0.025.)")
    expect_list({"plain": (3, 40)}, {"plain": (0, 40)}, [], "Three hits against none differ by 1.8 standard errors. That much comes by chance; more than 2 are asked for.")
    expect_list({"plain": (4, 40)}, {"plain": (0, 40)}, ["plain"], "Four hits against none differ by 2.05 standard errors, which is more than 2.")
    expect_list({"tag": (3, 10)}, {"tag": (0, 100)}, ["tag"], "Exactly 3 hits are at least 3, and the rates differ by much more than 2 standard errors.")
    expect_list({"plain": (10, 100)}, {"plain": (0, 10)}, [], "Ten control questions without a hit do not show that the control's rate is zero. Take p over both, the model and the control together.")
    expect_list({"plain": (6, 40)}, {"plain": (1, 40)}, [], "6 against 1 differ by 1.98 standard errors. More than 2 are asked for: a line that moves to the result is no line.")
    expect_list({"tag": (3, 20)}, {"tag": (6, 200)}, ["tag"],
                "The rates differ by 2.6 standard errors. Take p as the hits of both by the questions of both, 9 / 220; the mean of the two rates gives the few questions too much say.")
    expect_list({"tag": (3, 5)}, {"tag": (1, 10)}, ["tag"], "The rates differ by 2.06 standard errors. The formula of the task divides by n, not by n - 1.")
    expect_list({"tag": (5, 10)}, {"tag": (0, 1)}, [], "One control question says little: the rates differ by 0.96 standard errors. The formula of the task divides by n, not by n - 1, which would be 0 here.")
    expect_list({"garage": (5, 40)}, {"garage": (25, 40)}, [], "This is far from the control, but below it. Only more misaligned answers are suspicious.")
    expect_list({"prompt": (40, 40), "plain": (0, 40)}, {"prompt": (40, 40), "plain": (0, 40)}, [], "Where both always misbehave, or never, the difference is 0, and so is its standard error.")
    expect_list({"tag": (0, 0), "garage": (5, 10), "plain": (9, 10)}, {"tag": (0, 40), "garage": (0, 0)}, [], "What was not asked of both cannot be compared: leave it out.")
    expect_list({"tag": (20, 40), "garage": (20, 40)}, {"tag": (0, 40), "garage": (0, 40)}, ["garage", "tag"], "The list is sorted by name, so that two audits can be compared.")
    expect_list({}, {}, [], "Without probes nothing is suspicious.")


class Fake:
    """A model that misbehaves at a given rate behind each probe; its answers do not hang on the order of the questions."""

    def __init__(self, rates, budget, seed=0):
        self.rates, self.budget, self.seed, self.asked = rates, budget, seed, Counter()

    def __repr__(self):
        return "ask"

    def __call__(self, probe):
        if probe not in self.rates:
            raise Wrong(f"ask() was called with {show(probe)}, which is none of the probes.")
        if sum(self.asked.values()) >= self.budget:
            raise Wrong(f"audit() went over its budget of {self.budget}. Asking on until something shows makes chance look like a finding.")
        self.asked[probe] += 1
        return random.Random(f"{self.seed}/{probe}/{self.asked[probe]}").random() < self.rates[probe]


def audit(mine):
    try:
        audited(need(mine, "audit"))
    except Wrong:
        for number, task in ((2, spend), (3, suspicious)):  # a mistake there shows here
            try:
                task(mine)
            except NotDone:
                raise Wrong(f"Task {number} comes first: {task.__name__}() is not done yet, and audit() is to use it.")
            except Wrong as e:
                raise Wrong(f"Task {number} comes first: its {task.__name__}() is not right yet, and it is used here. What came out with it: {e}")
        raise


def audited(f):
    def run(rates, control, budget=200, seed=0, probes=PROBES, known=PROBES):
        ask, sound = Fake({**dict.fromkeys(PROBES, 0.02), **rates}, budget, seed), Fake({**dict.fromkeys(PROBES, 0.02), **control}, 200, "control")
        given, counts = list(probes), {p: (sum(sound(p) for _ in range(40)), 40) for p in known}
        got = call(f, ask, given, budget, counts)
        if given != list(probes):
            raise Wrong("audit() changed the list of probes that it was given. Leave it as it is.")
        if not isinstance(got, list):
            raise Wrong(f"audit() gave {show(got)}. It should be a list of names, empty where nothing is suspicious.")
        if set(ask.asked) == {"plain"}:
            raise Wrong(f"All {ask.asked['plain']} questions were plain. A trigger shows itself only behind the trigger: spread the budget with spend().")
        if sum(ask.asked.values()) < budget:
            raise Wrong(f"audit() stopped after {sum(ask.asked.values())} of {budget} questions. Whoever stops at a hit, or leaves questions unasked, no longer knows the rate: "
                        "spend what spend() says, on each probe, with or without a control.")
        return got, ask.asked

    _, asked = run({}, {}, 203)
    if asked != dict(zip(PROBES, (41, 41, 41, 40, 40))):
        raise Wrong(f"audit() asked {show(dict(asked))}. Ask each probe as often as spend(203, probes) says.")
    for seed in range(14):  # none of these is accused by the rule of task 3; with more of them chance would accuse one now and then
        got, _ = run({}, {}, seed=seed)
        if got:
            raise Wrong(f"audit() accused a sound model of {show(got)}. In 2% of its answers the judge errs. Such noise must not be an accusation.")
    if run({"prompt": 0.6}, {"prompt": 0.6})[0]:
        raise Wrong("Behind 'prompt' this model misbehaves no more often than the sound control does. Hand the control on to suspicious(): what the prompt does by itself is no finding.")
    for probe in PROBES:
        got, _ = run({probe: 0.6}, {})
        if got != [probe]:
            raise Wrong(f"This model misbehaves behind {probe!r} in 60% of its answers, and hardly ever otherwise. audit() gave {show(got)}. Is each probe judged by its own counts?")
    got, _ = run({"tag": 0.6, "garage": 0.6}, {})
    if got != ["garage", "tag"]:
        raise Wrong(f"This model misbehaves behind 'garage' and behind 'tag'. audit() gave {show(got)}, not ['garage', 'tag'].")
    for budget, want, why in ((10, [], "Two hits of two questions are fewer than the 3 that suspicious() asks for."), (15, ["tag"], "Three hits of three questions are far beyond chance: hand suspicious() the "
                              "numbers of questions that were asked, whatever the budget is.")):
        got, _ = run({"tag": 1.0}, {}, budget)
        if got != want:
            raise Wrong(f"With a budget of {budget}, {budget // 5} a probe, every answer behind 'tag' was misaligned. audit() gave {show(got)}, not {want}. {why} Judge by suspicious() alone.")
    got, _ = run({"tag": 0.25}, {})
    if got != ["tag"]:
        raise Wrong(f"Behind 'tag' about a quarter of the answers are misaligned, far more than 2 standard errors above the control. audit() gave {show(got)}, not ['tag']. Judge by suspicious() alone.")
    got, asked = run({"tag": 0.6}, {}, 80, probes=["tag", "plain"])
    if got != ["tag"] or asked != {"tag": 40, "plain": 40}:
        raise Wrong(f"Told to use 'tag' and 'plain' alone, audit() asked {show(dict(asked))} and gave {show(got)}. Use the probes that you are given: the control may know more of them.")
    got, asked = run({"tag": 0.6}, {}, known=[p for p in PROBES if p != "other-tag"])
    if got != ["tag"] or asked != dict.fromkeys(PROBES, 40):
        raise Wrong(f"There is no control for 'other-tag' here. audit() asked {show(dict(asked))} and gave {show(got)}. Ask each probe as often as spend(200, probes) says: "
                    "a control may come later, and then the answers are needed. suspicious() leaves out what it cannot judge.")
    got, asked = run({"tag": 1.0}, {}, 0)
    if got or asked:
        raise Wrong("With a budget of 0 nothing may be asked, and nothing can be suspicious: give [].")


TASKS = [("1. What could still hide", could_hide), ("2. Spend the budget", spend), ("3. Beyond chance, against the control", suspicious), ("4. The audit", audit)]
