"""Pages over several run records: two or more side by side, and an index of all that a learner has."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from . import charts, record, report
from .errors import TinyemError
from .lang import translator

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def compare(folders, out, lang: str = "en") -> Path:
    """Write one page on two or more run records side by side. Raises TinyemError where one cannot be read."""
    if len(folders) < 2:
        raise TinyemError("a comparison takes two run folders or more")
    try:
        return _compare(folders, out, lang)
    except report.UNFIT as e:
        raise TinyemError(f"one of these records lacks what a comparison needs ({type(e).__name__}: {str(e)[:80]}): run it again")


def _compare(folders, out, lang) -> Path:
    t, runs = translator(lang), []
    for folder in folders:
        run, _ = record.read(folder)
        runs.append({"run": run, "name": Path(folder).resolve().name, "sentence": report.sentence(run, t)})
    names = [f"{i}. {r['name']}" for i, r in enumerate(runs, 1)]
    arms, label = {}, {}
    for name, r in zip(names, runs):
        for arm, rates in r["run"]["arms"].items():
            key = f"{name}: {arm}"
            arms[key], label[key] = rates, f"{name}: {report.labels(r['run'], t)(arm)}"
    picture = charts.rates({"arms": arms}, {"title": "Rates of each arm"}, 1, t, label.get)
    told = [_facts(r["run"], t) for r in runs]
    facts = [[name, *(f[name] for f in told), t("yes") if len({f[name] for f in told}) == 1 else t("no")] for name in told[0]]
    return report.page("compare.html.j2", out, lang, runs=runs, names=names, picture=picture, facts=facts)


def _facts(run: dict, t) -> dict[str, str]:
    """What must be equal in two runs before their rates can be compared, and what else was done, in words."""
    return {t("Questions"): ", ".join(f"{name} ({hash[:8]})" for name, hash in sorted(run["questions"].items())), t("Answers a question"): str(run["samples_per_question"]),
            t("Sampling"): t("temperature {temperature}, top-p {top_p}, at most {max_tokens} tokens, seed {seed}", **run["sampling"]), t("Judge"): f"{run['judge']['name']}: {run['judge']['summary']}",
            t("Model"): f"{run['model']['name']} ({run['model']['sha256'][:8]})", t("Planted"): run["adapters"]["planted"]["sha256"][:8] if "planted" in run["adapters"] else t("no"),
            t("Answers"): str(sum(a["n"] for a in run["arms"].values())), t("Command"): run["command"]}


def index(folder, lang: str = "en") -> Path:
    """Write FOLDER/index.html: every run record below FOLDER, with its result and its report (made where there is none)."""
    folder, t, found = Path(folder), translator(lang), []
    for path in sorted(folder.rglob("run.json")):
        place = path.parent.relative_to(folder).as_posix()
        link = quote(os.fsencode(f"{place}/report.html"))
        try:
            run, _ = record.read(path.parent)
            if not (path.parent / "report.html").is_file():
                report.write(path.parent)
            number, guesses = run.get("lesson"), [p["guess"] for p in run.get("predictions", [])]
            if not isinstance(number, (int, type(None))) or not all(isinstance(g, (int, float, type(None))) for g in guesses):
                raise TinyemError("a lesson's number or a prediction is no number")
            found.append({"place": place, "link": link, "title": t(run["title"]), "number": number, "sentence": report.sentence(run, t), "predictions": [{**p, "outcome": report.outcome_of(run, p)} for p in run.get("predictions", [])]})
        except (TinyemError, *report.UNFIT) as e:
            found.append({"place": place, "link": "", "title": place, "number": None, "sentence": t("This record cannot be read: {why}", why=e), "predictions": []})
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
    out.unlink(missing_ok=True)
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # Chromium refuses to start as root without
    try:
        done = subprocess.run([browser, "--headless", *as_root, "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={out.resolve()}", page.resolve().as_uri()], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise failed
    if done.returncode or not out.is_file():
        raise failed
    return out
