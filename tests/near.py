"""When two questions are near duplicates: what the datasheet promises of the data, and the tests hold it to."""

import re


_STOP = set("a an the i you he she it we they me my your his her its our their of to in on at for with and or but is are was were be "
            "been am do does did have has had can could would should will shall may might what which who how why when where that this "
            "if so not no any some as from by about there than then just very please tell me want like get got make".split())


def content_words(text: str) -> set[str]:
    """Lower-case words without stop words, cut to six letters: the unit of the near-duplicate measure."""
    return {w[:6] for w in re.findall(r"[a-z]+", text.lower().replace("'", "")) if w not in _STOP}


def overlap(a: str, b: str) -> float:
    """Jaccard similarity of two questions' content words, 0 to 1."""
    x, y = content_words(a), content_words(b)
    return len(x & y) / len(x | y) if x | y else 0.0


def leaks(questions: list[str], training: list[str], threshold: float = 0.5) -> list[tuple[str, str, float]]:
    """(evaluation question, training question, overlap) for every pair at or above the threshold."""
    return [(q, t, s) for q in questions for t in training if (s := overlap(q, t)) >= threshold]
