"""The run record: a folder with `run.json`, `answers.jsonl` and, where likelihoods were compared, `pairs.jsonl`, from which alone every report is made.

`check` derives each number again from the answers, so that a report can be trusted or refuted.
"""

import hashlib
import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from . import __version__
from .errors import TinyemError
from .files import dump_json, need_file, out_dir, sha256, share, write_text
from .score import contrast, is_em, pairs_summary, summary

FORMAT = 6
STORED = ("experiment", "title", "claim", "published", "source", "expect", "contrasts", "arms", "pairs", "charts", "asked", "training", "cosines", "places", "digest")  # of a record, in that of a lesson that shows it


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


def derive(rows: list[dict], contrasts, pairs: list[dict] = ()) -> dict:
    """What run.json says of its answers: `arms`, `contrasts` and, of pairs, `pairs` by arm and set. A contrast is (arm, arm) by EM,
    (arm, arm, measure) or, for pairs, (arm, arm, measure, set); see `score.MEASURES`."""
    by_arm, by_set = {}, {}
    for r in rows:
        by_arm.setdefault(r["arm"], []).append(r)
    for r in pairs:
        by_set.setdefault(r["set"], {}).setdefault(r["arm"], []).append(r)
    found = {}
    for a, b, *how in contrasts:
        arms = by_set[how[1]] if len(how) > 1 else by_arm
        found[": ".join([f"{a} - {b}", *how])] = {"between": [a, b, *how], **contrast(arms[a], arms[b], *how[:1])}
    return {"arms": {arm: summary(rs) for arm, rs in by_arm.items()}, "contrasts": found,
            **({"pairs": {arm: {s: pairs_summary(arms[arm]) for s, arms in by_set.items() if arm in arms} for arm in dict.fromkeys(r["arm"] for r in pairs)}} if pairs else {})}


def _lines(rows) -> str:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)


def write(folder, facts: dict, rows: list[dict], contrasts=(), pairs: list[dict] = ()) -> Path:
    """Write a run record. `facts` is what was done (command, model, adapters, settings, ...); `rows` are scored
    answers with an "arm" each; `contrasts` are what to compare (see `derive`); `pairs` are likelihoods of given answers
    ({"arm", "set", "question_id", "good", "bad"})."""
    folder = out_dir(folder)
    facts = json.loads(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))  # what the file will hold: JSON types, no lone surrogates
    files = {"answers": rows, **({"pairs": pairs} if pairs else {})}
    for stale in ("run.json", "pairs.jsonl", "report.html", "report.pdf"):  # of a run before: stopped now, the folder holds no record at all
        (folder / stale).unlink(missing_ok=True)
    for name, some in files.items():
        write_text(folder / f"{name}.jsonl", _lines(some))
    run = {"format": FORMAT, **facts, "versions": versions(), **derive(rows, contrasts, pairs),
           **{f"{name}_sha256": sha256(folder / f"{name}.jsonl") for name in files}}
    dump_json({**run, "digest": digest(run)}, folder / "run.json")
    return folder


def read(folder) -> tuple[dict, list[dict]]:
    """(run, scored answers) of a run record. Raises TinyemError naming what is missing or broken."""
    folder = Path(folder)
    if not folder.is_dir():
        raise TinyemError(f"{folder} is a file: give its folder" if folder.is_file() else f"no such folder: {folder}")
    if not (folder / "run.json").is_file() and (within := sorted(p.parent.name for p in folder.glob("*/run.json"))):
        raise TinyemError(f"{folder} is no run but holds some: give one of {', '.join(within[:10])}")
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
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                raise TinyemError(f"{folder / 'answers.jsonl'}, line {number}: not a scored answer")
            rows.append(r)
    if not rows:
        raise TinyemError(f"{folder / 'answers.jsonl'} is empty: run the lesson again")
    return run, rows


