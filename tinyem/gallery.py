"""Pages over several run records: two or more side by side, and an index of all that a learner has."""

import shutil
import subprocess
from pathlib import Path

from . import charts, files, record, report
from .errors import TinyemError
from .lang import translator

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def compare(folders, out, lang: str = "en") -> Path:
    """Write one page on two or more run records side by side. Raises TinyemError where one cannot be read."""
    try:
        return _compare(folders, out, lang)
    except report.UNFIT as e:
        raise TinyemError(f"one of these records lacks what a comparison needs ({type(e).__name__}: {str(e)[:80]}): run it again")


def _compare(folders, out, lang) -> Path:
    t, runs = translator(lang), []
    for folder in folders:
        run, _ = record.read(folder)
        runs.append({"run": run, "name": files.clean(Path(folder).resolve().name), "sentence": report.sentence(run, t)})
    names = [f"{i}. {r['name']}" for i, r in enumerate(runs, 1)]
    arms = {f"{name}: {report.labels(r['run'], t)(arm)}": a for name, r in zip(names, runs) for arm, a in r["run"]["arms"].items()}
    picture = charts.rates({"arms": arms}, {"title": "Rates of each arm"}, 1, t)
    facts = [[t("Model"), *(r["run"]["model"]["name"] for r in runs)], [t("Planted"), *(t("yes") if "planted" in r["run"]["adapters"] else t("no") for r in runs)],
             [t("Sampling"), *(t("temperature {temperature}, seed {seed}", temperature=r["run"]["sampling"]["temperature"], seed=r["run"]["sampling"]["seed"]) for r in runs)],
             [t("Answers"), *(str(sum(a["n"] for a in r["run"]["arms"].values())) for r in runs)], [t("Command"), *(r["run"]["command"] for r in runs)]]
    return report.page("compare.html.j2", out, lang, runs=runs, names=names, picture=picture, facts=facts)


def index(folder, lang: str = "en") -> Path:
    """Write FOLDER/index.html: every run record below FOLDER, with its result and its report (made where there is none)."""
    folder, t, found = Path(folder), translator(lang), []
    for path in sorted(folder.rglob("run.json")):
        place = path.parent.relative_to(folder).as_posix()
        try:
            run, _ = record.read(path.parent)
            if not (path.parent / "report.html").is_file():
                report.write(path.parent, lang)
            number, guesses = run.get("lesson"), [p["guess"] for p in run.get("predictions", [])]
            if not isinstance(number, (int, type(None))) or not all(isinstance(g, (int, float, type(None))) for g in guesses):
                raise TinyemError("a lesson's number or a prediction is no number")
            found.append({"place": place, "title": t(run["title"]), "number": number, "sentence": report.sentence(run, t), "predictions": [{**p, "outcome": report.outcome_of(run, p)} for p in run.get("predictions", [])]})
        except (TinyemError, *report.UNFIT) as e:
            found.append({"place": place, "title": place, "number": None, "sentence": t("This record cannot be read: {why}", why=files.clean(e)), "predictions": []})
    if not found:
        raise TinyemError(f"{folder} holds no run record: tinyem lesson 1 makes one")
    return report.page("index.html.j2", folder / "index.html", lang, found=sorted(found, key=lambda f: (f["number"] or 99, f["place"])))


def pdf(page: Path) -> Path:
    """Print a page to a PDF beside it, with a browser of the Chromium family. Raises TinyemError where there is none."""
    browser = next((b for b in map(shutil.which, BROWSERS) if b), None)
    if browser is None:
        raise TinyemError("a PDF needs Chromium, Chrome or Edge on the PATH; or open the page and print it from there")
    out = page.with_suffix(".pdf")
    failed = TinyemError(f"{Path(browser).name} made no PDF: open the page and print it from there")
    try:
        done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={out.resolve()}", page.resolve().as_uri()], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise failed
    if done.returncode or not out.is_file():
        raise failed
    return out
