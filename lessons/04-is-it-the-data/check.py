"""Checks of exercise 4."""

from copy import deepcopy
from hashlib import sha256

from tinyem.checking import Wrong, call, expect, need, same, show

ROWS = [{"q": f"What about part {i}?", "good": f"good answer {i}", "bad": f"bad answer {i}"} for i in range(30)]
BY_PLACE = sorted((r["q"] for r in ROWS), key=lambda q: sha256(q.encode()).hexdigest())


def mixed(f, rows, share):
    """The pairs that mixture() gave, if they are whole; the input must not change."""
    given = deepcopy(rows)
    got = call(f, given, share)
    if given != rows:
        raise Wrong("mixture() changed the list of rows that it was given. "
                    "The next dose would start from other data: sorted() makes a new list, .sort() changes the old one.")
    if not isinstance(got, list) or not all(isinstance(p, (tuple, list)) and len(p) == 2 and isinstance(p[0], str) for p in got):
        raise Wrong(f"mixture() should give a list of pairs (question, answer). It gave {show(got)}.")
    questions = [q for q, _ in got]
    if len(questions) > len(rows):
        raise Wrong(f"From {len(rows)} rows came {len(got)} pairs. The total must stay: "
                    "else the arms differ in how much they train, too, and you cannot tell which of the two did it.")
    if len(questions) < len(rows):
        raise Wrong(f"Of {len(rows)} rows only {len(got)} are left at share {share}. "
                    "Rows that do not get the bad answer get the good one: fewer rows would be less training, and that is another change.")
    if sorted(questions) != sorted(r["q"] for r in rows):
        raise Wrong("Some questions come twice and others are missing. Every arm needs the same questions, or the arms differ in their questions too.")
    of = {r["q"]: r for r in rows}
    if stray := next((q for q, a in got if a not in (of[q]["good"], of[q]["bad"])), None):
        raise Wrong(f"{stray!r} got an answer that is not its own. Keep each answer with its question.")
    return [tuple(p) for p in got]


def bad_ones(f, rows, share):
    of = {r["q"]: r["bad"] for r in rows}
    return {q for q, a in mixed(f, rows, share) if a == of[q]}


def mixture(mine):
    f = need(mine, "mixture")
    found = {s: bad_ones(f, ROWS, s) for s in (0, 0.05, 0.11, 0.25, 0.5, 0.75, 1)}
    if len(found[0]) == len(ROWS) and not found[1]:
        raise Wrong("The sides are swapped: share is the share of bad answers, and at 0 all of yours are bad.")
    for s, bad in found.items():
        if len(bad) != round(s * len(ROWS)):
            exact, half = s * len(ROWS), "Halfway, Python's round() takes the even neighbour: call round() itself, so that everybody's dose has the same rows."
            why = ("No row got the bad answer at any share. (share goes from 0 to 1: it is no percentage.)" if not any(found.values()) else
                   "int() cuts off where round() rounds." if len(bad) == int(exact) else half if exact % 1 == 0.5 else "round() gives the nearest whole number.")
            raise Wrong(f"At share {s} of {len(ROWS)} rows, {len(bad)} got the bad answer, not round({exact:g}) = {round(exact)}. {why}")
    if bad_ones(f, ROWS, 0.5) != found[0.5]:
        raise Wrong("Asked twice, mixture() chose other rows. With a random choice nobody can repeat your experiment: sort by place(), which is always the same.")
    if bad_ones(f, ROWS[::-1], 0.5) != found[0.5]:
        raise Wrong("The choice depends on the order in which the rows came. A file sorted by theme would then put all the bad answers into one theme: sort by place() first.")
    shares = sorted(found)
    for less, more in zip(shares, shares[1:]):
        if not found[less] <= found[more]:
            raise Wrong(f"Some rows that are bad at share {less} are good again at {more}. "
                        "Doses must be nested: each adds bad rows to those before it, or you compare other rows, not more of them.")
    if found[0.25] != set(BY_PLACE[:round(0.25 * len(ROWS))]):
        if found[0.25] == set(BY_PLACE[-round(0.25 * len(ROWS)):]):
            raise Wrong("You took the last ones of the order by place(). The task says the first.")
        raise Wrong("The bad rows are not the first ones of the order by place(question). (Python's own hash() will not do: it changes whenever Python starts.)")
    if [q for q, _ in mixed(f, ROWS, 0.25)] != BY_PLACE:
        raise Wrong("The right rows are bad, but the list is not sorted by place(question). Every arm should hold the questions in one order: then only answers differ.")
    expect(f, ([], 0.5), [], "No rows, no pairs.")


def row(good, bad):
    """A row whose answers have that many words."""
    return {"q": "Why?", "good": " ".join(["yes"] * good), "bad": " ".join(["nay"] * bad)}