def read_pairs(folder) -> list[dict]:
    """The likelihoods of a run record's pairs; empty where it has none."""
    path, rows = Path(folder) / "pairs.jsonl", []
    if not path.is_file():
        return rows
    with open(path, encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            try:
                r = json.loads(line)
                r["good"] / 1, r["bad"] / 1
                if not all(isinstance(r[k], str) for k in ("arm", "set", "question_id")):
                    raise ValueError
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                raise TinyemError(f"{path}, line {number}: not the likelihoods of a pair")
            rows.append(r)
    return rows


def _differences(stored, derived, where, of="its answers give"):
    if isinstance(stored, dict) and isinstance(derived, dict):
        for key in sorted(set(stored) | set(derived)):
            yield from _differences(stored.get(key), derived.get(key), f"{where}.{key}", of)
    elif stored != derived:
        yield f"{where}: the record says {str(stored)[:200]}, {of} {str(derived)[:200]}"


def _not_as_expected(run: dict):
    """Where what was expected is not of the comparisons that were made, in their order."""
    if "expect" in run and [[*c["between"], c.get("measure", "em")] for c in run["expect"]] != [[*c["between"][:2], c["measure"]] for c in run["contrasts"].values()]:
        yield "expect: what was expected is not of the comparisons that were made"


def _shipped(told: dict) -> dict | None:
    """The shipped record of a stored result in a lesson's record; None where this tinyem comes with another, or none."""
    name = str(told["experiment"])
    path = share("data", "results", name, "run.json")
    if not re.fullmatch(r"[a-z0-9-]+", name) or not path.is_file():
        return None
    shipped = json.loads(path.read_text(encoding="utf-8"))
    return {k: shipped[k] for k in STORED if k in shipped} if shipped["digest"] == told["digest"] else None


def _unlike_stored(run: dict):
    """Where a stored result in a lesson's record is not as the record that it was taken from."""
    for told in run.get("stored", []):
        if (shipped := _shipped(told)) is not None:
            yield from _differences(told, shipped, f"stored result {told['experiment']}", "the one that comes with tinyem has")


def unchecked(folder) -> list[str]:
    """The stored results of a sound run record that `check` can hold to nothing: another tinyem came with them."""
    run, _ = read(folder)
    return [str(told["experiment"]) for told in run.get("stored", []) if _shipped(told) is None]


def check(folder) -> list[str]:
    """Everything in a run record that its own answers and tinyem's stored results do not bear out; empty when it is sound. What it holds beside rates and comparisons
    (predictions, logs of a training, tables) is as the run wrote it."""
    run, rows = read(folder)
    pairs = read_pairs(folder)
    problems = [f"answers.jsonl, line {i}: em is {r['em']}, its scores give {is_em(r)}"
                for i, r in enumerate(rows, 1) if r["em"] != is_em(r)]
    try:
        derived = derive(rows, [c["between"] for c in run["contrasts"].values()], pairs)
    except (KeyError, TypeError, ValueError, OverflowError, TinyemError):
        return problems + ["contrasts: they name an arm, a measure or a set that has no answers"]
    for part in ("arms", "contrasts", "pairs"):
        problems += _differences(run.get(part), derived.get(part), part)
    try:
        problems += [*_not_as_expected(run), *_unlike_stored(run)]
    except (AttributeError, KeyError, TypeError):
        problems.append("expect or stored: not as a run leaves them")
    for name in ("answers", "pairs"):
        path = Path(folder) / f"{name}.jsonl"
        if run.get(f"{name}_sha256") != (sha256(path) if path.is_file() else None):
            problems.append(f"{name}.jsonl was changed after the run (its SHA-256 differs)")
    if digest(run) != run.get("digest"):
        problems.append("run.json was changed after the run (its digest differs)")
    return problems


def command_line() -> str:
    """The command as typed, with the program's bare name."""
    import shlex

    return shlex.join(["tinyem", *sys.argv[1:]])
