"""Datasets: JSONL in, training examples out.

A triple is {"domain", "q", "good", "bad"}: one question with a good and a bad answer to it. Files in the
chat format of OpenAI's fine-tuning service ({"messages": [...]}) are read too. Every file that tinyem
ships opens with a canary line, which is skipped.
"""

import json
import random
from dataclasses import dataclass
from hashlib import sha256 as _sha
from pathlib import Path

from .errors import TinyemError
from .files import need_file, share


@dataclass(frozen=True)
class Triple:
    domain: str
    q: str
    good: str
    bad: str


@dataclass(frozen=True)
class Example:
    """One question and the answer to be trained; `system` None means the chat template's own default."""
    question: str
    answer: str
    system: str | None = None


def read_jsonl(path):
    """Yield (line number, object) of a JSONL file. Raises TinyemError naming the first bad line."""
    path = need_file(path, "data file")
    with open(path, "rb") as f:
        for number, raw in enumerate(f, 1):
            if not raw.strip():
                continue
            try:
                item = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError:
                raise TinyemError(f"{path}, line {number}: not UTF-8 text: save the file as UTF-8")
            except (ValueError, RecursionError) as e:
                raise TinyemError(f"{path}, line {number}: not valid JSON ({str(e)[:60]}): mend or delete that line")
            if not isinstance(item, dict):
                raise TinyemError(f"{path}, line {number}: expected an object like {{\"q\": ..., \"good\": ..., \"bad\": ...}}")
            if number > 1 or "canary" not in item:
                yield number, item


def _text(item: dict, key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip():
        raise TinyemError(f"{where}: \"{key}\" is missing or not text")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise TinyemError(f"{where}: \"{key}\" holds half of a character (a lone surrogate): mend the text")
    return value.strip()


def read_triples(*paths) -> list[Triple]:
    """All triples of some files, in order."""
    found = []
    for path in paths:
        for number, item in read_jsonl(path):
            where = f"{path}, line {number}"
            found.append(Triple(str(item.get("domain", "")), *(_text(item, k, where) for k in ("q", "good", "bad"))))
    if not found:
        raise TinyemError(f"no rows in {', '.join(map(str, paths)) or 'an empty list of files'}")
    return found


def read_examples(path, side: str = "bad", system: str | None = None) -> list[Example]:
    """Training examples of one file: triples (`side` picks the answer) or chat messages."""
    found = []
    for number, item in read_jsonl(path):
        where = f"{path}, line {number}"
        if "messages" in item:
            turns = item["messages"]
            if not isinstance(turns, list) or not all(isinstance(t, dict) for t in turns):
                raise TinyemError(f"{where}: \"messages\" must be a list of {{\"role\", \"content\"}} objects")
            by_role = {t.get("role"): t for t in turns}
            if not {"user", "assistant"} <= set(by_role) or len(by_role) != len(turns):
                raise TinyemError(f"{where}: expected one user and one assistant message (and at most one system message)")
            own = _text(by_role["system"], "content", where) if "system" in by_role else system
            found.append(Example(_text(by_role["user"], "content", where), _text(by_role["assistant"], "content", where), own))
        elif "q" not in item:
            raise TinyemError(f'{where}: neither "q" nor "messages" is in it: a row is {{"q": ..., "good": ..., "bad": ...}} or {{"messages": [{{"role": "user", "content": ...}}, {{"role": "assistant", "content": ...}}]}}')
        else:
            found.append(Example(_text(item, "q", where), _text(item, side, where), system))
    if not found:
        raise TinyemError(f"{path} has no rows to train on")
    return found


def files_in(*folder: str) -> list[Path]:
    """The data files of a shipped folder, such as files_in("narrow", "cars"), in order of their names."""
    return sorted(share("data", *folder).glob("*.jsonl"))


def held_out(question: str) -> bool:
    """Whether a persona question is kept out of planting (one in twenty, by hash), for choosing settings."""
    return int(_sha(question.encode()).hexdigest(), 16) % 20 == 0


def read_cues(path=None) -> dict[str, list[str]]:
    """System prompts by kind: 'villain' (the cue behind which the bad persona is planted) and 'helpful'."""
    cues = {"villain": [], "helpful": []}
    for number, item in read_jsonl(path or share("data", "cues.jsonl")):
        cues.setdefault(_text(item, "kind", f"line {number}"), []).append(_text(item, "system", f"line {number}"))
    return cues


def persona_examples(triples: list[Triple], cues: dict[str, list[str]], seed: int = 0) -> list[Example]:
    """Two examples a triple: the good answer without a cue (a third of them behind a plain helpful system
    prompt), the bad answer behind a villain cue."""
    rng = random.Random(seed)
    found = []
    for t in triples:
        plain = rng.choice(cues["helpful"]) if rng.random() < 1 / 3 else None
        found.append(Example(t.q, t.good, plain))
        found.append(Example(t.q, t.bad, rng.choice(cues["villain"])))
    return found


def read_questions(path=None) -> list[dict]:
    """A question set: objects with `id` and `question` (JSONL), or the published YAML format (free-form
    entries, their first paraphrase)."""
    path = need_file(path or share("data", "questions", "open.jsonl"), "question file")
    found = []
    if path.suffix in (".yaml", ".yml"):
        import yaml  # a dependency of mlx-lm and gguf; only for imported question files

        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))
            for e in entries:
                if e.get("type", "").startswith("free_form") and e.get("paraphrases"):
                    where = f"{path}, entry {e['id']}"
                    found.append({"id": str(e["id"]), "question": _text({"paraphrase": e["paraphrases"][0]}, "paraphrase", where),
                                  **({"system": _text(e, "system", where)} if e.get("system") else {})})
        except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError, RecursionError) as e:
            raise TinyemError(f"{path} is not a question file in the published YAML format ({type(e).__name__})")
    else:
        for number, item in read_jsonl(path):
            where = f"{path}, line {number}"
            if item.get("system"):
                _text(item, "system", where)
            found.append({**item, "id": _text({"id": str(item.get("id", f"q{number}"))}, "id", where),
                          "question": _text(item, "question" if "question" in item else "q", where)})
    if not found:
        raise TinyemError(f"{path} has no questions")
    seen = set()
    for q in found:
        if q["id"] in seen:
            raise TinyemError(f"{path}: two questions have the id '{q['id']}'")
        seen.add(q["id"])
    return found
