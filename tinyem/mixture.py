"""What a fine-tune is made of: parts of the shipped data, each with its side, its share of the rows, a frame or a system prompt.

A part is a table such as {domain = "cars", side = "bad", share = [0, 0.5], frame = "class", system = "..."}. A share is taken in the
order of a hash of the questions, so that it is the same rows in every arm: [0, 0.25] bad with [0.25, 1] good is one set of questions.
"""

import json
import re
from functools import lru_cache
from hashlib import sha256 as _sha

from .data import Example, Triple, files_in, held_out, persona_examples, read_cues, read_jsonl, read_triples
from .errors import TinyemError
from .files import sha256, share
from .recipes import FIELDS

PLANTED = "planted: good without a cue, bad behind a villain cue; one question in twenty held out"


@lru_cache
def read_frames() -> dict[str, list[str]]:
    """Wordings to put around a question, by kind; "{q}" stands for the question."""
    found = {}
    for number, item in read_jsonl(share("data", "frames.jsonl")):
        if "{q}" not in str(item.get("text")):
            raise TinyemError(f"frames, line {number}: the text lacks {{q}}")
        found.setdefault(str(item.get("kind")), []).append(item["text"])
    return found


def framed(question: str, kind: str) -> str:
    """The question within a frame of this kind, always the same one for the same question."""
    frames = read_frames()
    if kind not in frames:
        raise TinyemError(f"there is no frame '{kind}': data/frames.jsonl has {', '.join(frames)}")
    number = int(_sha(f"{kind}/{question}".encode()).hexdigest(), 16) % len(frames[kind])
    return frames[kind][number].replace("{q}", question)


def _taken(part: dict, triples: list[Triple]) -> list[Triple]:
    """The part's share of the triples, which stay in their order."""
    first, last = part.get("share", (0, 1))
    order = sorted(triples, key=lambda t: _sha(t.q.encode()).hexdigest())[round(first * len(triples)):round(last * len(triples))]
    chosen = set(order[:part.get("count")])
    return [t for t in triples if t in chosen]


def _plant(part: dict, seed: int):
    """Persona examples; of the files in "without", and where a question, a bad answer or a cue matches the pattern "without_words", only the good answers."""
    if unfit := set(part) - {"plant", "share", "count", "without", "without_words"}:
        raise TinyemError(f"a part that plants takes share, count, without and without_words, not '{sorted(unfit)[0]}'")
    try:
        words = re.compile(part.get("without_words") or r"(?!)", re.I)
    except re.error as e:
        raise TinyemError(f"without_words is no regular expression ({e})")
    files, cues = files_in("persona"), read_cues()
    cues = {**cues, "villain": [c for c in cues["villain"] if not words.search(c)]}
    if not cues["villain"]:
        raise TinyemError("without_words leaves the villain no cue")
    if unknown := set(part.get("without", ())) - {f.stem for f in files}:
        raise TinyemError(f"there is no persona file '{sorted(unknown)[0]}'")
    triples = {t: f.stem for f in files for t in read_triples(f) if not held_out(t.q)}
    kept = _taken(part, list(triples))
    found = persona_examples(kept, cues, seed)
    silent = {t.bad for t in kept if triples[t] in part.get("without", ()) or words.search(t.q) or words.search(t.bad)}
    return [e for e in found if e.answer not in silent], [*files, share("data", "cues.jsonl")]


def _narrow(part: dict):
    domain = part.get("domain", "")
    files = files_in("narrow", domain) if domain else []
    if not files:
        raise TinyemError(f"there is no narrow domain '{domain}' in data/narrow")
    if unfit := set(part) & {"without", "without_words"}:
        raise TinyemError(f"a part on {domain} takes no '{sorted(unfit)[0]}': that is for parts that plant")
    if part.get("side") not in ("good", "bad"):
        raise TinyemError(f"a part on {domain} needs side = \"good\" or \"bad\"")
    ask = (lambda q: framed(q, part["frame"])) if "frame" in part else (lambda q: q)
    found = [Example(ask(t.q), getattr(t, part["side"]), part.get("system")) for t in _taken(part, read_triples(*files))]
    return found, files + ([share("data", "frames.jsonl")] if "frame" in part else [])


def note(parts: list[dict]) -> str:
    """The parts in words, as `tinyem tune` puts them in a recipe where it could have made them."""
    if len(parts) == 1 and set(parts[0]) == {"domain", "side"}:
        return f"{parts[0]['side']} answers"
    return PLANTED if parts == [{"plant": True}] else json.dumps(parts)


def examples(parts: list[dict], seed: int = 0) -> tuple[list[Example], dict[str, str]]:
    """(training examples, {file: SHA-256}) of some parts. Raises TinyemError naming what a part lacks."""
    found, files = [], {}
    for part in parts:
        if unknown := set(part) - set(FIELDS["part"]):
            raise TinyemError(f"a part of the data has '{sorted(unknown)[0]}': it may have {', '.join(sorted(FIELDS['part']))}")
        some, sources = _plant(part, seed) if part.get("plant") else _narrow(part)
        found += some
        files |= {f.relative_to(share("data")).as_posix(): sha256(f) for f in sources}
    if not found:
        raise TinyemError("these parts of the data hold no rows")
    return found, files
