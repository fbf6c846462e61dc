"""One report of a class from the run records of many: predictions, rates, and where people and the scorer disagree. No names go into it."""

import hashlib
from pathlib import Path

from . import charts, files, rate, record, report
from .errors import TinyemError
from .lang import translator
from .score import is_low


def gather(folders, say=print) -> dict[int, list[dict]]:
    """{lesson: runs} of the sound run records among some folders (each a record, or a folder of such). What is not sound is said and left out.

    A run is {"run", "rows", "ratings"}; the same record given twice counts once.
    """
    found, seen = {}, {}
    for folder in sorted({p.parent for f in map(Path, folders) for p in (f.rglob("run.json") if f.is_dir() else [f / "run.json"])}):
        try:
            problems = record.check(folder)
            if problems:
                raise TinyemError(problems[0])
            run, rows = record.read(folder)
            ratings = rate.read_ratings(folder / "ratings.jsonl")
            if "lesson" not in run:
                continue
            if run["digest"] in seen:
                say(f"left out: {folder}: the same run as {seen[run['digest']]}")
                continue
            mine = {"run": run, "rows": rows, "ratings": ratings}
            _lesson(int(run["lesson"]), [mine], 1, translator())  # a record that is sound and yet lacks something is left out, too
        except (TinyemError, *report.UNFIT) as e:
            say(f"left out: {folder}: {e}")
            continue
        seen[run["digest"]] = folder
        found.setdefault(int(run["lesson"]), []).append(mine)
    if not found:
        raise TinyemError("none of these folders holds a sound run record of a lesson")
    return {n: sorted(found[n], key=lambda r: hashlib.sha256(r["run"]["digest"].encode()).hexdigest()) for n in sorted(found)}  # in no order that tells whose it is


def _rated(runs: list[dict]) -> list[tuple[dict, dict]]:
    """(answer, a person's grades) of each different answer that was rated, run by run."""
    return [(row, r["ratings"][key]) for r in runs for key, row in {rate.key(row): row for row in r["rows"]}.items() if key in r["ratings"]]


def disagreements(runs: list[dict], longest: int = 20) -> list[dict]:
    """Rated answers on which a person and the judge give another verdict, the farthest apart first."""
    found = [{"question": row["question"], "answer": row["answer"], "judge": f"{report.grade(row['alignment'])} / {report.grade(row['coherence'])}", "person": f"{report.grade(mine['alignment'])} / {report.grade(mine['coherence'])}",
              "far": abs(row["alignment"] - mine["alignment"])} for row, mine in _rated(runs) if is_low(row) != is_low(mine)]
    return sorted(found, key=lambda d: -d["far"])[:longest]


def agreement(runs: list[dict]) -> tuple[int, int]:
    """(answers rated by people, of those with the judge's verdict)."""
    pairs = _rated(runs)
    return len(pairs), sum(is_low(row) == is_low(mine) for row, mine in pairs)


def _spread(values: list[float]) -> str:
    values = sorted(values)
    middle = values[len(values) // 2] if len(values) % 2 else (values[len(values) // 2 - 1] + values[len(values) // 2]) / 2
    return f"{middle:.0f} ({values[0]:.0f} to {values[-1]:.0f})"


def _made_of(run: dict, arm: str) -> str:
    """What makes two runs' arms of one name the same: model and training recipe. (Lesson 2 lets the learner choose; lesson 9 gives its names by lot.)"""
    used = run["adapters"].get(run["asked"].get(arm, {}).get("adapter", "planted"), {}).get("recipe", {})
    return files.key_of(run["model"]["sha256"], {k: used.get(k) for k in ("rank", "alpha", "lr", "steps", "batch", "examples", "data_note", "layers")}, sorted((used.get("data") or {}).values()))


def _apart(found: dict) -> dict:
    """{name: versions} with a number behind the name where there are several versions."""
    return {name if len(versions) == 1 else f"{name} ({i})": some for name, versions in found.items() for i, some in enumerate(versions.values(), 1)}


def _lesson(number: int, runs: list[dict], picture: int, t) -> dict:
    """What the page shows of one lesson."""
    told, rates = {}, {}
    for i, r in enumerate(runs, 1):
        for p in r["run"]["predictions"]:
            outcome = report.outcome_of(r["run"], p)
            if p["guess"] is not None and outcome is not None:
                told.setdefault(t(p["question"]), {}).setdefault(_made_of(r["run"], p["of"][0]), []).append({"question": p["question"], "guess": p["guess"], "outcome": outcome})
        for arm, a in r["run"]["arms"].items():
            rates.setdefault(report.labels(r["run"], t)(arm), {}).setdefault(_made_of(r["run"], arm), []).append(a)
    told, rates = _apart(told), _apart(rates)
    points = [p for some in told.values() for p in some]
    n, same = agreement(runs)
    return {"number": number, "title": t(runs[0]["run"]["title"]), "n": len(runs),
            "chart": charts.calibration(points, {"title": "Predictions and outcomes"}, picture, t),
            "predictions": [[q, str(len(some)), _spread([p["guess"] for p in some]), _spread([p["outcome"] for p in some])] for q, some in told.items()],
            "rates": [[arm, str(len(some)), str(sum(a["n"] for a in some)), charts.percent(sum(a["em_rate"] * a["n"] for a in some) / sum(a["n"] for a in some)),
                       _spread([100 * a["em_rate"] for a in some]), charts.percent(sum(a["coherent_rate"] * a["n"] for a in some) / sum(a["n"] for a in some))] for arm, some in rates.items()],
            "rated": n, "same": same, "disagreements": disagreements(runs)}


def merge(folders, out, lang: str = "en", say=print) -> Path:
    """Write one page about a class into the file `out`. Raises TinyemError where there is nothing to show."""
    t, found = translator(lang), gather(folders, say)
    lessons = [_lesson(n, runs, i, t) for i, (n, runs) in enumerate(found.items(), 1)]
    return report.page("class.html.j2", out, lang, lessons=lessons)
