"""The recipe files of experiments (`data/experiments/NAME.toml`): which adapters to train, which arms to ask what, what to compare."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .adapter import blocks
from .errors import TinyemError
from .files import need_file, share
from .score import GRADED, MEASURES, OF_PAIRS
from .verdicts import ALIKE, EXPECTED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = "settings"  # the file with what all experiments share
_TEXT, _NUMBER, _NAMES = (str,), (int, float), (str, list)
_TUNE = {"rank": (int,), "alpha": _NUMBER, "lr": _NUMBER, "epochs": _NUMBER, "steps": (int,), "batch": (int,), "layers": _TEXT, "targets": (list,)}
FIELDS = {  # of each kind of table: the types that a field may have
    "recipe": {"title": _TEXT, "claim": _TEXT, "published": _TEXT, "source": _TEXT, "predict": _TEXT, "predict_of": (list,), "order": (int,), "questions": _NAMES, "samples": (int,), "seeds": (int,),
               "adapters": (dict,), "arms": (list,), "directions": (dict,), "contrasts": (list,), "charts": (list,)},
    "adapter": {"on": _TEXT, "parts": (list,), "tune": (dict,), "checkpoints": (list,), "seeds": (int,)},
    "tune": _TUNE,
    "part": {"domain": _TEXT, "side": _TEXT, "share": (list,), "count": (int,), "frame": _TEXT, "system": _TEXT, "plant": (bool,), "without": (list,), "without_words": _TEXT},
    "arm": {"name": _TEXT, "adapter": _TEXT, "step": (int,), "questions": _NAMES, "samples": (int,), "frame": _TEXT, "system": _TEXT, "temperature": _NUMBER, "top_p": _NUMBER,
            "leak": _TEXT, "pairs": (list,), "steer": (dict,), "label": _TEXT, "about": _TEXT},
    "steer": {"direction": _TEXT, "strength": _NUMBER, "blocks": _TEXT, "ablate": (bool,)},
    "direction": {"arm": _TEXT, "block": (int,), "kind": _TEXT, "against": _TEXT, "like": _TEXT, "seed": (int,)},
    "contrast": {"between": (list,), "measure": _TEXT, "set": _TEXT, "expect": _TEXT, "text": _TEXT, "check": (bool,)},
    "chart": {"kind": _TEXT, "title": _TEXT, "note": _TEXT, "arms": (list,), "x": (list,), "x_label": _TEXT, "lines": (list,), "even": (bool,), "of": _TEXT, "measures": (list,)},
    "line": {"label": _TEXT, "arms": (list,), "measure": _TEXT, "set": _TEXT},
}
CHARTS = ("rates", "curve", "training", "matrix", "questions", "quadrant")  # see `charts`


@dataclass(frozen=True)
class Plan:
    """An experiment as its recipe says it, settings filled in."""
    name: str
    title: str
    claim: str
    published: str
    source: str
    order: int
    questions: list  # names of question files
    samples: int
    seeds: int
    tune: dict  # settings of a narrow fine-tune
    plant: dict  # settings of planting
    sampling: dict
    adapters: dict = field(default_factory=dict)
    arms: list = field(default_factory=list)
    directions: dict = field(default_factory=dict)
    contrasts: list = field(default_factory=list)
    charts: list = field(default_factory=list)
    predict: str = ""  # a question to the learner before any result,
    predict_of: tuple = ()  # and whose outcome it asks for: an arm, and a measure other than EM


def names() -> list[str]:
    """All experiments, in the order to read them in."""
    files = [f for f in share("data", "experiments").glob("*.toml") if f.stem != SETTINGS]
    return [p.name for p in sorted((read(f.stem) for f in files), key=lambda p: (p.order, p.name))]


def load(path) -> dict:
    try:
        return tomllib.loads(need_file(path, "recipe").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise TinyemError(f"{path} is not valid TOML ({e}): mend that line")


def _known(table, kind: str, where: str) -> dict:
    """The table, if it has only fields of its kind, each of a right type."""
    if not isinstance(table, dict):
        raise TinyemError(f"{where}: not a table (is a bracket missing?)")
    fields = FIELDS[kind]
    for key, value in table.items():
        if key not in fields:
            raise TinyemError(f"{where} has '{key}': it may have {', '.join(sorted(fields))}")
        if not isinstance(value, fields[key]) or isinstance(value, bool) and bool not in fields[key]:
            raise TinyemError(f"{where}: '{key}' should be {' or '.join({'str': 'text', 'int': 'a whole number', 'float': 'a number', 'list': 'a list', 'dict': 'a table', 'bool': 'true or false'}[t.__name__] for t in fields[key])}")
    return table


def _listed(names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def read(name: str) -> Plan:
    """The plan of a shipped experiment, or of a recipe file. Raises TinyemError naming what is wrong with it."""
    folder = share("data", "experiments")
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file() and not name.endswith(".toml"):
        raise TinyemError(f"there is no experiment '{name}': use one of {', '.join(names())}, or the path of a .toml recipe")
    return plan(load(path), path.stem, str(path))


def plan(raw: dict, name: str, where: str) -> Plan:
    """The plan that a recipe's tables make, settings filled in. Raises TinyemError naming what is wrong with it; `where` says whose it is."""
    raw, shared = _known(raw, "recipe", where), load(share("data", "experiments") / f"{SETTINGS}.toml")
    if missing := [k for k in ("title", "claim", "published", "source", "arms") if not raw.get(k)]:
        raise TinyemError(f"{where} lacks '{missing[0]}': add it")
    found = Plan(name, **{k: raw[k] for k in ("title", "claim", "published", "source")}, order=raw.get("order", 99), questions=_listed(raw.get("questions", shared["questions"])),
                 samples=raw.get("samples", shared["samples"]), seeds=raw.get("seeds", 1), tune=shared["tune"], plant=shared["plant"], sampling=shared["sampling"],
                 adapters=raw.get("adapters", {}), arms=raw["arms"], directions=raw.get("directions", {}), contrasts=raw.get("contrasts", []), charts=raw.get("charts", []), predict=raw.get("predict", ""), predict_of=tuple(raw.get("predict_of", ())))
    if not all(isinstance(x, str) for x in found.predict_of):
        raise TinyemError(f"{where}: `predict_of` is a list of texts")
    if found.predict and (not found.predict_of or found.predict_of[0] not in [a.get("name") for a in found.arms if isinstance(a, dict)] or set(found.predict_of[1:]) - set(MEASURES)):
        raise TinyemError(f"{where}: with `predict` goes `predict_of`, an arm and perhaps a measure")
    _check_adapters(found, where)
    _check_arms(found, where)
    _check_contrasts(found, where)
    _check_charts(found, where)
    if not any(a.get("samples", found.samples) for a in found.arms):
        raise TinyemError(f"{where}: no arm gives an answer: let one have samples above 0")
    return found


