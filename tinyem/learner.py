"""What a learner has done, in one readable file: `tinyem-course/progress.json` where the commands are run (TINYEM_COURSE names another folder).

What a later or earlier tinyem wrote there and this one does not know stays as it is.
"""

import json
import os
from datetime import datetime
from pathlib import Path

from .errors import TinyemError
from .files import dump_json, out_dir


COURSE = "tinyem-course"
MEND = "go to a folder of your own, or name one with TINYEM_COURSE"


def folder() -> Path:
    """The learner's course: here, or the one that this is a folder of."""
    if os.environ.get("TINYEM_COURSE"):
        return Path(os.environ["TINYEM_COURSE"])
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if p.name == COURSE), Path(COURSE))


def load() -> dict:
    """{"lessons": {number: {...}}, "predictions": [...]}; empty where there is no file yet."""
    path = folder() / "progress.json"
    if not path.is_file():
        return {"format": 1, "lessons": {}, "predictions": []}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(state, dict) or not isinstance(state.setdefault("lessons", {}), dict) or not all(isinstance(v, dict) for v in state["lessons"].values()) or not isinstance(state.setdefault("predictions", []), list):
            raise ValueError
        return state
    except (ValueError, RecursionError):
        raise TinyemError(f"{path} is not valid: mend it, or move it away to begin anew")


def save(state: dict) -> None:
    dump_json(state, out_dir(folder(), MEND) / "progress.json")


def lesson(state: dict, number: int) -> dict:
    """The entry of a lesson, made if need be."""
    return state["lessons"].setdefault(str(number), {})


def hints(entry: dict) -> dict[str, int]:
    """{task: hints given} of a lesson's entry."""
    given = entry.get("hints")
    return {task: n for task, n in given.items() if type(n) is int} if isinstance(given, dict) else {}


def today() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M")


def note_run(number: int, predictions: list[dict], seconds: int) -> None:
    """Keep that a lesson was run, and what was predicted."""
    state = load()
    mine = lesson(state, number)
    mine["runs"], mine["last_run"], mine["seconds"] = mine.get("runs", 0) + 1, today(), seconds
    state["predictions"] += [{"lesson": number, "question": p["question"], "guess": p["guess"], "outcome": p["outcome"], "when": today()} for p in predictions if p["guess"] is not None]
    save(state)


def predictions(state: dict) -> list[dict]:
    """The predictions whose outcome is known, in the order they were made; of a lesson run again only the first, made without knowing."""
    first = {}
    for p in state["predictions"]:
        if isinstance(p, dict) and isinstance(p.get("question"), str) and all(isinstance(p.get(k), (int, float)) and 0 <= p[k] <= 100 for k in ("guess", "outcome")):
            first.setdefault((p.get("lesson"), p.get("question")), p)
    return list(first.values())


def calibration(state: dict) -> dict | None:
    """Mean absolute error of the predictions, in points, and whether they are too high or too low on average."""
    errors = [p["guess"] - p["outcome"] for p in predictions(state)]
    return {"n": len(errors), "mean_error": round(sum(map(abs, errors)) / len(errors), 1), "bias": round(sum(errors) / len(errors), 1)} if errors else None