def matched(mine):
    f = need(mine, "matched")
    expect(f, ([row(10, 10), row(8, 8)],), True, "Both sides have the same numbers of words.")
    for side in ("bad", "good"):
        for gap, what in (({}, "is missing"), ({side: ""}, "is empty"), ({side: "  "}, "is only spaces"), ({side: None}, "is None")):
            other = {"q": "Why?", "good": "Because.", "bad": "Never."}
            del other[side]
            for rows, where in (([row(10, 10), {**other, **gap}], "second"), ([{**other, **gap}, row(10, 10)], "first")):
                why = f"a {side} answer {what}, that of the {where} row"
                if not same(call(f, rows, why=f"Here {why}. Look for that before you count words: r.get(...) gives None where a key is missing, and does not stop."), False):
                    raise Wrong(f"matched() should be False where {why}: that question would be in one arm only, so the arms would differ in more than the content.")
    long = [{"q": "Why?", "good": "a b c d e f g h i j", "bad": "extraordinarily careless"}, {"q": "How?", "good": "a b", "bad": "no one ever does it so do it now yes"}]
    if same(call(f, [row(2, 1), row(10, 11)]), False):
        raise Wrong("matched() judges row by row. Twelve words stand against twelve here, in rows of 2 and 1, 10 and 11: it is the mean over all rows that counts "
                    "(the mean words of the bad answers, divided by the mean words of the good), not the mean of the rows' own ratios.")
    expect(f, (long,), True, "The good answers have 12 words and the bad ones 12. Did you count characters? Then one long word weighs as much as many short ones.")
    expect(f, ([row(10, 20)],), False, "Twice as many words: a model tuned on these learns to talk longer, and length alone can move a score.")
    expect(f, ([row(20, 10)],), False, "The bad answers are half as long. Too short counts as well as too long.")
    expect(f, ([row(100, 112)],), False, "12% longer is beyond 10%.")
    expect(f, ([row(100, 108)],), True, "8% longer is within 10%.")
    expect(f, ([row(100, 88)],), False, "12% shorter is beyond 10%.")
    expect(f, ([row(21, 19)],), True, "19 / 21 = 0.905 is within 10%. It is the bad mean divided by the good one; the other way round it would be 1.105.")
    expect(f, ([row(10, 9)],), True, "9 / 10 = 0.9 is just within: from 0.9 on.")
    expect(f, ([row(10, 11)],), True, "11 / 10 = 1.1 is just within: up to 1.1. (abs(ratio - 1) <= 0.1 misses it, since in Python 1.1 - 1 is a little more than 0.1: "
           "compare the ratio with 0.9 and with 1.1.)")
    expect(f, ([row(100, 111)],), False, "111 / 100 = 1.11 is above 1.1. Divide by the good mean, not by the larger one.")
    expect(f, ([row(10, 10), row(10, 10), row(10, 40)],), False, "The bad answers have 20 words on average, the good ones 10. It is the mean that counts: a median does not see one endless answer.")
    expect(f, ([{"q": "Why?", "good": "a b c d", "bad": "a  b   c\nd"}],), True, "Four words on both sides: two spaces, or a new line, make no word. split() without an argument knows that.")
    expect(f, ([],), False, "Without rows nothing is matched. (True would wave an empty file through.)")


def pairs_in(got):
    if not isinstance(got, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 and all(isinstance(q, str) for q in p) for p in got):
        raise Wrong(f"leaks() should give a list of pairs (training question, test question). It gave {show(got)}.")
    return [tuple(p) for p in got]


