"""The exercises: copied to the learner's folder, checked in a process of their own, hinted at, solved, begun anew."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import checking, course, learner, recipes
from .errors import TinyemError
from .files import out_dir
from .lang import localised

LONGEST = 60  # seconds a check may take


def place(number: int) -> Path:
    """Where the learner's copy of an exercise is or will be."""
    return learner.folder() / course.find(number).folder.name / "exercise.py"


def start(number: int) -> tuple[Path, bool]:
    """(the learner's file, whether it is new): copied once, never written over."""
    path = place(number)
    if path.exists():
        return path, False
    out_dir(path.parent, learner.MEND)
    shutil.copyfile(course.find(number).folder / "exercise.py", path)
    return path, True


def check(number: int, path: Path | None = None) -> list[dict]:
    """[{"task", "ok", "message"}] of the learner's file; a pass is remembered. Raises TinyemError where there is none yet."""
    mine = path or place(number)
    if not mine.is_file():
        raise TinyemError(f"there is no {mine} yet: tinyem exercise {number} puts it there")
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "results"  # not what it prints: there a learner's own words may stand
        told.touch()
        try:
            done = subprocess.run([sys.executable, "-m", "tinyem.checking", str(course.find(number).folder), str(mine), str(told)], capture_output=True, text=True, errors="replace", timeout=LONGEST, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            done = None
        titles, *found = [json.loads(line) for line in told.read_text(encoding="utf-8").split("\n")[:-1]] or [[]]
    if done is None:
        message = f"It was still running after {LONGEST} seconds: is there a loop that never ends?"
        if not found:
            return [{"task": checking.RUNNING, "ok": False, "message": message}]
        return found + [{"task": t, "ok": False, "message": "Not looked at yet." if i else message} for i, t in enumerate(titles[len(found):])]
    if done.returncode or not found or found[0]["task"] != checking.READING and len(found) < len(titles):
        return [{"task": checking.RUNNING, "ok": False, "message": "It ended by itself: " + (done.stderr.strip().splitlines() or ["does it call exit()?"])[-1]}]
    if mine.resolve() == place(number).resolve() and all(r["ok"] for r in found):
        state = learner.load()
        learner.lesson(state, number).setdefault("passed", learner.today())
        learner.save(state)
    return found


def hint(number: int, task: int | None = None, lang: str = "en") -> tuple[str, list[str], int]:
    """(the task, its hints so far with one more, how many it has). Without a task: the first one with a hint left, else the last. Raises TinyemError
    where the exercise has no such task."""
    hints = recipes.load(localised(course.find(number).folder / "hints.toml", lang))
    state = learner.load()
    mine = learner.lesson(state, number)
    given = mine["hints"] = learner.hints(mine)
    chosen = str(task) if task is not None else next((t for t in hints if given.get(t, 0) < len(hints[t])), list(hints)[-1])
    if chosen not in hints:
        raise TinyemError(f"exercise {number} has the tasks {', '.join(hints)}")
    given[chosen] = min(given.get(chosen, 0) + 1, len(hints[chosen]))
    learner.save(state)
    return chosen, hints[chosen][:given[chosen]], len(hints[chosen])


def passed(number: int) -> bool:
    return "passed" in learner.load()["lessons"].get(str(number), {})


def solution(number: int) -> str:
    """The solution's text; that it was looked at is remembered."""
    state = learner.load()
    learner.lesson(state, number).setdefault("solution_seen", learner.today())
    learner.save(state)
    return (course.find(number).folder / "solution.py").read_text(encoding="utf-8")


def reset(number: int) -> Path | None:
    """Begin an exercise anew: the learner's file is kept beside it under another name, whose path is returned; the lesson's entry is cleared."""
    path, kept, state = place(number), None, learner.load()
    if path.exists():
        kept = next(p for i in range(1, 10000) if not (p := path.with_name(f"exercise-{i}.py")).exists())
        path.replace(kept)
    state["lessons"].pop(str(number), None)
    learner.save(state)
    start(number)
    return kept