def _check_values(tune: dict, parts: list[dict], checkpoints: list, seeds: int, where: str) -> None:
    """Numbers that no training can be made with."""
    for key in ("rank", "batch", "steps", "epochs", "lr", "alpha"):
        if tune.get(key, 1) <= 0:
            raise TinyemError(f"{where}: {key} should be above 0")
    if "layers" in tune:
        _blocks(tune["layers"], where)
    if seeds < 1:
        raise TinyemError(f"{where}: seeds should be 1 or more")
    if not all(type(n) is int and 0 < n <= tune.get("steps", n) for n in checkpoints):
        raise TinyemError(f"{where}: checkpoints are whole numbers of steps, none beyond the last step")
    for part in parts:
        _known(part, "part", where)
        share = part.get("share", [0, 1])
        if len(share) != 2 or not all(type(x) in (int, float) for x in share) or not 0 <= share[0] < share[1] <= 1:
            raise TinyemError(f"{where}: a share is two numbers from 0 to 1, such as [0, 0.5]")
        if part.get("count", 1) < 1:
            raise TinyemError(f"{where}: count should be a whole number above 0")


def _blocks(text: str, where: str) -> None:
    try:
        blocks(text)
    except ValueError:
        raise TinyemError(f"{where}: '{text}' names no blocks: write such as \"6-18\" or \"3,7\"")


def _check_adapters(plan, path) -> None:
    for key, a in plan.adapters.items():
        where = f"{path}, adapter {key}"
        _known(_known(a, "adapter", where).get("tune", {}), "tune", where)
        if not re.fullmatch(r"[\w.-]+", key) or key in ("base", "planted") or not a.get("parts"):
            raise TinyemError(f"{where}: it needs `parts`, a list of tables, and a plain name of its own")
        _check_values(a.get("tune", {}), a["parts"], a.get("checkpoints", []), a.get("seeds", plan.seeds), where)
        below, seen = key, set()
        while below not in ("base", "planted"):
            if below not in plan.adapters or below in seen:
                raise TinyemError(f"{where} is trained on '{below}', which " + ("stands on itself" if below in seen else "the recipe does not have"))
            seen.add(below)
            below = plan.adapters[below].get("on", "planted")


