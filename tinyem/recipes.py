"""The recipe files of experiments (`data/experiments/NAME.toml`): which adapters to train, which arms to ask what, what to compare."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .errors import TinyemError
from .files import need_file, share
from .score import MEASURES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = "settings"  # the file with what all experiments share
TUNE = {"rank", "alpha", "lr", "epochs", "steps", "batch", "layers", "targets"}
FIELDS = {
    "": {"title", "claim", "published", "source", "order", "questions", "samples", "seeds", "adapters", "arms", "directions", "contrasts", "predict", "verdict"},
    "adapter": {"on", "parts", "tune", "checkpoints", "seeds"},
    "arm": {"name", "adapter", "step", "questions", "samples", "frame", "system", "temperature", "top_p", "leak", "pairs", "steer", "seeds"},
    "steer": {"direction", "strength", "blocks", "ablate"},
    "direction": {"arm", "block", "kind", "like", "seed"},
    "contrast": {"between", "measure", "set", "expect", "text"},
}


@dataclass(frozen=True)
class Plan:
    """An experiment as its recipe says it, settings filled in."""
    name: str
    title: str
    claim: str
    published: str
    source: str
    order: int
    questions: str
    samples: int
    seeds: int
    tune: dict  # settings of a narrow fine-tune
    plant: dict  # settings of planting
    sampling: dict
    adapters: dict = field(default_factory=dict)
    arms: list = field(default_factory=list)
    directions: dict = field(default_factory=dict)
    contrasts: list = field(default_factory=list)
    predict: str = ""


def names() -> list[str]:
    """All experiments, in the order to read them in."""
    files = [f for f in share("data", "experiments").glob("*.toml") if f.stem != SETTINGS]
    return [p.name for p in sorted((read(f.stem) for f in files), key=lambda p: (p.order, p.name))]


def _load(path) -> dict:
    try:
        return tomllib.loads(need_file(path, "recipe").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise TinyemError(f"{path} is not valid TOML ({e}): mend that line")


def _known(table: dict, kind: str, where: str) -> None:
    if not isinstance(table, dict):
        raise TinyemError(f"{where}: not a table")
    if unknown := set(table) - FIELDS[kind]:
        raise TinyemError(f"{where} has '{sorted(unknown)[0]}': it may have {', '.join(sorted(FIELDS[kind]))}")


def read(name: str) -> Plan:
    """The plan of a shipped experiment, or of a recipe file. Raises TinyemError naming what is wrong with it."""
    folder = share("data", "experiments")
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file() and not name.endswith(".toml"):
        raise TinyemError(f"there is no experiment '{name}': use one of {', '.join(names())}, or the path of a .toml recipe")
    raw, shared = _load(path), _load(folder / f"{SETTINGS}.toml")
    _known(raw, "", str(path))
    adapters, arms, directions, contrasts = raw.get("adapters", {}), raw.get("arms", []), raw.get("directions", {}), raw.get("contrasts", [])
    for key, a in adapters.items():
        where = f"{path}, adapter {key}"
        _known(a, "adapter", where)
        if not re.fullmatch(r"[\w.-]+", key) or key in ("base", "planted") or "parts" not in a:
            raise TinyemError(f"{where}: it needs `parts` and a plain name of its own")
        if unknown := set(a.get("tune", {})) - TUNE:
            raise TinyemError(f"{where}: tune has '{sorted(unknown)[0]}': it may have {', '.join(sorted(TUNE))}")
        if a.get("on", "planted") not in ("", "base", "planted", *adapters):
            raise TinyemError(f"{where} is trained on '{a['on']}', which the recipe does not have")
    for a in arms:
        where = f"{path}, arm {a.get('name')}"
        _known(a, "arm", where)
        if not isinstance(a.get("name"), str) or a.get("adapter", "planted") not in ("base", "planted", *adapters):
            raise TinyemError(f"{where}: it needs a name, and an adapter that the recipe has (or base, or planted)")
        if "steer" in a:
            _known(a["steer"], "steer", where)
            if a["steer"].get("direction") not in directions:
                raise TinyemError(f"{where} is steered along '{a['steer'].get('direction')}', which the recipe does not have")
    if not arms or len({a["name"] for a in arms}) < len(arms):
        raise TinyemError(f"{path}: it needs arms, each with a name of its own")
    for key, d in directions.items():
        _known(d, "direction", f"{path}, direction {key}")
    for c in contrasts:
        where = f"{path}, contrast {c.get('between')}"
        _known(c, "contrast", where)
        if not set(c.get("between", [""])) <= {a["name"] for a in arms} or len(c["between"]) != 2 or c.get("measure", "em") not in MEASURES or c.get("expect") not in ("above", "below", "same"):
            raise TinyemError(f"{where}: it needs two arms in `between`, a measure ({', '.join(MEASURES)}) and expect = above, below or same")
    try:
        return Plan(path.stem, **{k: raw[k] for k in ("title", "claim", "published", "source")}, order=raw.get("order", 99), questions=raw.get("questions", "open"),
                    samples=raw.get("samples", shared["samples"]), seeds=raw.get("seeds", 1), tune=shared["tune"], plant=shared["plant"], sampling=shared["sampling"],
                    adapters=adapters, arms=arms, directions=directions, contrasts=contrasts, predict=raw.get("predict", ""))
    except KeyError as e:
        raise TinyemError(f"{path} lacks {e}: add that line")
