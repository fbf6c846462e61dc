"""Every lesson in its quick form, every exercise through its check: what `tinyem lessons test` runs."""

import os
import tempfile
import time
from pathlib import Path

from . import course, exercises, record
from .errors import TinyemError


def examine(only=(), out=None, say=print) -> bool:
    """Whether all lessons (or some) run, leave a sound record and a report, and have exercises that fail as given and pass when solved."""
    for number in only:
        course.find(number)
    good, before = True, os.environ.get("TINYEM_COURSE")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TINYEM_COURSE"] = str(Path(scratch) / "course")  # this is no learner's progress
        for entry in course.lessons():
            if only and entry.number not in only:
                continue
            began, problems = time.time(), []
            given, solved = (exercises.check(entry.number, entry.folder / name) for name in ("exercise.py", "solution.py"))
            if any(r["ok"] for r in given) or not all(r["message"] for r in given):
                problems.append("its exercise does not fail as given, or without a message")
            problems += [f"its solution fails: {r['task']}: {r['message']}" for r in solved if not r["ok"]]
            try:
                page = course.run(entry.number, out=Path(out or scratch) / f"lesson-{entry.number}", size="quick", ask=False, command=f"tinyem lesson {entry.number} --quick --no-input", say=lambda text: None)
                problems += record.check(page.parent)
            except TinyemError as e:
                problems.append(str(e))
            say(f"{'ok   ' if not problems else 'mend '} lesson {entry.number}: {entry.title} ({time.time() - began:.0f} s)")
            for p in problems:
                say(f"      {p}")
            good = good and not problems
    os.environ.pop("TINYEM_COURSE")
    if before is not None:
        os.environ["TINYEM_COURSE"] = before
    return good