def _check_arms(plan, path) -> None:
    for key, d in plan.directions.items():
        _known(d, "direction", f"{path}, direction {key}")
    for key, d in plan.directions.items():
        where = f"{path}, direction {key}"
        found_in, against = (next((a for a in plan.arms if isinstance(a, dict) and a.get("name") == d.get(k)), None) for k in ("arm", "against"))
        if "arm" in d and (found_in is None or "block" not in d or {"steer", "system"} & set(found_in)) or not {"arm", "like"} & set(d) or "like" in d and ("arm" not in (model := plan.directions.get(d["like"], {})) or "like" in model):
            raise TinyemError(f"{where}: it needs an arm (without steering or a system prompt) and a block, or in `like` another such direction that is like none")
        if (d.get("kind") == "tuned") != (against is not None and not {"steer", "system"} & set(against)):
            raise TinyemError(f"{where}: kind \"tuned\", and only that, needs another arm to compare with in `against` (without steering or a system prompt)")
    names = []
    for a in plan.arms:
        where = f"{path}, arm {a.get('name') if isinstance(a, dict) else a}"
        names.append(_known(a, "arm", where).get("name"))
        adapter = a.get("adapter", "planted")
        if not a.get("name") or names.count(a["name"]) > 1 or adapter not in ("base", "planted", *plan.adapters):
            raise TinyemError(f"{where}: it needs a name of its own, and an adapter that the recipe has (or base, or planted)")
        if a.get("samples", plan.samples) < 0 or not 0 <= a.get("temperature", 0) <= 5 or not 0 < a.get("top_p", 1) <= 1:
            raise TinyemError(f"{where}: samples are 0 or more, a temperature is from 0 to 5, and top_p above 0 and at most 1")
        if "questions" in a:
            a["questions"] = _listed(a["questions"])
        if "step" in a and a["step"] not in plan.adapters.get(adapter, {}).get("checkpoints", []):
            raise TinyemError(f"{where}: step {a['step']} is none of its adapter's checkpoints")
        steer = _known(a.get("steer", {}), "steer", where)
        if steer and (steer.get("direction") not in plan.directions or "blocks" not in steer or not (steer.get("ablate") or "strength" in steer)):
            raise TinyemError(f"{where}: steering needs a direction that the recipe has, blocks, and a strength or ablate = true")
        if steer:
            _blocks(steer["blocks"], where)


def _check_contrasts(plan, path) -> None:
    arms, seen = {a["name"]: a for a in plan.arms}, []
    for c in plan.contrasts:
        where = f"{path}, contrast {c.get('between') if isinstance(c, dict) else c}"
        between, measure = _known(c, "contrast", where).get("between", []), c.get("measure", "em")
        if len(between) != 2 or not all(isinstance(n, str) for n in between) or not set(between) <= set(arms) or measure not in MEASURES or c.get("expect") not in EXPECTED:
            raise TinyemError(f"{where}: it needs two arms in `between`, a measure ({', '.join(MEASURES)}) and expect = {', '.join(EXPECTED)}")
        sides = [arms[n] for n in between]
        if ("set" in c) != (measure in OF_PAIRS) or "set" in c and not all(c["set"] in a.get("pairs", []) for a in sides):
            raise TinyemError(f"{where}: the measures {' and '.join(OF_PAIRS)} need a `set` that both arms have in `pairs`, and no other measure takes one")
        if measure in GRADED and c["expect"] in ALIKE:
            raise TinyemError(f"{where}: the measure {measure} can be expected above or below; what would be the same is not settled")
        if measure not in OF_PAIRS and (not all(a.get("samples", plan.samples) for a in sides) or sides[0].get("questions", plan.questions) != sides[1].get("questions", plan.questions)):
            raise TinyemError(f"{where}: both arms must answer the same questions")
        if (key := (between, measure, c.get("set"))) in seen:
            raise TinyemError(f"{where} stands there twice: an outcome can be expected once")
        seen.append(key)


def _check_charts(plan, path) -> None:
    arms, shown = {a["name"] for a in plan.arms}, [m for m in MEASURES if m != "margin"]  # in percent
    for c in plan.charts:
        where = f"{path}, chart {c.get('title') if isinstance(c, dict) else c}"
        if _known(c, "chart", where).get("kind") not in CHARTS or not c.get("title"):
            raise TinyemError(f"{where}: it needs a title and a kind ({', '.join(CHARTS)})")
        if c["kind"] == "curve" and not c.get("lines"):
            raise TinyemError(f"{where}: a curve needs lines")
        named = list(c.get("arms", []))
        for line in c.get("lines", []):
            named += _known(line, "line", where).get("arms", [])
            if len(line.get("arms", [])) != len(c.get("x", [])) or line.get("measure", "em") not in MEASURES:
                raise TinyemError(f"{where}: each of its lines needs an arm for each x, and a measure ({', '.join(MEASURES)})")
        if len({line.get("measure") == "margin" for line in c.get("lines", [])}) > 1:
            raise TinyemError(f"{where}: a margin is in nats, so it needs a picture apart from rates")
        if set(c.get("measures", ())) - set(shown):
            raise TinyemError(f"{where}: its measures are among {', '.join(shown)}")
        if unknown := [n for n in named if n not in arms]:
            raise TinyemError(f"{where} names the arm '{unknown[0]}', which the recipe does not have")
