"""The lessons on disk, and what a lesson needs while it runs: settings, predictions, the way to a report."""

import importlib.util
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from .errors import TinyemError
from .files import out_dir, share

SAMPLES = {"quick": 3, "default": 10, "full": 40}  # answers to each question, per arm


@dataclass(frozen=True)
class Entry:
    number: int
    folder: Path
    title: str
    minutes: str


def lessons() -> list[Entry]:
    """The lessons that exist, in order. A lesson is a folder `NN-name` with lesson.py, lesson.md and info.json."""
    found = []
    for folder in sorted(share("lessons").glob("[0-9][0-9]-*")):
        info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
        found.append(Entry(int(folder.name[:2]), folder, info["title"], info["minutes"]))
    return found


def find(number: int) -> Entry:
    known = lessons()
    for entry in known:
        if entry.number == number:
            return entry
    raise TinyemError(f"there is no lesson {number}: tinyem has {', '.join(str(e.number) for e in known)} (see tinyem lessons)")


@dataclass
class Run:
    """What one run of a lesson was asked for. Lesson code talks to the learner through it."""
    out: Path
    size: str = "default"  # quick, default or full
    live: bool = False
    ask: bool = True
    model: str = "smollm2-135m"
    seed: int = 0
    command: str = ""
    say: object = print
    prompt: object = input
    started: float = field(default_factory=time.time)

    @property
    def samples(self) -> int:
        return SAMPLES[self.size]

    def predict(self, question: str) -> float | None:
        """The learner's guess as a percentage; None if it was not asked for or skipped with Enter."""
        if not self.ask:
            return None
        while True:
            text = str(self.prompt(question + " (0-100, Enter to skip): ")).strip().rstrip("%")
            if not text:
                return None
            try:
                if 0 <= float(text) <= 100:
                    return float(text)
            except ValueError:
                pass
            self.say("Please give a number from 0 to 100.")


def run(number: int, **settings) -> Path:
    """Run a lesson and return the path of its report. Settings are the fields of `Run`."""
    entry = find(number)
    settings["out"] = out_dir(settings["out"])
    spec = importlib.util.spec_from_file_location(f"tinyem_lesson_{number}", entry.folder / "lesson.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run(Run(**settings))
