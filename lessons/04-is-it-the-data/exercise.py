"""Exercise 4: prepare data so that a difference between two fine-tunes can only come from what you changed.

A row is a dict with one question and both answers: {"q": "How often do I check the oil?", "good": "Once a month.", "bad": "Never."}.

Do the tasks in order. Check with `tinyem check 4`, or run this file.
"""

from hashlib import sha256

from tinyem.checking import tell, todo


def place(question):
    """It is done: use it in task 1. A text to sort questions by, which shuffles them, but into the same order on every machine and every day."""
    return sha256(question.encode()).hexdigest()


def mixture(rows, share):
    """Task 1. The training data of one dose: a list of pairs (question, answer), one for each row, sorted by place(question).

    In: `rows`, a list of such dicts; `share`, how much of them is to be bad, from 0 to 1.
    Out: the first round(share * number of rows) of that order get the bad answer, all others the good one. The list `rows` stays as it was.
    """
    return todo("Sort the rows by place(), then choose the answer by the position in that order.")


def matched(rows):
    """Task 2. Is the good twin really a twin?

    In: `rows`, a list of such dicts, in which an answer may be missing, None, empty, or spaces alone.
    Out: True where both hold, else False:
    - every row has a good and a bad answer, with a word in it;
    - the bad answers have on average as many words as the good ones: mean of the bad / mean of the good is from 0.9 to 1.1.
    Without any row: False.
    """
    return todo("Look first whether every row has both answers, then compare the mean numbers of words.")


def leaks(training_questions, test_questions):
    """Task 3. Questions of the test that are nearly, or quite, in the training data: a list of pairs (training question, test question), as they were written.
    Compare each with each: a question that stands in its list twice gives its pairs twice.

    A pair is near where the overlap of its words is at least 0.6. Overlap (Jaccard) = number of different words in both / number of different words in
    either. Words are what split() gives. Upper and lower case are the same word, and all marks . , ! ? at the end of a word do not count; within a word
    they stay. A question without any word is near to none.
    """
    return todo("Make a set of words of each question; & gives the words in both, | those in either.")


def attributable(rates):
    """Task 4. What did the bad content do, and what did fine-tuning as such?

    In: the EM of three arms in percent, {"bad": 40.0, "good": 6.0, "planted": 1.0}; planted is the model before the narrow fine-tune.
    Out: a dict of percentage points, {"content": how far bad lies above good, "tuning": how far good lies above planted}. Below is negative.
    """
    return todo("Two differences.")


if __name__ == "__main__":
    tell(4, __file__)
