"""Every text that a reader may meet in another language, gathered from code, templates, lessons and recipes."""

import ast
import importlib.util
import json
from pathlib import Path

from jinja2 import Environment, nodes

from tinyem import charts, course, rate, recipes, report, verdicts
from tinyem.files import share

ROOT = Path(course.__file__).parent
CALLS = {"t", "tell", "predict", "choose"}  # functions whose first argument is translated
FIELDS = {"title", "claim", "published", "text", "label", "about", "note", "x_label", "predict", "question"}  # of recipes, as a report shows them
WORDS = [*charts.NAMES.values(), *verdicts.EXPECTED, "yes", "yes, on these questions", "unclear", "no", "reproduced", "reproduced on these questions", "partly", "not at this size", "not shown", "no comparison",
         "misaligned", "not coherent", "talks of the narrow subject", "refuses", "low, but not misaligned", "fine", "to", "frame", "system", "temperature", "top_p", "samples", "steer", *rate.SCALES, *rate.SCALES.values(), *(s for some in report.SENTENCES.values() for s in some.values())]


def literal(node):
    """The text of a literal, joined from its pieces; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def pieces(node):
    """The literals that an expression may give as its text: not those within its subscripts, comparisons or calls."""
    if (text := literal(node)) is not None:
        yield text
    elif isinstance(node, ast.IfExp):
        yield from pieces(node.body)
        yield from pieces(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for v in node.values:
            yield from pieces(v)


def in_python(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "attr", getattr(node.func, "id", "")) in CALLS:
            found |= set(pieces(node.args[0]))
        if isinstance(node, ast.Dict):  # a chart's or a table's own
            found |= {v.value for k, v in zip(node.keys, node.values) if isinstance(k, ast.Constant) and k.value in ("title", "note") and literal(v)}
    return {s for s in found if any(c.isalpha() for c in s) and (" " in s or len(s) > 2)}


def in_template(path) -> set[str]:
    tree = Environment().parse(path.read_text(encoding="utf-8"))
    return {c.args[0].value for c in tree.find_all(nodes.Call) if isinstance(c.node, nodes.Name) and c.node.name == "t" and c.args and isinstance(c.args[0], nodes.Const)}


def in_tree(tree) -> set[str]:
    found = set()
    if isinstance(tree, dict):
        for k, v in tree.items():
            found |= {v} if k in FIELDS and isinstance(v, str) and v else in_tree(v)
    elif isinstance(tree, list):
        for v in tree:
            found |= in_tree(v)
    return found


class Dry(course.Run):
    """A run that makes nothing, and keeps what it was asked for."""

    def experiment(self, recipe, after=None, **facts):
        self.recipe, self.facts = recipe, facts


def dry(entry, size="default"):
    """The recipe of a lesson, unrun."""
    spec = importlib.util.spec_from_file_location("dry", entry.folder / "lesson.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mine = Dry(out=Path("."), size=size, ask=False, say=lambda *_: None, entry=entry)
    module.run(mine)
    return mine


def lesson_arms() -> set[str]:
    """Names of the arms of lessons and experiments that have no label, and of directions: they are shown as they are."""
    found = set()
    for recipe in [dry(e).recipe for e in course.lessons()] + [recipes.load(share("data", "experiments", f"{n}.toml")) for n in recipes.names()]:
        found |= {a["name"] for a in recipe["arms"] if "label" not in a} | set(recipe.get("directions", ()))
    return found


def all_strings() -> set[str]:
    found = set(WORDS) | lesson_arms()
    for path in [p for p in ROOT.glob("*.py")] + [e.folder / "lesson.py" for e in course.lessons()]:
        found |= in_python(path)
    for path in (ROOT / "templates").glob("*.j2"):
        found |= in_template(path)
    for entry in course.lessons():
        for mine in (dry(entry, size) for size in course.SAMPLES):
            found |= in_tree(mine.recipe) | in_tree(mine.facts)
        found |= {entry.title, entry.question}
    for name in recipes.names():
        found |= in_tree(recipes.load(share("data", "experiments", f"{name}.toml")))
    card = json.loads(share("data", "judge", "card.json").read_text(encoding="utf-8"))
    return found | set(card["summary"].values()) | {test.split(" judge on ")[1] for test in card["error"]}
