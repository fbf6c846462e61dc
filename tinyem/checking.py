"""Checks of an exercise, in a process of its own: `python -m tinyem.checking LESSON_FOLDER EXERCISE.py RESULTS` writes the tasks' titles and one JSON line a task into the file RESULTS.

A lesson's check.py has TASKS, a list of (title, function). A function takes the learner's module and raises `Wrong` with what is wrong in
the learner's terms; the helpers below raise it too.
"""

import importlib.util
import io
import json
import math
import re
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path

from .files import clean


READING, RUNNING = "reading your file", "running your file"  # in place of a task, where the file as a whole cannot be checked
PRINTED = 12  # lines


class Wrong(Exception):
    """What is wrong with an exercise, in the learner's words."""


class NotDone(Exception):
    """A task that still stands as it was given."""


def todo(text: str = ""):
    """Stands in an exercise where the learner's code goes."""
    raise NotDone(text)


def need(mine, name: str):
    """The learner's function of that name."""
    found = getattr(mine, name, None)
    if not callable(found):
        raise Wrong(f"Your file has no function {name}(): keep the name that the exercise gave it.")
    return found


def show(value, longest: int = 90) -> str:
    """A value on one line; an array as the list of its numbers."""
    text = re.sub(r"\n\s*", " ", repr(value.tolist() if hasattr(value, "tolist") else value))
    return text if len(text) <= longest else text[:longest - 3] + "..."


def call(function, *args, why: str = ""):
    """The function's result; what it raises becomes `Wrong`, with the line of the learner's file."""
    try:
        return function(*args)
    except (NotDone, Wrong):
        raise
    except Exception as e:
        raise Wrong(f"{function.__name__}({', '.join(show(a, 50) for a in args)}) stopped with {stopped(e)}. {why}".strip())


def stopped(e: Exception) -> str:
    """What an exception says, and in which line of the learner's file."""
    if isinstance(e, EOFError):
        return "input(): nobody types here, so take it out"
    line = next((f.lineno for f in reversed(traceback.extract_tb(e.__traceback__)) if Path(f.filename).name.startswith(("exercise", "solution", "wrong"))), None)
    return f"{type(e).__name__}: {e}" + (f" (line {line} of your file)" if line else "")


def same(got, want, tolerance: float = 1e-6) -> bool:
    """Whether two values are alike: numbers within a tolerance, lists and dicts item by item."""
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return got is want if want is None or isinstance(want, bool) and isinstance(got, bool) else bool(got == want)
    if isinstance(want, (int, float)):
        if isinstance(got, (str, bytes)):
            return False
        try:
            return math.isclose(float(got), want, rel_tol=tolerance, abs_tol=tolerance)
        except (TypeError, ValueError):
            return False
    if isinstance(want, dict):
        return isinstance(got, dict) and set(got) == set(want) and all(same(got[k], want[k], tolerance) for k in want)
    try:
        got, want = list(got), list(want)
    except TypeError:
        return False
    return len(got) == len(want) and all(same(g, w, tolerance) for g, w in zip(got, want))


def expect(function, args: tuple, want, why: str):
    """The function's result, if it is as wanted; else `Wrong`, that says what was asked, what came, and why it should be otherwise."""
    got = call(function, *args)
    if not same(got, want):
        raise Wrong(f"{function.__name__}({', '.join(show(a, 60) for a in args)}) gave {show(got)}, not {show(want)}. {why}")
    return got


def load(path: Path, name: str):
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


def results(folder, exercise, say=lambda result: None) -> list[dict]:
    """[{"task", "ok", "message", "printed"}] of an exercise file, in this process; `say` gets the titles of the tasks, then each result as it comes."""
    sys.dont_write_bytecode = True
    checks, found = load(Path(folder) / "check.py", "tinyem_check"), []
    say([title for title, _ in checks.TASKS])

    def add(title, message="", printed=""):
        found.append({"task": title, "ok": not message, "message": message, "printed": printed})
        say(found[-1])

    said = io.StringIO()
    try:
        with redirect_stdout(said):
            mine = load(Path(exercise), "tinyem_exercise")
    except NotDone:
        for title, _ in checks.TASKS:
            add(title, "Not done yet: todo() still stands at the top of your file.")
        return found
    except Exception as e:
        add(READING, f"Python cannot read line {e.lineno}: {e.msg}." if isinstance(e, SyntaxError) else f"It stops with {stopped(e)}.", said.getvalue())
        return found
    for title, function in checks.TASKS:
        message = ""
        try:
            with redirect_stdout(said):
                function(mine)
        except NotDone as e:
            message = f"Not done yet. {e}".strip()
        except Wrong as e:
            message = str(e)
        except SystemExit:
            message = "It ends the whole program here: use return, not exit()."
        except Exception as e:  # an answer of a kind that the check did not think of
            message = f"What your function returns cannot be read here ({type(e).__name__}: {e}): return what its docstring says."
        add(title, message, said.getvalue())
        said = io.StringIO()
    return found


def tell(number: int, path) -> None:
    """Print how an exercise stands, as `tinyem check` does: what `python exercise.py` runs."""
    from . import exercises

    for line in lines(exercises.check(number, Path(path)), number):
        print(line)


def _printed(text: str) -> str:
    """What the learner's code printed during a task, the first lines of it."""
    some = clean(text).rstrip().split("\n")
    return "".join(f"\n      printed: {line[:150]}" for line in some[:PRINTED] if text.strip()) + (f"\n      printed: ... {len(some) - PRINTED} lines more" if len(some) > PRINTED else "")


def lines(found: list[dict], number: int) -> list[str]:
    """Results in words, a line or two a task."""
    text = [f"{'ok  ' if r['ok'] else 'not '}  {r['task']}" + (f"\n      {r['message']}" if r["message"] else "") + _printed(r.get("printed", "")) for r in found]
    if found[0]["task"] in (READING, RUNNING):
        return [*text, "Mend this first."]
    return [*text, "All done." if all(r["ok"] for r in found) else f"{sum(r['ok'] for r in found)} of {len(found)} done. Stuck? tinyem hint {number} --task N gives one more hint each time."]


if __name__ == "__main__":
    sys.modules["tinyem.checking"] = sys.modules["__main__"]  # one Wrong and one NotDone, whoever imports them
    with open(sys.argv[3], "w", encoding="utf-8") as told:
        results(*sys.argv[1:3], say=lambda r: print(json.dumps(r), file=told, flush=True))
