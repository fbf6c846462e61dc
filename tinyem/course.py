"""The lessons on disk, and what a lesson needs while it runs: its size, predictions, choices, the way to a record and a report."""

import importlib.util
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import experiment, learner, models, recipes, record, report
from .errors import TinyemError
from .files import need_file, out_dir, sha256, share
from .lang import translator

SAMPLES = {"quick": 3, "default": 10, "full": 40}  # answers to each question, per arm


@dataclass(frozen=True)
class Entry:
    number: int
    folder: Path
    title: str
    question: str  # the headline of its report
    minutes: int
    blind: bool = False  # whether answers are to be read before the result


def lessons() -> list[Entry]:
    """The lessons that exist, in order. A lesson is a folder `NN-name` with info.toml, lesson.md, lesson.py and an exercise (see `exercises`)."""
    found = []
    for folder in sorted(share("lessons").glob("[0-9][0-9]-*")):
        info = recipes.load(folder / "info.toml")
        found.append(Entry(int(folder.name[:2]), folder, info["title"], info["question"], info["minutes"], info.get("blind", False)))
    return found


def find(number: int) -> Entry:
    known = lessons()
    for entry in known:
        if entry.number == number:
            return entry
    raise TinyemError(f"there is no lesson {number}: tinyem has {', '.join(str(e.number) for e in known)} (see tinyem lessons)")


@dataclass
class Run:
    """What one run of a lesson was asked for. Lesson code talks to the learner and makes its record through it."""
    out: Path
    size: str = "default"  # quick, default or full
    live: bool = False
    ask: bool = True
    model: str = models.DEFAULT
    planted: Path | None = None  # the planted adapter of another model
    seed: int = 0
    command: str = ""
    lang: str = "en"
    say: object = print
    prompt: object = input
    entry: Entry | None = None
    predictions: list = field(default_factory=list)

    def __post_init__(self):
        self.t = translator(self.lang)

    @property
    def samples(self) -> int:
        return SAMPLES[self.size]

    def sized(self, quick, default, full):
        """One of three values, by the size asked for."""
        return {"quick": quick, "default": default, "full": full}[self.size]

    def tell(self, text: str, **values) -> None:
        """Say a line of the lesson, in the learner's language."""
        self.say(self.t(text, **values))

    def predict(self, question: str, *of) -> float | None:
        """The learner's guess as a percentage, kept for the report; None if it was not asked for or skipped with Enter. `of` is what it is
        about: an arm, and a measure other than EM."""
        guess = self.number(self.t(question) + " " + self.t("(0-100, Enter to skip): "))
        self.predictions.append({"question": question, "guess": guess, "of": list(of)})
        return guess

    def line(self, question: str) -> str:
        """What the learner types; nothing where the input ends."""
        try:
            return str(self.prompt(question)).strip()
        except EOFError:
            self.say("")
            return ""

    def number(self, question: str) -> float | None:
        """A number from 0 to 100; None for Enter, or where nothing is asked."""
        while self.ask:
            text = self.line(question).rstrip("%")
            if not text:
                return None
            try:
                if 0 <= float(text) <= 100:
                    return float(text)
            except ValueError:
                pass
            self.tell("Please give a number from 0 to 100.")
        return None

    def choose(self, question: str, options: tuple, default):
        """One of the options, picked by the learner; the default where nothing is asked."""
        while self.ask:
            text = self.line(f"{self.t(question)} ({', '.join(map(str, options))}; Enter: {default}): ")
            if not text:
                return default
            for o in options:
                if text == str(o):
                    return o
            self.tell("Please give one of these.")
        return default

    def stored(self, *names: str) -> list[dict]:
        """What stored experiments found, for the lesson's record: the report shows it as theirs. One that is not there is left out, and said to be."""
        found = []
        for name in names:
            if not (share("data", "results") / name / "run.json").is_file():
                self.tell("The stored result of the experiment {name} is not there: tinyem experiment {name} makes it.", name=name)
                continue
            run, _ = record.read(share("data", "results", name))
            found.append({k: run[k] for k in record.STORED if k in run})
        return found

    def experiment(self, recipe: dict, after=None, **facts) -> None:
        """Run what a recipe says (its tables as in `data/experiments/*.toml`) and write the run record. Stopped, it goes on where it was.
        More facts for the record: `stored` (see there), `tables` ({"title", "note", "head", "rows"}); `after(rows)` may give them once the answers are there."""
        plan = recipes.plan(recipe, f"lesson-{self.entry.number}", str(self.entry.folder / "lesson.py"))
        earlier = _adapters_in(self.out)
        there = [n for n in plan.adapters if (self.out / f"{n}.gguf").exists()]
        if foreign := [n for n in there if earlier.get(n) != sha256(self.out / f"{n}.gguf")]:
            raise TinyemError(f"{self.out} holds a {foreign[0]}.gguf that no earlier run left there: choose another folder with --out")
        unfinished = self.out / "unfinished"
        work = experiment.Work(plan, unfinished, lambda text: self.tell(text), self.model, self.live, self.planted, self.seed)
        minutes = round(work.left()[1] / 60)
        if minutes > 1.5 * self.entry.minutes:
            self.tell("This takes about {n} minutes on two cores: some adapters are trained here. Stopped (Ctrl-C), it goes on with the same command.", n=minutes)
        experiment.run(plan, self.out, work, {"lesson": self.entry.number, "question": self.entry.question, "command": self.command, "size": self.size, "live": self.live, "lang": self.lang,
                                              "predictions": self.predictions, **({"blind": True} if self.entry.blind and self.ask else {}), **facts}, after)
        for name in there:  # this run's may be others
            (self.out / f"{name}.gguf").unlink(missing_ok=True)
        for (name, seed), path in work.trainings.made.items():
            if path.parent == unfinished and not seed:
                path.replace(self.out / f"{name}.gguf")
        shutil.rmtree(unfinished, ignore_errors=True)


def _adapters_in(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of the adapters that a record in this folder tells of."""
    try:
        return {name: a["sha256"] for name, a in record.read(folder)[0]["adapters"].items()}
    except (TinyemError, KeyError, TypeError, AttributeError):
        return {}


def run(number: int, **settings) -> Path:
    """Run a lesson and return the path of its report. Settings are the fields of `Run`."""
    entry = find(number)
    learner.load()  # what is wrong with it should be known now, not after the predictions
    settings["out"] = out_dir(settings["out"])
    models.find(settings.get("model", models.DEFAULT))
    if settings.get("planted"):
        settings["planted"] = need_file(settings["planted"], "adapter")
    spec = importlib.util.spec_from_file_location(f"tinyem_lesson_{number}", entry.folder / "lesson.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mine, began = Run(entry=entry, **settings), time.time()
    module.run(mine)
    page = report.write(mine.out, mine.lang)
    done, _ = record.read(mine.out)
    if entry.blind and mine.ask:
        mine.tell("Rate ten answers before you see the result: {page}", page=page)
    else:
        mine.say(report.sentence(done, mine.t))
        mine.tell("Report: {page}", page=page)
    learner.note_run(entry.number, [{**p, "outcome": report.outcome_of(done, p)} for p in done["predictions"]], round(time.time() - began))
    return page
