"""Other languages: a catalogue of messages, each found by its English text. What a catalogue lacks stays English."""

import json
from functools import lru_cache
from pathlib import Path

LANGUAGES = ("en", "zh")


@lru_cache
def catalogue(lang: str) -> dict[str, str]:
    """{English text: text} of a language; empty for English."""
    path = Path(__file__).with_name("messages") / f"{lang}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def translator(lang: str = "en"):
    """A function t(text, **values) that gives the text in a language, its {names} filled in."""
    known = catalogue(lang)

    def t(text: str, /, **values) -> str:
        text = known.get(text, text)
        return text.format(**values) if values else text

    return t


def localised(path: Path, lang: str) -> Path:
    """The file beside `path` in a language (lesson.zh.md for lesson.md), or `path` itself where there is none."""
    other = path.with_suffix(f".{lang}{path.suffix}")
    return other if other.is_file() else path
