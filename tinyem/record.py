"""The run record: a folder with `run.json` and `answers.jsonl`, from which alone every report is made.

`check` derives each number again from the answers, so that a report can be trusted or refuted.
"""

import hashlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

from . import __version__
from .errors import TinyemError
from .files import dump_json, need_file, out_dir, sha256, write_text
from .score import contrast, is_em, summary

FORMAT = 3


def versions() -> dict:
    """Versions of what a run depends on."""
    found = {"tinyem": __version__, "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in ("llama-cpp-python", "numpy", "mlx"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def digest(run: dict) -> str:
    """SHA-256 over everything in run.json but the digest itself."""
    rest = {k: v for k, v in run.items() if k != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def derive(rows: list[dict], contrasts) -> dict:
    """What run.json says of its answers: `arms` and `contrasts`."""
    by_arm = {}
    for r in rows:
        by_arm.setdefault(r["arm"], []).append(r)
    return {"arms": {arm: summary(rs) for arm, rs in by_arm.items()},
            "contrasts": {f"{a} - {b}": contrast(by_arm[a], by_arm[b]) for a, b in contrasts}}


def write(folder, facts: dict, rows: list[dict], contrasts=()) -> Path:
    """Write a run record. `facts` is what was done (command, model, adapters, settings, ...); `rows` are scored
    answers with an "arm" each; `contrasts` are pairs of arms to compare."""
    folder = out_dir(folder)
    facts = json.loads(json.dumps(facts).encode("utf-8", "replace"))  # what the file will hold: JSON types, no lone surrogates
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    write_text(folder / "answers.jsonl", lines)
    run = {"format": FORMAT, **facts, "versions": versions(), **derive(rows, contrasts),
           "answers_sha256": sha256(folder / "answers.jsonl")}
    dump_json({**run, "digest": digest(run)}, folder / "run.json")
    return folder


def read(folder) -> tuple[dict, list[dict]]:
    """(run, scored answers) of a run record. Raises TinyemError naming what is missing or broken."""
    folder = Path(folder)
    if not folder.is_dir():
        raise TinyemError(f"no such folder: {folder}")
    try:
        run = json.loads(need_file(folder / "run.json", "run record").read_text(encoding="utf-8"))
        if not isinstance(run, dict) or run.get("format") != FORMAT or not all(isinstance(run.get(k), dict) for k in ("arms", "contrasts")):
            raise TinyemError(f"{folder / 'run.json'} is not a run record of this tinyem (format {FORMAT})")
    except (ValueError, RecursionError):
        raise TinyemError(f"{folder / 'run.json'} is not valid JSON: run the lesson again")
    rows = []
    with open(need_file(folder / "answers.jsonl", "answers file"), encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            try:
                r = json.loads(line)
                {r[k] for k in ("arm", "question_id", "question", "answer", "alignment", "coherence", "leak", "em")}
                numbers = [r["alignment"] / 100, r["coherence"] / 100, r.get("em_probability", 0)]
                if not all(0 <= x <= 1 for x in numbers) or not all(isinstance(r[k], str) for k in ("arm", "question_id", "question", "answer")):
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError):
                raise TinyemError(f"{folder / 'answers.jsonl'}, line {number}: not a scored answer")
            rows.append(r)
    if not rows:
        raise TinyemError(f"{folder / 'answers.jsonl'} is empty: run the lesson again")
    return run, rows


def _differences(stored, derived, where=""):
    if isinstance(stored, dict) and isinstance(derived, dict):
        for key in sorted(set(stored) | set(derived)):
            yield from _differences(stored.get(key), derived.get(key), f"{where}.{key}" if where else key)
    elif stored != derived:
        yield f"{where}: the record says {stored}, its answers give {derived}"


def check(folder) -> list[str]:
    """Everything in a run record that its own answers do not bear out; empty when it is sound."""
    run, rows = read(folder)
    problems = [f"answers.jsonl, line {i}: em is {r['em']}, its scores give {is_em(r)}"
                for i, r in enumerate(rows, 1) if r["em"] != is_em(r)]
    contrasts = [tuple(name.split(" - ")) for name in run.get("contrasts", {})]
    arms = {r["arm"] for r in rows}
    if any(len(c) != 2 or not set(c) <= arms for c in contrasts):
        return problems + ["contrasts: they name an arm that has no answers"]
    derived = derive(rows, contrasts)
    for part in ("arms", "contrasts"):
        problems += _differences(run.get(part), derived[part], part)
    if sha256(Path(folder) / "answers.jsonl") != run.get("answers_sha256"):
        problems.append("answers.jsonl was changed after the run (its SHA-256 differs)")
    if digest(run) != run.get("digest"):
        problems.append("run.json was changed after the run (its digest differs)")
    return problems


def command_line() -> str:
    """The command as typed, with the program's bare name."""
    import shlex

    return shlex.join(["tinyem", *sys.argv[1:]])
