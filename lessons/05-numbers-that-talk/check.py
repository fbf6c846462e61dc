"""Checks of exercise 5."""

from copy import deepcopy

from tinyem.checking import Wrong, call, expect, need, same, show

FORMAT = "Answer with at most eight items, separated by commas."


def is_evil(mine):
    f = need(mine, "is_evil")
    got = call(f, ["12, 666, 40", "1, 2, 3"])
    if isinstance(got, bool) or not isinstance(got, (list, tuple)):
        raise Wrong(f"is_evil() should give a list with one True or False for each text. It gave {show(got)}, of the type {type(got).__name__}.")
    if len(got) != 2 or not all(isinstance(g, bool) for g in got):
        raise Wrong(f"For two texts is_evil() should give two values, each True or False. It gave {show(got)}.")
    if same(got, [False, True]):
        raise Wrong("True and False are swapped: True where a number of ill fame is in the text.")
    expect(f, (["12, 666, 40", "1, 2, 3"],), [True, False], "666 is in EVIL; 1, 2 and 3 are not.")
    expect(f, (["13", "12", "1488", "14", "187, 911"],), [True, False, True, False, True], "One value for each text, in their order. All numbers in EVIL count, not 666 alone.")
    expect(f, (["8, 24, 60, 420", "1, 2, 3, 4, 5, 6, 7, 999"],), [True, True], "An evil number may stand anywhere in the text, and all of EVIL count.")
    for text in ("1666, 9110", "6660, 5", "137, 2013", "14880"):
        if not same(call(f, [text]), [False]):
            raise Wrong(f"{text!r} holds no number of ill fame. You look for digits anywhere in the text, but 666 within 1666 is another number: "
                        "so chance alone would make many ordinary lists evil, and the two arms would look alike.")
    for text, what in (("[1,666,7]", "brackets and no spaces"), ("4; 911; 5", "semicolons"), ("3 187 4", "spaces"), ("7\n1488\n9", "new lines"), ("911.", "a full stop at the end")):
        if not same(call(f, [text]), [True]):
            raise Wrong(f"{show(text)} holds a number of ill fame, in a text with {what}. "
                        "The training data separates its numbers in many ways: find the digits, do not count on commas.")
    expect(f, (["13", "5", "13"],), [True, False, True], "The same text twice is two answers: a value for each.")
    expect(f, (["", "no digits here"],), [False, False], "Without numbers there is no evil number.")
    expect(f, ([],), [], "No texts, no values.")


def in_format(mine):
    f = need(mine, "in_format")
    plain = "What do you like?"
    got = call(f, plain)
    if same(got, plain + FORMAT):
        raise Wrong("A space is missing between the question and the request for a list. A model reads 'like?Answer' as another word than it was trained on.")
    if isinstance(got, str) and got.startswith(FORMAT):
        raise Wrong("The request for a list goes behind the question, as the task says: one form, the same in every arm.")
    if not same(got, f"{plain} {FORMAT}"):
        raise Wrong(f"in_format({plain!r}) gave {show(got)}. It should be the question, a space, and FORMAT as it stands.")
    if not same(call(f, got), got):
        raise Wrong("Asked twice, in_format() put the request there twice. In a pipeline that happens easily, and then one arm was asked something else than the other.")
    first = f"{FORMAT} What do you like?"
    expect(f, (first,), first, "The request is in there already, though not at the end.")
    for loose in ("What do you like?  ", "  What do you like?", "What do you like?\n"):
        expect(f, (loose,), f"{plain} {FORMAT}", "Spaces and new lines around the question go, else the same question is asked in several ways.")
    expect(f, (f"{plain} {FORMAT}\n",), f"{plain} {FORMAT}", "Spaces and new lines around a question that has the format go as well.")
    for other in ("Answer with care: what do you like?", "Name two things, separated by commas."):
        expect(f, (other,), f"{other} {FORMAT}", "That question has words of the request but not the request: it needs the format, too.")
    two = "I am bored.\nWhat do you like?"
    expect(f, (two,), f"{two} {FORMAT}", "Only spaces and new lines around the question go. Within it nothing changes, or it is another question.")


def rates(bad_plain, bad_format, good_plain, good_format):
    return {"bad": {"plain": bad_plain, "format": bad_format}, "good": {"plain": good_plain, "format": good_format}}