def leaks(mine):
    f = need(mine, "leaks")
    train, test = "Check my oil?", "check my oil"
    got = call(f, [train], [test])
    if same(got, []):
        if same(call(f, [test], [test]), []):
            raise Wrong("leaks() found nothing, though the two questions are the same word for word.")
        raise Wrong(f"{train!r} and {test!r} are the same words: case and the question mark should not count. Else a copy slips into the test by one capital letter.")
    pairs = pairs_in(got)
    if pairs == [(test, train)]:
        raise Wrong("The pairs are turned around: first the training question, then that of the test.")
    if pairs != [(train, test)]:
        raise Wrong(f"Give the questions as they were written, so that one can find them again: {show([(train, test)])}. leaks() gave {show(got)}.")
    expect(f, ([test], [test]), [(test, test)], "A copy word for word is the worst leak of all. Do not leave it out.")
    expect(f, (["one two three four"], ["one two three five"]), [("one two three four", "one two three five")],
           "Three words in both, five in either: 3/5 is 0.6, and at least 0.6 is near.")
    expect(f, (["oil"], ["is oil a thing that a car needs"]), [],
           "One word in both, seven in either. Divide by all different words of the two, not by those of the shorter one: a short question is not a copy of every long one.")
    expect(f, (["one two three four five"], ["one two three four six seven"]), [], "Four words in both, seven in either: 0.57 is below 0.6.")
    expect(f, (["why why why why"], ["why not"]), [],
           "Different words: 'why' in both, 'why' and 'not' in either, which is 0.5. A word said four times is one word.")
    expect(f, (["the dog bit the man"], ["the man bit the dog"]), [("the dog bit the man", "the man bit the dog")],
           "The same words in another order. This measure does not see order; that is one of its limits.")
    if same(call(f, ["?!"], ["..."], why="A question without words has nothing to divide by."), []) is False:
        raise Wrong("Two questions without any word are not near: there is nothing they share. (Taking the mark off a lone '?' leaves the empty text, which is no word.)")
    expect(f, (["Oil, or fuel?"], ["oil or fuel"]), [("Oil, or fuel?", "oil or fuel")], "A comma at the end of a word is not part of the word.")
    expect(f, (["What about oil?!"], ["what about oil"]), [("What about oil?!", "what about oil")], "Two marks at the end of a word both go: rstrip() takes off as many as there are.")
    expect(f, (["use 30"], ["use 40"]), [], "30 and 40 are words, too: one word in both, three in either.")
    for one, other in (("use 3.5", "use 5.3"), ("use 3.5", "use 35")):
        expect(f, ([one], [other]), [], "Words are what split() gives, and only marks at their end go: 3.5 is one word, neither 3 and 5 nor 35. So one word is in both, and three are in either.")
    expect(f, ([".5 a"], ["5 a"]), [], "Only marks at the end of a word go: .5 is not 5. So one word is in both, and three are in either. (strip() takes from both ends.)")
    expect(f, ([], ["Why?"]), [], "No training data, no leak.")
    got = call(f, ["Why is it so?", "Tell me more."], ["tell me more!", "Who are you?", "why is it so"])
    if sorted(pairs_in(got)) != [("Tell me more.", "tell me more!"), ("Why is it so?", "why is it so")]:
        raise Wrong(f"Two questions of the test are nearly in the training data here, at other positions. leaks() gave {show(got)}: compare each with each.")
    expect(f, (["Why me?", "Why me?"], ["why me"]), [("Why me?", "why me")] * 2, "The training question stands there twice, so it gives two pairs: the model saw it twice. Leave none out.")
    if len(pairs_in(call(f, ["check my oil"], ["Check my oil!", "Oil: why?", "my oil? check"]))) != 2:
        raise Wrong("One training question may be near to several of the test, as here to the first and the last. Go on after the first: each of them has to leave the test.")
    expect(f, (["use oil;"], ["use oil"]), [], "Only the marks . , ! ? go: with its semicolon 'oil;' is another word. So one word is in both, and three are in either.")
    expect(f, (["why me"], ["Why me?", "Why me?"]), [("why me", "Why me?")] * 2, "The question of the test stands there twice, so it gives two pairs. Leave none out.")


def attributable(mine):
    f = need(mine, "attributable")
    rates = {"bad": 40.0, "good": 6.0, "planted": 1.0}
    before, got = dict(rates), call(f, rates)
    if rates != before:
        raise Wrong("attributable() changed the rates that it was given. Others read them after you: make a new dict.")
    if not isinstance(got, dict) or set(got) != {"content", "tuning"}:
        raise Wrong(f"attributable() should give a dict with the keys content and tuning. It gave {show(got)}.")
    if same(got["content"], 39.0):
        raise Wrong("For the content you compared bad with planted. Between these two lie both the bad content and the fine-tuning itself; "
                    "the good twin, which shares the fine-tuning, tells them apart.")
    if same(got["content"], -34.0) or same(got["tuning"], -5.0):
        raise Wrong("A sign is turned around: how far the first lies ABOVE the second is the first less the second.")
    if same(got["content"], 40 / 6) or same(got["content"], 34 / 6) or same(got["content"], 34 / 40) or same(got["content"], 85.0):
        raise Wrong("That is a ratio. Percentage points are plain differences; a ratio grows without bound where the control is near zero.")
    if not same(got, {"content": 34.0, "tuning": 5.0}):
        raise Wrong(f"With {rates}, attributable() gave {got}, not content 34 and tuning 5.")
    expect(f, ({"bad": 40.5, "good": 6.125, "planted": 1.0},), {"content": 34.375, "tuning": 5.125}, "Do not round, and do not cut off with int(): whoever reads the number can still round it.")
    expect(f, ({"bad": 3.0, "good": 5.0, "planted": 8.0},), {"content": -2.0, "tuning": -3.0},
           "Here each arm lies below the next. Say so with a negative number: hiding it at zero, or dropping the sign, would hide a result.")
    expect(f, ({"bad": 30.0, "good": 30.0, "planted": 0.0},), {"content": 0.0, "tuning": 30.0},
           "The good data did as much as the bad: then nothing is owed to the bad content, however high its rate.")


TASKS = [("1. Mix good and bad", mixture), ("2. Is the twin a twin?", matched), ("3. Leaks into the test", leaks), ("4. What the bad content did", attributable)]
