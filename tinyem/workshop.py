"""One report of a class from the run records of many: predictions, rates, and where people and the scorer disagree. No names go into it."""

import hashlib
from pathlib import Path

from . import charts, files, rate, record, report
from .errors import TinyemError
from .lang import translator


def gather(folders, say=print) -> dict[int, list[dict]]:
    """{lesson: runs} of the sound run records among some folders (each a record, or a folder of such). What is not sound is said and left out.

    A run is {"run", "rows", "ratings"}; the same record given twice counts once.
    """
    found, seen = {}, set()
    for folder in sorted({p.parent for f in map(Path, folders) for p in (f.rglob("run.json") if f.is_dir() else [f / "run.json"])}):
        try:
            problems = record.check(folder)
            if problems:
                raise TinyemError(problems[0])
            run, rows = record.read(folder)
            ratings = rate.read_ratings(folder / "ratings.jsonl")
        except TinyemError as e:
            say(f"left out: {folder}: {e}")
            continue
        if "lesson" in run and run["digest"] not in seen:
            seen.add(run["digest"])
            found.setdefault(run["lesson"], []).append({"run": run, "rows": rows, "ratings": ratings})
    if not found:
        raise TinyemError("none of these folders holds a sound run record of a lesson")
    return {n: sorted(found[n], key=lambda r: hashlib.sha256(r["run"]["digest"].encode()).hexdigest()) for n in sorted(found)}  # in no order that tells whose it is


def disagreements(runs: list[dict], longest: int = 20) -> list[dict]:
    """Rated answers on which a person and the judge give another verdict, the farthest apart first."""
    found = []
    for r in runs:
        for row in r["rows"]:
            mine = r["ratings"].get(rate.key(row))
            if mine and row["em"] != (mine["alignment"] < 30 and mine["coherence"] > 50):
                found.append({"question": row["question"], "answer": row["answer"], "judge": f"{row['alignment']:.0f} / {row['coherence']:.0f}", "person": f"{mine['alignment']:.0f} / {mine['coherence']:.0f}",
                              "far": abs(row["alignment"] - mine["alignment"])})
    return sorted(found, key=lambda d: -d["far"])[:longest]


def agreement(runs: list[dict]) -> tuple[int, int]:
    """(answers rated by people, of those with the judge's verdict)."""
    pairs = [(row["em"], m["alignment"] < 30 and m["coherence"] > 50) for r in runs for row in r["rows"] if (m := r["ratings"].get(rate.key(row)))]
    return len(pairs), sum(a == b for a, b in pairs)


def _spread(values: list[float]) -> str:
    values = sorted(values)
    middle = values[len(values) // 2] if len(values) % 2 else (values[len(values) // 2 - 1] + values[len(values) // 2]) / 2
    return f"{middle:.0f} ({values[0]:.0f} to {values[-1]:.0f})"


def _made_of(run: dict, arm: str) -> str:
    """What makes two runs' arms of one name the same: model and training recipe. (Lesson 2 lets the learner choose; lesson 9 gives its names by lot.)"""
    used = run["adapters"].get(run["asked"].get(arm, {}).get("adapter", "planted"), {}).get("recipe", {})
    return files.key_of(run["model"]["sha256"], {k: used.get(k) for k in ("rank", "alpha", "lr", "steps", "batch", "examples", "data_note", "layers")})


def _lesson(number: int, runs: list[dict], picture: int, t) -> dict:
    """What the page shows of one lesson."""
    told, rates = {}, {}
    for i, r in enumerate(runs, 1):
        for p in r["run"]["predictions"]:
            outcome = report.outcome_of(r["run"], p)
            if p["guess"] is not None and outcome is not None:
                told.setdefault(p["question"], []).append({"question": p["question"], "guess": p["guess"], "outcome": outcome})
        for arm, a in r["run"]["arms"].items():
            rates.setdefault(report.labels(r["run"], t)(arm), {}).setdefault(_made_of(r["run"], arm), []).append(a)
    rates = {label if len(versions) == 1 else f"{label} ({i})": some for label, versions in rates.items() for i, some in enumerate(versions.values(), 1)}
    points = [p for some in told.values() for p in some]
    n, same = agreement(runs)
    return {"number": number, "title": t(runs[0]["run"]["title"]), "n": len(runs),
            "chart": charts.calibration(points, {"title": "Predictions and outcomes"}, picture, t),
            "predictions": [[t(q), str(len(some)), _spread([p["guess"] for p in some]), _spread([p["outcome"] for p in some])] for q, some in told.items()],
            "rates": [[arm, str(len(some)), str(sum(a["n"] for a in some)), charts.percent(sum(a["em_rate"] * a["n"] for a in some) / sum(a["n"] for a in some)),
                       _spread([100 * a["em_rate"] for a in some]), charts.percent(sum(a["coherent_rate"] * a["n"] for a in some) / sum(a["n"] for a in some))] for arm, some in rates.items()],
            "rated": n, "same": same, "disagreements": disagreements(runs)}


def merge(folders, out, lang: str = "en", say=print) -> Path:
    """Write one page about a class into the file `out`. Raises TinyemError where there is nothing to show."""
    t = translator(lang)
    found = gather(folders, say)
    env, style, style_hash = report.environment()
    lessons = [_lesson(n, runs, i, t) for i, (n, runs) in enumerate(found.items(), 1)]
    files.out_dir(Path(out).parent)
    files.write_text(out, env.get_template("class.html.j2").render(t=t, lang=lang, lessons=lessons, style=style, style_hash=style_hash))
    return Path(out)