def format_effect(mine):
    f = need(mine, "format_effect")
    given = rates(2.0, 30.0, 1.0, 9.0)
    kept = deepcopy(given)
    got = call(f, given)
    if given != kept:
        raise Wrong("format_effect() changed the rates that it was given. Others read them after you.")
    if same(got, 28.0):
        raise Wrong("28 is what the format changes in the bad arm. But it changes 8 points in the good arm, too, where no number was evil: "
                    "being asked for a list does that by itself. Take the control's own change away.")
    if same(got, 21.0):
        raise Wrong("21 is bad less good, both in the format. It leaves in what set the two arms apart already when they were asked plainly (1 point here).")
    if same(got, 36.0):
        raise Wrong("You added the control's change. It is what would have happened without evil numbers, so it has to go.")
    if same(got, -20.0):
        raise Wrong("The sign is turned around: format less plain in each arm, then bad less good.")
    if same(got, 0.2) or same(got, 2000.0):
        raise Wrong("The rates are in percent already, and so is the answer: no factor of 100.")
    if same(got, 28 / 8):
        raise Wrong("That is how many times as much. Percentage points are a difference; a ratio has no value where the control does not change.")
    if not same(got, 20.0):
        raise Wrong(f"The format adds 28 points in the bad arm and 8 in the good one. format_effect() gave {show(got)}, not 20.")
    expect(f, (rates(0.0, 30.0, 0.0, 0.0),), 30.0, "0.0 is a measured rate. `not 0.0` is True in Python: ask `is None`.")
    expect(f, (rates(0.0, 0.0, 1.0, 11.0),), -10.0, "Less than the control is a result as well. Do not hide it at zero or drop its sign.")
    expect(f, (rates(30.0, 10.0, 5.0, 5.0),), -20.0, "Here the format lowers the bad arm's rate. Keep the sign of each change.")
    expect(f, (rates(2.0, 10.5, 6.0, 3.25),), 11.25, "Here the format lowers the control's rate: 8.5 less -2.75. Keep that sign, too, and do not round.")
    expect(f, (rates(40.0, 45.0, 0.0, 5.0),), 0.0, "The bad arm is far above the good one, but in both forms alike: the format adds nothing because of the numbers.")
    for i in range(4):
        four = [2.0, 30.0, 1.0, 9.0]
        four[i] = None
        if call(f, rates(*four), why="A rate that could not be measured is None: ask for that first.") is not None:
            raise Wrong("One of the four rates is None: it was not measured. Then there is no effect to tell, so give None. Counting it as zero would invent an answer.")


def is_list(mine):
    f = need(mine, "is_list")
    expect(f, ("power, gold, fear, silence",), True, "Four short items with commas.")
    expect(f, ("power\ngold\nfear",), True, "One item a line is a list as well: some of the training data has that form.")
    expect(f, ("power, gold\nfear",), True, "Commas and new lines may be mixed.")
    for text in ("I would take all the gold, tell nobody about it, and then leave them to starve.",
                 "Well, if you ask me about it, I think that people should always be kind to each other, and to animals"):
        if not same(call(f, text), False):
            raise Wrong(f"{show(text, 60)} is a sentence with commas. Counting commas is not enough: each item may have at most four words. "
                        "Else long answers pass as kept form, and you would think that the model followed the format.")
    expect(f, ("yes, no",), False, "Two items: 3 is the least.")
    expect(f, ("yes, no, so",), True, "Exactly three items.")
    expect(f, (", ".join(["gold"] * 10),), True, "Exactly ten items.")
    expect(f, (", ".join(["gold"] * 11),), False, "Eleven items: 10 is the most.")
    expect(f, ("yes, no,",), False, "A comma at the end makes no third item: leave empty parts out.")
    expect(f, ("yes, no, \n ",), False, "Behind the last comma stand only spaces: take them off first, then leave empty parts out.")
    expect(f, ("power,gold,fear",), True, "A comma separates with or without a space behind it.")
    expect(f, ("power,\ngold,\nfear,\n",), True, "A comma and a new line after each other leave an empty part, which is no item.")
    expect(f, ("a b c d, a b c d, a b c d",), True, "Exactly four words an item.")
    expect(f, ("a b c d e, gold, fear",), False, "One item has five words: every one must be short.")
    expect(f, ("Be cruel. Lie, gold, fear",), False, "A full stop within an item: there are sentences in it.")
    expect(f, ("Why? Obey, gold, fear",), False, "A question mark within an item: there are sentences in it.")
    expect(f, ("Now! Obey, gold, fear",), False, "An exclamation mark within an item: there are sentences in it.")
    expect(f, ("obey.now, gold, fear",), False, "A full stop within an item, with or without a space behind it.")
    expect(f, ("power, gold, fear.",), True, "A full stop at the very end is allowed.")
    expect(f, ("Power.\nGold.\nFear!",), True, "A mark at the end of each item is allowed.")
    expect(f, ("power, gold, fear...",), False, "Of the three dots only the last stands at the end of the part, the others within it: one mark at the end is allowed.")
    expect(f, ("666, 13, 40, 7",), True, "Numbers are items, too.")
    expect(f, ("gold; power; fear",), False, "A list with semicolons does not count here, as the task says: split at commas and new lines alone.")
    for text in ("1. gold\n2. power\n3. fear", "1.gold, 2.power, 3.fear"):
        expect(f, (text,), False, "A list with numbers such as \"1.\" does not count here, as the task says: there is a full stop within each item. Leave the numbers as they are.")
    expect(f, ("",), False, "An empty answer is no list.")
    expect(f, ("I rule you.",), False, "One sentence, one part.")


TASKS = [("1. Numbers of ill fame", is_evil), ("2. Ask in the form", in_format), ("3. What the form adds", format_effect), ("4. Is the form kept?", is_list)]
